//! Who has guessed wrong too often.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::places::source;

/// Most sources remembered. From there on the one that is forgotten soonest gives way.
const MOST: usize = 10_000;

/// Wrong answers by source address. One that has given too many is not listened to until its time
/// is over, and each further try counts.
#[derive(Debug)]
pub(crate) struct Refusals {
    most: u32,
    memory: Duration,
    wrong: HashMap<IpAddr, (u32, Instant)>,
}

impl Refusals {
    /// No more than `most` wrong answers within `memory`.
    pub(crate) fn new(most: u32, memory: Duration) -> Self {
        Self {
            most,
            memory,
            wrong: HashMap::new(),
        }
    }

    /// Whether what comes from there is to be looked at.
    pub(crate) fn listens(&self, address: IpAddr, now: Instant) -> bool {
        self.wrong
            .get(&source(address))
            .is_none_or(|(count, until)| *count < self.most || *until <= now)
    }

    /// A wrong answer came from there.
    pub(crate) fn note(&mut self, address: IpAddr, now: Instant) {
        let source = source(address);
        if !self.wrong.contains_key(&source) {
            self.make_room(now);
        }
        let until = now + self.memory;
        let (count, forgotten) = self.wrong.entry(source).or_insert((0, until));
        if *forgotten <= now {
            *count = 0;
        }
        *count = count.saturating_add(1);
        *forgotten = until;
    }

    fn make_room(&mut self, now: Instant) {
        if self.wrong.len() < MOST {
            return;
        }
        self.wrong.retain(|_, (_, until)| *until > now);
        if self.wrong.len() < MOST {
            return;
        }
        let oldest = self.wrong.iter().min_by_key(|(_, (_, until))| *until);
        if let Some(oldest) = oldest.map(|(source, _)| *source) {
            self.wrong.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn a_source_that_guesses_is_not_listened_to_for_a_while() {
        let now = crate::clock::now();
        let (guesser, other) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let mut refusals = Refusals::new(3, MINUTE);
        for _ in 0..3 {
            assert!(refusals.listens(guesser, now));
            refusals.note(guesser, now);
        }
        assert!(!refusals.listens(guesser, now));
        assert!(refusals.listens(other, now));
        assert!(refusals.listens(guesser, now + MINUTE));
        refusals.note(guesser, now + MINUTE);
        assert!(refusals.listens(guesser, now + MINUTE), "counted anew");
    }

    #[test]
    fn no_more_sources_are_remembered_than_allowed() {
        let now = crate::clock::now();
        let mut refusals = Refusals::new(1, MINUTE);
        for number in 0..10_100_u32 {
            let at = now + Duration::from_millis(number.into());
            refusals.note(IpAddr::from(number.to_be_bytes()), at);
        }
        assert_eq!(refusals.wrong.len(), MOST);
        let last = IpAddr::from(10_099_u32.to_be_bytes());
        assert!(!refusals.listens(last, now + Duration::from_secs(20)));
    }
}
