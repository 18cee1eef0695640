//! How many connections there may be, in all and from one address.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places of a listener.
#[derive(Debug)]
pub(crate) struct Places {
    all: Arc<Semaphore>,
    per_address: Option<usize>,
    taken: Taken,
}

type Taken = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// The place of one connection; free again when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    source: IpAddr,
    taken: Taken,
}

impl Places {
    pub(crate) fn new(all: usize, per_address: Option<usize>) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all.min(Semaphore::MAX_PERMITS))),
            per_address,
            taken: Taken::default(),
        }
    }

    /// Waits until there is a place.
    pub(crate) async fn one(&self) -> io::Result<OwnedSemaphorePermit> {
        let all = Arc::clone(&self.all);
        all.acquire_owned().await.map_err(io::Error::other)
    }

    /// Gives it to a connection from this address, unless there are too many from there.
    pub(crate) fn give(&self, permit: OwnedSemaphorePermit, address: IpAddr) -> Option<Place> {
        let source = source(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(source).or_default();
        if self.per_address.is_some_and(|most| *count >= most) {
            if *count == 0 {
                taken.remove(&source);
            }
            return None;
        }
        *count += 1;
        Some(Place {
            _permit: permit,
            source,
            taken: Arc::clone(&self.taken),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.source);
            }
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

    #[tokio::test]
    async fn one_address_takes_no_more_than_its_places() {
        let places = Places::new(10, Some(2));
        let mut held = Vec::new();
        for _ in 0..2 {
            let permit = places.one().await.unwrap();
            held.push(places.give(permit, address("192.0.2.1")).unwrap());
        }
        let permit = places.one().await.unwrap();
        assert!(places.give(permit, address("::ffff:192.0.2.1")).is_none());
        let permit = places.one().await.unwrap();
        assert!(places.give(permit, address("192.0.2.2")).is_some());
        held.pop();
        let permit = places.one().await.unwrap();
        assert!(places.give(permit, address("192.0.2.1")).is_some());
    }

    #[tokio::test]
    async fn nothing_is_remembered_of_connections_that_are_gone() {
        let places = Places::new(10, Some(2));
        for last in 0..=255 {
            let permit = places.one().await.unwrap();
            let address = IpAddr::from([192, 0, 2, last]);
            drop(places.give(permit, address).unwrap());
        }
        assert_eq!(places.taken.lock().unwrap().len(), 0);
        assert_eq!(places.all.available_permits(), 10);
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one_source() {
        let one = source(address("2001:db8:1:2:3::4"));
        assert_eq!(one, source(address("2001:db8:1:2:ffff::")));
        assert_ne!(one, source(address("2001:db8:1:3::")));
    }
}
