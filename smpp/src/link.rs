//! The handles of a link: one to send with, one to read from.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use matrix_smpp_codec::{Body, COctets, CommandStatus, InterfaceVersion, Quirks};

use crate::clock;
use crate::counters::{Counters, add, bump};
use crate::error::{CloseReason, SubmitError, UnansweredCause};
use crate::rate::Meter;
use crate::session::Session;
#[cfg(doc)]
use crate::settings::SessionSettings;
use crate::shared::{Shared, wake};
use crate::window::Ticket;

/// How far a link has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkState {
    /// Not connected.
    Down,
    /// Connected, or connecting, and not yet bound.
    Binding,
    /// Bound.
    Bound,
}

/// What happens on a link.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkEvent {
    /// The link is bound.
    Up {
        /// The peer's `system_id`.
        peer: COctets<16>,
        /// The version of SMPP that the peer says it speaks; many SMSCs say nothing, and then it is
        /// unsure whether they take TLVs. SMPP 3.4 §3.4.
        interface_version: Option<InterfaceVersion>,
    },
    /// The session ended, or an attempt to make one failed. All its requests without an answer have
    /// been handed back before this event. Attempts that fail one after the other are told as one
    /// when nobody reads the events in between.
    Down {
        /// Why.
        reason: CloseReason,
        /// The pause before the next attempt; `None` when there is none: then the events end.
        retry_in: Option<Duration>,
    },
    /// The peer wants something (`deliver_sm`, `data_sm`, …). Answer with [`Link::respond`], once what
    /// it says is safe; `alert_notification` has no answer.
    Request {
        /// The session that it came on.
        epoch: u64,
        /// The peer's number for it.
        sequence: u32,
        /// The request.
        body: Body,
    },
    /// The peer has read our first answers of a session: it has answered a request of ours that
    /// stood behind them. Told where [`SessionSettings::confirm_answers`] is set.
    Heard {
        /// The session.
        epoch: u64,
        /// How many answers, counted as [`Link::respond`] does.
        answers: u64,
    },
    /// A request of ours was answered.
    Answered {
        /// The caller's name for it.
        ticket: Ticket,
        /// The outcome.
        status: CommandStatus,
        /// The response, or [`Body::GenericNack`]; its fields are empty where the peer left the
        /// body out or wrote one that cannot be read.
        body: Body,
    },
    /// A request of ours will have no answer.
    Unanswered {
        /// The caller's name for it.
        ticket: Ticket,
        /// Whether any octet of it may have reached the peer: then its fate is unknown. When false
        /// it can be sent again without harm.
        written: bool,
        /// Why.
        cause: UnansweredCause,
    },
}

/// What to say to one request of the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The session that the request came on.
    pub epoch: u64,
    /// The peer's number for it.
    pub sequence: u32,
    /// What became of it.
    pub status: CommandStatus,
    /// The response that belongs to the request.
    pub body: Body,
}

/// Whether there is room for a request.
enum Room {
    Some,
    None,
    /// None now, some then at the earliest.
    At(Instant),
}

/// Sends on a link. Clones are the same link.
#[derive(Debug, Clone)]
pub struct Link {
    pub(crate) shared: Arc<Shared>,
}

impl Link {
    /// How many requests may be submitted now; 0 while the link is not bound for sending. Another
    /// holder of this link may be faster.
    #[must_use]
    pub fn capacity(&self) -> usize {
        let inner = self.shared.lock();
        inner
            .session
            .as_ref()
            .map_or(0, |session| session.capacity(clock::now()))
    }

    /// Waits until [`capacity`](Self::capacity) is more than 0. On a link that has ended it waits
    /// for ever: its events tell the end.
    pub async fn ready(&self) {
        loop {
            let mut notified = pin!(self.shared.ready.notified());
            notified.as_mut().enable();
            match self.room() {
                Room::Some => return,
                Room::None => notified.await,
                // Others take from the same rate, and nobody tells when they leave something.
                Room::At(refill) => tokio::select! {
                    () = notified => {}
                    () = tokio::time::sleep_until(refill.into()) => {}
                },
            }
        }
    }

    fn room(&self) -> Room {
        let now = clock::now();
        let inner = self.shared.lock();
        let Some(session) = &inner.session else {
            return Room::None;
        };
        if session.capacity(now) > 0 {
            return Room::Some;
        }
        session.shared_refill_at(now).map_or(Room::None, Room::At)
    }

    /// How many requests may be submitted now on all links together that share a rate with this one;
    /// `None` where it shares none.
    #[must_use]
    pub fn shared_capacity(&self) -> Option<usize> {
        let inner = self.shared.lock();
        inner.session.as_ref()?.shared_capacity(clock::now())
    }

    /// Puts a request in line for the wire; never waits. Its outcome comes as an event with the
    /// same ticket, exactly once: [`Answered`](LinkEvent::Answered) or
    /// [`Unanswered`](LinkEvent::Unanswered). (`alert_notification` has no outcome.)
    pub fn submit(&self, ticket: Ticket, body: Body) -> Result<(), SubmitError> {
        let mut body = Some(body);
        let outcome = self.shared.command(|session, now| {
            body.take()
                .map_or(Ok(()), |body| session.submit(now, ticket, body))
        });
        match (outcome, body) {
            (Some(outcome), _) => outcome,
            (None, Some(body)) => Err(SubmitError::NotBound(Box::new(body))),
            (None, None) => Ok(()),
        }
    }

    /// Submits from the front of `requests` for as long as window and rate have room: how many left
    /// it. The others stay; after an error so does the one that caused it. Cheaper than one by one.
    pub fn submit_many(&self, requests: &mut VecDeque<(Ticket, Body)>) -> usize {
        let submit_all = |session: &mut Session, now| {
            let mut room = session.capacity(now).min(requests.len());
            session.reserve(0, room);
            let mut submitted = 0;
            while room > 0
                && let Some((ticket, body)) = requests.pop_front()
            {
                if let Err(refused) = session.submit(now, ticket, body) {
                    requests.push_front((ticket, refused.into_body()));
                    break;
                }
                submitted += 1;
                room -= 1;
            }
            submitted
        };
        self.shared.command(submit_all).unwrap_or(0)
    }

    /// Answers many requests of the peer at once; `answers` is empty afterwards. Like
    /// [`respond`](Self::respond), cheaper.
    pub fn respond_many(&self, answers: &mut Vec<Answer>) {
        let counters = &self.shared.counters;
        let count = answers.len();
        let sent = self.shared.command_with_epoch(|session, epoch, now| {
            session.reserve(0, count);
            let mut sent = 0;
            for answer in answers.drain(..).filter(|answer| answer.epoch == epoch) {
                session.respond(now, answer.sequence, answer.status, answer.body);
                sent += 1;
            }
            sent
        });
        answers.clear();
        add(&counters.orphaned_answers, count - sent.unwrap_or(0));
    }

    /// Answers a request of the peer; tells the how manieth answer of its session that is. An answer
    /// for a session that is gone is dropped and counted, and has no number: the peer sends the
    /// request again. So is a second answer to one request.
    pub fn respond(
        &self,
        sequence: u32,
        session_epoch: u64,
        status: CommandStatus,
        body: Body,
    ) -> Option<u64> {
        let respond = |session: &mut Session, epoch, now| {
            (epoch == session_epoch).then(|| session.respond(now, sequence, status, body))
        };
        let outcome = self.shared.command_with_epoch(respond).flatten();
        if outcome.is_none() {
            bump(&self.shared.counters.orphaned_answers);
        }
        outcome.flatten()
    }

    /// Asks the peer now whether it has read our answers, instead of after
    /// [`SessionSettings::confirm_answers`].
    pub fn confirm_answers(&self) {
        self.shared.command(Session::confirm_answers);
    }

    /// Keeps the capacity at 0 for this long: the peer is throttling or its queue is full. A new
    /// session that begins meanwhile waits as well.
    pub fn slow_down(&self, pause: Duration) {
        self.shared.slow_down(pause);
    }

    /// How long the capacity stays 0 because the peer throttled, its queue is full, or
    /// [`slow_down`](Self::slow_down) said so.
    #[must_use]
    pub fn paused_for(&self) -> Option<Duration> {
        let inner = self.shared.lock();
        inner.session.as_ref()?.paused_for(clock::now())
    }

    /// The window and the rate of now, no more than those of the contract; `None` while there is no
    /// session.
    #[must_use]
    pub fn pace(&self) -> Option<(usize, Option<NonZeroU32>)> {
        let inner = self.shared.lock();
        inner.session.as_ref().map(|session| session.pace())
    }

    /// Sets window and rate, for this session and those after it.
    pub fn set_limits(&self, window: usize, rate: Option<NonZeroU32>) {
        {
            let mut inner = self.shared.lock();
            inner.settings.window = window;
            inner.settings.rate = rate;
        }
        self.shared
            .command(|session, _| session.set_limits(window, rate));
    }

    /// Counts our requests together with those of other links; see
    /// [`Session::share_rate`](crate::session::Session::share_rate).
    pub(crate) fn share_rate(&self, meter: Option<Meter>) {
        self.shared.command(|session, _| session.share_rate(meter));
    }

    /// Sets what the peer may ask of us at once and per second; see
    /// [`Session::limit_peer`](crate::session::Session::limit_peer).
    pub(crate) fn limit_peer(&self, window: usize, meter: Option<Meter>) {
        self.shared
            .command(|session, _| session.limit_peer(window, meter));
    }

    /// Sets what the peer does against the standard, for what it sends from here on.
    pub(crate) fn set_quirks(&self, quirks: Quirks) {
        self.shared.command(|session, _| session.set_quirks(quirks));
    }

    /// Gives the peer up unless it shows within `patience` that it lives.
    pub(crate) fn probe(&self, patience: Duration) {
        self.shared
            .command(|session, now| session.probe(now, patience));
    }

    /// Has requests written only while `may` says so, which is asked right before each write that may
    /// hold one; to be set before the first is submitted, once. While it says no, requests that are not
    /// encoded yet are handed back ([`UnansweredCause::Withdrawn`](crate::UnansweredCause::Withdrawn)),
    /// and what is encoded and not with the system yet waits until it says yes again, or the session
    /// ends: then it was not written. Where nothing of that kind is in their way, answers and
    /// `enquire_link` go on.
    pub fn write_only_while(&self, may: impl Fn() -> bool + Send + Sync + 'static) {
        self.shared.write_only_while(may);
    }

    /// Closes gracefully: takes nothing more, waits for the answers that are due (no longer than
    /// [`SessionSettings::drain`](crate::SessionSettings::drain)), unbinds, and ends the future.
    pub fn close(&self) {
        self.shared.close();
    }

    /// How far the link has come.
    #[must_use]
    pub fn state(&self) -> LinkState {
        self.shared.lock().state
    }

    /// How many of our requests wait for their answers.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shared
            .lock()
            .session
            .as_ref()
            .map_or(0, |session| session.in_flight())
    }

    /// How many events wait for their reader.
    #[must_use]
    pub fn events_waiting(&self) -> usize {
        self.shared.lock().queue.len()
    }

    /// What this link has counted so far.
    #[must_use]
    pub fn counters(&self) -> &Arc<Counters> {
        &self.shared.counters
    }
}

/// Reads what happens on a link. Dropping it closes the link.
///
/// The queue behind it is bounded: while it is full nothing more is read from the peer. A body's
/// longer fields are slices of what was read at once (up to 16 KiB): copy what is kept for long.
#[derive(Debug)]
pub struct LinkEvents {
    pub(crate) shared: Arc<Shared>,
}

impl LinkEvents {
    /// The next event; `None` when the link has ended. Nothing is lost when the future is dropped.
    pub async fn recv(&mut self) -> Option<LinkEvent> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Waits for an event, then moves up to `max` events to the end of `buffer`; how many, and 0
    /// only when the link has ended (or `max` is 0). Nothing is lost when the future is dropped.
    pub async fn recv_many(&mut self, buffer: &mut Vec<LinkEvent>, max: usize) -> usize {
        poll_fn(|cx| self.poll_recv_many(cx, buffer, max)).await
    }

    fn poll_recv(&mut self, cx: &Context<'_>) -> Poll<Option<LinkEvent>> {
        self.poll_take(cx, VecDeque::pop_front)
    }

    fn poll_recv_many(
        &mut self,
        cx: &Context<'_>,
        buffer: &mut Vec<LinkEvent>,
        max: usize,
    ) -> Poll<usize> {
        let take = |queue: &mut VecDeque<LinkEvent>| {
            let count = queue.len().min(max);
            if buffer.is_empty() && count == queue.len() && count > 0 {
                // The queue's memory itself, and the buffer's for it: nothing is moved.
                let spare = VecDeque::from(std::mem::take(buffer));
                *buffer = std::mem::replace(queue, spare).into();
            } else {
                buffer.extend(queue.drain(..count));
            }
            (count > 0 || max == 0).then_some(count)
        };
        self.poll_take(cx, take).map(Option::unwrap_or_default)
    }

    /// What `take` finds in the queue; `None` when nothing will ever be in it.
    fn poll_take<T>(
        &mut self,
        cx: &Context<'_>,
        take: impl FnOnce(&mut VecDeque<LinkEvent>) -> Option<T>,
    ) -> Poll<Option<T>> {
        let mut inner = self.shared.lock();
        if let Some(taken) = take(&mut inner.queue) {
            inner.release();
            let driver = inner.resumed();
            drop(inner);
            wake(driver);
            return Poll::Ready(Some(taken));
        }
        if inner.ended {
            return Poll::Ready(None);
        }
        let known = inner.consumer.as_ref();
        if !known.is_some_and(|known| known.will_wake(cx.waker())) {
            inner.consumer = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for LinkEvents {
    fn drop(&mut self) {
        {
            let mut inner = self.shared.lock();
            inner.unread = true;
            inner.queue.clear();
        }
        self.shared.close();
    }
}
