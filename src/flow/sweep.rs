//! What falls due by time alone.

use std::time::Duration;

use matrix_smpp_config::Settings;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Gateway;
use crate::store;

/// How often to look.
const PERIOD: Duration = Duration::from_secs(1);

/// What is put off for no longer is left alone, whoever has put it off.
const LEAST: Duration = Duration::from_secs(30);

/// How much of each kind is done in one commit.
const BATCH: usize = 500;

/// Expires, ends holds, frees leases, hands partial SMS over, until `stop`.
pub async fn run(gateway: Gateway, stop: CancellationToken) {
    loop {
        match look(&gateway).await {
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

/// Looks once; true if there may be more.
pub(super) async fn look(gateway: &Gateway) -> store::Result<bool> {
    let now = gateway.clock.now();
    if gateway.store.sweep(now, BATCH).await? {
        return Ok(true);
    }
    let latest = now.after(longest_wait(&gateway.settings));
    gateway.store.hasten(now, latest, BATCH).await
}

/// Nothing is put off for longer by a clock that is right, unless a homeserver asks for that.
fn longest_wait(settings: &Settings) -> Duration {
    let links = settings.link_groups.iter().flat_map(|group| &group.links);
    let pauses = links.map(|link| link.adapt.longest_pause);
    let longest = pauses.max().unwrap_or_default();
    settings.limits.retry_cap.max(longest).max(LEAST)
}

/// A sweep can give work to anybody; an idle worker looks and sleeps again.
fn ring(gateway: &Gateway) {
    gateway.wakes.outbox.notify_one();
    gateway.wakes.sms.ring();
    gateway.wakes.groups.ring_all();
}
