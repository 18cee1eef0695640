//! The requests that wait for an answer.

use std::collections::VecDeque;
use std::time::Instant;

use matrix_smpp_codec::CommandId;

use crate::sequence::Sequence;
use crate::session::release;

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

/// All requests without an answer, in the order of sending.
///
/// The response timer is the same for all, so that this is the order of their deadlines too; and
/// their numbers follow one another, so that an answer finds its request without a search as long
/// as no gap was swept out.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// The first one waits for its answer, if there is any.
    requests: VecDeque<Request>,
    /// How many of `requests` wait for an answer.
    waiting: usize,
    /// How many of those are the caller's; only they count against the window.
    in_flight: usize,
    /// Numbers do not follow one another: they have gone round while one request still waited.
    overtaken: bool,
}

#[derive(Debug)]
struct Request {
    sequence: u32,
    deadline: Instant,
    /// `None` once it is answered: it then stays until it reaches the front or is swept out.
    pending: Option<Pending>,
}

impl Window {
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    pub(crate) fn holds(&self, sequence: u32) -> bool {
        let request = self
            .place(sequence)
            .and_then(|place| self.requests.get(place));
        request.is_some_and(|request| request.pending.is_some())
    }

    pub(crate) fn insert(&mut self, sequence: u32, deadline: Instant, pending: Pending) {
        self.sweep();
        self.overtaken |= self.is_overtaken_by(sequence);
        self.waiting += 1;
        self.in_flight += usize::from(matches!(pending.waiter, Waiter::Caller(_)));
        self.requests.push_back(Request {
            sequence,
            deadline,
            pending: Some(pending),
        });
    }

    pub(crate) fn get_mut(&mut self, sequence: u32) -> Option<&mut Pending> {
        self.slot(sequence)?.as_mut()
    }

    /// Takes the request that a response answers: the number and the kind must both fit, since the
    /// peer's own requests use the same numbers. A `generic_nack` answers any kind. SMPP 3.4 §4.3.
    pub(crate) fn answered(&mut self, sequence: u32, response: CommandId) -> Option<Pending> {
        let slot = self.slot(sequence)?;
        let expects = slot.as_ref()?.expects;
        if response != expects && response != CommandId::GENERIC_NACK {
            return None;
        }
        let pending = slot.take()?;
        self.settle(&pending);
        Some(pending)
    }

    /// Takes the first request whose deadline has passed.
    pub(crate) fn expired(&mut self, now: Instant) -> Option<Pending> {
        let first = self
            .requests
            .front_mut()
            .filter(|first| first.deadline <= now)?;
        let pending = first.pending.take()?;
        self.settle(&pending);
        Some(pending)
    }

    /// When the first request expires.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.requests.front().map(|first| first.deadline)
    }

    /// Takes the caller's requests that still wait in the outbox, oldest first.
    pub(crate) fn withdraw(&mut self) -> Vec<Pending> {
        let waits = |pending: &mut Pending| {
            pending.offset.is_none() && matches!(pending.waiter, Waiter::Caller(_))
        };
        let slots = self.requests.iter_mut();
        let slots = slots.map(|request| &mut request.pending);
        let withdrawn: Vec<_> = slots.filter_map(|slot| slot.take_if(waits)).collect();
        for pending in &withdrawn {
            self.settle(pending);
        }
        withdrawn
    }

    /// Takes every request, oldest first.
    pub(crate) fn drain(&mut self) -> Vec<Pending> {
        let all = std::mem::take(self).requests.into_iter();
        all.filter_map(|request| request.pending).collect()
    }

    /// Gives back the memory that nothing is held in.
    pub(crate) fn release(&mut self) {
        release(&mut self.requests);
    }

    fn slot(&mut self, sequence: u32) -> Option<&mut Option<Pending>> {
        let place = self.place(sequence)?;
        Some(&mut self.requests.get_mut(place)?.pending)
    }

    fn place(&self, sequence: u32) -> Option<usize> {
        if self.overtaken {
            let mut sequences = self.requests.iter().map(|request| request.sequence);
            return sequences.position(|other| other == sequence);
        }
        let first = self.requests.front()?.sequence;
        let distance = Sequence::distance(first, sequence);
        if self.farthest()? < distance {
            return None;
        }
        let fits = |place: &usize| {
            let request = self.requests.get(*place);
            request.is_some_and(|request| request.sequence == sequence)
        };
        let by_distance = |request: &Request| Sequence::distance(first, request.sequence);
        let by_search = || {
            self.requests
                .binary_search_by_key(&distance, by_distance)
                .ok()
        };
        let without_gaps = usize::try_from(distance).ok().filter(fits);
        without_gaps.or_else(by_search).filter(fits)
    }

    /// How far the last number is from the first.
    fn farthest(&self) -> Option<u32> {
        let (first, last) = (self.requests.front()?, self.requests.back()?);
        Some(Sequence::distance(first.sequence, last.sequence))
    }

    fn settle(&mut self, pending: &Pending) {
        self.waiting -= 1;
        self.in_flight -= usize::from(matches!(pending.waiter, Waiter::Caller(_)));
        while self
            .requests
            .front()
            .is_some_and(|first| first.pending.is_none())
        {
            self.requests.pop_front();
        }
        self.overtaken &= !self.requests.is_empty();
    }

    /// Whether the numbers have gone round past the oldest request, which still waits.
    fn is_overtaken_by(&self, sequence: u32) -> bool {
        let first = self.requests.front().map(|first| first.sequence);
        let distance = first.map(|first| Sequence::distance(first, sequence));
        distance < self.farthest()
    }

    /// Keeps `requests` within twice those that wait: one answer that never comes must not make it
    /// grow for as long as the response timer runs.
    fn sweep(&mut self) {
        if self.requests.len() >= 64 + 2 * self.waiting {
            self.requests.retain(|request| request.pending.is_some());
        }
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
        assert!(window.requests.len() < 80, "{}", window.requests.len());
        assert!(window.answered(1, CommandId::SUBMIT_SM_RESP).is_some());
        assert!(window.requests.is_empty());
    }

    #[test]
    fn an_answer_finds_its_request_across_gaps_and_where_the_numbers_begin_again() {
        let start = crate::clock::now();
        let mut window = Window::default();
        let last = 0x7fff_ffff;
        let numbers: Vec<u32> = (last - 200..=last).chain(1..=200).collect();
        for sequence in &numbers {
            window.insert(*sequence, start, submit((*sequence).into()));
        }
        // Three of four are answered, and the gaps are swept out.
        for sequence in numbers
            .iter()
            .enumerate()
            .filter(|(place, _)| place % 4 != 0)
        {
            assert!(
                window
                    .answered(*sequence.1, CommandId::SUBMIT_SM_RESP)
                    .is_some()
            );
        }
        for sequence in 201..=300 {
            window.insert(sequence, start, submit(sequence.into()));
        }
        assert_eq!(window.requests.len(), 101 + 100);
        for stranger in [0, 1, last - 201, 301, last + 2, u32::MAX] {
            assert!(
                window
                    .answered(stranger, CommandId::SUBMIT_SM_RESP)
                    .is_none()
            );
        }
        for sequence in numbers.into_iter().step_by(4).chain(201..=300) {
            let found = window.answered(sequence, CommandId::SUBMIT_SM_RESP);
            let found = found.map(|pending| pending.waiter);
            assert_eq!(found, Some(Waiter::Caller(Ticket(sequence.into()))));
        }
        assert!(window.is_empty());
    }
}
