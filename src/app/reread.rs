//! What can change while the gateway runs: routes, pools, dedicated numbers, limits against fraud,
//! accounts, and the listener's certificates.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use matrix_smpp_config::{Mistakes, ProcessEnv, Routing, Settings};
use tokio::signal::unix::Signal;
use tracing::{info, warn};

use crate::crew::Crew;
use crate::flow::Gateway;
use crate::gateway::changes::Changes;
use crate::ops::log;
use crate::smsc::{Links, Unmet};

/// Reads the configuration and the certificates again at each signal, until the `stop` of `crew`.
pub(super) async fn run(
    config: PathBuf,
    links: Links,
    (gateway, crew): (Gateway, Crew),
    mut signals: Signal,
) {
    loop {
        tokio::select! {
            () = crew.stop.cancelled() => return,
            _ = signals.recv() => {}
        }
        reread_certificates(&links).await;
        if let Some(settings) = read(config.clone()).await {
            meet(&gateway, &links, &crew, settings);
        }
    }
}

async fn reread_certificates(links: &Links) {
    match links.reread_certificates().await {
        None => {}
        Some(Ok(())) => info!("the SMPP listener's certificates were read again"),
        Some(Err(error)) => warn!(%error, "the SMPP listener keeps its old certificates"),
    }
}

async fn read(config: PathBuf) -> Option<Settings> {
    let reading = tokio::task::spawn_blocking(move || load(&config));
    reading.await.ok().flatten()
}

fn load(config: &Path) -> Option<Settings> {
    match matrix_smpp_config::load(config, &ProcessEnv) {
        Ok(settings) => {
            log::notes(config, &settings.notes);
            Some(settings)
        }
        Err(mistakes) => {
            tell_mistakes(&mistakes);
            None
        }
    }
}

fn tell_mistakes(mistakes: &Mistakes) {
    let file = mistakes.file().display();
    for mistake in mistakes.iter() {
        warn!(%file, %mistake, "a mistake in the configuration");
    }
    warn!(mistakes = mistakes.iter().count(), "all stays as it is");
}

/// Has these settings from now on as far as that is possible, or none of them.
fn meet(gateway: &Gateway, links: &Links, crew: &Crew, settings: Settings) {
    let waiting = gateway.settings.fixed_changes(&settings);
    match adopt(gateway, links, crew, settings) {
        Ok((accounts, [routes, pools, dedicated])) => {
            tell(&accounts, "the accounts were read again");
            if !accounts.changed.is_empty() {
                info!("windows and rates hold at once, the rest for the binds to come");
            }
            tell(&routes, "the routes were read again");
            tell(&pools, "the pools were read again");
            tell_numbers(&dedicated);
        }
        Err(error) => warn!(%error, "all stays as it is"),
    }
    if !waiting.is_empty() {
        let keys = waiting.join(", ");
        warn!(keys, "what else has changed waits for a restart");
    }
}

/// Accounts first: the routes may name new ones.
fn adopt(
    gateway: &Gateway,
    links: &Links,
    crew: &Crew,
    settings: Settings,
) -> Result<(Changes, [Changes; 3]), Unmet> {
    links.carry(&settings.routing.routes, &settings.esmes)?;
    let accounts = links.meet(gateway, crew, &settings.esmes)?;
    let before = gateway.routing.set(settings.routing);
    let now = gateway.routing();
    if before.fraud != now.fraud {
        info!("the limits against fraud were read again");
    }
    Ok((accounts, changes(&before, &now)))
}

fn changes(before: &Arc<Routing>, now: &Arc<Routing>) -> [Changes; 3] {
    [
        Changes::of(&before.routes, &now.routes, |route| &route.name),
        Changes::of(&before.pools, &now.pools, |pool| &pool.name),
        Changes::of(&before.dedicated, &now.dedicated, |one| one.number.as_str()),
    ]
}

fn tell(changes: &Changes, what: &'static str) {
    let Changes {
        added,
        removed,
        changed,
    } = changes;
    info!(?added, ?removed, ?changed, "{what}");
}

/// Numbers are nobody's business in a log.
fn tell_numbers(changes: &Changes) {
    info!(
        added = changes.added.len(),
        removed = changes.removed.len(),
        changed = changes.changed.len(),
        "the dedicated numbers were read again"
    );
}
