use proptest::prelude::*;

use bytes::Bytes;
use matrix_smpp_codec::{DataCoding, Reference};

use super::*;

const PHONE: &str = "447700900123";
const VMN: &str = "447700900001";

fn segment(reference: u16, total: u8, index: u8, text: &str) -> InboundText {
    InboundText {
        concat: Some(Concat {
            reference: Reference::Sixteen(reference),
            total,
            index,
        }),
        payload: Bytes::copy_from_slice(text.as_bytes()),
        data_coding: DataCoding(0),
    }
}

fn whole(text: &str) -> InboundText {
    InboundText {
        concat: None,
        ..segment(0, 1, 1, text)
    }
}

fn from(from: &str) -> Delivery<'_> {
    Delivery {
        from,
        to: PHONE,
        at: 1,
        status: "delivered",
    }
}

fn texts(handsets: &Handsets) -> Vec<(String, bool)> {
    let messages = handsets.messages(PHONE, MAX_MESSAGES);
    messages
        .into_iter()
        .map(|message| (message.text.0, message.complete))
        .collect()
}

#[test]
fn a_whole_message_is_there_at_once() {
    let mut handsets = Handsets::default();
    handsets.deliver(&from(VMN), whole("hello"));
    assert_eq!(texts(&handsets), [("hello".to_owned(), true)]);
    let message = handsets.messages("+447700900123", MAX_MESSAGES).remove(0);
    assert_eq!((message.from.as_str(), message.to.as_str()), (VMN, PHONE));
    assert_eq!((message.segments, message.direction), (1, Direction::Mt));
}

#[test]
fn a_missing_segment_leaves_a_gap_that_closes_when_it_comes() {
    let mut handsets = Handsets::default();
    handsets.deliver(&from(VMN), segment(7, 3, 3, "three"));
    assert_eq!(texts(&handsets), [("[…]three".to_owned(), false)]);
    handsets.deliver(&from(VMN), segment(7, 3, 1, "one "));
    assert_eq!(texts(&handsets), [("one […]three".to_owned(), false)]);
    handsets.deliver(&from(VMN), segment(7, 3, 2, "two "));
    assert_eq!(texts(&handsets), [("one two three".to_owned(), true)]);
}

#[test]
fn two_senders_with_one_reference_never_merge() {
    let mut handsets = Handsets::default();
    handsets.deliver(&from(VMN), segment(7, 2, 1, "a"));
    handsets.deliver(&from("447700900002"), segment(7, 2, 2, "b"));
    assert_eq!(
        texts(&handsets),
        [("a[…]".to_owned(), false), ("[…]b".to_owned(), false)]
    );
}

#[test]
fn a_segment_that_comes_twice_is_counted_and_changes_nothing() {
    let mut handsets = Handsets::default();
    handsets.deliver(&from(VMN), segment(7, 2, 1, "a"));
    handsets.deliver(&from(VMN), segment(7, 2, 1, "a"));
    handsets.deliver(&from(VMN), segment(7, 2, 2, "b"));
    assert_eq!(texts(&handsets), [("ab".to_owned(), true)]);
    assert_eq!(
        handsets.messages(PHONE, MAX_MESSAGES).remove(0).duplicates,
        1
    );
}

#[test]
fn a_message_sent_again_after_it_was_complete_is_seen_twice() {
    let mut handsets = Handsets::default();
    for _ in 0..2 {
        handsets.deliver(&from(VMN), segment(7, 2, 1, "a"));
        handsets.deliver(&from(VMN), segment(7, 2, 2, "b"));
    }
    assert_eq!(
        texts(&handsets),
        [("ab".to_owned(), true), ("ab".to_owned(), true)]
    );
    assert_eq!(handsets.complete(PHONE), 2);
}

#[test]
fn one_undelivered_segment_spoils_its_message() {
    let mut handsets = Handsets::default();
    handsets.deliver(&from(VMN), segment(7, 2, 1, "a"));
    let lost = Delivery {
        status: "undeliverable",
        ..from(VMN)
    };
    handsets.deliver(&lost, segment(7, 2, 2, "b"));
    assert_eq!(
        handsets.messages(PHONE, MAX_MESSAGES).remove(0).status,
        "undeliverable"
    );
}

#[test]
fn what_a_phone_writes_is_settled_with_its_answer() {
    let mut handsets = Handsets::default();
    let id = handsets.write(
        PHONE,
        VMN,
        &Words("hi".to_owned()),
        Written { segments: 1, at: 5 },
    );
    assert_eq!(
        handsets.messages(PHONE, MAX_MESSAGES).remove(0).status,
        "sending"
    );
    let before = handsets.list(10).remove(0).version;
    handsets.settle(PHONE, id, "ESME_ROK");
    let message = handsets.messages(PHONE, MAX_MESSAGES).remove(0);
    assert_eq!(
        (&*message.status, message.direction),
        ("ESME_ROK", Direction::Mo)
    );
    assert_ne!(handsets.list(10).remove(0).version, before);
}

#[test]
fn a_phone_forgets_its_oldest_message_when_it_is_full() {
    let mut handsets = Handsets::default();
    for number in 0..=MAX_MESSAGES {
        handsets.deliver(&from(VMN), whole(&number.to_string()));
    }
    let texts = texts(&handsets);
    assert_eq!(texts.len(), MAX_MESSAGES);
    assert_eq!(texts.first(), Some(&("1".to_owned(), true)));
}

#[test]
fn the_phone_first_seen_is_forgotten_when_all_are_full() {
    let mut handsets = Handsets::default();
    for number in 0..MAX_KEPT {
        let to = (number / MAX_MESSAGES).to_string();
        handsets.deliver(
            &Delivery {
                to: &to,
                ..from(VMN)
            },
            whole("x"),
        );
    }
    assert_eq!(handsets.complete("0"), MAX_MESSAGES);
    handsets.deliver(&from(VMN), whole("x"));
    assert_eq!(
        (handsets.complete("0"), handsets.complete("1")),
        (0, MAX_MESSAGES)
    );
    assert_eq!(handsets.kept, MAX_KEPT - MAX_MESSAGES + 1);
}

#[test]
fn the_latest_phones_and_messages_come_when_not_all_are_wanted() {
    let mut handsets = Handsets::default();
    for (at, number) in [(1, "1"), (3, "3"), (2, "2")] {
        handsets.deliver(
            &Delivery {
                to: number,
                at,
                ..from(VMN)
            },
            whole("a"),
        );
        handsets.deliver(
            &Delivery {
                to: number,
                at,
                ..from(VMN)
            },
            whole("b"),
        );
    }
    let latest: Vec<_> = handsets
        .list(2)
        .into_iter()
        .map(|phone| phone.number)
        .collect();
    assert_eq!(latest, ["3", "2"]);
    let last: Vec<_> = handsets
        .messages("1", 1)
        .into_iter()
        .map(|one| one.text.0)
        .collect();
    assert_eq!(last, ["b"]);
}

#[test]
fn words_are_never_printed() {
    let mut handsets = Handsets::default();
    handsets.deliver(&from(VMN), segment(7, 2, 1, "a secret"));
    let message = handsets.messages(PHONE, MAX_MESSAGES).remove(0);
    assert!(message.text.0.contains("secret"));
    assert!(!format!("{:?}", message.text).contains("secret"));
}

proptest! {
    #[test]
    fn segments_join_in_any_order(
        order in Just((1..=9_u8).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let mut handsets = Handsets::default();
        for index in order {
            handsets.deliver(&from(VMN), segment(1, 9, index, &index.to_string()));
        }
        prop_assert_eq!(texts(&handsets), [("123456789".to_owned(), true)]);
    }
}
