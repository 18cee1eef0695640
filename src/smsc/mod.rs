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
mod roster;
mod said;
mod submit;
mod terms;
#[cfg(test)]
mod tests;
pub mod verdict;

use std::net::SocketAddr;
use std::sync::Arc;

use crate::crew::Crew;
use crate::flow::Gateway;
use crate::ops::metrics::Metrics;
pub use connect::Unusable;
use group::Group;
pub use listen::NotListening;

/// Every link of every group. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Links(Arc<Vec<Arc<Group>>>);

impl Links {
    /// Makes the links of the config and starts what drives them in `crew`: the connections, the
    /// pumps and the dispatchers. At its `stop` the dispatchers claim no more; the connections go on
    /// until [`Links::close`].
    pub fn start(gateway: &Gateway, crew: &Crew) -> Result<Self, Unusable> {
        let dialled = gateway.settings.link_groups.iter();
        let dialled = dialled.map(|settings| Group::dial(gateway, settings, crew));
        let waiting = gateway.settings.esmes.iter();
        let waiting = waiting.map(|account| Ok(Group::wait(gateway, account, crew)));
        let groups: Result<Vec<_>, _> = dialled
            .chain(waiting)
            .map(|group| group.map(Arc::new))
            .collect();
        Ok(Self(Arc::new(groups?)))
    }

    /// Opens the listener for the accounts that bind to us, where the config has one; gives its
    /// address. No more binds are accepted after the `stop` of `crew`.
    pub async fn listen(
        &self,
        gateway: &Gateway,
        crew: &Crew,
    ) -> Result<Option<SocketAddr>, NotListening> {
        listen::open(gateway, crew, &self.0).await
    }

    /// Waits for outstanding answers, unbinds, disconnects: the tasks of the links end.
    pub fn close(&self) {
        self.0.iter().for_each(|group| group.close());
    }

    /// The groups to whose peers we bind and that have no bound link. An account that binds to us may
    /// be away.
    #[must_use]
    pub fn groups_down(&self) -> Vec<String> {
        self.0
            .iter()
            .filter(|group| !group.is_up())
            .map(|group| group.name().to_owned())
            .collect()
    }

    /// Writes the links' states and counters into the metrics.
    pub fn export(&self, metrics: &Metrics) {
        self.0.iter().for_each(|group| group.export(metrics));
    }
}
