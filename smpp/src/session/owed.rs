//! The peer's requests that wait for our answers.

use std::collections::VecDeque;

use super::release;

/// The numbers of the peer's requests without an answer, in the order of their coming. A peer may use
/// a number again while it waits: then it is owed that many answers.
///
/// Answers are given in about the order of the requests, and peers count upwards: most are found at
/// once, the others by a search among those that wait.
#[derive(Debug, Default)]
pub(super) struct Owed {
    /// `None` once it is answered. The first one waits, if there is any.
    numbers: VecDeque<Option<u32>>,
    waiting: usize,
}

impl Owed {
    pub(super) const fn len(&self) -> usize {
        self.waiting
    }

    pub(super) fn push(&mut self, sequence: u32) {
        self.sweep();
        self.numbers.push_back(Some(sequence));
        self.waiting += 1;
    }

    /// Takes a request that is answered; false where none of this number waits.
    pub(super) fn settle(&mut self, sequence: u32) -> bool {
        let Some(place) = self.place(sequence) else {
            return false;
        };
        if let Some(number) = self.numbers.get_mut(place) {
            *number = None;
        }
        self.waiting -= 1;
        while matches!(self.numbers.front(), Some(None)) {
            self.numbers.pop_front();
        }
        true
    }

    /// Gives back the memory that nothing is held in.
    pub(super) fn release(&mut self) {
        release(&mut self.numbers);
    }

    fn place(&self, sequence: u32) -> Option<usize> {
        let first = (*self.numbers.front()?)?;
        let likely = usize::try_from(sequence.wrapping_sub(first)).ok();
        let fits = |place: &usize| self.numbers.get(*place) == Some(&Some(sequence));
        likely.filter(fits).or_else(|| {
            let mut numbers = self.numbers.iter();
            numbers.position(|number| *number == Some(sequence))
        })
    }

    /// Keeps `numbers` within twice those that wait, whatever is never answered.
    fn sweep(&mut self) {
        if self.numbers.len() >= 64 + 2 * self.waiting {
            self.numbers.retain(Option::is_some);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owed(numbers: impl IntoIterator<Item = u32>) -> Owed {
        let mut owed = Owed::default();
        numbers.into_iter().for_each(|number| owed.push(number));
        owed
    }

    #[test]
    fn each_number_is_owed_as_many_answers_as_it_came() {
        let mut owed = owed([7, 7, 0, u32::MAX, 7]);
        for (number, left) in [(u32::MAX, 4), (7, 3), (7, 2), (7, 1), (0, 0)] {
            assert!(owed.settle(number), "{number}");
            assert!(!owed.settle(8));
            assert_eq!(owed.len(), left);
        }
        assert!(!owed.settle(7) && !owed.settle(0));
        assert!(owed.numbers.is_empty());
    }

    #[test]
    fn answers_in_any_order_settle_their_own_requests() {
        let mut owed = owed(u32::MAX - 50..=u32::MAX);
        (0..50).for_each(|number| owed.push(number));
        let mut left = 101;
        for step in 0..101_u32 {
            // 101 is a prime: every number once.
            let number = (step * 37 % 101).wrapping_sub(51);
            assert!(owed.settle(number), "{number}");
            assert!(!owed.settle(number), "{number} again");
            left -= 1;
            assert_eq!(owed.len(), left);
        }
    }

    #[test]
    fn one_request_that_is_never_answered_keeps_no_others() {
        let mut owed = owed([1]);
        for number in 2..100_000 {
            owed.push(number);
            assert!(owed.settle(number));
        }
        assert!(owed.numbers.len() < 80, "{}", owed.numbers.len());
        assert!(owed.settle(1));
        assert_eq!((owed.len(), owed.numbers.len()), (0, 0));
    }
}
