//! SMS from phones: told from redeliveries, joined from their parts, then pending.
//!
//! An SMS stands in [`Sms`](Pending) while it is pending or set aside, and in [`EndedSms`] from the
//! moment on in which everything that follows from it is queued.

use std::sync::Arc;

use bytes::Bytes;
use matrix_smpp_codec::udh::{Concat, Reference, join};
use matrix_smpp_codec::values::{DataCoding, MessageState};

use super::copies::{self, Alike, Judgement};
use super::{aside, leases, submissions};
use crate::gateway::model::{SmsId, TakenId};
use crate::store::tables::{
    AsideRow, EndedSms, HomeRow, PartRow, PartialRow, Partials, RecipientRow, Sms as Pending,
    SmsRow, number, partial_key, partials_key,
};
use crate::store::tx::{Sequence, Tx};
use crate::store::{Ending, Result, Sms, SmsIn, SmsTaken, StoreError};

/// What `message_payload` can carry, and so the most that one PDU brings.
const MAX_PAYLOAD: usize = 65_535;
/// Long SMS of one handset to one number that may wait for parts; the oldest makes room.
const MAX_PARTIAL: usize = 16;
/// What stands for parts that never came.
const GAP: &str = "[…]";

pub(in crate::store) fn take(tx: &mut Tx<'_>, sms: &SmsIn) -> Result<SmsTaken> {
    if sms.payload.len() > MAX_PAYLOAD {
        return Err(StoreError::Conflict(
            "an SMS has at most 65535 octets".to_owned(),
        ));
    }
    let (judgement, alike) = copies::judge(tx, sms)?;
    match judgement {
        Judgement::Copy(id) => return Ok(SmsTaken::Repeated { id }),
        Judgement::Undecided(session) => return Ok(SmsTaken::Undecided { session }),
        Judgement::New => {}
    }
    let placed = match place(sms) {
        Some(concat) => take_part(tx, sms, concat)?,
        None => take_whole(tx, sms)?,
    };
    Ok(match placed {
        Placed::NotLeased => not_leased(tx, sms, alike)?,
        Placed::Held { home } => SmsTaken::Repeated {
            id: remember(tx, sms, alike, home)?,
        },
        Placed::Stored { home } => SmsTaken::Stored {
            complete: matches!(home, HomeRow::Sms(_)),
            id: remember(tx, sms, alike, home)?,
        },
    })
}

fn remember(tx: &mut Tx<'_>, sms: &SmsIn, alike: Alike, home: HomeRow) -> Result<TakenId> {
    let id = copies::remember(tx, sms, alike)?;
    submissions::begin(tx, sms, id, home)?;
    Ok(id)
}

fn not_leased(tx: &mut Tx<'_>, sms: &SmsIn, alike: Alike) -> Result<SmsTaken> {
    let told_by_id = sms.submitted.as_ref().is_some_and(|one| one.to_nobody);
    Ok(if told_by_id {
        SmsTaken::Undeliverable {
            id: remember(tx, sms, alike, HomeRow::Nowhere)?,
        }
    } else {
        SmsTaken::NotLeased
    })
}

/// Where an SMS or a part that is no copy goes.
enum Placed {
    Stored {
        home: HomeRow,
    },
    /// The part is there already.
    Held {
        home: HomeRow,
    },
    NotLeased,
}

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

fn take_whole(tx: &mut Tx<'_>, sms: &SmsIn) -> Result<Placed> {
    let Some(recipient) = recipient(tx, sms)? else {
        return Ok(Placed::NotLeased);
    };
    let id = tx.next(Sequence::Sms)?;
    let row = SmsRow {
        id,
        link_group: sms.link_group.clone(),
        handset: sms.from.clone(),
        number: sms.to.clone(),
        text: join(&[(sms.data_coding, sms.payload.clone())]),
        missing: 0,
        recipient,
        at: sms.at,
        aside: None,
        withdrawn: false,
        submissions: Vec::new(),
    };
    tx.insert::<Pending>(&number(id), row);
    let home = HomeRow::Sms(id);
    Ok(Placed::Stored { home })
}

/// Whom an SMS is for, as the leases stand now.
fn recipient(tx: &mut Tx<'_>, sms: &SmsIn) -> Result<Option<RecipientRow>> {
    if let Some(lease) = leases::of_pair(tx, &sms.to, &sms.from, sms.at)? {
        return Ok(Some(match lease.cooling_until {
            None => RecipientRow::Conversation(lease.conversation),
            Some(_) => RecipientRow::Former(lease.conversation),
        }));
    }
    let owner = match leases::dedicated_to(tx, &sms.to)? {
        Some(owner) => Some(owner),
        None => sms.dedicated_to.clone(),
    };
    Ok(owner.map(RecipientRow::Owner))
}

fn take_part(tx: &mut Tx<'_>, sms: &SmsIn, concat: Concat) -> Result<Placed> {
    let between = partials_key(&sms.link_group, &sms.from, &sms.to);
    let key = partial_key(&between, &reference(concat), concat.total);
    let part = PartRow {
        number: concat.index,
        data_coding: sms.data_coding.0,
        payload: sms.payload.clone(),
    };
    if let Some(waiting) = tx.get::<Partials>(&key)? {
        match waiting.parts.iter().find(|one| one.number == part.number) {
            None => return add(tx, key, &waiting, part),
            Some(held) if *held == part => {
                let home = HomeRow::Partial(key);
                return Ok(Placed::Held { home });
            }
            // The same place with other octets: the sender uses this reference again.
            Some(_) => {
                hand_on(tx, &key, &waiting)?;
            }
        }
    }
    begin(tx, sms, (between, key), (concat.total, part))
}

/// Adds a part that is not there yet.
fn add(tx: &mut Tx<'_>, key: String, waiting: &PartialRow, part: PartRow) -> Result<Placed> {
    let mut row = waiting.clone();
    let at = row.parts.partition_point(|one| one.number < part.number);
    row.parts.insert(at, part);
    let home = if row.parts.len() == usize::from(row.total) {
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
    let row = PartialRow {
        id: tx.next(Sequence::Partial)?,
        link_group: sms.link_group.clone(),
        handset: sms.from.clone(),
        number: sms.to.clone(),
        total,
        recipient,
        at: sms.at,
        parts: vec![part],
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

/// Hands on what there is of a long SMS whose other parts never came.
pub(super) fn give_up(tx: &mut Tx<'_>, key: &str) -> Result<()> {
    match tx.get::<Partials>(key)? {
        Some(row) => hand_on(tx, key, &row).map(drop),
        None => Ok(()),
    }
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
        withdrawn: false,
        submissions: partial.submissions.clone(),
    };
    tx.insert::<Pending>(&number(id), row);
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

fn view(row: &SmsRow) -> Sms {
    Sms {
        id: SmsId(row.id),
        link_group: row.link_group.clone(),
        from: row.handset.clone(),
        to: row.number.clone(),
        text: row.text.clone(),
        missing_parts: row.missing,
        recipient: (&row.recipient).into(),
        at: row.at,
    }
}

pub(in crate::store) fn pending(tx: &mut Tx<'_>, after: SmsId, limit: usize) -> Result<Vec<Sms>> {
    let waiting = &tx.indexes().sms.pending;
    let page = waiting.range(after.0.saturating_add(1)..).take(limit);
    let keys: Vec<String> = page.map(|id| number(*id)).collect();
    tx.fetch::<Pending>(keys.iter().map(String::as_str));
    let mut sms = Vec::with_capacity(keys.len());
    for key in keys {
        sms.extend(tx.get::<Pending>(&key)?.as_deref().map(view));
    }
    Ok(sms)
}

pub(in crate::store) fn get(tx: &mut Tx<'_>, id: SmsId) -> Result<Option<Sms>> {
    let row = find(tx, id.0)?;
    Ok(row.as_deref().and_then(said_or_to_be))
}

/// An SMS, unless it was withdrawn.
pub(super) fn said_or_to_be(row: &SmsRow) -> Option<Sms> {
    (!row.withdrawn).then(|| view(row))
}

/// An SMS, finished or not.
pub(super) fn find(tx: &mut Tx<'_>, id: i64) -> Result<Option<Arc<SmsRow>>> {
    let key = number(id);
    if !tx.indexes().sms.pending.contains(&id)
        && let Some(ended) = tx.get::<EndedSms>(&key)?
    {
        return Ok(Some(ended));
    }
    tx.get::<Pending>(&key)
}

/// Changes an SMS, finished or not.
pub(super) fn change(tx: &mut Tx<'_>, id: i64, change: impl FnOnce(&mut SmsRow)) -> Result<()> {
    let key = number(id);
    if tx.indexes().sms.pending.contains(&id) || !tx.has::<EndedSms>(&key)? {
        tx.update::<Pending>(&key, change)?;
    } else {
        tx.update::<EndedSms>(&key, change)?;
    }
    Ok(())
}

/// Takes the words out of an SMS, finished or not: nobody will say them.
pub(super) fn withdraw(tx: &mut Tx<'_>, id: i64) -> Result<()> {
    let Some(row) = find(tx, id)? else {
        return Ok(());
    };
    let key = number(id);
    let ended = SmsRow {
        text: String::new(),
        aside: None,
        withdrawn: true,
        ..SmsRow::clone(&row)
    };
    if tx.delete::<Pending>(&key)? {
        tx.insert::<EndedSms>(&key, ended);
        return Ok(());
    }
    tx.put::<EndedSms>(&key, ended)
}

pub(in crate::store) fn finish(tx: &mut Tx<'_>, id: SmsId, ending: &Ending) -> Result<()> {
    let key = number(id.0);
    if !tx.indexes().sms.pending.contains(&id.0) {
        return Ok(());
    }
    match ending {
        Ending::Done => {
            if let Some(row) = tx.get::<Pending>(&key)? {
                tx.delete::<Pending>(&key)?;
                tx.insert::<EndedSms>(&key, SmsRow::clone(&row));
            }
        }
        Ending::SetAside { reason, at, .. } => {
            tx.update::<Pending>(&key, |row| {
                row.aside = Some(AsideRow {
                    reason: reason.clone(),
                    at: row.at.max(*at),
                });
            })?;
            end_submissions(tx, id, ending)?;
        }
    }
    aside::tell(tx, ending, true)
}

/// The words of an SMS were said or will not be: what was submitted of it has reached its end.
pub(super) fn end_submissions(tx: &mut Tx<'_>, id: SmsId, ending: &Ending) -> Result<()> {
    let (state, at) = match ending {
        Ending::Done => (MessageState::DELIVERED, None),
        Ending::SetAside { at, .. } => (MessageState::UNDELIVERABLE, Some(*at)),
    };
    submissions::end_sms(tx, id, state, at)
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
