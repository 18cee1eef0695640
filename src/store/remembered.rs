//! Answers that are asked for with every message and change seldom: kept as long as they hold.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ruma::OwnedUserId;

use super::RoomView;
use super::marks::Stand;

/// Rooms that are remembered at most; then all are forgotten, and asked for again as they are needed.
const ROOMS: usize = 16_384;

/// Numbers with their owners.
pub(crate) type Dedications = Vec<(String, OwnedUserId)>;

/// What was answered, with the marks by which it is known to hold.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    rooms: Mutex<HashMap<String, (RoomView, Stand)>>,
    dedicated: Mutex<Option<(Dedications, Stand)>>,
}

impl Remembered {
    /// A room, by its key.
    pub(crate) fn room(&self, key: &str) -> Option<RoomView> {
        let rooms = held(&self.rooms);
        let (view, stand) = rooms.get(key)?;
        stand.holds().then(|| view.clone())
    }

    pub(crate) fn keep_room(&self, key: String, view: RoomView, stand: Stand) {
        let mut rooms = held(&self.rooms);
        if rooms.len() >= ROOMS {
            rooms.clear();
        }
        rooms.insert(key, (view, stand));
    }

    /// The numbers that were dedicated while the gateway ran.
    pub(crate) fn dedicated(&self) -> Option<Dedications> {
        let known = held(&self.dedicated);
        let (numbers, stand) = known.as_ref()?;
        stand.holds().then(|| numbers.clone())
    }

    pub(crate) fn keep_dedicated(&self, numbers: Dedications, stand: Stand) {
        *held(&self.dedicated) = Some((numbers, stand));
    }
}

fn held<T>(known: &Mutex<T>) -> MutexGuard<'_, T> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}
