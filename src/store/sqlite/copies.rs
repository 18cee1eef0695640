//! What was taken a while ago, to tell a copy that an SMSC brings again from a new SMS.

use rusqlite::{Connection, params};
use uuid::Uuid;

use super::rows::Sql as _;
use super::sms::{place, reference};
use crate::gateway::model::{TakenId, Timestamp};
use crate::store::{PART_WINDOW, REDELIVERY_WINDOW, Result, SmsIn};

const FINGERPRINTS: Uuid = Uuid::from_u128(0x7461_6b65_6e2d_736d_732d_6669_6e67_6572);

/// What an SMS that came is.
pub(super) enum Judgement {
    New,
    /// One that we have.
    Copy(TakenId),
    /// A copy if this bind turns out to be dead.
    Undecided(Uuid),
}

/// One that was taken.
#[derive(Clone, Copy)]
struct Earlier {
    id: TakenId,
    session: Uuid,
    heard: bool,
}

/// Tells what an SMS is, by the rules of [`SmsIn`]. A copy takes the place of the first.
pub(super) fn judge(tx: &Connection, sms: &SmsIn) -> Result<Judgement> {
    let judgement = among(&earlier(tx, sms)?, sms);
    if let Judgement::Copy(id) = judgement
        && sms.living_sessions.contains(&sms.session)
    {
        // Nobody hears an answer on a bind that is over: then the first one stays as it was.
        tx.run(
            "UPDATE taken SET session = ?2, heard = 0, until = ?3 WHERE id = ?1",
            params![id, sms.session.as_bytes(), sms.at.after(REDELIVERY_WINDOW)],
        )?;
    }
    Ok(judgement)
}

fn among(earlier: &[Earlier], sms: &SmsIn) -> Judgement {
    let lives = |session: &Uuid| sms.living_sessions.contains(session);
    let find = |is: &dyn Fn(&Earlier) -> bool| earlier.iter().copied().find(|one| is(one));
    let copy = |found: Option<Earlier>| found.map_or(Judgement::New, |one| Judgement::Copy(one.id));
    if place(sms).is_some() || sms.peer_id.is_some() {
        return copy(earlier.first().copied());
    }
    let elsewhere = |one: &Earlier| one.session != sms.session;
    if !lives(&sms.session) {
        return copy(find(&elsewhere));
    }
    let open = |one: &Earlier| !one.heard && elsewhere(one);
    match find(&|one| open(one) && !lives(&one.session)) {
        Some(cut_off) => Judgement::Copy(cut_off.id),
        None => find(&open).map_or(Judgement::New, |one| Judgement::Undecided(one.session)),
    }
}

/// Those that look the same, oldest first.
fn earlier(tx: &Connection, sms: &SmsIn) -> Result<Vec<Earlier>> {
    tx.all(
        "SELECT id, session, heard FROM taken
         WHERE link_group = ?1 AND handset = ?2 AND number = ?3 AND fingerprint = ?4 AND until > ?5
         ORDER BY id",
        params![
            sms.link_group,
            sms.from,
            sms.to,
            fingerprint(sms).as_bytes(),
            sms.at
        ],
        |row| {
            Ok(Earlier {
                id: row.get("id")?,
                session: Uuid::from_bytes(row.get("session")?),
                heard: row.get("heard")?,
            })
        },
    )
}

/// The same for the same part of the same SMS.
fn fingerprint(sms: &SmsIn) -> Uuid {
    let mut name = vec![sms.data_coding.0];
    if let Some(concat) = place(sms) {
        name.extend_from_slice(reference(concat).as_bytes());
        name.extend_from_slice(&[b'/', concat.total, concat.index]);
    }
    for identity in [
        sms.user_message_reference
            .map(|number| format!("u{number}")),
        sms.peer_id.as_ref().map(|id| format!("p{id}")),
    ] {
        name.extend_from_slice(identity.unwrap_or_default().as_bytes());
        name.push(0);
    }
    name.extend_from_slice(&sms.payload);
    Uuid::new_v5(&FINGERPRINTS, &name)
}

/// Notes an SMS or a part that was taken now; its answer is still to come.
pub(super) fn remember(tx: &Connection, sms: &SmsIn) -> Result<TakenId> {
    tx.run(
        "INSERT INTO taken (link_group, handset, number, fingerprint, session, named, heard, until)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7)",
        params![
            sms.link_group,
            sms.from,
            sms.to,
            fingerprint(sms).as_bytes(),
            sms.session.as_bytes(),
            sms.peer_id.is_some(),
            sms.at.after(REDELIVERY_WINDOW)
        ],
    )?;
    Ok(TakenId(tx.last_insert_rowid()))
}

/// The peer has our answers: from now on only parts, and what waits in our own queues on a bind that
/// is over, can be copies.
pub(super) fn heard(tx: &Connection, ids: &[TakenId], now: Timestamp) -> Result<()> {
    let until = now.after(PART_WINDOW);
    ids.iter().try_for_each(|id| {
        tx.run(
            "UPDATE taken SET heard = 1, until = iif(named, until, min(until, ?2)) WHERE id = ?1",
            params![id, until],
        )
        .map(drop)
    })
}
