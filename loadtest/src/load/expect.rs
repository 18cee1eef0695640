//! What a run has to show for its program to end well.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::load::outcome::{Outcome, real};

/// Bounds on an outcome; `None` expects nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Expectations {
    /// At least so many `ESME_ROK` a second.
    pub rate: Option<f64>,
    /// At most so many of 100 requests that were due without an `ESME_ROK`.
    pub max_error_percent: Option<f64>,
    /// At most this latency at the 99th percentile, counted from when requests were due.
    pub max_p99: Option<Duration>,
    /// At least so many of 100 receipts that were due.
    pub receipts_percent: Option<f64>,
}

/// One expectation and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The flag that set it.
    pub name: String,
    /// The bound.
    pub bound: f64,
    /// What was measured, in the unit of the bound (milliseconds for latencies).
    pub measured: f64,
    /// Whether it is within the bound. Without any answer nothing is.
    pub met: bool,
}

impl Expectations {
    /// Judges an outcome, and writes the verdicts into it.
    pub fn judge(&self, outcome: &mut Outcome) {
        let any = outcome.counts.ok > 0;
        let at_least = |name: &str, bound: f64, measured: f64| Verdict {
            name: name.to_owned(),
            bound,
            measured,
            met: any && measured >= bound,
        };
        let at_most = |name: &str, bound: f64, measured: f64| Verdict {
            name: name.to_owned(),
            bound,
            measured,
            met: any && measured <= bound,
        };
        let p99 = Duration::from_micros(outcome.latency_us.p99);
        let matched = real(outcome.counts.receipts_matched);
        let wanted = matched + real(outcome.receipts_missing);
        let verdicts = [
            self.rate
                .map(|bound| at_least("expect-rate", bound, outcome.ok_per_second)),
            self.max_error_percent
                .map(|bound| at_most("max-error-percent", bound, outcome.error_percent)),
            self.max_p99
                .map(|bound| at_most("max-p99", in_ms(bound), in_ms(p99))),
            self.receipts_percent.map(|bound| {
                let percent = if wanted > 0.0 {
                    100.0 * matched / wanted
                } else {
                    0.0
                };
                at_least("expect-receipts-percent", bound, percent)
            }),
        ];
        outcome.expectations = verdicts.into_iter().flatten().collect();
    }
}

fn in_ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
