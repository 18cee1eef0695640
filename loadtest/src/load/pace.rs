//! When each message is meant to leave: an arrival process that does not look at the answers.

use std::num::NonZeroU32;
use std::time::Duration;

/// Nanoseconds in a second.
const NANOS: u128 = 1_000_000_000;

/// A constant rate after a linear ramp from zero.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    rate: NonZeroU32,
    ramp: Duration,
}

impl Pace {
    pub(crate) const fn new(rate: NonZeroU32, ramp: Duration) -> Self {
        Self { rate, ramp }
    }

    /// When message `index` (from 0) is due, counted from the start.
    ///
    /// In a ramp of length T to the rate R, `R·t²/2T` messages are due by t.
    pub(crate) fn at(&self, index: u64) -> Duration {
        let rate = u128::from(self.rate.get());
        let index = u128::from(index);
        let ramp = self.ramp.as_nanos();
        let steady = index * NANOS / rate;
        let nanos = if steady * 2 < ramp {
            (2 * ramp * steady).isqrt()
        } else {
            steady + ramp / 2
        };
        u64::try_from(nanos).map_or(Duration::MAX, Duration::from_nanos)
    }
}

/// One bind's share of the schedule: every `stride`-th message from `first` on.
#[derive(Debug, Clone)]
pub(crate) struct Share {
    pace: Option<Pace>,
    next: u64,
    stride: u64,
    end: u64,
    horizon: Duration,
}

/// What a share says about its next message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// It is due since then.
    Since(Duration),
    /// It will be.
    At(Duration),
    /// There is none.
    Never,
}

impl Share {
    /// The share of bind `first` of `stride`, of `count` messages within `horizon`. Without a pace
    /// each message is due when it is asked for: closed loop.
    pub(crate) fn new(pace: Option<Pace>, first: u64, stride: u64, ends: Ends) -> Self {
        Self {
            pace,
            next: first,
            stride: stride.max(1),
            end: ends.count.unwrap_or(u64::MAX),
            horizon: ends.duration.unwrap_or(Duration::MAX),
        }
    }

    /// About the next message, `elapsed` after the start.
    pub(crate) fn due(&self, elapsed: Duration) -> Due {
        let at = self.pace.map_or(elapsed, |pace| pace.at(self.next));
        if self.next >= self.end || at >= self.horizon {
            Due::Never
        } else if at <= elapsed {
            Due::Since(at)
        } else {
            Due::At(at)
        }
    }

    /// The number of the next message over all binds, which has been taken by this.
    pub(crate) fn take(&mut self) -> u64 {
        let number = self.next;
        self.next = self.next.saturating_add(self.stride);
        number
    }

    /// The same share after so many of its messages.
    pub(crate) fn after(&self, taken: u64) -> Self {
        Self {
            next: self.next.saturating_add(self.stride.saturating_mul(taken)),
            ..self.clone()
        }
    }

    /// How many messages of this share are due and not taken.
    pub(crate) fn backlog(&self, elapsed: Duration) -> u64 {
        let Some(pace) = self.pace else {
            return 0;
        };
        let by = elapsed.min(self.horizon);
        let (mut low, mut high) = (0, 1);
        let waits = |ahead: u64| {
            let number = self.next.saturating_add(self.stride.saturating_mul(ahead));
            number < self.end && pace.at(number) < by
        };
        while waits(high) {
            low = high;
            high *= 2;
        }
        if !waits(0) {
            return 0;
        }
        while low + 1 < high {
            let middle = u64::midpoint(low, high);
            if waits(middle) {
                low = middle;
            } else {
                high = middle;
            }
        }
        low + 1
    }
}

/// Where the schedule ends: whichever comes first.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ends {
    pub(crate) count: Option<u64>,
    pub(crate) duration: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(rate: u32, ramp: Duration) -> Pace {
        Pace::new(NonZeroU32::new(rate).unwrap(), ramp)
    }

    fn share(first: u64, stride: u64, ends: Ends) -> Share {
        Share::new(Some(pace(100, Duration::ZERO)), first, stride, ends)
    }

    #[test]
    fn without_a_ramp_messages_are_evenly_spaced_and_do_not_drift() {
        let pace = pace(3, Duration::ZERO);
        assert_eq!(pace.at(0), Duration::ZERO);
        assert_eq!(pace.at(1), Duration::from_nanos(333_333_333));
        assert_eq!(pace.at(3_000_000_000), Duration::from_secs(1_000_000_000));
    }

    #[test]
    fn a_ramp_sends_half_of_what_the_full_rate_would_and_then_keeps_the_rate() {
        let pace = pace(1_000, Duration::from_secs(10));
        assert_eq!(pace.at(0), Duration::ZERO);
        // A quarter of the messages of the ramp are due at half its time.
        assert_eq!(pace.at(1_250), Duration::from_secs(5));
        assert_eq!(pace.at(5_000), Duration::from_secs(10));
        assert_eq!(pace.at(6_000), Duration::from_secs(11));
        let instants: Vec<_> = (0..10_000).map(|index| pace.at(index)).collect();
        assert!(instants.is_sorted());
    }

    #[test]
    fn the_shares_of_all_binds_are_the_whole_schedule_once() {
        let ends = Ends {
            count: Some(10),
            duration: None,
        };
        let mut numbers = Vec::new();
        for first in 0..3 {
            let mut share = share(first, 3, ends);
            while matches!(share.due(Duration::from_secs(9)), Due::Since(_)) {
                numbers.push(share.take());
            }
        }
        numbers.sort_unstable();
        assert_eq!(numbers, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_message_is_due_at_its_own_time_however_late_it_is_asked_for() {
        let mut share = share(0, 1, Ends::default());
        share.take();
        let late = Duration::from_secs(5);
        assert_eq!(share.due(late), Due::Since(Duration::from_millis(10)));
        assert_eq!(
            share.due(Duration::from_millis(9)),
            Due::At(Duration::from_millis(10))
        );
    }

    #[test]
    fn nothing_is_due_after_the_end() {
        let ends = Ends {
            count: None,
            duration: Some(Duration::from_millis(15)),
        };
        let mut share = share(0, 1, ends);
        share.take();
        share.take();
        assert_eq!(share.due(Duration::from_secs(1)), Due::Never);
    }

    #[test]
    fn the_backlog_is_what_is_due_and_not_taken() {
        let mut share = share(0, 2, Ends::default());
        // Messages 0, 2, … 98 are due before the first second is over.
        assert_eq!(share.backlog(Duration::from_secs(1)), 50);
        for _ in 0..49 {
            share.take();
        }
        assert_eq!(share.backlog(Duration::from_secs(1)), 1);
        share.take();
        assert_eq!(share.backlog(Duration::from_secs(1)), 0);
        assert_eq!(share.backlog(Duration::ZERO), 0);
    }
}
