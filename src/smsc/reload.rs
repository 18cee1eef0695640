//! What can change while the gateway runs: the accounts, and the listener's certificates.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use matrix_smpp_config::{Esme, ProcessEnv, Settings};
use matrix_smpp_session::Account;
use tokio::signal::unix::Signal;
use tracing::{info, warn};

use super::Links;
use super::group::Group;
use super::listen::{Door, NotListening, account};
use super::terms::Terms;
use crate::crew::Crew;
use crate::flow::Gateway;

/// The accounts that were not there before, those that are no more, and those that changed; by the
/// names that routes use.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// New ones.
    pub added: Vec<String>,
    /// Those that are gone.
    pub removed: Vec<String>,
    /// Those that are met otherwise.
    pub changed: Vec<String>,
}

/// Reads the accounts and the certificates again at each signal, until the `stop` of `crew`.
pub async fn run(
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
        let Some(door) = links.door() else {
            info!("nothing is read again: there is no SMPP listener");
            continue;
        };
        reread_certificates(door).await;
        if let Some(settings) = read(config.clone()).await {
            tell(links.meet(&gateway, &crew, &settings.esmes));
        }
    }
}

async fn reread_certificates(door: &Door) {
    match door.reread_certificates().await {
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
        Ok(settings) => Some(settings),
        Err(mistakes) => {
            warn!(%mistakes, "the accounts stay as they are: the configuration has mistakes");
            None
        }
    }
}

fn tell(met: Result<Changes, NotListening>) {
    match met {
        Ok(Changes {
            added,
            removed,
            changed,
        }) => {
            info!(?added, ?removed, ?changed, "the accounts were read again");
            if !changed.is_empty() {
                info!("windows and rates hold at once, the rest for the binds to come");
            }
        }
        Err(error) => warn!(%error, "the accounts stay as they are"),
    }
}

impl Links {
    /// Has these accounts from now on: new ones can bind, those that are gone are unbound. What
    /// changed of others holds for binds to come, windows and rates for those that stand too.
    pub fn meet(
        &self,
        gateway: &Gateway,
        crew: &Crew,
        esmes: &[Esme],
    ) -> Result<Changes, NotListening> {
        let Some(door) = self.door() else {
            return Ok(Changes::default());
        };
        let accounts: Result<Vec<_>, _> = esmes.iter().map(account).collect();
        let accounts = accounts?;
        self.check_names(esmes)?;
        let (mut served, mut others) = (Vec::new(), Vec::new());
        for (esme, account) in esmes.iter().zip(accounts) {
            let (group, other_terms) = self.group_of(gateway, crew, esme);
            served.push((account, group));
            others.push(other_terms);
        }
        let before = door.admit(served.clone());
        let now = served.iter().zip(others);
        let now = now.map(|((account, group), other)| (group.name(), (account, other)));
        Ok(changes(&before, &now.collect()))
    }

    /// The name of a link that we dial is none for an account, even where the file has dropped it.
    fn check_names(&self, esmes: &[Esme]) -> Result<(), NotListening> {
        let mut groups = self.groups().into_iter();
        let taken = |group: &Arc<Group>| {
            !group.is_account() && esmes.iter().any(|esme| esme.name == group.name())
        };
        match groups.find(taken) {
            Some(group) => Err(NotListening::Name(group.name().to_owned())),
            None => Ok(()),
        }
    }

    /// The group of an account, and whether the account is met on other terms than before.
    fn group_of(&self, gateway: &Gateway, crew: &Crew, esme: &Esme) -> (Arc<Group>, bool) {
        let mut groups = self.lock();
        if let Some(group) = groups.iter().find(|group| group.name() == esme.name) {
            let other = group.meet(Terms::from(esme));
            return (Arc::clone(group), other);
        }
        let group = Arc::new(Group::wait(gateway, esme, crew));
        groups.push(Arc::clone(&group));
        (group, true)
    }
}

fn changes(before: &[(Account, Arc<Group>)], now: &BTreeMap<&str, (&Account, bool)>) -> Changes {
    let before: BTreeMap<_, _> = before
        .iter()
        .map(|(account, group)| (group.name(), account))
        .collect();
    let is_other = |(name, (account, other)): &(&&str, &(&Account, bool))| {
        before
            .get(**name)
            .is_some_and(|old| *other || old != account)
    };
    let owned = |name: &&str| (*name).to_owned();
    Changes {
        added: now
            .keys()
            .filter(|name| !before.contains_key(**name))
            .map(owned)
            .collect(),
        removed: before
            .keys()
            .filter(|name| !now.contains_key(**name))
            .map(owned)
            .collect(),
        changed: now
            .iter()
            .filter(is_other)
            .map(|(name, _)| owned(name))
            .collect(),
    }
}
