//! What falls due by time alone.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Gateway;

/// How often to look.
const PERIOD: Duration = Duration::from_secs(1);

/// How much of each kind is done in one commit.
const BATCH: usize = 500;

/// Expires, ends holds, frees leases, hands partial SMS over, until `stop`.
pub async fn run(gateway: Gateway, stop: CancellationToken) {
    loop {
        match gateway.store.sweep(gateway.clock.now(), BATCH).await {
            Ok(true) => continue,
            Ok(false) => ring(&gateway),
            Err(error) => warn!(%error, "cannot sweep"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}

/// A sweep can give work to anybody; an idle worker looks and sleeps again.
fn ring(gateway: &Gateway) {
    gateway.wakes.outbox.notify_one();
    gateway.wakes.sms.ring();
    gateway.wakes.groups.ring_all();
}
