//! The inner door of a gateway that works: where the others bring what came to them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::call;
use super::entrance::{Entrance, until_accepted};
use crate::crew::Crew;
use crate::ops::metrics::DoorMetrics;
use crate::store::Reach;

/// Callers that may be about to say who they are.
const UNPROVEN: usize = 256;
/// How long a caller may take to say it, and the server to have room.
const LIMIT: Duration = Duration::from_secs(2);

/// The inner door. Nobody knows its secret before this gateway works.
#[derive(Debug, Clone)]
pub(super) struct Inner {
    secret: Arc<str>,
    entrances: Arc<[Entrance]>,
    metrics: DoorMetrics,
}

impl Inner {
    /// One to which callers come that know this secret, and that leads to these.
    pub(super) fn new(reach: &Reach, entrances: Vec<Entrance>, metrics: DoorMetrics) -> Self {
        Self {
            secret: reach.secret.as_str().into(),
            entrances: entrances.into(),
            metrics,
        }
    }

    /// Until the `stop` of `crew`.
    pub(super) async fn serve(self, socket: TcpListener, crew: Crew) {
        let places = Arc::new(Semaphore::new(UNPROVEN));
        let accepting = async {
            loop {
                let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                    return;
                };
                let (stream, caller) = until_accepted(&socket).await;
                let one = self.clone();
                crew.tracker.spawn(async move {
                    one.admit(stream, caller).await;
                    drop(place);
                });
            }
        };
        tokio::select! {
            () = crew.stop.cancelled() => {}
            () = accepting => {}
        }
    }

    /// Lets a caller in who knows the secret: what it brings is served as if it had come by itself.
    async fn admit(&self, mut stream: TcpStream, caller: SocketAddr) {
        let Ok(Ok(Some((door, peer)))) =
            timeout(LIMIT, call::listen(&mut stream, &self.secret)).await
        else {
            // One that had the store before may be called by those who have not heard of the next.
            self.metrics.refused.inc();
            debug!(%caller, "a caller at the inner door is refused");
            return;
        };
        let mut entrances = self.entrances.iter();
        let Some(entrance) = entrances.find(|entrance| entrance.door() == door) else {
            return warn!(%caller, door = door.name(), "this gateway has no such door");
        };
        let Ok(Ok(room)) = timeout(LIMIT, entrance.queue().reserve()).await else {
            return debug!(%peer, door = door.name(), "no room for a forwarded connection");
        };
        if timeout(LIMIT, call::answer(&mut stream))
            .await
            .is_ok_and(|sent| sent.is_ok())
        {
            room.send((stream, peer));
        }
    }
}
