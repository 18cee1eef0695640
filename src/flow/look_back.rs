//! Finds what a homeserver has accepted into a room and never told us.
//!
//! A homeserver that is killed can forget what it was about to write down for its application
//! services (Synapse does): the event is in its room, its writer sees it as sent, and no transaction
//! will ever bring it. So rooms are read back after whatever may have been such an end, and now and
//! then without any reason. What nobody has brought is taken in as a transaction would be, by event
//! id: what comes by both ways is handled once.
//!
//! Nothing is taken that was said while none of ours was in the room, nor anything older than
//! `limits.look_back`, which is far less than events are known for. An invitation into a room that none
//! of ours is in cannot be found so: nobody of ours can read that room.

mod room;

use std::time::Duration;

use futures_util::future::join_all;
use matrix_smpp_config::Limits;
use ruma::{OwnedServerName, ServerName};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::room::Reading;
use super::{Connected, Gateway, Trouble};
use crate::gateway::model::Timestamp;
use crate::store::{NewEvent, RoomFacts, Transaction};

/// How many rooms are looked at before what was found in them is taken in.
const ROOMS: usize = 100;

/// How often a room is tried before it is left out.
const ATTEMPTS: u32 = 5;

/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What a homeserver's clock may differ from ours without a room being read further back than needed.
const SKEW: Duration = Duration::from_mins(10);

/// How the reading is spread over time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// From the reason to the first room: what waits at the homeserver comes meanwhile.
    pub(super) settle: Duration,
    /// Between two rooms.
    pub(super) pause: Duration,
    /// From finding something to taking it in: it may be on its way.
    pub(super) grace: Duration,
    /// All rooms are read again after so long without a reason.
    pub(super) period: Duration,
}

const PACE: Pace = Pace {
    settle: Duration::from_secs(2),
    pause: Duration::from_millis(50),
    grace: Duration::from_secs(2),
    period: Duration::from_hours(6),
};

/// Reads the rooms of each homeserver back when its bell rings, until `stop`.
pub async fn run(gateway: Gateway, stop: CancellationToken) {
    let watches = gateway.homeservers.iter();
    let watches = watches.map(|(name, home)| Watch::new(&gateway, name, home, PACE).run());
    tokio::select! {
        () = stop.cancelled() => {}
        _ = join_all(watches) => {}
    }
}

/// The rooms of one homeserver.
pub(super) struct Watch<'a> {
    gateway: &'a Gateway,
    name: &'a OwnedServerName,
    home: &'a Connected,
    pace: Pace,
    /// Everything that was said before has been looked for.
    done_until: Option<Timestamp>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(
        gateway: &'a Gateway,
        name: &'a OwnedServerName,
        home: &'a Connected,
        pace: Pace,
    ) -> Self {
        Self {
            gateway,
            name,
            home,
            pace,
            done_until: None,
        }
    }

    async fn run(mut self) {
        let Some(bell) = self.gateway.wakes.look_back.of(self.name.as_str()) else {
            return std::future::pending().await;
        };
        if self.gateway.settings.limits.look_back.is_zero() {
            return std::future::pending().await;
        }
        let due = self.gateway.metrics.look_backs_due(self.name);
        loop {
            tokio::select! {
                () = bell.notified() => {}
                () = tokio::time::sleep(self.pace.period) => {}
            }
            due.set(1);
            tokio::time::sleep(self.pace.settle).await;
            self.read_all().await;
            due.set(0);
        }
    }

    /// Looks through all rooms once. Tells how many events were found.
    pub(super) async fn read_all(&mut self) -> usize {
        let began = self.gateway.clock.now();
        let mut whole = true;
        let mut found = 0;
        let mut from = None;
        loop {
            let page = match self.gateway.store.rooms(from, ROOMS).await {
                Ok(page) => page,
                Err(error) => {
                    warn!(%error, "rooms are not read back");
                    return found;
                }
            };
            let here = page
                .rooms
                .iter()
                .filter(|room| room.homeserver == *self.name);
            let (missed, all) = self.read(here, began).await;
            whole &= all;
            found += self.take(missed).await;
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        if whole {
            self.done_until = Some(began);
        }
        if found > 0 {
            warn!(homeserver = %self.name, found, "events that were never brought were read back");
        } else {
            info!(homeserver = %self.name, whole, "rooms were read back; nothing is missing");
        }
        found
    }

    /// What is missing in each of these rooms, and whether all of them could be read.
    async fn read(
        &self,
        rooms: impl Iterator<Item = &RoomFacts>,
        now: Timestamp,
    ) -> (Vec<Vec<NewEvent>>, bool) {
        let mut missed = Vec::new();
        let mut whole = true;
        for room in rooms {
            match self.try_room(room, now).await {
                Ok(events) if events.is_empty() => {}
                Ok(events) => missed.push(events),
                Err(why) => {
                    warn!(homeserver = %self.name, %why, "a room is not read back");
                    whole = false;
                }
            }
            tokio::time::sleep(self.pace.pause).await;
        }
        (missed, whole)
    }

    async fn try_room(&self, room: &RoomFacts, now: Timestamp) -> Result<Vec<NewEvent>, Trouble> {
        let reading = Reading {
            gateway: self.gateway,
            home: self.home,
            room,
            span: Span::new(&self.gateway.settings.limits, now, self.done_until),
        };
        let mut attempt = 0;
        loop {
            match reading.missed().await {
                Err(Trouble::Later { wish, .. }) if attempt + 1 < ATTEMPTS => {
                    let wait = wish.unwrap_or_else(|| self.gateway.retry_wait(attempt));
                    tokio::time::sleep(wait.min(LONGEST_WAIT)).await;
                    attempt += 1;
                }
                done => return done,
            }
        }
    }

    /// Takes in what has not come meanwhile.
    async fn take(&self, missed: Vec<Vec<NewEvent>>) -> usize {
        if missed.is_empty() {
            return 0;
        }
        tokio::time::sleep(self.pace.grace).await;
        let mut found = 0;
        for events in missed {
            let transaction = Transaction {
                homeserver: self.name.clone(),
                txn_id: "read back".to_owned(),
                events,
                extras: None,
                at: self.gateway.clock.now(),
                most_waiting: self.gateway.settings.limits.inbox_events,
            };
            match self.gateway.store.take_transaction(transaction).await {
                Ok(taken) => found += taken.new,
                // The next reading finds them again.
                Err(error) => warn!(%error, "what was read back could not be stored"),
            }
        }
        let count = u64::try_from(found).unwrap_or(u64::MAX);
        self.gateway.metrics.read_back.inc_by(count);
        self.gateway.wakes.inbox.ring();
        found
    }
}

/// Which events count.
#[derive(Debug, Clone, Copy)]
struct Span {
    /// What is older is not taken.
    oldest: Timestamp,
    /// What says that it is younger says so by mistake, or lies.
    youngest: Timestamp,
    /// What is older has been looked for.
    done_until: Timestamp,
}

impl Span {
    fn new(limits: &Limits, now: Timestamp, done_until: Option<Timestamp>) -> Self {
        let oldest = before(now, limits.look_back);
        Self {
            oldest,
            youngest: now.after(limits.look_back),
            done_until: done_until.map_or(oldest, |until| before(until, SKEW).max(oldest)),
        }
    }
}

fn before(at: Timestamp, time: Duration) -> Timestamp {
    let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    Timestamp(at.0.saturating_sub(millis))
}

impl Gateway {
    /// A homeserver may have ended and begun again: its rooms are read back.
    pub(crate) fn look_back(&self, homeserver: &ServerName) {
        self.wakes.look_back.ring(homeserver.as_str());
    }
}
