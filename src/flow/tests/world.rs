//! A whole gateway without sockets: a real store, a homeserver in memory, an SMSC of a few lines,
//! a clock that stands still, and the workers' steps done one after the other.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use matrix_smpp_codec::udh::split_header;
use matrix_smpp_codec::values::{DataCoding, MessageState as WireState};
use matrix_smpp_config::{ProcessEnv, Settings};
use ruma::{OwnedRoomId, OwnedServerName, OwnedUserId, RoomId, UserId};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use super::super::lanes::{Doom, LaneWork};
use super::super::look_back::{Pace, Watch};
use super::super::{Bounds, Connected, Gateway, Parts, Trouble, Wakes, inbox, outbox, to_room};
use super::cut::{Cut, CutHomeserver, CutStore};
use crate::clock::Clock;
use crate::gateway::model::{Handset, SegmentRef, Timestamp};
use crate::gateway::names::Names;
use crate::gateway::opt_out::Words;
use crate::matrix::fake::{FakeEvent, FakeHomeserver};
use crate::matrix::ghost::Ghosts;
use crate::matrix::homeserver::{Homeserver, MARKER_TYPE};
use crate::ops::metrics::Metrics;
use crate::store::TableStore;
use crate::store::*;

pub(super) const ALICE: &str = "@alice:example.org";
pub(super) const BOB: &str = "@bob:example.org";
pub(super) const CAROL: &str = "@carol:example.org";
pub(super) const BOT: &str = "@.tel.bot:example.org";
/// A phone on the route with a pool of two numbers.
pub(super) const PHONE: &str = "447700900123";
/// Another one there.
pub(super) const OTHER: &str = "447700900456";
/// A phone on the route with a short code and without receipts.
pub(super) const GERMAN: &str = "4915112345678";
/// The pool's numbers.
pub(super) const FIRST_VMN: &str = "447700900900";
pub(super) const SECOND_VMN: &str = "447700900901";
/// Alice's own number.
pub(super) const DEDICATED: &str = "447700900999";

pub(super) const SETTINGS: &str = r#"
[[homeserver]]
name = "example.org"
url = "http://127.0.0.1:8008"
bot_localpart = ".tel.bot"
as_token = "0123456789abcdef0123456789abcdef"
hs_token = "fedcba9876543210fedcba9876543210"

[[link_group]]
name = "operator"
[[link_group.link]]
name = "a"
address = "127.0.0.1:2775"
system_id = "smsgw"
password = "secret"

[[pool]]
name = "uk"
numbers = ["447700900900-447700900901"]
cooling_off = "1h"

[[route]]
name = "uk"
prefixes = ["44"]
link_group = "operator"
originator = { pool = "uk" }
price = "0.05"

[[route]]
name = "de"
prefixes = ["49"]
link_group = "operator"
originator = { shortcode = "12345" }
price = "0.07"
receipts = false

[[dedicated]]
number = "447700900999"
owner = "@alice:example.org"
"#;

pub(super) fn settings(text: &str) -> Settings {
    let settings = matrix_smpp_config::parse(text, Path::new("test.toml"), &ProcessEnv);
    settings.unwrap()
}

/// How often something is tried before a test gives up.
const PATIENCE: usize = 60;

pub(super) fn user(id: &str) -> OwnedUserId {
    UserId::parse(id).unwrap()
}

pub(super) fn ghost(digits: &str) -> OwnedUserId {
    user(&format!("@.tel.{digits}:example.org"))
}

pub(super) fn handset(key: &str) -> Handset {
    Handset::from_key(key).unwrap()
}

pub(super) struct World {
    pub(super) home: Arc<FakeHomeserver>,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
    pub(super) gateway: Gateway,
    cut: Arc<Cut>,
    died: bool,
    /// The last event that the homeserver handed over.
    fed: Mutex<String>,
    /// What reached the SMSC, in order.
    sent: Mutex<Vec<Claimed>>,
    session: Uuid,
    _directory: TempDir,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with_cut(Cut::default())
    }

    /// A world whose first process meets this cut; the next one meets none.
    pub(super) fn with_cut(cut: Cut) -> Self {
        Self::made(cut, "")
    }

    /// A world with these lines of `[limits]`.
    pub(super) fn limited(limits: &str) -> Self {
        Self::made(Cut::default(), &format!("[limits]\n{limits}\n"))
    }

    /// A world with these lines of `[fraud]`.
    pub(super) fn guarded(fraud: &str) -> Self {
        Self::made(Cut::default(), &format!("[fraud]\n{fraud}\n"))
    }

    fn made(cut: Cut, more: &str) -> Self {
        let text = format!("{SETTINGS}\n{more}");
        let settings = Arc::new(settings(&text));
        let directory = folder();
        let store: Arc<dyn Store> =
            TableStore::open_sqlite(directory.path().join("gw.db"), Duration::from_hours(24))
                .unwrap();
        let home = Arc::new(FakeHomeserver::new(user(BOT)));
        let clock = Clock::manual(Timestamp(1_700_000_000_000));
        home.tell_time(clock.now());
        let cut = Arc::new(cut);
        Self {
            gateway: gateway(&settings, &store, &home, &clock, &cut),
            home,
            store,
            clock,
            cut,
            died: false,
            fed: Mutex::default(),
            sent: Mutex::default(),
            session: Uuid::new_v4(),
            _directory: directory,
        }
    }

    /// A new process on the same store.
    pub(super) async fn restart(&mut self) {
        self.cut = Arc::default();
        self.store.recover(self.clock.now()).await.unwrap();
        let settings = Arc::clone(&self.gateway.settings);
        self.gateway = gateway(&settings, &self.store, &self.home, &self.clock, &self.cut);
    }

    /// What comes from here on is cut.
    pub(super) fn cut_from_here(&self) {
        self.cut.arm();
    }

    /// True once the cut that this world was made with has been met.
    pub(super) fn is_cut(&self) -> bool {
        self.died || self.cut.is_reached()
    }

    // === People at their clients ===

    /// What became of what an event says to phones.
    pub(super) async fn messages(&self, event: &FakeEvent) -> Vec<MessageView> {
        let of = self
            .store
            .messages_of_event(self.home.name(), &event.event_id);
        of.await.unwrap()
    }

    /// Somebody's new room.
    pub(super) fn room(&self, creator: &str) -> OwnedRoomId {
        self.home.add_room(&user(creator))
    }

    pub(super) fn invite(&self, room: &RoomId, sender: &str, guest: &UserId, direct: bool) {
        let content = json!({ "membership": "invite", "is_direct": direct });
        let (sender, key) = (user(sender), guest.as_str());
        self.home
            .set_state(room, &sender, "m.room.member", key, content);
    }

    pub(super) fn member(&self, room: &RoomId, sender: &str, who: &UserId, membership: &str) {
        self.home.set_member(room, &user(sender), who, membership);
    }

    pub(super) fn join(&self, room: &RoomId, who: &str) {
        self.member(room, who, &user(who), "join");
    }

    pub(super) fn says(&self, room: &RoomId, sender: &str, body: &str) -> FakeEvent {
        self.sends(room, sender, json!({ "msgtype": "m.text", "body": body }))
    }

    pub(super) fn sends(&self, room: &RoomId, sender: &str, content: Value) -> FakeEvent {
        self.home
            .say(room, &user(sender), "m.room.message", content)
    }

    pub(super) fn edits(&self, room: &RoomId, sender: &str, original: &FakeEvent, body: &str) {
        let content = json!({
            "msgtype": "m.text", "body": format!("* {body}"),
            "m.new_content": { "msgtype": "m.text", "body": body },
            "m.relates_to": { "rel_type": "m.replace", "event_id": original.event_id },
        });
        self.sends(room, sender, content);
    }

    pub(super) fn redacts(&self, room: &RoomId, sender: &str, original: &FakeEvent) {
        let content = json!({ "redacts": original.event_id });
        self.home
            .say(room, &user(sender), "m.room.redaction", content);
    }

    /// A room of Alice with this phone in it, ready to talk.
    pub(super) async fn direct_room(&mut self, digits: &str) -> OwnedRoomId {
        self.direct_room_of(ALICE, digits).await
    }

    /// A room of somebody with this phone in it.
    pub(super) async fn direct_room_of(&mut self, owner: &str, digits: &str) -> OwnedRoomId {
        let room = self.room(owner);
        self.invite(&room, owner, &ghost(digits), true);
        self.run().await;
        room
    }

    /// A room of Alice with these phones in it, and Bob.
    pub(super) async fn group_room(&mut self, phones: &[&str]) -> OwnedRoomId {
        let room = self.room(ALICE);
        self.join(&room, BOB);
        for digits in phones {
            self.invite(&room, ALICE, &ghost(digits), false);
        }
        self.run().await;
        room
    }

    pub(super) async fn top_up(&self, who: &str, amount: &str) {
        let (amount, key) = (amount.parse().unwrap(), Uuid::new_v4().to_string());
        let now = self.clock.now();
        self.store
            .top_up(&user(who), amount, &key, now)
            .await
            .unwrap();
    }

    // === Phones and their SMSC ===

    /// A phone texts a number.
    pub(super) async fn texts(&self, from: &str, to: &str, text: &str) -> SmsTaken {
        let payload: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let sms = SmsIn {
            link_group: "operator".to_owned(),
            session: self.session,
            living_sessions: vec![self.session],
            from: handset(from),
            to: to.to_owned(),
            concat: None,
            data_coding: DataCoding::UCS2,
            payload: Bytes::from(payload),
            user_message_reference: None,
            peer_id: None,
            dedicated_to: self
                .gateway
                .routing()
                .dedicated_owner(to)
                .map(ToOwned::to_owned),
            submitted: None,
            wish: self.gateway.opt_out.wish(text),
            most_waiting: self.gateway.settings.limits.queued_sms,
            most_partial: self.gateway.settings.limits.mo_parts,
            note_sender: false,
            at: self.clock.now(),
        };
        self.store.take_sms(sms).await.unwrap()
    }

    /// The SMSC takes everything that waits.
    pub(super) async fn deliver(&self) {
        self.answer(taken).await;
    }

    /// The SMSC answers everything that waits, until nothing does.
    pub(super) async fn answer(&self, outcome: impl Fn(SegmentRef) -> Outcome) {
        self.answer_each(|one| outcome(one.segment)).await;
    }

    /// The SMSC takes what waits, except for the phones that it has wait until a time.
    pub(super) async fn answer_by_phone(&self, wait: impl Fn(&str) -> Option<Timestamp>) {
        self.answer_each(|one| match wait(one.destination.as_str()) {
            Some(retry_at) => Outcome::Throttled { retry_at },
            None => taken(one.segment),
        })
        .await;
    }

    async fn answer_each(&self, outcome: impl Fn(&Claimed) -> Outcome) {
        loop {
            let now = self.clock.now();
            let claimed = self.store.claim("operator", 100, now).await.unwrap();
            if claimed.is_empty() {
                return;
            }
            let answers = claimed.iter().map(|one| Answer {
                segment: one.segment,
                attempt: one.attempt,
                outcome: outcome(one),
            });
            let answers = answers.collect();
            self.store.record_answers(answers, now).await.unwrap();
            self.sent.lock().unwrap().extend(claimed);
        }
    }

    /// Receipts for all that the SMSC took.
    pub(super) async fn receipts(&self, state: WireState) {
        let sent = self.sent.lock().unwrap().clone();
        for one in sent {
            let receipt = ReceiptIn {
                link_group: "operator".to_owned(),
                message_id: format!("{}-{}", one.segment.message, one.segment.index),
                state,
                error: None,
                handset: Some(one.destination),
                originator: one.originator.digits(),
                id_form: None,
                at: self.clock.now(),
            };
            self.store.take_receipt(receipt).await.unwrap();
        }
    }

    /// What reached a phone, in order: the sender that it sees, and the whole text.
    pub(super) fn phone(&self, digits: &str) -> Vec<(String, String)> {
        let mut texts: Vec<(SegmentRef, String, String)> = Vec::new();
        for one in self.sent.lock().unwrap().iter() {
            if one.destination.to_string() != digits {
                continue;
            }
            let octets = match split_header(&one.payload) {
                Some((_, text)) if one.udhi => text,
                _ => &one.payload[..],
            };
            let text = matrix_smpp_codec::text::decode(one.data_coding, octets);
            match texts.last_mut() {
                Some((last, _, whole))
                    if last.message == one.segment.message && last.index < one.segment.index =>
                {
                    *last = one.segment;
                    whole.push_str(&text);
                }
                _ => texts.push((one.segment, one.originator.digits(), text)),
            }
        }
        texts
            .into_iter()
            .map(|(_, sender, text)| (sender, text))
            .collect()
    }

    /// The texts alone.
    pub(super) fn read(&self, digits: &str) -> Vec<String> {
        let texts = self.phone(digits).into_iter();
        texts.map(|(_, text)| text).collect()
    }

    // === The gateway ===

    /// Everything is done that can be: what waits for a time has the clock moved on. A process that
    /// dies meanwhile is followed by another.
    pub(super) async fn run(&mut self) {
        let cut = Arc::clone(&self.cut);
        let died = tokio::select! {
            () = self.work() => false,
            () = cut.died.notified() => true,
        };
        if died {
            self.died = true;
            self.restart().await;
            self.work().await;
        }
    }

    async fn work(&self) {
        for _ in 0..PATIENCE {
            self.work_without_waiting().await;
            if !self.wait_for_the_outbox().await {
                return;
            }
        }
        panic!("the gateway does not come to rest");
    }

    /// Everything is done that can be done now.
    pub(super) async fn work_without_waiting(&self) {
        for _ in 0..PATIENCE {
            let mut busy = self.feed().await;
            busy |= self.drain(inbox::Events(self.gateway.clone())).await;
            busy |= self.drain(to_room::Texts(self.gateway.clone())).await;
            busy |= self.tell().await;
            if !busy {
                return;
            }
        }
        panic!("the gateway does not come to rest");
    }

    /// The homeserver hands over what is new in rooms of ours.
    pub(super) async fn feed(&self) -> bool {
        let mut events: Vec<FakeEvent> = Vec::new();
        let fed = self.fed.lock().unwrap().clone();
        for room in self.home.rooms() {
            let timeline = self.home.timeline(&room);
            let ours = |who: &str| UserId::parse(who).is_ok_and(|who| self.gateway.is_ours(&who));
            let interested = timeline
                .iter()
                .filter_map(|event| event.state_key.as_deref())
                .any(|who| ours(who) && self.is_in(&room, &user(who)));
            let wanted =
                |event: &FakeEvent| interested || event.state_key.as_deref().is_some_and(ours);
            events.extend(
                timeline
                    .into_iter()
                    .filter(|event| event.event_id.as_str() > fed.as_str() && wanted(event)),
            );
        }
        events.sort_by(|one, other| one.event_id.cmp(&other.event_id));
        let Some(last) = events.last() else {
            return false;
        };
        *self.fed.lock().unwrap() = last.event_id.to_string();
        self.take_transaction(&events).await;
        true
    }

    /// The homeserver dies before it has told us of what was said.
    pub(super) fn forget(&self) {
        let rooms = self.home.rooms().into_iter();
        let events = rooms.flat_map(|room| self.home.timeline(&room));
        let last = events.map(|event| event.event_id.to_string()).max();
        *self.fed.lock().unwrap() = last.unwrap_or_default();
    }

    /// Reads all rooms back, and does what was found. Tells how many events that were.
    pub(super) async fn look_back(&mut self) -> usize {
        let (name, gateway) = (self.home.name().to_owned(), self.gateway.clone());
        let found = Self::watch(&gateway, &name).read_all().await;
        self.run().await;
        found
    }

    /// Reads rooms back without a pause.
    pub(super) fn watch<'a>(gateway: &'a Gateway, name: &'a OwnedServerName) -> Watch<'a> {
        let pace = Pace {
            settle: Duration::ZERO,
            pause: Duration::ZERO,
            grace: Duration::ZERO,
            period: Duration::MAX,
        };
        Watch::new(gateway, name, &gateway.homeservers[name], pace)
    }

    /// A transaction of the homeserver.
    pub(super) async fn take_transaction(&self, events: &[FakeEvent]) {
        let transaction = Transaction {
            homeserver: self.home.name().to_owned(),
            txn_id: "1".to_owned(),
            events: events.iter().map(FakeEvent::to_new).collect(),
            extras: None,
            at: self.clock.now(),
            most_waiting: usize::MAX,
        };
        self.store.take_transaction(transaction).await.unwrap();
    }

    fn is_in(&self, room: &RoomId, who: &UserId) -> bool {
        let membership = self.home.membership(room, who);
        matches!(membership.as_deref(), Some("join" | "invite"))
    }

    /// Does all items of a worker, as it does.
    async fn drain<W: LaneWork>(&self, work: W) -> bool {
        let mut any = false;
        for _ in 0..PATIENCE {
            let Ok(items) = work.fetch(W::START, 100).await else {
                continue;
            };
            if items.is_empty() {
                return any;
            }
            any = true;
            for item in items {
                self.attend(&work, &item).await;
            }
        }
        panic!("a worker does not come to an end");
    }

    async fn attend<W: LaneWork>(&self, work: &W, item: &W::Item) {
        for _ in 0..PATIENCE {
            match work.attend(item).await {
                Ok(()) => return,
                Err(Trouble::Later { wish, .. }) => {
                    let pause = wish.unwrap_or(Duration::from_secs(1));
                    self.clock.advance(pause);
                }
                Err(Trouble::Never(why)) => {
                    let doom = Doom { why, silent: false };
                    let aside = work.set_aside(item, doom).await;
                    return aside.unwrap();
                }
            }
        }
        panic!("an item is tried for ever");
    }

    /// Says what is due in the outbox.
    pub(super) async fn tell(&self) -> bool {
        let mut any = false;
        for _ in 0..PATIENCE {
            let store = &self.gateway.store;
            let due = Due {
                each: 3,
                ..Due::heads(self.clock.now(), 100)
            };
            let Ok(due) = store.due_outbox(due).await else {
                continue;
            };
            if due.is_empty() {
                return any;
            }
            any = true;
            outbox::attend(&self.gateway, &due).await;
        }
        panic!("the outbox does not come to an end");
    }

    /// Moves the clock on to the next thing that the outbox has put off.
    async fn wait_for_the_outbox(&self) -> bool {
        match self.store.next_outbox_due(&[]).await.unwrap() {
            Some(at) => {
                self.clock.advance(self.clock.until(at));
                true
            }
            None => false,
        }
    }

    /// Time passes, and what falls due by it is done.
    pub(super) async fn after(&mut self, time: Duration) {
        self.clock.advance(time);
        while self.store.sweep(self.clock.now(), 100).await.unwrap() {}
        self.run().await;
    }

    // === What came of it ===

    /// The words in a room by one sender, in order.
    pub(super) fn words(&self, room: &RoomId, sender: &UserId) -> Vec<String> {
        let messages = self.home.messages(room).into_iter();
        messages
            .filter(|event| event.sender == sender && event.event_type == "m.room.message")
            .map(|event| event.content["body"].as_str().unwrap().to_owned())
            .collect()
    }

    /// What the bot says to somebody in the room that it made for the two.
    pub(super) fn told_apart(&self, who: &str) -> Vec<String> {
        let rooms = self.home.rooms().into_iter();
        let theirs = rooms.filter(|room| {
            let markers = self.events(room, MARKER_TYPE);
            markers.iter().any(|one| one.content["bot_room_of"] == who)
        });
        let mut words: Vec<_> = theirs
            .flat_map(|room| self.words(&room, &user(BOT)))
            .collect();
        words.sort();
        words
    }

    /// The only words in a room by one sender.
    pub(super) fn only_words(&self, room: &RoomId, sender: &UserId) -> String {
        let mut words = self.words(room, sender);
        assert_eq!(words.len(), 1, "{words:?}");
        words.remove(0)
    }

    /// The events of one type in a room.
    pub(super) fn events(&self, room: &RoomId, event_type: &str) -> Vec<FakeEvent> {
        let mut events = self.home.timeline(room);
        events.retain(|event| event.event_type == event_type);
        events
    }

    pub(super) fn membership(&self, room: &RoomId, who: &UserId) -> String {
        self.home.membership(room, who).unwrap_or_default()
    }

    /// Why somebody left.
    pub(super) fn parting_words(&self, room: &RoomId, who: &UserId) -> String {
        let events = self.events(room, "m.room.member");
        let of = events.iter().rev().find(|event| {
            event.state_key.as_deref() == Some(who.as_str())
                && event.content["membership"] == "leave"
        });
        of.and_then(|event| event.content["reason"].as_str())
            .unwrap_or_default()
            .to_owned()
    }

    pub(super) async fn balance(&self, who: &str) -> String {
        let account = self.store.account(&user(who)).await.unwrap();
        account.balance.to_string()
    }

    /// True where nothing is known of a room any more, or no phone is spoken to in it.
    pub(super) async fn is_quiet(&self, room: &RoomId) -> bool {
        let view = self.store.room(self.home.name(), room).await.unwrap();
        view.is_none_or(|view| view.conversations.is_empty())
    }

    pub(super) async fn view(&self, room: &RoomId) -> RoomView {
        let view = self.store.room(self.home.name(), room).await.unwrap();
        view.expect("the room is known")
    }

    /// Everything that people, phones and accountants see, without the ids that differ from run to
    /// run: equal for two runs that did the same.
    pub(super) async fn digest(&self) -> BTreeMap<String, Vec<String>> {
        let mut digest = BTreeMap::new();
        let mut names = Vec::new();
        let mut rooms = self.home.rooms();
        rooms.sort();
        for (at, room) in rooms.iter().enumerate() {
            names.push((room.to_string(), format!("room {at}")));
            for event in self.home.messages(room) {
                let name = format!("{:?} of {at}", event.content["body"].as_str());
                names.push((event.event_id.to_string(), name));
            }
        }
        for (at, room) in rooms.iter().enumerate() {
            for event in self.home.timeline(room) {
                let who = event.sender.clone();
                let line = format!("{} {}", event.event_type, plain(&event.content, &names));
                match event.state_key {
                    // The last state counts.
                    Some(key) => {
                        let of = format!("room {at} state {} {key}", event.event_type);
                        digest.insert(of, vec![line]);
                    }
                    None => digest
                        .entry(format!("room {at} timeline {who}"))
                        .or_insert_with(Vec::new)
                        .push(line),
                }
            }
            let view = self.store.room(self.home.name(), room).await.unwrap();
            let conversations = view.map(|view| view.conversations).unwrap_or_default();
            let lines = conversations.iter().map(|one| {
                format!(
                    "{} {} {} {:?}",
                    one.ghost, one.owner, one.direct, one.originator
                )
            });
            digest.insert(format!("room {at} conversations"), lines.collect());
        }
        for digits in [PHONE, OTHER, GERMAN] {
            let texts = self.phone(digits).into_iter();
            let lines = texts.map(|(sender, text)| format!("{sender}: {text}"));
            digest.insert(format!("phone {digits}"), lines.collect());
        }
        let accounts = self.store.accounts().await.unwrap();
        let lines = accounts.iter().map(|account| format!("{account:?}"));
        digest.insert("accounts".to_owned(), lines.collect());
        let leases = self.store.leases().await.unwrap();
        let lines = leases.iter().map(|one| {
            format!(
                "{} {:?} {}",
                one.vmn,
                one.handset,
                one.cooling_until.is_some()
            )
        });
        digest.insert("leases".to_owned(), lines.collect());
        assert!(self.store.audit().await.unwrap().is_clean(), "the ledger");
        let sizes = self.store.sizes().await.unwrap();
        let waiting = (sizes.inbox, sizes.set_aside, sizes.outbox, sizes.sms);
        digest.insert("waiting".to_owned(), vec![format!("{waiting:?}")]);
        digest
    }
}

/// The SMSC has it, under an id made of its name.
fn taken(segment: SegmentRef) -> Outcome {
    Outcome::Submitted {
        message_id: format!("{}-{}", segment.message, segment.index),
    }
}

fn gateway(
    settings: &Arc<Settings>,
    store: &Arc<dyn Store>,
    home: &Arc<FakeHomeserver>,
    clock: &Clock,
    cut: &Arc<Cut>,
) -> Gateway {
    let store: Arc<dyn Store> = Arc::new(CutStore {
        inner: Arc::clone(store),
        cut: Arc::clone(cut),
    });
    let connected = Connected {
        api: Arc::new(CutHomeserver {
            inner: Arc::clone(home),
            cut: Arc::clone(cut),
        }),
        names: Names::new(".tel.", user(BOT)),
    };
    Gateway::new(Parts {
        bounds: Bounds::default(),
        opt_out: Words::new(&settings.opt_out),
        ghosts: Ghosts::new(Arc::clone(&store)),
        wakes: Wakes::for_groups(["operator"].into_iter()),
        metrics: Metrics::new(),
        homeservers: [(home.name().to_owned(), connected)].into(),
        clock: clock.clone(),
        settings: Arc::clone(settings),
        routing: settings.routing.clone().into(),
        store,
    })
}

/// In memory where the system has a place for that. The death of a process takes nothing from there,
/// and what a disk keeps is tested with the store: here it would only be waited for.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// The content without ids that differ from run to run.
fn plain(content: &Value, names: &[(String, String)]) -> String {
    let mut text = content.to_string();
    for (id, name) in names {
        text = text.replace(id, name);
    }
    for mark in ["(Message ", "\"instance\":\"", "\"conversation\":"] {
        if let Some((before, after)) = text.clone().split_once(mark) {
            let rest = after.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
            text = format!("{before}{mark}{rest}");
        }
    }
    text
}
