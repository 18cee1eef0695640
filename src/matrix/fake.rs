//! A homeserver in memory, for tests: it keeps the rules that have bitten application services
//! and fails on request.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ruma::{
    EventId, OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, RoomId, ServerName, UserId,
};
use serde_json::{Value, json};

use super::homeserver::{
    Homeserver, MARKER_TYPE, MatrixError, NewRoom, Result, RoomHistory, RoomState,
};
use crate::gateway::model::Timestamp;
use crate::store::{Member, Membership, NewEvent};

/// How many events a page of a room's history has.
const HISTORY_PAGE: usize = 5;

/// A request, for scripting its failure and for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the request of the same name")]
pub enum Op {
    Register,
    CreateDevice,
    SetDisplayName,
    Join,
    Leave,
    Invite,
    CreateRoom,
    JoinedRooms,
    RoomState,
    OwnMarker,
    EventsSince,
    History,
    Send,
    SendState,
    Ping,
    Whoami,
}

/// One request that reached the homeserver, a failed one included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What was asked.
    pub op: Op,
    /// As whom.
    pub user: OwnedUserId,
    /// In which room, where the request has one.
    pub room: Option<OwnedRoomId>,
}

/// One event of a room.
#[derive(Debug, Clone, PartialEq)]
pub struct FakeEvent {
    /// Its id.
    pub event_id: OwnedEventId,
    /// Its room.
    pub room: OwnedRoomId,
    /// Who sent it.
    pub sender: OwnedUserId,
    /// Its type.
    pub event_type: String,
    /// Set for a state event.
    pub state_key: Option<String>,
    /// Its content.
    pub content: Value,
    /// When it was sent.
    pub at: Timestamp,
}

impl FakeEvent {
    /// The event as a transaction would carry it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut event = json!({
            "event_id": self.event_id, "room_id": self.room, "sender": self.sender,
            "type": self.event_type, "content": self.content, "origin_server_ts": self.at.0,
        });
        if let Some(key) = &self.state_key {
            event["state_key"] = json!(key);
        }
        event
    }

    /// The same as the gateway takes it in.
    #[must_use]
    pub fn to_new(&self) -> NewEvent {
        NewEvent {
            is_over: false,
            event_id: self.event_id.clone(),
            room: self.room.clone(),
            json: self.to_json().to_string(),
        }
    }
}

/// A homeserver in memory. Ghosts must be registered, joined and, to send, have their device.
#[derive(Debug)]
pub struct FakeHomeserver {
    name: OwnedServerName,
    bot: OwnedUserId,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    users: HashSet<OwnedUserId>,
    devices: HashSet<OwnedUserId>,
    names: HashMap<OwnedUserId, String>,
    rooms: BTreeMap<OwnedRoomId, Room>,
    /// By path, whoever the user is: forgotten by a restart, as in Synapse.
    recent: HashMap<(OwnedRoomId, String, String), OwnedEventId>,
    /// By user: what its device has sent is remembered by the database.
    sent: HashMap<(OwnedUserId, OwnedRoomId, String), OwnedEventId>,
    calls: Vec<Call>,
    failures: HashMap<Op, VecDeque<Failure>>,
    events: u64,
    now: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Room {
    state: BTreeMap<(String, String), Value>,
    timeline: Vec<FakeEvent>,
}

#[derive(Debug)]
enum Failure {
    Refused(MatrixError),
    AnswerLost,
    Panic,
}

impl FakeHomeserver {
    /// An empty homeserver with the application service's bot on it, registered and with a device.
    #[must_use]
    pub fn new(bot: OwnedUserId) -> Self {
        let mut state = State::default();
        state.users.insert(bot.clone());
        state.devices.insert(bot.clone());
        Self {
            name: bot.server_name().to_owned(),
            bot,
            state: Mutex::new(state),
        }
    }

    /// The next request of this kind fails with `error` and has no effect.
    pub fn fail_next(&self, op: Op, error: MatrixError) {
        self.script(op, Failure::Refused(error));
    }

    /// The next request of this kind takes effect, but its answer never comes.
    pub fn lose_next_answer(&self, op: Op) {
        self.script(op, Failure::AnswerLost);
    }

    /// The next request of this kind finds a fault of ours, and panics.
    pub fn panic_at_next(&self, op: Op) {
        self.script(op, Failure::Panic);
    }

    fn script(&self, op: Op, failure: Failure) {
        self.lock()
            .failures
            .entry(op)
            .or_default()
            .push_back(failure);
    }

    /// Forgets what a homeserver keeps only in memory.
    pub fn restart(&self) {
        self.lock().recent.clear();
    }

    /// What happens from here on happens at this time; 0 where nothing was said.
    pub fn tell_time(&self, now: Timestamp) {
        self.lock().now = Some(now);
    }

    /// Every request so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// How many requests of this kind came.
    #[must_use]
    pub fn count(&self, op: Op) -> usize {
        self.lock()
            .calls
            .iter()
            .filter(|call| call.op == op)
            .count()
    }

    /// Adds an account that is no ghost.
    pub fn add_user(&self, user: &UserId) {
        self.lock().users.insert(user.to_owned());
    }

    /// Forgets an account and where it was, as one does that is restored from a backup.
    pub fn lose_user(&self, user: &UserId) {
        let mut state = self.lock();
        state.users.remove(user);
        state.devices.remove(user);
        for room in state.rooms.values_mut() {
            let place = ("m.room.member".to_owned(), user.to_string());
            room.state.remove(&place);
        }
    }

    /// Makes a room with `creator` joined to it.
    pub fn add_room(&self, creator: &UserId) -> OwnedRoomId {
        let mut state = self.lock();
        state.users.insert(creator.to_owned());
        let room = state.add_room();
        state.set_member(&room, creator, creator, "join");
        room
    }

    /// Sets a membership, whatever the rules say, as an event sent by `sender`.
    pub fn set_member(
        &self,
        room: &RoomId,
        sender: &UserId,
        user: &UserId,
        membership: &str,
    ) -> FakeEvent {
        self.lock().set_member(room, sender, user, membership)
    }

    /// Appends an event, whatever the rules say: what a person says.
    pub fn say(
        &self,
        room: &RoomId,
        sender: &UserId,
        event_type: &str,
        content: Value,
    ) -> FakeEvent {
        self.lock().append(room, sender, event_type, None, content)
    }

    /// Appends a state event, whatever the rules say.
    pub fn set_state(
        &self,
        room: &RoomId,
        sender: &UserId,
        event_type: &str,
        key: &str,
        content: Value,
    ) -> FakeEvent {
        self.lock()
            .append(room, sender, event_type, Some(key), content)
    }

    /// Every event of a room, in order; empty for an unknown room.
    #[must_use]
    pub fn timeline(&self, room: &RoomId) -> Vec<FakeEvent> {
        self.lock()
            .rooms
            .get(room)
            .map(|room| room.timeline.clone())
            .unwrap_or_default()
    }

    /// The events of a room that are no state, in order.
    #[must_use]
    pub fn messages(&self, room: &RoomId) -> Vec<FakeEvent> {
        let mut timeline = self.timeline(room);
        timeline.retain(|event| event.state_key.is_none());
        timeline
    }

    /// Every room, in no useful order.
    #[must_use]
    pub fn rooms(&self) -> Vec<OwnedRoomId> {
        self.lock().rooms.keys().cloned().collect()
    }

    /// `membership` of a user in a room, as its member event has it.
    #[must_use]
    pub fn membership(&self, room: &RoomId, user: &UserId) -> Option<String> {
        self.lock().membership(room, user)
    }

    /// The display name of a registered user.
    #[must_use]
    pub fn display_name(&self, user: &UserId) -> Option<String> {
        self.lock().names.get(user).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the request, then does it as scripted.
    fn serve<T>(
        &self,
        op: Op,
        user: &UserId,
        room: Option<&RoomId>,
        work: impl FnOnce(&mut State) -> Result<T>,
    ) -> Result<T> {
        let mut state = self.lock();
        let call = Call {
            op,
            user: user.to_owned(),
            room: room.map(RoomId::to_owned),
        };
        state.calls.push(call);
        match state.failures.get_mut(&op).and_then(VecDeque::pop_front) {
            Some(Failure::Refused(error)) => Err(error),
            Some(Failure::AnswerLost) => {
                work(&mut state)?;
                Err(MatrixError::unanswered("timed out"))
            }
            Some(Failure::Panic) => {
                drop(state);
                panic!("as the test wants it");
            }
            None => work(&mut state),
        }
    }
}

// === impl Homeserver ===

#[async_trait]
impl Homeserver for FakeHomeserver {
    fn name(&self) -> &ServerName {
        &self.name
    }

    fn bot(&self) -> &UserId {
        &self.bot
    }

    async fn register(&self, user: &UserId) -> Result<()> {
        self.serve(Op::Register, user, None, |state| {
            state.users.insert(user.to_owned());
            Ok(())
        })
    }

    async fn create_device(&self, user: &UserId) -> Result<()> {
        self.serve(Op::CreateDevice, user, None, |state| {
            state.registered(user)?;
            state.devices.insert(user.to_owned());
            Ok(())
        })
    }

    async fn set_display_name(&self, user: &UserId, name: &str) -> Result<()> {
        self.serve(Op::SetDisplayName, user, None, |state| {
            state.registered(user)?;
            state.names.insert(user.to_owned(), name.to_owned());
            Ok(())
        })
    }

    async fn join(&self, user: &UserId, room: &RoomId) -> Result<()> {
        self.serve(Op::Join, user, Some(room), |state| {
            state.registered(user)?;
            match state.membership(room, user).as_deref() {
                Some("join") => Ok(()),
                Some("invite") => {
                    state.set_member(room, user, user, "join");
                    Ok(())
                }
                _ => Err(forbidden()),
            }
        })
    }

    async fn leave(&self, user: &UserId, room: &RoomId, reason: Option<&str>) -> Result<()> {
        self.serve(Op::Leave, user, Some(room), |state| {
            state.registered(user)?;
            match state.membership(room, user).as_deref() {
                Some("join" | "invite") => {
                    let content = json!({ "membership": "leave", "reason": reason });
                    state.append(room, user, "m.room.member", Some(user.as_str()), content);
                    Ok(())
                }
                Some(_) => Ok(()),
                None => Err(forbidden()),
            }
        })
    }

    async fn invite(
        &self,
        user: &UserId,
        room: &RoomId,
        invitee: &UserId,
        is_direct: bool,
    ) -> Result<()> {
        self.serve(Op::Invite, user, Some(room), |state| {
            state.joined(room, user)?;
            match state.membership(room, invitee).as_deref() {
                Some("join" | "invite") => Ok(()),
                Some("ban") => Err(forbidden()),
                _ => {
                    state.invite(room, user, invitee, is_direct);
                    Ok(())
                }
            }
        })
    }

    async fn create_room(&self, user: &UserId, room: NewRoom) -> Result<OwnedRoomId> {
        self.serve(Op::CreateRoom, user, None, |state| {
            state.registered(user)?;
            let id = state.add_room();
            state.set_member(&id, user, user, "join");
            for (event_type, key, content) in room.initial_state {
                state.append(&id, user, &event_type, Some(&key), content);
            }
            for invitee in &room.invite {
                state.invite(&id, user, invitee, room.is_direct);
            }
            Ok(id)
        })
    }

    async fn joined_rooms(&self, user: &UserId) -> Result<Vec<OwnedRoomId>> {
        self.serve(Op::JoinedRooms, user, None, |state| {
            state.registered(user)?;
            let rooms = state.rooms.keys();
            let joined = |room: &&OwnedRoomId| state.joined(room, user).is_ok();
            Ok(rooms.filter(joined).cloned().collect())
        })
    }

    async fn room_state(&self, user: &UserId, room: &RoomId) -> Result<RoomState> {
        self.serve(Op::RoomState, user, Some(room), |state| {
            state.joined(room, user)?;
            state.rooms.get(room).map(Room::facts).ok_or_else(not_found)
        })
    }

    async fn own_marker(&self, user: &UserId, room: &RoomId) -> Result<Option<Value>> {
        self.serve(Op::OwnMarker, user, Some(room), |state| {
            state.joined(room, user)?;
            let timeline = &state.rooms.get(room).ok_or_else(not_found)?.timeline;
            let mut newest_first = timeline.iter().rev();
            let marker = newest_first
                .find(|one| one.event_type == MARKER_TYPE && one.state_key.as_deref() == Some(""));
            let own = marker.filter(|one| one.sender == user);
            Ok(own.map(|one| one.content.clone()))
        })
    }

    async fn events_since(
        &self,
        user: &UserId,
        room: &RoomId,
        event: &EventId,
    ) -> Result<Vec<NewEvent>> {
        self.serve(Op::EventsSince, user, Some(room), |state| {
            state.joined(room, user)?;
            let timeline = &state.rooms.get(room).ok_or_else(not_found)?.timeline;
            let known = timeline.iter().position(|one| one.event_id == event);
            let since = timeline.iter().skip(known.map_or(0, |at| at + 1));
            Ok(since.map(FakeEvent::to_new).collect())
        })
    }

    async fn history(
        &self,
        user: &UserId,
        room: &RoomId,
        from: Option<&str>,
    ) -> Result<RoomHistory> {
        self.serve(Op::History, user, Some(room), |state| {
            state.registered(user)?;
            let timeline = &state.rooms.get(room).ok_or_else(not_found)?.timeline;
            let theirs = |one: &&FakeEvent| one.state_key.as_deref() == Some(user.as_str());
            // Who has left sees what was up to then.
            let end = match state.membership(room, user).as_deref() {
                Some("join") => timeline.len(),
                Some("leave") => {
                    let left = timeline.iter().rposition(|one| theirs(&one));
                    left.map_or(0, |at| at + 1)
                }
                _ => return Err(forbidden()),
            };
            let end = from.and_then(|from| from.parse().ok()).unwrap_or(end);
            let begin = end.saturating_sub(HISTORY_PAGE);
            let page = timeline.get(begin..end).unwrap_or_default();
            Ok(RoomHistory {
                events: page.iter().rev().map(FakeEvent::to_new).collect(),
                next: (begin > 0).then(|| begin.to_string()),
            })
        })
    }

    async fn send(
        &self,
        user: &UserId,
        room: &RoomId,
        event_type: &str,
        txn_id: &str,
        content: &Value,
    ) -> Result<OwnedEventId> {
        self.serve(Op::Send, user, Some(room), |state| {
            state.registered(user)?;
            if !state.devices.contains(user) {
                return Err(MatrixError::refused(400, Some("M_UNKNOWN_DEVICE"), None));
            }
            let path = (room.to_owned(), event_type.to_owned(), txn_id.to_owned());
            let of_device = (user.to_owned(), room.to_owned(), txn_id.to_owned());
            let known = state
                .recent
                .get(&path)
                .or_else(|| state.sent.get(&of_device));
            if let Some(event) = known {
                return Ok(event.clone());
            }
            state.joined(room, user)?;
            if !state.may_relate(room, content) {
                return Err(MatrixError::refused(400, Some("M_UNKNOWN"), None));
            }
            if event_type == "m.reaction" && state.has_said(room, user, event_type, content) {
                let errcode = Some("M_DUPLICATE_ANNOTATION");
                return Err(MatrixError::refused(400, errcode, None));
            }
            let event = state
                .append(room, user, event_type, None, content.clone())
                .event_id;
            state.recent.insert(path, event.clone());
            state.sent.insert(of_device, event.clone());
            Ok(event)
        })
    }

    async fn send_state(
        &self,
        user: &UserId,
        room: &RoomId,
        event_type: &str,
        state_key: &str,
        content: &Value,
    ) -> Result<OwnedEventId> {
        self.serve(Op::SendState, user, Some(room), |state| {
            state.joined(room, user)?;
            let key = Some(state_key);
            Ok(state
                .append(room, user, event_type, key, content.clone())
                .event_id)
        })
    }

    async fn ping(&self, _txn_id: &str) -> Result<Duration> {
        self.serve(Op::Ping, &self.bot, None, |_| Ok(Duration::from_millis(1)))
    }

    async fn whoami(&self) -> Result<OwnedUserId> {
        self.serve(Op::Whoami, &self.bot, None, |_| Ok(self.bot.clone()))
    }
}

// === impl State ===

impl State {
    fn registered(&self, user: &UserId) -> Result<()> {
        if self.users.contains(user) {
            Ok(())
        } else {
            Err(forbidden())
        }
    }

    fn joined(&self, room: &RoomId, user: &UserId) -> Result<()> {
        self.registered(user)?;
        let joined = self.membership(room, user).as_deref() == Some("join");
        if joined { Ok(()) } else { Err(forbidden()) }
    }

    /// Relations are to events of the same room.
    fn may_relate(&self, room: &RoomId, content: &Value) -> bool {
        let relation = &content["m.relates_to"];
        if relation.get("rel_type").is_none() {
            return true;
        }
        let timeline = self.rooms.get(room).map(|room| &room.timeline);
        timeline.is_some_and(|timeline| {
            let mut events = timeline.iter();
            events.any(|event| relation["event_id"] == event.event_id.as_str())
        })
    }

    fn has_said(&self, room: &RoomId, user: &UserId, event_type: &str, content: &Value) -> bool {
        let timeline = self.rooms.get(room).map(|room| &room.timeline);
        timeline.is_some_and(|timeline| {
            timeline.iter().any(|event| {
                event.sender == user && event.event_type == event_type && event.content == *content
            })
        })
    }

    fn membership(&self, room: &RoomId, user: &UserId) -> Option<String> {
        let key = ("m.room.member".to_owned(), user.to_string());
        let content = self.rooms.get(room)?.state.get(&key)?;
        content.get("membership")?.as_str().map(str::to_owned)
    }

    fn add_room(&mut self) -> OwnedRoomId {
        self.events += 1;
        // As in room version 12: without a server name.
        let id = format!("!{:0>43}", self.events);
        let id = RoomId::parse(id).expect("an exclamation mark and digits");
        self.rooms.insert(id.clone(), Room::default());
        id
    }

    fn set_member(
        &mut self,
        room: &RoomId,
        sender: &UserId,
        user: &UserId,
        membership: &str,
    ) -> FakeEvent {
        let content = match self.names.get(user) {
            Some(name) if membership == "join" => {
                json!({ "membership": membership, "displayname": name })
            }
            _ => json!({ "membership": membership }),
        };
        self.append(room, sender, "m.room.member", Some(user.as_str()), content)
    }

    fn invite(&mut self, room: &RoomId, sender: &UserId, invitee: &UserId, is_direct: bool) {
        let mut content = json!({ "membership": "invite" });
        if is_direct {
            content["is_direct"] = json!(true);
        }
        self.append(
            room,
            sender,
            "m.room.member",
            Some(invitee.as_str()),
            content,
        );
    }

    fn append(
        &mut self,
        room: &RoomId,
        sender: &UserId,
        event_type: &str,
        state_key: Option<&str>,
        content: Value,
    ) -> FakeEvent {
        self.events += 1;
        let event_id = EventId::parse(format!("${:0>43}", self.events));
        let event = FakeEvent {
            event_id: event_id.expect("a dollar sign and digits"),
            room: room.to_owned(),
            sender: sender.to_owned(),
            event_type: event_type.to_owned(),
            state_key: state_key.map(str::to_owned),
            content,
            at: self.now.unwrap_or(Timestamp(0)),
        };
        let room = self.rooms.entry(room.to_owned()).or_default();
        if let Some(key) = state_key {
            let place = (event_type.to_owned(), key.to_owned());
            room.state.insert(place, event.content.clone());
        }
        room.timeline.push(event.clone());
        event
    }
}

impl Room {
    fn facts(&self) -> RoomState {
        let of = |event_type: &str| self.state.get(&(event_type.to_owned(), String::new()));
        let room = |event_type: &str, pointer: &str| {
            let id = of(event_type)?.pointer(pointer)?.as_str()?;
            RoomId::parse(id).ok()
        };
        RoomState {
            members: self.state.iter().filter_map(present_member).collect(),
            encrypted: of("m.room.encryption").is_some(),
            predecessor: room("m.room.create", "/predecessor/room_id"),
            replacement: room("m.room.tombstone", "/replacement_room"),
        }
    }
}

fn present_member(((event_type, key), content): (&(String, String), &Value)) -> Option<Member> {
    let membership = match content.get("membership")?.as_str()? {
        _ if event_type != "m.room.member" => return None,
        "invite" => Membership::Invited,
        "join" => Membership::Joined,
        _ => return None,
    };
    let display_name = content
        .get("displayname")
        .and_then(Value::as_str)
        .map(str::to_owned);
    Some(Member {
        user: UserId::parse(key).ok()?,
        membership,
        display_name,
    })
}

fn forbidden() -> MatrixError {
    MatrixError::refused(403, Some("M_FORBIDDEN"), None)
}

fn not_found() -> MatrixError {
    MatrixError::refused(404, Some("M_NOT_FOUND"), None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruma::{owned_user_id, user_id};

    fn server() -> FakeHomeserver {
        FakeHomeserver::new(owned_user_id!("@.telbot:example.org"))
    }

    async fn ghost(server: &FakeHomeserver, user: &UserId) {
        server.register(user).await.expect("registered");
        server.create_device(user).await.expect("device");
    }

    async fn room_of(server: &FakeHomeserver, user: &UserId) -> OwnedRoomId {
        let invite = vec![owned_user_id!("@alice:example.org")];
        let room = NewRoom {
            invite,
            is_direct: true,
            ..NewRoom::default()
        };
        server.create_room(user, room).await.expect("room")
    }

    #[tokio::test]
    async fn a_repeated_send_gives_the_first_event_even_after_a_restart() {
        let server = server();
        let user = user_id!("@.tel.1:example.org");
        ghost(&server, user).await;
        let room = room_of(&server, user).await;
        let content = json!({ "body": "hello" });
        let first = server
            .send(user, &room, "m.room.message", "t1", &content)
            .await;
        let second = server
            .send(user, &room, "m.room.message", "t1", &content)
            .await;
        server.restart();
        let third = server
            .send(user, &room, "m.room.message", "t1", &content)
            .await;
        assert_eq!(first, second);
        assert_eq!(first, third);
        assert_eq!(server.messages(&room).len(), 1);
    }

    #[tokio::test]
    async fn a_transaction_id_of_another_ghost_swallows_the_event() {
        let server = server();
        let (one, two) = (
            user_id!("@.tel.1:example.org"),
            user_id!("@.tel.2:example.org"),
        );
        ghost(&server, one).await;
        ghost(&server, two).await;
        let room = room_of(&server, one).await;
        server.set_member(&room, one, two, "join");
        let content = json!({ "body": "hello" });
        let first = server
            .send(one, &room, "m.room.message", "t1", &content)
            .await;
        let second = server
            .send(two, &room, "m.room.message", "t1", &content)
            .await;
        assert_eq!(first, second);
    }

    #[tokio::test]
    async fn a_lost_answer_leaves_the_effect_behind() {
        let server = server();
        let user = user_id!("@.tel.1:example.org");
        ghost(&server, user).await;
        let room = room_of(&server, user).await;
        server.lose_next_answer(Op::Send);
        let content = json!({ "body": "hello" });
        let lost = server
            .send(user, &room, "m.room.message", "t1", &content)
            .await;
        assert!(lost.expect_err("lost").is_temporary());
        assert_eq!(server.messages(&room).len(), 1);
    }

    #[tokio::test]
    async fn a_scripted_failure_has_no_effect_and_is_counted() {
        let server = server();
        let user = user_id!("@.tel.1:example.org");
        server.fail_next(Op::Register, MatrixError::refused(500, None, None));
        assert!(server.register(user).await.is_err());
        assert!(server.create_device(user).await.is_err());
        assert_eq!(server.count(Op::Register), 1);
    }

    #[tokio::test]
    async fn a_ghost_without_account_device_or_membership_cannot_send() {
        let server = server();
        let (user, alice) = (
            user_id!("@.tel.1:example.org"),
            user_id!("@alice:example.org"),
        );
        let room = server.add_room(alice);
        let content = json!({});
        let send = || server.send(user, &room, "m.room.message", "t1", &content);
        assert_eq!(
            send().await.expect_err("no account").errcode(),
            Some("M_FORBIDDEN")
        );
        server.register(user).await.expect("registered");
        assert_eq!(
            send().await.expect_err("no device").errcode(),
            Some("M_UNKNOWN_DEVICE")
        );
        server.create_device(user).await.expect("device");
        assert_eq!(
            send().await.expect_err("not joined").errcode(),
            Some("M_FORBIDDEN")
        );
        server.set_member(&room, alice, user, "invite");
        server.join(user, &room).await.expect("joined");
        assert!(send().await.is_ok());
    }

    #[tokio::test]
    async fn a_room_tells_its_members_and_its_marker() {
        let server = server();
        let user = user_id!("@.tel.1:example.org");
        ghost(&server, user).await;
        let room = room_of(&server, user).await;
        let set = |sender: &UserId| {
            server.set_state(&room, sender, MARKER_TYPE, "", json!({ "key": 7 }));
        };
        set(user);
        server.set_state(&room, user, "m.room.encryption", "", json!({}));
        let state = server.room_state(user, &room).await.expect("state");
        assert_eq!(state.members.len(), 2);
        assert!(state.encrypted);
        let marker = || server.own_marker(user, &room);
        assert_eq!(marker().await, Ok(Some(json!({ "key": 7 }))));
        set(user_id!("@alice:example.org"));
        assert_eq!(marker().await, Ok(None));
        assert_eq!(server.joined_rooms(user).await, Ok(vec![room.clone()]));
    }
}
