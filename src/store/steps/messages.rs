//! Messages towards phones: accepted, shown, taken back.

use std::sync::Arc;

use matrix_smpp_config::Money;
use ruma::{OwnedEventId, OwnedServerName, ServerName};

use super::life;
use super::limits::{self, Judged};
use super::money::{self, Charge};
use super::opt_outs::{self, Unwanted};
use super::sweep::each;
use super::{conversations, inbox, leases, receipts};
use crate::gateway::model::{
    Conversation, E164Text, InboxSeq, MessageId, MessageState, Originator, Source, Timestamp,
};
use crate::store::tables::{
    EndedMessages, EventRow, Events, MessageNumbers, MessageRow, Messages, Meta, Packed, Paid,
    PlanRow, ReferenceRow, References, SegmentRow, event_key, number, numbers_key,
};
use crate::store::tx::{Sequence, Tx};
use crate::store::{
    Acceptance, Ending, MessageView, NewMessage, OriginatorPlan, Refusal, Result, StoreError,
};

/// The name in [`Meta`] of the homeservers whose events have become messages.
const HOMESERVERS: &str = "homeservers";

/// What accepting may come to before anything has been changed for good.
enum Sender {
    Chosen(Originator),
    NoneFree { pool: String },
}

pub(in crate::store) fn accept(tx: &mut Tx<'_>, new: &NewMessage) -> Result<Acceptance> {
    if let Some(known) = known(tx, new)? {
        return Ok(Acceptance::Repeated(known.state));
    }
    check(new)?;
    if tx.indexes().messages.open.len() >= new.most_waiting {
        return Ok(Acceptance::Refused(Refusal::QueueFull));
    }
    let conversation = conversations::get(tx, new.conversation)?
        .filter(|found| found.handset.number() == Some(new.destination))
        .ok_or_else(|| StoreError::Conflict("no such conversation with this number".to_owned()))?;
    if !conversation.active {
        return Ok(Acceptance::Refused(Refusal::ConversationEnded));
    }
    let unwanted = opt_outs::of(tx, &conversation.handset)?;
    if unwanted.is_plan(
        &conversation.owner,
        conversation.originator.as_ref(),
        &new.originators,
    ) {
        return Ok(Acceptance::Refused(Refusal::OptedOut));
    }
    let account = money::account(tx, &new.payer)?;
    let cost = cost(new)?;
    let charge = Charge {
        payer: new.payer.as_str(),
        message: new.id,
        now: new.now,
    };
    // Nothing is changed before the last refusal but that a limit was hit: a refused message leaves no
    // lease behind.
    if !money::covers(&account, cost) {
        let balance = account.balance;
        return Ok(Acceptance::Refused(Refusal::NoCredit { balance, cost }));
    }
    let counts = match limits::judge(tx, &conversation, new, cost)? {
        Judged::Fits(counts) => counts,
        Judged::Refused(why) => return Ok(Acceptance::Refused(why)),
    };
    let originator = match sender(tx, &conversation, &unwanted, new)? {
        Sender::Chosen(originator) => originator,
        Sender::NoneFree { pool } => {
            return Ok(Acceptance::Refused(Refusal::PoolExhausted { pool }));
        }
    };
    money::reserve(tx, charge, cost)?;
    limits::count(tx, &counts, new.now)?;
    queue(tx, new, originator)?;
    Ok(Acceptance::Queued {
        balance: money::account(tx, &new.payer)?.balance,
    })
}

/// The message, where it has been accepted before. An event names all that came from it for as long as
/// they are known, and it is at hand: most are new, and need not be looked for.
fn known(tx: &mut Tx<'_>, new: &NewMessage) -> Result<Option<Arc<MessageRow>>> {
    if let Source::Event {
        homeserver, event, ..
    } = &new.source
    {
        let event = tx.get::<Events>(&event_key(homeserver, event.as_str()))?;
        if event.is_none_or(|event| event.messages.is_empty()) {
            return Ok(None);
        }
    }
    find(tx, new.id)
}

/// Accepts all that an event says, and ends it. A refusal is an error here, so that what was accepted
/// before it is undone.
pub(in crate::store) fn accept_event(
    tx: &mut Tx<'_>,
    seq: InboxSeq,
    messages: &[NewMessage],
) -> Result<()> {
    each(messages, |new| match accept(tx, new)? {
        Acceptance::Queued { .. } | Acceptance::Repeated(_) => Ok(()),
        Acceptance::Refused(_) => Err(StoreError::Conflict("a message is refused".to_owned())),
    })?;
    inbox::finish(tx, seq, &Ending::Done)
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

fn cost(new: &NewMessage) -> Result<Money> {
    let parts = u32::try_from(new.segments.parts.len()).unwrap_or(u32::MAX);
    let cost = new.price.checked_mul(parts);
    cost.ok_or_else(|| StoreError::Conflict("the price is beyond what money can be".to_owned()))
}

/// The conversation's number, or a free one leased for it.
fn sender(
    tx: &mut Tx<'_>,
    conversation: &Conversation,
    unwanted: &Unwanted,
    new: &NewMessage,
) -> Result<Sender> {
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
            let candidates = candidates.filter(|number| !unwanted.is_number(number.as_str()));
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
    let waits = tx.indexes().messages.lanes.contains_key(&new.conversation);
    let segments = segments(tx, new, &originator, !waits)?;
    let key = tx.next(Sequence::Message)?;
    let mut row = MessageRow {
        plan: Packed::new(plan(new, key, originator)),
        state: MessageState::Queued,
        in_lane: true,
        failure: None,
        segments,
        steps: Vec::new(),
        told: Vec::new(),
    };
    row.step(None, MessageState::Queued, (new.now, "accepted".into()));
    tx.insert::<Messages>(&number(key), row);
    tx.insert::<MessageNumbers>(&new.id.to_string(), key);
    if let Source::Event {
        homeserver, event, ..
    } = &new.source
    {
        note_event(tx, &event_key(homeserver, event.as_str()), key, new.now)?;
        note_homeserver(tx, homeserver)?;
    }
    Ok(())
}

fn plan(new: &NewMessage, key: i64, originator: Originator) -> PlanRow {
    PlanRow {
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
        progress: new.progress,
        uncertain: new.uncertain,
        valid_until: new.valid_until,
        receipt_by: new.receipts.then_some(new.receipt_by),
        accepted_at: new.now,
    }
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
    let segments = parts.iter().map(|part| {
        let carried = part.carried(reference);
        SegmentRow {
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
        }
    });
    Ok(segments.collect())
}

/// The concatenation reference after the last one between these two numbers.
fn next_reference(tx: &mut Tx<'_>, originator: &Originator, new: &NewMessage) -> Result<u16> {
    let key = numbers_key(originator, &E164Text(new.destination));
    let last = tx.get::<References>(&key)?;
    let value = last.map_or(1, |last| last.value.wrapping_add(1));
    tx.put::<References>(&key, ReferenceRow { value, at: new.now })?;
    Ok(value)
}

/// Has a message found by the event that it comes from.
fn note_event(tx: &mut Tx<'_>, key: &str, message: i64, now: Timestamp) -> Result<()> {
    let is_known = tx.update::<Events>(key, |row| row.messages.push(message))?;
    if !is_known {
        let row = EventRow {
            seq: 0,
            at: now,
            about: None,
            messages: vec![message],
        };
        tx.put::<Events>(key, row)?;
    }
    Ok(())
}

fn note_homeserver(tx: &mut Tx<'_>, homeserver: &ServerName) -> Result<()> {
    let known = tx.get::<Meta>(HOMESERVERS)?;
    let known = known.as_deref().map_or("", String::as_str);
    if known.split(' ').any(|known| known == homeserver.as_str()) {
        return Ok(());
    }
    let all = format!("{known} {homeserver}");
    tx.put::<Meta>(HOMESERVERS, all.trim_start().to_owned())
}

/// The homeservers whose events have become messages.
pub(in crate::store) fn homeservers(tx: &mut Tx<'_>) -> Result<Vec<OwnedServerName>> {
    let known = tx.get::<Meta>(HOMESERVERS)?;
    let known = known.as_deref().map_or("", String::as_str);
    let names = known.split(' ').filter(|name| !name.is_empty());
    names
        .map(|name| {
            let name = OwnedServerName::try_from(name);
            name.map_err(|error| StoreError::Corrupt(format!("homeserver: {error}")))
        })
        .collect()
}

/// A message by its id.
pub(in crate::store) fn find(tx: &mut Tx<'_>, id: MessageId) -> Result<Option<Arc<MessageRow>>> {
    match life::number_of(tx, id)? {
        Some(key) => life::find(tx, key),
        None => Ok(None),
    }
}

impl MessageRow {
    /// One of its segments may have been sent twice.
    pub(in crate::store) fn may_be_twice(&self) -> bool {
        self.segments.iter().any(|segment| segment.resends > 0)
    }

    /// How many segments it has.
    pub(in crate::store) fn count(&self) -> u8 {
        u8::try_from(self.segments.len()).unwrap_or(u8::MAX)
    }

    /// What one of them costs.
    pub(in crate::store) fn price(&self) -> Result<Money> {
        let price = Money::from_micros(self.price);
        price.ok_or_else(|| StoreError::Corrupt("price: out of bounds".to_owned()))
    }

    fn view(&self) -> Result<MessageView> {
        Ok(MessageView {
            id: self.id,
            source: self.source.clone(),
            conversation: self.conversation,
            destination: self.destination.0,
            state: self.state,
            receipts: self.receipts,
            segments: self.count(),
            price: self.price()?,
            failure: self.failure.clone(),
            possible_duplicate: self.may_be_twice(),
        })
    }
}

pub(in crate::store) fn get(tx: &mut Tx<'_>, id: MessageId) -> Result<Option<MessageView>> {
    find(tx, id)?.map(|row| row.view()).transpose()
}

pub(in crate::store) fn of_event(
    tx: &mut Tx<'_>,
    homeserver: &ServerName,
    event: &OwnedEventId,
) -> Result<Vec<MessageView>> {
    let keys = keys_of(tx, homeserver, event)?;
    let mut views = Vec::new();
    each(keys, |key| {
        if let Some(row) = life::find(tx, key)? {
            views.push(row.view()?);
        }
        Ok(())
    })?;
    Ok(views)
}

/// The numbers of an event's messages, oldest first.
fn keys_of(tx: &mut Tx<'_>, homeserver: &ServerName, event: &OwnedEventId) -> Result<Vec<i64>> {
    let event = tx.get::<Events>(&event_key(homeserver, event.as_str()))?;
    Ok(event.map_or_else(Vec::new, |event| event.messages.clone()))
}

/// Takes back each of the event's messages of which no byte can have reached the peer.
pub(in crate::store) fn cancel_event(
    tx: &mut Tx<'_>,
    homeserver: &ServerName,
    event: &OwnedEventId,
    now: Timestamp,
) -> Result<Vec<MessageView>> {
    let keys = keys_of(tx, homeserver, event)?;
    each(keys, |key| match withdrawn(tx, key, (now, "taken back"))? {
        Some(row) => life::save_silently(tx, row, now),
        None => Ok(()),
    })?;
    of_event(tx, homeserver, event)
}

/// Takes a message back of which no byte can have reached the peer.
pub(in crate::store) fn take_back(
    tx: &mut Tx<'_>,
    key: i64,
    why: (Timestamp, &'static str),
) -> Result<()> {
    match withdrawn(tx, key, why)? {
        Some(row) => life::save(tx, row, why.0),
        None => Ok(()),
    }
}

/// A message that has just been taken back; `None` where a byte of it may have reached the peer.
fn withdrawn(
    tx: &mut Tx<'_>,
    key: i64,
    why: (Timestamp, &'static str),
) -> Result<Option<MessageRow>> {
    let Some(mut row) = life::message(tx, key)? else {
        return Ok(None);
    };
    // One that is to be sent again has left the lane, and its first bytes may have arrived.
    let unsent = row
        .segments
        .iter()
        .all(|segment| segment.state == MessageState::Queued && segment.in_lane);
    let withdrawn = unsent && life::withdraw(tx, &mut row, MessageState::Cancelled, why)?;
    Ok(withdrawn.then_some(row))
}

/// Forgets an ended message and all that leads to it. The ledger keeps what it cost.
pub(in crate::store) fn forget(tx: &mut Tx<'_>, row: &MessageRow) -> Result<()> {
    tx.delete::<EndedMessages>(&number(row.key))?;
    tx.delete::<MessageNumbers>(&row.id.to_string())?;
    receipts::forget_ids(tx, row)?;
    for segment in row.in_state(MessageState::Lost) {
        receipts::forget_evidence(tx, row, segment)?;
    }
    let Source::Event {
        homeserver, event, ..
    } = &row.source
    else {
        return Ok(());
    };
    let key = event_key(homeserver, event.as_str());
    let Some(known) = tx.get::<Events>(&key)? else {
        return Ok(());
    };
    if known.seq == 0 && known.messages == [row.key] {
        return tx.delete::<Events>(&key).map(drop);
    }
    tx.update::<Events>(&key, |known| known.messages.retain(|key| *key != row.key))
        .map(drop)
}
