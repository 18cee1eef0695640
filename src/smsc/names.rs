//! Our names for what accounts submit: the `message_id` of one submission, or of all that one
//! `submit_multi` made.
//!
//! A name is the store's own short one, then the first submission's number in hexadecimal, then the
//! others as runs: `-3` where three follow one another from there on, `.2` where the next run begins
//! two numbers behind the last. So a name needs nothing to be looked up, and is good after a restart.

use matrix_smpp_codec::MessageId;

use crate::gateway::model::TakenId;

/// Most submissions that one name may stand for: the destinations of a `submit_multi`.
const MOST: usize = 254;

/// The most characters of a `message_id`. SMPP 3.4 §5.2.23.
const LONGEST: usize = 64;

/// The name of these, which are not none; unique among all gateways, and the same again for a copy.
/// Where it would be too long, as numbers with many gaps are, it is that of the first alone.
pub(super) fn name(instance: &str, ids: &[TakenId]) -> MessageId {
    let mut numbers: Vec<_> = ids.iter().map(|id| id.0).collect();
    numbers.sort_unstable();
    let mut before = None;
    let runs = numbers.chunk_by(|left, right| left.checked_add(1) == Some(*right));
    let runs: Vec<_> = runs
        .map(|run| written(run, before.replace(run.last().copied()).flatten()))
        .collect();
    let whole = format!("{instance}{}", runs.join("."));
    let text = if whole.len() > LONGEST {
        let first = numbers.get(..1).unwrap_or_default();
        format!("{instance}{}", written(first, None))
    } else {
        whole
    };
    // The store's own name is short.
    MessageId::try_from(text.as_str()).unwrap_or_default()
}

/// Numbers that follow one another; `before` is the last one of those that stand before them.
fn written(run: &[i64], before: Option<i64>) -> String {
    let first = run.first().copied().unwrap_or_default();
    let first = match before {
        None => format!("{first:08x}"),
        Some(before) => format!("{:x}", first.saturating_sub(before)),
    };
    match run.len() {
        1 => first,
        length => format!("{first}-{length:x}"),
    }
}

/// What a name stands for; nothing where it is none of ours.
pub(super) fn named(instance: &str, name: &MessageId) -> Vec<TakenId> {
    let name = name.to_text().trim().to_ascii_lowercase();
    let runs = name.strip_prefix(instance);
    runs.and_then(numbers).unwrap_or_default()
}

/// What accounts submitted under this `message_id`, each with the name of its own; nothing where it is
/// none of ours.
#[must_use]
pub fn submissions_named(instance: &str, message_id: &str) -> Vec<(String, TakenId)> {
    let name = message_id.parse().unwrap_or_default();
    let ids = named(instance, &name).into_iter();
    ids.map(|id| (self::name(instance, &[id]).to_text(), id))
        .collect()
}

fn numbers(runs: &str) -> Option<Vec<TakenId>> {
    let mut numbers: Vec<TakenId> = Vec::new();
    for run in runs.split('.') {
        let (from, count) = run.split_once('-').unwrap_or((run, "1"));
        let from = i64::from_str_radix(from, 16).ok()?;
        let first = match numbers.last() {
            None => from,
            Some(last) => last.0.checked_add(from)?,
        };
        let count = i64::from_str_radix(count, 16).ok()?;
        let most = i64::try_from(MOST.checked_sub(numbers.len())?).ok()?;
        if !(1..=most).contains(&count) {
            return None;
        }
        numbers.extend((first..first.checked_add(count)?).map(TakenId));
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_set;
    use proptest::prelude::*;

    use super::*;

    fn ids(numbers: &[i64]) -> Vec<TakenId> {
        numbers.iter().copied().map(TakenId).collect()
    }

    fn named_as(text: &str) -> Vec<i64> {
        let name = MessageId::try_from(text).unwrap();
        named("00c0ffee", &name)
            .into_iter()
            .map(|id| id.0)
            .collect()
    }

    #[test]
    fn a_name_stands_for_one_or_for_many() {
        for (numbers, text) in [
            (&[0x2a][..], "00c0ffee0000002a"),
            (&[0x2a, 0x2b, 0x2c], "00c0ffee0000002a-3"),
            (&[0x2a, 0x2c], "00c0ffee0000002a.2"),
            (&[0x2a, 0x2b, 0x30, 0x31, 0x40], "00c0ffee0000002a-2.5-2.f"),
        ] {
            assert_eq!(name("00c0ffee", &ids(numbers)).to_text(), text);
            assert_eq!(named_as(text), numbers);
            assert_eq!(named_as(&text.to_uppercase()), numbers);
        }
    }

    #[test]
    fn what_is_no_name_of_ours_stands_for_nothing() {
        for text in [
            "",
            "0000002a",
            "00c0ffee",
            "00c0ffee0000002a-",
            "00c0ffee0000002a-0",
            "00c0ffee0000002a-ff",
            "00c0ffee0000002a-fe.1",
            "00c0ffee0000002a..1",
            "00c0ffee7fffffffffffffff-2",
            "00c0ffee0000002a-7fffffffffffffff",
        ] {
            assert_eq!(named_as(text), [0; 0], "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_name_stands_for_what_it_was_made_of_or_for_the_first(
            numbers in btree_set(1_i64..2_000, 1..254)
        ) {
            let numbers: Vec<_> = numbers.into_iter().collect();
            let again = named("00c0ffee", &name("00c0ffee", &ids(&numbers)));
            prop_assert!(again == ids(&numbers) || again == ids(&numbers[..1]));
        }

        #[test]
        fn no_text_stands_for_more_than_may_be(text in "00c0ffee[0-9a-f.-]{0,56}") {
            prop_assert!(named_as(&text).len() <= MOST);
        }
    }
}
