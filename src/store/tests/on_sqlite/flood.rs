//! A flood of parts of long SMS of which the rest never comes, from as many phones: memory does not
//! grow with it.
//!
//! `FLOOD_PARTS` is how many there are.

use std::process::Command;

use bytes::Bytes;
use futures_util::future::join_all;
use matrix_smpp_codec::udh::{Concat, Reference};
use matrix_smpp_codec::values::DataCoding;
use uuid::Uuid;

use super::*;
use crate::gateway::model::E164Text;

const CHILD: &str = "store::tests::on_sqlite::flood::the_child_is_flooded";
/// Where the child has its store.
const STORE: &str = "FLOOD_STORE";
const PARTS: u64 = 4_000;
/// How many come at once.
const AT_ONCE: u64 = 500;
/// What they may make the process grow by, in KiB, however many they are.
const GROWTH: u64 = 128 * 1024;

/// The first of three parts, from a phone that nobody has heard of.
fn orphan(number: u64) -> SmsIn {
    let digits = (447_000_000_000 + number).to_string();
    let reference = Reference::Sixteen(u16::try_from(number % 65_536).unwrap());
    SmsIn {
        link_group: "operator".to_owned(),
        session: Uuid::nil(),
        living_sessions: vec![Uuid::nil()],
        from: Handset::Number(E164Text(digits.parse().unwrap())),
        to: "447700900999".to_owned(),
        concat: Some(Concat {
            reference,
            total: 3,
            index: 1,
        }),
        data_coding: DataCoding::GSM_DEFAULT,
        payload: Bytes::from(vec![b'x'; 153]),
        user_message_reference: None,
        peer_id: None,
        dedicated_to: Some("@alice:example.org".try_into().unwrap()),
        submitted: None,
        wish: None,
        most_waiting: 2_000_000,
        most_partial: 50_000,
        note_sender: false,
        at: Timestamp(i64::try_from(number).unwrap()),
    }
}

/// A text that came whole.
fn whole(number: u64) -> SmsIn {
    SmsIn {
        concat: None,
        ..orphan(number)
    }
}

/// Takes these, and has said what was handed on, as the gateway does.
async fn flood(store: &Arc<dyn Store>, numbers: std::ops::Range<u64>, sms: fn(u64) -> SmsIn) {
    for first in numbers.clone().step_by(usize::try_from(AT_ONCE).unwrap()) {
        let batch = first..(first + AT_ONCE).min(numbers.end);
        for taken in join_all(batch.map(|number| store.take_sms(sms(number)))).await {
            assert!(matches!(taken.unwrap(), SmsTaken::Stored { .. }));
        }
        let handed_on = store.pending_sms(SmsId(0), 2_000).await.unwrap();
        let said = handed_on
            .iter()
            .map(|sms| store.finish_sms(sms.id, Ending::Done));
        join_all(said).await;
    }
}

/// What the process has in memory, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let amount = line.and_then(|line| line.split_whitespace().nth(1));
    amount.unwrap().parse().unwrap()
}

/// The other side of the test below: does nothing unless that started it.
#[tokio::test]
async fn the_child_is_flooded() {
    let Ok(path) = std::env::var(STORE) else {
        return;
    };
    let store: Arc<dyn Store> = TableStore::open_sqlite(path, DAY).unwrap();
    let parts = number_given("FLOOD_PARTS", PARTS);
    // Ordinary texts fill what remembers rows, so that it is not mistaken for what parts take.
    flood(&store, parts..parts * 3 / 2, whole).await;
    let before = resident();
    flood(&store, 0..parts, orphan).await;
    let grown = resident().saturating_sub(before);
    eprintln!("{parts} parts that wait in vain: {grown} KiB more than {before} KiB");
    assert!(grown <= GROWTH, "at most {GROWTH} KiB");
}

#[test]
fn a_flood_of_parts_that_wait_in_vain_leaves_memory_as_it_was() {
    let engine = Sqlite::default();
    let flooded = Command::new(std::env::current_exe().unwrap())
        .args([CHILD, "--exact", "--nocapture", "--test-threads=1"])
        .env(STORE, engine.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&flooded.stderr);
    eprintln!("{told}");
    assert!(flooded.status.success(), "{told}");
}
