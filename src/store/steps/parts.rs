//! Long SMS: their parts wait for each other, for so long, and make one SMS.

use bytes::Bytes;
use matrix_smpp_codec::udh::{Concat, Reference, join};
use matrix_smpp_codec::values::{DataCoding, MessageState};

use super::sms::{Placed, recipient};
use super::{scheduled, submissions};
use crate::gateway::model::Timestamp;
use crate::store::tables::{
    HomeRow, PartRow, PartialRow, Partials, SmsRow, partial_key, partials_key,
};
use crate::store::tx::{Sequence, Tx};
use crate::store::{Result, SmsIn};

/// Long SMS of one handset to one number that may wait for parts; the oldest makes room.
const MAX_PARTIAL: usize = 16;
/// What stands for parts that never came.
const GAP: &str = "[…]";

/// The place of a part among several. What makes no sense is a whole SMS.
pub(super) fn place(sms: &SmsIn) -> Option<Concat> {
    sms.concat
        .filter(|concat| concat.total > 1 && (1..=concat.total).contains(&concat.index))
}

pub(super) fn reference(concat: Concat) -> String {
    match concat.reference {
        Reference::Eight(value) => format!("8:{value}"),
        Reference::Sixteen(value) => format!("16:{value}"),
        Reference::Sar(value) => format!("sar:{value}"),
    }
}

pub(super) fn take_part(tx: &mut Tx<'_>, sms: &SmsIn, concat: Concat) -> Result<Placed> {
    let between = partials_key(&sms.link_group, &sms.from, &sms.to);
    let key = partial_key(&between, &reference(concat), concat.total);
    let part = PartRow {
        number: concat.index,
        data_coding: sms.data_coding.0,
        payload: sms.payload.clone(),
    };
    if let Some(waiting) = tx.get::<Partials>(&key)? {
        match waiting.parts.iter().find(|one| one.number == part.number) {
            None => return add(tx, key, &waiting, (part, scheduled::due_at(sms))),
            Some(held) if *held == part => {
                let home = HomeRow::Partial(key);
                return Ok(Placed::Held { home });
            }
            // The same place with other octets: the sender uses this reference again.
            Some(_) => give_up(tx, &key)?,
        }
    }
    begin(tx, sms, (between, key), (concat.total, part))
}

/// Adds a part that is not there yet. The latest time that one of them has is that of all.
fn add(
    tx: &mut Tx<'_>,
    key: String,
    waiting: &PartialRow,
    (part, due_at): (PartRow, Option<Timestamp>),
) -> Result<Placed> {
    let mut row = waiting.clone();
    row.due_at = row.due_at.max(due_at);
    let part = if row.withdrawn.is_some() {
        part.silent()
    } else {
        part
    };
    let at = row.parts.partition_point(|one| one.number < part.number);
    row.parts.insert(at, part);
    let home = if row.parts.len() == usize::from(row.total) && row.withdrawn.is_none() {
        HomeRow::Sms(hand_on(tx, &key, &row)?)
    } else {
        tx.put::<Partials>(&key, row)?;
        HomeRow::Partial(key)
    };
    Ok(Placed::Stored { home })
}

/// Starts a long SMS with its first part.
fn begin(
    tx: &mut Tx<'_>,
    sms: &SmsIn,
    (between, key): (String, String),
    (total, part): (u8, PartRow),
) -> Result<Placed> {
    let Some(recipient) = recipient(tx, sms)? else {
        return Ok(Placed::NotLeased);
    };
    make_room(tx, &between)?;
    make_room_among_all(tx, sms.most_partial)?;
    let row = PartialRow {
        id: tx.next(Sequence::Partial)?,
        link_group: sms.link_group.clone(),
        handset: sms.from.clone(),
        number: sms.to.clone(),
        total,
        recipient,
        at: sms.at,
        due_at: scheduled::due_at(sms),
        parts: vec![part],
        withdrawn: None,
        submissions: Vec::new(),
    };
    tx.put::<Partials>(&key, row)?;
    let home = HomeRow::Partial(key);
    Ok(Placed::Stored { home })
}

/// Hands on the oldest long SMS between a phone and a number, where one more would be too many.
fn make_room(tx: &mut Tx<'_>, between: &str) -> Result<()> {
    let Some(waiting) = tx.indexes().partials.between.get(between) else {
        return Ok(());
    };
    let surplus = (waiting.len() + 1).saturating_sub(MAX_PARTIAL);
    let oldest: Vec<String> = waiting.values().take(surplus).cloned().collect();
    oldest.iter().try_for_each(|key| give_up(tx, key))
}

/// The same among all long SMS that wait.
fn make_room_among_all(tx: &mut Tx<'_>, most: usize) -> Result<()> {
    let waiting = &tx.indexes().partials.waiting;
    let surplus = (waiting.len() + 1).saturating_sub(most);
    let oldest: Vec<String> = waiting
        .iter()
        .take(surplus)
        .map(|(_, key)| key.clone())
        .collect();
    oldest.iter().try_for_each(|key| give_up(tx, key))
}

/// Hands on what there is of a long SMS whose other parts never came. What was withdrawn is forgotten.
pub(super) fn give_up(tx: &mut Tx<'_>, key: &str) -> Result<()> {
    match tx.get::<Partials>(key)? {
        Some(row) if row.withdrawn.is_some() => tx.delete::<Partials>(key).map(drop),
        Some(row) => hand_on(tx, key, &row).map(drop),
        None => Ok(()),
    }
}

/// Takes the words out of a long SMS with parts still to come, and gives the submissions that it is
/// made of. What is left knows those parts when they come, for as long as parts wait.
pub(super) fn withdraw(
    tx: &mut Tx<'_>,
    key: &str,
    state: MessageState,
    now: Timestamp,
) -> Result<Vec<i64>> {
    let Some(row) = tx.get::<Partials>(key)? else {
        return Ok(Vec::new());
    };
    tx.update::<Partials>(key, |row| {
        row.withdrawn = Some(state.0);
        row.at = now;
        row.submissions = Vec::new();
        for part in &mut row.parts {
            part.payload = Bytes::new();
        }
    })?;
    Ok(row.submissions.clone())
}

/// Makes a whole SMS of the parts that are there; gives its id.
fn hand_on(tx: &mut Tx<'_>, key: &str, partial: &PartialRow) -> Result<i64> {
    let id = tx.next(Sequence::Sms)?;
    let there = u8::try_from(partial.parts.len()).unwrap_or(u8::MAX);
    let row = SmsRow {
        id,
        link_group: partial.link_group.clone(),
        handset: partial.handset.clone(),
        number: partial.number.clone(),
        text: text_with_gaps(&partial.parts, partial.total),
        missing: partial.total.saturating_sub(there),
        recipient: partial.recipient.clone(),
        at: partial.at,
        aside: None,
        due_at: partial.due_at,
        withdrawn: false,
        submissions: partial.submissions.clone(),
        wish: None,
    };
    scheduled::stand(tx, row);
    submissions::moved(tx, &partial.submissions, id)?;
    tx.delete::<Partials>(key)?;
    Ok(id)
}

/// The text of numbered parts, with a mark where parts are missing.
fn text_with_gaps(parts: &[PartRow], total: u8) -> String {
    let mut text = String::new();
    let mut expected = 1_u16;
    let follows =
        |left: &PartRow, right: &PartRow| u16::from(left.number) + 1 == u16::from(right.number);
    for run in parts.chunk_by(follows) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            continue;
        };
        if u16::from(first.number) > expected {
            text.push_str(GAP);
        }
        let pieces: Vec<(DataCoding, Bytes)> = run
            .iter()
            .map(|part| (DataCoding(part.data_coding), part.payload.clone()))
            .collect();
        text.push_str(&join(&pieces));
        expected = u16::from(last.number) + 1;
    }
    if expected <= u16::from(total) {
        text.push_str(GAP);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(number: u8, text: &str) -> PartRow {
        PartRow {
            number,
            data_coding: DataCoding::GSM_DEFAULT.0,
            payload: Bytes::copy_from_slice(text.as_bytes()),
        }
    }

    #[test]
    fn missing_parts_leave_a_mark_wherever_they_are() {
        assert_eq!(text_with_gaps(&[part(2, "b"), part(3, "c")], 3), "[…]bc");
        assert_eq!(text_with_gaps(&[part(1, "a"), part(3, "c")], 3), "a[…]c");
        assert_eq!(text_with_gaps(&[part(1, "a")], 3), "a[…]");
        assert_eq!(text_with_gaps(&[part(1, "a"), part(2, "b")], 2), "ab");
    }

    #[test]
    fn an_escape_at_a_parts_end_is_joined_with_what_follows() {
        let parts = [part(1, "a\x1b"), part(2, "eb")];
        assert_eq!(text_with_gaps(&parts, 2), "a€b");
    }
}
