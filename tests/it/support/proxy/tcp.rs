//! On the way to a server that nobody here understands: cuts connections, loses answers, is slow.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::lock;

/// A running proxy. Dropped, it ends.
#[derive(Debug)]
pub(crate) struct TcpProxy {
    inner: Arc<Inner>,
    _end: DropGuard,
}

#[derive(Debug)]
struct Inner {
    port: u16,
    target: SocketAddr,
    connections: Mutex<Vec<Arc<Connection>>>,
    /// Milliseconds by which each answer is late.
    late_by: AtomicU64,
    struck: AtomicU64,
    end: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Debug, Default)]
struct Connection {
    cut: CancellationToken,
    /// It is cut as soon as an answer comes, which nobody gets.
    loses_answer: AtomicBool,
}

impl TcpProxy {
    /// Listens on a loopback port, which may be one that was found free.
    pub(crate) async fn start(port: u16, target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        let end = CancellationToken::new();
        let inner = Arc::new(Inner {
            port,
            target: (Ipv4Addr::LOCALHOST, target).into(),
            connections: Mutex::default(),
            late_by: AtomicU64::new(0),
            struck: AtomicU64::new(0),
            end: end.clone(),
            tasks: TaskTracker::new(),
        });
        let listening = listen(Arc::clone(&inner), listener.expect("a free port"));
        inner
            .tasks
            .spawn(end.clone().run_until_cancelled_owned(listening));
        Self {
            inner,
            _end: end.drop_guard(),
        }
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.inner.port
    }

    /// Cuts every connection.
    pub(crate) fn cut(&self) {
        self.strike(|connection| connection.cut.cancel());
    }

    /// Every connection loses its next answer, and is cut then.
    pub(crate) fn lose_answers(&self) {
        self.strike(|connection| connection.loses_answer.store(true, Ordering::Relaxed));
    }

    fn strike(&self, how: impl Fn(&Connection)) {
        self.inner.struck.fetch_add(1, Ordering::Relaxed);
        for connection in lock(&self.inner.connections).iter() {
            how(connection);
        }
    }

    /// From now on answers are late.
    pub(crate) fn delay(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).expect("a short time");
        self.inner.late_by.store(millis, Ordering::Relaxed);
    }

    /// How often connections were struck.
    pub(crate) fn struck(&self) -> u64 {
        self.inner.struck.load(Ordering::Relaxed)
    }
}

async fn listen(inner: Arc<Inner>, listener: TcpListener) {
    while let Ok((client, _)) = listener.accept().await {
        let serving = serve(Arc::clone(&inner), client);
        let end = inner.end.clone();
        inner.tasks.spawn(end.run_until_cancelled_owned(serving));
    }
}

async fn serve(inner: Arc<Inner>, client: TcpStream) {
    let Ok(server) = TcpStream::connect(inner.target).await else {
        return;
    };
    let connection = Arc::new(Connection::default());
    lock(&inner.connections).push(Arc::clone(&connection));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = ask(from_client, to_server) => {}
        () = answer(&inner, &connection, (from_server, to_client)) => {}
        () = connection.cut.cancelled() => {}
    }
    lock(&inner.connections).retain(|one| !Arc::ptr_eq(one, &connection));
}

async fn ask(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    // Where it fails, the connection is over.
    drop(tokio::io::copy(&mut from, &mut to).await);
}

async fn answer(
    inner: &Inner,
    connection: &Connection,
    (mut from, mut to): (OwnedReadHalf, OwnedWriteHalf),
) {
    let mut octets = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut octets).await {
        if connection.loses_answer.load(Ordering::Relaxed) {
            return;
        }
        let late_by = inner.late_by.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(late_by)).await;
        if to.write_all(&octets[..length]).await.is_err() {
            return;
        }
    }
}
