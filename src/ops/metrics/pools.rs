//! How full pools are.

use prometheus::{IntGaugeVec, Opts, Registry};

use super::{full, register};
use crate::gateway::pools::PoolUse;

/// The states of a number that a phone sees.
const STATES: [&str; 2] = ["active", "cooling"];

/// How full pools are, by pool.
#[derive(Debug, Clone)]
pub(super) struct PoolMetrics {
    numbers: IntGaugeVec,
    pairs: IntGaugeVec,
    most_used: IntGaugeVec,
    nearly_full: IntGaugeVec,
    full: IntGaugeVec,
}

impl PoolMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            let opts = Opts::new(full(name), help);
            register(registry, IntGaugeVec::new(opts, labels))
        };
        let pool = ["pool"];
        Self {
            numbers: gauges("pool_numbers", "Numbers of a pool", &pool),
            pairs: gauges(
                "pool_leases",
                "Pairs of a number of the pool and a phone",
                &["pool", "state"],
            ),
            most_used: gauges(
                "pool_most_used",
                "Numbers that the phone uses which uses the most of the pool",
                &pool,
            ),
            nearly_full: gauges(
                "pool_phones_nearly_full",
                "Phones that use 80 % of the pool or more",
                &pool,
            ),
            full: gauges(
                "pool_phones_full",
                "Phones for which no number of the pool is free",
                &pool,
            ),
        }
    }

    pub(super) fn show(&self, pool: &PoolUse) {
        let show = |gauge: &IntGaugeVec, labels: &[&str], count: u64| {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            gauge.with_label_values(labels).set(count);
        };
        let name = &*pool.name;
        show(&self.numbers, &[name], pool.numbers);
        for (state, count) in STATES.into_iter().zip([pool.active, pool.cooling]) {
            show(&self.pairs, &[name, state], count);
        }
        show(&self.most_used, &[name], pool.most_used);
        show(&self.nearly_full, &[name], pool.nearly_full);
        show(&self.full, &[name], pool.full);
    }

    /// Of a pool that is gone. What was never shown cannot be removed, which is as well.
    pub(super) fn forget(&self, name: &str) {
        for state in STATES {
            drop(self.pairs.remove_label_values(&[name, state]));
        }
        for gauge in [
            &self.numbers,
            &self.most_used,
            &self.nearly_full,
            &self.full,
        ] {
            drop(gauge.remove_label_values(&[name]));
        }
    }
}
