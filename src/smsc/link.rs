//! One link: what is on its wire, and the pump that takes in what its peer says.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use matrix_smpp_codec::{Body, CommandId, CommandStatus};
use matrix_smpp_session::{Link, LinkEvent, LinkEvents, LinkState, SubmitError, Ticket};
use tracing::{error, info, warn};
use uuid::Uuid;

use super::group::Sessions;
use super::inbound::{Inbound, Request, Undecided};
use super::terms::Terms;
use super::verdict::{Verdict, verdict};
use crate::flow::Gateway;
use crate::gateway::model::{SegmentRef, TakenId};
use crate::ops::metrics::{self, Metrics};
use crate::store::{
    Answer, Claimed, Outcome, OwedReceipt, ReceiptAnswer, ReceiptOutcome, StoreError,
};

/// How many events are taken in at once, and so how many changes share a commit.
const BATCH: usize = 256;

/// SMS of one link that may wait for word from another bind.
const MAX_UNDECIDED: usize = 256;

/// The longest wait for a store that is away: nothing else is done on the link meanwhile.
const STORE_PAUSE: Duration = Duration::from_secs(5);

/// The sending half of a link, with what is on its wire. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    pub(super) name: String,
    pub(super) handle: Link,
    /// Whether it carries messages of ours to the peer.
    pub(super) takes: bool,
    on_wire: Arc<OnWire>,
}

/// What each ticket stands for.
#[derive(Debug, Default)]
struct OnWire {
    next: AtomicU64,
    segments: Mutex<HashMap<Ticket, Sent>>,
}

/// What must be known of a segment or a receipt when its answer comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    what: Carried,
    attempt: u32,
    retries: u32,
}

#[derive(Debug, Clone, Copy)]
enum Carried {
    Segment(SegmentRef),
    /// Of what an account has submitted.
    Receipt(TakenId),
}

impl From<&Claimed> for Sent {
    fn from(claimed: &Claimed) -> Self {
        Self {
            what: Carried::Segment(claimed.segment),
            attempt: claimed.attempt,
            retries: claimed.retries,
        }
    }
}

impl From<&OwedReceipt> for Sent {
    fn from(owed: &OwedReceipt) -> Self {
        Self {
            what: Carried::Receipt(owed.id),
            attempt: owed.attempt,
            retries: owed.retries,
        }
    }
}

/// What is to be recorded when an answer came, or none will.
enum Told {
    Segment(Answer),
    Receipt(ReceiptAnswer),
}

impl Sent {
    fn told(self, outcome: Outcome) -> Told {
        let Self { what, attempt, .. } = self;
        match what {
            Carried::Segment(segment) => Told::Segment(Answer {
                segment,
                attempt,
                outcome,
            }),
            Carried::Receipt(id) => Told::Receipt(ReceiptAnswer {
                id,
                attempt,
                outcome: as_of_receipt(&outcome),
            }),
        }
    }
}

/// A receipt that is refused is not sent again; the sender has said that it does not want it.
fn as_of_receipt(outcome: &Outcome) -> ReceiptOutcome {
    match *outcome {
        Outcome::NotWritten => ReceiptOutcome::NotWritten,
        Outcome::Throttled { retry_at } | Outcome::Retry { retry_at, .. } => {
            ReceiptOutcome::Retry { retry_at }
        }
        Outcome::Uncertain => ReceiptOutcome::Uncertain,
        Outcome::Submitted { .. } | Outcome::Rejected { .. } | Outcome::Unsendable { .. } => {
            ReceiptOutcome::Over
        }
    }
}

impl OnWire {
    fn put(&self, sent: Sent) -> Ticket {
        let ticket = Ticket(self.next.fetch_add(1, Ordering::Relaxed));
        let mut segments = self.segments.lock().unwrap_or_else(PoisonError::into_inner);
        segments.insert(ticket, sent);
        ticket
    }

    fn take(&self, ticket: Ticket) -> Option<Sent> {
        self.segments
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&ticket)
    }
}

impl Outgoing {
    pub(super) fn new(name: String, handle: Link, takes: bool) -> Self {
        Self {
            name,
            handle,
            takes,
            on_wire: Arc::default(),
        }
    }

    /// Hands a claimed segment or receipt to the link.
    pub(super) fn submit<'a, T>(&self, claimed: &'a T, pdu: Body) -> Result<(), SubmitError>
    where
        Sent: From<&'a T>,
    {
        let ticket = self.on_wire.put(Sent::from(claimed));
        let submitted = self.handle.submit(ticket, pdu);
        if submitted.is_err() {
            self.on_wire.take(ticket);
        }
        submitted
    }

    /// Writes the link's state and counters into the metrics.
    pub(super) fn export(&self, group: &str, metrics: &Metrics) {
        let up = i64::from(self.handle.state() == LinkState::Bound);
        metrics
            .link_up
            .with_label_values(&[group, &self.name])
            .set(up);
        if let Some((window, rate)) = self.handle.pace() {
            let window = i64::try_from(window).unwrap_or(i64::MAX);
            let rate = rate.map_or(0, |rate| rate.get().into());
            let labels = [group, &self.name];
            metrics.link_window.with_label_values(&labels).set(window);
            metrics.link_rate.with_label_values(&labels).set(rate);
        }
        let counters = self.handle.counters();
        for command in CommandId::KNOWN {
            for (direction, count) in [
                ("in", counters.pdus_in(*command)),
                ("out", counters.pdus_out(*command)),
            ] {
                let labels = [
                    group,
                    &self.name,
                    direction,
                    command.name().unwrap_or("other"),
                ];
                metrics::catch_up(&metrics.pdus.with_label_values(&labels), count);
            }
        }
    }
}

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
                            self.inbound.put_off(&one);
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
        // A receipt is tried again for as long as it is owed.
        let retries = match sent.what {
            Carried::Segment(_) => sent.retries,
            Carried::Receipt(_) => 0,
        };
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

/// Records answers, however long the store takes: without the record the segments would stay
/// unanswered until the next start. One that the store will never take is left out.
pub(super) async fn record(gateway: &Gateway, answers: &[Answer]) {
    if answers.is_empty() {
        return;
    }
    let record = |some| {
        let now = gateway.clock.now();
        gateway.store.record_answers(some, now)
    };
    let pause = |attempt| tokio::time::sleep(gateway.retry_wait(attempt).min(STORE_PAUSE));
    let refused = record_each(answers, record, pause).await;
    gateway.metrics.set_aside.inc_by(refused);
    gateway.wakes.outbox.notify_one();
    gateway
        .wakes
        .groups
        .values()
        .for_each(|bell| bell.notify_one());
}

/// Records what became of receipts, however long the store takes.
pub(super) async fn record_receipts(gateway: &Gateway, answers: &[ReceiptAnswer]) {
    if answers.is_empty() {
        return;
    }
    let record = |some| {
        let now = gateway.clock.now();
        gateway.store.record_receipts(some, now)
    };
    let pause = |attempt| tokio::time::sleep(gateway.retry_wait(attempt).min(STORE_PAUSE));
    if let Err(error) = record_some(answers, &record, &pause).await {
        error!(%error, "what became of receipts cannot be recorded; they are sent again");
    }
    gateway
        .wakes
        .groups
        .values()
        .for_each(|bell| bell.notify_one());
}

/// Records all together, or where one of them is not to be had, each alone. Gives how many the store
/// will never take.
async fn record_each<R, P>(
    answers: &[Answer],
    record: impl Fn(Vec<Answer>) -> R,
    pause: impl Fn(u32) -> P,
) -> u64
where
    R: Future<Output = Result<(), StoreError>>,
    P: Future<Output = ()>,
{
    if record_some(answers, &record, &pause).await.is_ok() {
        return 0;
    }
    let mut refused = 0;
    for answer in answers {
        let alone = std::slice::from_ref(answer);
        if let Err(error) = record_some(alone, &record, &pause).await {
            error!(%error, message = %answer.segment.message, "an answer cannot be recorded");
            refused += 1;
        }
    }
    refused
}

/// Tries as long as the store is away; tells what it will not take.
async fn record_some<T: Clone, R, P>(
    answers: &[T],
    record: &impl Fn(Vec<T>) -> R,
    pause: &impl Fn(u32) -> P,
) -> Result<(), StoreError>
where
    R: Future<Output = Result<(), StoreError>>,
    P: Future<Output = ()>,
{
    let mut attempt = 0;
    loop {
        match record(answers.to_vec()).await {
            Err(error @ StoreError::Unavailable(_)) => {
                warn!(%error, "cannot record answers");
                pause(attempt).await;
                attempt = attempt.saturating_add(1);
            }
            ended => return ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use uuid::Uuid;

    use super::*;
    use crate::gateway::model::MessageId;

    fn answer(number: u8) -> Answer {
        let message = MessageId(Uuid::from_u128(u128::from(number)));
        Answer {
            segment: SegmentRef { message, index: 1 },
            attempt: 1,
            outcome: Outcome::NotWritten,
        }
    }

    #[tokio::test]
    async fn an_answer_that_the_store_never_takes_holds_up_no_other() {
        let (poison, away) = (answer(2), RefCell::new(2));
        let taken = RefCell::new(Vec::new());
        let record = async |some: Vec<Answer>| {
            if *away.borrow() > 0 {
                *away.borrow_mut() -= 1;
                return Err(StoreError::Unavailable("not now".to_owned()));
            }
            if some.contains(&poison) {
                return Err(StoreError::Corrupt("unreadable".to_owned()));
            }
            taken.borrow_mut().extend(some);
            Ok(())
        };
        let all = [answer(1), answer(2), answer(3)];
        let refused = record_each(&all, record, |_| std::future::ready(())).await;
        assert_eq!(refused, 1);
        assert_eq!(*taken.borrow(), [answer(1), answer(3)]);
    }
}
