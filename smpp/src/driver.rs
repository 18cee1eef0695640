//! Carries octets and time between a connection and its session.
//!
//! ```text
//!  socket ─poll_fill─▶ wire.inbound ─cut, decode─▶ batch ─┐ lock
//!                                                         ├─▶ session ─pump─▶ queue ─recv_many─▶ owner
//!  socket ◀─poll_drain─ wire.outbound ◀─poll_transmit─────┘      ▲
//!                                             submit_many, respond_many
//! ```
//!
//! One round reads until nothing is left (or 16 KiB are), decodes it without the lock, tells the
//! session under it, writes all that the session has to say in one piece, and only then wakes the
//! owner, once for all that came. So a window of requests costs one read, one write and one wake-up on
//! either end. What the owner submits goes straight into the session, under the same lock: no channel,
//! no task and no allocation for each message.
//!
//! Buffers and queues exist only while they hold something or an answer is due, and under brisk traffic a
//! moment longer: an idle session is its state, one timer and a socket. A connection whose peer never pauses gives way to others after [`ROUNDS`] rounds.

mod step;
#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use matrix_smpp_codec::{FrameError, Inbound, Quirks, cut, take_into};
use tokio::time::Sleep;

use crate::clock;
use crate::counters::add;
use crate::error::CloseReason;
use crate::session::Session;
use crate::shared::{Inner, Shared, Spare, wake};
use crate::stream::{Stream, Wire};
use step::{Reading, Step};

/// Octets of a short PDU that has something to say: how many are expected in what was read.
const LIKELY_LEN: usize = 48;

/// Octets for which most PDUs are short enough: how much room to write is got at once.
const LIKELY_ROOM: usize = 256;

/// Nothing more is read while this many octets wait to be decoded.
const READ_BATCH: usize = 16 * 1024;

/// No more PDUs are encoded while this many octets wait for the socket.
const WRITE_BATCH: usize = 64 * 1024;

/// After so many rounds of reading and writing it is the others' turn.
const ROUNDS: usize = 16;

/// So many PDUs read within [`SLICE`] are brisk traffic: the next will come soon, and room for it is
/// kept.
const BRISK: usize = 64;

/// How long traffic is counted together, and the longest that room is kept for what may come.
const SLICE: Duration = Duration::from_millis(100);

/// While requests may not be written, how often it is asked whether they may again.
const HELD: Duration = Duration::from_millis(50);

/// How long the last octets of a finished session and the peer's end of it may take.
const LINGER: Duration = Duration::from_secs(1);

/// One connection. The future ends when the session does; dropped before, it hands back every
/// request without an answer as well.
#[derive(Debug)]
pub(crate) struct Driver {
    shared: Arc<Shared>,
    wire: Wire,
    /// Decoded and not yet handed to the session.
    batch: Vec<Option<Inbound>>,
    input: Input,
    /// Nothing was there to be read: only then it is known who has not answered in time.
    quiet: bool,
    /// Whoever waits for events and has some now; woken after our octets are out.
    reader: Option<Waker>,
    /// Octets written that the session does not know of yet.
    written: usize,
    /// Requests may be among the octets that wait for the socket.
    holds_requests: bool,
    timer: Option<Pin<Box<Sleep>>>,
    /// When the present slice of time began, and how many PDUs were read in it.
    slice: Option<(Instant, usize)>,
    linger_until: Option<Instant>,
    step: Step,
    done: bool,
}

/// What `wire.inbound` holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Input {
    /// A part of one PDU at most.
    Cut,
    /// Perhaps whole PDUs.
    Undecoded,
    /// An impossible length came: nothing more can be read. It is refused by this number.
    Broken(u32),
}

impl Driver {
    /// Drives the session that `shared` holds over this connection.
    pub(crate) fn new(shared: Arc<Shared>, stream: Stream) -> Self {
        Self {
            shared,
            wire: Wire::new(stream),
            batch: Vec::new(),
            input: Input::Cut,
            quiet: false,
            reader: None,
            written: 0,
            holds_requests: false,
            timer: None,
            slice: None,
            linger_until: None,
            step: Step::FIRST,
            done: false,
        }
    }

    fn drive(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        for _ in 0..ROUNDS {
            let tried = self.reads();
            let mut progress = self.take_in(cx);
            self.quiet = !progress;
            self.exchange_all(cx);
            progress |= self.put_out(cx) && self.step.more;
            wake(self.reader.take());
            // Reading has become possible: nothing would wake us for it before it was tried.
            progress |= !tried && self.reads();
            if let Some(reason) = self.ended(cx) {
                return Poll::Ready(reason);
            }
            progress |= self.poll_timer(cx);
            if !progress {
                if self.step.resting {
                    self.batch = Vec::new();
                    self.wire.release();
                }
                return Poll::Pending;
            }
        }
        // The others first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether to read: not while there is enough to do already.
    fn reads(&self) -> bool {
        match self.step.reading {
            Reading::On => self.input != Input::Undecoded,
            Reading::Ahead => self.wire.inbound.len() < READ_BATCH,
            _ => false,
        }
    }

    /// Whether the session takes what was read.
    const fn decodes(&self) -> bool {
        matches!(self.step.reading, Reading::On | Reading::Leftovers)
    }

    /// Reads until nothing more is there, or for as long as it is this connection's turn; false
    /// when nothing more is there.
    fn take_in(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.reads() {
            return false;
        }
        loop {
            let octets = self.wire.poll_fill(cx);
            if octets == 0 {
                return false;
            }
            add(&self.shared.counters.bytes_in, octets);
            self.input = Input::Undecoded;
            if self.wire.inbound.len() >= READ_BATCH {
                return true;
            }
        }
    }

    fn exchange_all(&mut self, cx: &Context<'_>) {
        loop {
            self.decode_batch();
            self.exchange(cx);
            if self.input != Input::Undecoded || !self.decodes() {
                return;
            }
        }
    }

    /// Cuts and decodes outside of the lock. Before the bind PDUs go to the session one by one,
    /// since a bind changes the longest that is taken next.
    fn decode_batch(&mut self) {
        if self.input != Input::Undecoded || !self.decodes() {
            return;
        }
        let likely = self.wire.inbound.len() / LIKELY_LEN;
        self.batch.reserve(likely.min(self.step.batch) + 1);
        while self.batch.len() < self.step.batch {
            // Decoded where it stays: a PDU is long, and moving it costs as much as reading it.
            self.batch.resize_with(self.batch.len() + 1, || None);
            let Some(place) = self.batch.last_mut() else {
                return;
            };
            let Step {
                max_pdu, quirks, ..
            } = self.step;
            match read(&mut self.wire.inbound, max_pdu, quirks, place) {
                Ok(()) if place.is_some() => {}
                Ok(()) => {
                    self.batch.pop();
                    self.input = Input::Cut;
                    return;
                }
                Err(impossible) => {
                    self.batch.pop();
                    self.input = Input::Broken(impossible.sequence(&self.wire.inbound));
                    self.wire.inbound.clear();
                    return;
                }
            }
        }
        if self.wire.inbound.is_empty() {
            self.input = Input::Cut;
        }
    }

    /// Tells the session all that happened and takes all that it wants.
    fn exchange(&mut self, cx: &Context<'_>) {
        let now = clock::now();
        let shared = Arc::clone(&self.shared);
        let mut inner = shared.lock();
        let Some(mut session) = inner.session.take() else {
            self.step.finished = Some(CloseReason::WeClosed);
            return;
        };
        let kept_until = self.kept_until(now);
        self.feed(&mut session, &inner, now);
        let likely = LIKELY_ROOM * session.pdus_waiting();
        self.wire.outbound.reserve(likely.min(WRITE_BATCH));
        if likely > 0 {
            // Whoever stood still for long may not go on where it was.
            if self.shared.may_write() {
                self.holds_requests = true;
            } else {
                session.withdraw(now);
            }
        }
        while self.wire.outbound.len() < WRITE_BATCH
            && session.poll_transmit(&mut self.wire.outbound)
        {}
        inner.pump(&mut session);
        self.step = Step::next(&session, &inner);
        inner.paused = self.step.reading == Reading::AfterTelling;
        inner.spare = match kept_until {
            Some(_) => Spare::Kept,
            None => Spare::GivenBack,
        };
        if self.step.resting
            && let Some(until) = kept_until
        {
            self.step.resting = false;
            self.step.wake_at(until);
        }
        if self.quiet && self.step.resting {
            session.release();
            inner.release();
        }
        let capacity = session.capacity(now) > 0;
        inner.session = Some(session);
        let known = inner.driver.as_ref();
        if !known.is_some_and(|known| known.will_wake(cx.waker())) {
            inner.driver = Some(cx.waker().clone());
        }
        if !inner.queue.is_empty() {
            let waiting = inner.consumer.take();
            self.reader = waiting.or_else(|| self.reader.take());
        }
        drop(inner);
        if capacity {
            self.shared.ready.notify_waiters();
        }
    }

    /// Counts what was read; where that is brisk traffic, until when room is kept for more.
    fn kept_until(&mut self, now: Instant) -> Option<Instant> {
        let slice = self.slice.filter(|(since, _)| now < *since + SLICE);
        let (since, read) = slice.unwrap_or((now, 0));
        let read = read + self.batch.len();
        self.slice = Some((since, read));
        (read >= BRISK).then(|| since + SLICE)
    }

    fn feed(&mut self, session: &mut Session, inner: &Inner, now: Instant) {
        // Nothing of ours goes out and so nothing of theirs is read: the peer is to blame for it, and
        // its time runs.
        let stuck = self.step.reading == Reading::AfterWriting && self.written == 0
            || self.step.reading == Reading::Ahead;
        session.handle_sent(std::mem::take(&mut self.written));
        session.reserve(self.batch.len(), 0);
        for inbound in self.batch.iter_mut().flatten() {
            session.handle_in_place(now, inbound);
        }
        self.batch.clear();
        if let Input::Broken(sequence) = self.input {
            self.input = Input::Cut;
            session.handle_broken_framing(sequence);
        }
        if self.wire.silent && self.input == Input::Cut {
            session.handle_half_closed(now);
        }
        let all_read = self.quiet && self.input != Input::Undecoded;
        if inner.paused {
            session.handle_not_reading(now);
        } else if all_read || stuck {
            session.handle_all_read();
        }
        // While it is not read, the session itself knows what still counts.
        if (all_read || stuck || inner.paused)
            && session
                .poll_timeout()
                .is_some_and(|deadline| deadline <= now)
        {
            session.handle_timeout(now);
        }
    }

    /// Writes, where that may be; whether the buffer is empty.
    fn put_out(&mut self, cx: &mut Context<'_>) -> bool {
        let (shared, harmless) = (&self.shared, !self.holds_requests);
        let may = || harmless || shared.may_write();
        let octets = self.wire.poll_drain(cx, may);
        add(&self.shared.counters.bytes_out, octets);
        self.written += octets;
        let is_out = self.wire.outbound.is_empty();
        self.holds_requests &= !is_out;
        if self.holds_requests && !self.shared.may_write() {
            self.step.wake_at(clock::now() + HELD);
        }
        is_out
    }

    /// The reason, once the connection has ended. A finished session waits a little for that.
    fn ended(&mut self, cx: &mut Context<'_>) -> Option<CloseReason> {
        if let Some(reason) = self.step.finished {
            let linger = *self
                .linger_until
                .get_or_insert_with(|| clock::now() + LINGER);
            self.step.deadline = Some(linger);
            if !self.step.more {
                self.wire.poll_finish(cx);
            }
            return (self.wire.ended.is_some() || clock::now() >= linger).then_some(reason);
        }
        // What was read before the end is still worth telling, once there is room for it.
        self.wire.ended.filter(|_| {
            self.input != Input::Undecoded || self.step.reading != Reading::AfterTelling
        })
    }

    /// Arms the timer and whether it has run out. It may run out early, never late: moving it
    /// costs more than a wake-up for nothing.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = self.step.deadline else {
            return false;
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline.into())));
        if timer.is_elapsed() || timer.deadline() > deadline.into() {
            timer.as_mut().reset(deadline.into());
        }
        timer.as_mut().poll(cx).is_ready()
    }

    fn finish(&mut self, reason: CloseReason) -> (CloseReason, Option<Duration>) {
        self.done = true;
        self.shared.end(std::mem::take(&mut self.written), reason)
    }
}

/// Reads the next whole PDU into its place, as its peer means it; `None` while it is not all there.
fn read(
    octets: &mut BytesMut,
    max_pdu: usize,
    quirks: Quirks,
    place: &mut Option<Inbound>,
) -> Result<(), FrameError> {
    if quirks == Quirks::NONE {
        return take_into(octets, max_pdu, place);
    }
    let frame = cut(octets, max_pdu)?;
    *place = frame.map(|frame| quirks.decode(frame));
    Ok(())
}

impl Future for Driver {
    /// Why the session ended, and how long it was bound.
    type Output = (CloseReason, Option<Duration>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.drive(cx).map(|reason| self.finish(reason))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if !self.done {
            self.finish(CloseReason::WeClosed);
        }
    }
}
