//! What the stub knows: users, rooms, and what is to be told to the application service. No network
//! and no clock: both are arguments.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use crate::homeserver::event::{Event, Saying};

/// The latest events that a room keeps.
const TIMELINE: usize = 200;

/// The most events that wait for a transaction; further ones are dropped and counted.
const OUTBOX: usize = 1_000_000;

/// Of how many sends the transaction ids are known.
const KNOWN_SENDS: usize = 200_000;

/// How many sends of the application service are kept to be looked at.
const SENDS: usize = 10_000;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) errcode: &'static str,
}

const fn refuse(status: u16, errcode: &'static str) -> Refusal {
    Refusal { status, errcode }
}

pub(crate) const FORBIDDEN: Refusal = refuse(403, "M_FORBIDDEN");
pub(crate) const NOT_FOUND: Refusal = refuse(404, "M_NOT_FOUND");
pub(crate) const UNKNOWN_DEVICE: Refusal = refuse(400, "M_UNKNOWN_DEVICE");
pub(crate) const NOT_JSON: Refusal = refuse(400, "M_NOT_JSON");
pub(crate) const IN_USE: Refusal = refuse(400, "M_USER_IN_USE");
pub(crate) const EXCLUSIVE: Refusal = refuse(400, "M_EXCLUSIVE");

/// An event that the application service is to be told.
#[derive(Debug, Clone)]
pub(crate) struct Owed {
    pub(crate) event: Arc<Event>,
    pub(crate) since: Instant,
}

/// When something happens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) instant: Instant,
    pub(crate) unix_ms: u64,
}

#[derive(Debug, Default)]
struct User {
    name: Option<String>,
    devices: HashSet<String>,
}

#[derive(Debug, Default)]
struct Room {
    state: BTreeMap<(String, String), Arc<Event>>,
    /// User to `membership`.
    members: HashMap<String, String>,
    timeline: VecDeque<Arc<Event>>,
}

#[derive(Debug)]
pub(crate) struct Model {
    server: String,
    /// What the localparts of the application service's users begin with.
    prefix: String,
    users: HashMap<String, User>,
    rooms: BTreeMap<String, Room>,
    /// By the hash of sender, room and transaction id: two of so few never share one.
    known: HashMap<u64, Arc<Event>>,
    known_order: VecDeque<u64>,
    hasher: RandomState,
    outbox: VecDeque<Owed>,
    sends: VecDeque<(u64, Arc<Event>)>,
    sent: BTreeMap<String, u64>,
    events: u64,
    run: u64,
    dropped: u64,
}

impl Model {
    /// An empty homeserver with the bot on it. `run` sets the ids of its events apart from those of
    /// another start.
    pub(crate) fn new(server: &str, bot: &str, prefix: &str, run: u64) -> Self {
        let mut users = HashMap::new();
        users.insert(bot.to_owned(), User::default());
        Self {
            server: server.to_owned(),
            prefix: prefix.to_owned(),
            users,
            rooms: BTreeMap::new(),
            known: HashMap::new(),
            known_order: VecDeque::new(),
            hasher: RandomState::new(),
            outbox: VecDeque::new(),
            sends: VecDeque::new(),
            sent: BTreeMap::new(),
            events: 0,
            run,
            dropped: 0,
        }
    }

    pub(crate) fn user_id(&self, localpart: &str) -> String {
        format!("@{localpart}:{}", self.server)
    }

    // === what the application service asks ===

    pub(crate) fn register(&mut self, localpart: &str) -> Result<String, Refusal> {
        if !localpart.starts_with(&self.prefix) {
            return Err(EXCLUSIVE);
        }
        let user = self.user_id(localpart);
        if self.users.contains_key(&user) {
            return Err(IN_USE);
        }
        self.users.insert(user.clone(), User::default());
        Ok(user)
    }

    pub(crate) fn registered(&self, user: &str) -> Result<(), Refusal> {
        self.users.contains_key(user).then_some(()).ok_or(FORBIDDEN)
    }

    pub(crate) fn device_known(&self, user: &str, device: &str) -> Result<(), Refusal> {
        let known = self
            .users
            .get(user)
            .is_some_and(|user| user.devices.contains(device));
        known.then_some(()).ok_or(UNKNOWN_DEVICE)
    }

    pub(crate) fn add_device(&mut self, user: &str, device: &str) -> Result<(), Refusal> {
        let user = self.users.get_mut(user).ok_or(FORBIDDEN)?;
        user.devices.insert(device.to_owned());
        Ok(())
    }

    pub(crate) fn set_name(&mut self, user: &str, name: &str) -> Result<(), Refusal> {
        let user = self.users.get_mut(user).ok_or(FORBIDDEN)?;
        user.name = Some(name.to_owned());
        Ok(())
    }

    pub(crate) fn name(&self, user: &str) -> Result<Option<String>, Refusal> {
        self.users
            .get(user)
            .map(|user| user.name.clone())
            .ok_or(NOT_FOUND)
    }

    pub(crate) fn join(&mut self, now: Now, room: &str, user: &str) -> Result<(), Refusal> {
        match self.membership(room, user) {
            Some("join") => Ok(()),
            Some("invite") => {
                self.set_member(now, room, (user, user), json!({ "membership": "join" }));
                Ok(())
            }
            _ => Err(FORBIDDEN),
        }
    }

    pub(crate) fn leave(
        &mut self,
        now: Now,
        room: &str,
        user: &str,
        reason: Option<&str>,
    ) -> Result<(), Refusal> {
        match self.membership(room, user) {
            Some("join" | "invite") => {
                let content = json!({ "membership": "leave", "reason": reason });
                self.set_member(now, room, (user, user), content);
                Ok(())
            }
            Some(_) => Ok(()),
            None => Err(FORBIDDEN),
        }
    }

    pub(crate) fn invite(
        &mut self,
        now: Now,
        room: &str,
        (sender, invitee): (&str, &str),
        is_direct: bool,
    ) -> Result<(), Refusal> {
        self.joined(room, sender)?;
        if matches!(self.membership(room, invitee), Some("join" | "ban")) {
            return Err(FORBIDDEN);
        }
        let content = if is_direct {
            json!({ "membership": "invite", "is_direct": true })
        } else {
            json!({ "membership": "invite" })
        };
        self.set_member(now, room, (sender, invitee), content);
        Ok(())
    }

    /// Makes a room with its creator in it.
    pub(crate) fn create_room(&mut self, now: Now, creator: &str) -> String {
        self.users.entry(creator.to_owned()).or_default();
        // As in room version 12: without a server name.
        let room = format!("!{:0>43}", self.number());
        self.rooms.insert(room.clone(), Room::default());
        self.append(
            now,
            Saying {
                room: &room,
                sender: creator,
                event_type: "m.room.create",
                state_key: Some(""),
                content: json!({ "room_version": "12" }).into(),
            },
        );
        self.set_member(
            now,
            &room,
            (creator, creator),
            json!({ "membership": "join" }),
        );
        room
    }

    pub(crate) fn joined_rooms(&self, user: &str) -> Vec<&str> {
        let rooms = self.rooms.keys().map(String::as_str);
        rooms
            .filter(|room| self.joined(room, user).is_ok())
            .collect()
    }

    pub(crate) fn state(&self, room: &str, user: &str) -> Result<Vec<Arc<Event>>, Refusal> {
        self.joined(room, user)?;
        let room = self.rooms.get(room).ok_or(NOT_FOUND)?;
        Ok(room.state.values().cloned().collect())
    }

    pub(crate) fn state_event(
        &self,
        room: &str,
        user: &str,
        place: (&str, &str),
    ) -> Result<Arc<Event>, Refusal> {
        self.joined(room, user)?;
        let room = self.rooms.get(room).ok_or(NOT_FOUND)?;
        let place = (place.0.to_owned(), place.1.to_owned());
        room.state.get(&place).cloned().ok_or(NOT_FOUND)
    }

    pub(crate) fn set_state(&mut self, now: Now, saying: Saying<'_>) -> Result<String, Refusal> {
        self.joined(saying.room, saying.sender)?;
        if saying.event_type == "m.room.member" {
            let invitee = saying.state_key.unwrap_or_default();
            let is_invitation = saying.content.text("membership") == Some("invite");
            if is_invitation && self.joined(saying.room, invitee).is_ok() {
                return Err(FORBIDDEN);
            }
        }
        Ok(self.append(now, saying).id.clone())
    }

    /// The latest events, newest first.
    pub(crate) fn latest(
        &self,
        room: &str,
        user: &str,
        limit: usize,
    ) -> Result<Vec<Arc<Event>>, Refusal> {
        self.joined(room, user)?;
        let room = self.rooms.get(room).ok_or(NOT_FOUND)?;
        Ok(room.timeline.iter().rev().take(limit).cloned().collect())
    }

    /// A message of the application service. The same transaction id of the same user is the same
    /// event.
    pub(crate) fn send(
        &mut self,
        now: Now,
        saying: Saying<'_>,
        txn_id: &str,
    ) -> Result<String, Refusal> {
        let key = (saying.sender, saying.room, txn_id);
        let key = self.hasher.hash_one(key);
        if let Some(event) = self.known.get(&key) {
            return Ok(event.id.clone());
        }
        self.joined(saying.room, saying.sender)?;
        match self.sent.get_mut(saying.event_type) {
            Some(count) => *count += 1,
            None => drop(self.sent.insert(saying.event_type.to_owned(), 1)),
        }
        let event = self.append(now, saying);
        let number = self.sent.values().sum();
        if self.sends.len() >= SENDS {
            self.sends.pop_front();
        }
        self.sends.push_back((number, Arc::clone(&event)));
        if self.known_order.len() >= KNOWN_SENDS
            && let Some(oldest) = self.known_order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.known_order.push_back(key);
        let id = event.id.clone();
        self.known.insert(key, event);
        Ok(id)
    }

    // === what people do ===

    /// A person says something, whatever the rules say.
    pub(crate) fn say(&mut self, now: Now, room: &str, sender: &str, content: Value) -> String {
        let saying = Saying {
            room,
            sender,
            event_type: "m.room.message",
            state_key: None,
            content: content.into(),
        };
        self.append(now, saying).id.clone()
    }

    pub(crate) fn membership(&self, room: &str, user: &str) -> Option<&str> {
        let room = self.rooms.get(room)?;
        room.members.get(user).map(String::as_str)
    }

    // === what the application service is told ===

    /// Up to `most` events that it has not been told, oldest first. They stay until
    /// [`Self::told`].
    pub(crate) fn owed(&self, most: usize) -> Vec<Owed> {
        self.outbox.iter().take(most).cloned().collect()
    }

    pub(crate) fn told(&mut self, count: usize) {
        self.outbox.drain(..count.min(self.outbox.len()));
    }

    pub(crate) fn waiting(&self) -> usize {
        self.outbox.len()
    }

    pub(crate) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How many events of each type the application service has sent, repetitions not counted.
    pub(crate) const fn sent(&self) -> &BTreeMap<String, u64> {
        &self.sent
    }

    /// What the application service sent after send number `after`, oldest first.
    pub(crate) fn sends(&self, after: u64, limit: usize) -> Vec<(u64, Arc<Event>)> {
        let later = self.sends.iter().filter(|(number, _)| *number > after);
        later.take(limit).cloned().collect()
    }

    // === inside ===

    fn joined(&self, room: &str, user: &str) -> Result<(), Refusal> {
        self.registered(user)?;
        let joined = self.membership(room, user) == Some("join");
        joined.then_some(()).ok_or(FORBIDDEN)
    }

    fn set_member(
        &mut self,
        now: Now,
        room: &str,
        (sender, user): (&str, &str),
        mut content: Value,
    ) {
        let name = self.users.get(user).and_then(|user| user.name.as_deref());
        if let (Some(name), Some(fields)) = (name, content.as_object_mut()) {
            fields.insert("displayname".to_owned(), name.into());
        }
        self.append(
            now,
            Saying {
                room,
                sender,
                event_type: "m.room.member",
                state_key: Some(user),
                content: content.into(),
            },
        );
    }

    fn append(&mut self, now: Now, saying: Saying<'_>) -> Arc<Event> {
        let number = self.number();
        let id = format!("${:016x}{number:0>27}", self.run);
        let room = match self.rooms.get_mut(saying.room) {
            Some(room) => room,
            None => self.rooms.entry(saying.room.to_owned()).or_default(),
        };
        let place = saying.state_key.map(|key| (saying.event_type, key));
        if let Some(("m.room.member", user)) = place {
            let membership = saying.content.text("membership").unwrap_or_default();
            room.members.insert(user.to_owned(), membership.to_owned());
        }
        let event = Arc::new(Event::new(id, saying, now.unix_ms));
        if let Some((event_type, key)) = place {
            let place = (event_type.to_owned(), key.to_owned());
            room.state.insert(place, Arc::clone(&event));
        }
        if room.timeline.len() >= TIMELINE {
            room.timeline.pop_front();
        }
        room.timeline.push_back(Arc::clone(&event));
        if self.outbox.len() >= OUTBOX {
            self.dropped += 1;
        } else {
            let event = Arc::clone(&event);
            let since = now.instant;
            self.outbox.push_back(Owed { event, since });
        }
        event
    }

    const fn number(&mut self) -> u64 {
        self.events += 1;
        self.events
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
