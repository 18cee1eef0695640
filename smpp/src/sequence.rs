//! Sequence numbers of the requests that this end sends.

/// The last number before the wrap. SMPP 3.4 §3.2, SMPP 5.0 §4.7.24.
pub(crate) const LAST: u32 = 0x7FFF_FFFF;

/// Counts 1, 2, … 0x7FFFFFFF, 1, …; every session starts at 1.
#[derive(Debug, Clone)]
pub(crate) struct Sequence {
    next: u32,
}

impl Sequence {
    pub(crate) const fn new() -> Self {
        Self { next: 1 }
    }

    #[cfg(test)]
    pub(crate) const fn starting_at(next: u32) -> Self {
        Self { next }
    }

    pub(crate) const fn take(&mut self) -> u32 {
        let taken = self.next;
        self.next = if taken >= LAST { 1 } else { taken + 1 };
        taken
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

    #[test]
    fn a_session_starts_at_one() {
        let mut sequence = Sequence::new();
        assert_eq!((sequence.take(), sequence.take()), (1, 2));
    }

    #[test]
    fn the_last_number_is_followed_by_one() {
        let mut sequence = Sequence::starting_at(LAST);
        assert_eq!((sequence.take(), sequence.take()), (0x7FFF_FFFF, 1));
    }

    #[test]
    fn numbers_are_apart_as_far_as_they_are_taken() {
        let mut sequence = Sequence::starting_at(LAST - 1);
        let first = sequence.take();
        for distance in 1..5 {
            assert_eq!(Sequence::distance(first, sequence.take()), distance);
        }
    }
}
