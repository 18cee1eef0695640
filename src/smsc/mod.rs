//! The SMPP side: one dispatcher for each link group, one pump for each link.

mod connect;
mod group;
mod inbound;
mod link;
mod submit;
#[cfg(test)]
mod tests;
pub mod verdict;

use std::sync::Arc;

use crate::crew::Crew;
use crate::flow::Gateway;
use crate::ops::metrics::Metrics;
pub use connect::Unusable;
use group::Group;

/// Every link of every group. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Links(Arc<Vec<Arc<Group>>>);

impl Links {
    /// Makes the links of the config and starts what drives them in `crew`: the connections, the
    /// pumps and the dispatchers. At its `stop` the dispatchers claim no more; the connections go on
    /// until [`Links::close`].
    pub fn start(gateway: &Gateway, crew: &Crew) -> Result<Self, Unusable> {
        let groups = gateway.settings.link_groups.iter();
        let groups: Result<Vec<_>, _> = groups
            .map(|settings| Group::start(gateway, settings, crew).map(Arc::new))
            .collect();
        Ok(Self(Arc::new(groups?)))
    }

    /// Waits for outstanding answers, unbinds, disconnects: the tasks of the links end.
    pub fn close(&self) {
        self.0.iter().for_each(|group| group.close());
    }

    /// The groups that have no bound link.
    #[must_use]
    pub fn groups_down(&self) -> Vec<String> {
        self.0
            .iter()
            .filter(|group| !group.is_up())
            .map(|group| group.name.clone())
            .collect()
    }

    /// Writes the links' states and counters into the metrics.
    pub fn export(&self, metrics: &Metrics) {
        self.0.iter().for_each(|group| group.export(metrics));
    }
}
