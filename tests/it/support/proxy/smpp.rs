//! Between the gateway and the SMSC: cuts the stream into PDUs, keeps the ledger, and loses, repeats
//! and delays single ones, cuts connections and lets them go dead while they look alive.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use matrix_smpp_codec::{CommandId, Inbound, cut, decode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::ledger::Ledger;
use super::lock;

/// The longest PDU; more than anybody here sends.
const MAX_PDU: usize = 64 * 1024;

/// What happens to one response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
    Drop,
    Duplicate,
    /// It and all behind it go so much later.
    Delay(Duration),
}

/// What happens to the next so many of these responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) response: CommandId,
    pub(crate) mishap: Mishap,
    pub(crate) times: u32,
}

/// A running proxy. Dropped, it ends.
#[derive(Debug)]
pub(crate) struct SmppProxy {
    inner: Arc<Inner>,
    _end: DropGuard,
}

#[derive(Debug)]
struct Inner {
    target: SocketAddr,
    ledger: Mutex<Ledger>,
    faults: Mutex<Vec<Fault>>,
    struck: AtomicU64,
    connections: Mutex<Vec<Arc<Connection>>>,
    /// New connections are closed at once.
    refuses: AtomicBool,
    count: AtomicU64,
    end: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Debug)]
struct Connection {
    id: u64,
    /// The gateway hears nothing more on it, and nothing of it is heard.
    dead: AtomicBool,
    /// The gateway's end is closed.
    cut: CancellationToken,
    /// The SMSC is asked nothing more.
    asked: CancellationToken,
    /// The SMSC has answered all that it was asked, or is gone.
    answered: CancellationToken,
}

impl SmppProxy {
    /// Listens on a loopback port, which may be one that was found free.
    pub(crate) async fn start(port: u16, target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        let end = CancellationToken::new();
        let inner = Arc::new(Inner {
            target: (Ipv4Addr::LOCALHOST, target).into(),
            ledger: Mutex::default(),
            faults: Mutex::default(),
            struck: AtomicU64::new(0),
            connections: Mutex::default(),
            refuses: AtomicBool::new(false),
            count: AtomicU64::new(0),
            end: end.clone(),
            tasks: TaskTracker::new(),
        });
        let listening = listen(Arc::clone(&inner), listener.expect("a free port"));
        let listening = end.clone().run_until_cancelled_owned(listening);
        inner.tasks.spawn(listening);
        Self {
            inner,
            _end: end.drop_guard(),
        }
    }

    /// What went through.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.inner.ledger)
    }

    /// How many responses met with a mishap.
    pub(crate) fn struck(&self) -> u64 {
        self.inner.struck.load(Ordering::Relaxed)
    }

    /// One more fault.
    pub(crate) fn strike(&self, fault: Fault) {
        lock(&self.inner.faults).push(fault);
    }

    /// Cuts every connection; new ones are refused where it says so.
    pub(crate) fn cut(&self, refuse: bool) {
        self.inner.refuses.store(refuse, Ordering::Relaxed);
        for connection in lock(&self.inner.connections).iter() {
            connection.cut.cancel();
        }
    }

    /// Cuts the connection that has been up longest; the others go on.
    pub(crate) fn cut_one(&self) {
        if let Some(connection) = lock(&self.inner.connections).first() {
            connection.cut.cancel();
        }
    }

    /// New connections are taken again.
    pub(crate) fn mend(&self) {
        self.inner.refuses.store(false, Ordering::Relaxed);
    }

    /// Every connection that is up goes dead: it stays open, and nothing goes through.
    pub(crate) fn half_open(&self) {
        for connection in lock(&self.inner.connections).iter() {
            connection.dead.store(true, Ordering::Relaxed);
        }
    }

    /// The connection that has been up longest goes dead; the others go on.
    pub(crate) fn half_open_one(&self) {
        if let Some(connection) = lock(&self.inner.connections).first() {
            connection.dead.store(true, Ordering::Relaxed);
        }
    }

    /// No more faults.
    pub(crate) fn heal(&self) {
        self.mend();
        lock(&self.inner.faults).clear();
    }
}

async fn listen(inner: Arc<Inner>, listener: TcpListener) {
    while let Ok((gateway, _)) = listener.accept().await {
        if inner.refuses.load(Ordering::Relaxed) {
            continue;
        }
        let serving = serve(Arc::clone(&inner), gateway);
        let serving = inner.end.clone().run_until_cancelled_owned(serving);
        inner.tasks.spawn(serving);
    }
}

async fn serve(inner: Arc<Inner>, gateway: TcpStream) {
    let Ok(smsc) = TcpStream::connect(inner.target).await else {
        return;
    };
    let connection = Arc::new(Connection {
        id: inner.count.fetch_add(1, Ordering::Relaxed),
        dead: AtomicBool::new(false),
        cut: CancellationToken::new(),
        asked: CancellationToken::new(),
        answered: CancellationToken::new(),
    });
    lock(&inner.connections).push(Arc::clone(&connection));
    let (from_gateway, to_gateway) = gateway.into_split();
    let (from_smsc, to_smsc) = smsc.into_split();
    let way = |from, to, what| Way {
        inner: &inner,
        connection: &connection,
        from,
        to: Some(to),
        what,
    };
    let forth = way(from_gateway, to_smsc, Towards::Smsc).run();
    let back = way(from_smsc, to_gateway, Towards::Gateway).run();
    tokio::join!(forth, back);
    lock(&inner.connections).retain(|one| one.id != connection.id);
    lock(&inner.ledger).closed(connection.id);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Towards {
    Smsc,
    Gateway,
}

/// One direction of one connection.
struct Way<'a> {
    inner: &'a Inner,
    connection: &'a Connection,
    from: OwnedReadHalf,
    /// Closed where it is `None`.
    to: Option<OwnedWriteHalf>,
    what: Towards,
}

impl Way<'_> {
    /// Until the connection ends. When the gateway's end closes, what the SMSC was asked is still
    /// answered, so that the ledger tells what it took.
    async fn run(mut self) {
        let mut buffer = BytesMut::new();
        loop {
            if self.is_over() {
                break;
            }
            tokio::select! {
                read = self.from.read_buf(&mut buffer) => {
                    if !matches!(read, Ok(1..)) {
                        break;
                    }
                }
                () = self.connection.cut.cancelled(), if self.to.is_some() => {
                    if self.what == Towards::Smsc {
                        break;
                    }
                    self.to = None;
                }
                () = self.connection.asked.cancelled(), if self.must_wait() => {}
            }
            while let Ok(Some(frame)) = cut(&mut buffer, MAX_PDU) {
                self.pass(frame).await;
            }
        }
        self.connection.cut.cancel();
        match self.what {
            // An SMSC whose ESME hangs up need not answer any more.
            Towards::Smsc => {
                self.connection.asked.cancel();
                self.connection.answered.cancelled().await;
            }
            Towards::Gateway => self.connection.answered.cancel(),
        }
    }

    /// Nobody waits for what the SMSC might still say.
    fn is_over(&self) -> bool {
        let unanswered = || lock(&self.inner.ledger).unanswered(self.connection.id);
        let hung_up = self.what == Towards::Gateway && self.to.is_none();
        hung_up && self.connection.asked.is_cancelled() && unanswered() == 0
    }

    /// The gateway's end is closed, but the SMSC may still be asked something.
    fn must_wait(&self) -> bool {
        let hung_up = self.what == Towards::Gateway && self.to.is_none();
        hung_up && !self.connection.asked.is_cancelled()
    }

    async fn pass(&mut self, frame: Bytes) {
        let dead = self.connection.dead.load(Ordering::Relaxed);
        if dead && self.what == Towards::Smsc {
            return;
        }
        let pdu = decode(frame.clone());
        let mishap = if dead { None } else { self.mishap(&pdu) };
        let lost = mishap == Some(Mishap::Drop);
        lock(&self.inner.ledger).note(self.connection.id, &pdu, lost);
        if dead {
            return;
        }
        match mishap {
            None => self.write(&frame).await,
            Some(Mishap::Drop) => {}
            Some(Mishap::Duplicate) => {
                self.write(&frame).await;
                self.write(&frame).await;
            }
            Some(Mishap::Delay(by)) => {
                tokio::time::sleep(by).await;
                self.write(&frame).await;
            }
        }
    }

    fn mishap(&self, pdu: &Inbound) -> Option<Mishap> {
        let Inbound::Pdu(pdu) = pdu else {
            return None;
        };
        let mut faults = lock(&self.inner.faults);
        let place = faults
            .iter()
            .position(|fault| fault.response == pdu.command_id())?;
        let fault = &mut faults[place];
        let mishap = fault.mishap;
        fault.times -= 1;
        if fault.times == 0 {
            faults.remove(place);
        }
        self.inner.struck.fetch_add(1, Ordering::Relaxed);
        Some(mishap)
    }

    async fn write(&mut self, frame: &[u8]) {
        if let Some(to) = &mut self.to
            && to.write_all(frame).await.is_err()
        {
            self.to = None;
        }
    }
}
