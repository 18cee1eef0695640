//! How long to wait before the next attempt to connect.

use std::time::Duration;

/// The bounds of the pause between two attempts to connect.
///
/// The pause doubles with every failed attempt, and each is drawn at random from its upper half, so
/// that many links that fell together do not come back together. A bind that held for at least
/// [`cap`](Self::cap) starts the count again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The pause after the first failure; 10 ms at least. SMPP 5.0 advises five seconds.
    pub first: Duration,
    /// The longest pause, and the pause after a refusal that another attempt will hardly change
    /// (a wrong password, an unknown `system_id`).
    pub cap: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(5),
            cap: Duration::from_mins(2),
        }
    }
}

/// No setting makes a link hammer its peer.
const LEAST: Duration = Duration::from_millis(10);

/// What the last attempt says about the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The bind was good for this long.
    Held(Duration),
    /// Another attempt may well succeed.
    Failed,
    /// Another attempt will fail until somebody changes a setting.
    Hopeless,
}

/// The count of failures in a row.
#[derive(Debug)]
pub(crate) struct Attempts {
    bounds: Backoff,
    failures: u32,
}

impl Attempts {
    pub(crate) const fn new(bounds: Backoff) -> Self {
        Self {
            bounds,
            failures: 0,
        }
    }

    /// The pause after an attempt. `dice` is uniform over all of `u32`.
    pub(crate) fn pause(&mut self, outcome: Outcome, dice: u32) -> Duration {
        if matches!(outcome, Outcome::Held(held) if held >= self.bounds.cap) {
            self.failures = 0;
        }
        let whole = match outcome {
            Outcome::Hopeless => self.bounds.cap,
            Outcome::Held(_) | Outcome::Failed => self.doubled(),
        };
        self.failures = self.failures.saturating_add(1);
        let half = whole / 2;
        half + half.mul_f64(f64::from(dice) / f64::from(u32::MAX))
    }

    fn doubled(&self) -> Duration {
        let factor = 2u32.saturating_pow(self.failures.min(31));
        let first = self.bounds.first.max(LEAST);
        first.saturating_mul(factor).min(self.bounds.cap.max(LEAST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Backoff = Backoff {
        first: Duration::from_secs(1),
        cap: Duration::from_mins(1),
    };

    #[test]
    fn the_pause_doubles_up_to_the_cap() {
        let mut attempts = Attempts::new(BOUNDS);
        let pauses: Vec<_> = (0..8)
            .map(|_| attempts.pause(Outcome::Failed, u32::MAX).as_secs())
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn the_pause_is_drawn_from_the_upper_half() {
        assert_eq!(
            Attempts::new(BOUNDS).pause(Outcome::Failed, 0),
            Duration::from_millis(500),
            "the least"
        );
        assert_eq!(
            Attempts::new(BOUNDS).pause(Outcome::Failed, u32::MAX),
            BOUNDS.first
        );
    }

    #[test]
    fn a_hopeless_refusal_waits_the_longest() {
        let pause = Attempts::new(BOUNDS).pause(Outcome::Hopeless, u32::MAX);
        assert_eq!(pause, BOUNDS.cap);
    }

    #[test]
    fn a_bind_that_held_starts_the_count_again() {
        let mut attempts = Attempts::new(BOUNDS);
        for _ in 0..5 {
            attempts.pause(Outcome::Failed, 0);
        }
        assert_eq!(
            attempts.pause(Outcome::Held(BOUNDS.cap), u32::MAX),
            BOUNDS.first
        );
    }

    #[test]
    fn a_bind_that_fell_at_once_does_not_start_the_count_again() {
        let mut attempts = Attempts::new(BOUNDS);
        attempts.pause(Outcome::Failed, 0);
        let pause = attempts.pause(Outcome::Held(Duration::from_secs(1)), u32::MAX);
        assert_eq!(pause, BOUNDS.first * 2);
    }

    #[test]
    fn pauses_of_nothing_are_still_pauses() {
        let mut attempts = Attempts::new(Backoff {
            first: Duration::ZERO,
            cap: Duration::ZERO,
        });
        assert_eq!(attempts.pause(Outcome::Failed, u32::MAX), LEAST);
    }

    #[test]
    fn a_thousand_failures_do_not_overflow() {
        let mut attempts = Attempts::new(BOUNDS);
        let last = (0..1_000)
            .map(|_| attempts.pause(Outcome::Failed, u32::MAX))
            .last();
        assert_eq!(last, Some(BOUNDS.cap));
    }
}
