//! What systemd is told.

use std::sync::Arc;

use matrix_smpp_config::Engine;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::flow::Gateway;
use crate::ops::http as ops;
use crate::store::Store;

/// Tells systemd, where it listens.
pub(super) fn notify(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "cannot tell systemd");
    }
}

/// Tells systemd that the gateway lives, as long as its store commits. One in Redis that is away comes
/// back by itself; a new start would only forget what is on the wire.
pub(super) async fn watchdog(gateway: Gateway, stop: CancellationToken) {
    let is_remote = gateway.settings.store.engine == Engine::Redis;
    tokio::select! {
        () = stop.cancelled() => {}
        () = say_alive((!is_remote).then(|| Arc::clone(&gateway.store))) => {}
    }
}

/// Tells systemd again and again that the gateway lives, whenever this store commits. Never returns.
pub(super) async fn say_alive(store: Option<Arc<dyn Store>>) {
    let Some(period) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    loop {
        let lives = match &store {
            Some(store) => ops::commits(&**store).await,
            None => true,
        };
        if lives {
            notify(&[sd_notify::NotifyState::Watchdog]);
        }
        tokio::time::sleep(period / 3).await;
    }
}
