//! Greets homeservers, and notices when they do not answer.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use ruma::OwnedServerName;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::flow::{Connected, Gateway};
use crate::matrix::homeserver::ErrorKind;

/// Greets every homeserver and looks after it, side by side, until `stop`.
pub(super) async fn greet(gateway: Gateway, answered: Arc<AtomicBool>, stop: CancellationToken) {
    let silent = Silent::new(gateway.homeservers.keys().cloned(), answered);
    let visits = gateway.homeservers.iter();
    let visits = visits.map(|(name, home)| visit(&gateway, name, home, &silent));
    tokio::select! {
        () = stop.cancelled() => {}
        _ = join_all(visits) => {}
    }
}

/// Makes the homeserver's bot and asks the homeserver to call us, which also ends the back-off in
/// which it may be since we were last away; then asks again and again whether it still answers.
async fn visit(gateway: &Gateway, name: &OwnedServerName, home: &Connected, silent: &Silent) {
    let mut attempt = 0;
    loop {
        match greet_one(gateway, name, home).await {
            Ok(()) => {
                info!(homeserver = %name, "the homeserver answers and reaches us");
                attempt = 0;
                silent.hears(name);
                gateway.look_back(name);
                while home.api.whoami().await.is_ok() {
                    tokio::time::sleep(VISIT).await;
                }
                warn!(homeserver = %name, "the homeserver does not answer any more");
            }
            Err(why) => {
                warn!(homeserver = %name, why, "the homeserver does not answer as it should");
            }
        }
        silent.misses(name);
        tokio::time::sleep(gateway.retry_wait(attempt).min(MAX_GREETING_WAIT)).await;
        attempt = attempt.saturating_add(1);
    }
}

/// How often a homeserver is asked whether it still answers.
const VISIT: Duration = Duration::from_secs(10);

/// The homeservers that do not answer; `all_answer` is true while there are none.
struct Silent {
    names: Mutex<BTreeSet<OwnedServerName>>,
    all_answer: Arc<AtomicBool>,
}

impl Silent {
    fn new(names: impl Iterator<Item = OwnedServerName>, all_answer: Arc<AtomicBool>) -> Self {
        Self {
            names: Mutex::new(names.collect()),
            all_answer,
        }
    }

    fn hears(&self, name: &OwnedServerName) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.remove(name);
        self.all_answer.store(names.is_empty(), Ordering::Relaxed);
    }

    fn misses(&self, name: &OwnedServerName) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert(name.clone());
        self.all_answer.store(false, Ordering::Relaxed);
    }
}

/// People who mend a homeserver's settings should not wait long to see that it helped.
const MAX_GREETING_WAIT: Duration = Duration::from_secs(10);

async fn greet_one(
    gateway: &Gateway,
    name: &OwnedServerName,
    home: &Connected,
) -> Result<(), String> {
    let bot = home.names.bot();
    let public_name = || gateway.settings.gateway.public_name.clone();
    let made = gateway.ghosts.ensure(&*home.api, bot, public_name).await;
    made.map_err(|error| error.to_string())?;
    let known_as = home.api.whoami().await.map_err(|error| error.to_string())?;
    if known_as != bot {
        return Err(format!(
            "{name} knows the owner of as_token by another name than {bot}"
        ));
    }
    let txn = format!("{}-{}", gateway.store.instance(), gateway.clock.now().0);
    match home.api.ping(&txn).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homeservers_answer_only_while_all_do() {
        let name = |name: &str| OwnedServerName::try_from(name).unwrap();
        let (one, two) = (name("one.example"), name("two.example"));
        let all = Arc::new(AtomicBool::new(false));
        let silent = Silent::new([one.clone(), two.clone()].into_iter(), Arc::clone(&all));
        silent.hears(&two);
        assert!(!all.load(Ordering::Relaxed));
        silent.hears(&one);
        assert!(all.load(Ordering::Relaxed));
        silent.misses(&two);
        assert!(!all.load(Ordering::Relaxed));
        silent.hears(&two);
        assert!(all.load(Ordering::Relaxed));
    }
}
