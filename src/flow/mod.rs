//! Code that moves things: from the durable inboxes to the durable queues and out to the peers.
//!
//! Each worker takes an item that the store holds, does steps that bear repetition, and ends the
//! item last. A process that dies anywhere in between starts the item again and changes nothing
//! that has been done.

mod aside;
mod bells;
mod bounds;
mod changes;
pub mod front;
mod inbox;
mod lanes;
pub mod look_back;
mod membership;
mod message;
pub mod outbox;
pub mod pools;
mod portal;
mod receipt;
mod room_commands;
mod routing;
pub mod sweep;
#[cfg(test)]
mod tests;
mod to_phone;
pub mod to_room;
mod upgrade;
mod voice;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use matrix_smpp_codec::e164::E164;
use matrix_smpp_config::{Route, Routing, Settings};
use ruma::{OwnedServerName, ServerName, UserId};
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::gateway::model::{Conversation, Originator, SmsId};
use crate::gateway::names::Names;
use crate::gateway::notice::Currency;
use crate::gateway::number;
use crate::gateway::opt_out::Words;
use crate::gateway::plan::{self, Unplannable};
use crate::matrix::ghost::{GhostError, Ghosts};
use crate::matrix::homeserver::{ErrorKind, Homeserver, MatrixError};
use crate::ops::metrics::Metrics;
use crate::store::{NewOutbox, Store, StoreError};

pub use bells::Bells;
pub use bounds::Bounds;
pub use inbox::run as run_inbox;
pub use lanes::Wake;
pub use routing::Current;

/// How long a number rests that is in no pool: a dedicated one, or one that left the config.
const COOLING_OFF: Duration = Duration::from_hours(30 * 24);

/// Everything that the workers share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gateway(Arc<Parts>);

/// The parts of a [`Gateway`].
#[derive(Debug)]
pub struct Parts {
    /// The operator's wishes at the start; what may change meanwhile is in `routing`.
    pub settings: Arc<Settings>,
    /// Where texts go now, and whose the numbers are.
    pub routing: Current,
    /// Everything durable.
    pub store: Arc<dyn Store>,
    /// The homeservers, by name.
    pub homeservers: BTreeMap<OwnedServerName, Connected>,
    /// Makes ghosts.
    pub ghosts: Ghosts,
    /// Tells the time.
    pub clock: Clock,
    /// Wakes the workers.
    pub wakes: Wakes,
    /// Counts.
    pub metrics: Metrics,
    /// What each Matrix user did within the hour, where that is limited.
    pub bounds: Bounds,
    /// With which phones say that they want no more texts.
    pub opt_out: Words,
}

/// A homeserver and the names of our users on it.
#[derive(Debug, Clone)]
pub struct Connected {
    /// Its client API.
    pub api: Arc<dyn Homeserver>,
    /// Our users there.
    pub names: Names,
}

/// One bell for each worker; rung after a commit that gave it work.
#[derive(Debug, Clone, Default)]
pub struct Wakes {
    /// Matrix events came.
    pub inbox: Wake,
    /// Whole SMS came.
    pub sms: Wake,
    /// Something must be said at a homeserver.
    pub outbox: Arc<Notify>,
    /// True after an outbox entry was put off because its homeserver gave no answer.
    pub unanswered: Arc<AtomicBool>,
    /// Segments wait for this link group.
    pub groups: Bells,
    /// The rooms of this homeserver are to be read back.
    pub look_back: Bells,
}

impl Wakes {
    /// Bells for these link groups.
    pub fn for_groups<'a>(groups: impl Iterator<Item = &'a str>) -> Self {
        Self {
            groups: Bells::new(groups),
            ..Self::default()
        }
    }

    /// And bells for these homeservers.
    #[must_use]
    pub fn and_homeservers<'a>(self, homeservers: impl Iterator<Item = &'a str>) -> Self {
        Self {
            look_back: Bells::new(homeservers),
            ..self
        }
    }

    /// Something that was set aside is back in its lane.
    pub fn again(&self) {
        self.inbox.ring_again();
        self.sms.ring_again();
        self.outbox.notify_one();
    }

    /// Rings for a link group.
    pub fn group(&self, name: &str) {
        self.groups.ring(name);
    }
}

impl Deref for Gateway {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Gateway {
    /// Shares the parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Where texts go now, and whose the numbers are.
    pub(crate) fn routing(&self) -> Arc<Routing> {
        self.routing.get()
    }

    /// A homeserver of the config.
    pub(crate) fn connected(&self, name: &ServerName) -> Result<&Connected, Trouble> {
        self.homeservers
            .get(name)
            .ok_or_else(|| Trouble::Never(format!("homeserver {name} is not in the config")))
    }

    /// The homeserver that a Matrix user's ghosts live on: their own where it is in the config,
    /// else the first.
    pub(crate) fn home_of(&self, user: &UserId) -> Result<&Connected, Trouble> {
        self.homeservers
            .get(user.server_name())
            .or_else(|| self.homeservers.values().next())
            .ok_or_else(|| Trouble::Never("the config names no homeserver".to_owned()))
    }

    /// True for our ghosts and bots, on any homeserver of the config.
    pub(crate) fn is_ours(&self, user: &UserId) -> bool {
        self.homeservers
            .get(user.server_name())
            .is_some_and(|home| home.names.is_ours(user))
    }

    /// Queues something to do at a homeserver.
    pub(crate) async fn enqueue(&self, entry: NewOutbox) -> Result<(), Trouble> {
        self.store.enqueue(vec![entry], self.clock.now()).await?;
        self.wakes.outbox.notify_one();
        Ok(())
    }

    /// Queues what a homeserver must hear of an SMS, and ends the SMS.
    pub(crate) async fn hand_on(&self, sms: SmsId, entry: NewOutbox) -> Result<(), Trouble> {
        self.store.hand_on(sms, entry, self.clock.now()).await?;
        self.wakes.outbox.notify_one();
        Ok(())
    }

    /// Something was set aside, and somebody hears of it.
    pub(crate) fn set_aside(&self) {
        self.metrics.set_aside.inc();
        self.wakes.outbox.notify_one();
    }

    /// A homeserver has spoken: what waits for one that gave no answer is tried again at once,
    /// instead of after its back-off, and rooms are read back.
    pub(crate) async fn heard_of_a_homeserver(&self) {
        if !self.wakes.unanswered.swap(false, Ordering::Relaxed) {
            return;
        }
        match self.store.hurry_outbox(self.clock.now()).await {
            Ok(()) => {
                self.wakes.outbox.notify_one();
                self.wakes.look_back.ring_all();
            }
            Err(_) => self.wakes.unanswered.store(true, Ordering::Relaxed),
        }
    }

    /// The numbers that belong to `owner`, by config or by CLI, and that phones can answer; a short
    /// code of theirs is none.
    pub(crate) async fn dedicated_numbers(&self, owner: &UserId) -> Result<Vec<E164>, Trouble> {
        let stored = self.store.dedicated().await?;
        let stored = stored
            .iter()
            .filter(|(_, who)| who == owner)
            .map(|(number, _)| number.as_str());
        let routing = self.routing();
        let configured = routing
            .dedicated
            .iter()
            .filter(|own| own.owner == owner)
            .map(|own| own.number.as_str());
        Ok(configured
            .chain(stored)
            .filter_map(|digits| match number::originator(digits) {
                Originator::Vmn(number) => Some(number.0),
                Originator::Shortcode(_) => None,
            })
            .collect())
    }

    /// The route to a number, or why there is none.
    pub(crate) async fn route_to(
        &self,
        number: E164,
    ) -> Result<Result<Route, Unplannable>, Trouble> {
        let dedicated = self.store.dedicated().await?;
        if dedicated.iter().any(|(own, _)| own == number.as_str()) {
            return Ok(Err(Unplannable::OwnNumber));
        }
        Ok(plan::route_to(&self.routing(), number).cloned())
    }

    /// How long a conversation's number rests after its end.
    pub(crate) fn cooling_off(&self, conversation: &Conversation) -> Duration {
        let number = conversation.originator.as_ref().map(Originator::digits);
        let routing = self.routing();
        let pool = number.and_then(|number| routing.pool_of(&number));
        pool.map_or(COOLING_OFF, |pool| pool.cooling_off)
    }

    /// How amounts are shown.
    pub(crate) fn currency(&self) -> Currency {
        Currency(self.settings.gateway.currency.clone())
    }
}

/// Why a piece of work could not be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It may work later.
    Later {
        /// How long the peer wishes us to wait.
        wish: Option<Duration>,
        /// For the log; nothing private.
        why: String,
    },
    /// It will never work.
    Never(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Later { why, .. } | Self::Never(why) => f.write_str(why),
        }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Lost => Self::Later {
                wish: None,
                why: error.to_string(),
            },
            StoreError::Conflict(_) | StoreError::Corrupt(_) => Self::Never(error.to_string()),
        }
    }
}

impl From<MatrixError> for Trouble {
    fn from(error: MatrixError) -> Self {
        match error.kind() {
            ErrorKind::Retry { after } => Self::Later {
                wish: after,
                why: error.to_string(),
            },
            _ => Self::Never(error.to_string()),
        }
    }
}

impl From<GhostError> for Trouble {
    fn from(error: GhostError) -> Self {
        match error {
            GhostError::Homeserver(error) => error.into(),
            GhostError::Store(error) => error.into(),
        }
    }
}
