//! What was written stays readable.

use std::sync::Arc;

use serde::de::value::Error;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;

use super::*;
use crate::gateway::model::Conversation;
use crate::gateway::window::Span;

/// Learns the fields of whatever is read from it.
struct Asker<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Asker<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("no struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        Err(Error::custom("asked"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn fields<T: DeserializeOwned>() -> String {
    let mut fields: &[&str] = &[];
    drop(T::deserialize(Asker(&mut fields)).map(drop));
    fields.join(" ")
}

type Fields = (fn() -> String, &'static str);

/// What asks for the fields of a row, and those that it had before others were added, if any.
const ALL_FIELDS: &[Fields] = &[
    (fields::<EventRow>, "seq at about messages"),
    (
        fields::<InboxRow>,
        "seq homeserver event room json at aside",
    ),
    (fields::<AsideRow>, "reason at"),
    (fields::<ExtrasRow>, "number homeserver txn_id json at"),
    (
        fields::<MessageRow>,
        "plan state in_lane failure segments steps told",
    ),
    (
        fields::<PlanRow>,
        "key id source conversation destination originator payer route link_group price data_coding receipts progress uncertain valid_until receipt_by accepted_at",
    ),
    (
        fields::<SegmentRow>,
        "state ready in_lane due_at attempt retries resends paid udhi payload tlvs sent_as",
    ),
    (fields::<StepRow>, "at segment state detail"),
    (
        fields::<SentRow>,
        "message number destination smsc_id by_receipt",
    ),
    (fields::<UnansweredRow>, "message number lost until"),
    (
        fields::<ParkedRow>,
        "id link_group canonical smsc_id state error destination originator at form",
    ),
    (fields::<IdFormRow>, "form seen"),
    (
        fields::<AccountRow>,
        "balance reserved settled top_ups overdraft",
    ),
    (
        fields::<LedgerRow>,
        "owner movement amount reference segment at",
    ),
    (
        fields::<OutboxRow>,
        "id key lane item due_at attempts error queued_at aside",
    ),
    (fields::<OptOutRow>, "number holder at"),
    (fields::<CounterRow>, "window width hit"),
    (fields::<Span>, "first last sum"),
    (fields::<RoomRow>, "number encrypted members"),
    (fields::<MemberRow>, "user joined display_name"),
    (fields::<TwoRow>, "number room"),
    (
        fields::<Conversation>,
        "id homeserver handset ghost room owner direct originator active",
    ),
    (fields::<PortalRow>, "id handset active"),
    (fields::<LeaseRow>, "vmn conversation cooling_until"),
    (fields::<ReferenceRow>, "value at"),
    (
        fields::<SmsRow>,
        "id link_group handset number text missing recipient at aside due_at withdrawn submissions wish",
    ),
    (
        fields::<PartialRow>,
        "id link_group handset number total recipient at due_at parts withdrawn submissions",
    ),
    (fields::<PartRow>, "number data_coding payload"),
    (fields::<CopyRow>, "id session named heard until"),
    (
        fields::<SubmissionRow>,
        "id link_group home source destination data_coding receipt receipt_age valid_until at state said_at ended_at name awaits_name",
    ),
    (fields::<PartyRow>, "ton npi address"),
    (
        fields::<OwedRow>,
        "id link_group due_at until on_wire attempt retries resends",
    ),
];

#[test]
fn a_field_keeps_its_place() {
    for (fields, known) in ALL_FIELDS {
        let fields = fields();
        assert!(
            fields == *known || fields.starts_with(&format!("{known} ")),
            "a field of a row has lost its place: {fields}, it was {known}"
        );
    }
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
struct Before {
    one: i64,
    two: Option<String>,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
struct After {
    one: i64,
    two: Option<String>,
    #[serde(default)]
    three: Vec<i64>,
}

impl Row for Before {}
impl Row for After {}

enum BeforeTable {}
enum AfterTable {}

impl Table for BeforeTable {
    const ID: TableId = TableId::Meta;
    const LIVE: bool = false;
    type Row = Before;
}

impl Table for AfterTable {
    const ID: TableId = TableId::Meta;
    const LIVE: bool = false;
    type Row = After;
}

#[test]
fn a_row_that_was_written_before_a_field_was_added_is_read() {
    let row: crate::store::table::AnyRow = Arc::new(Before { one: 1, two: None });
    let octets = (Kind::of::<BeforeTable>("before").encode)(&row).unwrap();
    let read = (Kind::of::<AfterTable>("after").decode)(&octets).unwrap();
    let expected = After {
        one: 1,
        two: None,
        three: Vec::new(),
    };
    assert_eq!(read.downcast_ref::<After>(), Some(&expected));
}

#[test]
fn a_part_is_read_as_it_was_written_and_written_as_it_was_read() {
    let part = Packed::new(Before {
        one: 7,
        two: Some("two".to_owned()),
    });
    let first = rmp_serde::to_vec(&part).unwrap();
    // By now its octets are remembered.
    assert_eq!(rmp_serde::to_vec(&part.clone()).unwrap(), first);
    let read: Packed<Before> = rmp_serde::from_slice(&first).unwrap();
    assert_eq!(*read, *part);
    assert_eq!(rmp_serde::to_vec(&read).unwrap(), first);
    let other = rmp_serde::to_vec(&Packed::new("a text")).unwrap();
    assert!(rmp_serde::from_slice::<Packed<Before>>(&other).is_err());
}
