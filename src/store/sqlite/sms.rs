//! SMS from phones: told from redeliveries, joined from their parts, then pending.

use bytes::Bytes;
use matrix_smpp_codec::udh::{Concat, Reference, join};
use matrix_smpp_codec::values::{DataCoding, MessageState};
use rusqlite::{Connection, Row, params};

use super::copies::{self, Judgement};
use super::rows::{self, Page, Sql as _};
use super::submissions::{self, Home};
use super::{aside, leases};
use crate::gateway::model::{SmsId, TakenId};
use crate::store::{Ending, Result, Sms, SmsIn, SmsRecipient, SmsTaken, StoreError};

/// What `message_payload` can carry, and so the most that one PDU brings.
const MAX_PAYLOAD: usize = 65_535;
/// Long SMS of one handset to one number that may wait for parts; the oldest makes room.
const MAX_PARTIAL: i64 = 16;
/// What stands for parts that never came.
const GAP: &str = "[…]";

pub(super) fn take(tx: &Connection, sms: &SmsIn) -> Result<SmsTaken> {
    if sms.payload.len() > MAX_PAYLOAD {
        return Err(StoreError::Conflict(
            "an SMS has at most 65535 octets".to_owned(),
        ));
    }
    match copies::judge(tx, sms)? {
        Judgement::Copy(id) => return Ok(SmsTaken::Repeated { id }),
        Judgement::Undecided(session) => return Ok(SmsTaken::Undecided { session }),
        Judgement::New => {}
    }
    let placed = match place(sms) {
        Some(concat) => take_part(tx, sms, concat)?,
        None => take_whole(tx, sms)?,
    };
    Ok(match placed {
        Placed::NotLeased => not_leased(tx, sms)?,
        Placed::Held { home } => SmsTaken::Repeated {
            id: remember(tx, sms, home)?,
        },
        Placed::Stored { home } => SmsTaken::Stored {
            id: remember(tx, sms, home)?,
            complete: matches!(home, Home::Sms(_)),
        },
    })
}

fn remember(tx: &Connection, sms: &SmsIn, home: Home) -> Result<TakenId> {
    let id = copies::remember(tx, sms)?;
    submissions::begin(tx, sms, id, home)?;
    Ok(id)
}

fn not_leased(tx: &Connection, sms: &SmsIn) -> Result<SmsTaken> {
    let told_by_id = sms.submitted.as_ref().is_some_and(|one| one.to_nobody);
    Ok(if told_by_id {
        SmsTaken::Undeliverable {
            id: remember(tx, sms, Home::Nowhere)?,
        }
    } else {
        SmsTaken::NotLeased
    })
}

/// Where an SMS or a part that is no copy goes.
enum Placed {
    Stored {
        home: Home,
    },
    /// The part is there already.
    Held {
        home: Home,
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

fn take_whole(tx: &Connection, sms: &SmsIn) -> Result<Placed> {
    let Some(recipient) = recipient(tx, sms)? else {
        return Ok(Placed::NotLeased);
    };
    let text = join(&[(sms.data_coding, sms.payload.clone())]);
    tx.run(
        "INSERT INTO sms (link_group, handset, number, text, missing, recipient, at)
         VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6)",
        params![sms.link_group, sms.from, sms.to, text, recipient, sms.at],
    )?;
    let home = Home::Sms(tx.last_insert_rowid());
    Ok(Placed::Stored { home })
}

/// Whom an SMS is for, as the leases stand now.
fn recipient(tx: &Connection, sms: &SmsIn) -> Result<Option<SmsRecipient>> {
    if let Some(lease) = leases::of_pair(tx, &sms.to, &sms.from, sms.at)? {
        return Ok(Some(match lease.cooling_until {
            None => SmsRecipient::Conversation(lease.conversation),
            Some(_) => SmsRecipient::Former(lease.conversation),
        }));
    }
    let owner = match leases::dedicated_to(tx, &sms.to)? {
        Some(owner) => Some(owner),
        None => sms.dedicated_to.clone(),
    };
    Ok(owner.map(SmsRecipient::Owner))
}

fn take_part(tx: &Connection, sms: &SmsIn, concat: Concat) -> Result<Placed> {
    let waiting = match waiting(tx, sms, concat)? {
        // The same place with other octets: the sender uses this reference again.
        Some(id) if !is_free(tx, id, concat)? => {
            if holds(tx, id, sms, concat)? {
                let home = Home::Partial(id);
                return Ok(Placed::Held { home });
            }
            give_up(tx, id)?;
            None
        }
        found => found,
    };
    let id = match waiting {
        Some(id) => id,
        None => match begin(tx, sms, concat)? {
            Some(id) => id,
            None => return Ok(Placed::NotLeased),
        },
    };
    tx.run(
        "INSERT INTO part (partial, number, data_coding, payload) VALUES (?1, ?2, ?3, ?4)",
        params![id, concat.index, sms.data_coding.0, &sms.payload[..]],
    )?;
    let parts = tx.number("SELECT count(*) FROM part WHERE partial = ?1", [id])?;
    let home = if parts == i64::from(concat.total) {
        Home::Sms(hand_on(tx, id)?)
    } else {
        Home::Partial(id)
    };
    Ok(Placed::Stored { home })
}

/// The long SMS that a part belongs to, if another part of it came before.
fn waiting(tx: &Connection, sms: &SmsIn, concat: Concat) -> Result<Option<i64>> {
    tx.one(
        "SELECT id FROM partial WHERE link_group = ?1 AND handset = ?2 AND number = ?3
         AND reference = ?4 AND total = ?5",
        params![
            sms.link_group,
            sms.from,
            sms.to,
            reference(concat),
            concat.total
        ],
        |row| Ok(row.get(0)?),
    )
}

fn is_free(tx: &Connection, id: i64, concat: Concat) -> Result<bool> {
    Ok(!tx.any(
        "SELECT 1 FROM part WHERE partial = ?1 AND number = ?2",
        params![id, concat.index],
    )?)
}

fn holds(tx: &Connection, id: i64, sms: &SmsIn, concat: Concat) -> Result<bool> {
    tx.any(
        "SELECT 1 FROM part WHERE partial = ?1 AND number = ?2 AND data_coding = ?3 AND payload = ?4",
        params![id, concat.index, sms.data_coding.0, &sms.payload[..]],
    )
}

/// Starts a long SMS; `None` where it is for nobody.
fn begin(tx: &Connection, sms: &SmsIn, concat: Concat) -> Result<Option<i64>> {
    let Some(recipient) = recipient(tx, sms)? else {
        return Ok(None);
    };
    let others: Vec<i64> = tx.all(
        "SELECT id FROM partial WHERE link_group = ?1 AND handset = ?2 AND number = ?3
         ORDER BY id DESC LIMIT -1 OFFSET ?4",
        params![sms.link_group, sms.from, sms.to, MAX_PARTIAL - 1],
        |row| Ok(row.get(0)?),
    )?;
    others
        .into_iter()
        .try_for_each(|oldest| give_up(tx, oldest))?;
    tx.run(
        "INSERT INTO partial (link_group, handset, number, reference, total, recipient, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            sms.link_group,
            sms.from,
            sms.to,
            reference(concat),
            concat.total,
            recipient,
            sms.at
        ],
    )?;
    Ok(Some(tx.last_insert_rowid()))
}

/// Hands on what there is of a long SMS whose other parts never came.
pub(super) fn give_up(tx: &Connection, partial: i64) -> Result<()> {
    hand_on(tx, partial).map(drop)
}

/// Makes a whole SMS of the parts that are there; gives its id.
fn hand_on(tx: &Connection, partial: i64) -> Result<i64> {
    let parts = tx.all(
        "SELECT number, data_coding, payload FROM part WHERE partial = ?1 ORDER BY number",
        [partial],
        |row| {
            let payload = Bytes::from(row.get::<_, Vec<u8>>("payload")?);
            Ok((
                row.get::<_, u8>("number")?,
                (DataCoding(row.get("data_coding")?), payload),
            ))
        },
    )?;
    let total = tx.number("SELECT total FROM partial WHERE id = ?1", [partial])?;
    let total = u8::try_from(total).unwrap_or(u8::MAX);
    let missing = i64::from(total) - rows::limit(parts.len());
    tx.run(
        "INSERT INTO sms (link_group, handset, number, text, missing, recipient, at)
         SELECT link_group, handset, number, ?2, ?3, recipient, at FROM partial WHERE id = ?1",
        params![partial, text_with_gaps(&parts, total), missing],
    )?;
    let sms = tx.last_insert_rowid();
    submissions::moved(tx, partial, sms)?;
    tx.run("DELETE FROM part WHERE partial = ?1", [partial])?;
    tx.run("DELETE FROM partial WHERE id = ?1", [partial])?;
    Ok(sms)
}

/// The text of numbered parts, with a mark where parts are missing.
fn text_with_gaps(parts: &[(u8, (DataCoding, Bytes))], total: u8) -> String {
    let mut text = String::new();
    let mut expected = 1_u16;
    for run in parts.chunk_by(|(left, _), (right, _)| u16::from(*left) + 1 == u16::from(*right)) {
        let (Some((first, _)), Some((last, _))) = (run.first(), run.last()) else {
            continue;
        };
        if u16::from(*first) > expected {
            text.push_str(GAP);
        }
        let pieces: Vec<_> = run.iter().map(|(_, piece)| piece.clone()).collect();
        text.push_str(&join(&pieces));
        expected = u16::from(*last) + 1;
    }
    if expected <= u16::from(total) {
        text.push_str(GAP);
    }
    text
}

const SELECT: &str =
    "SELECT id, link_group, handset, number, text, missing, recipient, at FROM sms";

fn read(row: &Row<'_>) -> Result<Sms> {
    Ok(Sms {
        id: row.get("id")?,
        link_group: row.get("link_group")?,
        from: row.get("handset")?,
        to: row.get("number")?,
        text: row.get("text")?,
        missing_parts: row.get("missing")?,
        recipient: row.get("recipient")?,
        at: row.get("at")?,
    })
}

pub(super) fn pending(tx: &Connection, after: SmsId, limit: usize) -> Result<Page<SmsId, Sms>> {
    rows::page(
        tx,
        &format!("{SELECT} WHERE progress = 0 AND id > ?1 ORDER BY id LIMIT ?2"),
        params![after, rows::limit(limit)],
        read,
    )
}

pub(super) fn get(tx: &Connection, id: SmsId) -> Result<Option<Sms>> {
    tx.one(
        &format!("{SELECT} WHERE id = ?1 AND withdrawn = 0"),
        [id],
        read,
    )
}

pub(super) fn finish(tx: &Connection, id: SmsId, ending: &Ending) -> Result<()> {
    let (progress, reason, at) = rows::ending(ending);
    let ended = tx.run(
        "UPDATE sms SET progress = ?2, reason = ?3, ended_at = max(?4, at)
         WHERE id = ?1 AND progress = 0",
        params![id, progress, reason, at],
    )?;
    if ended > 0 && matches!(ending, Ending::SetAside { .. }) {
        end_submissions(tx, id, ending)?;
    }
    aside::tell(tx, ending, ended)
}

/// The words of an SMS were said or will not be: what was submitted of it has reached its end.
pub(super) fn end_submissions(tx: &Connection, id: SmsId, ending: &Ending) -> Result<()> {
    let (state, at) = match ending {
        Ending::Done => (MessageState::DELIVERED, None),
        Ending::SetAside { at, .. } => (MessageState::UNDELIVERABLE, Some(*at)),
    };
    submissions::end_sms(tx, id, state, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(number: u8, text: &str) -> (u8, (DataCoding, Bytes)) {
        (
            number,
            (
                DataCoding::GSM_DEFAULT,
                Bytes::copy_from_slice(text.as_bytes()),
            ),
        )
    }

    #[test]
    fn missing_parts_leave_a_mark_wherever_they_are() {
        assert_eq!(text_with_gaps(&[part(2, "b"), part(3, "c")], 3), "[…]bc");
        assert_eq!(text_with_gaps(&[part(1, "a"), part(3, "c")], 3), "a[…]c");
        assert_eq!(text_with_gaps(&[part(1, "a")], 3), "a[…]");
        assert_eq!(text_with_gaps(&[part(1, "a"), part(2, "b")], 2), "ab");
    }
}
