//! What a peer is granted that may bind.

use std::num::NonZeroU32;
use std::sync::Arc;

use matrix_smpp_codec::{COctets, Quirks};

use super::Shared;
use crate::link::Link;
use crate::rate::Meter;

/// What one session may do.
#[derive(Debug, Clone)]
pub struct PeerLimits {
    /// Most of our requests that may wait for its answer at once.
    pub window: usize,
    /// Most of our requests per second.
    pub rate: Option<NonZeroU32>,
    /// Counts our requests together with those of other sessions.
    pub shared_rate: Option<Meter>,
    /// Most of its requests that may wait for our answer at once.
    pub peer_window: usize,
    /// Counts its messages.
    pub meter: Option<Meter>,
}

impl PeerLimits {
    pub(super) fn apply(&self, link: &Link) {
        link.set_limits(self.window, self.rate);
        link.share_rate(self.shared_rate.clone());
        link.limit_peer(self.peer_window, self.meter.clone());
    }
}

/// What a peer is granted that may bind. The default is what the listener's settings say.
#[derive(Debug, Default)]
pub struct Admission {
    /// Limits of its own, where it has them.
    pub limits: Option<PeerLimits>,
    /// What it does against the standard, where that is known.
    pub quirks: Option<Quirks>,
    pub(super) seat: Option<Seat>,
}

impl From<()> for Admission {
    fn from((): ()) -> Self {
        Self::default()
    }
}

impl Admission {
    /// The session is about to be bound.
    pub(crate) fn enter(self, link: &Link) -> Option<Seat> {
        if let Some(limits) = &self.limits {
            limits.apply(link);
        }
        if let Some(quirks) = self.quirks {
            link.set_quirks(quirks);
        }
        let seat = self.seat?;
        seat.sit(link);
        Some(seat)
    }
}

/// One of the binds of an account; free again when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(super) shared: Arc<Shared>,
    pub(super) system_id: COctets<16>,
    pub(super) number: u64,
}

impl Seat {
    fn sit(&self, link: &Link) {
        let mut state = self.shared.lock();
        let entry = state.accounts.get_mut(&self.system_id);
        let taken = entry.and_then(|entry| {
            let seats = &mut entry.seats;
            let taken = seats.iter_mut().find(|taken| taken.seat == self.number)?;
            taken.link = Some(link.clone());
            entry.share();
            Some(())
        });
        if taken.is_none() {
            // The account was taken away between the question and the answer.
            link.close();
        }
        drop(state);
        self.shared.changed.notify_waiters();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if let Some(entry) = state.accounts.get_mut(&self.system_id) {
            entry.seats.retain(|taken| taken.seat != self.number);
            entry.share();
        }
        drop(state);
        self.shared.changed.notify_waiters();
    }
}
