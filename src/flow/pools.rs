//! Watches how full the pools of numbers are.

use std::collections::BTreeSet;
use std::time::Duration;

use matrix_smpp_config::Pool;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Gateway;
use crate::gateway::model::Timestamp;
use crate::gateway::pools::{Count, PoolUse};
use crate::ops::metrics::Metrics;
use crate::store::{self, Store};

/// Between two counts.
const PERIOD: Duration = Duration::from_secs(15);

/// How many phones are read at once.
const PAGE: usize = 1_000;

/// Between two pages, so that a long count is in nobody's way.
const PAUSE: Duration = Duration::from_millis(20);

/// Shows how full each pool is, and warns before one is, until `stop`.
pub async fn run(gateway: Gateway, stop: CancellationToken) {
    let mut seen = Seen::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = look(&gateway, &mut seen) => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}

/// The pools of the last count, by name.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) shown: BTreeSet<String>,
    /// Those that are nearly full.
    pub(super) warned: BTreeSet<String>,
}

impl Seen {
    /// Other pools may be gone since.
    fn keep(&mut self, pools: &[Pool], metrics: &Metrics) {
        let now: BTreeSet<String> = pools.iter().map(|pool| pool.name.clone()).collect();
        for gone in self.shown.difference(&now) {
            metrics.forget_pool(gone);
        }
        self.warned.retain(|name| now.contains(name));
        self.shown = now;
    }
}

/// Counts once.
pub(super) async fn look(gateway: &Gateway, seen: &mut Seen) {
    let pools = &gateway.routing().pools;
    seen.keep(pools, &gateway.metrics);
    if pools.is_empty() {
        return;
    }
    match count(&*gateway.store, pools, gateway.clock.now(), PAUSE).await {
        Ok(used) => {
            for pool in &used {
                gateway.metrics.set_pool(pool);
                tell(pool, &mut seen.warned);
            }
        }
        Err(error) => warn!(%error, "cannot count leases"),
    }
}

/// Warns once of a pool that is nearly full, and again after it was not.
fn tell(pool: &PoolUse, warned: &mut BTreeSet<String>) {
    if !pool.is_nearly_full() {
        if warned.remove(&pool.name) {
            info!(
                pool = pool.name,
                free = pool.free(),
                "a pool has room again"
            );
        }
        return;
    }
    if warned.insert(pool.name.clone()) {
        warn!(
            pool = pool.name,
            numbers = pool.numbers,
            free = pool.free(),
            phones = pool.nearly_full,
            "a pool is nearly used up for some phones: give it more numbers, or their further \
             conversations will be refused"
        );
    }
}

/// How full each of these pools is.
pub(crate) async fn count(
    store: &dyn Store,
    pools: &[Pool],
    now: Timestamp,
    pause: Duration,
) -> store::Result<Vec<PoolUse>> {
    let mut count = Count::new(pools, now);
    let mut from = None;
    loop {
        let page = store.leases_page(from, PAGE).await?;
        page.phones.iter().for_each(|leases| count.add(leases));
        from = page.next;
        if from.is_none() {
            return Ok(count.finish());
        }
        tokio::time::sleep(pause).await;
    }
}
