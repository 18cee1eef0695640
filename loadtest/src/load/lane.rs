//! One bind at work: sends its share, and takes in what comes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use matrix_smpp_codec::{
    Body, CommandStatus, DataSmResp, DeliverSm, DeliverSmResp, MessageId, Receipt, SubmitSm,
    SubmitSmResp,
};
use matrix_smpp_session::{Answer, Link, LinkEvent, LinkEvents, Ticket, UnansweredCause};
use tokio::sync::watch;
use tokio::time::sleep_until;

use crate::load::clock;
use crate::load::feed::Feed;
use crate::load::mix::receipt_for;
use crate::load::pace::Due;
use crate::load::receipts::Matched;
use crate::load::run::{Phase, Shared};
use crate::load::tally::{Tally, lock, note};
use crate::slab::Slab;

/// How many events are taken at once, and how many requests sent on one reading of the clock.
const BATCH: usize = 256;

/// The most receipts that wait for room on one bind of the SMSC role.
const MOST_OWED: usize = 10_000;

/// One request without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Flight {
    /// When it was due, counted from the start of the run.
    due: Duration,
    /// When it was handed to the session.
    sent: Instant,
}

/// What a lane waits for, beside events.
enum Wait {
    /// The time of the next request.
    Until(Instant),
    /// Nothing: room comes with an event, or there is nothing to send.
    Event,
    /// There was more to send than one batch.
    Nothing,
}

/// One bind.
pub(crate) struct Lane {
    pub(crate) number: usize,
    pub(crate) link: Link,
    pub(crate) feed: Option<Feed>,
    pub(crate) shared: Arc<Shared>,
    /// Whether accepted `submit_sm` are owed a receipt when they ask for one.
    pub(crate) gives_receipts: bool,
    /// Whether receipts are expected for what we submit.
    pub(crate) wants_receipts: bool,
    phase: watch::Receiver<Phase>,
    start: Option<Instant>,
    flights: Slab<Flight>,
    owed: VecDeque<Body>,
    /// To requests of the batch that is being taken in.
    answers: Vec<Answer>,
    accepted: u64,
    up_before: bool,
}

impl Lane {
    pub(crate) fn new(number: usize, link: Link, feed: Option<Feed>, shared: Arc<Shared>) -> Self {
        let phase = shared.phase.subscribe();
        Self {
            number,
            link,
            feed,
            phase,
            shared,
            gives_receipts: false,
            wants_receipts: false,
            start: None,
            flights: Slab::default(),
            owed: VecDeque::new(),
            answers: Vec::new(),
            accepted: 0,
            up_before: false,
        }
    }

    /// The link has been up before this lane looked at its events.
    pub(crate) const fn was_up(&mut self) {
        self.up_before = true;
    }

    /// Works until the link has ended. Gives back what is left to send.
    pub(crate) async fn work(mut self, events: &mut LinkEvents) -> Option<Feed> {
        let mut batch = Vec::new();
        loop {
            let wait = self.act();
            let pause = async {
                match wait {
                    Wait::Until(due) => sleep_until(due.into()).await,
                    Wait::Event => std::future::pending().await,
                    Wait::Nothing => tokio::task::yield_now().await,
                }
            };
            tokio::select! {
                biased;
                count = events.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        break;
                    }
                    self.take_in(&mut batch);
                }
                _ = self.phase.changed() => {}
                () = pause => {}
            }
        }
        self.feed.filter(|feed| !feed.done)
    }

    fn act(&mut self) -> Wait {
        let phase = *self.phase.borrow_and_update();
        match phase {
            Phase::Binding => Wait::Event,
            Phase::Sending(start) => {
                self.start = Some(start);
                self.send(start)
            }
            Phase::Draining => {
                self.finish();
                self.send_owed(clock::now());
                Wait::Event
            }
            Phase::Closing => {
                self.finish();
                self.link.close();
                Wait::Event
            }
        }
    }

    /// Nothing more is to be sent.
    fn finish(&mut self) {
        if let Some(feed) = self.feed.as_mut().filter(|feed| !feed.done) {
            feed.done = true;
            self.shared.less(&self.shared.sending, 1);
        }
    }

    /// Sends what is due and has room.
    fn send(&mut self, start: Instant) -> Wait {
        let now = clock::now();
        self.send_owed(now);
        let Some(feed) = &mut self.feed else {
            return Wait::Event;
        };
        let elapsed = now.saturating_duration_since(start);
        let room = self.link.capacity().min(BATCH);
        let mut chosen = Vec::with_capacity(room);
        let next = feed.choose(elapsed, room, &mut chosen);
        let count = chosen.len();
        let chosen = chosen.into_iter();
        let left = self.submit(chosen.map(|(due, body)| (Flight { due, sent: now }, body)));
        let sent = count - left.len();
        if let Some(feed) = &mut self.feed {
            feed.sent(sent, left);
        }
        let sent_all = u64::try_from(sent).unwrap_or(u64::MAX);
        if sent > 0 {
            lock(self.shared.tallies.shard(self.number)).counts.sent += sent_all;
        }
        match next {
            // Room comes with an event.
            _ if sent < count => Wait::Event,
            Due::Never => {
                self.finish();
                Wait::Event
            }
            Due::At(at) => Wait::Until(start + at),
            Due::Since(_) if count == BATCH => Wait::Nothing,
            Due::Since(_) => Wait::Event,
        }
    }

    /// Sends the receipts that are owed, as far as there is room.
    fn send_owed(&mut self, now: Instant) {
        if self.owed.is_empty() {
            return;
        }
        let due = self
            .start
            .map_or(Duration::ZERO, |start| now.saturating_duration_since(start));
        let room = self.link.capacity().min(self.owed.len());
        let owed: Vec<_> = self.owed.drain(..room).collect();
        let left = self.submit(
            owed.into_iter()
                .map(|body| (Flight { due, sent: now }, body)),
        );
        let sent = u64::try_from(room - left.len()).unwrap_or(u64::MAX);
        left.into_iter()
            .rev()
            .for_each(|body| self.owed.push_front(body));
        let mut tally = lock(self.shared.tallies.shard(self.number));
        tally.counts.sent += sent;
        tally.counts.receipts_sent += sent;
    }

    /// Hands requests to the session; gives back those from the first on that had no room. The one
    /// place that submits.
    fn submit(&mut self, requests: impl Iterator<Item = (Flight, Body)>) -> Vec<Body> {
        let open = |(flight, body)| (self.flights.open(flight), body);
        let mut requests: VecDeque<_> = requests.map(open).collect();
        let wide = |count| u64::try_from(count).unwrap_or(u64::MAX);
        let in_flight = &self.shared.in_flight;
        in_flight.fetch_add(wide(requests.len()), Ordering::AcqRel);
        self.link.submit_many(&mut requests);
        self.shared.less(in_flight, wide(requests.len()));
        let give_back = |(ticket, body)| {
            self.flights.close(ticket);
            body
        };
        requests.into_iter().map(give_back).collect()
    }

    fn take_in(&mut self, batch: &mut Vec<LinkEvent>) {
        let now = clock::now();
        let shared = Arc::clone(&self.shared);
        let before = self.flights.count();
        {
            let mut tally = lock(shared.tallies.shard(self.number));
            for event in batch.drain(..) {
                self.handle(now, event, &mut tally);
            }
            if self.wants_receipts && shared.receipts.is_doubtful() {
                shared.learn(&mut tally);
            }
        }
        self.link.respond_many(&mut self.answers);
        let closed = before.saturating_sub(self.flights.count());
        shared.less(&shared.in_flight, u64::try_from(closed).unwrap_or(0));
    }

    fn handle(&mut self, now: Instant, event: LinkEvent, tally: &mut Tally) {
        match event {
            LinkEvent::Up { .. } => {
                tally.counts.reconnects += u64::from(self.up_before);
                self.up_before = true;
            }
            LinkEvent::Answered {
                ticket,
                status,
                body,
            } => self.answered(now, ticket, (status, body), tally),
            LinkEvent::Unanswered {
                ticket,
                written,
                cause,
            } => {
                self.flights.close(ticket);
                match cause {
                    UnansweredCause::Timeout => tally.counts.timed_out += 1,
                    _ if written => tally.counts.lost += 1,
                    _ => tally.counts.never_left += 1,
                }
            }
            LinkEvent::Request {
                epoch,
                sequence,
                body,
            } => self.asked(now, (epoch, sequence), body, tally),
            _ => {}
        }
    }

    fn answered(
        &mut self,
        now: Instant,
        ticket: Ticket,
        (status, body): (CommandStatus, Body),
        tally: &mut Tally,
    ) {
        let Some(flight) = self.flights.close(ticket) else {
            return;
        };
        tally.answered(status);
        let service = now.saturating_duration_since(flight.sent);
        let late = self.start.map_or(Duration::ZERO, |start| {
            flight.sent.saturating_duration_since(start + flight.due)
        });
        note(&mut tally.service, service);
        note(&mut tally.latency, late + service);
        if let (true, true, Body::SubmitSmResp(answer)) =
            (self.wants_receipts, status.is_ok(), body)
        {
            // Counted first: the receipt may be there already, on another bind.
            self.shared.owed.fetch_add(1, Ordering::AcqRel);
            let matched = self
                .shared
                .receipts
                .accepted(answer.message_id.as_bytes(), flight.sent);
            if matched != Matched::NotYet {
                self.shared.less(&self.shared.owed, 1);
            }
            settle(matched, tally);
        }
    }

    fn asked(
        &mut self,
        now: Instant,
        (epoch, sequence): (u64, u32),
        body: Body,
        tally: &mut Tally,
    ) {
        let (status, answer) = match body {
            Body::DeliverSm(pdu) => {
                self.delivered(now, &pdu, tally);
                (
                    CommandStatus::ESME_ROK,
                    Body::DeliverSmResp(DeliverSmResp::default()),
                )
            }
            Body::SubmitSm(pdu) => {
                tally.counts.received += 1;
                (CommandStatus::ESME_ROK, self.accept(&pdu, tally))
            }
            Body::DataSm(_) => {
                tally.counts.received += 1;
                (
                    CommandStatus::ESME_ROK,
                    Body::DataSmResp(DataSmResp::default()),
                )
            }
            other => {
                // An alert_notification has no answer.
                let Some(answer) = other.command_id().response().and_then(Body::empty) else {
                    return;
                };
                (CommandStatus::ESME_RINVCMDID, answer)
            }
        };
        self.answers.push(Answer {
            epoch,
            sequence,
            status,
            body: answer,
        });
    }

    fn delivered(&self, now: Instant, pdu: &DeliverSm, tally: &mut Tally) {
        let Some(receipt) = Receipt::of(pdu) else {
            tally.counts.received += 1;
            return;
        };
        if receipt.intermediate {
            tally.counts.notifications += 1;
            return;
        }
        tally.counts.receipts += 1;
        if self.wants_receipts {
            let id = receipt.message_id.as_bytes();
            let matched = self.shared.receipts.received(id, now);
            if matches!(matched, Matched::After(_)) {
                self.shared.less(&self.shared.owed, 1);
            }
            settle(matched, tally);
        }
    }

    /// Accepts a message as its SMSC, and owes the receipt that it asks for.
    fn accept(&mut self, pdu: &SubmitSm, tally: &mut Tally) -> Body {
        self.accepted += 1;
        let id = format!("{:x}-{:x}", self.number, self.accepted);
        if self.gives_receipts && pdu.registered_delivery.wants_receipt(true) {
            if self.owed.len() < MOST_OWED {
                self.owed.push_back(receipt_for(&id, pdu));
            } else {
                tally.counts.receipts_dropped += 1;
            }
        }
        Body::SubmitSmResp(SubmitSmResp {
            message_id: MessageId::try_from(id.as_str()).unwrap_or_default(),
            ..SubmitSmResp::default()
        })
    }
}

fn settle(matched: Matched, tally: &mut Tally) {
    match matched {
        Matched::After(delay) => tally.received_after(delay),
        Matched::Again => tally.counts.receipts_repeated += 1,
        Matched::NotYet | Matched::Lost => {}
    }
}
