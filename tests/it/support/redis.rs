//! A redis-server of a test's own, which syncs whatever it answers.

use std::path::{Path, PathBuf};

use std::process::Command;

use rustix::process::{Pid, Signal};
use tokio::net::TcpStream;

use super::peer::{Peer, free_port};
use super::wait::until;

/// What makes a server sync whatever it answers.
const DURABLE: [&str; 6] = [
    "--appendonly",
    "yes",
    "--appendfsync",
    "always",
    "--save",
    "",
];

/// The server and what outlives its restarts.
#[derive(Debug)]
pub(crate) struct Redis {
    home: PathBuf,
    data: PathBuf,
    port: u16,
    /// What goes before the program on its command line.
    wrapper: Vec<String>,
    /// More arguments; they win over ours.
    arguments: Vec<String>,
    peer: Option<Peer>,
}

impl Redis {
    /// A server that logs into `home` and keeps its data in `data`; it starts with [`Self::launch`].
    pub(crate) fn prepare(home: PathBuf, data: PathBuf) -> Self {
        for folder in [&home, &data] {
            std::fs::create_dir_all(folder).expect("a folder for Redis");
        }
        Self {
            home,
            data,
            port: free_port(),
            wrapper: Vec::new(),
            arguments: Vec::new(),
            peer: None,
        }
    }

    /// Starts a server.
    pub(crate) async fn start(home: &Path) -> Self {
        let home = home.join("redis");
        let mut redis = Self::prepare(home.clone(), home);
        redis.start_again().await;
        redis
    }

    /// From the next start on this goes before the program on its command line.
    pub(crate) fn wrap(&mut self, wrapper: impl IntoIterator<Item = String>) {
        self.wrapper.extend(wrapper);
    }

    /// From the next start on these are its arguments beside the ordinary ones, which they overrule.
    pub(crate) fn set(&mut self, arguments: &[&str]) {
        self.arguments = arguments.iter().map(|&one| one.to_owned()).collect();
    }

    /// Starts it, and waits for nothing.
    pub(crate) fn launch(&mut self) {
        let port = self.port.to_string();
        let data = self.data.to_str().expect("a UTF-8 path");
        let place = ["--bind", "127.0.0.1", "--port", &port, "--dir", data];
        let more: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let wrapper: Vec<&str> = self.wrapper.iter().map(String::as_str).collect();
        let program = [&wrapper[..], &["redis-server"]].concat();
        let command = [&program[..], &place, &DURABLE, &more].concat();
        self.peer = Some(Peer::start("redis-server", &self.home, &command));
    }

    /// Waits until it answers.
    pub(crate) async fn ready(&mut self) {
        let address = format!("127.0.0.1:{}", self.port);
        let mut peer = self.running();
        peer.ready(async |_| TcpStream::connect(&address).await.ok())
            .await;
        self.peer = Some(peer);
    }

    /// Starts again with the same data.
    pub(crate) async fn start_again(&mut self) {
        self.launch();
        self.ready().await;
    }

    /// Ends it as a crash would.
    pub(crate) async fn kill(&mut self) {
        self.end(Signal::KILL).await;
    }

    /// Sends it a signal that ends it, and waits for its end.
    pub(crate) async fn end(&mut self, signal: Signal) {
        self.running().end(signal).await;
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let peer = self.peer.as_ref().expect("a server that runs");
        peer.signal(signal);
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> Pid {
        self.peer.as_ref().expect("a server that runs").pid()
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.peer.as_mut().is_some_and(Peer::has_ended)
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    fn running(&mut self) -> Peer {
        self.peer.take().expect("a server that runs")
    }

    /// The part of a configuration that names it.
    pub(crate) fn toml(&self, takeover_after: &str) -> String {
        toml(self.port, takeover_after)
    }
}

/// The part of a configuration that names a server at this port.
pub(crate) fn toml(port: u16, takeover_after: &str) -> String {
    format!(
        "[store]\nengine = \"redis\"\n[store.redis]\nservers = \"redis://127.0.0.1:{port}\"\n\
         takeover_after = \"{takeover_after}\"\n"
    )
}

/// A Cluster of three primaries.
#[derive(Debug)]
pub(crate) struct Cluster {
    ports: Vec<u16>,
    _peers: Vec<Peer>,
}

impl Cluster {
    /// Starts it.
    pub(crate) async fn start(home: &Path) -> Self {
        let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let mut peers = Vec::new();
        for port in &ports {
            peers.push(node(home, *port).await);
        }
        let nodes = ports.iter().map(|port| format!("127.0.0.1:{port}"));
        let made = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(nodes)
            .arg("--cluster-yes")
            .output()
            .expect("redis-cli is needed; `make setup` installs it");
        let said = String::from_utf8_lossy(&made.stdout);
        assert!(made.status.success(), "{said}");
        let cluster = Self {
            ports,
            _peers: peers,
        };
        until("the Cluster is whole", async || {
            let mut ports = cluster.ports.iter();
            ports.all(|port| is_whole(*port)).then_some(())
        })
        .await;
        cluster
    }

    /// The part of a configuration that names it, to which more of its keys can be added.
    pub(crate) fn toml(&self, takeover_after: &str) -> String {
        let nodes = self.ports.iter();
        let nodes = nodes.map(|port| format!("redis://127.0.0.1:{port}"));
        let nodes = nodes.collect::<Vec<_>>().join(" ");
        format!(
            "[store]\nengine = \"redis\"\n[store.redis]\nservers = \"{nodes}\"\n\
             mode = \"cluster\"\ntakeover_after = \"{takeover_after}\"\n"
        )
    }
}

async fn node(home: &Path, port: u16) -> Peer {
    let home = home.join(format!("redis-{port}"));
    std::fs::create_dir_all(&home).expect("a folder for Redis");
    let (at, bus) = (port.to_string(), free_port().to_string());
    let listen = ["redis-server", "--bind", "127.0.0.1", "--port", &at];
    let cluster = ["--cluster-enabled", "yes", "--cluster-port", &bus];
    let command = [&listen[..], &cluster, &DURABLE].concat();
    let mut peer = Peer::start("redis-server", &home, &command);
    let address = format!("127.0.0.1:{port}");
    peer.ready(async |_| TcpStream::connect(&address).await.ok())
        .await;
    peer
}

fn is_whole(port: u16) -> bool {
    let asked = Command::new("redis-cli")
        .args(["-p", &port.to_string(), "cluster", "info"])
        .output();
    asked.is_ok_and(|told| {
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        told.contains("cluster_state:ok") && told.contains("cluster_known_nodes:3")
    })
}
