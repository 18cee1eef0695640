//! What waits for an answer, by its ticket.

use matrix_smpp_session::Ticket;

/// A ticket is a place, and places are used again: as large as what waited at once.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    places: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Slab<T> {
    /// Keeps it, and gives the ticket for it.
    pub(crate) fn open(&mut self, item: T) -> Ticket {
        let place = self.free.pop().unwrap_or(self.places.len());
        match self.places.get_mut(place) {
            Some(empty) => *empty = Some(item),
            None => self.places.push(Some(item)),
        }
        Ticket(u64::try_from(place).unwrap_or(u64::MAX))
    }

    /// Takes it out; `None` where the ticket is not in use.
    pub(crate) fn close(&mut self, ticket: Ticket) -> Option<T> {
        let place = usize::try_from(ticket.0).ok()?;
        let item = self.places.get_mut(place)?.take()?;
        self.free.push(place);
        Some(item)
    }

    /// How many are in it.
    pub(crate) fn count(&self) -> usize {
        self.places.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_gives_its_item_once_and_its_place_is_used_again() {
        let mut slab = Slab::default();
        let (first, second) = (slab.open("one"), slab.open("other"));
        assert_ne!(first, second);
        assert_eq!(slab.close(first), Some("one"));
        assert_eq!(slab.close(first), None);
        assert_eq!(slab.close(Ticket(99)), None);
        assert_eq!(slab.open("third"), first);
        assert_eq!(slab.count(), 2);
    }
}
