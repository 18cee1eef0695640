//! What one Matrix user may do within an hour, so that nobody has the gateway make rooms and phones
//! without end, or fill a room with notices. Counted in memory: a restart starts again.

use std::fmt;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use matrix_smpp_codec::e164::E164;
use matrix_smpp_config::Money;
use ruma::{OwnedRoomId, OwnedUserId, UserId};

use super::{Gateway, Trouble, voice};
use crate::gateway::allowance::{Allowance, Permission, WINDOW};
use crate::gateway::model::Timestamp;
use crate::gateway::names::Who;
use crate::gateway::{notice, number};
use crate::store::{InboxEvent, Lane, Refusal};

/// What was done within the hour.
#[derive(Default)]
pub struct Bounds {
    invites: Mutex<Allowance<OwnedUserId>>,
    rooms: Mutex<Allowance<OwnedUserId>>,
    unpaid: Mutex<Allowance<(OwnedUserId, OwnedRoomId)>>,
}

impl fmt::Debug for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bounds").finish_non_exhaustive()
    }
}

/// True where `inviter` may invite one more of our users. Where not, the bot says so once an hour
/// and the invitation stays as it is: to decline it, its ghost would have to be made.
pub(super) async fn may_invite(
    gateway: &Gateway,
    item: &InboxEvent,
    inviter: &UserId,
    guest: &UserId,
) -> Result<bool, Trouble> {
    let most = gateway.settings.limits.invites_per_hour;
    let what = format!("{} {guest}", item.room);
    let now = gateway.clock.now();
    let asked = ask(
        &gateway.bounds.invites,
        &inviter.to_owned(),
        &what,
        most,
        now,
    );
    if asked != Permission::Spent {
        return Ok(true);
    }
    gateway.metrics.declined.inc();
    let phone = match gateway.connected(&item.homeserver)?.names.who(guest) {
        Who::Ghost(handset) => number::display(&handset),
        _ => guest.to_string(),
    };
    let text = notice::too_many_invites(&phone, most);
    let key = format!("invites:{inviter}:{}", hour(now));
    let lane = Lane::Person(inviter.to_owned());
    voice::tell_apart(gateway, (key, lane), &item.homeserver, inviter, text).await?;
    Ok(false)
}

/// Why no room is made for `owner` and a phone, if so: their credit covers no text to it, or they
/// have had enough rooms made. Asked before anything is made.
pub(super) async fn no_room(
    gateway: &Gateway,
    owner: &UserId,
    number: E164,
    cost: Money,
) -> Result<Option<String>, Trouble> {
    let phone = number::display_number(number);
    let account = gateway.store.account(owner).await?;
    let left = account.balance.micros().saturating_sub(cost.micros());
    if cost > Money::ZERO && left < -account.limit.micros() {
        let why = Refusal::NoCredit {
            balance: account.balance,
            cost,
        };
        gateway.metrics.refused_by_store(&why);
        return Ok(Some(notice::refused(&why, &phone, &gateway.currency())));
    }
    let most = gateway.settings.limits.rooms_per_hour;
    let now = gateway.clock.now();
    let rooms = &gateway.bounds.rooms;
    let asked = ask(rooms, &owner.to_owned(), number.as_str(), most, now);
    Ok((asked == Permission::Spent).then(|| notice::too_many_rooms(&phone, most)))
}

/// How often the lack of credit is put in words to somebody who has never had any.
pub(super) fn unpaid(gateway: &Gateway, item: &InboxEvent, writer: &UserId) -> Permission {
    let most = gateway.settings.limits.unpaid_notices_per_hour;
    let who = (writer.to_owned(), item.room.clone());
    let (what, now) = (item.event_id.as_str(), gateway.clock.now());
    ask(&gateway.bounds.unpaid, &who, what, most, now)
}

fn ask<Whoever: Clone + Eq + Hash>(
    of: &Mutex<Allowance<Whoever>>,
    who: &Whoever,
    what: &str,
    most: usize,
    now: Timestamp,
) -> Permission {
    let mut of = of.lock().unwrap_or_else(PoisonError::into_inner);
    of.ask(who, what, most, now)
}

fn hour(now: Timestamp) -> i64 {
    let hour = i64::try_from(WINDOW.as_millis()).unwrap_or(i64::MAX);
    now.0.div_euclid(hour)
}
