//! How window and rate follow what the peer can take: additive rise, multiplicative cut.
//!
//! The contract is a bound that is never exceeded; below it the pace is cut when the peer throttles,
//! when its queue is full, when it says that it is congested (`congestion_state`, SMPP 5.0 §2.13 and
//! §4.8.4.18), when it does not answer in time or becomes slow, and rises again while it takes what it
//! gets. One complaint is one cut: what was sent before a cut says nothing about the pace after it.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use matrix_smpp_codec::CommandStatus;

/// How strongly window and rate follow the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdaptSettings {
    /// The share of the contract's window and rate that no cut goes below, in percent, 1 to 100
    /// (others count as the nearer bound). At least one request at a time and one per second stay.
    pub floor_percent: u8,
    /// How long the way up from nothing to the whole contract takes while the peer takes what it
    /// gets; 1 s to 1 h (others count as the nearer bound).
    pub recovery: Duration,
    /// How long nothing is sent after the peer throttled or said that its queue is full. Doubles
    /// with each further such answer until one is taken.
    pub pause: Duration,
    /// The longest such pause.
    pub longest_pause: Duration,
    /// The window shrinks, to a quarter at least, when the mean response latency exceeds twice the
    /// usual one by this much; `None` for never.
    pub slower_by: Option<Duration>,
}

impl Default for AdaptSettings {
    fn default() -> Self {
        Self {
            floor_percent: 5,
            recovery: Duration::from_secs(30),
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
            slower_by: Some(Duration::from_millis(500)),
        }
    }
}

/// What one answer, or its absence, says about the pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// The peer decided, and told its `congestion_state` or not.
    Taken(Option<u8>),
    /// `ESME_RTHROTTLED`: too fast.
    Throttled,
    /// `ESME_RMSGQFUL`: too much.
    QueueFull,
    /// No answer within the response timer.
    TimedOut,
}

impl Signal {
    pub(crate) fn of(status: CommandStatus, congestion_state: Option<u8>) -> Self {
        match status {
            CommandStatus::ESME_RTHROTTLED => Self::Throttled,
            CommandStatus::ESME_RMSGQFUL => Self::QueueFull,
            _ => Self::Taken(congestion_state),
        }
    }
}

/// Window and rate are kept in thousandths, so that a small one rises evenly too.
const THOUSAND: u64 = 1_000;

/// The pace rises, and the usual latency moves, no more often than this.
const TICK: Duration = Duration::from_millis(100);

/// Time without answers says nothing: no more than this counts towards a rise at once.
const LONGEST_TICK: Duration = Duration::from_secs(1);

/// Window and rate now.
#[derive(Debug)]
pub(crate) struct Pace {
    settings: Option<AdaptSettings>,
    window: Level,
    /// `None` for no limit: there is none in the contract, and the peer has not throttled.
    rate: Option<Level>,
    contract_rate: Option<NonZeroU32>,
    latency: Latency,
    flow: Flow,
    /// The last cut: only requests sent since then tell whether it was enough.
    cut_at: Option<Instant>,
    ticked_at: Option<Instant>,
    /// Complaints in a row.
    strikes: u32,
}

impl Pace {
    pub(crate) fn new(
        settings: Option<AdaptSettings>,
        window: usize,
        rate: Option<NonZeroU32>,
    ) -> Self {
        Self {
            settings,
            window: Level::full(window as u64),
            rate: rate.map(|rate| Level::full(rate.get().into())),
            contract_rate: rate,
            latency: Latency::default(),
            flow: Flow::default(),
            cut_at: None,
            ticked_at: None,
            strikes: 0,
        }
    }

    /// How many requests may wait for their answers at once.
    pub(crate) fn window(&self) -> usize {
        usize::try_from(self.window.whole()).unwrap_or(usize::MAX)
    }

    /// How many requests may leave per second; `None` for no limit.
    pub(crate) fn rate(&self) -> Option<NonZeroU32> {
        let rate = self.rate.as_ref()?.whole();
        NonZeroU32::new(u32::try_from(rate).unwrap_or(u32::MAX))
    }

    /// The contract is another now. A pace that was cut stays cut.
    pub(crate) fn set_contract(&mut self, window: usize, rate: Option<NonZeroU32>) {
        self.window.set_limit(window as u64);
        if rate == self.contract_rate {
            return;
        }
        self.contract_rate = rate;
        match (rate, &mut self.rate) {
            (Some(rate), Some(level)) => level.set_limit(rate.get().into()),
            (rate, level) => *level = rate.map(|rate| Level::full(rate.get().into())),
        }
    }

    /// A request that was sent at `since` has its answer, or will have none. Gives how long to send
    /// nothing at all.
    pub(crate) fn heard(
        &mut self,
        now: Instant,
        since: Instant,
        signal: Signal,
    ) -> Option<Duration> {
        let settings = self.settings?;
        self.flow.count(now);
        match signal {
            Signal::Taken(congestion) => {
                self.strikes = 0;
                self.latency.sample(now.saturating_duration_since(since));
                self.taken(now, since, congestion, &settings);
                None
            }
            _ if !self.is_news(since) => None,
            Signal::TimedOut => {
                self.cut(now, Cut::HALF, Cut::NONE, &settings);
                None
            }
            Signal::Throttled => {
                self.cut(now, Cut::QUARTER, Cut::HALF, &settings);
                Some(self.strike(&settings))
            }
            Signal::QueueFull => {
                self.cut(now, Cut::HALF, Cut::HALF, &settings);
                Some(self.strike(&settings))
            }
        }
    }

    /// The bands of SMPP 5.0 Table 4-79: 80 to 90 is where to stay.
    fn taken(
        &mut self,
        now: Instant,
        since: Instant,
        congestion: Option<u8>,
        settings: &AdaptSettings,
    ) {
        match congestion {
            Some(100) if self.is_news(since) => self.cut(now, Cut::HALF, Cut::HALF, settings),
            Some(91..=99) if self.is_news(since) => {
                self.cut(now, Cut::EIGHTH, Cut::EIGHTH, settings);
            }
            Some(80..=100) => {}
            // 0 to 79; and what is reserved says nothing.
            _ => self.tick(now, since, settings),
        }
    }

    fn tick(&mut self, now: Instant, since: Instant, settings: &AdaptSettings) {
        let last = *self.ticked_at.get_or_insert(now);
        let passed = now.saturating_duration_since(last).min(LONGEST_TICK);
        if passed < TICK {
            return;
        }
        self.ticked_at = Some(now);
        self.raise_rate(passed, settings);
        if self.latency.is_high(settings.slower_by) {
            if self.is_news(since) && self.window.value > self.window.limit / 4 {
                self.cut(now, Cut::EIGHTH, Cut::NONE, settings);
            }
        } else {
            self.window.raise(passed, settings.recovery);
        }
        self.latency.settle();
    }

    fn raise_rate(&mut self, passed: Duration, settings: &AdaptSettings) {
        if let Some(rate) = &mut self.rate {
            rate.raise(passed, settings.recovery);
            if self.contract_rate.is_none() && rate.is_full() {
                self.rate = None;
            }
        }
    }

    fn cut(&mut self, now: Instant, window: Cut, rate: Cut, settings: &AdaptSettings) {
        self.window.cut(window, settings.floor_percent);
        // Without a contract's rate the one that was too much is the bound of the way up, twice.
        if self.rate.is_none() && rate != Cut::NONE {
            let measured = self.flow.per_second(now).max(1);
            self.rate = Some(Level {
                value: measured * THOUSAND,
                limit: 2 * measured * THOUSAND,
            });
        }
        if let Some(level) = &mut self.rate {
            level.cut(rate, settings.floor_percent);
        }
        self.cut_at = Some(now);
        self.ticked_at = Some(now);
    }

    fn is_news(&self, since: Instant) -> bool {
        self.cut_at.is_none_or(|cut| since >= cut)
    }

    fn strike(&mut self, settings: &AdaptSettings) -> Duration {
        let factor = 2u32.saturating_pow(self.strikes.min(31));
        self.strikes = self.strikes.saturating_add(1);
        settings
            .pause
            .saturating_mul(factor)
            .min(settings.longest_pause)
    }
}

/// What a cut leaves, in eighths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cut(u64);

impl Cut {
    const NONE: Self = Self(8);
    const EIGHTH: Self = Self(7);
    const QUARTER: Self = Self(6);
    const HALF: Self = Self(4);
}

/// A value between a floor and its limit, in thousandths.
#[derive(Debug)]
struct Level {
    value: u64,
    limit: u64,
}

impl Level {
    const fn full(limit: u64) -> Self {
        let limit = limit.saturating_mul(THOUSAND);
        Self {
            value: limit,
            limit,
        }
    }

    const fn is_full(&self) -> bool {
        self.value >= self.limit
    }

    const fn whole(&self) -> u64 {
        self.value.div_ceil(THOUSAND)
    }

    fn set_limit(&mut self, limit: u64) {
        let was_full = self.is_full();
        self.limit = limit.saturating_mul(THOUSAND);
        if was_full {
            self.value = self.limit;
        }
        self.value = self.value.min(self.limit);
    }

    fn raise(&mut self, passed: Duration, recovery: Duration) {
        let recovery = recovery.clamp(Duration::from_secs(1), Duration::from_hours(1));
        let step = u128::from(self.limit) * passed.as_millis() / recovery.as_millis();
        let step = u64::try_from(step).unwrap_or(u64::MAX).max(1);
        self.value = self.value.saturating_add(step).min(self.limit);
    }

    fn cut(&mut self, cut: Cut, floor_percent: u8) {
        let share = u64::from(floor_percent.clamp(1, 100));
        let floor = (self.limit / 100).saturating_mul(share).max(THOUSAND);
        let left = self.value / 8 * cut.0 + self.value % 8 * cut.0 / 8;
        // A limit of 0 has no floor: nothing may be sent at all.
        self.value = left.max(floor).min(self.value);
    }
}

/// Response latency: its moving mean, and what that usually is, in nanoseconds.
#[derive(Debug, Default)]
struct Latency {
    mean: Option<u64>,
    usual: u64,
}

impl Latency {
    fn sample(&mut self, latency: Duration) {
        let latency = nanoseconds(latency);
        let mean = match self.mean {
            None => {
                self.usual = latency;
                latency
            }
            Some(mean) => mean - mean / 8 + latency / 8,
        };
        self.mean = Some(mean);
        self.usual = self.usual.min(mean);
    }

    fn is_high(&self, by: Option<Duration>) -> bool {
        match (self.mean, by) {
            (Some(mean), Some(by)) => {
                mean.saturating_sub(nanoseconds(by)) > self.usual.saturating_mul(2)
            }
            _ => false,
        }
    }

    /// What stays becomes usual, within minutes: a peer that is slow for good is no reason to send
    /// less for good.
    fn settle(&mut self) {
        let mean = self.mean.unwrap_or(self.usual);
        self.usual += mean.saturating_sub(self.usual) / 600;
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// How many answers came in the last second.
#[derive(Debug, Default)]
struct Flow {
    since: Option<Instant>,
    count: u64,
    last_second: u64,
}

impl Flow {
    fn count(&mut self, now: Instant) {
        let since = *self.since.get_or_insert(now);
        let passed = now.saturating_duration_since(since);
        if passed >= Duration::from_secs(1) {
            self.last_second = self.over(passed);
            (self.since, self.count) = (Some(now), 0);
        }
        self.count += 1;
    }

    fn per_second(&self, now: Instant) -> u64 {
        let passed = self
            .since
            .map_or(TICK, |since| now.saturating_duration_since(since));
        self.last_second.max(self.over(passed.max(TICK)))
    }

    fn over(&self, time: Duration) -> u64 {
        let rate = u128::from(self.count) * 1_000 / time.as_millis().max(1);
        u64::try_from(rate)
            .unwrap_or(u64::MAX)
            .min(u64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests;
