//! The SMPP side: one dispatcher for each link group, one pump for each link. A group's links are
//! those that we dial, or those that an aggregator has bound to our listener.

mod connect;
mod esme;
mod group;
mod inbound;
mod intake;
mod link;
mod listen;
mod multi;
mod names;
mod outgoing;
mod record;
mod reload;
mod roster;
mod said;
mod submit;
mod terms;
#[cfg(test)]
mod tests;
pub mod verdict;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tracing::info;

use crate::crew::Crew;
use crate::doors::Inlet;
use crate::flow::Gateway;
use crate::ops::metrics::Metrics;
pub use connect::Unusable;
use group::Group;
use listen::Door;
pub use listen::NotListening;
pub use names::submissions_named;
pub use reload::Unmet;

/// Every link of every group. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Links(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Those of accounts that are gone stay, for the binds that they may still have.
    groups: Mutex<Vec<Arc<Group>>>,
    door: OnceLock<Door>,
}

impl Links {
    /// Makes the links of the config and starts what drives them in `crew`: the connections, the
    /// pumps and the dispatchers. At its `stop` the dispatchers claim no more; the connections go on
    /// until [`Links::close`].
    pub fn start(gateway: &Gateway, crew: &Crew) -> Result<Self, Unusable> {
        let dialled = gateway.settings.link_groups.iter();
        let dialled = dialled.map(|settings| Group::dial(gateway, settings, crew).map(Arc::new));
        let links = Self::default();
        let groups = dialled.collect::<Result<Vec<_>, _>>()?;
        links.lock().extend(groups);
        Ok(links)
    }

    /// Lets the accounts in that bind to us. No more binds are accepted after the `stop` of `crew`.
    pub fn listen(&self, gateway: &Gateway, crew: &Crew, inlet: Inlet) -> Result<(), NotListening> {
        let (door, listener) = Door::open(&gateway.settings, inlet)?;
        let serving = door.clone();
        if self.0.door.set(door).is_err() {
            return Ok(());
        }
        self.meet(gateway, crew, &gateway.settings.esmes)?;
        crew.spawn(
            "the SMPP listener",
            serving.serve(listener, gateway.clone(), crew.clone()),
        );
        info!("accounts can bind");
        Ok(())
    }

    fn door(&self) -> Option<&Door> {
        self.0.door.get()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Group>>> {
        let groups = &self.0.groups;
        groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn groups(&self) -> Vec<Arc<Group>> {
        self.lock().clone()
    }

    /// Waits for outstanding answers, unbinds, disconnects: the tasks of the links end.
    pub fn close(&self) {
        self.groups().iter().for_each(|group| group.close());
    }

    /// The groups to whose peers we bind and that have no bound link. An account that binds to us may
    /// be away.
    #[must_use]
    pub fn groups_down(&self) -> Vec<String> {
        self.groups()
            .iter()
            .filter(|group| !group.is_up())
            .map(|group| group.name().to_owned())
            .collect()
    }

    /// Whether accounts can bind; true where the config has no listener for them.
    #[must_use]
    pub fn accepts(&self) -> bool {
        self.door().is_none_or(Door::accepts)
    }

    /// Writes the links' and the listener's states and counters into the metrics.
    pub fn export(&self, metrics: &Metrics) {
        if let Some(door) = self.door() {
            door.export(metrics);
        }
        self.groups().iter().for_each(|group| group.export(metrics));
    }
}
