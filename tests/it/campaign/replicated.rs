//! A primary Redis, a replica that is always some time behind it, and a Sentinel that has the replica go
//! on where the primary dies.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::peer::{Peer, free_port};
use crate::support::proxy::tcp::TcpProxy;
use crate::support::redis::Redis;
use crate::support::wait::until;

/// Milliseconds after which Sentinel would take the proxy before the primary for a wrong primary, and mend
/// that: longer than any campaign.
const LONG: u32 = 3_600_000;

/// How these two keep what they are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Replication {
    /// `store.redis.durability`.
    pub(super) durability: &'static str,
    /// `store.redis.replicas`.
    pub(super) replicas: u8,
}

impl Replication {
    /// What makes Redis as durable as that.
    const fn arguments(self) -> [&'static str; 4] {
        match self.durability.as_bytes() {
            b"none" => ["--appendonly", "no", "--appendfsync", "no"],
            b"everysec" => ["--appendonly", "yes", "--appendfsync", "everysec"],
            _ => ["--appendonly", "yes", "--appendfsync", "always"],
        }
    }
}

#[derive(Debug)]
pub(super) struct Replicated {
    replication: Replication,
    primary: Redis,
    replica: Redis,
    way_to_replica: TcpProxy,
    sentinel: u16,
    _watch: Peer,
}

impl Replicated {
    pub(super) async fn start(home: &Path, replication: Replication) -> Self {
        let server = |name: &str| {
            let home = home.join(name);
            Redis::prepare(home.clone(), home)
        };
        let (mut primary, mut replica) = (server("primary"), server("replica"));
        primary.set(&replication.arguments());
        primary.start_again().await;
        let way = free_port();
        let way_to_replica = TcpProxy::start(way, primary.port()).await;
        let of = ["--replicaof", "127.0.0.1", &way.to_string()];
        replica.set(&[&replication.arguments()[..], &of].concat());
        replica.start_again().await;
        until("the replica is there", async || {
            let said = ask(replica.port(), &["INFO", "replication"]);
            said.contains("master_link_status:up").then_some(())
        })
        .await;
        let (sentinel, watch) = watch(home.join("sentinel"), primary.port()).await;
        Self {
            replication,
            primary,
            replica,
            way_to_replica,
            sentinel,
            _watch: watch,
        }
    }

    /// The part of a gateway's configuration that names it.
    pub(super) fn toml(&self, takeover_after: &str) -> String {
        let Replication {
            durability,
            replicas,
        } = self.replication;
        format!(
            "[store]\nengine = \"redis\"\n[store.redis]\nmode = \"sentinel\"\nmaster = \"ours\"\n\
             servers = \"redis://127.0.0.1:{}\"\ntakeover_after = \"{takeover_after}\"\n\
             durability = \"{durability}\"\nreplicas = {replicas}\n",
            self.sentinel
        )
    }

    /// From now on the replica is that far behind at least.
    pub(super) fn delay(&self, by: Duration) {
        self.way_to_replica.delay(by);
    }

    /// The primary's machine dies with all that is under way from it. Returns when the replica is the
    /// primary; the old one has come back then, as its replica.
    pub(super) async fn fail_over(&mut self) {
        self.primary.kill().await;
        self.way_to_replica.cut();
        let port = self.replica.port().to_string();
        let named = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "ours"];
        until("the replica is the primary", async || {
            ask(self.sentinel, &named).contains(&port).then_some(())
        })
        .await;
        let of = ["--replicaof", "127.0.0.1", &port];
        let arguments = [&self.replication.arguments()[..], &of].concat();
        self.primary.set(&arguments);
        self.primary.start_again().await;
    }
}

/// Starts a Sentinel that knows the primary and its replica.
async fn watch(home: PathBuf, primary: u16) -> (u16, Peer) {
    std::fs::create_dir_all(&home).expect("a folder for Sentinel");
    let port = free_port();
    let settings = format!(
        "port {port}\nbind 127.0.0.1\nsentinel monitor ours 127.0.0.1 {primary} 1\n\
         sentinel down-after-milliseconds ours 500\nsentinel failover-timeout ours {LONG}\n"
    );
    std::fs::write(home.join("sentinel.conf"), settings).expect("its settings");
    let command = ["redis-server", "sentinel.conf", "--sentinel"];
    let mut peer = Peer::start("redis-sentinel", &home, &command);
    peer.ready(async |_| {
        let said = ask(port, &["SENTINEL", "REPLICAS", "ours"]);
        said.contains("slave").then_some(())
    })
    .await;
    (port, peer)
}

/// Sends a command; what came back, as text.
fn ask(port: u16, words: &[&str]) -> String {
    let asked = Command::new("redis-cli")
        .args(["-p", &port.to_string()])
        .args(words)
        .output()
        .expect("redis-cli is needed; `make setup` installs it");
    String::from_utf8_lossy(&asked.stdout).into_owned()
}
