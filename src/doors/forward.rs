//! What a gateway that stands by does with connections.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::call::call;
use super::entrance::{Connection, Door, Entrance, until_accepted};
use crate::ops::metrics::DoorMetrics;
use crate::store::{Reach, Sight};

/// Between two calls to an owner that does not answer.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a peer that nobody serves may take to read that.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a homeserver hears while nobody works; it sends again.
const UNAVAILABLE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: application/json\r\ncontent-length: 64\r\nconnection: close\r\n\r\n\
    {\"errcode\":\"M_UNKNOWN\",\"error\":\"no gateway works at the moment\"}";

/// Takes what comes in through one door to the gateway that works.
#[derive(Debug, Clone)]
pub(super) struct Forwarder {
    pub(super) entrance: Entrance,
    pub(super) sight: watch::Receiver<Sight>,
    /// How long a connection waits for somebody who takes it.
    pub(super) patience: Duration,
    pub(super) tracker: TaskTracker,
    pub(super) metrics: DoorMetrics,
}

/// Who takes a connection.
enum Taker {
    /// This gateway.
    Ours,
    /// Another one, over this connection.
    Other(Reach, TcpStream),
}

impl Forwarder {
    /// Until this gateway serves the door itself. Further connections than `most` at once wait in the
    /// system's queue.
    pub(super) async fn run(self, most: usize) {
        tokio::select! {
            () = self.entrance.served() => {}
            () = self.accept_all(most) => {}
        }
    }

    async fn accept_all(&self, most: usize) {
        let socket = self.entrance.open_when_free().await;
        let places = Arc::new(Semaphore::new(most));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            let connection = until_accepted(&*socket).await;
            let one = self.clone();
            self.tracker.spawn(async move {
                one.take(connection).await;
                drop(place);
            });
        }
    }

    async fn take(mut self, (mut stream, peer): Connection) {
        let door = self.entrance.door();
        match timeout(self.patience, self.taker(peer)).await {
            Ok(Taker::Ours) => self.serve((stream, peer)).await,
            Ok(Taker::Other(owner, onward)) => self.splice(stream, (owner, onward)).await,
            Err(_) => {
                debug!(door = door.name(), %peer, "nobody takes a connection");
                self.metrics.failed.with_label_values(&[door.name()]).inc();
                // Who has gone meanwhile need not hear it.
                drop(timeout(FAREWELL, refuse(&mut stream, door)).await);
            }
        }
    }

    /// Waits until somebody takes a connection.
    async fn taker(&mut self, peer: SocketAddr) -> Taker {
        loop {
            let seen = self.sight.borrow_and_update().clone();
            let owner = match seen {
                Sight::Ours => return Taker::Ours,
                Sight::Other(owner) => owner,
                Sight::Nobody => {
                    changed(&mut self.sight).await;
                    continue;
                }
            };
            let mut sight = self.sight.clone();
            tokio::select! {
                onward = self.reach(&owner, peer) => return Taker::Other(owner, onward),
                () = changed(&mut sight) => {}
            }
        }
    }

    /// Calls the owner until it answers.
    async fn reach(&self, owner: &Reach, peer: SocketAddr) -> TcpStream {
        loop {
            match call(owner, self.entrance.door(), peer).await {
                Ok(onward) => return onward,
                Err(error) => debug!(?owner, %error, "the gateway that works does not answer"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Leaves a connection to this gateway's own server.
    async fn serve(&self, connection: Connection) {
        // Where there is no server any more, nobody can take it.
        drop(timeout(self.patience, self.entrance.queue().send(connection)).await);
    }

    /// Carries octets both ways until either end closes, or the owner works no more: it may stand still
    /// for long before its end is heard.
    async fn splice(mut self, mut stream: TcpStream, (owner, mut onward): (Reach, TcpStream)) {
        let _counted = self.metrics.forwards(self.entrance.door().name());
        tokio::select! {
            () = carry_both(&mut stream, &mut onward) => {
                debug!(?owner, "a forwarded connection has ended");
            }
            () = replaced(&mut self.sight, &owner) => {
                debug!(?owner, "a forwarded connection is cut: its owner works no more");
            }
        }
    }
}

/// Until the owner closes the connection, or the peer breaks it. It is for the owner to say how long a
/// peer that has only said its last word may listen; one that the owner has left is not waited for.
async fn carry_both(stream: &mut TcpStream, onward: &mut TcpStream) {
    let (from_peer, to_peer) = stream.split();
    let (from_owner, to_owner) = onward.split();
    let (inward, outward) = (carry(from_peer, to_owner), carry(from_owner, to_peer));
    tokio::pin!(inward, outward);
    // Whatever fails on the way is the end of both.
    tokio::select! {
        _ = &mut outward => drop(timeout(FAREWELL, inward).await),
        carried = &mut inward => if carried.is_ok() {
            drop(outward.await);
        }
    }
}

/// Carries octets one way until their end, and that too.
async fn carry(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> io::Result<()> {
    copy(&mut from, &mut to).await?;
    to.shutdown().await
}

/// Until this is not the owner any more.
async fn replaced(sight: &mut watch::Receiver<Sight>, owner: &Reach) {
    while matches!(&*sight.borrow_and_update(), Sight::Other(other) if other == owner) {
        changed(sight).await;
    }
}

/// Until something else is seen; never, where nobody looks any more.
async fn changed(sight: &mut watch::Receiver<Sight>) {
    if sight.changed().await.is_err() {
        pending::<()>().await;
    }
}

/// Tells a peer to come again. SMPP has no word for that before a bind.
async fn refuse(stream: &mut TcpStream, door: Door) -> io::Result<()> {
    if door == Door::Appservice {
        stream.write_all(UNAVAILABLE).await?;
    }
    stream.shutdown().await?;
    // To close with something unread would reset the connection, and the answer with it.
    let mut unread = [0; 4096];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_is_as_long_as_it_says() {
        let text = std::str::from_utf8(UNAVAILABLE).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["errcode"], "M_UNKNOWN");
    }
}
