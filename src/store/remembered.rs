//! Answers that are asked for with every message and change seldom: kept as long as they hold.

use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::{HashMap, HashMapExt as _};
use ruma::OwnedUserId;

use super::RoomView;
use super::marks::Stand;
use crate::gateway::model::{Conversation, ConversationId};

/// Answers of a kind that are remembered at most; then all are forgotten, and asked for again as they are
/// needed.
const MOST: usize = 16_384;

/// Numbers with their owners.
pub(crate) type Dedications = Vec<(String, OwnedUserId)>;

/// What was answered, with the marks by which it is known to hold.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    rooms: Answers<String, RoomView>,
    conversations: Answers<ConversationId, Conversation>,
    dedicated: Mutex<Option<(Dedications, Stand)>>,
}

impl Remembered {
    /// A room, by its key.
    pub(crate) fn room(&self, key: &str) -> Option<RoomView> {
        let rooms = held(&self.rooms.0);
        let (view, stand) = rooms.get(key)?;
        stand.holds().then(|| view.clone())
    }

    pub(crate) fn keep_room(&self, key: String, view: RoomView, stand: Stand) {
        self.rooms.keep(key, view, stand);
    }

    pub(crate) fn conversation(&self, id: ConversationId) -> Option<Conversation> {
        let conversations = held(&self.conversations.0);
        let (conversation, stand) = conversations.get(&id)?;
        stand.holds().then(|| conversation.clone())
    }

    pub(crate) fn keep_conversation(&self, conversation: Conversation, stand: Stand) {
        self.conversations
            .keep(conversation.id, conversation, stand);
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

/// Answers of one kind.
#[derive(Debug)]
struct Answers<K, V>(Mutex<HashMap<K, (V, Stand)>>);

impl<K, V> Default for Answers<K, V> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<K: Hash + Eq, V> Answers<K, V> {
    fn keep(&self, key: K, answer: V, stand: Stand) {
        let mut known = held(&self.0);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(key, (answer, stand));
    }
}

fn held<T>(known: &Mutex<T>) -> MutexGuard<'_, T> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}
