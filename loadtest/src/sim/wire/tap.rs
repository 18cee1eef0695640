//! The handle of one connection's wire: what the simulator wants of it, past the session.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

use crate::sim::wire::capture::{Capture, Ends};
use crate::sim::wire::faults::{Faults, Who};
use crate::sim::wire::mangle::{Mangle, name};

/// How many octets may wait to be put in between PDUs.
const MAX_INJECTED: usize = 1 << 20;

/// How many answers may have a mark.
const MAX_MARKS: usize = 100_000;

/// What one connection is known by, and what is wanted of it.
#[derive(Debug)]
pub(crate) struct Tap {
    pub(crate) ends: Arc<Ends>,
    pub(crate) capture: Arc<Capture>,
    faults: Arc<Faults>,
    bound: OnceLock<(Arc<str>, u64)>,
    /// Whether `wanted` holds anything; asked at every read and write.
    armed: AtomicBool,
    wanted: Mutex<Wanted>,
}

#[derive(Debug, Default)]
struct Wanted {
    /// By command and number: what happens to a PDU that is still to come.
    marks: HashMap<(u32, u32), Mangle>,
    injected: VecDeque<Vec<u8>>,
    octets: usize,
    end: Option<End>,
    waker: Option<Waker>,
}

/// How a connection ends against the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// TCP RST.
    Reset,
    /// TCP FIN without unbind.
    Close,
    /// Nothing any more, and the connection stays.
    HalfOpen,
}

impl Tap {
    pub(crate) fn new(ends: Arc<Ends>, capture: Arc<Capture>, faults: Arc<Faults>) -> Self {
        Self {
            ends,
            capture,
            faults,
            bound: OnceLock::new(),
            armed: AtomicBool::new(false),
            wanted: Mutex::default(),
        }
    }

    /// The connection has become a bind.
    pub(crate) fn bound(&self, account: &str, bind: u64) {
        // A connection binds once.
        drop(self.bound.set((account.into(), bind)));
    }

    /// Says what happens to the PDU of this command and number, once it goes out.
    pub(crate) fn mark(&self, command_id: u32, sequence: u32, mangle: Mangle) {
        let mut wanted = self.lock();
        if wanted.marks.len() < MAX_MARKS {
            wanted.marks.insert((command_id, sequence), mangle);
            self.armed.store(true, Relaxed);
        }
    }

    /// Puts octets between two PDUs. `false` where too many wait already.
    pub(crate) fn inject(&self, octets: Vec<u8>) -> bool {
        let mut wanted = self.lock();
        if wanted.octets + octets.len() > MAX_INJECTED {
            return false;
        }
        wanted.octets += octets.len();
        wanted.injected.push_back(octets);
        self.wake(wanted);
        true
    }

    /// Ends the connection against the rules.
    pub(crate) fn end(&self, end: End) {
        let mut wanted = self.lock();
        wanted.end = Some(end);
        self.wake(wanted);
    }

    /// Whether PDUs must be looked at one by one.
    pub(super) fn armed(&self) -> bool {
        self.armed.load(Relaxed) || self.faults.armed()
    }

    /// What happens to this PDU.
    pub(super) fn strike(&self, pdu: &[u8]) -> Option<Mangle> {
        let (command_id, sequence) = name(pdu);
        if self.armed.load(Relaxed) {
            let mut wanted = self.lock();
            let mark = wanted.marks.remove(&(command_id, sequence));
            self.disarm(&wanted);
            if mark.is_some() {
                self.faults.struck.fetch_add(1, Relaxed);
                return mark;
            }
        }
        let bound = self.bound.get();
        let who = Who {
            account: bound.map(|(account, _)| &**account),
            bind: bound.map(|(_, bind)| *bind),
        };
        self.faults.strike(&who, command_id)
    }

    /// What was put in, and whether the connection is to end. Remembers whom to wake for more.
    pub(super) fn wanted(&self, waker: &Waker) -> (VecDeque<Vec<u8>>, Option<End>) {
        let mut wanted = self.lock();
        if !wanted
            .waker
            .as_ref()
            .is_some_and(|known| known.will_wake(waker))
        {
            wanted.waker = Some(waker.clone());
        }
        if !self.armed.load(Relaxed) {
            return (VecDeque::new(), None);
        }
        wanted.octets = 0;
        let taken = (std::mem::take(&mut wanted.injected), wanted.end.take());
        self.disarm(&wanted);
        taken
    }

    fn disarm(&self, wanted: &Wanted) {
        let armed = !wanted.marks.is_empty() || !wanted.injected.is_empty() || wanted.end.is_some();
        self.armed.store(armed, Relaxed);
    }

    fn wake(&self, mut wanted: MutexGuard<'_, Wanted>) {
        self.armed.store(true, Relaxed);
        let waker = wanted.waker.take();
        drop(wanted);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
