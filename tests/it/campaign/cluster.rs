//! A Redis Cluster: three primaries with a replica each, which takes over where its primary dies. Whoever
//! connects to a node goes through a proxy, the nodes' replicas too; only their gossip does not.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::peer::free_port;
use crate::support::proxy::tcp::TcpProxy;
use crate::support::redis::Redis;
use crate::support::wait::until;

/// Primaries and replicas.
const NODES: usize = 6;

/// Milliseconds after which a node that says nothing is taken for dead.
const DEAD_AFTER: &str = "1000";

/// A key of the gateways' store, all keys of which are at one primary.
const KEY: &str = "{matrix-smpp}:epoch";

#[derive(Debug)]
pub(super) struct Cluster {
    nodes: Vec<Node>,
    /// Whom the plan has taken down.
    taken: Option<usize>,
    ended_by_itself: usize,
}

#[derive(Debug)]
struct Node {
    redis: Redis,
    way: TcpProxy,
}

impl Cluster {
    pub(super) async fn start(home: &Path) -> Self {
        let mut nodes = Vec::new();
        for number in 0..NODES {
            let home = home.join(format!("redis-{number}"));
            let mut redis = Redis::prepare(home.clone(), home);
            let (door, gossip) = (free_port(), free_port().to_string());
            let announced = door.to_string();
            redis.set(&[
                "--cluster-enabled",
                "yes",
                "--cluster-node-timeout",
                DEAD_AFTER,
                "--repl-diskless-sync-delay",
                "0",
                "--cluster-port",
                &gossip,
                "--cluster-announce-port",
                &announced,
            ]);
            redis.start_again().await;
            let way = TcpProxy::start(door, redis.port()).await;
            nodes.push(Node { redis, way });
        }
        let cluster = Self {
            nodes,
            taken: None,
            ended_by_itself: 0,
        };
        cluster.join();
        until("the Cluster is whole", async || {
            let mut nodes = cluster.nodes.iter();
            nodes.all(Node::is_whole).then_some(())
        })
        .await;
        cluster
    }

    fn join(&self) {
        let nodes = self.nodes.iter();
        let made = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(nodes.map(|node| format!("127.0.0.1:{}", node.redis.port())))
            .args(["--cluster-replicas", "1", "--cluster-yes"])
            .output()
            .expect("redis-cli is needed; `make setup` installs it");
        let said = String::from_utf8_lossy(&made.stdout);
        assert!(made.status.success(), "{said}");
    }

    /// The part of a gateway's configuration that names it. A commit counts once the replica has it.
    pub(super) fn toml(&self, takeover_after: &str) -> String {
        let nodes = self.nodes.iter();
        let nodes = nodes.map(|node| format!("redis://127.0.0.1:{}", node.way.port()));
        let nodes = nodes.collect::<Vec<_>>().join(" ");
        format!(
            "[store]\nengine = \"redis\"\n[store.redis]\nservers = \"{nodes}\"\n\
             mode = \"cluster\"\ntakeover_after = \"{takeover_after}\"\nreplicas = 1\n"
        )
    }

    /// The primary of the gateways' store; while there is none, any node.
    fn primary(&self) -> usize {
        let has_it = |node: &Node| node.ask(&["EXISTS", KEY]).trim() == "1";
        self.nodes.iter().position(has_it).unwrap_or_default()
    }

    // --- what the plan does ----------------------------------------------------------------------

    /// Ends the primary of the store, until [`Self::begin`].
    pub(super) async fn end(&mut self, signal: Signal) {
        let at = self.primary();
        self.taken = Some(at);
        self.nodes[at].redis.end(signal).await;
    }

    /// Starts whom [`Self::end`] ended.
    pub(super) fn begin(&mut self) {
        if let Some(at) = self.taken.take() {
            self.nodes[at].redis.launch();
        }
    }

    /// Has the primary of the store stand still, or go on who does.
    pub(super) fn signal(&mut self, signal: Signal) {
        if signal == Signal::CONT {
            if let Some(at) = self.taken.take() {
                self.nodes[at].redis.signal(signal);
            }
            return;
        }
        let at = self.primary();
        self.taken = Some(at);
        self.nodes[at].redis.signal(signal);
    }

    /// Starts nodes that have ended by themselves.
    pub(super) fn revive(&mut self) {
        for at in 0..self.nodes.len() {
            if self.taken != Some(at) && self.nodes[at].redis.has_ended() {
                self.ended_by_itself += 1;
                self.nodes[at].redis.launch();
            }
        }
    }

    /// Cuts every connection, where it says so when the next answers are under way.
    pub(super) fn cut(&self, lose_answers: bool) {
        for node in &self.nodes {
            if lose_answers {
                node.way.lose_answers();
            } else {
                node.way.cut();
            }
        }
    }

    /// From now on all of them answer that much later, and replicas are that far behind.
    pub(super) fn delay(&self, by: Duration) {
        self.nodes.iter().for_each(|node| node.way.delay(by));
    }

    /// What happened to it.
    pub(super) fn struck(&self) -> String {
        let first = self.nodes.first();
        format!(
            "; the ways to the Cluster broke {} times, its nodes ended by themselves {} times, and in the \
             end the store is at node {}",
            first.map_or(0, |node| node.way.struck()),
            self.ended_by_itself,
            self.primary()
        )
    }
}

impl Node {
    fn is_whole(&self) -> bool {
        let info = self.ask(&["CLUSTER", "INFO"]);
        let replicas = self.ask(&["CLUSTER", "NODES"]).matches("slave").count();
        info.contains("cluster_state:ok") && replicas == NODES / 2
    }

    /// Sends a command to the node itself; what came back within a second, as text.
    fn ask(&self, words: &[&str]) -> String {
        let asked = Command::new("timeout")
            .args(["1", "redis-cli", "-p", &self.redis.port().to_string()])
            .args(words)
            .output()
            .expect("redis-cli is needed; `make setup` installs it");
        String::from_utf8_lossy(&asked.stdout).into_owned()
    }
}
