//! How many connections there may be, in all and from one address.
//!
//! A connection that has not bound costs a stranger nothing. So it holds its place only as long as
//! nobody else needs it: where there is none left, the source that has most of these gives up its
//! oldest.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// The places of a listener.
#[derive(Debug)]
pub(crate) struct Places {
    all: Arc<Semaphore>,
    per_address: Option<usize>,
    taken: Arc<Taken>,
}

#[derive(Debug, Default)]
struct Taken(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    by_source: HashMap<IpAddr, usize>,
    /// In the order in which they came.
    unbound: BTreeMap<u64, Unbound>,
    next: u64,
}

/// Why there is no place: all are bound that hold one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    InAll,
    FromThere,
}

/// A connection that has not bound.
#[derive(Debug)]
struct Unbound {
    source: IpAddr,
    permit: OwnedSemaphorePermit,
    displaced: CancellationToken,
}

/// The place of one connection; free again when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    source: IpAddr,
    number: u64,
    /// Its own from the bind on.
    permit: Option<OwnedSemaphorePermit>,
    taken: Arc<Taken>,
}

impl Places {
    pub(crate) fn new(all: usize, per_address: Option<usize>) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all.min(Semaphore::MAX_PERMITS))),
            per_address,
            taken: Arc::default(),
        }
    }

    /// Waits until there is a place, or somebody to give one up.
    pub(crate) async fn room(&self) -> io::Result<()> {
        if !self.taken.lock().unbound.is_empty() {
            return Ok(());
        }
        let free = self.all.acquire().await;
        free.map(drop).map_err(io::Error::other)
    }

    /// Gives a place to a connection from this address, and what tells that it is needed otherwise.
    pub(crate) fn give(&self, address: IpAddr) -> Result<(Place, CancellationToken), Full> {
        let source = source(address);
        let mut state = self.taken.lock();
        let from_there = state.by_source.get(&source).copied().unwrap_or(0);
        let permit = if self.per_address.is_some_and(|most| from_there >= most) {
            state.displace(source).ok_or(Full::FromThere)?
        } else {
            match Arc::clone(&self.all).try_acquire_owned() {
                Ok(permit) => permit,
                Err(_) => state.displace_oldest().ok_or(Full::InAll)?,
            }
        };
        *state.by_source.entry(source).or_default() += 1;
        let number = state.next;
        state.next += 1;
        let displaced = CancellationToken::new();
        let unbound = Unbound {
            source,
            permit,
            displaced: displaced.clone(),
        };
        state.unbound.insert(number, unbound);
        let place = Place {
            source,
            number,
            permit: None,
            taken: Arc::clone(&self.taken),
        };
        Ok((place, displaced))
    }

    /// How many have not bound, of how many.
    pub(crate) fn count(&self) -> (usize, usize) {
        let state = self.taken.lock();
        (state.unbound.len(), state.by_source.values().sum())
    }
}

impl Taken {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The place of the oldest of those of the source that has most.
    fn displace_oldest(&mut self) -> Option<OwnedSemaphorePermit> {
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for one in self.unbound.values() {
            *counts.entry(one.source).or_default() += 1;
        }
        let most = counts.values().max()?;
        let mut all = self.unbound.values();
        let crowd = all
            .find(|one| counts.get(&one.source) == Some(most))?
            .source;
        self.displace(crowd)
    }

    fn displace(&mut self, source: IpAddr) -> Option<OwnedSemaphorePermit> {
        let mut all = self.unbound.iter();
        let (number, _) = all.find(|(_, one)| one.source == source)?;
        let number = *number;
        let gone = self.unbound.remove(&number)?;
        gone.displaced.cancel();
        self.leave(source);
        Some(gone.permit)
    }

    fn leave(&mut self, source: IpAddr) {
        if let Some(count) = self.by_source.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.by_source.remove(&source);
            }
        }
    }
}

impl Place {
    /// It is about to be bound, and keeps its place from now on. False where it has lost it.
    pub(crate) fn keep(&mut self) -> bool {
        let unbound = self.taken.lock().unbound.remove(&self.number);
        self.permit = unbound.map(|one| one.permit);
        self.permit.is_some()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.taken.lock();
        let unbound = state.unbound.remove(&self.number);
        // Who was displaced has left already.
        if unbound.is_some() || self.permit.is_some() {
            state.leave(self.source);
        }
    }
}

/// What counts as one source: an IPv4 address, or the 64 bits of an IPv6 address that a customer is
/// given (RFC 6177).
pub(crate) fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(network))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn take(places: &Places, from: &str) -> Option<(Place, CancellationToken)> {
        places.give(address(from)).ok()
    }

    fn bound(places: &Places, from: &str) -> Option<Place> {
        let (mut place, _) = take(places, from)?;
        assert!(place.keep());
        Some(place)
    }

    #[test]
    fn one_address_takes_no_more_than_its_places() {
        let places = Places::new(10, Some(2));
        let one = "192.0.2.1";
        let mut held = vec![bound(&places, one).unwrap(), bound(&places, one).unwrap()];
        let full = places.give(address("::ffff:192.0.2.1"));
        assert_eq!(full.unwrap_err(), Full::FromThere);
        assert!(take(&places, "192.0.2.2").is_some());
        held.pop();
        assert!(take(&places, one).is_some());
    }

    #[test]
    fn where_one_address_has_all_its_places_its_oldest_that_has_not_bound_gives_way() {
        let places = Places::new(10, Some(3));
        let one = "192.0.2.1";
        let _bound = bound(&places, one).unwrap();
        let (mut first, first_goes) = take(&places, one).unwrap();
        let (mut second, second_goes) = take(&places, one).unwrap();
        let (third, _) = take(&places, one).unwrap();
        assert!(first_goes.is_cancelled() && !second_goes.is_cancelled());
        assert!(!first.keep() && second.keep());
        drop((first, third));
        assert_eq!(places.count(), (0, 2));
    }

    #[test]
    fn where_there_is_no_place_the_crowd_gives_way_and_nobody_who_is_bound() {
        let places = Places::new(4, None);
        let _bound = bound(&places, "192.0.2.1").unwrap();
        let (_lone, lone_goes) = take(&places, "192.0.2.2").unwrap();
        let (_first, first_goes) = take(&places, "192.0.2.3").unwrap();
        let (_second, second_goes) = take(&places, "192.0.2.3").unwrap();
        let (mut comes, _) = take(&places, "192.0.2.4").unwrap();
        assert!(first_goes.is_cancelled());
        assert!(!lone_goes.is_cancelled() && !second_goes.is_cancelled());
        assert!(comes.keep());
        let _others = [
            bound(&places, "192.0.2.5").unwrap(),
            bound(&places, "192.0.2.6").unwrap(),
        ];
        assert!(lone_goes.is_cancelled() && second_goes.is_cancelled());
        let full = places.give(address("192.0.2.7"));
        assert_eq!(full.unwrap_err(), Full::InAll);
    }

    #[tokio::test]
    async fn nothing_is_remembered_of_connections_that_are_gone() {
        let places = Places::new(10, Some(2));
        for last in 0..=255 {
            places.room().await.unwrap();
            drop(places.give(IpAddr::from([192, 0, 2, last])).unwrap());
        }
        assert_eq!(places.taken.lock().by_source.len(), 0);
        assert_eq!(places.taken.lock().unbound.len(), 0);
        assert_eq!(places.all.available_permits(), 10);
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one_source() {
        let one = source(address("2001:db8:1:2:3::4"));
        assert_eq!(one, source(address("2001:db8:1:2:ffff::")));
        assert_ne!(one, source(address("2001:db8:1:3::")));
    }
}
