//! A redis-server of a test's own, which syncs whatever it answers.

use std::path::{Path, PathBuf};

use rustix::process::Signal;
use tokio::net::TcpStream;

use super::peer::{Peer, free_port};

/// The server and what outlives its restarts.
#[derive(Debug)]
pub(crate) struct Redis {
    home: PathBuf,
    port: u16,
    peer: Option<Peer>,
}

impl Redis {
    /// Starts a server.
    pub(crate) async fn start(home: &Path) -> Self {
        let home = home.join("redis");
        std::fs::create_dir_all(&home).expect("a folder for Redis");
        let mut redis = Self {
            home,
            port: free_port(),
            peer: None,
        };
        redis.start_again().await;
        redis
    }

    /// Starts again with the same data.
    pub(crate) async fn start_again(&mut self) {
        let port = self.port.to_string();
        let listen = ["redis-server", "--bind", "127.0.0.1", "--port", &port];
        let durable = ["--appendonly", "yes", "--appendfsync", "always"];
        let mut peer = Peer::start(
            "redis-server",
            &self.home,
            &[&listen[..], &durable, &["--save", ""]].concat(),
        );
        let address = format!("127.0.0.1:{port}");
        peer.ready(async |_| TcpStream::connect(&address).await.ok())
            .await;
        self.peer = Some(peer);
    }

    /// Ends it as a crash would.
    pub(crate) async fn kill(&mut self) {
        let peer = self.peer.take().expect("a server that runs");
        peer.end(Signal::KILL).await;
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let peer = self.peer.as_ref().expect("a server that runs");
        peer.signal(signal);
    }

    /// The part of a configuration that names it.
    pub(crate) fn toml(&self, takeover_after: &str) -> String {
        format!(
            "[store]\nengine = \"redis\"\n[store.redis]\nservers = \"redis://127.0.0.1:{}\"\n\
             takeover_after = \"{takeover_after}\"\n",
            self.port
        )
    }
}
