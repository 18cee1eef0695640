//! What all binds of a run share, and the hand that starts and ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval_at, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::load::clock;
use crate::load::meter::{Interval, Meter};
use crate::load::pace::{Ends, Pace, Share};
use crate::load::receipts::Receipts;
use crate::load::settings::Traffic;
use crate::load::tally::{Tallies, Tally, lock};

/// How often counts are taken.
const INTERVAL: Duration = Duration::from_secs(1);

/// What was due before the time was over may still leave so much later.
const GRACE: Duration = Duration::from_secs(1);

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The binds are not all there.
    Binding,
    /// Requests leave, on a schedule that counts from this instant.
    Sending(Instant),
    /// No more requests; answers and receipts are waited for.
    Draining,
    /// The binds are to unbind.
    Closing,
}

/// Ends a run before its time. It still drains, unbinds and reports.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Cancelled: no more requests.
    pub sending: CancellationToken,
    /// Cancelled: no more waiting for answers and receipts either.
    pub waiting: CancellationToken,
}

/// What the binds share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) tallies: Tallies,
    pub(crate) receipts: Receipts,
    /// Binds that have something left to send.
    pub(crate) sending: AtomicU64,
    /// Requests without an answer.
    pub(crate) in_flight: AtomicU64,
    /// Receipts that are due.
    pub(crate) owed: AtomicU64,
    /// One of the above has become 0.
    pub(crate) settled: Notify,
    pub(crate) phase: watch::Sender<Phase>,
}

impl Shared {
    pub(crate) fn new(binds: usize) -> Arc<Self> {
        Arc::new(Self {
            tallies: Tallies::new(binds),
            receipts: Receipts::new(),
            sending: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            owed: AtomicU64::new(0),
            settled: Notify::new(),
            phase: watch::Sender::new(Phase::Binding),
        })
    }

    /// Receipts wait that name no message: perhaps their ids have another form.
    pub(crate) fn learn(&self, tally: &mut Tally) {
        let delays = self.receipts.learn();
        self.less(&self.owed, u64::try_from(delays.len()).unwrap_or(u64::MAX));
        for delay in delays {
            tally.received_after(delay);
        }
    }

    /// Takes from one of the counters of this type.
    pub(crate) fn less(&self, counter: &AtomicU64, by: u64) {
        if by > 0 && counter.fetch_sub(by, Ordering::AcqRel) == by {
            self.settled.notify_one();
        }
    }
}

/// The schedule of `traffic` as bind `first` of `stride` sees it.
pub(crate) fn share(traffic: &Traffic, first: usize, stride: usize) -> Share {
    let pace = traffic.rate.map(|rate| Pace::new(rate, traffic.ramp));
    let ends = Ends {
        count: traffic.count,
        duration: traffic.duration,
    };
    let wide = |number| u64::try_from(number).unwrap_or(u64::MAX);
    Share::new(pace, wide(first), wide(stride), ends)
}

/// Takes a run from its first request to its last answer.
pub(crate) struct Conductor<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) traffic: &'a Traffic,
    pub(crate) stop: &'a Stop,
    pub(crate) observe: &'a mut (dyn FnMut(&Interval) + Send),
}

impl Conductor<'_> {
    /// Sends, drains, and says that the binds are to close. Gives what was measured.
    pub(crate) async fn conduct(mut self) -> Meter {
        let start = clock::now();
        let mut meter = Meter::new(start, self.traffic);
        self.shared.phase.send_replace(Phase::Sending(start));
        let end = self.traffic.duration.map(|length| start + length + GRACE);
        let stop = self.stop.sending.clone();
        self.wait(&mut meter, &self.shared.sending, end, &stop)
            .await;
        meter.sending_ended(clock::now(), self.stop.sending.is_cancelled());
        self.shared.phase.send_replace(Phase::Draining);
        let end = clock::now() + self.traffic.drain;
        let stop = self.stop.waiting.clone();
        let in_flight = &self.shared.in_flight;
        self.wait(&mut meter, in_flight, Some(end), &stop).await;
        meter.answering_ended(clock::now());
        if self.traffic.mix.receipts {
            self.wait_for_receipts(&mut meter, &stop).await;
        }
        self.shared.phase.send_replace(Phase::Closing);
        meter
    }

    /// Until all receipts are there. Those of a short run are too few to doubt the form of their ids
    /// before: it is asked about once in each interval.
    async fn wait_for_receipts(&mut self, meter: &mut Meter, stop: &CancellationToken) {
        let end = clock::now() + self.traffic.receipt_wait;
        loop {
            self.shared.learn(&mut lock(self.shared.tallies.shard(0)));
            let pause = (clock::now() + INTERVAL).min(end);
            let owed = &self.shared.owed;
            self.wait(meter, owed, Some(pause), stop).await;
            let over = clock::now() >= end || stop.is_cancelled();
            if over || owed.load(Ordering::Acquire) == 0 {
                return;
            }
        }
    }

    /// Until the counter is 0, the time is over, or somebody wants an end.
    async fn wait(
        &mut self,
        meter: &mut Meter,
        counter: &AtomicU64,
        end: Option<Instant>,
        stop: &CancellationToken,
    ) {
        let shared = self.shared;
        let settled = async {
            while counter.load(Ordering::Acquire) > 0 {
                shared.settled.notified().await;
            }
        };
        let over = async {
            match end {
                Some(end) => sleep_until(end.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(settled, over);
        let mut ticks = interval_at(meter.next_tick(INTERVAL).into(), INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = &mut settled => return,
                () = &mut over => return,
                _ = ticks.tick() => (self.observe)(meter.tick(clock::now(), &shared.tallies)),
            }
        }
    }
}
