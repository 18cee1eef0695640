//! The pump of one link, which takes in what its peer says.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use matrix_smpp_codec::{Body, CommandStatus};
use matrix_smpp_session::{LinkEvent, LinkEvents, Ticket};
use tracing::{info, warn};
use uuid::Uuid;

use super::group::Sessions;
use super::inbound::{Inbound, Request, Undecided};
use super::outgoing::{Outgoing, Told};
use super::record::{record, record_receipts};
use super::terms::Terms;
use super::verdict::{Verdict, verdict};
use crate::flow::Gateway;
use crate::gateway::model::TakenId;
use crate::store::{Answer, Outcome, ReceiptAnswer};

/// How many events are taken in at once, and so how many changes share a commit.
const BATCH: usize = 256;

/// SMS of one link that may wait for word from another bind.
const MAX_UNDECIDED: usize = 256;

/// Takes in what a link's peer says: answers are recorded, requests are made durable and then
/// answered.
pub(super) struct Pump {
    gateway: Gateway,
    group: String,
    outgoing: Outgoing,
    inbound: Inbound,
    sessions: Arc<Sessions>,
    session: Option<Uuid>,
}

/// What a batch of events asks for.
#[derive(Default)]
struct Sorted {
    answers: Vec<Answer>,
    receipts: Vec<ReceiptAnswer>,
    requests: Vec<Request>,
    heard: Vec<TakenId>,
    ended: Vec<Uuid>,
}

impl Sorted {
    fn note(&mut self, told: Option<Told>) {
        match told {
            Some(Told::Segment(answer)) => self.answers.push(answer),
            Some(Told::Receipt(answer)) => self.receipts.push(answer),
            None => {}
        }
    }
}

impl Pump {
    pub(super) fn new(
        gateway: &Gateway,
        terms: Terms,
        outgoing: Outgoing,
        sessions: Arc<Sessions>,
    ) -> Self {
        Self {
            gateway: gateway.clone(),
            group: terms.group.clone(),
            inbound: Inbound::new(
                gateway.clone(),
                terms,
                outgoing.handle.clone(),
                Arc::clone(&sessions),
            ),
            outgoing,
            sessions,
            session: None,
        }
    }

    /// Until the link is closed.
    pub(super) async fn run(mut self, mut events: LinkEvents) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut undecided = FuturesUnordered::new();
        loop {
            tokio::select! {
                count = events.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        return;
                    }
                    for one in self.take_in(&mut batch).await {
                        if undecided.len() < MAX_UNDECIDED {
                            undecided.push(self.inbound.clone().settle(one));
                        } else {
                            self.inbound.finish(one).await;
                        }
                    }
                }
                Some(()) = undecided.next() => {}
            }
        }
    }

    /// Takes in a batch of events; gives back the SMS that only another bind can tell from copies.
    async fn take_in(&mut self, batch: &mut Vec<LinkEvent>) -> Vec<Undecided> {
        let mut sorted = Sorted::default();
        for event in batch.drain(..) {
            self.sort(event, &mut sorted);
        }
        if !sorted.ended.is_empty() {
            // Before anybody takes the bind for dead: what its peer heard is no copy's first.
            self.note_heard(std::mem::take(&mut sorted.heard)).await;
            sorted
                .ended
                .iter()
                .for_each(|session| self.sessions.end(*session));
        }
        let living = self.sessions.living();
        let heard = self.note_heard(sorted.heard);
        let recorded = async {
            record(&self.gateway, &sorted.answers).await;
            record_receipts(&self.gateway, &sorted.receipts).await;
        };
        let taken = self.inbound.take(sorted.requests, &living);
        // In this order they reach the store: what was heard comes before what may be a copy of it.
        let ((), (), undecided) = tokio::join!(biased; heard, recorded, taken);
        undecided
    }

    /// Notes what the peer has heard. Where that fails it stays unknown, which does little harm.
    async fn note_heard(&self, heard: Vec<TakenId>) {
        if heard.is_empty() {
            return;
        }
        let now = self.gateway.clock.now();
        if let Err(error) = self.gateway.store.sms_heard(heard, now).await {
            warn!(%error, group = self.group, "cannot note which answers were heard");
        }
        self.sessions.changed.notify_waiters();
    }

    fn sort(&mut self, event: LinkEvent, sorted: &mut Sorted) {
        let Sorted {
            requests,
            heard,
            ended,
            ..
        } = sorted;
        match event {
            LinkEvent::Up { .. } => {
                info!(group = self.group, link = self.outgoing.name, "bound");
                self.session = Some(self.sessions.begin(&self.outgoing.handle));
            }
            LinkEvent::Heard { answers, .. } => heard.extend(self.inbound.answered.heard(answers)),
            LinkEvent::Down { reason, .. } => ended.extend(self.down(&reason)),
            LinkEvent::Request {
                epoch,
                sequence,
                body,
            } => {
                let session = self.session.unwrap_or_default();
                requests.push(Request {
                    session,
                    epoch,
                    sequence,
                    body,
                });
            }
            LinkEvent::Answered {
                ticket,
                status,
                body,
            } => {
                let told = self.answered(ticket, status, body);
                sorted.note(told);
            }
            LinkEvent::Unanswered {
                ticket, written, ..
            } => {
                let told = self.unanswered(ticket, written);
                sorted.note(told);
            }
            _ => {}
        }
    }

    /// Gives the bind that has ended.
    fn down(&mut self, reason: &dyn std::fmt::Display) -> Option<Uuid> {
        warn!(group = self.group, link = self.outgoing.name, %reason, "down");
        self.inbound.answered.clear();
        self.session.take()
    }

    fn answered(&self, ticket: Ticket, status: CommandStatus, body: Body) -> Option<Told> {
        let sent = self.outgoing.on_wire.take(ticket)?;
        let retries = sent.retries_that_count();
        let name = status.name().unwrap_or("other");
        self.gateway
            .metrics
            .answers
            .with_label_values(&[&self.group, name])
            .inc();
        let outcome = match verdict(status, retries) {
            Verdict::Accepted => Self::accepted(body),
            Verdict::Throttled => self.throttled(),
            Verdict::Retry => Outcome::Retry {
                retry_at: self.after(self.gateway.retry_wait(sent.retries)),
                status: status.0,
            },
            Verdict::Rejected => Outcome::Rejected { status: status.0 },
        };
        Some(sent.told(outcome))
    }

    /// An OK that is neither a `submit_sm_resp` nor a `deliver_sm_resp` tells nothing. The latter
    /// names nothing (SMPP 3.4 §4.6.2).
    fn accepted(body: Body) -> Outcome {
        match body {
            Body::SubmitSmResp(resp) => Outcome::Submitted {
                message_id: resp.message_id.to_text(),
            },
            Body::DeliverSmResp(_) => Outcome::Submitted {
                message_id: String::new(),
            },
            _ => Outcome::Uncertain,
        }
    }

    /// The link has paused by itself; the message keeps its place.
    fn throttled(&self) -> Outcome {
        let wait = self.outgoing.handle.paused_for().unwrap_or_default();
        Outcome::Throttled {
            retry_at: self.after(wait),
        }
    }

    fn unanswered(&self, ticket: Ticket, written: bool) -> Option<Told> {
        let sent = self.outgoing.on_wire.take(ticket)?;
        let outcome = if written {
            Outcome::Uncertain
        } else {
            Outcome::NotWritten
        };
        if written {
            self.gateway
                .metrics
                .uncertain
                .with_label_values(&[&self.group])
                .inc();
        }
        Some(sent.told(outcome))
    }

    fn after(&self, wait: Duration) -> crate::gateway::model::Timestamp {
        self.gateway.clock.now().after(wait)
    }
}
