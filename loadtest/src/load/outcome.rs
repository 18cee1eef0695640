//! What a run has shown, as JSON.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hdrhistogram::Histogram;
use matrix_smpp_codec::CommandStatus;
use serde::{Deserialize, Serialize};

use crate::load::expect::Verdict;
use crate::load::meter::{Interval, Meter, Quantiles, millis};
use crate::load::run::Shared;
use crate::load::settings::{ListenSettings, SendSettings, Traffic};

/// The version of the JSON: raised when a field changes its meaning or goes.
pub const SCHEMA: u32 = 1;

/// The result of a run. Times end in their unit; rates are per second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// See [`SCHEMA`].
    pub schema: u32,
    /// The version of the program.
    pub version: String,
    /// What was run.
    pub run: RunView,
    /// When the first request was due, in milliseconds since 1970 (UTC).
    pub started_unix_ms: u64,
    /// Whether somebody stopped it before its end.
    pub stopped: bool,
    /// From the start to the end of sending.
    pub sending_ms: u64,
    /// From the start to the last answer, or to where answers were no longer waited for.
    pub answering_ms: u64,
    /// What the process used of all CPUs in that time.
    pub cpu_ms: u64,
    /// What happened, all in all.
    pub counts: Counts,
    /// Requests that were due and had not left when sending ended.
    pub unsent: u64,
    /// Messages that asked for a receipt and had none at the end.
    pub receipts_missing: u64,
    /// Receipts whose message id no answer has named.
    pub receipts_unknown: u64,
    /// Answers by the name of their status; those without a name as hexadecimal numbers.
    pub statuses: BTreeMap<String, u64>,
    /// Requests sent, by `sending_ms`.
    pub sent_per_second: f64,
    /// Answers with `ESME_ROK`, by `answering_ms`.
    pub ok_per_second: f64,
    /// Of all requests that were due, how many were not answered with `ESME_ROK`.
    pub error_percent: f64,
    /// From the time a request was due to its answer: what a user would have waited.
    pub latency_us: Quantiles,
    /// From the time a request was handed to the session to its answer.
    pub service_us: Quantiles,
    /// From the time a message was handed to the session to its receipt.
    pub receipt_us: Quantiles,
    /// The latencies by percentile.
    pub latency_curve: Vec<Point>,
    /// The run second by second.
    pub series: Vec<Interval>,
    /// What was expected, and whether it was met.
    pub expectations: Vec<Verdict>,
}

use crate::load::tally::Counts;

/// What was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunView {
    /// `send` or `listen`.
    pub mode: String,
    /// Where to, or where.
    pub address: String,
    /// Whether over TLS.
    pub tls: bool,
    /// Binds that send and receive.
    pub transceivers: usize,
    /// Binds that only send.
    pub transmitters: usize,
    /// Binds that only receive.
    pub receivers: usize,
    /// The rate of the open loop; none for a closed loop.
    pub rate: Option<u32>,
    /// How long the rate took to build up.
    pub ramp_ms: u64,
    /// The limit of requests.
    pub count: Option<u64>,
    /// The limit of time.
    pub duration_ms: Option<u64>,
    /// Most requests without an answer on each bind.
    pub window: usize,
    /// Whether receipts were asked for.
    pub receipts: bool,
    /// The seed of the messages.
    pub seed: u64,
}

impl RunView {
    fn of(mode: &str, address: String, tls: bool, traffic: &Traffic) -> Self {
        Self {
            mode: mode.to_owned(),
            address,
            tls,
            transceivers: 0,
            transmitters: 0,
            receivers: 0,
            rate: traffic.rate.map(std::num::NonZeroU32::get),
            ramp_ms: millis(traffic.ramp),
            count: traffic.count,
            duration_ms: traffic.duration.map(millis),
            window: traffic.window,
            receipts: traffic.mix.receipts,
            seed: traffic.mix.seed,
        }
    }
}

/// One point of the percentile curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// 0 to 100.
    pub percentile: f64,
    /// This share of the latencies is at most so long, in microseconds.
    pub latency_us: u64,
    /// How many latencies that is.
    pub count: u64,
}

impl Outcome {
    pub(crate) fn of_send(settings: &SendSettings, meter: &Meter, shared: &Shared) -> Self {
        let (address, tls) = (settings.address.clone(), settings.tls.is_some());
        let run = RunView {
            transceivers: settings.transceivers,
            transmitters: settings.transmitters,
            receivers: settings.receivers,
            ..RunView::of("send", address, tls, &settings.traffic)
        };
        Self::of(run, meter, shared)
    }

    pub(crate) fn of_listen(settings: &ListenSettings, meter: &Meter, shared: &Shared) -> Self {
        let (address, tls) = (settings.listen.to_string(), settings.tls.is_some());
        let run = RunView {
            receivers: settings.binds,
            ..RunView::of("listen", address, tls, &settings.traffic)
        };
        Self::of(run, meter, shared)
    }

    fn of(run: RunView, meter: &Meter, shared: &Shared) -> Self {
        let total = &meter.total;
        let counts = total.counts;
        let unsent = meter.backlog(meter.sending);
        let due = counts.sent + unsent;
        let (_, receipts_unknown) = shared.receipts.open();
        let name = |(status, count): (&u32, &u64)| (CommandStatus(*status).to_string(), *count);
        Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            run,
            started_unix_ms: meter.started_unix_ms,
            stopped: meter.stopped,
            sending_ms: millis(meter.sending),
            answering_ms: millis(meter.answering),
            cpu_ms: millis(meter.cpu()),
            counts,
            unsent,
            receipts_missing: shared.owed.load(Ordering::Acquire),
            receipts_unknown,
            statuses: total.statuses.iter().map(name).collect(),
            sent_per_second: per_second(counts.sent, meter.sending),
            ok_per_second: per_second(counts.ok, meter.answering),
            error_percent: percent(due.saturating_sub(counts.ok), due),
            latency_us: Quantiles::of(&total.latency),
            service_us: Quantiles::of(&total.service),
            receipt_us: Quantiles::of(&total.receipt),
            latency_curve: curve(&total.latency),
            series: meter.series.clone(),
            expectations: Vec::new(),
        }
    }

    /// Whether all that was expected came true.
    #[must_use]
    pub fn meets_expectations(&self) -> bool {
        self.expectations.iter().all(|verdict| verdict.met)
    }
}

/// Five points each time the rest of the distribution halves.
fn curve(histogram: &Histogram<u64>) -> Vec<Point> {
    let point = |step: hdrhistogram::iterators::IterationValue<u64>| Point {
        percentile: rounded(step.quantile_iterated_to() * 100.0, 1e6),
        latency_us: step.value_iterated_to(),
        count: histogram.count_between(0, step.value_iterated_to()),
    };
    histogram.iter_quantiles(5).map(point).collect()
}

/// A count as a number that may be divided; exact below 2^53.
#[expect(
    clippy::cast_precision_loss,
    reason = "a count above 2^53 takes longer than anybody waits"
)]
pub(crate) const fn real(count: u64) -> f64 {
    count as f64
}

pub(crate) fn per_second(count: u64, time: Duration) -> f64 {
    if time.is_zero() {
        return 0.0;
    }
    rounded(real(count) / time.as_secs_f64(), 1e3)
}

/// To so many parts of 1.
fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    rounded(100.0 * real(part) / real(whole), 1e6)
}
