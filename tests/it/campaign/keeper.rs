//! What keeps the gateways' data: a file, or a Redis with a proxy before it.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::cluster::Cluster;
use super::replicated::{Replicated, Replication};
use crate::support::clock::Clock;
use crate::support::disk::Disk;
use crate::support::gateway::Plan;
use crate::support::peer::free_port;
use crate::support::power::{Power, forget_unsynced};
use crate::support::proxy::tcp::TcpProxy;
use crate::support::redis::{self, Redis};

/// When a standby takes over from an owner that says nothing: some pauses of a plan are shorter, some
/// are longer.
const TAKEOVER: &str = "3s";

/// Who stands by forwards what comes to it, so that the homeserver may call any of them.
const INNER_DOOR: &str = "inner_listen = \"127.0.0.1:0\"\n";

/// Which engine plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    Sqlite,
    Redis,
    /// A Redis Cluster with replicas.
    Cluster,
    /// Redis that loses power, at this `store.redis.durability`.
    Powered(&'static str),
    /// Redis with a replica that can take over.
    Replicated(Replication),
}

impl Engine {
    /// The engine of this name.
    pub(super) fn named(name: &str) -> Self {
        match name {
            "sqlite" => Self::Sqlite,
            "redis" => Self::Redis,
            "cluster" => Self::Cluster,
            other => panic!("no such engine: {other}"),
        }
    }

    /// How many gateways play where nobody says.
    pub(super) const fn gateways(self) -> u8 {
        match self {
            Self::Sqlite => 1,
            Self::Redis | Self::Powered(_) | Self::Replicated(_) => 2,
            Self::Cluster => 3,
        }
    }

    /// Whether it is Redis, and what is done to Redis in an ordinary plan can be done to it.
    pub(super) const fn is_redis(self) -> bool {
        matches!(self, Self::Redis | Self::Cluster)
    }
}

#[derive(Debug)]
pub(super) enum Keeper {
    Sqlite(Disk),
    Redis(Box<Server>),
    Cluster(Box<Cluster>),
    Replicated(Box<Replicated>),
}

/// A Redis, its disk, and the way to it.
#[derive(Debug)]
pub(super) struct Server {
    redis: Redis,
    disk: Disk,
    way: TcpProxy,
    is_down: bool,
    ended_by_itself: usize,
}

impl Keeper {
    /// Starts what is needed, and tells the gateways of it.
    pub(super) async fn start(engine: Engine, home: &Path, plan: &mut Plan, clock: &Clock) -> Self {
        let wrapper = Disk::wrapper();
        if let Engine::Replicated(replication) = engine {
            let replicated = Replicated::start(home, replication).await;
            plan.more.push_str(&replicated.toml(TAKEOVER));
            plan.more.push_str(INNER_DOOR);
            return Self::Replicated(Box::new(replicated));
        }
        if engine == Engine::Cluster {
            let cluster = Cluster::start(home).await;
            plan.more.push_str(&cluster.toml(TAKEOVER));
            plan.more.push_str(INNER_DOOR);
            return Self::Cluster(Box::new(cluster));
        }
        if engine == Engine::Sqlite {
            let disk = Disk::new(home.join("gateway/data"));
            plan.data = Some(disk.folder().to_owned());
            plan.wrapper = wrapper.to_vec();
            plan.more.push_str("[store]\nengine = \"sqlite\"\n");
            return Self::Sqlite(disk);
        }
        let disk = Disk::new(home.join("redis/data"));
        let mut redis = Redis::prepare(home.join("redis"), disk.folder().to_owned());
        let mut more = String::new();
        if let Engine::Powered(durability) = engine {
            redis.wrap(Power::new(home).wrapper());
            redis.set(&["--appendfsync", durability]);
            more = format!("durability = \"{durability}\"\n");
        } else {
            redis.wrap(wrapper);
            redis.wrap(clock.variables());
        }
        redis.start_again().await;
        let door = free_port();
        plan.more.push_str(&redis::toml(door, TAKEOVER));
        plan.more.push_str(&more);
        plan.more.push_str(INNER_DOOR);
        Self::Redis(Box::new(Server {
            way: TcpProxy::start(door, redis.port()).await,
            redis,
            disk,
            is_down: false,
            ended_by_itself: 0,
        }))
    }

    fn server(&mut self) -> Option<&mut Server> {
        match self {
            Self::Redis(server) => Some(server),
            Self::Sqlite(_) | Self::Cluster(_) | Self::Replicated(_) => None,
        }
    }

    /// Starts a Redis that has ended by itself, as one does that cannot write.
    pub(super) fn revive(&mut self) {
        if let Self::Cluster(cluster) = self {
            return cluster.revive();
        }
        if let Some(server) = self.server()
            && !server.is_down
            && server.redis.has_ended()
        {
            server.ended_by_itself += 1;
            server.redis.launch();
        }
    }

    /// Nothing that these gateways, or Redis, write finds room any more.
    pub(super) fn fill(&self, gateways: impl Iterator<Item = Pid>) {
        match self {
            Self::Sqlite(disk) => gateways.for_each(|process| disk.fill(process)),
            Self::Redis(server) if !server.is_down => server.disk.fill(server.redis.pid()),
            Self::Redis(_) | Self::Cluster(_) | Self::Replicated(_) => {}
        }
    }

    /// There is room again.
    pub(super) fn free(&self, gateways: impl Iterator<Item = Pid>) {
        match self {
            Self::Sqlite(disk) => {
                disk.free(None);
                gateways.for_each(|process| disk.free(Some(process)));
            }
            Self::Redis(server) => {
                let process = (!server.is_down).then(|| server.redis.pid());
                server.disk.free(process);
            }
            Self::Cluster(_) | Self::Replicated(_) => {}
        }
    }

    // --- what the plan does to Redis -------------------------------------------------------------

    pub(super) async fn end(&mut self, signal: Signal) {
        if let Self::Cluster(cluster) = self {
            return cluster.end(signal).await;
        }
        if let Some(server) = self.server() {
            server.is_down = true;
            server.redis.end(signal).await;
        }
    }

    pub(super) fn begin(&mut self) {
        if let Self::Cluster(cluster) = self {
            return cluster.begin();
        }
        if let Some(server) = self.server() {
            server.redis.launch();
            server.is_down = false;
        }
    }

    pub(super) fn signal(&mut self, signal: Signal) {
        if let Self::Cluster(cluster) = self {
            return cluster.signal(signal);
        }
        if let Some(server) = self.server() {
            server.redis.signal(signal);
        }
    }

    /// Cuts the gateways' connections to it, where it says so when the next answers are under way.
    pub(super) fn cut(&mut self, lose_answers: bool) {
        if let Self::Cluster(cluster) = self {
            return cluster.cut(lose_answers);
        }
        match self.server() {
            Some(server) if lose_answers => server.way.lose_answers(),
            Some(server) => server.way.cut(),
            None => {}
        }
    }

    /// Redis answers that much later, or its replica is that far behind.
    pub(super) fn delay(&self, millis: u64) {
        let by = Duration::from_millis(millis);
        match self {
            Self::Sqlite(_) => {}
            Self::Redis(server) => server.way.delay(by),
            Self::Cluster(cluster) => cluster.delay(by),
            Self::Replicated(replicated) => replicated.delay(by),
        }
    }

    /// Its machine dies. The replica goes on; where there is none, the machine comes back with what it had
    /// synced.
    pub(super) async fn lose_machine(&mut self) {
        match self {
            Self::Sqlite(_) | Self::Cluster(_) => {}
            Self::Redis(server) => {
                server.redis.kill().await;
                let rows = server.disk.folder().join("appendonlydir");
                let gone = forget_unsynced(&rows, "aof");
                eprintln!("{gone} octets had not been synced");
                server.redis.start_again().await;
            }
            Self::Replicated(replicated) => replicated.fail_over().await,
        }
    }

    /// What happened to it.
    pub(super) fn struck(&self) -> String {
        match self {
            Self::Sqlite(_) | Self::Replicated(_) => String::new(),
            Self::Cluster(cluster) => cluster.struck(),
            Self::Redis(server) => format!(
                "; the way to Redis broke {} times and Redis ended by itself {} times",
                server.way.struck(),
                server.ended_by_itself
            ),
        }
    }
}
