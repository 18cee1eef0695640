//! What gateways over one store show of each other.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::{full, register};

/// What gateways over one store show of each other.
#[derive(Debug, Clone)]
pub struct DoorMetrics {
    /// 1 while this gateway works with the store, 0 while it stands by.
    pub owner: IntGauge,
    forwarded: IntGaugeVec,
    forwards: IntCounterVec,
    /// Connections that no gateway took, by door.
    pub failed: IntCounterVec,
    /// Callers at the inner door that were refused.
    pub refused: IntCounter,
}

impl DoorMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let opts = |name, help: &str| Opts::new(full(name), help);
        let owner = opts("owner", "1 while this gateway works, 0 while it stands by");
        let forwarded = opts(
            "forwarded_connections",
            "Connections that are forwarded now",
        );
        let forwards = opts("forwards_total", "Connections forwarded to another gateway");
        let failed = opts("forwards_failed_total", "Connections that no gateway took");
        let refused = opts("inner_calls_refused_total", "Refused at the inner door");
        Self {
            owner: register(registry, IntGauge::with_opts(owner)),
            forwarded: register(registry, IntGaugeVec::new(forwarded, &["door"])),
            forwards: register(registry, IntCounterVec::new(forwards, &["door"])),
            failed: register(registry, IntCounterVec::new(failed, &["door"])),
            refused: register(registry, IntCounter::with_opts(refused)),
        }
    }

    /// Counts a connection that is forwarded until what this gives is dropped.
    #[must_use]
    pub fn forwards(&self, door: &str) -> Forwarded {
        self.forwards.with_label_values(&[door]).inc();
        let gauge = self.forwarded.with_label_values(&[door]);
        gauge.inc();
        Forwarded(gauge)
    }
}

/// A connection that is forwarded.
#[derive(Debug)]
pub struct Forwarded(IntGauge);

impl Drop for Forwarded {
    fn drop(&mut self) {
        self.0.dec();
    }
}
