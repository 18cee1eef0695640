//! The recorded process: many things at once, each told the world when the store has acknowledged it.

use std::path::Path;

use bytes::Bytes;
use matrix_smpp_codec::values::{DataCoding, MessageState as WireState};
use uuid::Uuid;

use super::super::crash::{alice, message};
use super::trace::say;
use super::*;
use crate::store::NewEvent;
use crate::store::base::Write;

/// Where the child's store is; set for the child only.
pub(super) const STORE: &str = "MATRIX_SMPP_TEST_DISK";
/// Conversations at work at the same time, and the texts of each in one life of the process.
const LANES: u32 = 4;
const TEXTS: u32 = 6;
/// Of everything else, in one life.
const THINGS: u32 = 8;
/// The process ends this often in good order, after one that did not: the logs go into the file and are
/// removed.
const LIVES: u32 = 2;
/// The number that every text comes from.
const VMN: &str = "447700900900";

/// The other side of the test: does nothing unless that started it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_child_works_and_says_what_is_done() {
    let Ok(path) = std::env::var(STORE) else {
        return;
    };
    for life in 0..LIVES {
        die(path.as_ref());
        let base = sqlite::Sqlite::open_restless(path.as_ref()).unwrap();
        let store: Arc<dyn Store> = Arc::new(TableStore::open(Box::new(base), DAY).unwrap());
        say(&format!("instance {}", store.instance()));
        top_up(&*store, alice(), &format!("credit{life}")).await;
        let mut work = tokio::task::JoinSet::new();
        for lane in 0..LANES {
            work.spawn(text(Arc::clone(&store), life, lane));
        }
        work.spawn(send(Arc::clone(&store)));
        work.spawn(hear(Arc::clone(&store), life));
        work.spawn(pay(Arc::clone(&store), life));
        work.join_all().await;
    }
}

/// One that dies at once, and leaves its log behind.
fn die(path: &Path) {
    let mut base = sqlite::Sqlite::open(path).unwrap();
    for number in 0..3 {
        let write = Write {
            table: TableId::Meta,
            key: format!("died{number}").into(),
            value: Some(Vec::new()),
        };
        base.commit(&[write]).unwrap();
    }
}

async fn top_up(store: &dyn Store, owner: OwnedUserId, key: &str) {
    let credit = Money::from_micros(CREDIT).unwrap();
    let account = store
        .top_up(&owner, credit, key, Timestamp(1))
        .await
        .unwrap();
    say(&format!("paid {owner} {}", account.top_ups.micros()));
}

async fn open(store: &dyn Store, lane: u32) -> Conversation {
    let request = OpenConversation {
        homeserver: "example.org".try_into().unwrap(),
        room: Some(format!("!{lane}:example.org").try_into().unwrap()),
        handset: Handset::Number(E164Text(phone(lane))),
        ghost: format!("@.tel.{}:example.org", phone(lane))
            .try_into()
            .unwrap(),
        owner: alice(),
        direct: true,
        originator: None,
        now: Timestamp(1),
    };
    let conversation = store.open_conversation(request).await.unwrap().conversation;
    say(&format!("open {}", conversation.id));
    conversation
}

fn phone(lane: u32) -> E164 {
    format!("44770090010{lane}").parse().unwrap()
}

async fn text(store: Arc<dyn Store>, life: u32, lane: u32) {
    let conversation = open(&*store, lane).await;
    for text in 0..TEXTS {
        let words = if text % 2 == 0 { "Hello" } else { LONG };
        let new = NewMessage {
            destination: phone(lane),
            segments: split(words, ReferenceWidth::Sixteen).unwrap(),
            ..message(&conversation, (life * LANES + lane) * TEXTS + text)
        };
        let id = new.id;
        let accepted = store.accept_message(new).await.unwrap();
        assert!(
            matches!(accepted, Acceptance::Queued { .. }),
            "{accepted:?}"
        );
        tell(&*store, id).await;
        sms(&*store, lane, &format!("answer {life} {lane} {text}")).await;
    }
}

/// A phone of a conversation that has a number texts back.
async fn sms(store: &dyn Store, lane: u32, text: &str) {
    let bind = Uuid::from_u128(1);
    let sms = SmsIn {
        link_group: "operator".to_owned(),
        session: bind,
        living_sessions: vec![bind],
        from: Handset::Number(E164Text(phone(lane))),
        to: VMN.to_owned(),
        concat: None,
        data_coding: DataCoding::GSM_DEFAULT,
        payload: Bytes::copy_from_slice(text.as_bytes()),
        user_message_reference: None,
        peer_id: None,
        dedicated_to: None,
        wish: None,
        most_waiting: usize::MAX,
        most_partial: usize::MAX,
        submitted: None,
        note_sender: false,
        at: Timestamp(5),
    };
    let taken = store.take_sms(sms).await.unwrap();
    assert!(matches!(taken, SmsTaken::Stored { complete: true, .. }));
    say(&format!("sms {text}"));
}

/// Sends every text of one life, and takes its receipts in.
async fn send(store: Arc<dyn Store>) {
    let mut left = LANES * TEXTS;
    while left > 0 {
        for claimed in store.claim("operator", 10, Timestamp(4)).await.unwrap() {
            let SegmentRef { message, index } = claimed.segment;
            tell(&*store, message).await;
            let message_id = format!("{message}/{index}");
            let answer = Answer {
                segment: claimed.segment,
                attempt: claimed.attempt,
                outcome: Outcome::Submitted {
                    message_id: message_id.clone(),
                },
            };
            store
                .record_answers(vec![answer], Timestamp(4))
                .await
                .unwrap();
            let destination = tell(&*store, message).await.destination;
            let taken = store.take_receipt(receipt(destination, message_id)).await;
            assert_eq!(taken.unwrap(), ReceiptTaken::Matched);
            if tell(&*store, message).await.state == MessageState::Delivered {
                left -= 1;
            }
        }
        tokio::task::yield_now().await;
    }
}

/// Says how far a message is.
async fn tell(store: &dyn Store, id: MessageId) -> MessageView {
    let message = store.message(id).await.unwrap().unwrap();
    let state = serde_json::to_value(message.state).unwrap();
    say(&format!("{} {id}", state.as_str().unwrap()));
    message
}

fn receipt(handset: E164, message_id: String) -> ReceiptIn {
    ReceiptIn {
        link_group: "operator".to_owned(),
        message_id,
        state: WireState::DELIVERED,
        error: None,
        id_form: None,
        handset: Some(handset),
        originator: VMN.to_owned(),
        at: Timestamp(5),
    }
}

/// What a homeserver says; half of it is done at once.
async fn hear(store: Arc<dyn Store>, life: u32) {
    for thing in 0..THINGS {
        let name = |word: &str| format!("${word}_{life}_{thing}");
        let events = [name("waits"), name("done")].map(|name| NewEvent {
            is_over: false,
            event_id: name.try_into().unwrap(),
            room: "!0:example.org".try_into().unwrap(),
            json: LONG.repeat(20),
        });
        let transaction = Transaction {
            homeserver: "example.org".try_into().unwrap(),
            txn_id: thing.to_string(),
            events: events.to_vec(),
            extras: None,
            at: Timestamp(2),
            most_waiting: usize::MAX,
        };
        let taken = store.take_transaction(transaction).await.unwrap();
        assert_eq!(taken.new, 2);
        say(&format!("event {}", name("waits")));
        let pending = store.pending_events(InboxSeq(0), 1_000).await.unwrap();
        let done = pending
            .iter()
            .find(|event| event.event_id.as_str() == name("done"));
        store
            .finish_event(done.unwrap().seq, Ending::Done)
            .await
            .unwrap();
        say(&format!("done {}", name("done")));
    }
}

async fn pay(store: Arc<dyn Store>, life: u32) {
    for thing in 0..THINGS {
        let owner = format!("@payer{life}-{thing}:example.org");
        top_up(
            &*store,
            owner.try_into().unwrap(),
            &format!("{life}-{thing}"),
        )
        .await;
    }
}
