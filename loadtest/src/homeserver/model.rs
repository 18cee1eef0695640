//! What the stub knows: users, rooms, and what is to be told to the application service. No network
//! and no clock: both are arguments.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::homeserver::content::Content;
use crate::homeserver::journal::Change;

/// What the access token of a person begins with; their Matrix ID follows.
const PERSON: &str = "person ";

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

/// One event of a room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Event {
    #[serde(rename = "event_id")]
    pub(crate) id: String,
    #[serde(rename = "room_id")]
    pub(crate) room: String,
    pub(crate) sender: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) state_key: Option<String>,
    pub(crate) content: Content,
    pub(crate) origin_server_ts: u64,
}

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
    /// By type, then by key.
    state: BTreeMap<String, BTreeMap<String, Arc<Event>>>,
    timeline: VecDeque<Arc<Event>>,
}

impl Room {
    /// A piece of state, by type and key.
    fn state(&self, (kind, key): (&str, &str)) -> Option<&Arc<Event>> {
        self.state.get(kind)?.get(key)
    }
}

/// One key of the three parts, whatever is in them.
fn known_as(sender: &str, room: &str, txn_id: &str) -> Arc<str> {
    format!("{}:{}:{sender}{room}{txn_id}", sender.len(), room.len()).into()
}

/// What an event says, before it has an id.
#[derive(Debug, Clone)]
pub(crate) struct Saying<'a> {
    pub(crate) room: &'a str,
    pub(crate) sender: &'a str,
    pub(crate) event_type: &'a str,
    pub(crate) state_key: Option<&'a str>,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) struct Model {
    server: String,
    bot: String,
    /// What the localparts of the application service's users begin with.
    prefix: String,
    users: HashMap<String, User>,
    rooms: BTreeMap<String, Room>,
    known: HashMap<Arc<str>, Arc<Event>>,
    known_order: VecDeque<Arc<str>>,
    outbox: VecDeque<Owed>,
    sends: VecDeque<(u64, Arc<Event>)>,
    sent: BTreeMap<String, u64>,
    /// All of them.
    sent_ever: u64,
    events: u64,
    run: u64,
    dropped: u64,
    /// The latest events that a room keeps.
    timeline: usize,
    /// What changed since it was last asked for; none where nobody asks.
    changes: Option<Vec<Change>>,
}

/// Who sent what under which transaction id.
pub(crate) type SendKey = (String, String, String);

impl Model {
    /// An empty homeserver with the bot on it. `run` sets the ids of its events apart from those of
    /// another start.
    pub(crate) fn new(server: &str, bot: &str, prefix: &str, run: u64) -> Self {
        let mut users = HashMap::new();
        users.insert(bot.to_owned(), User::default());
        Self {
            server: server.to_owned(),
            bot: bot.to_owned(),
            prefix: prefix.to_owned(),
            users,
            rooms: BTreeMap::new(),
            known: HashMap::new(),
            known_order: VecDeque::new(),
            outbox: VecDeque::new(),
            sends: VecDeque::new(),
            sent: BTreeMap::new(),
            sent_ever: 0,
            events: 0,
            run,
            dropped: 0,
            timeline: 200,
            changes: None,
        }
    }

    /// Rooms keep so many of their latest events; 200 where nothing is said.
    pub(crate) const fn keep(&mut self, timeline: usize) {
        self.timeline = timeline;
    }

    // === what outlives it ===

    /// Does again what another one did, and notes from now on what it does itself.
    pub(crate) fn replay(&mut self, now: Now, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            self.apply(now, change);
        }
        self.changes = Some(Vec::new());
    }

    /// What changed since this was last asked.
    pub(crate) fn changes(&mut self) -> Vec<Change> {
        self.changes
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    fn apply(&mut self, now: Now, change: Change) {
        match change {
            Change::User { user } => {
                self.users.entry(user).or_default();
            }
            Change::Device { user, device } => {
                self.users.entry(user).or_default().devices.insert(device);
            }
            Change::Name { user, name } => {
                self.users.entry(user).or_default().name = Some(name);
            }
            Change::Event {
                number,
                event,
                send,
            } => {
                self.events = number;
                let event = Arc::new(event);
                self.keep_event(now, &event);
                if let Some((sender, room, txn_id)) = send {
                    self.know(known_as(&sender, &room, &txn_id), &event);
                }
            }
            Change::Told { count } => {
                self.outbox.drain(..count.min(self.outbox.len()));
            }
        }
    }

    fn note(&mut self, change: impl FnOnce() -> Change) {
        if let Some(changes) = &mut self.changes {
            changes.push(change());
        }
    }

    // === people with clients ===

    /// Makes an account for a person. Returns Matrix ID and access token.
    pub(crate) fn register_person(&mut self, localpart: &str) -> Result<(String, String), Refusal> {
        if localpart.starts_with(&self.prefix) {
            return Err(EXCLUSIVE);
        }
        let user = self.user_id(localpart);
        if self.users.contains_key(&user) {
            return Err(IN_USE);
        }
        self.add_user(&user);
        let token = format!("{PERSON}{user}");
        Ok((user, token))
    }

    /// The person who has this access token.
    pub(crate) fn person<'a>(&self, token: &'a str) -> Option<&'a str> {
        let user = token.strip_prefix(PERSON)?;
        self.users.contains_key(user).then_some(user)
    }

    fn add_user(&mut self, user: &str) {
        if !self.users.contains_key(user) {
            self.users.insert(user.to_owned(), User::default());
            self.note(|| Change::User {
                user: user.to_owned(),
            });
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
        self.add_user(&user);
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
        let known = self.users.get_mut(user).ok_or(FORBIDDEN)?;
        known.devices.insert(device.to_owned());
        self.note(|| Change::Device {
            user: user.to_owned(),
            device: device.to_owned(),
        });
        Ok(())
    }

    pub(crate) fn set_name(&mut self, user: &str, name: &str) -> Result<(), Refusal> {
        let known = self.users.get_mut(user).ok_or(FORBIDDEN)?;
        known.name = Some(name.to_owned());
        self.note(|| Change::Name {
            user: user.to_owned(),
            name: name.to_owned(),
        });
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
        self.add_user(creator);
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
        Ok(room
            .state
            .values()
            .flat_map(BTreeMap::values)
            .cloned()
            .collect())
    }

    pub(crate) fn state_event(
        &self,
        room: &str,
        user: &str,
        place: (&str, &str),
    ) -> Result<Arc<Event>, Refusal> {
        self.joined(room, user)?;
        let room = self.rooms.get(room).ok_or(NOT_FOUND)?;
        room.state(place).cloned().ok_or(NOT_FOUND)
    }

    pub(crate) fn set_state(&mut self, now: Now, saying: Saying<'_>) -> Result<String, Refusal> {
        self.joined(saying.room, saying.sender)?;
        if saying.event_type == "m.room.member" {
            let invitee = saying.state_key.unwrap_or_default();
            let membership = saying.content.field("membership");
            if membership.is_some_and(|it| it == "invite")
                && self.joined(saying.room, invitee).is_ok()
            {
                return Err(FORBIDDEN);
            }
        }
        Ok(self.append(now, saying).id.clone())
    }

    /// The latest events behind that of id `before`, newest first.
    pub(crate) fn latest(
        &self,
        room: &str,
        user: &str,
        (before, limit): (Option<&str>, usize),
    ) -> Result<Vec<Arc<Event>>, Refusal> {
        self.joined(room, user)?;
        let room = self.rooms.get(room).ok_or(NOT_FOUND)?;
        let events = room.timeline.iter().rev();
        let newer = |event: &&Arc<Event>| before.is_some_and(|before| event.id != before);
        let older = events.skip_while(newer).skip(usize::from(before.is_some()));
        Ok(older.take(limit).cloned().collect())
    }

    /// A message of the application service. The same transaction id of the same user is the same
    /// event.
    pub(crate) fn send(
        &mut self,
        now: Now,
        saying: Saying<'_>,
        txn_id: &str,
    ) -> Result<String, Refusal> {
        let key = known_as(saying.sender, saying.room, txn_id);
        if let Some(event) = self.known.get(&key) {
            return Ok(event.id.clone());
        }
        self.joined(saying.room, saying.sender)?;
        let event = self.append_sent(now, saying, Some(txn_id));
        let id = event.id.clone();
        self.know(key, &event);
        Ok(id)
    }

    /// Remembers what was sent under a transaction id; counts it where the application service did.
    fn know(&mut self, key: Arc<str>, event: &Arc<Event>) {
        if self.is_ours(&event.sender) {
            match self.sent.get_mut(&event.kind) {
                Some(count) => *count += 1,
                None => drop(self.sent.insert(event.kind.clone(), 1)),
            }
            self.sent_ever += 1;
            let number = self.sent_ever;
            if self.sends.len() >= SENDS {
                self.sends.pop_front();
            }
            self.sends.push_back((number, Arc::clone(event)));
        }
        if self.known_order.len() >= KNOWN_SENDS
            && let Some(oldest) = self.known_order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.known_order.push_back(Arc::clone(&key));
        self.known.insert(key, Arc::clone(event));
    }

    /// Whether a user is one of the application service's.
    fn is_ours(&self, user: &str) -> bool {
        let localpart = user.strip_prefix('@');
        user == self.bot || localpart.is_some_and(|localpart| localpart.starts_with(&self.prefix))
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
        let member = self.rooms.get(room)?.state(("m.room.member", user))?;
        member.content.field("membership")?.as_str()
    }

    // === what the application service is told ===

    /// Up to `most` events that it has not been told, oldest first, behind the first `skip` of them. They
    /// stay until [`Self::told`].
    pub(crate) fn owed(&self, skip: usize, most: usize) -> Vec<Owed> {
        self.outbox.iter().skip(skip).take(most).cloned().collect()
    }

    pub(crate) fn told(&mut self, count: usize) {
        self.outbox.drain(..count.min(self.outbox.len()));
        self.note(|| Change::Told { count });
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
        self.append_sent(now, saying, None)
    }

    fn append_sent(&mut self, now: Now, saying: Saying<'_>, txn_id: Option<&str>) -> Arc<Event> {
        let number = self.number();
        let event = Arc::new(Event {
            id: format!("${:016x}{number:0>27}", self.run),
            room: saying.room.to_owned(),
            sender: saying.sender.to_owned(),
            kind: saying.event_type.to_owned(),
            state_key: saying.state_key.map(str::to_owned),
            content: saying.content,
            origin_server_ts: now.unix_ms,
        });
        self.keep_event(now, &event);
        self.note(|| Change::Event {
            number,
            event: (*event).clone(),
            send: txn_id.map(|txn_id| {
                let key = [&event.sender, &event.room, txn_id];
                key.map(str::to_owned).into()
            }),
        });
        event
    }

    fn keep_event(&mut self, now: Now, event: &Arc<Event>) {
        let room = self.rooms.entry(event.room.clone()).or_default();
        if let Some(key) = &event.state_key {
            let of_type = room.state.entry(event.kind.clone()).or_default();
            of_type.insert(key.clone(), Arc::clone(event));
        }
        if room.timeline.len() >= self.timeline {
            room.timeline.pop_front();
        }
        room.timeline.push_back(Arc::clone(event));
        if self.outbox.len() >= OUTBOX {
            self.dropped += 1;
        } else {
            self.outbox.push_back(Owed {
                event: Arc::clone(event),
                since: now.instant,
            });
        }
    }

    const fn number(&mut self) -> u64 {
        self.events += 1;
        self.events
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::clock;

    const ALICE: &str = "@alice:example.org";
    const GHOST: &str = "@.tel.447700900123:example.org";

    fn now() -> Now {
        Now {
            instant: clock::now(),
            unix_ms: 1,
        }
    }

    fn model() -> (Model, String) {
        let mut model = Model::new("example.org", "@sms:example.org", ".tel.", 7);
        let room = model.create_room(now(), ALICE);
        (model, room)
    }

    fn hello<'a>(room: &'a str, sender: &'a str) -> Saying<'a> {
        Saying {
            room,
            sender,
            event_type: "m.room.message",
            state_key: None,
            content: json!({ "body": "hello" }).into(),
        }
    }

    #[test]
    fn a_ghost_must_be_registered_invited_and_joined_before_it_speaks() {
        let (mut model, room) = model();
        assert_eq!(model.register("alice"), Err(EXCLUSIVE));
        assert_eq!(model.register(".tel.447700900123").as_deref(), Ok(GHOST));
        assert_eq!(model.register(".tel.447700900123"), Err(IN_USE));
        assert_eq!(model.join(now(), &room, GHOST), Err(FORBIDDEN));
        model.invite(now(), &room, (ALICE, GHOST), true).unwrap();
        assert_eq!(model.send(now(), hello(&room, GHOST), "t1"), Err(FORBIDDEN));
        model.join(now(), &room, GHOST).unwrap();
        assert!(model.send(now(), hello(&room, GHOST), "t1").is_ok());
        assert_eq!(model.joined_rooms(GHOST), [&room]);
    }

    #[test]
    fn a_repeated_send_is_the_same_event_and_counts_once() {
        let (mut model, room) = model();
        let first = model.send(now(), hello(&room, ALICE), "t1").unwrap();
        assert_eq!(model.send(now(), hello(&room, ALICE), "t1").unwrap(), first);
        assert_ne!(model.send(now(), hello(&room, ALICE), "t2").unwrap(), first);
        assert_eq!(
            model.sent().get("m.room.message"),
            None,
            "people's do not count"
        );
    }

    #[test]
    fn what_was_noted_makes_the_same_homeserver_again() {
        let (mut first, _) = model();
        first.replay(now(), []);
        let (user, token) = first.register_person("bob").unwrap();
        let room = first.create_room(now(), &user);
        first.register(".tel.447700900123").unwrap();
        first.add_device(GHOST, "D").unwrap();
        first.invite(now(), &room, (&user, GHOST), true).unwrap();
        first.join(now(), &room, GHOST).unwrap();
        let sent = first.send(now(), hello(&room, GHOST), "t1").unwrap();
        let told = first.waiting() - 1;
        first.told(told);

        let (mut second, _) = model();
        let waited = second.waiting();
        second.told(waited);
        second.replay(now(), first.changes());
        assert_eq!(second.person(&token), Some(user.as_str()));
        assert_eq!(second.device_known(GHOST, "D"), Ok(()));
        assert_eq!(
            second.send(now(), hello(&room, GHOST), "t1"),
            Ok(sent.clone())
        );
        assert_eq!(second.sent()["m.room.message"], 1);
        assert_eq!(second.latest(&room, &user, (None, 1)).unwrap()[0].id, sent);
        assert_eq!(second.joined_rooms(GHOST), [&room]);
        assert!(first.changes().is_empty(), "each is told once");
    }

    #[test]
    fn what_is_owed_stays_until_it_was_told_in_order() {
        let (mut model, room) = model();
        let before = model.waiting();
        model.told(before);
        for number in 0..3 {
            model.say(now(), &room, ALICE, json!({ "body": number }));
        }
        let bodies = |model: &Model| {
            let owed = model.owed(0, 2);
            owed.iter()
                .map(|one| one.event.content.field("body").cloned().unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(bodies(&model), [json!(0), json!(1)]);
        assert_eq!(bodies(&model), [json!(0), json!(1)]);
        model.told(2);
        assert_eq!(bodies(&model), [json!(2)]);
    }
}
