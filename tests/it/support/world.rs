//! Everything that one test needs, around one folder.

use std::path::Path;

use tempfile::TempDir;

use super::gateway::{Gateway, Plan};
use super::room::text as as_text;
use super::sim::Sim;
use super::synapse::{SERVER, Synapse};
use super::user::User;

/// A phone.
pub(crate) const PHONE: &str = "447700900123";
/// How people read it.
pub(crate) const PHONE_NAME: &str = "+44 7700 900123";
/// Another phone.
pub(crate) const OTHER_PHONE: &str = "447700900124";
/// How people read it.
pub(crate) const OTHER_PHONE_NAME: &str = "+44 7700 900124";

/// A homeserver, an SMSC with phones, and the gateway between them.
#[derive(Debug)]
pub(crate) struct World {
    // Dropped from the top, so that nobody talks to a peer that is gone.
    pub(crate) gateway: Gateway,
    pub(crate) synapse: Synapse,
    pub(crate) sim: Sim,
    home: TempDir,
}

impl World {
    /// Starts all three with an ordinary configuration.
    pub(crate) async fn start() -> Self {
        Self::with(|_| ()).await
    }

    /// Starts all three after `change` has altered the gateway's configuration.
    pub(crate) async fn with(change: impl FnOnce(&mut Plan)) -> Self {
        let (home, synapse, sim, gateway) = Self::prepare(change).await;
        let mut world = Self {
            gateway,
            synapse,
            sim,
            home,
        };
        let registration = world.gateway.registration();
        world.synapse.start(Some(&registration)).await;
        world.gateway.start().await;
        world
    }

    /// Starts the simulator only; the rest is ready to start.
    async fn prepare(change: impl FnOnce(&mut Plan)) -> (TempDir, Synapse, Sim, Gateway) {
        let home = tempfile::tempdir().expect("a temporary folder");
        let synapse = Synapse::prepare(home.path(), SERVER);
        let mut sim = Sim::prepare(home.path());
        let mut plan = Plan::new(&synapse.url(), sim.smpp_port());
        change(&mut plan);
        sim.start_with(&plan.smsc_arguments).await;
        let gateway = Gateway::prepare(home.path(), &plan);
        (home, synapse, sim, gateway)
    }

    /// Everything but the gateway runs; it starts with `world.gateway.start()`.
    pub(crate) async fn before_the_gateway(change: impl FnOnce(&mut Plan)) -> Self {
        let (home, mut synapse, sim, gateway) = Self::prepare(change).await;
        synapse.start(Some(&gateway.registration())).await;
        Self {
            gateway,
            synapse,
            sim,
            home,
        }
    }

    /// A user with this much credit.
    pub(crate) async fn person(&self, name: &str, credit: &str) -> User {
        let user = self.synapse.register(name).await;
        self.gateway.top_up(&user.id, credit);
        user
    }

    /// A direct room of a user and a phone, with the ghost in it.
    pub(crate) async fn chat(&self, user: &User, number: &str) -> String {
        let room = user.direct_room(&ghost(number)).await;
        user.sees_join(&room, &ghost(number)).await;
        room
    }

    /// A phone answers into a room: it writes to the number that texted it last.
    pub(crate) async fn answer(&self, phone: &str, text: &str) {
        let received = self.sim.received(phone).await;
        let latest = received.last().expect("a phone that was texted");
        let statuses = self.sim.writes(phone, as_text(&latest["from"]), text).await;
        assert!(
            statuses.iter().all(|status| status == "ESME_ROK"),
            "{statuses:?}"
        );
    }

    /// Stops the homeserver and starts it again with the same data.
    pub(crate) async fn restart_synapse(&mut self) {
        self.synapse.stop().await;
        self.synapse.start(Some(&self.gateway.registration())).await;
    }

    /// The folder of this test.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }
}

/// The ghost of a phone.
pub(crate) fn ghost(number: &str) -> String {
    format!("@.tel.{number}:{SERVER}")
}

/// The gateway's bot.
pub(crate) fn bot() -> String {
    format!("@.tel.bot:{SERVER}")
}
