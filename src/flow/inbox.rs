//! The worker of Matrix events: one lane a room.

use std::time::Duration;

use ruma::{OwnedRoomId, OwnedServerName};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::lanes::{self, Doom, LaneWork, Retry};
use super::{Gateway, Trouble, aside, changes, membership, message, upgrade};
use crate::gateway::model::InboxSeq;
use crate::matrix::event::{self, Parsed, RoomEvent};
use crate::store::{Ending, InboxEvent};

/// Handles what homeservers sent, until `stop`.
pub async fn run(gateway: Gateway, stop: CancellationToken) {
    let limits = &gateway.settings.limits;
    let (concurrency, retry) = (limits.inbox_concurrency, gateway.retry());
    let wake = gateway.wakes.inbox.clone();
    lanes::run(Events(gateway), concurrency, retry, wake, stop).await;
}

impl Gateway {
    /// How failed work is tried again.
    pub(crate) fn retry(&self) -> Retry {
        let limits = &self.settings.limits;
        Retry {
            first: limits.retry_first,
            cap: limits.retry_cap,
        }
    }

    /// The wait after failed attempt number `attempt`, 0 for the first.
    pub(crate) fn retry_wait(&self, attempt: u32) -> Duration {
        self.retry().wait(attempt, None)
    }
}

#[derive(Clone)]
pub(super) struct Events(pub(super) Gateway);

impl LaneWork for Events {
    type Item = InboxEvent;
    type Lane = (OwnedServerName, OwnedRoomId);
    type Place = InboxSeq;

    const START: InboxSeq = InboxSeq(0);

    fn lane(event: &InboxEvent) -> Self::Lane {
        (event.homeserver.clone(), event.room.clone())
    }

    fn place(event: &InboxEvent) -> InboxSeq {
        event.seq
    }

    async fn fetch(&self, after: InboxSeq, limit: usize) -> Result<Vec<InboxEvent>, Trouble> {
        Ok(self.0.store.pending_events(after, limit).await?)
    }

    async fn attend(&self, event: &InboxEvent) -> Result<(), Trouble> {
        self.0.heard_of_a_homeserver().await;
        let handled = handle(&self.0, event).await?;
        self.0.metrics.events.inc();
        match handled {
            Handled::Done => Ok(self.0.store.finish_event(event.seq, Ending::Done).await?),
            Handled::Ended => Ok(()),
        }
    }

    async fn set_aside(&self, event: &InboxEvent, doom: Doom) -> Result<(), Trouble> {
        let ending = aside::event(&self.0, event, doom).await?;
        self.0.store.finish_event(event.seq, ending).await?;
        self.0.set_aside();
        Ok(())
    }
}

/// How far an event is that was handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handled {
    /// Everything that follows from it is durable; it is to be ended.
    Done,
    /// And it has been ended with that.
    Ended,
}

/// Does what one event asks for.
async fn handle(gateway: &Gateway, item: &InboxEvent) -> Result<Handled, Trouble> {
    let parsed = event::parse(&item.json);
    match parsed.event {
        RoomEvent::Member(member) => {
            membership::handle(gateway, item, &parsed.sender, member).await?;
        }
        RoomEvent::Message(message) if !gateway.is_ours(&parsed.sender) => {
            return message::handle_event(gateway, item, &parsed.sender, &message).await;
        }
        _ => handle_parsed(gateway, item, parsed).await?,
    }
    Ok(Handled::Done)
}

/// Does what somebody's words, or a change of them, ask for. Memberships are none. They may have come
/// in another way than as an event of the inbox, so none is ended.
pub(super) async fn handle_said(gateway: &Gateway, item: &InboxEvent) -> Result<(), Trouble> {
    handle_parsed(gateway, item, event::parse(&item.json)).await
}

async fn handle_parsed(
    gateway: &Gateway,
    item: &InboxEvent,
    parsed: Parsed,
) -> Result<(), Trouble> {
    match parsed.event {
        _ if gateway.is_ours(&parsed.sender) => Ok(()),
        RoomEvent::Message(message) => {
            message::handle(gateway, item, &parsed.sender, &message).await
        }
        RoomEvent::Redaction { redacts } => {
            changes::redact(gateway, item, &parsed.sender, &redacts).await
        }
        RoomEvent::Reaction => changes::react(gateway, item, &parsed.sender).await,
        RoomEvent::Encryption => membership::leave_encrypted(gateway, item, &parsed.sender).await,
        RoomEvent::Encrypted => membership::unreadable(gateway, item, &parsed.sender).await,
        RoomEvent::Tombstone { replacement } => upgrade::follow(gateway, item, replacement).await,
        RoomEvent::Member(_) | RoomEvent::Other { .. } => {
            debug!(event = %item.event_id, "nothing to do");
            Ok(())
        }
    }
}
