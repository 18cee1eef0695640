//! Counts and times over the length of a run.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::load::clock;
use crate::load::pace::Share;
use crate::load::run::share;
use crate::load::settings::Traffic;
use crate::load::tally::{Counts, Tallies, Tally};

/// One stretch of a run, a second long where nothing cut it short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// When it ended, in milliseconds from the start of the run.
    pub at_ms: u64,
    /// How long it was, in milliseconds.
    pub length_ms: u64,
    /// What happened in it.
    pub counts: Counts,
    /// Latencies of the answers in it, in microseconds.
    pub latency_us: Quantiles,
    /// Requests that wait for their answer at its end.
    pub in_flight: u64,
    /// Requests that were due by its end and had not left: the windows are full, or links are down.
    pub backlog: u64,
}

/// What is told of a set of times, in microseconds; all 0 where the set is empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantiles {
    /// How many there are.
    pub count: u64,
    /// The shortest.
    pub min: u64,
    /// The average, rounded down.
    pub mean: u64,
    /// Half of them are at most this.
    pub p50: u64,
    /// 90 %.
    pub p90: u64,
    /// 99 %.
    pub p99: u64,
    /// 99.9 %.
    pub p999: u64,
    /// 99.99 %.
    pub p9999: u64,
    /// The longest.
    pub max: u64,
}

impl Quantiles {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile);
        Self {
            count: histogram.len(),
            min: histogram.min(),
            mean: mean(histogram),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            p9999: at(0.9999),
            max: histogram.max(),
        }
    }
}

fn mean(histogram: &Histogram<u64>) -> u64 {
    let sum: u128 = histogram
        .iter_recorded()
        .map(|step| {
            u128::from(step.value_iterated_to()) * u128::from(step.count_since_last_iteration())
        })
        .sum();
    let mean = sum.checked_div(u128::from(histogram.len()));
    u64::try_from(mean.unwrap_or(0)).unwrap_or(u64::MAX)
}

/// Gathers what the binds count.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(crate) start: Instant,
    pub(crate) started_unix_ms: u64,
    pub(crate) total: Tally,
    pub(crate) series: Vec<Interval>,
    pub(crate) sending: Duration,
    pub(crate) answering: Duration,
    pub(crate) stopped: bool,
    cpu_at_start: Duration,
    cpu: Duration,
    /// What was counted in the latest interval.
    latest: Tally,
    /// What was counted since its end.
    fresh: Tally,
    /// When the latest interval began.
    begun: Instant,
    last: Instant,
    schedule: Share,
}

/// What is shorter is no interval of its own: the series counts in milliseconds.
const SHORTEST: Duration = Duration::from_millis(1);

impl Meter {
    pub(crate) fn new(start: Instant, traffic: &Traffic) -> Self {
        Self {
            start,
            started_unix_ms: clock::unix_ms(),
            total: Tally::new(),
            series: Vec::new(),
            sending: Duration::ZERO,
            answering: Duration::ZERO,
            stopped: false,
            cpu_at_start: clock::cpu(),
            cpu: Duration::ZERO,
            latest: Tally::new(),
            fresh: Tally::new(),
            begun: start,
            last: start,
            schedule: share(traffic, 0, 1),
        }
    }

    pub(crate) fn next_tick(&self, interval: Duration) -> Instant {
        self.last + interval
    }

    /// Ends an interval. One that is too short goes into the one before it.
    pub(crate) fn tick(&mut self, now: Instant, tallies: &Tallies) -> &Interval {
        tallies.drain(&mut self.fresh);
        self.total.add(&self.fresh);
        let short = now.saturating_duration_since(self.last) < SHORTEST;
        if short && self.series.pop().is_some() {
            self.latest.add(&self.fresh);
        } else {
            std::mem::swap(&mut self.latest, &mut self.fresh);
            self.begun = self.last;
        }
        let elapsed = now.saturating_duration_since(self.start);
        let by = if self.sending.is_zero() {
            elapsed
        } else {
            self.sending
        };
        let interval = Interval {
            at_ms: millis(elapsed.max(SHORTEST)),
            length_ms: millis(now.saturating_duration_since(self.begun).max(SHORTEST)),
            counts: self.latest.counts,
            latency_us: Quantiles::of(&self.latest.latency),
            in_flight: self.total.counts.in_flight(),
            backlog: self.backlog(by),
        };
        self.last = now;
        self.series.push(interval);
        self.series.last().unwrap_or_else(|| unreachable!())
    }

    /// Requests that were due by then and were never sent.
    pub(crate) fn backlog(&self, by: Duration) -> u64 {
        let counts = self.total.counts;
        let scheduled = counts.sent.saturating_sub(counts.receipts_sent);
        self.schedule.after(scheduled).backlog(by)
    }

    pub(crate) fn sending_ended(&mut self, now: Instant, stopped: bool) {
        self.sending = now.saturating_duration_since(self.start);
        self.stopped = stopped;
    }

    pub(crate) fn answering_ended(&mut self, now: Instant) {
        self.answering = now.saturating_duration_since(self.start);
        self.cpu = clock::cpu().saturating_sub(self.cpu_at_start);
    }

    /// What the process used of all CPUs from the first request to the last answer.
    pub(crate) const fn cpu(&self) -> Duration {
        self.cpu
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::tally::{lock, note};

    #[test]
    fn an_interval_tells_what_happened_since_the_last_and_what_is_overdue() {
        let start = clock::now();
        let traffic = Traffic {
            rate: std::num::NonZeroU32::new(100),
            ..Traffic::default()
        };
        let tallies = Tallies::new(1);
        let mut meter = Meter::new(start, &traffic);
        {
            let mut tally = lock(tallies.shard(0));
            tally.counts.sent = 60;
            tally.counts.ok = 50;
            note(&mut tally.latency, Duration::from_micros(700));
        }
        let first = *meter.tick(start + Duration::from_secs(1), &tallies);
        assert_eq!((first.at_ms, first.length_ms), (1_000, 1_000));
        assert_eq!((first.in_flight, first.backlog), (10, 40));
        assert_eq!((first.latency_us.count, first.latency_us.p99), (1, 700));
        lock(tallies.shard(0)).counts.ok = 10;
        let second = *meter.tick(start + Duration::from_secs(2), &tallies);
        assert_eq!((second.counts.sent, second.in_flight), (0, 0));
        assert_eq!(second.latency_us, Quantiles::default());
        assert_eq!(meter.total.counts.ok, 60);
    }

    #[test]
    fn no_interval_is_without_a_length() {
        let start = clock::now();
        let tallies = Tallies::new(1);
        let mut meter = Meter::new(start, &Traffic::default());
        let count = |sent, latency| {
            let mut tally = lock(tallies.shard(0));
            tally.counts.sent = sent;
            tally.counts.ok = sent;
            note(&mut tally.latency, Duration::from_micros(latency));
        };
        count(1, 100);
        let at_once = *meter.tick(start + Duration::from_micros(300), &tallies);
        assert_eq!((at_once.at_ms, at_once.length_ms), (1, 1));
        count(10, 200);
        meter.tick(start + Duration::from_secs(1), &tallies);
        count(3, 900);
        let end = start + Duration::from_secs(1) + Duration::from_micros(400);
        let last = *meter.tick(end, &tallies);
        assert_eq!((last.at_ms, last.length_ms), (1_000, 1_000));
        assert_eq!((last.counts.sent, last.latency_us.count), (13, 2));
        assert_eq!(last.latency_us.max, 900);
        assert_eq!(meter.series.len(), 2);
        assert_eq!(meter.series.last(), Some(&last));
        assert_eq!(meter.total.counts.sent, 14);
    }
}
