//! What the session has to say, and what became of it.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::BytesMut;
use matrix_smpp_codec::{CommandId, Pdu};

use super::{Event, Session, State};
use crate::error::{CloseReason, UnansweredCause};
use crate::window::{Pending, Waiter};

impl Session {
    /// Appends the next PDU to `out`, octet for octet as it goes on the wire; false when there is
    /// none. All that is appended must go out, in order: see [`handle_sent`](Self::handle_sent).
    pub fn poll_transmit(&mut self, out: &mut BytesMut) -> bool {
        let head = |pdu: &Pdu| (pdu.command_id(), pdu.sequence);
        while let Some((command, sequence)) = self.outbox.front().map(head) {
            let goes_out = self.stamp(command, sequence);
            // Encoded where it is: to take it out first would move it.
            if let Some(pdu) = self.outbox.front().filter(|_| goes_out) {
                let before = out.len();
                pdu.encode(out);
                self.encoded += (out.len() - before) as u64;
                self.counters.count_out(command);
            }
            self.outbox.pop_front();
            if goes_out {
                return true;
            }
        }
        false
    }

    /// Notes where in the stream a request begins; false when it must not go out any more: its
    /// caller has been told that it did not, or is about to be.
    fn stamp(&mut self, command: CommandId, sequence: u32) -> bool {
        if command.response().is_none() {
            return true;
        }
        if matches!(self.state, State::Closed(_)) {
            return false;
        }
        let encoded = self.encoded;
        self.window
            .get_mut(sequence)
            .map(|pending| pending.offset = Some(encoded))
            .is_some()
    }

    /// The next thing to tell the owner.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// All that is to be told, where it is: an event is long, and moving it takes time.
    pub(crate) fn events_mut(&mut self) -> &mut VecDeque<Event> {
        &mut self.events
    }

    /// The next `octets` of what `poll_transmit` gave were handed to the socket.
    pub const fn handle_sent(&mut self, octets: usize) {
        self.sent += octets as u64;
    }

    /// Hands back the owner's requests that [`poll_transmit`](Self::poll_transmit) has not given yet:
    /// they must not go out any more. All else goes on.
    pub fn withdraw(&mut self, now: Instant) {
        for pending in self.window.withdraw() {
            self.give_up(pending, UnansweredCause::Withdrawn);
        }
        self.unbind_when_drained(now);
    }

    /// The connection is gone, for the reason that the session itself gave or else for this one.
    /// Hands back every request without an answer.
    pub fn handle_disconnected(&mut self, reason: CloseReason) {
        if std::mem::replace(&mut self.reported_closed, true) {
            return;
        }
        self.close_with(reason);
        let reason = self.finished().unwrap_or(reason);
        let cause = match reason {
            CloseReason::WeClosed | CloseReason::Inactive => UnansweredCause::Closed,
            _ => UnansweredCause::LinkDied,
        };
        self.outbox.clear();
        for pending in self.window.drain() {
            self.give_up(pending, cause);
        }
        self.events.push_back(Event::Closed(reason));
    }

    pub(super) fn give_up(&mut self, pending: Pending, cause: UnansweredCause) {
        if let Waiter::Caller(ticket) = pending.waiter {
            let written = match cause {
                // What is encoded goes out sooner or later while the session lives.
                UnansweredCause::Timeout => pending.offset.is_some(),
                _ => pending.offset.is_some_and(|offset| offset < self.sent),
            };
            self.events.push_back(Event::Unanswered {
                ticket,
                written,
                cause,
            });
        }
    }
}
