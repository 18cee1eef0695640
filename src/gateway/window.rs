//! What was counted lately: a sum over a window of time that moves on.
//!
//! Each amount counts from when it came until the window's width later, and up to a 24th of the width longer:
//! amounts that come close together are kept as one, so that what is kept is bounded however much
//! comes. So no window of this width ever holds more than was allowed, wherever it begins.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::model::Timestamp;

/// How many spans a window is cut into.
const SPANS: u32 = 24;

/// Amounts that came within a 24th of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Span {
    first: Timestamp,
    last: Timestamp,
    sum: i64,
}

impl Span {
    /// True while it counts. What lies further ahead than a window was counted by a clock that was wrong.
    fn counts(&self, width: Duration, now: Timestamp) -> bool {
        now < self.last.after(width) && self.last < now.after(width)
    }
}

/// Amounts that were counted, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Window(Vec<Span>);

impl Window {
    /// What counts now.
    #[must_use]
    pub fn sum(&self, width: Duration, now: Timestamp) -> i64 {
        let counting = self.0.iter().filter(|span| span.counts(width, now));
        counting.fold(0, |sum, span| sum.saturating_add(span.sum))
    }

    /// True where nothing counts.
    #[must_use]
    pub fn is_over(&self, width: Duration, now: Timestamp) -> bool {
        !self.0.iter().any(|span| span.counts(width, now))
    }

    /// When there is room for `amount` under `most`, as far as is known: `now` where there is already;
    /// `None` where there never is.
    #[must_use]
    pub fn room_at(
        &self,
        (width, now): (Duration, Timestamp),
        most: i64,
        amount: i64,
    ) -> Option<Timestamp> {
        let mut left = most.checked_sub(amount).filter(|left| *left >= 0)?;
        left = left.saturating_sub(self.sum(width, now));
        if left >= 0 {
            return Some(now);
        }
        let mut counting = self.0.iter().filter(|span| span.counts(width, now));
        let enough = counting.find(|span| {
            left = left.saturating_add(span.sum);
            left >= 0
        });
        enough.map(|span| span.last.after(width))
    }

    /// Counts `amount`, which may be 0 or more, and forgets what does not count any more.
    pub fn add(&mut self, width: Duration, now: Timestamp, amount: i64) {
        self.0.retain(|span| span.counts(width, now));
        match self.0.last_mut() {
            Some(span) if now < span.first.after(width / SPANS) => {
                span.last = span.last.max(now);
                span.sum = span.sum.saturating_add(amount);
            }
            _ => self.0.push(Span {
                first: now,
                last: now,
                sum: amount,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WIDTH: Duration = Duration::from_millis(2_400);
    const WIDE: i64 = 2_400;

    /// Amounts with the pauses before them.
    fn asked() -> impl Strategy<Value = Vec<(i64, i64)>> {
        prop::collection::vec((0..400_i64, 0..30_i64), 0..200)
    }

    /// Asks for each amount under `most`, one after the other; gives what was granted and when.
    fn granted(window: &mut Window, most: i64, asked: &[(i64, i64)]) -> Vec<(i64, i64)> {
        let (mut now, mut granted) = (0, Vec::new());
        for (pause, amount) in asked {
            now += pause;
            let at = Timestamp(now);
            if window.room_at((WIDTH, at), most, *amount) == Some(at) {
                window.add(WIDTH, at, *amount);
                granted.push((now, *amount));
            }
        }
        granted
    }

    proptest! {
        #[test]
        fn no_window_holds_more_than_is_allowed_wherever_it_begins(asked in asked(), most in 0..100_i64) {
            let granted = granted(&mut Window::default(), most, &asked);
            for (begin, _) in &granted {
                let within = granted.iter().filter(|(at, _)| (*begin..begin + WIDE).contains(at));
                prop_assert!(within.map(|(_, amount)| amount).sum::<i64>() <= most);
            }
        }

        #[test]
        fn what_was_granted_counts_for_a_window_and_at_most_a_span_longer(
            asked in asked(),
            most in 0..100_i64,
            later in 0..3_000_i64,
        ) {
            let mut window = Window::default();
            let granted = granted(&mut window, most, &asked);
            let end: i64 = asked.iter().map(|(pause, _)| pause).sum();
            let now = end + later;
            let since = |start: i64| granted.iter().filter(move |(at, _)| *at > start);
            let sum = |start| since(start).map(|(_, amount)| amount).sum::<i64>();
            let counts = window.sum(WIDTH, Timestamp(now));
            prop_assert!(sum(now - WIDE) <= counts);
            prop_assert!(counts <= sum(now - WIDE - WIDE / 24));
            prop_assert!(!window.is_over(WIDTH, Timestamp(now)) || since(now - WIDE).count() == 0);
        }

        #[test]
        fn there_is_room_when_it_was_said_and_not_before(asked in asked(), most in 1..100_i64, amount in 1..40_i64) {
            let mut window = Window::default();
            granted(&mut window, most, &asked);
            let now = Timestamp(asked.iter().map(|(pause, _)| pause).sum());
            let fits = |at| window.room_at((WIDTH, at), most, amount) == Some(at);
            match window.room_at((WIDTH, now), most, amount) {
                None => prop_assert!(amount > most),
                Some(at) if at == now => prop_assert!(window.sum(WIDTH, now) + amount <= most),
                Some(at) => {
                    prop_assert!(fits(at) && !fits(Timestamp(at.0 - 1)));
                    prop_assert!(at <= now.after(WIDTH));
                }
            }
        }

        #[test]
        fn what_is_kept_is_bounded_whatever_the_clock_does(times in prop::collection::vec(-5_000..5_000_i64, 0..300)) {
            let mut window = Window::default();
            for now in times {
                window.add(WIDTH, Timestamp(now), 1);
                prop_assert!(window.0.len() <= 2 * SPANS as usize + 2);
                prop_assert!(window.sum(WIDTH, Timestamp(now)) >= 1);
            }
        }
    }

    #[test]
    fn an_amount_counts_until_the_window_is_over() {
        let mut window = Window::default();
        window.add(WIDTH, Timestamp(0), 3);
        assert_eq!(window.sum(WIDTH, Timestamp(WIDE - 1)), 3);
        assert_eq!(window.sum(WIDTH, Timestamp(WIDE)), 0);
        assert!(!window.is_over(WIDTH, Timestamp(WIDE - 1)));
        assert!(window.is_over(WIDTH, Timestamp(WIDE)));
    }

    #[test]
    fn a_clock_that_was_far_ahead_closes_nothing() {
        let mut window = Window::default();
        window.add(WIDTH, Timestamp(1_000_000), 3);
        let now = Timestamp(0);
        assert_eq!(window.room_at((WIDTH, now), 3, 3), Some(now));
    }

    #[test]
    fn more_than_all_never_fits() {
        let window = Window::default();
        assert_eq!(window.room_at((WIDTH, Timestamp(0)), 3, 4), None);
    }
}
