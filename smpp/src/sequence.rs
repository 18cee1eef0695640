//! Sequence numbers of the requests that this end sends.

/// The last number before the wrap. SMPP 3.4 §3.2, SMPP 5.0 §4.7.24.
pub(crate) const LAST: u32 = 0x7FFF_FFFF;

/// Counts 1, 2, … 0x7FFFFFFF, 1, …; every session starts at 1. Numbers whose requests still wait for
/// their answers are passed over.
#[derive(Debug, Clone)]
pub(crate) struct Sequence {
    next: u32,
    /// Before the numbers begin again none can be in flight.
    wrapped: bool,
}

impl Sequence {
    pub(crate) const fn new() -> Self {
        Self {
            next: 1,
            wrapped: false,
        }
    }

    #[cfg(test)]
    pub(crate) const fn starting_at(next: u32) -> Self {
        Self {
            next,
            wrapped: true,
        }
    }

    /// The next number that is not `in_flight`. Far fewer are in flight than there are numbers.
    pub(crate) fn take(&mut self, in_flight: impl Fn(u32) -> bool) -> u32 {
        loop {
            let taken = self.next;
            self.next = if taken >= LAST { 1 } else { taken + 1 };
            self.wrapped |= taken >= LAST;
            if !self.wrapped || !in_flight(taken) {
                return taken;
            }
        }
    }

    /// How many numbers after `first` this one is given out, as numbers go round.
    pub(crate) const fn distance(first: u32, number: u32) -> u32 {
        if number >= first {
            number - first
        } else {
            (LAST - first).wrapping_add(number)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(sequence: &mut Sequence, count: usize) -> Vec<u32> {
        (0..count).map(|_| sequence.take(|_| false)).collect()
    }

    #[test]
    fn a_session_starts_at_one() {
        let mut sequence = Sequence::new();
        assert_eq!(take(&mut sequence, 2), [1, 2]);
    }

    #[test]
    fn the_last_number_is_followed_by_one() {
        let mut sequence = Sequence::starting_at(LAST);
        assert_eq!(take(&mut sequence, 2), [0x7FFF_FFFF, 1]);
    }

    #[test]
    fn numbers_in_flight_are_passed_over() {
        let mut sequence = Sequence::starting_at(LAST - 1);
        let busy = [LAST, 1, 2, 4];
        let taken: Vec<_> = (0..3)
            .map(|_| sequence.take(|number| busy.contains(&number)))
            .collect();
        assert_eq!(taken, [LAST - 1, 3, 5]);
    }

    #[test]
    fn numbers_are_apart_as_far_as_they_are_taken() {
        let mut sequence = Sequence::starting_at(LAST - 1);
        let first = sequence.take(|_| false);
        for distance in 1..5 {
            assert_eq!(
                Sequence::distance(first, sequence.take(|_| false)),
                distance
            );
        }
    }
}
