//! Fills a store with messages that wait, and times its opening: `backlog fill FILE MESSAGES`, then
//! `backlog open FILE`. `make bench-backlog` does both.
#![expect(clippy::print_stdout, reason = "what it measures is its output")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use matrix_smpp::gateway::model::{Handset, MessageId, Source, Timestamp, UncertainPolicy};
use matrix_smpp::store::{
    NewMessage, OpenConversation, OriginatorPlan, Store, StoreError, TableStore,
};
use matrix_smpp_codec::segment::{ReferenceWidth, split};
use matrix_smpp_config::{Fraud, Money};
use mimalloc::MiMalloc;
use ruma::OwnedUserId;
use tokio::task::JoinSet;

/// That of the gateway.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Messages in each conversation.
const DEPTH: u64 = 100;

/// Conversations that are filled side by side, so that commits are shared.
const SIDE_BY_SIDE: u64 = 512;

/// The day on which the messages were accepted, in milliseconds.
const NOW: Timestamp = Timestamp(1_800_000_000_000);

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match &words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["fill", file, count] => fill(Path::new(file), count.parse()?).await,
        ["open", file] => open(Path::new(file)).await,
        _ => Err("write `fill FILE MESSAGES` or `open FILE`".into()),
    }
}

fn store(file: &Path) -> Result<Arc<dyn Store>, StoreError> {
    Ok(TableStore::open_sqlite(file, Duration::from_hours(24))?)
}

async fn fill(file: &Path, count: u64) -> Result<(), Failure> {
    let store = store(file)?;
    let mut lanes = JoinSet::new();
    for lane in 0..count.div_ceil(DEPTH) {
        if lane >= SIDE_BY_SIDE
            && let Some(filled) = lanes.join_next().await
        {
            filled??;
        }
        lanes.spawn(fill_lane(
            Arc::clone(&store),
            lane,
            DEPTH.min(count - lane * DEPTH),
        ));
    }
    while let Some(filled) = lanes.join_next().await {
        filled??;
    }
    println!("{count} messages wait");
    Ok(())
}

async fn fill_lane(store: Arc<dyn Store>, lane: u64, depth: u64) -> Result<(), Failure> {
    let owner = OwnedUserId::try_from(format!("@user{lane}:example.org"))?;
    let phone = format!("4477{lane:08}");
    let handset = Handset::from_key(&phone).ok_or("no phone")?;
    let opened = store.open_conversation(OpenConversation {
        homeserver: "example.org".try_into()?,
        room: Some(format!("!room{lane}:example.org").try_into()?),
        handset,
        ghost: format!("@.tel.{phone}:example.org").try_into()?,
        owner: owner.clone(),
        direct: true,
        originator: None,
        now: NOW,
    });
    let conversation = opened.await?.conversation;
    for number in 0..depth {
        let source = Source::Event {
            homeserver: "example.org".try_into()?,
            event: format!("$event{lane}-{number}:example.org").try_into()?,
            edit: None,
            sender: owner.clone(),
        };
        let message = NewMessage {
            id: MessageId::of(&source, conversation.id),
            source,
            conversation: conversation.id,
            destination: phone.parse()?,
            payer: owner.clone(),
            route: "all".to_owned(),
            link_group: "operator".to_owned(),
            originators: OriginatorPlan::Shortcode("12345".to_owned()),
            price: Money::ZERO,
            segments: split(
                "A text of some forty characters, waiting.",
                ReferenceWidth::Sixteen,
            )?,
            receipts: true,
            progress: true,
            uncertain: UncertainPolicy::Hold(60_000),
            most_waiting: usize::MAX,
            valid_until: NOW.after(Duration::from_hours(24)),
            receipt_by: NOW.after(Duration::from_hours(48)),
            fraud: Fraud::default(),
            now: NOW,
        };
        store.accept_message(message).await?;
    }
    Ok(())
}

/// Does what a start does before it sends.
async fn open(file: &Path) -> Result<(), Failure> {
    #[expect(clippy::disallowed_methods, reason = "it times what it does")]
    let begun = Instant::now();
    let store = store(file)?;
    let opened = begun.elapsed();
    store.recover(NOW).await?;
    let claimed = store.claim("operator", 256, NOW).await?;
    let first = begun.elapsed();
    let waiting = store.sizes().await?.queued;
    println!(
        "{waiting} segments wait; opened after {:.2} s, the first {} claimed after {:.2} s, {} MiB resident",
        opened.as_secs_f64(),
        claimed.len(),
        first.as_secs_f64(),
        resident()? / 1024,
    );
    Ok(())
}

/// The memory that this process has, in KiB.
fn resident() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or("no VmRSS")?.parse()?)
}
