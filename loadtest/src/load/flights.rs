//! What was sent and is not answered, on one bind.

use std::time::{Duration, Instant};

use matrix_smpp_session::Ticket;

/// One request without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flight {
    /// When it was due, counted from the start of the run.
    pub(crate) due: Duration,
    /// When it was handed to the session.
    pub(crate) sent: Instant,
}

/// A slab: a ticket is a place, and places are used again. As large as the window.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    places: Vec<Option<Flight>>,
    free: Vec<usize>,
}

impl Flights {
    pub(crate) fn open(&mut self, flight: Flight) -> Ticket {
        let place = self.free.pop().unwrap_or(self.places.len());
        match self.places.get_mut(place) {
            Some(empty) => *empty = Some(flight),
            None => self.places.push(Some(flight)),
        }
        Ticket(u64::try_from(place).unwrap_or(u64::MAX))
    }

    /// Takes it out; `None` where the ticket is not in use.
    pub(crate) fn close(&mut self, ticket: Ticket) -> Option<Flight> {
        let place = usize::try_from(ticket.0).ok()?;
        let flight = self.places.get_mut(place)?.take()?;
        self.free.push(place);
        Some(flight)
    }

    pub(crate) fn count(&self) -> usize {
        self.places.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn a_ticket_gives_its_flight_once_and_its_place_is_used_again() {
        let mut flights = Flights::default();
        let flight = |millis| Flight {
            due: Duration::from_millis(millis),
            sent: Instant::now(),
        };
        let (one, other) = (flight(1), flight(2));
        let (first, second) = (flights.open(one), flights.open(other));
        assert_ne!(first, second);
        assert_eq!(flights.close(first), Some(one));
        assert_eq!(flights.close(first), None);
        assert_eq!(flights.close(Ticket(99)), None);
        assert_eq!(flights.open(one), first);
        assert_eq!(flights.count(), 2);
    }
}
