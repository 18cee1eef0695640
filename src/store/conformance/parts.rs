//! The parts of long SMS, in whatever order, as often and of whomever they come.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use matrix_smpp_codec::udh::{Concat, Reference};
use proptest::prelude::*;

use super::sms::{Fate, from, take};
use super::tries::holds;
use super::*;

const PHONES: [&str; 3] = [ANNA, BERT, "447700900125"];
const NUMBERS: [&str; 2] = [VMN_1, VMN_2];
const DAY: i64 = 24 * 3_600_000;

/// A text that a phone sends in parts, under a reference that others have too.
#[derive(Debug, Clone)]
struct Long {
    phone: usize,
    number: usize,
    reference: u8,
    is_wide: bool,
    total: u8,
}

/// One arrival: of which text, and which part.
type Arrival = (usize, u8);

fn any_long() -> impl Strategy<Value = Long> {
    let reference = (0..2_u8, any::<bool>());
    (0..3_usize, 0..2_usize, reference, 2..6_u8).prop_map(
        |(phone, number, (reference, is_wide), total)| Long {
            phone,
            number,
            reference,
            is_wide,
            total,
        },
    )
}

fn arrivals() -> impl Strategy<Value = (Vec<Long>, Vec<Arrival>)> {
    prop::collection::vec(any_long(), 1..6).prop_flat_map(|longs| {
        let count = longs.len();
        // A part may have an index beyond the total, as broken phones send them.
        let arrival = (0..count, 1..7_u8);
        (Just(longs), prop::collection::vec(arrival, 1..50))
    })
}

/// What a part says: which text and which part it is, and nothing that another one says.
fn token(text: usize, index: u8) -> String {
    format!("t{text}p{index};")
}

fn sms(longs: &[Long], (text, index): Arrival, now: i64) -> SmsIn {
    let long = &longs[text];
    let reference = if long.is_wide {
        Reference::Sixteen(long.reference.into())
    } else {
        Reference::Eight(long.reference)
    };
    SmsIn {
        to: NUMBERS[long.number].to_owned(),
        dedicated_to: Some(user("alice")),
        concat: Some(Concat {
            reference,
            total: long.total,
            index,
        }),
        payload: Bytes::from(token(text, index)),
        at: at(now),
        ..from(PHONES[long.phone], "")
    }
}

async fn run(
    engine: &dyn Engine,
    (longs, arrivals): (Vec<Long>, Vec<Arrival>),
) -> Result<(), String> {
    let engine = engine.another();
    let store = engine.open();
    let mut stored = BTreeMap::<String, usize>::new();
    for (place, arrival) in arrivals.iter().enumerate() {
        let now = 100 + i64::try_from(place).unwrap_or(0);
        match take(&store, sms(&longs, *arrival, now)).await {
            Fate::Whole | Fate::Waits => {
                *stored.entry(token(arrival.0, arrival.1)).or_default() += 1;
            }
            Fate::Copy => {}
            other => return Err(format!("{other:?} for {arrival:?}")),
        }
    }
    store.sweep(at(2 * DAY), 1_000).await.unwrap();
    if store.sizes().await.unwrap().partial_sms > 0 {
        return Err("a part waits for ever".to_owned());
    }
    let said = store.pending_sms(SmsId(0), 1_000).await.unwrap();
    let mut told = BTreeMap::<String, usize>::new();
    for sms in &said {
        let words = sms.text.replace("[…]", "");
        let mut whose = BTreeSet::new();
        for word in words.split_inclusive(';') {
            *told.entry(word.to_owned()).or_default() += 1;
            let (text, _) = word.split_once('p').unwrap();
            let text: usize = text.trim_start_matches('t').parse().unwrap();
            whose.insert((longs[text].phone, longs[text].number));
        }
        let expected: BTreeSet<_> = whose
            .iter()
            .filter(|(one, to)| sms.from == phone(PHONES[*one]) && sms.to == NUMBERS[*to])
            .collect();
        if whose.len() != 1 || expected.len() != 1 {
            return Err(format!("parts of others in {:?}", sms.text));
        }
    }
    if told != stored {
        return Err(format!("taken {stored:?}, said {told:?}"));
    }
    // What is no part is a text of its own each time.
    let parts = longs.iter().enumerate();
    let mut parts = parts.flat_map(|(text, long)| (1..=long.total).map(move |at| token(text, at)));
    match parts.find(|part| told.get(part).is_some_and(|count| *count > 1)) {
        Some(part) => Err(format!("{part} is said again")),
        None => Ok(()),
    }
}

pub(crate) async fn no_part_is_lost_or_doubled_or_in_a_text_of_another(engine: &dyn Engine) {
    holds(40, arrivals(), async |case| run(engine, case).await).await;
}

pub(crate) async fn parts_that_all_come_are_one_text_in_their_order(engine: &dyn Engine) {
    let orders = (any_long(), any::<u64>()).prop_flat_map(|(long, _)| {
        let all: Vec<u8> = (1..=long.total).collect();
        (Just(long), Just(all).prop_shuffle())
    });
    holds(40, orders, async |(long, order)| {
        let engine = engine.another();
        let store = engine.open();
        let longs = [long];
        for (place, index) in order.iter().enumerate() {
            let now = 100 + i64::try_from(place).unwrap_or(0);
            take(&store, sms(&longs, (0, *index), now)).await;
        }
        let said = store.pending_sms(SmsId(0), 10).await.unwrap();
        let texts: Vec<_> = said
            .iter()
            .map(|sms| (sms.text.clone(), sms.missing_parts))
            .collect();
        let whole: String = (1..=longs[0].total).map(|index| token(0, index)).collect();
        (texts == [(whole, 0)])
            .then_some(())
            .ok_or_else(|| format!("{texts:?}"))
    })
    .await;
}
