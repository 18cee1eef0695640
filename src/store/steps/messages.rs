//! Messages towards phones: accepted, shown, taken back, forgotten.
//!
//! A message is accepted once because its id has a number from then on. Its price, its lease, its place
//! in the queue and its event's knowledge of it are changes of one operation: all or none.

use ruma::{OwnedEventId, ServerName};

use super::money::{self, Charge};
use super::{conversations, leases, life, receipts};
use crate::gateway::model::{
    Conversation, E164Text, MessageId, MessageState, Originator, Source, Timestamp,
};
use crate::store::tables::{
    EndedMessages, EventRow, Events, MessageNumbers, MessageRow, Messages, Meta, Paid,
    ReferenceRow, References, SegmentRow, event_key, number, numbers_key,
};
use crate::store::tx::{Sequence, Tx};
use crate::store::{
    Acceptance, MessageView, NewMessage, OriginatorPlan, Refusal, Result, StoreError,
};

/// The name in [`Meta`] of the homeservers whose events messages come from, with blanks between them.
pub(in crate::store) const HOMESERVERS: &str = "homeservers";

/// What accepting may come to before anything has been changed for good.
enum Sender {
    Chosen(Originator),
    NoneFree { pool: String },
}

pub(in crate::store) fn accept(tx: &mut Tx<'_>, new: &NewMessage) -> Result<Acceptance> {
    if let Some(known) = life::message_by_id(tx, new.id)? {
        return Ok(Acceptance::Repeated(known.state));
    }
    check(new)?;
    let conversation = conversations::get(tx, new.conversation)?
        .filter(|found| found.handset.number() == Some(new.destination))
        .ok_or_else(|| StoreError::Conflict("no such conversation with this number".to_owned()))?;
    if !conversation.active {
        return Ok(Acceptance::Refused(Refusal::ConversationEnded));
    }
    let account = money::account(tx, &new.payer)?;
    let cost = cost(new)?;
    // Nothing is changed before the last refusal: a refused message leaves no lease behind.
    if !money::covers(&account, cost) {
        let balance = account.balance;
        return Ok(Acceptance::Refused(Refusal::NoCredit { balance, cost }));
    }
    let originator = match sender(tx, &conversation, new)? {
        Sender::Chosen(originator) => originator,
        Sender::NoneFree { pool } => {
            return Ok(Acceptance::Refused(Refusal::PoolExhausted { pool }));
        }
    };
    let charge = Charge {
        payer: new.payer.as_str(),
        message: new.id,
        now: new.now,
    };
    money::reserve(tx, charge, cost)?;
    queue(tx, new, originator)?;
    Ok(Acceptance::Queued {
        balance: money::account(tx, &new.payer)?.balance,
    })
}

fn check(new: &NewMessage) -> Result<()> {
    let parts = new.segments.parts.len();
    if parts == 0 || parts > usize::from(u8::MAX) || new.price.micros() < 0 {
        return Err(StoreError::Conflict(
            "not a message: 1 to 255 segments, price 0 or more".to_owned(),
        ));
    }
    Ok(())
}

fn cost(new: &NewMessage) -> Result<matrix_smpp_config::Money> {
    let parts = u32::try_from(new.segments.parts.len()).unwrap_or(u32::MAX);
    let cost = new.price.checked_mul(parts);
    cost.ok_or_else(|| StoreError::Conflict("the price is beyond what money can be".to_owned()))
}

/// The conversation's number, or a free one leased for it.
fn sender(tx: &mut Tx<'_>, conversation: &Conversation, new: &NewMessage) -> Result<Sender> {
    if let Some(kept) = &conversation.originator {
        return Ok(Sender::Chosen(kept.clone()));
    }
    let originator = match &new.originators {
        OriginatorPlan::Shortcode(code) => Originator::Shortcode(code.clone()),
        OriginatorPlan::Vmns {
            pool,
            dedicated,
            numbers,
        } => {
            let candidates = dedicated.iter().copied().chain(numbers.iter());
            match leases::lease_one(tx, conversation, candidates, new.now)? {
                Some(vmn) => Originator::Vmn(E164Text(vmn)),
                None => return Ok(Sender::NoneFree { pool: pool.clone() }),
            }
        }
    };
    conversations::set_originator(tx, conversation.id, &originator)?;
    Ok(Sender::Chosen(originator))
}

fn queue(tx: &mut Tx<'_>, new: &NewMessage, originator: Originator) -> Result<()> {
    let key = tx.next(Sequence::Message)?;
    if let Source::Event {
        homeserver, event, ..
    } = &new.source
    {
        note_homeserver(tx, homeserver)?;
        note_in_event(tx, &event_key(homeserver, event.as_str()), key, new.now)?;
    }
    let ready = !tx.indexes().messages.lanes.contains_key(&new.conversation);
    let segments = segments(tx, new, &originator, ready)?;
    let mut row = MessageRow {
        key,
        id: new.id,
        source: new.source.clone(),
        conversation: new.conversation,
        destination: E164Text(new.destination),
        originator,
        payer: new.payer.clone(),
        route: new.route.clone(),
        link_group: new.link_group.clone(),
        price: new.price.micros(),
        data_coding: new.segments.data_coding.0,
        receipts: new.receipts,
        uncertain: new.uncertain,
        valid_until: new.valid_until,
        receipt_by: new.receipts.then_some(new.receipt_by),
        accepted_at: new.now,
        state: MessageState::Queued,
        lane_left: u8::try_from(segments.len()).unwrap_or(u8::MAX),
        failure: None,
        segments,
        steps: Vec::with_capacity(4),
    };
    life::step(&mut row, None, MessageState::Queued, (new.now, "accepted"));
    tx.insert::<MessageNumbers>(&new.id.to_string(), key);
    tx.insert::<Messages>(&number(key), row);
    Ok(())
}

/// The store knows whose events messages come from, for those who ask by an event's id alone.
fn note_homeserver(tx: &mut Tx<'_>, homeserver: &ServerName) -> Result<()> {
    let known = tx.get::<Meta>(HOMESERVERS)?;
    let known = known.as_ref().map_or("", |known| known.as_str());
    if known.split(' ').any(|one| one == homeserver) {
        return Ok(());
    }
    let all = format!("{known} {homeserver}").trim_start().to_owned();
    tx.put::<Meta>(HOMESERVERS, all)
}

/// The event knows the messages that come from it.
fn note_in_event(tx: &mut Tx<'_>, event: &str, key: i64, now: Timestamp) -> Result<()> {
    let mut row = match tx.get::<Events>(event)? {
        Some(row) => EventRow::clone(&row),
        None => EventRow {
            seq: 0,
            at: now,
            about: None,
            messages: Vec::new(),
        },
    };
    row.messages.push(key);
    tx.put::<Events>(event, row)
}

fn segments(
    tx: &mut Tx<'_>,
    new: &NewMessage,
    originator: &Originator,
    ready: bool,
) -> Result<Vec<SegmentRow>> {
    let parts = &new.segments.parts;
    let reference = match parts.len() {
        1 => 0,
        _ => next_reference(tx, originator, new)?,
    };
    let segment = |carried: matrix_smpp_codec::segment::Carried| SegmentRow {
        state: MessageState::Queued,
        ready,
        in_lane: true,
        due_at: new.now,
        attempt: 0,
        retries: 0,
        resends: 0,
        paid: Paid::Reserved,
        udhi: carried.udhi,
        payload: bytes::Bytes::copy_from_slice(&carried.short_message),
        tlvs: bytes::Bytes::copy_from_slice(carried.tlvs.as_bytes()),
        sent_as: Vec::new(),
    };
    Ok(parts
        .iter()
        .map(|part| segment(part.carried(reference)))
        .collect())
}

/// The concatenation reference after the last one between these two numbers.
fn next_reference(tx: &mut Tx<'_>, originator: &Originator, new: &NewMessage) -> Result<u16> {
    let key = numbers_key(originator, &E164Text(new.destination));
    let last = tx.get::<References>(&key)?;
    let value = last.map_or(1, |last| last.value.wrapping_add(1));
    tx.put::<References>(&key, ReferenceRow { value, at: new.now })?;
    Ok(value)
}

fn view(row: &MessageRow) -> Result<MessageView> {
    Ok(MessageView {
        id: row.id,
        source: row.source.clone(),
        conversation: row.conversation,
        destination: row.destination.0,
        state: row.state,
        receipts: row.receipts,
        segments: u8::try_from(row.segments.len()).unwrap_or(u8::MAX),
        price: price(row)?,
        failure: row.failure.clone(),
        possible_duplicate: was_resent(row),
    })
}

/// What one segment costs.
pub(in crate::store) fn price(row: &MessageRow) -> Result<matrix_smpp_config::Money> {
    matrix_smpp_config::Money::from_micros(row.price)
        .ok_or_else(|| StoreError::Corrupt("price: out of bounds".to_owned()))
}

/// One of its segments may have been sent twice.
pub(in crate::store) fn was_resent(row: &MessageRow) -> bool {
    row.segments.iter().any(|segment| segment.resends > 0)
}

pub(in crate::store) fn get(tx: &mut Tx<'_>, id: MessageId) -> Result<Option<MessageView>> {
    let row = life::message_by_id(tx, id)?;
    row.map(|row| view(&row)).transpose()
}

/// The messages that come from an event, in the order in which they were accepted.
pub(in crate::store) fn rows_of_event(tx: &mut Tx<'_>, event: &str) -> Result<Vec<MessageRow>> {
    let Some(event) = tx.get::<Events>(event)? else {
        return Ok(Vec::new());
    };
    let mut rows = Vec::with_capacity(event.messages.len());
    for key in &event.messages {
        rows.extend(life::message(tx, *key)?);
    }
    Ok(rows)
}

pub(in crate::store) fn of_event(
    tx: &mut Tx<'_>,
    homeserver: &ServerName,
    event: &OwnedEventId,
) -> Result<Vec<MessageView>> {
    let rows = rows_of_event(tx, &event_key(homeserver, event.as_str()))?;
    rows.iter().map(view).collect()
}

/// Takes back each of the event's messages of which no byte can have reached the peer.
pub(in crate::store) fn cancel_event(
    tx: &mut Tx<'_>,
    homeserver: &ServerName,
    event: &OwnedEventId,
    now: Timestamp,
) -> Result<Vec<MessageView>> {
    for mut row in rows_of_event(tx, &event_key(homeserver, event.as_str()))? {
        withdraw_unsent(tx, &mut row, (now, "taken back"))?;
        life::refresh_silently(tx, row, now)?;
    }
    of_event(tx, homeserver, event)
}

/// Takes a message back of which no byte can have reached the peer, with news.
pub(in crate::store) fn take_back(
    tx: &mut Tx<'_>,
    key: i64,
    happened: life::Happened<'_>,
) -> Result<()> {
    let Some(mut row) = life::message(tx, key)? else {
        return Ok(());
    };
    withdraw_unsent(tx, &mut row, happened)?;
    life::refresh(tx, row, happened.0)
}

fn withdraw_unsent(
    tx: &mut Tx<'_>,
    row: &mut MessageRow,
    happened: life::Happened<'_>,
) -> Result<()> {
    // One that is to be sent again has left the lane, and its first bytes may have arrived.
    let is_unsent = |one: &SegmentRow| one.state == MessageState::Queued && one.in_lane;
    if row.segments.iter().all(is_unsent) {
        life::withdraw(tx, row, MessageState::Cancelled, happened)?;
    }
    Ok(())
}

/// Forgets a message that ended long ago, with all that leads to it. The ledger keeps what it cost.
pub(in crate::store) fn forget(tx: &mut Tx<'_>, row: &MessageRow) -> Result<()> {
    receipts::forget_ids(tx, row)?;
    for number in life::numbers(row) {
        receipts::forget_evidence(tx, row, number)?;
    }
    if let Source::Event {
        homeserver, event, ..
    } = &row.source
    {
        let key = event_key(homeserver, event.as_str());
        let knows = tx
            .get::<Events>(&key)?
            .is_some_and(|one| one.messages.contains(&row.key));
        if knows {
            tx.update::<Events>(&key, |one| one.messages.retain(|key| *key != row.key))?;
        }
    }
    tx.delete::<MessageNumbers>(&row.id.to_string())?;
    tx.delete::<EndedMessages>(&number(row.key))?;
    Ok(())
}
