//! Delivery receipts, and the segments that they are about.
//!
//! A receipt may be there before the answer that tells whose it is; and where no answer came, it is
//! the only proof.

mod evidence;
mod parked;

use matrix_smpp_codec::message_id::canonical;
use matrix_smpp_codec::values::MessageState as WireState;

pub(in crate::store) use self::evidence::{
    expect_evidence, forget_evidence, hold_is_over, match_parked_by_evidence,
};
pub(in crate::store) use self::parked::{
    any_parked, forget_old, forget_surplus, match_parked_by_id,
};
use super::ids::{self, Named};
use super::life;
use super::sweep::each;
use crate::gateway::model::{MessageState, Timestamp};
use crate::store::tables::{MessageRow, ParkedRow, Sent, SentRow, sent_key};
use crate::store::tx::Tx;
use crate::store::{Failure, ReceiptIn, ReceiptTaken, Result};

/// Segments that are known by one id. A peer that gives more the same one has no ids; its receipts
/// mean the newest.
const MAX_NAMESAKES: usize = 64;

pub(in crate::store) fn take_all(
    tx: &mut Tx<'_>,
    receipts: &[ReceiptIn],
) -> Result<Vec<ReceiptTaken>> {
    let mut taken = Vec::with_capacity(receipts.len());
    each(receipts, |receipt| {
        taken.push(take(tx, receipt)?);
        Ok(())
    })?;
    Ok(taken)
}

fn take(tx: &mut Tx<'_>, receipt: &ReceiptIn) -> Result<ReceiptTaken> {
    if let Some(meant) = ids::meant(tx, Named::by(receipt))? {
        apply_and_save(tx, meant.place, Word::of(receipt), receipt.at)?;
        parked::learn(tx, &receipt.link_group, meant.proof, receipt.at)?;
        return Ok(ReceiptTaken::Matched);
    }
    // One that comes again proves nothing of what was sent since it first came.
    if parked::is_waiting(tx, receipt)? {
        parked::park(tx, receipt)?;
        return Ok(ReceiptTaken::Parked);
    }
    if let Some(place) = evidence::of_receipt(tx, receipt)? {
        apply_and_save(tx, place, Word::of(receipt), receipt.at)?;
        return Ok(ReceiptTaken::Evidence);
    }
    parked::park(tx, receipt)?;
    Ok(ReceiptTaken::Parked)
}

/// What a receipt says.
#[derive(Clone, Copy)]
struct Word<'a> {
    smsc_id: &'a str,
    state: WireState,
    error: Option<&'a str>,
}

impl<'a> Word<'a> {
    fn of(receipt: &'a ReceiptIn) -> Self {
        Self {
            smsc_id: &receipt.message_id,
            state: receipt.state,
            error: receipt.error.as_deref(),
        }
    }

    fn parked(row: &'a ParkedRow) -> Self {
        Self {
            smsc_id: &row.smsc_id,
            state: WireState(row.state),
            error: row.error.as_deref(),
        }
    }
}

/// A segment by its message's number and its own.
pub(in crate::store) type Place = (i64, u8);

fn apply_and_save(
    tx: &mut Tx<'_>,
    (key, number): Place,
    word: Word<'_>,
    now: Timestamp,
) -> Result<()> {
    let Some(mut row) = life::message(tx, key)? else {
        return Ok(());
    };
    if apply(tx, &mut row, number, word, now)? {
        life::save(tx, row, now)?;
    }
    Ok(())
}

/// Does to a segment what a receipt says, and tells whether that is anything. A final state stays, but
/// one that was given up for lost may still arrive, and a receipt that comes late says what became of
/// its segment.
fn apply(
    tx: &mut Tx<'_>,
    row: &mut MessageRow,
    number: u8,
    word: Word<'_>,
    now: Timestamp,
) -> Result<bool> {
    let Some(before) = row.segment(number).map(|segment| segment.state) else {
        return Ok(false);
    };
    let unanswered = matches!(before, MessageState::Uncertain | MessageState::Lost);
    if unanswered {
        // From now on its id is known, and later receipts find it by that.
        expect(tx, row, number, (word.smsc_id, true))?;
    }
    if before == MessageState::Uncertain {
        life::settle(tx, row, number, now)?;
        let proved = (now, "a receipt proves it".into());
        row.leave(number, MessageState::Submitted, proved);
    }
    let Some(state) = state_of(word.state) else {
        return Ok(unanswered);
    };
    let open = matches!(
        before,
        MessageState::Uncertain | MessageState::Submitted | MessageState::NoReceipt
    );
    let found_again = before == MessageState::Lost && state == MessageState::Delivered;
    if !open && !found_again {
        return Ok(unanswered);
    }
    let detail = match word.error {
        Some(error) => format!("receipt, error {error}").into(),
        None => "receipt".into(),
    };
    row.leave(number, state, (now, detail));
    if let (Some(error), true) = (word.error, state.is_failure()) {
        row.set_failure(Failure::Receipt(error.to_owned()));
    }
    Ok(true)
}

/// What a final wire state makes of a segment; `None` for one that is not final.
fn state_of(wire: WireState) -> Option<MessageState> {
    match wire {
        WireState::DELIVERED => Some(MessageState::Delivered),
        WireState::EXPIRED => Some(MessageState::Expired),
        WireState::DELETED | WireState::UNDELIVERABLE => Some(MessageState::Undeliverable),
        WireState::REJECTED => Some(MessageState::Rejected),
        _ => None,
    }
}

/// From now on a receipt with this id means this segment.
pub(in crate::store) fn expect_id(
    tx: &mut Tx<'_>,
    row: &mut MessageRow,
    number: u8,
    smsc_id: &str,
) -> Result<()> {
    expect(tx, row, number, (smsc_id, false))
}

fn expect(
    tx: &mut Tx<'_>,
    row: &mut MessageRow,
    number: u8,
    (smsc_id, by_receipt): (&str, bool),
) -> Result<()> {
    forget_evidence(tx, row, number)?;
    // The answer to a deliver_sm names nothing.
    if smsc_id.is_empty() || !row.receipts {
        return Ok(());
    }
    let canonical = canonical(smsc_id);
    let key = sent_key(&row.link_group, &canonical);
    let sent = SentRow {
        message: row.key,
        number,
        destination: row.destination,
        smsc_id: smsc_id.to_owned(),
        by_receipt,
    };
    tx.change::<Sent>(&key, |namesakes| add_namesake(namesakes, sent))?;
    if let Some(segment) = row.segment_mut(number)
        && !segment.sent_as.contains(&canonical)
    {
        segment.sent_as.push(canonical);
    }
    Ok(())
}

/// Keeps them in the order of their places.
fn add_namesake(all: &mut Vec<SentRow>, sent: SentRow) {
    let place = |row: &SentRow| (row.message, row.number);
    match all.binary_search_by_key(&place(&sent), place) {
        Ok(at) => {
            if let Some(same) = all.get_mut(at) {
                *same = sent;
            }
        }
        Err(at) => all.insert(at, sent),
    }
    if all.len() > MAX_NAMESAKES {
        all.remove(0);
    }
}

/// No receipt with the ids of this message's segments means it any more.
pub(in crate::store) fn forget_ids(tx: &mut Tx<'_>, row: &MessageRow) -> Result<()> {
    for canonical in row.segments.iter().flat_map(|segment| &segment.sent_as) {
        let key = sent_key(&row.link_group, canonical);
        let Some(sent) = tx.get::<Sent>(&key)? else {
            continue;
        };
        let others: Vec<SentRow> = sent
            .iter()
            .filter(|sent| sent.message != row.key)
            .cloned()
            .collect();
        if others.is_empty() {
            tx.delete::<Sent>(&key)?;
        } else {
            tx.put::<Sent>(&key, others)?;
        }
    }
    Ok(())
}

/// Waits no longer for the receipts of a message that are overdue: what
/// [`Timer::Receipt`](crate::store::timer::Timer::Receipt) calls for.
pub(in crate::store) fn wait_is_over(tx: &mut Tx<'_>, key: i64, now: Timestamp) -> Result<()> {
    let Some(mut row) = life::message(tx, key)? else {
        return Ok(());
    };
    let overdue = row.receipt_by.is_some_and(|by| by <= now);
    if row.state != MessageState::Submitted || !overdue {
        return Ok(());
    }
    for number in row.in_state(MessageState::Submitted) {
        let why = (now, "no receipt came in time".into());
        row.leave(number, MessageState::NoReceipt, why);
    }
    life::save(tx, row, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::E164Text;

    fn sent(message: i64, number: u8, smsc_id: &str) -> SentRow {
        SentRow {
            message,
            number,
            destination: E164Text("447700900123".parse().expect("a number")),
            smsc_id: smsc_id.to_owned(),
            by_receipt: false,
        }
    }

    #[test]
    fn a_segment_is_known_by_one_spelling_of_an_id() {
        let mut all = Vec::new();
        for row in [sent(2, 1, "0A"), sent(1, 2, "a"), sent(2, 1, "A")] {
            add_namesake(&mut all, row);
        }
        assert_eq!(all, [sent(1, 2, "a"), sent(2, 1, "A")]);
    }

    #[test]
    fn a_peer_without_ids_leaves_the_newest() {
        let mut all = Vec::new();
        for message in 1..=100 {
            add_namesake(&mut all, sent(message, 1, "1"));
        }
        assert_eq!(all.len(), MAX_NAMESAKES);
        assert_eq!(all.first(), Some(&sent(37, 1, "1")));
        assert_eq!(all.last(), Some(&sent(100, 1, "1")));
    }
}
