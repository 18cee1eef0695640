//! Accounts that come, go and change while the gateway runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use matrix_smpp_config::{Esme, Route};
use matrix_smpp_session::TlsError;

use super::Links;
use super::group::Group;
use super::listen::{NotListening, account};
use super::terms::Terms;
use crate::crew::Crew;
use crate::flow::Gateway;
use crate::gateway::changes::Changes;

/// Why other accounts and routes cannot be had without a restart.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unmet {
    /// The accounts do not fit.
    #[error(transparent)]
    Accounts(#[from] NotListening),
    /// A route leads where nobody carries its messages yet.
    #[error("the route {route} needs {link_group}, which begins with a restart")]
    NotRunning {
        /// The route's name.
        route: String,
        /// The name of its link group or account.
        link_group: String,
    },
}

impl Links {
    /// Reads the listener's certificates again; `None` where there are none.
    pub async fn reread_certificates(&self) -> Option<Result<(), TlsError>> {
        self.door()?.reread_certificates().await
    }

    /// Whether all of these routes lead to links that run, or to one of these accounts.
    pub fn carry(&self, routes: &[Route], esmes: &[Esme]) -> Result<(), Unmet> {
        let groups = self.groups();
        let dialled = |name: &str| {
            let mut groups = groups.iter();
            groups.any(|group| !group.is_account() && group.name() == name)
        };
        let binds = |name: &str| self.door().is_some() && esmes.iter().any(|one| one.name == name);
        let stray = routes
            .iter()
            .find(|route| !dialled(&route.link_group) && !binds(&route.link_group));
        match stray {
            None => Ok(()),
            Some(route) => Err(Unmet::NotRunning {
                route: route.name.clone(),
                link_group: route.link_group.clone(),
            }),
        }
    }

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
        let before = before
            .iter()
            .map(|(account, group)| (group.name(), account));
        let (before, now): (BTreeMap<_, _>, BTreeMap<_, _>) = (before.collect(), now.collect());
        Ok(Changes::between(&before, &now, |old, (account, other)| {
            *other || old != account
        }))
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
