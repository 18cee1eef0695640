//! A process killed in the middle of its work: what it acknowledged is there.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use matrix_smpp_codec::segment::{ReferenceWidth, split};
use matrix_smpp_config::{Fraud, NumberRange, Numbers};

use super::*;
use crate::gateway::model::{E164Text, MessageState, Source, UncertainPolicy};
use crate::store::{OriginatorPlan, Outcome};

/// Where the child's store is; set for the child only.
const STORE: &str = "MATRIX_SMPP_TEST_STORE";
const CHILD: &str = "store::tests::on_sqlite::crash::the_child_works_until_it_is_killed";
const PRICE: i64 = 10;

pub(super) fn alice() -> OwnedUserId {
    "@alice:example.org".try_into().unwrap()
}

fn say(word: &str, id: MessageId) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{word} {id}").unwrap();
    out.flush().unwrap();
}

async fn conversation(store: &dyn Store) -> Conversation {
    let request = OpenConversation {
        homeserver: "example.org".try_into().unwrap(),
        room: Some("!a:example.org".try_into().unwrap()),
        handset: Handset::Number(E164Text("447700900123".parse().unwrap())),
        ghost: "@.tel.447700900123:example.org".try_into().unwrap(),
        owner: alice(),
        direct: true,
        originator: None,
        now: Timestamp(1),
    };
    store.open_conversation(request).await.unwrap().conversation
}

pub(super) fn message(conversation: &Conversation, number: u32) -> NewMessage {
    let source = Source::Event {
        homeserver: "example.org".try_into().unwrap(),
        event: format!("$event{number}").try_into().unwrap(),
        edit: None,
        sender: alice(),
    };
    let vmn = "447700900900".parse().unwrap();
    NewMessage {
        id: MessageId::of(&source, conversation.id),
        source,
        conversation: conversation.id,
        destination: "447700900123".parse().unwrap(),
        payer: alice(),
        route: "uk".to_owned(),
        link_group: "operator".to_owned(),
        originators: OriginatorPlan::Vmns {
            pool: "uk".to_owned(),
            dedicated: Vec::new(),
            numbers: Numbers {
                ranges: vec![NumberRange {
                    first: vmn,
                    last: vmn,
                }],
            },
        },
        price: Money::from_micros(PRICE).unwrap(),
        segments: split("Hello", ReferenceWidth::Sixteen).unwrap(),
        receipts: true,
        progress: true,
        uncertain: UncertainPolicy::Hold(60_000),
        most_waiting: usize::MAX,
        valid_until: Timestamp(1_000_000),
        receipt_by: Timestamp(2_000_000),
        fraud: Fraud::default(),
        now: Timestamp(2),
    }
}

/// The other side of the test below: does nothing unless that started it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_child_works_until_it_is_killed() {
    let Ok(path) = std::env::var(STORE) else {
        return;
    };
    let store: Arc<dyn Store> = TableStore::open_sqlite(PathBuf::from(path), DAY).unwrap();
    let credit = Money::from_micros(1_000_000_000).unwrap();
    store
        .top_up(&alice(), credit, "first", Timestamp(1))
        .await
        .unwrap();
    let conversation = conversation(&*store).await;
    let next = Arc::new(AtomicU32::new(0));
    let mut work = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (store, next) = (Arc::clone(&store), Arc::clone(&next));
        let conversation = conversation.clone();
        work.spawn(async move {
            loop {
                let new = message(&conversation, next.fetch_add(1, Ordering::Relaxed));
                let id = new.id;
                store.accept_message(new).await.unwrap();
                say("accepted", id);
            }
        });
    }
    work.spawn(async move {
        loop {
            for claimed in store.claim("operator", 10, Timestamp(4)).await.unwrap() {
                let id = claimed.segment.message;
                say("claimed", id);
                let outcome = Outcome::Submitted {
                    message_id: id.to_string(),
                };
                let answer = Answer {
                    segment: claimed.segment,
                    attempt: claimed.attempt,
                    outcome,
                };
                store
                    .record_answers(vec![answer], Timestamp(4))
                    .await
                    .unwrap();
                say("submitted", id);
            }
            tokio::task::yield_now().await;
        }
    });
    work.join_all().await;
}

fn start(engine: &Sqlite) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([CHILD, "--exact", "--nocapture", "--test-threads=1"])
        .env(STORE, engine.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What the child had acknowledged when it was killed after its `lines`-th word.
fn words_until_killed(engine: &Sqlite, lines: usize) -> Vec<(String, MessageId)> {
    let mut child = start(engine);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut words = Vec::new();
    let mut line = String::new();
    while output.read_line(&mut line).unwrap() > 0 {
        // A word that was cut in the middle was not said.
        if let Some((word, id)) = line
            .strip_suffix('\n')
            .and_then(|line| line.split_once(' '))
            && let Ok(id) = id.parse()
        {
            words.push((word.to_owned(), id));
            if words.len() == lines {
                child.kill().unwrap();
            }
        }
        line.clear();
    }
    child.wait().unwrap();
    words
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill_in_the_middle_of_a_burst() {
    for lines in [1, 40, 333] {
        let engine = Sqlite::default();
        let words = words_until_killed(&engine, lines);
        assert!(words.len() >= lines);
        let store: Arc<dyn Store> = TableStore::open_sqlite(engine.path(), DAY).unwrap();
        for (word, id) in &words {
            let state = store.message(*id).await.unwrap().unwrap().state;
            match word.as_str() {
                "accepted" => {}
                "claimed" => assert!(state >= MessageState::Intent, "{state:?}"),
                "submitted" => assert_eq!(state, MessageState::Submitted),
                other => panic!("{other}"),
            }
        }
        assert!(store.audit().await.unwrap().is_clean());
        let sizes = store.sizes().await.unwrap();
        let held = i64::try_from(sizes.queued + sizes.intent).unwrap() * PRICE;
        assert_eq!(
            store.account(&alice()).await.unwrap().reserved.micros(),
            held
        );
        let uncertain = store.recover(Timestamp(5)).await.unwrap();
        assert_eq!(u64::try_from(uncertain).unwrap(), sizes.intent);
    }
}
