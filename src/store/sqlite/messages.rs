//! Messages towards phones: accepted, shown, taken back.

use ruma::{OwnedEventId, ServerName};
use rusqlite::{Connection, Row, params};

use super::conversations;
use super::leases;
use super::life;
use super::money::{self, Charge};
use super::rows::{self, Sql as _, e164, json, to_json};
use crate::gateway::model::{
    Conversation, E164Text, MessageId, MessageState, Originator, Source, Timestamp,
};
use crate::store::{
    Acceptance, MessageView, NewMessage, OriginatorPlan, Refusal, Result, StoreError,
};

/// What accepting may come to before anything has been changed for good.
enum Sender {
    Chosen(Originator),
    NoneFree { pool: String },
}

pub(super) fn accept(tx: &Connection, new: &NewMessage) -> Result<Acceptance> {
    if let Some(known) = get(tx, new.id)? {
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
    let charge = Charge {
        payer: new.payer.as_str(),
        message: new.id,
        now: new.now,
    };
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
    money::reserve(tx, charge, cost)?;
    queue(tx, new, &originator)?;
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
fn sender(tx: &Connection, conversation: &Conversation, new: &NewMessage) -> Result<Sender> {
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

fn queue(tx: &Connection, new: &NewMessage, originator: &Originator) -> Result<()> {
    let (homeserver, event) = match &new.source {
        Source::Event {
            homeserver, event, ..
        } => (Some(homeserver.as_str()), Some(event.as_str())),
        Source::Sms { .. } => (None, None),
    };
    let waits = tx.any(
        "SELECT 1 FROM message WHERE conversation = ?1 AND lane_left > 0 LIMIT 1",
        [new.conversation],
    )?;
    let parts = rows::limit(new.segments.parts.len());
    tx.run(
        "INSERT INTO message (id, source, homeserver, event, conversation, destination, originator,
             payer, route, link_group, price, data_coding, segments, receipts, uncertain,
             valid_until, receipt_by, accepted_at, state, lane_left)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, 0,
             ?13)",
        params![
            new.id,
            to_json(&new.source)?,
            homeserver,
            event,
            new.conversation,
            new.destination.as_str(),
            originator,
            new.payer.as_str(),
            new.route,
            new.link_group,
            new.price.micros(),
            new.segments.data_coding.0,
            parts,
            new.receipts,
            to_json(&new.uncertain)?,
            new.valid_until,
            new.receipts.then_some(new.receipt_by),
            new.now
        ],
    )?;
    let key = tx.last_insert_rowid();
    queue_segments(tx, new, key, originator, !waits)?;
    let Some(message) = life::message(tx, key)? else {
        return Ok(());
    };
    life::step(
        tx,
        &message,
        None,
        MessageState::Queued,
        (new.now, "accepted"),
    )
}

fn queue_segments(
    tx: &Connection,
    new: &NewMessage,
    key: i64,
    originator: &Originator,
    ready: bool,
) -> Result<()> {
    let parts = &new.segments.parts;
    let reference = match parts.len() {
        1 => 0,
        _ => next_reference(tx, originator, new)?,
    };
    for (number, part) in (1_u8..=u8::MAX).zip(parts) {
        let carried = part.carried(reference);
        tx.run(
            "INSERT INTO segment
                 (message, number, link_group, state, ready, in_lane, due_at, udhi, payload, tlvs)
             VALUES (?1, ?2, ?3, 0, ?4, 1, ?5, ?6, ?7, ?8)",
            params![
                key,
                number,
                new.link_group,
                ready,
                new.now,
                carried.udhi,
                &carried.short_message[..],
                carried.tlvs.as_bytes()
            ],
        )?;
    }
    Ok(())
}

/// The concatenation reference after the last one between these two numbers.
fn next_reference(tx: &Connection, originator: &Originator, new: &NewMessage) -> Result<u16> {
    let value = tx.number(
        "INSERT INTO reference (originator, destination, value, at) VALUES (?1, ?2, 1, ?3)
         ON CONFLICT (originator, destination)
         DO UPDATE SET value = (value + 1) % 65536, at = excluded.at
         RETURNING value",
        params![originator, new.destination.as_str(), new.now],
    )?;
    u16::try_from(value).map_err(|error| StoreError::Corrupt(format!("reference: {error}")))
}

const VIEW: &str = "SELECT id, source, conversation, destination, state, receipts, segments, price,
    failure,
    EXISTS (SELECT 1 FROM segment WHERE segment.message = message.key AND resends > 0) AS twice
    FROM message";

fn read_view(row: &Row<'_>) -> Result<MessageView> {
    let failure: Option<String> = row.get("failure")?;
    Ok(MessageView {
        id: row.get("id")?,
        source: json(row, "source")?,
        conversation: row.get("conversation")?,
        destination: e164(row, "destination")?,
        state: row.get("state")?,
        receipts: row.get("receipts")?,
        segments: row.get("segments")?,
        price: rows::money(row, "price")?,
        failure: failure
            .is_some()
            .then(|| json(row, "failure"))
            .transpose()?,
        possible_duplicate: row.get("twice")?,
    })
}

pub(super) fn get(tx: &Connection, id: MessageId) -> Result<Option<MessageView>> {
    tx.one(&format!("{VIEW} WHERE id = ?1"), [id], read_view)
}

pub(super) fn of_event(
    tx: &Connection,
    homeserver: &ServerName,
    event: &OwnedEventId,
) -> Result<Vec<MessageView>> {
    tx.all(
        &format!("{VIEW} WHERE homeserver = ?1 AND event = ?2 ORDER BY key"),
        params![homeserver.as_str(), event.as_str()],
        read_view,
    )
}

/// Takes back each of the event's messages of which no byte can have reached the peer.
pub(super) fn cancel_event(
    tx: &Connection,
    homeserver: &ServerName,
    event: &OwnedEventId,
    now: Timestamp,
) -> Result<Vec<MessageView>> {
    let keys: Vec<i64> = tx.all(
        "SELECT key FROM message WHERE homeserver = ?1 AND event = ?2",
        params![homeserver.as_str(), event.as_str()],
        |row| Ok(row.get(0)?),
    )?;
    for key in keys {
        take_back(tx, key, (now, "taken back"))?;
        life::refresh_silently(tx, key, now)?;
    }
    of_event(tx, homeserver, event)
}

/// Takes a message back of which no byte can have reached the peer. Its refreshing is left to the
/// caller.
pub(super) fn take_back(tx: &Connection, key: i64, (now, why): (Timestamp, &str)) -> Result<()> {
    let Some(message) = life::message(tx, key)? else {
        return Ok(());
    };
    // One that is to be sent again has left the lane, and its first bytes may have arrived.
    let unsent = life::segments(tx, key)?
        .iter()
        .all(|segment| segment.state == MessageState::Queued && segment.in_lane);
    if unsent {
        life::withdraw(tx, &message, MessageState::Cancelled, (now, why))?;
    }
    Ok(())
}
