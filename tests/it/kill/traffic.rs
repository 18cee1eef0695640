//! Who talks with whom during a campaign, and what was accepted.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::sync::RwLock;
use tokio_util::sync::CancellationToken;

use crate::support::dice::Dice;
use crate::support::gateway::Gateway;
use crate::support::room::{Timeline, text};
use crate::support::sim::Sim;
use crate::support::user::User;
use crate::support::wait::until;
use crate::support::world::{World, ghost};

/// Phones on the route that holds, and on the one that sends again.
const HELD: [&str; 2] = ["447700900101", "447700900102"];
const AGAIN: [&str; 2] = ["447700900201", "447700900202"];

/// What a phone hears before the campaign, so that its conversation has a number.
const HELLO: u32 = 0;

/// How often the homeserver is made to look again for what it left lying.
const ABSENCES: usize = 5;

/// What a gateway that has not yet finished something shows.
const UNFINISHED: [&str; 6] = [
    "inbox",
    "queued_segments",
    "intent_segments",
    "uncertain_segments",
    "outbox",
    "sms",
];

/// A room with a Matrix user who writes in it, and its phones.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) room: String,
    pub(super) writer: usize,
    pub(super) ends: Vec<End>,
}

/// A phone in a room, and the number that stands for the room there.
#[derive(Debug)]
pub(super) struct End {
    pub(super) phone: &'static str,
    pub(super) vmn: String,
}

/// A text that the homeserver accepted.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) token: u32,
    pub(super) talk: usize,
    pub(super) event: String,
    pub(super) body: String,
}

/// A text that a phone wrote.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) token: u32,
    pub(super) talk: usize,
    pub(super) end: usize,
    pub(super) body: String,
    /// The SMSC got `ESME_ROK` for all of it.
    pub(super) accepted: bool,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Traffic {
    pub(super) people: Vec<User>,
    pub(super) talks: Vec<Talk>,
    pub(super) written: Mutex<Vec<Written>>,
    pub(super) said: Mutex<Vec<Said>>,
    /// Held for writing while nobody may write into a room.
    pub(super) people_rest: RwLock<()>,
    /// The same for phones.
    pub(super) phones_rest: RwLock<()>,
    /// Events that had no fate when they were last looked at.
    pub(super) waiting: Mutex<Vec<String>>,
    tokens: AtomicU32,
}

impl Traffic {
    /// Six direct rooms and a group, each with its numbers.
    pub(super) async fn prepare(world: &World) -> Self {
        let people = vec![
            world.person("alice", "1000").await,
            world.person("bob", "1000").await,
        ];
        let mut talks = Vec::new();
        for (writer, user) in people.iter().enumerate() {
            for phone in [HELD[0], AGAIN[0], AGAIN[1]] {
                let room = world.chat(user, phone).await;
                talks.push(greet(world, user, writer, room, &[phone]).await);
            }
        }
        let ghosts = HELD.map(ghost);
        let room = people[0].group("everyone", &[&ghosts[0], &ghosts[1]]).await;
        for ghost in &ghosts {
            people[0].sees_join(&room, ghost).await;
        }
        talks.push(greet(world, &people[0], 0, room, &HELD).await);
        Self {
            people,
            talks,
            written: Mutex::default(),
            said: Mutex::default(),
            people_rest: RwLock::default(),
            phones_rest: RwLock::default(),
            waiting: Mutex::default(),
            tokens: AtomicU32::new(HELLO + 1),
        }
    }

    /// Everybody writes until it is `over`.
    pub(super) async fn flow(&self, mut dice: Dice, sim: &Sim, over: &CancellationToken) {
        let mut people = Vec::new();
        let mut phones = Vec::new();
        for talk in 0..self.talks.len() {
            people.push(self.write(dice.fork(), talk, over));
            for end in 0..self.talks[talk].ends.len() {
                phones.push(self.say(dice.fork(), (talk, end), sim, over));
            }
        }
        tokio::join!(join_all(people), join_all(phones));
    }

    /// Waits until every text that people wrote has its fate. False where one does not get it.
    ///
    /// Synapse may leave a transaction lying that came up while it was catching up with an
    /// application service; it looks again when the service was away once more, so it is away once
    /// more.
    pub(super) async fn settle(&self, gateway: &mut Gateway) -> bool {
        for _ in 0..ABSENCES {
            gateway.kill().await;
            self.write_once(&mut Dice::new(0), 0).await;
            gateway.start().await;
            tokio::select! {
                () = self.all_have_their_fate() => return true,
                () = idle_for_a_while(gateway) => {}
            }
        }
        false
    }

    /// Waits until every text that people wrote is marked as delivered or answered with a reason, by
    /// each phone of its room.
    async fn all_have_their_fate(&self) {
        for (number, talk) in self.talks.iter().enumerate() {
            let user = &self.people[talk.writer];
            let events = self.events_of(number);
            let ghosts: Vec<String> = talk.ends.iter().map(|end| ghost(end.phone)).collect();
            until("every text has its fate", async || {
                let timeline = user.read(&talk.room).await;
                let open =
                    |event: &&String| ghosts.iter().any(|by| !has_fate(&timeline, by, event));
                let waiting: Vec<_> = events.iter().filter(open).cloned().collect();
                let settled = waiting.is_empty();
                *self.waiting.lock().expect("a lock") = waiting;
                settled.then_some(())
            })
            .await;
        }
    }

    fn events_of(&self, talk: usize) -> Vec<String> {
        let written = self.written.lock().expect("a lock");
        written
            .iter()
            .filter(|one| one.talk == talk)
            .map(|one| one.event.clone())
            .collect()
    }

    async fn write(&self, mut dice: Dice, talk: usize, over: &CancellationToken) {
        while !over.is_cancelled() {
            let may_write = self.people_rest.read().await;
            self.write_once(&mut dice, talk).await;
            drop(may_write);
            dice.wait(300, 1_200).await;
        }
    }

    async fn write_once(&self, dice: &mut Dice, talk: usize) {
        let Talk { room, writer, .. } = &self.talks[talk];
        let (token, body) = self.words(dice);
        let event = self.people[*writer].insists(room, &body).await;
        self.written.lock().expect("a lock").push(Written {
            token,
            talk,
            event,
            body,
        });
    }

    async fn say(
        &self,
        mut dice: Dice,
        (talk, end): (usize, usize),
        sim: &Sim,
        over: &CancellationToken,
    ) {
        let End { phone, vmn } = &self.talks[talk].ends[end];
        while !over.is_cancelled() {
            let may_write = self.phones_rest.read().await;
            let (token, body) = self.words(&mut dice);
            let order = *dice.pick(&["natural", "reversed", "shuffled"]);
            let sms = json!({ "to": vmn, "text": body, "order": order,
                "account": "gateway", "redeliver": true });
            let statuses = sim.tries_to_write(phone, &sms).await;
            let accepted = statuses.iter().all(|status| status == "ESME_ROK");
            self.said.lock().expect("a lock").push(Said {
                token,
                talk,
                end,
                body,
                accepted,
            });
            drop(may_write);
            dice.wait(400, 1_600).await;
        }
    }

    /// A text that bears its number in each of its segments.
    fn words(&self, dice: &mut Dice) -> (u32, String) {
        let token = self.tokens.fetch_add(1, Ordering::Relaxed);
        let body = match dice.between(0, 6) {
            0 => name(token).repeat(60),
            1 => format!("{}Ж 🙂 ", name(token)).repeat(14),
            _ => name(token),
        };
        (token, body.trim_end().to_owned())
    }
}

/// Returns when the gateway has had nothing to do for longer than a homeserver waits before it tries
/// again.
async fn idle_for_a_while(gateway: &Gateway) {
    let mut idle = 0;
    while idle < 20 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let waiting = gateway.waiting(&UNFINISHED).await;
        idle = if waiting.is_empty() { idle + 1 } else { 0 };
    }
}

fn has_fate(timeline: &Timeline, by: &str, event: &str) -> bool {
    timeline.has_check(by, event) || timeline.replies(event).any(|reply| reply["sender"] == *by)
}

fn name(token: u32) -> String {
    format!("t{token:05} ")
}

/// The number that a text bears.
pub(super) fn token_of(text: &str) -> Option<u32> {
    text.split('t').skip(1).find_map(|after| {
        let digits = after.get(..5)?;
        digits
            .bytes()
            .all(|octet| octet.is_ascii_digit())
            .then(|| digits.parse().ok())?
    })
}

async fn greet(
    world: &World,
    user: &User,
    writer: usize,
    room: String,
    phones: &[&'static str],
) -> Talk {
    let hello = format!("{}{room}", name(HELLO));
    user.write(&room, &hello).await;
    let mut ends = Vec::new();
    for phone in phones {
        let got = world.sim.gets_like(phone, &hello, |message| {
            text(&message["text"]).ends_with(&hello)
        });
        let vmn = text(&got.await["from"]).to_owned();
        ends.push(End { phone, vmn });
    }
    Talk { room, writer, ends }
}
