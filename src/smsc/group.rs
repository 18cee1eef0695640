//! All links of one account at one peer, and the dispatcher that feeds them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::select_all;
use matrix_smpp_codec::Body;
use matrix_smpp_config::LinkGroup;
use matrix_smpp_session::{Link, LinkState};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use uuid::Uuid;

use super::connect::{self, Unusable};
use super::link::{self, Outgoing};
use super::submit;
use crate::crew::Crew;
use crate::flow::Gateway;
use crate::ops::metrics::Metrics;
use crate::store::{Answer, Claimed, Outcome};

/// The longest that the dispatcher sleeps without looking at the store.
const LOOK: Duration = Duration::from_secs(30);

/// A link group at work.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    links: Arc<[Outgoing]>,
}

/// The binds of a group that are up now.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    up: Mutex<Vec<(Uuid, Link)>>,
    /// Rings when a bind has ended, and when more is known of what peers have heard.
    pub(super) changed: Notify,
}

impl Sessions {
    fn up(&self) -> MutexGuard<'_, Vec<(Uuid, Link)>> {
        self.up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A bind came up on this link.
    pub(super) fn begin(&self, link: &Link) -> Uuid {
        let session = Uuid::new_v4();
        self.up().push((session, link.clone()));
        session
    }

    /// A bind went down.
    pub(super) fn end(&self, session: Uuid) {
        self.up().retain(|(one, _)| *one != session);
        self.changed.notify_waiters();
    }

    /// All that are up.
    pub(super) fn living(&self) -> Vec<Uuid> {
        self.up().iter().map(|(session, _)| *session).collect()
    }

    /// Asks a bind's peer whether it has our answers.
    pub(super) fn confirm(&self, session: Uuid) {
        let up = self.up();
        if let Some((_, link)) = up.iter().find(|(one, _)| *one == session) {
            link.confirm_answers();
        }
    }
}

impl Group {
    /// Starts the links' connections and pumps, and the dispatcher.
    pub(super) fn start(
        gateway: &Gateway,
        settings: &LinkGroup,
        crew: &Crew,
    ) -> Result<Self, Unusable> {
        let sessions = Arc::new(Sessions::default());
        let mut links = Vec::new();
        for one in &settings.links {
            let drain = gateway.settings.gateway.drain_timeout;
            let link_settings = connect::settings(settings, one, drain)?;
            let (handle, events, connection) = matrix_smpp_session::client(link_settings);
            crew.spawn("a link's connection", connection);
            let outgoing = Outgoing::new(one.name.clone(), handle);
            let pump = link::Pump::new(gateway, settings, outgoing.clone(), Arc::clone(&sessions));
            crew.spawn("a link's pump", pump.run(events));
            links.push(outgoing);
        }
        let group = Self {
            name: settings.name.clone(),
            links: links.into(),
        };
        let dispatcher = group.dispatcher(gateway.clone());
        crew.spawn("a dispatcher", dispatcher.run(crew.stop.clone()));
        Ok(group)
    }

    fn dispatcher(&self, gateway: Gateway) -> Dispatcher {
        Dispatcher {
            gateway,
            group: self.name.clone(),
            links: Arc::clone(&self.links),
        }
    }

    pub(super) fn close(&self) {
        self.links.iter().for_each(|one| one.handle.close());
    }

    pub(super) fn is_up(&self) -> bool {
        self.links
            .iter()
            .any(|one| one.handle.state() == LinkState::Bound)
    }

    pub(super) fn export(&self, metrics: &Metrics) {
        for one in self.links.iter() {
            one.export(&self.name, metrics);
        }
    }
}

/// Takes due segments from the store as fast as the links have room, and no faster: what is
/// claimed is as good as on the wire.
struct Dispatcher {
    gateway: Gateway,
    group: String,
    links: Arc<[Outgoing]>,
}

impl Dispatcher {
    async fn run(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = any_ready(&self.links) => {}
            }
            if self.feed().await {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.more_work() => {}
            }
        }
    }

    /// Claims what fits and hands it to the links. False when there is nothing to do now.
    async fn feed(&self) -> bool {
        let room: usize = self.links.iter().map(|one| one.handle.capacity()).sum();
        if room == 0 {
            return true;
        }
        let limit = room.min(self.gateway.settings.limits.claim_batch);
        let now = self.gateway.clock.now();
        match self.gateway.store.claim(&self.group, limit, now).await {
            Ok(claimed) if claimed.is_empty() => false,
            Ok(claimed) => {
                self.send(claimed).await;
                true
            }
            Err(error) => {
                warn!(%error, group = self.group, "cannot claim segments");
                tokio::time::sleep(self.gateway.settings.limits.retry_first).await;
                true
            }
        }
    }

    async fn send(&self, claimed: Vec<Claimed>) {
        let not_sent: Vec<_> = claimed
            .iter()
            .filter_map(|one| self.send_one(one))
            .collect();
        if !not_sent.is_empty() {
            link::record(&self.gateway, &not_sent).await;
        }
    }

    /// Gives the answer to record where no link takes the segment.
    fn send_one(&self, claimed: &Claimed) -> Option<Answer> {
        let now = self.gateway.clock.now();
        let answer = |outcome| Answer {
            segment: claimed.segment,
            attempt: claimed.attempt,
            outcome,
        };
        let pdu = match submit::submit_sm(claimed, &self.gateway.settings, now) {
            Ok(pdu) => pdu,
            Err(misfit) => {
                let reason = misfit.to_string();
                return Some(answer(Outcome::Unsendable { reason }));
            }
        };
        let roomiest = self.links.iter().max_by_key(|one| one.handle.capacity())?;
        match roomiest.submit(claimed, Body::SubmitSm(pdu)) {
            Ok(()) => {
                self.count(claimed);
                None
            }
            Err(_) => Some(answer(Outcome::NotWritten)),
        }
    }

    fn count(&self, sent: &Claimed) {
        if sent.possible_duplicate {
            self.gateway
                .metrics
                .possible_duplicates
                .with_label_values(&[&self.group])
                .inc();
        }
    }

    /// Until somebody rings, or the next retry falls due.
    async fn more_work(&self) {
        let pause = match self.gateway.store.next_due(&self.group).await {
            Ok(Some(at)) => self.gateway.clock.until(at).min(LOOK),
            Ok(None) => LOOK,
            Err(_) => self.gateway.settings.limits.retry_first.min(LOOK),
        };
        let Some(bell) = self.gateway.wakes.groups.get(&self.group) else {
            return tokio::time::sleep(pause).await;
        };
        tokio::select! {
            () = bell.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Until one of the links has room for a request. A group has at least one link.
async fn any_ready(links: &[Outgoing]) {
    select_all(links.iter().map(|one| Box::pin(one.handle.ready()))).await;
}
