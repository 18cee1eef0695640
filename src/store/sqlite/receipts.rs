//! Delivery receipts, and the segments that they are about.
//!
//! A receipt may be there before the answer that tells whose it is; and where no answer came, it is
//! the only proof.

use matrix_smpp_codec::IdForm;
use matrix_smpp_codec::e164::E164;
use matrix_smpp_codec::message_id::canonical;
use matrix_smpp_codec::values::MessageState as WireState;
use rusqlite::{Connection, Row, params};

use super::ids::{self, Named};
use super::life::{self, Message, Segment};
use super::rows::Sql as _;
use crate::gateway::model::{MessageState, Timestamp};
use crate::store::{Failure, ReceiptIn, ReceiptTaken, Result};

/// Receipts that are looked at again when it becomes known how a peer writes ids: the newest.
const LOOKED_AT_AGAIN: i64 = 1_000;

pub(super) fn take(tx: &Connection, receipt: &ReceiptIn) -> Result<ReceiptTaken> {
    if let Some(meant) = ids::meant(tx, &Named::by(receipt))? {
        apply_and_refresh(tx, meant.place, &Word::of(receipt), receipt.at)?;
        learn(tx, &receipt.link_group, meant.proof, receipt.at)?;
        return Ok(ReceiptTaken::Matched);
    }
    if let Some(handset) = &receipt.handset {
        let pair = Pair {
            link_group: &receipt.link_group,
            destination: handset.as_str(),
            originator: &receipt.originator,
        };
        if let Some(segment) = find_by_evidence(tx, pair)? {
            apply_and_refresh(tx, segment, &Word::of(receipt), receipt.at)?;
            return Ok(ReceiptTaken::Evidence);
        }
    }
    park(tx, receipt)?;
    Ok(ReceiptTaken::Parked)
}

/// What a receipt says.
struct Word {
    smsc_id: String,
    state: WireState,
    error: Option<String>,
}

impl Word {
    fn of(receipt: &ReceiptIn) -> Self {
        Self {
            smsc_id: receipt.message_id.clone(),
            state: receipt.state,
            error: receipt.error.clone(),
        }
    }
}

/// Two numbers between which SMS travel.
#[derive(Clone, Copy)]
struct Pair<'a> {
    link_group: &'a str,
    destination: &'a str,
    originator: &'a str,
}

impl<'a> Pair<'a> {
    fn of(message: &'a Message) -> Self {
        Self {
            link_group: &message.link_group,
            destination: &message.destination,
            originator: &message.originator,
        }
    }
}

/// A segment by its message's key and its number.
pub(super) type Place = (i64, u8);

fn place(row: &Row<'_>) -> Result<Place> {
    Ok((row.get("message")?, row.get("number")?))
}

/// The one segment without an answer between two numbers; one given up counts where there is no
/// other. Nothing while another one is on the wire, whose answer may still claim the receipt.
fn find_by_evidence(tx: &Connection, pair: Pair<'_>) -> Result<Option<Place>> {
    let candidates = tx.all(
        "SELECT message, number, lost FROM unanswered
         WHERE link_group = ?1 AND destination = ?2 AND originator = ?3 ORDER BY lost LIMIT 2",
        params![pair.link_group, pair.destination, pair.originator],
        |row| Ok((place(row)?, row.get::<_, bool>("lost")?)),
    )?;
    let only = match candidates[..] {
        [(only, _)] => only,
        [(held, false), (_, true)] => held,
        _ => return Ok(None),
    };
    let on_the_wire = tx.any(
        "SELECT 1 FROM segment CROSS JOIN message ON message.key = segment.message
         WHERE segment.state < 3 AND segment.state = 1 AND message.link_group = ?1 AND message.destination = ?2
             AND substr(message.originator, 3) = ?3 LIMIT 1",
        params![pair.link_group, pair.destination, pair.originator],
    )?;
    Ok((!on_the_wire).then_some(only))
}

fn apply_and_refresh(
    tx: &Connection,
    (key, number): Place,
    word: &Word,
    now: Timestamp,
) -> Result<()> {
    let Some(message) = life::message(tx, key)? else {
        return Ok(());
    };
    apply(tx, &message, number, word, now)?;
    life::refresh(tx, key, now)
}

/// Does to a segment what a receipt says. A final state stays, but one that was given up for lost
/// may still arrive, and a receipt that comes late says what became of its segment.
fn apply(
    tx: &Connection,
    message: &Message,
    number: u8,
    word: &Word,
    now: Timestamp,
) -> Result<()> {
    let Some(mut segment) = life::segment(tx, message.key, number)? else {
        return Ok(());
    };
    let unanswered = matches!(segment.state, MessageState::Uncertain | MessageState::Lost);
    if unanswered {
        // From now on its id is known, and later receipts find it by that.
        expect(tx, message, number, (&word.smsc_id, true))?;
    }
    if segment.state == MessageState::Uncertain {
        forget_evidence(tx, message.key, number)?;
        life::settle(tx, message, &segment, now)?;
        life::leave(
            tx,
            message,
            &segment,
            MessageState::Submitted,
            (now, "a receipt proves it"),
        )?;
        segment.state = MessageState::Submitted;
    }
    let Some(state) = state_of(word.state) else {
        return Ok(());
    };
    let open = matches!(
        segment.state,
        MessageState::Submitted | MessageState::NoReceipt
    );
    let found_again = segment.state == MessageState::Lost && state == MessageState::Delivered;
    if !open && !found_again {
        return Ok(());
    }
    forget_evidence(tx, message.key, number)?;
    let detail = match &word.error {
        Some(error) => format!("receipt, error {error}"),
        None => "receipt".to_owned(),
    };
    life::leave(tx, message, &segment, state, (now, &detail))?;
    match (&word.error, state.is_failure()) {
        (Some(error), true) => life::set_failure(tx, message, &Failure::Receipt(error.clone())),
        _ => Ok(()),
    }
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
pub(super) fn expect_id(
    tx: &Connection,
    message: &Message,
    number: u8,
    smsc_id: &str,
) -> Result<()> {
    expect(tx, message, number, (smsc_id, false))
}

fn expect(
    tx: &Connection,
    message: &Message,
    number: u8,
    (smsc_id, by_receipt): (&str, bool),
) -> Result<()> {
    forget_evidence(tx, message.key, number)?;
    if smsc_id.is_empty() {
        // The answer to a deliver_sm names nothing.
        return Ok(());
    }
    tx.run(
        "INSERT INTO sent (link_group, canonical, message, number, smsc_id, by_receipt)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET smsc_id = excluded.smsc_id, by_receipt = excluded.by_receipt",
        params![
            message.link_group,
            canonical(smsc_id),
            message.key,
            number,
            smsc_id,
            by_receipt
        ],
    )?;
    Ok(())
}

/// From now on a receipt between the same two numbers may mean this segment.
pub(super) fn expect_evidence(
    tx: &Connection,
    message: &Message,
    segment: &Segment,
    lost: bool,
    until: Timestamp,
) -> Result<()> {
    let pair = Pair::of(message);
    tx.run(
        "INSERT OR REPLACE INTO unanswered
             (message, number, link_group, destination, originator, lost, until)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            message.key,
            segment.number,
            pair.link_group,
            pair.destination,
            pair.originator,
            lost,
            until
        ],
    )?;
    Ok(())
}

/// No receipt between two numbers means this segment any more.
pub(super) fn forget_evidence(tx: &Connection, message: i64, number: u8) -> Result<()> {
    tx.run(
        "DELETE FROM unanswered WHERE message = ?1 AND number = ?2",
        params![message, number],
    )?;
    Ok(())
}

fn park(tx: &Connection, receipt: &ReceiptIn) -> Result<()> {
    tx.run(
        "INSERT INTO parked
             (link_group, canonical, smsc_id, state, error, destination, originator, at, form)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT DO NOTHING",
        params![
            receipt.link_group,
            canonical(&receipt.message_id),
            receipt.message_id,
            receipt.state.0,
            receipt.error,
            receipt.handset.as_ref().map(E164::as_str),
            receipt.originator,
            receipt.at,
            receipt.id_form.map(ids::number)
        ],
    )?;
    Ok(())
}

/// Gives a segment whose id has just become known the receipts that came before.
pub(super) fn match_parked_by_id(
    tx: &Connection,
    message: &Message,
    number: u8,
    smsc_id: &str,
    now: Timestamp,
) -> Result<()> {
    let [same, decimal, hex] = ids::in_receipts(smsc_id);
    let parked = tx.all(
        "SELECT id, smsc_id, state, error, destination, form FROM parked
         WHERE link_group = ?1 AND canonical IN (?2, ?3, ?4) ORDER BY id",
        params![message.link_group, same, decimal, hex],
        read_waiting,
    )?;
    for waiting in parked {
        let meant = ids::meant(tx, &waiting.named(&message.link_group))?;
        let Some(meant) = meant.filter(|meant| meant.place == (message.key, number)) else {
            continue;
        };
        unpark(tx, message, number, vec![(waiting.id, waiting.word)], now)?;
        learn(tx, &message.link_group, meant.proof, now)?;
    }
    Ok(())
}

/// Takes a proof of how a peer writes ids. Where that tells what receipts meant that wait, they find
/// their segments.
fn learn(tx: &Connection, link_group: &str, proof: Option<IdForm>, now: Timestamp) -> Result<()> {
    let Some(proof) = proof else {
        return Ok(());
    };
    if !ids::learn(tx, link_group, proof)? {
        return Ok(());
    }
    let parked = tx.all(
        "SELECT id, smsc_id, state, error, destination, form FROM parked
         WHERE link_group = ?1 ORDER BY id DESC LIMIT ?2",
        params![link_group, LOOKED_AT_AGAIN],
        read_waiting,
    )?;
    for waiting in parked.into_iter().rev() {
        if let Some(meant) = ids::meant(tx, &waiting.named(link_group))? {
            apply_and_refresh(tx, meant.place, &waiting.word, now)?;
            tx.run("DELETE FROM parked WHERE id = ?1", [waiting.id])?;
        }
    }
    Ok(())
}

/// Gives the one unanswered segment between a message's two numbers the one id that receipts
/// between them came for, if each is the only one. Receipts that are older than its last attempt, or
/// that came while another segment could be meant, prove nothing of it.
pub(super) fn match_parked_by_evidence(
    tx: &Connection,
    message: &Message,
    now: Timestamp,
) -> Result<()> {
    let pair = Pair::of(message);
    let Some((key, number)) = find_by_evidence(tx, pair)? else {
        return Ok(());
    };
    let parked = tx.all(
        "SELECT id, smsc_id, state, error, at FROM parked
         WHERE link_group = ?1 AND destination = ?2 AND originator = ?3 AND at >= ?4 ORDER BY id",
        params![
            pair.link_group,
            pair.destination,
            pair.originator,
            intended_at(tx, (key, number))?
        ],
        |row| Ok((row.get::<_, Timestamp>("at")?, read_parked(row)?)),
    )?;
    let Some((first_at, (_, first))) = parked.first() else {
        return Ok(());
    };
    let differ = parked
        .iter()
        .any(|(_, (_, word))| word.smsc_id != first.smsc_id);
    if differ || was_another_held(tx, pair, (key, number), *first_at)? {
        return Ok(());
    }
    let Some(unanswered) = life::message(tx, key)? else {
        return Ok(());
    };
    let parked = parked.into_iter().map(|(_, receipt)| receipt).collect();
    unpark(tx, &unanswered, number, parked, now)?;
    life::refresh(tx, key, now)
}

/// When a segment was last about to be written.
fn intended_at(tx: &Connection, (key, number): Place) -> Result<Timestamp> {
    let at = tx.one(
        "SELECT max(at) FROM step WHERE message = ?1 AND segment = ?2 AND state = ?3",
        params![key, number, MessageState::Intent],
        |row| Ok(row.get::<_, Option<Timestamp>>(0)?),
    )?;
    Ok(at.flatten().unwrap_or(Timestamp(0)))
}

/// True where a segment between the same two numbers that has been given up since was still waiting
/// for its receipt at this time.
fn was_another_held(
    tx: &Connection,
    pair: Pair<'_>,
    (key, number): Place,
    at: Timestamp,
) -> Result<bool> {
    tx.any(
        "SELECT 1 FROM unanswered
         WHERE link_group = ?1 AND destination = ?2 AND originator = ?3 AND lost = 1
             AND until >= ?4 AND NOT (message = ?5 AND number = ?6) LIMIT 1",
        params![
            pair.link_group,
            pair.destination,
            pair.originator,
            at.0.saturating_add(life::LOST_MEMORY),
            key,
            number
        ],
    )
}

/// A receipt that waits, with all that its id needs to be read.
struct Waiting {
    id: i64,
    word: Word,
    destination: Option<String>,
    form: Option<IdForm>,
}

impl Waiting {
    fn named<'a>(&'a self, link_group: &'a str) -> Named<'a> {
        Named {
            link_group,
            smsc_id: &self.word.smsc_id,
            destination: self.destination.as_deref(),
            form: self.form,
        }
    }
}

fn read_waiting(row: &Row<'_>) -> Result<Waiting> {
    let (id, word) = read_parked(row)?;
    let form: Option<u8> = row.get("form")?;
    Ok(Waiting {
        id,
        word,
        destination: row.get("destination")?,
        form: form.map(ids::form).transpose()?,
    })
}

fn read_parked(row: &Row<'_>) -> Result<(i64, Word)> {
    let word = Word {
        smsc_id: row.get("smsc_id")?,
        state: WireState(row.get("state")?),
        error: row.get("error")?,
    };
    Ok((row.get("id")?, word))
}

fn unpark(
    tx: &Connection,
    message: &Message,
    number: u8,
    parked: Vec<(i64, Word)>,
    now: Timestamp,
) -> Result<()> {
    for (id, word) in parked {
        apply(tx, message, number, &word, now)?;
        tx.run("DELETE FROM parked WHERE id = ?1", [id])?;
    }
    Ok(())
}
