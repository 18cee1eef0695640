//! Several servers: behind Sentinels, and as a Cluster.

use std::process::Command;

use super::server::{Server, free_port, until, url};
use super::*;

fn commit_and_read(base: &mut Redis, value: &str) {
    base.commit(&[put("a", value), put("b", value), timer("01|x")])
        .unwrap();
    assert_eq!(read(base, "a").as_deref(), Some(value));
    assert_eq!(base.timers("02", 10).unwrap(), ["01|x"]);
    assert_eq!(base.count(TableId::Meta).unwrap(), 2);
    assert_eq!(base.scan(TableId::Meta, None, 10).unwrap().rows.len(), 2);
}

/// A commit on one replica at least is still there when the primary is gone.
fn with_a_replica(place: Place) -> Settings {
    Settings {
        place,
        prefix: "test".to_owned(),
        owner_ttl: TTL,
        durability: Durability::Always,
        replicas: 1,
        allow_eviction: false,
        patience: None,
        standing: Standing::default(),
    }
}

#[test]
fn behind_sentinels_the_replica_goes_on_with_every_commit() {
    let (first, second, watch) = (free_port(), free_port(), free_port());
    let mut primary = Server::start_on(first, &[]);
    let replica_of = ["--replicaof", "127.0.0.1", &first.to_string()];
    let replica = Server::start_on(second, &replica_of);
    let sentinel = Sentinel::start(watch, first);
    until("the replica", || {
        replica
            .command(&["INFO", "replication"])
            .contains("master_link_status:up")
            && sentinel.knows_a_replica()
    });
    let place = Place::Sentinel {
        sentinels: vec![url(watch)],
        master: "ours".to_owned(),
    };
    let mut base = Redis::open(with_a_replica(place)).unwrap();
    commit_and_read(&mut base, "1");
    primary.kill();
    // Alone from now on: nobody has a copy.
    base.settings.replicas = 0;
    commit_and_read(&mut base, "2");
    assert_eq!(replica.command(&["HGET", "{test}:meta", "a"]), "2");
}

#[test]
fn in_a_cluster_the_replica_goes_on_with_every_commit() {
    let mut nodes = Cluster::start();
    let servers = nodes.servers.iter().map(Server::url).collect();
    let mut base = Redis::open(with_a_replica(Place::Cluster(servers))).unwrap();
    commit_and_read(&mut base, "1");
    nodes.owner_of("{test}:meta").kill();
    base.settings.replicas = 0;
    commit_and_read(&mut base, "2");
}

#[test]
fn in_a_cluster_only_the_replica_of_the_store_is_waited_for() {
    let mut nodes = Cluster::start();
    let servers = nodes.servers.iter().map(Server::url).collect();
    let mut base = Redis::open(with_a_replica(Place::Cluster(servers))).unwrap();
    commit_and_read(&mut base, "1");
    nodes.replica_of_another().kill();
    let (done, committed) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        commit_and_read(&mut base, "2");
        done.send(base).ok();
    });
    let base = committed.recv_timeout(Duration::from_secs(20));
    base.expect("a commit that the store's own replica has")
        .close();
}

/// A Sentinel for one primary.
struct Sentinel {
    server: Server,
}

impl Sentinel {
    fn start(port: u16, primary: u16) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.keep().join("sentinel.conf");
        let settings = format!(
            "sentinel monitor ours 127.0.0.1 {primary} 1\n\
             sentinel down-after-milliseconds ours 300\n\
             sentinel failover-timeout ours 3000\n"
        );
        std::fs::write(&file, settings).unwrap();
        let server = Server::start_sentinel(port, &file);
        Self { server }
    }

    fn knows_a_replica(&self) -> bool {
        self.server
            .command(&["SENTINEL", "REPLICAS", "ours"])
            .contains("slave")
    }
}

/// Three primaries with a replica each.
struct Cluster {
    servers: Vec<Server>,
}

impl Cluster {
    fn start() -> Self {
        let arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
        let servers: Vec<Server> = (0..6)
            .map(|_| Server::start_on(free_port(), &arguments))
            .collect();
        let nodes = servers
            .iter()
            .map(|server| server.url().replace("redis://", ""));
        let made = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(nodes)
            .args(["--cluster-replicas", "1", "--cluster-yes"])
            .output()
            .expect("redis-cli is needed; `make setup` installs it");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stdout)
        );
        let cluster = Self { servers };
        until("the cluster", || {
            let is_ready = |server: &Server| {
                server
                    .command(&["CLUSTER", "INFO"])
                    .contains("cluster_state:ok")
                    && server
                        .command(&["CLUSTER", "NODES"])
                        .matches("slave")
                        .count()
                        == 3
            };
            cluster.servers.iter().all(is_ready)
        });
        cluster
    }

    /// A replica of a primary that has nothing of the store.
    fn replica_of_another(&mut self) -> &mut Server {
        let owner = self.owner_of("{test}:meta").command(&["CLUSTER", "MYID"]);
        let is_another = |server: &Server| {
            let told = server.command(&["CLUSTER", "NODES"]);
            let mut lines = told.lines();
            let own = lines.find(|line| line.contains("myself")).unwrap_or("");
            own.contains("slave") && !own.contains(&owner)
        };
        let at = self.servers.iter().position(is_another).unwrap();
        &mut self.servers[at]
    }

    /// The primary that has this key, by asking each.
    fn owner_of(&mut self, key: &str) -> &mut Server {
        let is_owner = |server: &Server| {
            let client = redis::Client::open(server.url()).unwrap();
            let mut connection = client.get_connection().unwrap();
            let mut exists = redis::cmd("EXISTS");
            exists
                .arg(key)
                .query::<i64>(&mut connection)
                .is_ok_and(|found| found == 1)
        };
        let at = self.servers.iter().position(is_owner).unwrap();
        &mut self.servers[at]
    }
}
