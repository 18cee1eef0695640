//! What became of every text, and of the money.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde_json::Value;

use super::traffic::{End, Traffic, Written, token_of};
use crate::support::gateway::{Gateway, PRICE};
use crate::support::room::{Timeline, says, text};
use crate::support::wait::{PATIENCE, until};
use crate::support::world::{World, ghost};

/// What may wait in the gateway's store; nothing of it does in the end.
const WAITING: [&str; 8] = [
    "inbox",
    "set_aside",
    "queued_segments",
    "intent_segments",
    "uncertain_segments",
    "outbox",
    "sms",
    "partial_sms",
];

/// The sums of one direction.
#[derive(Debug, Default)]
struct Sums {
    /// Texts whose sender was told that they are taken.
    accepted: usize,
    /// Of those, how many reached the other side.
    delivered: usize,
    /// Did not, and the room says so.
    told: usize,
    /// Did not, and nobody says so.
    lost: usize,
    /// More copies than one, of what is flagged as a possible duplicate.
    again: usize,
    /// More copies than one, of anything else.
    doubled: usize,
    /// Overtook an earlier one.
    reordered: usize,
}

/// The whole account of a campaign.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    to_phones: Sums,
    relayed: Sums,
    to_rooms: Sums,
    drift: usize,
    /// What must not be; empty where all is well.
    pub(super) problems: Vec<String>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<16}{:>9}{:>10}{:>6}{:>6}{:>8}{:>9}{:>10}",
            "", "accepted", "delivered", "told", "lost", "resent", "doubled", "reordered"
        )?;
        for (name, sums) in [
            ("room to phone", &self.to_phones),
            ("phone to phone", &self.relayed),
            ("phone to room", &self.to_rooms),
        ] {
            writeln!(
                f,
                "{name:<16}{:>9}{:>10}{:>6}{:>6}{:>8}{:>9}{:>10}",
                sums.accepted,
                sums.delivered,
                sums.told,
                sums.lost,
                sums.again,
                sums.doubled,
                sums.reordered
            )?;
        }
        write!(f, "credit drift: {}", self.drift)
    }
}

/// Waits until nothing moves any more, then counts.
pub(super) async fn judge(world: &mut World, traffic: &Traffic) -> Verdict {
    let mut verdict = Verdict::default();
    if !traffic.settle(&mut world.gateway).await {
        let waiting = traffic.waiting.lock().expect("a lock").clone();
        verdict
            .problems
            .push(format!("texts without a fate: {waiting:?}"));
    }
    if tokio::time::timeout(PATIENCE, quiet(world)).await.is_err() {
        let problem = format!("never quiet: {:?}", world.gateway.waiting(&WAITING).await);
        verdict.problems.push(problem);
    }
    let evidence = Evidence::collect(world, traffic).await;
    for (talk, one) in traffic.talks.iter().enumerate() {
        for end in 0..one.ends.len() {
            let at = (talk, end);
            verdict.judge_events(&world.gateway, traffic, &evidence, at);
            verdict.judge_relays(traffic, &evidence, at);
            verdict.judge_answers(traffic, &evidence, at);
        }
    }
    verdict.judge_strays(traffic, &evidence);
    verdict.judge_money(&world.gateway, traffic);
    verdict.judge_leases(&world.gateway, traffic);
    verdict
}

/// Until nothing waits.
async fn quiet(world: &World) {
    until("nothing waits", async || {
        let idle =
            world.gateway.waiting(&WAITING).await.is_empty() && world.sim.waiting().await == 0;
        idle.then_some(())
    })
    .await;
}

/// A segment that the SMSC accepted.
#[derive(Debug)]
struct Arrival {
    phone: String,
    vmn: String,
    payload: String,
    token: Option<u32>,
}

impl Arrival {
    fn of(submit: &Value) -> Option<Self> {
        (submit["status"] == "ESME_ROK").then(|| Self {
            phone: text(&submit["destination"]).to_owned(),
            vmn: text(&submit["source"]).to_owned(),
            payload: text(&submit["payload"]).to_owned(),
            token: token_of(&readable(text(&submit["payload"]))),
        })
    }

    fn is_at(&self, end: &End) -> bool {
        self.phone == end.phone && self.vmn == end.vmn
    }
}

/// The ASCII of a payload, whether of 8 or of 16 bits a character.
fn readable(hex: &str) -> String {
    let octet = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    let octets = (0..hex.len()).step_by(2).filter_map(octet);
    octets
        .filter(u8::is_ascii_graphic)
        .map(char::from)
        .collect()
}

/// What phones and rooms hold in the end.
#[derive(Debug)]
struct Evidence {
    arrivals: Vec<Arrival>,
    phones: HashMap<String, Vec<Value>>,
    rooms: Vec<Timeline>,
    /// The places of the homeserver's events in the gateway's inbox.
    inbox: HashMap<String, u32>,
}

impl Evidence {
    async fn collect(world: &World, traffic: &Traffic) -> Self {
        let mut phones = HashMap::new();
        let mut rooms = Vec::new();
        for talk in &traffic.talks {
            rooms.push(traffic.people[talk.writer].read(&talk.room).await);
            for end in &talk.ends {
                let received = world.sim.received(end.phone).await;
                phones.insert(end.phone.to_owned(), received);
            }
        }
        let submits = world.sim.submits().await;
        Self {
            arrivals: submits.iter().filter_map(Arrival::of).collect(),
            phones,
            rooms,
            inbox: inbox(&world.gateway),
        }
    }

    /// How many whole copies of a text are on a phone.
    fn copies(&self, end: &End, body: &str) -> usize {
        let received = &self.phones[end.phone];
        let is_it = |message: &&Value| {
            message["from"] == *end.vmn && text(&message["text"]).ends_with(body)
        };
        received.iter().filter(is_it).count()
    }

    /// How many segments of a text came more than once.
    fn repeats(&self, end: &End, token: u32) -> usize {
        let mut seen = HashSet::new();
        let segments = self.arrivals.iter();
        let of_text = segments.filter(|one| one.is_at(end) && one.token == Some(token));
        of_text
            .filter(|one| !seen.insert(one.payload.clone()))
            .count()
    }

    /// The places of texts that came to a phone after one of a later place, by first segments.
    fn late(&self, end: &End, places: &HashMap<u32, u32>) -> Vec<u32> {
        let mut seen = HashSet::new();
        let here = self.arrivals.iter().filter(|one| one.is_at(end));
        let order = here.filter_map(|one| one.token).filter_map(|token| {
            let first = seen.insert(token);
            first.then(|| places.get(&token).copied())?
        });
        descents(order)
    }
}

/// In which order the homeserver told its events: it may tell one late.
fn inbox(gateway: &Gateway) -> HashMap<String, u32> {
    let store = rusqlite::Connection::open_with_flags(
        gateway.data().join("gateway.db"),
        rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
    );
    let store = store.expect("the gateway's store");
    let mut events = store
        .prepare("SELECT event_id, seq FROM event")
        .expect("its events");
    let rows = events.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.expect("its events")
        .collect::<Result<_, _>>()
        .expect("ids and places")
}

/// The numbers that stand behind a greater one.
fn descents(order: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut greatest = 0;
    let mut late = Vec::new();
    for token in order {
        if token < greatest {
            late.push(token);
        }
        greatest = greatest.max(token);
    }
    late
}

impl Verdict {
    fn judge_events(
        &mut self,
        gateway: &Gateway,
        traffic: &Traffic,
        evidence: &Evidence,
        (talk, place): (usize, usize),
    ) {
        let end = &traffic.talks[talk].ends[place];
        let written = traffic.written.lock().expect("a lock");
        let mut in_order = HashMap::new();
        for one in written.iter().filter(|one| one.talk == talk) {
            let flagged = self.judge_event(gateway, evidence, end, one);
            if let (false, Some(place)) = (flagged, evidence.inbox.get(&one.event)) {
                in_order.insert(one.token, *place);
            }
        }
        let late = evidence.late(end, &in_order);
        self.to_phones.reordered += late.len();
        self.complain(!late.is_empty(), || {
            format!("{end:?}: late by their places in the inbox: {late:?}")
        });
    }

    /// True where the text is flagged as a possible duplicate.
    fn judge_event(
        &mut self,
        gateway: &Gateway,
        evidence: &Evidence,
        end: &End,
        one: &Written,
    ) -> bool {
        let explain = || {
            let history = gateway.ask(&["explain", &one.event]);
            history.unwrap_or_else(|complaint| complaint)
        };
        let told = evidence.rooms[one.talk]
            .replies(&one.event)
            .any(|reply| reply["sender"] == ghost(end.phone));
        let copies = evidence.copies(end, &one.body);
        let repeats = evidence.repeats(end, one.token);
        let sums = &mut self.to_phones;
        sums.accepted += 1;
        sums.delivered += usize::from(copies > 0);
        sums.told += usize::from(copies == 0 && told);
        let lost = copies == 0 && !told;
        sums.lost += usize::from(lost);
        self.complain(lost, || format!("{one:?} is not at {end:?}\n{}", explain()));
        let flagged = explain().contains("sent again");
        if repeats > 0 || copies > 1 {
            let again = repeats.max(copies.saturating_sub(1));
            self.to_phones.again += if flagged { again } else { 0 };
            self.to_phones.doubled += if flagged { 0 } else { again };
            self.complain(!flagged, || {
                format!("{one:?} is {copies} times at {end:?}\n{}", explain())
            });
        }
        flagged
    }

    /// What a phone of a group says is with each other phone of it once.
    fn judge_relays(
        &mut self,
        traffic: &Traffic,
        evidence: &Evidence,
        (talk, place): (usize, usize),
    ) {
        let end = &traffic.talks[talk].ends[place];
        let said = traffic.said.lock().expect("a lock");
        let mut missing = Vec::new();
        for from in (0..traffic.talks[talk].ends.len()).filter(|from| *from != place) {
            let of_phone = said
                .iter()
                .filter(|one| (one.talk, one.end) == (talk, from) && one.accepted);
            let mut tokens = HashMap::new();
            for one in of_phone {
                let copies = evidence.copies(end, &one.body);
                let doubled = evidence
                    .repeats(end, one.token)
                    .max(copies.saturating_sub(1));
                self.relayed.accepted += 1;
                self.relayed.delivered += usize::from(copies > 0);
                self.relayed.doubled += doubled;
                self.complain(doubled > 0, || format!("{one:?} is doubled at {end:?}"));
                missing.extend((copies == 0).then_some(one.token));
                tokens.insert(one.token, one.token);
            }
            let late = evidence.late(end, &tokens);
            self.relayed.reordered += late.len();
            self.complain(!late.is_empty(), || format!("{end:?}: {late:?} came late"));
        }
        let notices = evidence.rooms[talk].messages().filter(|event| {
            event["sender"] == ghost(end.phone)
                && says(event, &["did not reach"])
                && event["content"]["m.relates_to"].is_null()
        });
        let told = notices.count().min(missing.len());
        self.relayed.told += told;
        self.relayed.lost += missing.len() - told;
        let lost = missing.len() > told;
        self.complain(lost, || {
            format!("{missing:?} are not at {end:?}, only {told} told")
        });
    }

    /// What a phone says is in its room once.
    fn judge_answers(
        &mut self,
        traffic: &Traffic,
        evidence: &Evidence,
        (talk, place): (usize, usize),
    ) {
        let by = ghost(traffic.talks[talk].ends[place].phone);
        let said = traffic.said.lock().expect("a lock");
        let of_phone = said
            .iter()
            .filter(|one| (one.talk, one.end) == (talk, place));
        for one in of_phone {
            let copies = evidence.rooms[talk].texts(&by, &one.body);
            let sums = &mut self.to_rooms;
            sums.accepted += usize::from(one.accepted);
            sums.delivered += usize::from(one.accepted && copies > 0);
            sums.lost += usize::from(one.accepted && copies == 0);
            sums.doubled += copies.saturating_sub(1);
            let wrong = copies > 1 || (one.accepted && copies == 0);
            self.complain(wrong, || format!("{one:?} is {copies} times in its room"));
        }
        let spoken = evidence.rooms[talk]
            .messages()
            .filter(|event| event["sender"] == *by && event["content"]["msgtype"] == "m.text");
        let late = descents(spoken.filter_map(|event| token_of(text(&event["content"]["body"]))));
        self.to_rooms.reordered += late.len();
        self.complain(!late.is_empty(), || format!("{late:?} came late in a room"));
    }

    /// Nothing is where it does not belong.
    fn judge_strays(&mut self, traffic: &Traffic, evidence: &Evidence) {
        let ends: Vec<&End> = traffic.talks.iter().flat_map(|talk| &talk.ends).collect();
        let astray = evidence
            .arrivals
            .iter()
            .filter(|one| !ends.iter().any(|end| one.is_at(end)));
        let astray: Vec<_> = astray.collect();
        self.complain(!astray.is_empty(), || format!("astray: {astray:?}"));
        let said = traffic.said.lock().expect("a lock");
        for one in said.iter() {
            let rooms = evidence.rooms.iter().enumerate();
            let elsewhere = rooms.filter(|(room, timeline)| {
                *room != one.talk
                    && timeline
                        .messages()
                        .any(|event| event["content"]["body"] == *one.body)
            });
            let elsewhere = elsewhere.count();
            self.complain(elsewhere > 0, || format!("{one:?} is in another room"));
        }
    }

    fn judge_money(&mut self, gateway: &Gateway, traffic: &Traffic) {
        if let Err(differences) = gateway.ask(&["credit", "audit"]) {
            self.drift += differences.lines().count();
            self.problems.push(differences);
        }
        for user in &traffic.people {
            let line = gateway.balance(&user.id);
            let amounts = ["balance", "reserved", "spent", "paid in"].map(|of| micros(&line, of));
            let [balance, reserved, spent, paid_in] = amounts;
            let price = micros(&format!("price {PRICE}"), "price");
            let adds_up = balance + reserved + spent == paid_in && spent % price == 0;
            self.drift += usize::from(!adds_up);
            self.complain(!adds_up || reserved != 0, || line.clone());
        }
    }

    fn judge_leases(&mut self, gateway: &Gateway, traffic: &Traffic) {
        let list = gateway.cli(&["lease", "list"]);
        let pairs: HashSet<&str> = list
            .lines()
            .filter_map(|line| line.split("  conversation").next())
            .collect();
        let ends: usize = traffic.talks.iter().map(|talk| talk.ends.len()).sum();
        let unique = pairs.len() == list.lines().count() && pairs.len() == ends;
        self.complain(!unique, || list.clone());
    }

    fn complain(&mut self, wrong: bool, problem: impl FnOnce() -> String) {
        if wrong {
            self.problems.push(problem());
        }
    }
}

/// The amount that stands behind a word.
fn micros(line: &str, word: &str) -> i64 {
    let rest = line.split_once(&format!("{word} "));
    let amount = rest.and_then(|(_, rest)| rest.split_whitespace().next());
    let amount = amount.unwrap_or_else(|| panic!("no {word} in {line}"));
    let (whole, decimals) = amount.split_once('.').unwrap_or((amount, ""));
    let digits = format!("{whole}{decimals:0<6}");
    digits
        .parse()
        .unwrap_or_else(|_| panic!("no amount: {amount}"))
}
