//! Who talks with whom during a campaign, and what was written.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::stage::Stage;
use crate::support::dice::Dice;
use crate::support::proxy::ledger::Segment;
use crate::support::room::Timeline;
use crate::support::sim::Sim;
use crate::support::user::User;
use crate::support::wait::{now, until};
use crate::support::world::ghost;

/// Phones on the route that holds, and on the one that sends again.
const HELD: [&str; 2] = ["447700900101", "447700900102"];
const AGAIN: [&str; 2] = ["447700900201", "447700900202"];

/// What a phone hears before the campaign, so that its conversation has a number.
pub(super) const HELLO: u32 = 0;

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
    /// When the homeserver had it.
    pub(super) at: Instant,
}

/// A text that a phone wrote.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) token: u32,
    pub(super) talk: usize,
    pub(super) end: usize,
    pub(super) body: String,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Traffic {
    pub(super) people: Vec<User>,
    pub(super) talks: Vec<Talk>,
    pub(super) written: Mutex<Vec<Written>>,
    pub(super) said: Mutex<Vec<Said>>,
    tokens: AtomicU32,
}

impl Traffic {
    /// Six direct rooms and a group, each with its numbers.
    pub(super) async fn prepare(stage: &Stage) -> Self {
        let gateway = stage.gateways.worker().await;
        let mut people = Vec::new();
        for name in ["alice", "bob"] {
            let user = stage.homeserver.register(name).await;
            gateway.top_up(&user.id, "1000");
            people.push(user);
        }
        let mut talks = Vec::new();
        for (writer, user) in people.iter().enumerate() {
            for phone in [HELD[0], AGAIN[0], AGAIN[1]] {
                let room = user.direct_room(&ghost(phone)).await;
                talks.push(greet(stage, user, (writer, room), &[phone]).await);
            }
        }
        let ghosts = HELD.map(ghost);
        let room = people[0].group("everyone", &[&ghosts[0], &ghosts[1]]).await;
        talks.push(greet(stage, &people[0], (0, room), &HELD).await);
        Self {
            people,
            talks,
            written: Mutex::default(),
            said: Mutex::default(),
            tokens: AtomicU32::new(HELLO + 1),
        }
    }

    /// Everybody writes until it is `over`.
    pub(super) async fn flow(&self, mut dice: Dice, phones: &Sim, over: &CancellationToken) {
        let mut writers = Vec::new();
        let mut speakers = Vec::new();
        for talk in 0..self.talks.len() {
            writers.push(self.write(dice.fork(), talk, over));
            for end in 0..self.talks[talk].ends.len() {
                speakers.push(self.say(dice.fork(), (talk, end), phones, over));
            }
        }
        tokio::join!(join_all(writers), join_all(speakers));
    }

    async fn write(&self, mut dice: Dice, talk: usize, over: &CancellationToken) {
        while !over.is_cancelled() {
            self.write_once(&mut dice, talk).await;
            dice.wait(200, 1_000).await;
        }
    }

    /// Writes one text into a room.
    pub(super) async fn write_once(&self, dice: &mut Dice, talk: usize) {
        let Talk { room, writer, .. } = &self.talks[talk];
        let (token, body) = self.words(dice);
        let event = self.people[*writer].insists(room, &body).await;
        self.written.lock().expect("a lock").push(Written {
            token,
            talk,
            event,
            body,
            at: now(),
        });
    }

    async fn say(
        &self,
        mut dice: Dice,
        (talk, end): (usize, usize),
        phones: &Sim,
        over: &CancellationToken,
    ) {
        let End { phone, vmn } = &self.talks[talk].ends[end];
        while !over.is_cancelled() {
            let (token, body) = self.words(&mut dice);
            let order = *dice.pick(&["natural", "reversed", "shuffled"]);
            let sms = json!({ "to": vmn, "text": body, "order": order,
                "account": "gateway", "redeliver": true });
            self.said.lock().expect("a lock").push(Said {
                token,
                talk,
                end,
                body,
            });
            while !phones.may_write(phone, &sms).await && !over.is_cancelled() {
                dice.wait(20, 100).await;
            }
            dice.wait(300, 1_300).await;
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

    /// Whether every text that people wrote is marked as sent or delivered or answered with a reason, by each
    /// phone of its room. An SMSC that was killed owes some of them a receipt for ever.
    pub(super) async fn all_have_their_fate(&self) -> bool {
        for (number, talk) in self.talks.iter().enumerate() {
            let timeline = self.people[talk.writer].read(&talk.room).await;
            let ghosts: Vec<String> = talk.ends.iter().map(|end| ghost(end.phone)).collect();
            let written = self.written.lock().expect("a lock");
            let mut here = written.iter().filter(|one| one.talk == number);
            if here.any(|one| ghosts.iter().any(|by| !has_fate(&timeline, by, &one.event))) {
                return false;
            }
        }
        true
    }
}

fn has_fate(timeline: &Timeline, by: &str, event: &str) -> bool {
    timeline.has_check(by, event)
        || timeline.has_status(by, event)
        || timeline.replies(event).any(|reply| reply["sender"] == *by)
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

/// The first text of a room, which its phones hear from the numbers that they know it by.
async fn greet(
    stage: &Stage,
    user: &User,
    (writer, room): (usize, String),
    phones: &[&'static str],
) -> Talk {
    for phone in phones {
        until("the phone joins", async || {
            let timeline = user.read(&room).await;
            let member = timeline.membership(&ghost(phone))?;
            (member["membership"] == "join").then_some(())
        })
        .await;
    }
    let hello = format!("{}{}", name(HELLO), room.trim_start_matches('!'));
    user.write(&room, &hello).await;
    let mut ends = Vec::new();
    for phone in phones {
        let vmn = until("the phone hears of its room", async || {
            let ledger = stage.links.ledger();
            let is_it = |one: &&Segment| one.to == *phone && one.text().ends_with(&hello);
            ledger
                .submits
                .iter()
                .find(is_it)
                .map(|one| one.from.clone())
        });
        let vmn = vmn.await;
        ends.push(End { phone, vmn });
    }
    Talk { room, writer, ends }
}
