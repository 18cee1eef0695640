//! Who may bind to our listener, and what is bound of them.

mod judge;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::select_all;
use ipnet::IpNet;
use matrix_smpp_codec::{Body, COctets, Password, Quirks};
use tokio::sync::Notify;

use crate::error::SubmitError;
use crate::link::Link;
use crate::operations::{BindMode, Role};
use crate::rate::Meter;
use crate::refusals::Refusals;
use crate::window::Ticket;

/// One account of those that may bind to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub system_id: COctets<16>,
    /// The password that it must give; never printed.
    pub password: Option<Password>,
    /// The name that its TLS certificate must bear, as a DNS name of subjectAltName or as the
    /// common name; case does not matter. With neither password nor certificate nobody can bind.
    pub certificate: Option<String>,
    /// What it may bind for.
    pub modes: Vec<BindMode>,
    /// Where it may come from; empty for anywhere.
    pub networks: Vec<IpNet>,
    /// Most sessions at once.
    pub max_binds: usize,
    /// Most of our requests that may wait for its answer at once, on each session.
    pub window: usize,
    /// Most of our requests per second, on all its sessions together: whichever has use for it has
    /// it. `None` for no limit.
    pub rate: Option<NonZeroU32>,
    /// Most of its requests that may wait for our answer at once, on each session; further ones are
    /// refused with `ESME_RTHROTTLED`.
    pub peer_window: usize,
    /// Most of its messages per second, on all its sessions together; further ones are refused with
    /// `ESME_RTHROTTLED`. `None` for no limit.
    pub peer_rate: Option<NonZeroU32>,
    /// What it does against the standard. Its bind, which says who it is, is read by the quirks of
    /// all accounts.
    pub quirks: Quirks,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            system_id: COctets::default(),
            password: None,
            certificate: None,
            modes: BindMode::ALL.to_vec(),
            networks: Vec::new(),
            max_binds: 4,
            window: 10,
            rate: None,
            peer_window: 100,
            peer_rate: None,
            quirks: Quirks::NONE,
        }
    }
}

/// How those are met that want to bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountsSettings {
    /// How long after the bind a refusal goes out, whatever it is for. Keep it below `session_init`.
    pub refusal_after: Duration,
    /// Wrong answers from one address (of IPv6: one network of 64 bits) within [`memory`](Self::memory)
    /// after which even a right one from there is refused, until it has been quiet for that long.
    pub max_wrong: u32,
    /// How long wrong answers are remembered.
    pub memory: Duration,
    /// How long the sessions of an account that has no bind left may take to show that they live.
    pub patience: Duration,
}

impl Default for AccountsSettings {
    fn default() -> Self {
        Self {
            refusal_after: Duration::from_secs(1),
            max_wrong: 10,
            memory: Duration::from_mins(1),
            patience: Duration::from_secs(5),
        }
    }
}

/// The accounts and their sessions; an [`Authenticator`](crate::Authenticator). Clones are the same.
///
/// An unknown name, a wrong password, a wrong certificate and a wrong address are refused alike, with
/// `ESME_RINVPASWD` and after the same time: a stranger learns nothing. Who has shown to be the
/// account is told more: `ESME_RBINDFAIL` for a mode that it may not bind for, `ESME_RALYBND` when it
/// has all the binds that it may have; its sessions are then asked for a sign of life, so that one
/// that hangs half open does not keep the account out for long.
#[derive(Debug, Clone)]
pub struct Accounts {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: AccountsSettings,
    /// A session came, or accounts changed.
    changed: Notify,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    accounts: HashMap<COctets<16>, Entry>,
    refusals: Refusals,
    next_seat: u64,
}

#[derive(Debug)]
struct Entry {
    account: Account,
    /// Counts what we send to it.
    outward: Option<Meter>,
    /// Counts what it submits.
    inward: Option<Meter>,
    seats: Vec<Taken>,
}

/// A session, and before it is one the bind that is about to be answered.
#[derive(Debug)]
struct Taken {
    seat: u64,
    mode: BindMode,
    address: SocketAddr,
    link: Option<Link>,
}

/// A bound session of an account.
#[derive(Debug, Clone)]
pub struct BoundPeer {
    /// What it is bound for.
    pub mode: BindMode,
    /// Where it connects from.
    pub address: SocketAddr,
    /// Sends to it.
    pub link: Link,
}

impl Accounts {
    /// These accounts; of two with one name the later counts.
    #[must_use]
    pub fn new(settings: AccountsSettings, accounts: impl IntoIterator<Item = Account>) -> Self {
        let this = Self {
            shared: Arc::new(Shared {
                settings,
                changed: Notify::new(),
                state: Mutex::new(State {
                    accounts: HashMap::new(),
                    refusals: Refusals::new(settings.max_wrong, settings.memory),
                    next_seat: 0,
                }),
            }),
        };
        this.reload(accounts);
        this
    }

    /// These accounts from now on. Sessions go on with their new limits; those that could not be
    /// made any more (the account is gone, its proof another, the mode or the address not allowed)
    /// are closed gracefully.
    pub fn reload(&self, accounts: impl IntoIterator<Item = Account>) {
        let mut state = self.shared.lock();
        let mut before = std::mem::take(&mut state.accounts);
        for account in accounts {
            let old = before
                .remove(&account.system_id)
                .or_else(|| state.accounts.remove(&account.system_id));
            let entry = Entry::replacing(old, account);
            state.accounts.insert(entry.account.system_id, entry);
        }
        for entry in before.into_values() {
            entry.seats.iter().for_each(Taken::close);
        }
        drop(state);
        self.shared.changed.notify_waiters();
    }

    /// The sessions of this account.
    #[must_use]
    pub fn bound(&self, system_id: &COctets<16>) -> Vec<BoundPeer> {
        let state = self.shared.lock();
        let seats = state.accounts.get(system_id).map(|entry| &entry.seats);
        seats
            .into_iter()
            .flatten()
            .filter_map(Taken::bound)
            .collect()
    }

    /// Sends a request on the session of this account that has most room, of those that it may
    /// receive on. The outcome comes as an event of that session.
    pub fn submit(
        &self,
        system_id: &COctets<16>,
        ticket: Ticket,
        body: Body,
    ) -> Result<(), SubmitError> {
        let receivers = self.receivers(system_id);
        let roomiest = receivers.iter().max_by_key(|peer| peer.link.capacity());
        match roomiest {
            Some(peer) => peer.link.submit(ticket, body),
            None => Err(SubmitError::NotBound(Box::new(body))),
        }
    }

    /// Waits until a request can be sent to this account: until it is bound for receiving and has
    /// room.
    pub async fn ready(&self, system_id: &COctets<16>) {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let receivers = self.receivers(system_id);
            if receivers.is_empty() {
                changed.await;
                continue;
            }
            let any = select_all(receivers.iter().map(|peer| Box::pin(peer.link.ready())));
            tokio::select! {
                () = changed => {}
                _ = any => return,
            }
        }
    }

    /// The quirks of all together.
    fn all_quirks(&self) -> Quirks {
        let state = self.shared.lock();
        let accounts = state.accounts.values();
        accounts
            .flat_map(|entry| entry.account.quirks.iter())
            .collect()
    }

    /// Closes every session gracefully.
    pub fn close(&self) {
        let state = self.shared.lock();
        let seats = state.accounts.values().flat_map(|entry| &entry.seats);
        seats.for_each(Taken::close);
    }

    fn receivers(&self, system_id: &COctets<16>) -> Vec<BoundPeer> {
        let mut bound = self.bound(system_id);
        bound.retain(|peer| peer.mode.sends(Role::Smsc));
        bound
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// The account as it is now, with the sessions that it had and may still have.
    fn replacing(old: Option<Self>, account: Account) -> Self {
        let mut entry = Self {
            outward: account.rate.map(Meter::new),
            inward: account.peer_rate.map(Meter::new),
            account,
            seats: Vec::new(),
        };
        if let Some(old) = old {
            let same_proof = old.account.password == entry.account.password
                && old.account.certificate == entry.account.certificate;
            let (keep, close): (Vec<_>, Vec<_>) = old.seats.into_iter().partition(|taken| {
                same_proof
                    && entry.account.modes.contains(&taken.mode)
                    && entry.account.lies_within(taken.address.ip())
            });
            close.iter().for_each(Taken::close);
            entry.seats = keep;
            entry.outward = goes_on(old.outward, entry.account.rate);
            entry.inward = goes_on(old.inward, entry.account.peer_rate);
        }
        entry.share();
        entry
    }

    /// Gives every session its limits.
    fn share(&self) {
        let limits = self.limits();
        for link in self.seats.iter().filter_map(|taken| taken.link.as_ref()) {
            limits.apply(link);
        }
    }

    fn limits(&self) -> PeerLimits {
        PeerLimits {
            window: self.account.window,
            rate: self.account.rate,
            shared_rate: self.outward.clone(),
            peer_window: self.account.peer_window,
            meter: self.inward.clone(),
        }
    }
}

/// A count that goes on at a rate that may be another: no change gives anything away.
fn goes_on(meter: Option<Meter>, rate: Option<NonZeroU32>) -> Option<Meter> {
    let rate = rate?;
    let meter = meter.unwrap_or_else(|| Meter::new(rate));
    meter.set_rate(rate);
    Some(meter)
}

impl Taken {
    fn bound(&self) -> Option<BoundPeer> {
        Some(BoundPeer {
            mode: self.mode,
            address: self.address,
            link: self.link.clone()?,
        })
    }

    fn close(&self) {
        if let Some(link) = &self.link {
            link.close();
        }
    }
}

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
    fn apply(&self, link: &Link) {
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
    seat: Option<Seat>,
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
    shared: Arc<Shared>,
    system_id: COctets<16>,
    number: u64,
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
