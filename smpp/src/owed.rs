//! The peer's requests that wait for our answers.

use std::collections::VecDeque;

use crate::session::release;

/// Their numbers, in the order in which they came. A peer may use one twice.
#[derive(Debug, Default)]
pub(crate) struct Owed(VecDeque<u32>);

impl Owed {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn push(&mut self, sequence: u32) {
        self.0.push_back(sequence);
    }

    /// False where no request of this number waits. Most are answered in their order.
    pub(crate) fn take(&mut self, sequence: u32) -> bool {
        if self.0.front() == Some(&sequence) {
            self.0.pop_front();
            return true;
        }
        let place = self.0.iter().position(|other| *other == sequence);
        place.and_then(|place| self.0.remove(place)).is_some()
    }

    /// Gives back the memory that nothing is held in.
    pub(crate) fn release(&mut self) {
        release(&mut self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_answered_once_in_any_order() {
        let mut owed = Owed::default();
        for sequence in [1, 2, 3, 2] {
            owed.push(sequence);
        }
        for (sequence, waits) in [
            (2, true),
            (1, true),
            (1, false),
            (2, true),
            (2, false),
            (4, false),
            (3, true),
        ] {
            assert_eq!(owed.take(sequence), waits, "{sequence}");
        }
        assert!(owed.is_empty());
    }
}
