//! The requests that wait for an answer.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Instant;

use matrix_smpp_codec::CommandId;

/// The caller's name for a request; comes back with its answer or its loss. The session does not
/// look at it: its uniqueness is the caller's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Who is told of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiter {
    Bind,
    Caller(Ticket),
    Enquire,
    Unbind,
}

/// A request without its answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pending {
    pub(crate) waiter: Waiter,
    pub(crate) expects: CommandId,
    /// When it was asked for.
    pub(crate) since: Instant,
    /// Where its first octet stands in the stream of all octets encoded; `None` while it waits in
    /// the outbox.
    pub(crate) offset: Option<u64>,
    /// How many answers of ours stand before it in the stream.
    pub(crate) after_answers: u64,
}

/// All requests without an answer, in the order of their deadlines.
///
/// The response timer is the same for all, so that order is the order of sending.
#[derive(Debug, Default)]
pub(crate) struct Window {
    pending: HashMap<u32, Pending, BuildHasherDefault<SequenceHasher>>,
    /// Answered requests stay in here until they reach the front or are swept out.
    deadlines: VecDeque<(Instant, u32)>,
    /// How many of `pending` are the caller's; only those count against the window.
    in_flight: usize,
}

impl Window {
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    pub(crate) fn holds(&self, sequence: u32) -> bool {
        self.pending.contains_key(&sequence)
    }

    pub(crate) fn insert(&mut self, sequence: u32, deadline: Instant, pending: Pending) {
        self.in_flight += usize::from(matches!(pending.waiter, Waiter::Caller(_)));
        self.pending.insert(sequence, pending);
        self.sweep();
        self.deadlines.push_back((deadline, sequence));
    }

    pub(crate) fn get_mut(&mut self, sequence: u32) -> Option<&mut Pending> {
        self.pending.get_mut(&sequence)
    }

    /// Takes the request that a response answers: the number and the kind must both fit, since the
    /// peer's own requests use the same numbers. A `generic_nack` answers any kind. SMPP 3.4 §4.3.
    pub(crate) fn answered(&mut self, sequence: u32, response: CommandId) -> Option<Pending> {
        let pending = self.pending.get(&sequence)?;
        let fits = response == pending.expects || response == CommandId::GENERIC_NACK;
        if fits { self.remove(sequence) } else { None }
    }

    /// Takes the first request whose deadline has passed.
    pub(crate) fn expired(&mut self, now: Instant) -> Option<Pending> {
        while let Some((deadline, sequence)) = self.deadlines.front().copied() {
            if deadline > now && self.holds(sequence) {
                return None;
            }
            self.deadlines.pop_front();
            if let Some(pending) = self.remove(sequence) {
                return Some(pending);
            }
        }
        None
    }

    /// When the first request expires. May be early (an answered request's deadline), never late.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        if self.pending.is_empty() {
            return None;
        }
        self.deadlines.front().map(|(deadline, _)| *deadline)
    }

    /// Takes every request, oldest first.
    pub(crate) fn drain(&mut self) -> Vec<Pending> {
        let order = std::mem::take(&mut self.deadlines);
        order
            .into_iter()
            .filter_map(|(_, sequence)| self.remove(sequence))
            .collect()
    }

    fn remove(&mut self, sequence: u32) -> Option<Pending> {
        let pending = self.pending.remove(&sequence)?;
        self.in_flight -= usize::from(matches!(pending.waiter, Waiter::Caller(_)));
        while self
            .deadlines
            .front()
            .is_some_and(|(_, front)| !self.pending.contains_key(front))
        {
            self.deadlines.pop_front();
        }
        Some(pending)
    }

    /// Keeps `deadlines` within twice the requests that wait: one answer that never comes must not
    /// make it grow for as long as the response timer runs.
    fn sweep(&mut self) {
        if self.deadlines.len() >= 64 + 2 * self.pending.len() {
            let pending = &self.pending;
            self.deadlines
                .retain(|(_, sequence)| pending.contains_key(sequence));
        }
    }
}

/// Spreads consecutive numbers. The numbers are our own, so nobody can choose colliding ones.
#[derive(Debug, Default, Clone, Copy)]
struct SequenceHasher(u64);

impl Hasher for SequenceHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        // Fibonacci hashing: 2^64 divided by the golden ratio.
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn submit(ticket: u64) -> Pending {
        Pending {
            waiter: Waiter::Caller(Ticket(ticket)),
            expects: CommandId::SUBMIT_SM_RESP,
            since: crate::clock::now(),
            offset: None,
            after_answers: 0,
        }
    }

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn answers_come_in_any_order() {
        let start = crate::clock::now();
        let mut window = Window::default();
        for sequence in 1..=3 {
            window.insert(sequence, start, submit(u64::from(sequence)));
        }
        for sequence in [2, 3, 1] {
            let pending = window
                .answered(sequence, CommandId::SUBMIT_SM_RESP)
                .unwrap();
            assert_eq!(pending.waiter, Waiter::Caller(Ticket(u64::from(sequence))));
        }
        assert!(window.is_empty());
        assert_eq!((window.in_flight(), window.next_deadline()), (0, None));
    }

    #[test]
    fn a_response_of_another_kind_answers_nothing() {
        let mut window = Window::default();
        window.insert(1, crate::clock::now(), submit(1));
        assert!(window.answered(1, CommandId::DELIVER_SM_RESP).is_none());
        assert!(window.answered(1, CommandId::GENERIC_NACK).is_some());
    }

    #[test]
    fn requests_expire_in_order_and_answered_ones_do_not() {
        let start = crate::clock::now();
        let mut window = Window::default();
        for sequence in 1..=4_u32 {
            window.insert(
                sequence,
                start + second(sequence.into()),
                submit(sequence.into()),
            );
        }
        window.answered(2, CommandId::SUBMIT_SM_RESP).unwrap();
        assert!(window.expired(start).is_none());
        let expired: Vec<_> = std::iter::from_fn(|| window.expired(start + second(3)))
            .map(|pending| pending.waiter)
            .collect();
        assert_eq!(
            expired,
            [Waiter::Caller(Ticket(1)), Waiter::Caller(Ticket(3))]
        );
        assert_eq!(window.next_deadline(), Some(start + second(4)));
    }

    #[test]
    fn enquiries_do_not_use_up_the_window() {
        let mut window = Window::default();
        let enquiry = Pending {
            waiter: Waiter::Enquire,
            expects: CommandId::ENQUIRE_LINK_RESP,
            since: crate::clock::now(),
            offset: None,
            after_answers: 0,
        };
        window.insert(1, crate::clock::now(), enquiry);
        assert_eq!(window.in_flight(), 0);
        assert!(!window.is_empty());
    }

    #[test]
    fn one_lost_answer_does_not_make_the_deadlines_grow() {
        let start = crate::clock::now();
        let mut window = Window::default();
        window.insert(1, start, submit(1));
        for sequence in 2..100_000 {
            window.insert(sequence, start, submit(sequence.into()));
            window
                .answered(sequence, CommandId::SUBMIT_SM_RESP)
                .unwrap();
        }
        assert!(window.deadlines.len() < 80, "{}", window.deadlines.len());
    }
}
