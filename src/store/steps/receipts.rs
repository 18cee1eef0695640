//! Delivery receipts, and the segments that they are about.
//!
//! A receipt may be there before the answer that tells whose it is; and where no answer came, it is
//! the only proof. A receipt changes a segment once, because a final state never goes back.

use std::time::Duration;

use matrix_smpp_codec::IdForm;
use matrix_smpp_codec::e164::E164;
use matrix_smpp_codec::message_id::canonical;
use matrix_smpp_codec::values::MessageState as WireState;

use super::ids::{self, Named};
use super::life;
use crate::gateway::model::{E164Text, MessageState, Timestamp};
use crate::store::tables::{
    MessageRow, Parked, ParkedRow, Sent, SentRow, Unanswered, UnansweredRow, evidence_key,
    form_number, form_of, number as row_key, sent_key,
};
use crate::store::timer::Timer;
use crate::store::tx::{Sequence, Tx};
use crate::store::{Failure, ReceiptIn, ReceiptTaken, Result};

/// Receipts that are looked at again when it becomes known how a peer writes ids: the newest.
const LOOKED_AT_AGAIN: usize = 1_000;
/// How long a receipt waits for the answer that tells whose it is.
const PARKED_MEMORY: Duration = Duration::from_hours(24);
/// Receipts that may wait; beyond that the oldest go.
const MAX_PARKED: usize = 100_000;

/// A segment by its message's number and its own.
pub(in crate::store) type Place = (i64, u8);

pub(in crate::store) fn take(tx: &mut Tx<'_>, receipt: &ReceiptIn) -> Result<ReceiptTaken> {
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
        if let Some(place) = find_by_evidence(tx, pair)? {
            apply_and_refresh(tx, place, &Word::of(receipt), receipt.at)?;
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

    fn parked(row: &ParkedRow) -> Self {
        Self {
            smsc_id: row.smsc_id.clone(),
            state: WireState(row.state),
            error: row.error.clone(),
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

impl Pair<'_> {
    fn key(self) -> String {
        evidence_key(self.link_group, self.destination, self.originator)
    }
}

/// The key of a message's numbers in [`Unanswered`].
fn pair_of(row: &MessageRow) -> String {
    let originator = row.originator.digits();
    evidence_key(&row.link_group, row.destination.0.as_str(), &originator)
}

/// The one segment without an answer between two numbers; one given up counts where there is no
/// other. Nothing while another one is on the wire, whose answer may still claim the receipt.
fn find_by_evidence(tx: &mut Tx<'_>, pair: Pair<'_>) -> Result<Option<Place>> {
    let Some(unanswered) = tx.get::<Unanswered>(&pair.key())? else {
        return Ok(None);
    };
    let (lost, held): (Vec<_>, Vec<_>) = unanswered.iter().partition(|one| one.lost);
    let only = match (&held[..], &lost[..]) {
        ([only], _) | ([], [only]) => (only.message, only.number),
        _ => return Ok(None),
    };
    Ok((!is_on_the_wire(tx, pair)?).then_some(only))
}

fn is_on_the_wire(tx: &mut Tx<'_>, pair: Pair<'_>) -> Result<bool> {
    let keys: Vec<i64> = tx.indexes().messages.on_wire.iter().copied().collect();
    let wanted = pair.key();
    for key in keys {
        let row = tx.get::<crate::store::tables::Messages>(&row_key(key))?;
        if row.is_some_and(|row| pair_of(&row) == wanted) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn apply_and_refresh(
    tx: &mut Tx<'_>,
    (key, number): Place,
    word: &Word,
    now: Timestamp,
) -> Result<()> {
    let Some(mut row) = life::message(tx, key)? else {
        return Ok(());
    };
    apply(tx, &mut row, number, word, now)?;
    life::refresh(tx, row, now)
}

/// Does to a segment what a receipt says. A final state stays, but one that was given up for lost
/// may still arrive, and a receipt that comes late says what became of its segment.
fn apply(
    tx: &mut Tx<'_>,
    row: &mut MessageRow,
    number: u8,
    word: &Word,
    now: Timestamp,
) -> Result<()> {
    let Some(mut at) = life::segment(row, number).map(|segment| segment.state) else {
        return Ok(());
    };
    if matches!(at, MessageState::Uncertain | MessageState::Lost) {
        // From now on its id is known, and later receipts find it by that.
        expect(tx, row, number, (&word.smsc_id, true))?;
    }
    if at == MessageState::Uncertain {
        forget_evidence(tx, row, number)?;
        life::settle(tx, row, number, now)?;
        life::leave(
            row,
            number,
            MessageState::Submitted,
            (now, "a receipt proves it"),
        );
        at = MessageState::Submitted;
    }
    let Some(state) = state_of(word.state) else {
        return Ok(());
    };
    let open = matches!(at, MessageState::Submitted | MessageState::NoReceipt);
    let found_again = at == MessageState::Lost && state == MessageState::Delivered;
    if !open && !found_again {
        return Ok(());
    }
    forget_evidence(tx, row, number)?;
    let detail = match &word.error {
        Some(error) => format!("receipt, error {error}"),
        None => "receipt".to_owned(),
    };
    life::leave(row, number, state, (now, &detail));
    if let (Some(error), true) = (&word.error, state.is_failure()) {
        life::set_failure(row, Failure::Receipt(error.clone()));
    }
    Ok(())
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
    if smsc_id.is_empty() {
        // The answer to a deliver_sm names nothing.
        return Ok(());
    }
    let canonical = canonical(smsc_id);
    let sent = SentRow {
        message: row.key,
        number,
        destination: row.destination,
        smsc_id: smsc_id.to_owned(),
        by_receipt,
    };
    tx.change::<Sent>(&sent_key(&row.link_group, &canonical), |all| {
        all.retain(|one| (one.message, one.number) != (sent.message, sent.number));
        all.push(sent);
    })?;
    if let Some(segment) = life::segment_mut(row, number)
        && !segment.sent_as.contains(&canonical)
    {
        segment.sent_as.push(canonical);
    }
    Ok(())
}

/// No receipt's id means a segment of this message any more.
pub(in crate::store) fn forget_ids(tx: &mut Tx<'_>, row: &MessageRow) -> Result<()> {
    for canonical in row.segments.iter().flat_map(|segment| &segment.sent_as) {
        let key = sent_key(&row.link_group, canonical);
        let Some(sent) = tx.get::<Sent>(&key)? else {
            continue;
        };
        let others: Vec<SentRow> = sent
            .iter()
            .filter(|one| one.message != row.key)
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

/// From now on a receipt between the same two numbers may mean this segment.
pub(in crate::store) fn expect_evidence(
    tx: &mut Tx<'_>,
    row: &MessageRow,
    number: u8,
    lost: bool,
    until: Timestamp,
) -> Result<()> {
    let one = UnansweredRow {
        message: row.key,
        number,
        lost,
        until,
    };
    tx.set_timer(until, &Timer::Unanswered(row.key, number));
    tx.change::<Unanswered>(&pair_of(row), |all| {
        all.retain(|other| (other.message, other.number) != (one.message, one.number));
        all.push(one);
    })
}

/// No receipt between two numbers means this segment any more.
pub(in crate::store) fn forget_evidence(
    tx: &mut Tx<'_>,
    row: &MessageRow,
    number: u8,
) -> Result<()> {
    if tx.count::<Unanswered>() == 0 {
        return Ok(());
    }
    let key = pair_of(row);
    let Some(all) = tx.get::<Unanswered>(&key)? else {
        return Ok(());
    };
    let is_it = |one: &UnansweredRow| (one.message, one.number) == (row.key, number);
    if !all.iter().any(is_it) {
        return Ok(());
    }
    let others: Vec<UnansweredRow> = all.iter().filter(|one| !is_it(one)).cloned().collect();
    if others.is_empty() {
        tx.delete::<Unanswered>(&key)?;
        return Ok(());
    }
    tx.put::<Unanswered>(&key, others)
}

/// Keeps a receipt until an answer tells whose it is; once, though it comes again.
fn park(tx: &mut Tx<'_>, receipt: &ReceiptIn) -> Result<()> {
    let canonical = canonical(&receipt.message_id);
    for row in parked_by_id(tx, &receipt.link_group, &canonical)? {
        if row.smsc_id == receipt.message_id && row.state == receipt.state.0 {
            return Ok(());
        }
    }
    let id = tx.next(Sequence::Parked)?;
    let row = ParkedRow {
        id,
        link_group: receipt.link_group.clone(),
        canonical,
        smsc_id: receipt.message_id.clone(),
        state: receipt.state.0,
        error: receipt.error.clone(),
        destination: receipt.handset.map(E164Text),
        originator: receipt.originator.clone(),
        at: receipt.at,
        form: receipt.id_form.map(form_number),
    };
    tx.insert::<Parked>(&row_key(id), row);
    Ok(())
}

/// The receipts that wait under a canonical id, oldest first.
fn parked_by_id(tx: &mut Tx<'_>, link_group: &str, canonical: &str) -> Result<Vec<ParkedRow>> {
    let parked = &tx.indexes().parked;
    if parked.all.is_empty() {
        return Ok(Vec::new());
    }
    let key = (link_group.to_owned(), canonical.to_owned());
    let ids: Vec<i64> = parked
        .by_id
        .get(&key)
        .into_iter()
        .flatten()
        .copied()
        .collect();
    parked_rows(tx, &ids)
}

fn parked_rows(tx: &mut Tx<'_>, ids: &[i64]) -> Result<Vec<ParkedRow>> {
    let mut rows = Vec::with_capacity(ids.len());
    for id in ids {
        rows.extend(
            tx.get::<Parked>(&row_key(*id))?
                .map(|row| ParkedRow::clone(&row)),
        );
    }
    Ok(rows)
}

/// What a waiting receipt's id may mean.
fn named(row: &ParkedRow) -> Named<'_> {
    Named {
        link_group: &row.link_group,
        smsc_id: &row.smsc_id,
        destination: row.destination.as_ref().map(|number| number.0.as_str()),
        form: row.form.and_then(form_of),
    }
}

/// Gives a segment whose answer has just come the receipts that came before: by its id, then by
/// evidence. Takes the message's row in hand and gives it back.
pub(in crate::store) fn match_parked(
    tx: &mut Tx<'_>,
    row: MessageRow,
    number: u8,
    smsc_id: &str,
    now: Timestamp,
) -> Result<MessageRow> {
    let row = if smsc_id.is_empty() || tx.indexes().parked.all.is_empty() {
        row
    } else {
        with_put_back(tx, row, |tx, row| {
            match_parked_by_id(tx, row, number, smsc_id, now)
        })?
    };
    match_parked_by_evidence(tx, row, now)
}

/// Puts a row back, so that others see it, and takes it in hand again afterwards.
fn with_put_back(
    tx: &mut Tx<'_>,
    row: MessageRow,
    work: impl FnOnce(&mut Tx<'_>, &MessageRow) -> Result<()>,
) -> Result<MessageRow> {
    life::put(tx, row.clone())?;
    work(tx, &row)?;
    Ok(life::message(tx, row.key)?.unwrap_or(row))
}

fn match_parked_by_id(
    tx: &mut Tx<'_>,
    row: &MessageRow,
    number: u8,
    smsc_id: &str,
    now: Timestamp,
) -> Result<()> {
    let mut parked = Vec::new();
    for id in ids::in_receipts(smsc_id) {
        parked.extend(parked_by_id(tx, &row.link_group, &id)?);
    }
    parked.sort_by_key(|one| one.id);
    parked.dedup_by_key(|one| one.id);
    for waiting in parked {
        let meant = ids::meant(tx, &named(&waiting))?;
        let Some(meant) = meant.filter(|meant| meant.place == (row.key, number)) else {
            continue;
        };
        unpark(tx, (row.key, number), &waiting, now)?;
        learn(tx, &row.link_group, meant.proof, now)?;
    }
    Ok(())
}

/// Takes a proof of how a peer writes ids. Where that tells what receipts meant that wait, they find
/// their segments.
fn learn(tx: &mut Tx<'_>, link_group: &str, proof: Option<IdForm>, now: Timestamp) -> Result<()> {
    let Some(proof) = proof else {
        return Ok(());
    };
    if !ids::learn(tx, link_group, proof)? {
        return Ok(());
    }
    let of_group = tx.indexes().parked.of_group.get(link_group);
    let newest = of_group.into_iter().flatten().rev().take(LOOKED_AT_AGAIN);
    let mut newest: Vec<i64> = newest.copied().collect();
    newest.reverse();
    for waiting in parked_rows(tx, &newest)? {
        if let Some(meant) = ids::meant(tx, &named(&waiting))? {
            apply_and_refresh(tx, meant.place, &Word::parked(&waiting), now)?;
            tx.delete::<Parked>(&row_key(waiting.id))?;
        }
    }
    Ok(())
}

/// Gives the one unanswered segment between a message's two numbers the one id that receipts
/// between them came for, if each is the only one. Receipts that are older than its last attempt, or
/// that came while another segment could be meant, prove nothing of it. Takes the message's row in hand
/// and gives it back.
pub(in crate::store) fn match_parked_by_evidence(
    tx: &mut Tx<'_>,
    row: MessageRow,
    now: Timestamp,
) -> Result<MessageRow> {
    if tx.indexes().parked.by_numbers.is_empty() || tx.count::<Unanswered>() == 0 {
        return Ok(row);
    }
    with_put_back(tx, row, |tx, row| prove(tx, row, now))
}

fn prove(tx: &mut Tx<'_>, row: &MessageRow, now: Timestamp) -> Result<()> {
    let originator = row.originator.digits();
    let pair = Pair {
        link_group: &row.link_group,
        destination: row.destination.0.as_str(),
        originator: &originator,
    };
    let Some((key, number)) = find_by_evidence(tx, pair)? else {
        return Ok(());
    };
    let Some(mut unanswered) = life::message(tx, key)? else {
        return Ok(());
    };
    let since = intended_at(&unanswered, number);
    let mut parked = parked_between(tx, pair)?;
    parked.retain(|receipt| receipt.at >= since);
    let Some(first) = parked.first() else {
        return Ok(());
    };
    let differ = parked
        .iter()
        .any(|receipt| receipt.smsc_id != first.smsc_id);
    if differ || was_another_held(tx, pair, (key, number), first.at)? {
        return Ok(());
    }
    for receipt in &parked {
        apply(tx, &mut unanswered, number, &Word::parked(receipt), now)?;
        tx.delete::<Parked>(&row_key(receipt.id))?;
    }
    life::refresh(tx, unanswered, now)
}

/// The receipts that wait between two numbers, oldest first.
fn parked_between(tx: &mut Tx<'_>, pair: Pair<'_>) -> Result<Vec<ParkedRow>> {
    let key = (
        pair.link_group.to_owned(),
        pair.destination.to_owned(),
        pair.originator.to_owned(),
    );
    let by_numbers = &tx.indexes().parked.by_numbers;
    let ids: Vec<i64> = by_numbers
        .get(&key)
        .into_iter()
        .flatten()
        .copied()
        .collect();
    parked_rows(tx, &ids)
}

/// When a segment was last about to be written.
fn intended_at(row: &MessageRow, number: u8) -> Timestamp {
    let intents = row
        .steps
        .iter()
        .filter(|step| step.segment == Some(number) && step.state == MessageState::Intent);
    intents.map(|step| step.at).max().unwrap_or(Timestamp(0))
}

/// True where a segment between the same two numbers that has been given up since was still waiting
/// for its receipt at this time.
fn was_another_held(tx: &mut Tx<'_>, pair: Pair<'_>, place: Place, at: Timestamp) -> Result<bool> {
    let after = at.0.saturating_add(life::LOST_MEMORY);
    let unanswered = tx.get::<Unanswered>(&pair.key())?;
    let was_held = |one: &UnansweredRow| {
        one.lost && one.until.0 >= after && (one.message, one.number) != place
    };
    Ok(unanswered.is_some_and(|all| all.iter().any(was_held)))
}

/// Does to a segment what a waiting receipt says, without refreshing its message.
fn unpark(
    tx: &mut Tx<'_>,
    (key, number): Place,
    waiting: &ParkedRow,
    now: Timestamp,
) -> Result<()> {
    if let Some(mut row) = life::message(tx, key)? {
        apply(tx, &mut row, number, &Word::parked(waiting), now)?;
        life::put(tx, row)?;
    }
    tx.delete::<Parked>(&row_key(waiting.id))?;
    Ok(())
}

/// The timer of a segment without an answer went off: ends its hold, or forgets it. Nothing where it is
/// not its time.
pub(in crate::store) fn hold_is_over(
    tx: &mut Tx<'_>,
    key: i64,
    number: u8,
    now: Timestamp,
) -> Result<()> {
    let Some(row) = life::message(tx, key)? else {
        return Ok(());
    };
    let unanswered = tx.get::<Unanswered>(&pair_of(&row))?;
    let mut all = unanswered.iter().flat_map(|all| all.iter());
    let Some(one) = all.find(|one| (one.message, one.number) == (key, number)) else {
        return Ok(());
    };
    if one.until > now {
        return Ok(());
    }
    if one.lost {
        return forget_evidence(tx, &row, number);
    }
    let mut row = match_parked_by_evidence(tx, row, now)?;
    let state = life::segment(&row, number).map(|segment| segment.state);
    if state == Some(MessageState::Uncertain) {
        life::lose(tx, &mut row, number, (now, "no receipt came in time"))?;
    } else {
        forget_evidence(tx, &row, number)?;
    }
    life::refresh(tx, row, now)
}

/// The timer of a message's receipts went off: waits no longer for those that are overdue.
pub(in crate::store) fn wait_is_over(tx: &mut Tx<'_>, key: i64, now: Timestamp) -> Result<()> {
    let Some(mut row) = life::message(tx, key)? else {
        return Ok(());
    };
    let is_over = row.receipt_by.is_some_and(|by| by <= now);
    if row.state != MessageState::Submitted || !is_over {
        return Ok(());
    }
    for number in life::numbers(&row) {
        if life::segment(&row, number).is_some_and(|one| one.state == MessageState::Submitted) {
            let why = (now, "no receipt came in time");
            life::leave(&mut row, number, MessageState::NoReceipt, why);
        }
    }
    life::refresh(tx, row, now)
}

/// Forgets receipts that have waited too long, at most `limit`; tells how many.
pub(in crate::store) fn forget_old(tx: &mut Tx<'_>, now: Timestamp, limit: usize) -> Result<usize> {
    let memory = i64::try_from(PARKED_MEMORY.as_millis()).unwrap_or(i64::MAX);
    let before = now.0.saturating_sub(memory);
    let oldest: Vec<i64> = tx
        .indexes()
        .parked
        .all
        .iter()
        .take(limit)
        .copied()
        .collect();
    let mut forgotten = 0;
    for row in parked_rows(tx, &oldest)? {
        if row.at.0 <= before {
            tx.delete::<Parked>(&row_key(row.id))?;
            forgotten += 1;
        }
    }
    Ok(forgotten)
}

/// Forgets the oldest of the receipts that wait where they are too many.
pub(in crate::store) fn forget_surplus(tx: &mut Tx<'_>) -> Result<usize> {
    let parked = &tx.indexes().parked.all;
    let surplus = parked.len().saturating_sub(MAX_PARKED);
    let oldest: Vec<i64> = parked.iter().take(surplus).copied().collect();
    for id in &oldest {
        tx.delete::<Parked>(&row_key(*id))?;
    }
    Ok(surplus)
}

/// The phone that a receipt names.
pub(in crate::store) fn phone(receipt: &ReceiptIn) -> Option<&str> {
    receipt.handset.as_ref().map(E164::as_str)
}
