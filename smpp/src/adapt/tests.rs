use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::rate::TokenBucket;

const SECOND: Duration = Duration::from_secs(1);

/// A pace and its clock.
struct Probe {
    pace: Pace,
    now: Instant,
}

impl Probe {
    fn new(window: usize, rate: Option<u32>) -> Self {
        let rate = rate.and_then(NonZeroU32::new);
        Self {
            pace: Pace::new(Some(AdaptSettings::default()), window, rate),
            now: crate::clock::now(),
        }
    }

    /// A request is sent now and has this answer after this time.
    fn answer(&mut self, after: Duration, signal: Signal) -> Option<Duration> {
        let since = self.now;
        self.now += after;
        self.pace.heard(self.now, since, signal)
    }

    /// All is well for this long, ten answers a second.
    fn well_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.answer(Duration::from_millis(100), Signal::Taken(None));
        }
    }

    fn limits(&self) -> (usize, Option<u32>) {
        (self.pace.window(), self.pace.rate().map(NonZeroU32::get))
    }
}

#[test]
fn a_throttled_link_slows_down_and_comes_back_to_its_contract() {
    let mut probe = Probe::new(100, Some(200));
    let pause = probe.answer(SECOND, Signal::Throttled);
    assert_eq!(pause, Some(Duration::from_millis(500)));
    assert_eq!(probe.limits(), (75, Some(100)));
    probe.well_for(10 * SECOND);
    let (window, rate) = probe.limits();
    assert!((76..=100).contains(&window), "{window}");
    assert!((101..200).contains(&rate.unwrap()), "{rate:?}");
    probe.well_for(30 * SECOND);
    assert_eq!(probe.limits(), (100, Some(200)));
}

#[test]
fn a_full_queue_halves_window_and_rate() {
    let mut probe = Probe::new(100, Some(200));
    assert!(probe.answer(SECOND, Signal::QueueFull).is_some());
    assert_eq!(probe.limits(), (50, Some(100)));
}

#[test]
fn what_was_sent_before_a_cut_does_not_cut_again() {
    let mut probe = Probe::new(100, Some(200));
    let sent = probe.now;
    probe.now += SECOND;
    assert!(
        probe
            .pace
            .heard(probe.now, sent, Signal::Throttled)
            .is_some()
    );
    for _ in 0..50 {
        assert_eq!(probe.pace.heard(probe.now, sent, Signal::Throttled), None);
        assert_eq!(probe.pace.heard(probe.now, sent, Signal::QueueFull), None);
        assert_eq!(
            probe.pace.heard(probe.now, sent, Signal::Taken(Some(100))),
            None
        );
    }
    assert_eq!(probe.limits(), (75, Some(100)));
}

#[test]
fn pauses_double_up_to_the_longest_and_start_again_when_the_peer_takes_something() {
    let mut probe = Probe::new(10, None);
    let pauses: Vec<_> = (0..8)
        .filter_map(|_| probe.answer(SECOND, Signal::Throttled))
        .map(|pause| pause.as_millis())
        .collect();
    assert_eq!(
        pauses,
        [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]
    );
    probe.answer(SECOND, Signal::Taken(None));
    assert_eq!(
        probe.answer(SECOND, Signal::QueueFull),
        Some(Duration::from_millis(500))
    );
}

#[test]
fn no_cut_goes_below_the_floor() {
    let mut probe = Probe::new(100, Some(200));
    for _ in 0..100 {
        probe.answer(SECOND, Signal::QueueFull);
    }
    assert_eq!(probe.limits(), (5, Some(10)));
    let mut small = Probe::new(1, Some(1));
    for _ in 0..100 {
        small.answer(SECOND, Signal::QueueFull);
    }
    assert_eq!(small.limits(), (1, Some(1)));
}

#[test]
fn congestion_state_cuts_holds_or_raises_by_its_band() {
    for (state, expected) in [
        (100, "cut"),
        (95, "cut"),
        (91, "cut"),
        (90, "held"),
        (80, "held"),
        (79, "raised"),
        (0, "raised"),
        (101, "raised"),
        (255, "raised"),
    ] {
        let mut probe = Probe::new(100, Some(200));
        probe.answer(SECOND, Signal::QueueFull);
        for _ in 0..20 {
            probe.answer(SECOND, Signal::Taken(Some(state)));
        }
        let seen = match probe.limits() {
            (50, Some(100)) => "held",
            (window, Some(rate)) if window < 50 && rate < 100 => "cut",
            (window, Some(rate)) if window > 50 && rate > 100 => "raised",
            other => panic!("{state}: {other:?}"),
        };
        assert_eq!(seen, expected, "{state}");
    }
}

#[test]
fn a_throttled_link_without_a_contract_rate_gets_one_until_it_has_recovered() {
    let mut probe = Probe::new(100, None);
    for _ in 0..500 {
        probe.answer(Duration::from_millis(10), Signal::Taken(None));
    }
    probe.answer(Duration::from_millis(10), Signal::Throttled);
    let rate = probe.limits().1.unwrap();
    assert!((40..=60).contains(&rate), "half of about 100: {rate}");
    probe.well_for(10 * SECOND);
    assert!(probe.limits().1.is_some_and(|now| now > rate));
    probe.well_for(60 * SECOND);
    assert_eq!(probe.limits().1, None);
}

#[test]
fn a_peer_that_becomes_slow_gets_a_smaller_window_but_no_smaller_rate() {
    let mut probe = Probe::new(100, Some(200));
    probe.well_for(10 * SECOND);
    for _ in 0..200 {
        probe.answer(2 * SECOND, Signal::Taken(None));
    }
    let (window, rate) = probe.limits();
    assert!((21..=50).contains(&window), "a quarter or so: {window}");
    assert_eq!(rate, Some(200));
    probe.well_for(120 * SECOND);
    assert_eq!(probe.limits(), (100, Some(200)));
}

#[test]
fn a_peer_that_is_slow_for_good_gets_its_window_back() {
    let mut probe = Probe::new(100, None);
    probe.well_for(10 * SECOND);
    for _ in 0..2_000 {
        probe.answer(2 * SECOND, Signal::Taken(None));
    }
    assert_eq!(probe.limits().0, 100);
}

#[test]
fn a_peer_that_was_always_slow_is_not_slowed_down() {
    let mut probe = Probe::new(100, None);
    for round in 0..1_000u64 {
        let latency = Duration::from_millis(500 + round * 7_919 % 2_000);
        probe.answer(latency, Signal::Taken(None));
    }
    assert!(probe.limits().0 >= 75, "{:?}", probe.limits());
}

#[test]
fn a_request_without_an_answer_halves_the_window() {
    let mut probe = Probe::new(100, Some(200));
    assert_eq!(probe.answer(60 * SECOND, Signal::TimedOut), None);
    assert_eq!(probe.limits(), (50, Some(200)));
}

#[test]
fn without_adaptation_nothing_changes() {
    let mut pace = Pace::new(None, 10, None);
    let now = crate::clock::now();
    assert_eq!(pace.heard(now, now, Signal::Throttled), None);
    assert_eq!((pace.window(), pace.rate()), (10, None));
}

#[test]
fn a_new_contract_is_taken_at_once_and_a_cut_pace_stays_cut() {
    let mut probe = Probe::new(100, Some(200));
    probe.pace.set_contract(50, NonZeroU32::new(100));
    assert_eq!(probe.limits(), (50, Some(100)));
    probe.answer(SECOND, Signal::QueueFull);
    probe.pace.set_contract(1_000, NonZeroU32::new(1_000));
    assert_eq!(probe.limits(), (25, Some(50)));
    probe.pace.set_contract(10, NonZeroU32::new(10));
    assert_eq!(probe.limits(), (10, Some(10)));
    probe.pace.set_contract(0, None);
    assert_eq!(probe.limits(), (0, None));
}

fn signals() -> impl Strategy<Value = Signal> {
    prop_oneof![
        4 => any::<Option<u8>>().prop_map(Signal::Taken),
        1 => Just(Signal::Throttled),
        1 => Just(Signal::QueueFull),
        1 => Just(Signal::TimedOut),
    ]
}

fn settings() -> impl Strategy<Value = AdaptSettings> {
    (any::<u8>(), 0..10_000_u64, 0..2_000_u64, any::<bool>()).prop_map(
        |(floor_percent, recovery, pause, latency)| AdaptSettings {
            floor_percent,
            recovery: Duration::from_secs(recovery),
            pause: Duration::from_millis(pause),
            longest_pause: 10 * SECOND,
            slower_by: latency.then_some(Duration::from_millis(pause)),
        },
    )
}

proptest! {
    #[test]
    fn the_contract_is_never_exceeded_and_something_may_always_be_sent(
        settings in settings(),
        (window, rate) in (1..100_000_usize, any::<Option<u32>>()),
        life in prop::collection::vec((0..100_000_u64, 0..100_000_u64, signals()), 0..200),
    ) {
        let rate = rate.and_then(NonZeroU32::new);
        let mut pace = Pace::new(Some(settings), window, rate);
        let mut now = crate::clock::now();
        for (passed, latency, signal) in life {
            let latency = Duration::from_millis(latency);
            let since = now;
            now += latency.max(Duration::from_millis(passed));
            let before = (pace.window(), pace.rate());
            let pause = pace.heard(now, since, signal);
            prop_assert!((1..=window).contains(&pace.window()));
            prop_assert!(rate.is_none_or(|rate| pace.rate().is_some_and(|now| now <= rate)));
            prop_assert!(pause.is_none_or(|pause| pause <= 10 * SECOND));
            if !matches!(signal, Signal::Taken(_)) {
                prop_assert!(pace.window() <= before.0);
                prop_assert!(before.1.is_none_or(|rate| pace.rate().is_some_and(|now| now <= rate)));
            }
        }
    }

    #[test]
    fn whatever_happened_the_whole_contract_comes_back(
        (window, rate) in (1..100_000_usize, any::<Option<u32>>()),
        life in prop::collection::vec((0..5_000_u64, signals()), 0..100),
    ) {
        let mut probe = Probe::new(window, rate);
        for (latency, signal) in life {
            probe.answer(Duration::from_millis(latency), signal);
        }
        probe.well_for(600 * SECOND);
        let contract = (window, rate.filter(|rate| *rate > 0));
        prop_assert_eq!(probe.limits(), contract);
    }
}

/// A peer that takes so many messages per second, and answers after 50 ms; how many it took and how
/// many it throttled of those that a session with this contract sent in ten minutes.
fn life_with_a_peer_of(per_second: u32, window: usize, rate: Option<u32>) -> (u32, u32) {
    let bucket = |rate| NonZeroU32::new(rate).map(TokenBucket::new).unwrap();
    let mut peer = bucket(per_second);
    let mut pace = Pace::new(
        Some(AdaptSettings::default()),
        window,
        rate.and_then(NonZeroU32::new),
    );
    let mut ours: Option<TokenBucket> = rate.map(bucket);
    let mut sent = VecDeque::new();
    let (mut taken, mut throttled) = (0, 0);
    let start = crate::clock::now();
    let mut paused_until = start;
    for tick in 0..60_000 {
        let now = start + Duration::from_millis(10) * tick;
        while let Some((since, signal)) =
            sent.pop_front_if(|(since, _): &mut (Instant, Signal)| now - *since >= TICK / 2)
        {
            if let Some(pause) = pace.heard(now, since, signal) {
                paused_until = now + pause;
            }
            match (pace.rate(), &mut ours) {
                (Some(rate), Some(bucket)) => bucket.set_rate(rate),
                (rate, ours) => *ours = rate.map(TokenBucket::new),
            }
        }
        while now >= paused_until
            && sent.len() < pace.window()
            && ours.as_ref().is_none_or(|ours| ours.available(now) > 0)
        {
            if let Some(ours) = &mut ours {
                ours.take(now);
            }
            let signal = if peer.available(now) > 0 {
                peer.take(now);
                taken += 1;
                Signal::Taken(None)
            } else {
                throttled += 1;
                Signal::Throttled
            };
            sent.push_back((now, signal));
        }
    }
    (taken, throttled)
}

#[test]
fn a_session_finds_the_pace_of_a_peer_that_throttles() {
    for (per_second, window, rate) in [
        (50, 10, Some(200)),
        (50, 100, None),
        (200, 50, Some(1_000)),
        (5, 10, None),
    ] {
        let (taken, throttled) = life_with_a_peer_of(per_second, window, rate);
        let possible = per_second * 600;
        let at = format!("{taken} of {possible} taken, {throttled} throttled");
        assert!(taken * 10 >= possible * 6, "{at}");
        assert!(throttled * 5 <= taken, "{at}");
    }
}

#[test]
fn a_session_within_the_pace_of_its_peer_uses_its_whole_contract() {
    let (taken, throttled) = life_with_a_peer_of(100, 20, Some(80));
    assert_eq!(throttled, 0);
    assert!(taken >= 79 * 600, "{taken}");
}
