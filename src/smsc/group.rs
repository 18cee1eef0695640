//! All links of one account at one peer, and the dispatcher that feeds them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use matrix_smpp_codec::Body;
use matrix_smpp_config::{Esme, LinkGroup};
use matrix_smpp_session::{Link, LinkEvents};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use uuid::Uuid;

use super::connect::{self, Unusable};
use super::esme;
use super::link::Pump;
use super::names;
use super::outgoing::Outgoing;
use super::record::{record, record_receipts};
use super::roster::Roster;
use super::submit::{self, Misfit};
use super::terms::{Side, Terms};
use crate::crew::Crew;
use crate::flow::Gateway;
use crate::ops::metrics::Metrics;
use crate::store::{
    Answer, Claimed, Outcome, OwedReceipt, ReceiptAnswer, ReceiptOutcome, StoreError,
};

/// The longest that the dispatcher sleeps without looking at the store.
const LOOK: Duration = Duration::from_secs(30);

/// A link group at work.
#[derive(Debug)]
pub(super) struct Group {
    name: String,
    /// On which a bind or a link begins.
    terms: Mutex<Terms>,
    links: Arc<Roster>,
    sessions: Arc<Sessions>,
    /// The links end, those too that are about to come.
    closing: CancellationToken,
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
    pub(super) fn dial(
        gateway: &Gateway,
        settings: &LinkGroup,
        crew: &Crew,
    ) -> Result<Self, Unusable> {
        let group = Self::new(Terms::from(settings));
        for one in &settings.links {
            let drain = gateway.settings.gateway.drain_timeout;
            let link_settings = connect::settings(settings, one, drain)?;
            let (handle, events, connection) = matrix_smpp_session::client(link_settings);
            crew.spawn("a link's connection", connection);
            let pump = group.add(gateway, Outgoing::new(one.name.clone(), handle, true));
            crew.spawn("a link's pump", pump.run(events));
        }
        group.dispatch(gateway, crew);
        Ok(group)
    }

    /// Starts the dispatcher for an account, which may bind later.
    pub(super) fn wait(gateway: &Gateway, settings: &Esme, crew: &Crew) -> Self {
        let group = Self::new(Terms::from(settings));
        gateway.wakes.groups.add_account(&group.name);
        group.dispatch(gateway, crew);
        group
    }

    fn new(terms: Terms) -> Self {
        Self {
            name: terms.group.clone(),
            terms: Mutex::new(terms),
            links: Arc::default(),
            sessions: Arc::default(),
            closing: CancellationToken::new(),
        }
    }

    fn terms(&self) -> MutexGuard<'_, Terms> {
        self.terms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Meets the account on these terms from its next bind on; tells whether they are others.
    pub(super) fn meet(&self, terms: Terms) -> bool {
        let mut known = self.terms();
        let is_other = *known != terms;
        *known = terms;
        is_other
    }

    fn add(&self, gateway: &Gateway, outgoing: Outgoing) -> Pump {
        self.links.add(outgoing.clone());
        // What is in the link's hands when this process is held up must not leave afterwards.
        let store = Arc::clone(&gateway.store);
        outgoing
            .handle
            .write_only_while(move || store.is_surely_ours());
        let sessions = Arc::clone(&self.sessions);
        Pump::new(gateway, self.terms().clone(), outgoing, sessions)
    }

    fn dispatch(&self, gateway: &Gateway, crew: &Crew) {
        let dispatcher = self.dispatcher(gateway);
        crew.spawn("a dispatcher", dispatcher.run(crew.stop.clone()));
    }

    /// What feeds its links.
    pub(super) fn dispatcher(&self, gateway: &Gateway) -> Dispatcher {
        Dispatcher {
            gateway: gateway.clone(),
            terms: self.terms().clone(),
            links: Arc::clone(&self.links),
        }
    }

    /// Serves a bind of the account until its end. `takes` where messages may be sent on it.
    pub(super) async fn serve(
        self: Arc<Self>,
        gateway: Gateway,
        bind: (Link, LinkEvents),
        takes: bool,
    ) {
        let (link, events) = bind;
        let name = self.links.name();
        let pump = self.add(&gateway, Outgoing::new(name.clone(), link.clone(), takes));
        if self.closing.is_cancelled() {
            link.close();
        }
        pump.run(events).await;
        self.links.remove(&name);
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is for the peer to bind to us.
    pub(super) fn is_account(&self) -> bool {
        self.terms().side != Side::Smsc
    }

    pub(super) fn close(&self) {
        self.closing.cancel();
        self.links.all().iter().for_each(|one| one.handle.close());
    }

    /// True where a link is bound, or where it is for the peer to bind.
    pub(super) fn is_up(&self) -> bool {
        self.is_account() || self.links.is_up()
    }

    pub(super) fn export(&self, metrics: &Metrics) {
        if self.is_account() {
            return self.links.export(self.name(), metrics);
        }
        for one in self.links.all() {
            one.export(self.name(), metrics);
        }
    }
}

/// Takes due segments and receipts from the store as fast as the links have room, and no faster: what
/// is claimed is as good as on the wire.
pub(super) struct Dispatcher {
    gateway: Gateway,
    terms: Terms,
    links: Arc<Roster>,
}

impl Dispatcher {
    async fn run(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.links.ready() => {}
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
        let links = self.links.takers();
        let room = room(&links);
        if room == 0 {
            return true;
        }
        let limit = room.min(self.gateway.settings.limits.claim_batch);
        match self.claim(&links, limit).await {
            Ok(claimed) => claimed > 0,
            Err(error) => {
                warn!(%error, group = self.terms.group, "cannot claim segments");
                tokio::time::sleep(self.gateway.settings.limits.retry_first).await;
                true
            }
        }
    }

    /// Sends what is due, at most so much; tells how much that was. Receipts have half of the room.
    async fn claim(&self, links: &[Outgoing], limit: usize) -> Result<usize, StoreError> {
        let receipts = match self.terms.side {
            Side::Smsc => 0,
            Side::Esme { .. } => self.claim_receipts(links, limit.div_ceil(2)).await?,
        };
        let limit = limit.saturating_sub(receipts);
        if limit == 0 {
            return Ok(receipts);
        }
        let now = self.gateway.clock.now();
        let store = &self.gateway.store;
        let claimed = store.claim(&self.terms.group, limit, now).await?;
        let not_sent: Vec<_> = claimed
            .iter()
            .filter_map(|one| self.send_one(links, one))
            .collect();
        record(&self.gateway, &not_sent).await;
        Ok(receipts + claimed.len())
    }

    async fn claim_receipts(&self, links: &[Outgoing], limit: usize) -> Result<usize, StoreError> {
        let now = self.gateway.clock.now();
        let store = &self.gateway.store;
        let owed = store.claim_receipts(&self.terms.group, limit, now).await?;
        let not_sent: Vec<_> = owed
            .iter()
            .filter_map(|one| self.send_receipt(links, one))
            .collect();
        record_receipts(&self.gateway, &not_sent).await;
        Ok(owed.len())
    }

    /// Gives the answer to record where no link takes the receipt.
    fn send_receipt(&self, links: &[Outgoing], owed: &OwedReceipt) -> Option<ReceiptAnswer> {
        if owed.possible_duplicate {
            warn!(
                group = self.terms.group,
                "a receipt is sent again and may arrive twice"
            );
        }
        let answer = |outcome| ReceiptAnswer {
            id: owed.id,
            attempt: owed.attempt,
            outcome,
        };
        // An address that came in a PDU fits into another.
        let shared = owed.name.as_deref();
        let shared = shared.and_then(|name| name.parse().ok());
        let name = shared.unwrap_or_else(|| names::name(self.gateway.store.instance(), &[owed.id]));
        let Ok(pdu) = esme::receipt(owed, &name) else {
            return Some(answer(ReceiptOutcome::Over));
        };
        let sent = self
            .taker(links)
            .map(|link| link.submit(owed, Body::DeliverSm(pdu)));
        match sent {
            Some(Ok(())) => None,
            _ => Some(answer(ReceiptOutcome::NotWritten)),
        }
    }

    /// Gives the answer to record where no link takes the segment.
    pub(super) fn send_one(&self, links: &[Outgoing], claimed: &Claimed) -> Option<Answer> {
        let answer = |outcome| Answer {
            segment: claimed.segment,
            attempt: claimed.attempt,
            outcome,
        };
        let pdu = match self.pdu(claimed) {
            Ok(pdu) => pdu,
            Err(misfit) => {
                let reason = misfit.to_string();
                return Some(answer(Outcome::Unsendable { reason }));
            }
        };
        match self.taker(links).map(|link| link.submit(claimed, pdu)) {
            Some(Ok(())) => {
                self.count(claimed);
                None
            }
            _ => Some(answer(Outcome::NotWritten)),
        }
    }

    /// The link that takes the next one. None where this process was held up for so long since its
    /// claim that another one may work on the store by now, and may send the same.
    pub(super) fn taker<'a>(&self, links: &'a [Outgoing]) -> Option<&'a Outgoing> {
        let may_send = self.gateway.store.is_surely_ours();
        may_send.then(|| roomiest(links)).flatten()
    }

    fn pdu(&self, claimed: &Claimed) -> Result<Body, Misfit> {
        let (routing, now) = (&self.gateway.routing(), self.gateway.clock.now());
        Ok(match self.terms.side {
            Side::Smsc => Body::SubmitSm(submit::submit_sm(claimed, routing, now)?),
            Side::Esme { .. } => Body::DeliverSm(submit::deliver_sm(claimed, routing, now)?),
        })
    }

    fn count(&self, sent: &Claimed) {
        if sent.possible_duplicate {
            self.gateway
                .metrics
                .possible_duplicates
                .with_label_values(&[&self.terms.group])
                .inc();
        }
    }

    /// Until somebody rings, or the next retry falls due.
    async fn more_work(&self) {
        let pause = match self.gateway.store.next_due(&self.terms.group).await {
            Ok(Some(at)) => self.gateway.clock.until(at).min(LOOK),
            Ok(None) => LOOK,
            Err(_) => self.gateway.settings.limits.retry_first.min(LOOK),
        };
        let Some(bell) = self.gateway.wakes.groups.of(&self.terms.group) else {
            return tokio::time::sleep(pause).await;
        };
        tokio::select! {
            () = bell.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// How much may leave now on all links together, some of which may keep to one rate.
fn room(links: &[Outgoing]) -> usize {
    let room: usize = links.iter().map(|one| one.handle.capacity()).sum();
    let shared = links.iter().filter_map(|one| one.handle.shared_capacity());
    shared.min().map_or(room, |shared| shared.min(room))
}

fn roomiest(links: &[Outgoing]) -> Option<&Outgoing> {
    links.iter().max_by_key(|one| one.handle.capacity())
}
