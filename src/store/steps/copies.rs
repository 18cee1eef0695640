//! What was taken a while ago, to tell a copy that an SMSC brings again from a new SMS.
//!
//! All that looks the same stands in one row, oldest first: a judgement reads that row alone.

use std::sync::Arc;

use uuid::Uuid;

use super::parts::{place, reference};
use crate::gateway::model::{TakenId, Timestamp};
use crate::store::tables::{Copies, CopyRow, Taken, copy_key, number};
use crate::store::tx::{Sequence, Tx};
use crate::store::{PART_WINDOW, REDELIVERY_WINDOW, Result, SmsIn};

const FINGERPRINTS: Uuid = Uuid::from_u128(0x7461_6b65_6e2d_736d_732d_6669_6e67_6572);
/// How many that look the same are remembered at once, as long as the oldest have been heard.
const MAX_ALIKE: usize = 1_000;
/// How many of them beyond their time are forgotten with each new one.
const FORGET: usize = 4;

/// What an SMS that came is.
pub(super) enum Judgement {
    New,
    /// One that we have.
    Copy(TakenId),
    /// A copy if this bind turns out to be dead.
    Undecided(Uuid),
}

/// What looks the same as an SMS.
pub(super) struct Alike {
    key: String,
    earlier: Option<Arc<Vec<CopyRow>>>,
}

/// Tells what an SMS is, by the rules of [`SmsIn`]. A copy takes the place of the first.
pub(super) fn judge(tx: &mut Tx<'_>, sms: &SmsIn) -> Result<(Judgement, Alike)> {
    let key = copy_key(&sms.link_group, &sms.from, &sms.to, fingerprint(sms));
    let earlier = tx.get::<Copies>(&key)?;
    let alike = earlier.as_deref().map_or(&[][..], Vec::as_slice);
    let judgement = among(alike, sms);
    if let Judgement::Copy(id) = judgement
        && sms.living_sessions.contains(&sms.session)
    {
        // Nobody hears an answer on a bind that is over: then the first one stays as it was.
        change(tx, &key, id, |one| {
            one.session = sms.session;
            one.heard = false;
            one.until = sms.at.after(REDELIVERY_WINDOW);
        })?;
    }
    Ok((judgement, Alike { key, earlier }))
}

fn among(alike: &[CopyRow], sms: &SmsIn) -> Judgement {
    let lives = |session: &Uuid| sms.living_sessions.contains(session);
    let find = |is: &dyn Fn(&CopyRow) -> bool| {
        let mut remembered = alike.iter().filter(|one| one.until > sms.at);
        remembered.find(|one| is(one)).copied()
    };
    let copy = |found: Option<CopyRow>| {
        found.map_or(Judgement::New, |one| Judgement::Copy(TakenId(one.id)))
    };
    if place(sms).is_some() || sms.peer_id.is_some() {
        return copy(find(&|_| true));
    }
    let elsewhere = |one: &CopyRow| one.session != sms.session;
    if !lives(&sms.session) {
        return copy(find(&elsewhere));
    }
    let open = |one: &CopyRow| !one.heard && elsewhere(one);
    match find(&|one| open(one) && !lives(&one.session)) {
        Some(cut_off) => Judgement::Copy(TakenId(cut_off.id)),
        None => find(&open).map_or(Judgement::New, |one| Judgement::Undecided(one.session)),
    }
}

fn change(
    tx: &mut Tx<'_>,
    key: &str,
    id: TakenId,
    change: impl FnOnce(&mut CopyRow),
) -> Result<()> {
    tx.update::<Copies>(key, |alike| {
        if let Some(one) = alike.iter_mut().find(|one| one.id == id.0) {
            change(one);
        }
    })?;
    Ok(())
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
pub(super) fn remember(tx: &mut Tx<'_>, sms: &SmsIn, alike: Alike) -> Result<TakenId> {
    let id = tx.next(Sequence::Taken)?;
    let mut rows = alike.earlier.map(Arc::unwrap_or_clone).unwrap_or_default();
    for forgotten in make_room(&mut rows, sms.at) {
        tx.delete::<Taken>(&number(forgotten))?;
    }
    rows.push(CopyRow {
        id,
        session: sms.session,
        named: sms.peer_id.is_some(),
        heard: false,
        until: sms.at.after(REDELIVERY_WINDOW),
    });
    tx.put::<Copies>(&alike.key, rows)?;
    tx.insert::<Taken>(&number(id), alike.key);
    Ok(TakenId(id))
}

/// Forgets some that are over, and the oldest that was heard where there are too many; gives their
/// ids.
fn make_room(alike: &mut Vec<CopyRow>, now: Timestamp) -> Vec<i64> {
    let mut forgotten: Vec<i64> = alike
        .iter()
        .filter(|one| one.until <= now)
        .map(|one| one.id)
        .take(FORGET)
        .collect();
    if forgotten.is_empty() && alike.len() >= MAX_ALIKE {
        let heard = alike.iter().find(|one| one.heard);
        forgotten.extend(heard.map(|one| one.id));
    }
    if !forgotten.is_empty() {
        alike.retain(|one| !forgotten.contains(&one.id));
    }
    forgotten
}

/// The peer has our answers: from now on only parts, and what waits in our own queues on a bind that
/// is over, can be copies.
pub(in crate::store) fn heard(tx: &mut Tx<'_>, ids: &[TakenId], now: Timestamp) -> Result<()> {
    let until = now.after(PART_WINDOW);
    let taken: Vec<String> = ids.iter().map(|id| number(id.0)).collect();
    tx.fetch::<Taken>(taken.iter().map(String::as_str));
    let mut found = Vec::with_capacity(ids.len());
    for (id, taken) in ids.iter().zip(&taken) {
        found.extend(tx.get::<Taken>(taken)?.map(|key| (*id, key)));
    }
    tx.fetch::<Copies>(found.iter().map(|(_, key)| key.as_str()));
    for (id, key) in found {
        change(tx, &key, id, |one| {
            one.heard = true;
            if !one.named {
                one.until = one.until.min(until);
            }
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(id: i64, heard: bool, until: i64) -> CopyRow {
        CopyRow {
            id,
            session: Uuid::nil(),
            named: false,
            heard,
            until: Timestamp(until),
        }
    }

    #[test]
    fn what_is_over_makes_room_a_few_at_a_time() {
        let mut alike: Vec<_> = (1..=6).map(|id| copy(id, true, 10)).collect();
        alike.push(copy(7, true, 11));
        assert_eq!(make_room(&mut alike, Timestamp(9)), Vec::<i64>::new());
        assert_eq!(make_room(&mut alike, Timestamp(10)), [1, 2, 3, 4]);
        assert_eq!(make_room(&mut alike, Timestamp(10)), [5, 6]);
        assert_eq!(make_room(&mut alike, Timestamp(10)), Vec::<i64>::new());
        assert_eq!(alike, [copy(7, true, 11)]);
    }

    #[test]
    fn of_too_many_the_oldest_that_was_heard_goes() {
        let of = |count| (1..=count).map(|id| copy(id, id > 1, 10));
        let most = i64::try_from(MAX_ALIKE).unwrap();
        let mut alike: Vec<_> = of(most).collect();
        assert_eq!(make_room(&mut alike, Timestamp(0)), [2]);
        assert_eq!(alike.len(), MAX_ALIKE - 1);
        assert_eq!(make_room(&mut alike, Timestamp(0)), Vec::<i64>::new());
        let mut unheard = vec![copy(1, false, 10); MAX_ALIKE];
        assert_eq!(make_room(&mut unheard, Timestamp(0)), Vec::<i64>::new());
    }
}
