//! What became of every text, and of the money.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::evidence::{Evidence, descents};
use super::plan::Plan;
use super::quiet;
use super::stage::{Stage, WINDOW};
use super::table::Table;
use super::traffic::{End, HELLO, Said, Traffic, Written, token_of};
use crate::support::gateway::{Gateway, PRICE};
use crate::support::room::{says, text};
use crate::support::world::ghost;

/// The whole account of a campaign.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) table: Table,
    /// What must not be; empty where all is well.
    pub(super) problems: Vec<String>,
    /// From the homeserver to the SMSC.
    pub(super) longest_wait: Duration,
    /// Nothing was on its way any more when it was counted.
    pub(super) is_settled: bool,
}

/// Waits until nothing moves any more, then counts.
pub(super) async fn judge(stage: &mut Stage, traffic: &Traffic, plan: &Plan) -> Verdict {
    let mut verdict = Verdict::default();
    verdict.table.kills = plan.kill_count();
    let settled = quiet::settle(stage, traffic, plan).await;
    verdict.is_settled = settled.is_ok();
    verdict.problems.extend(settled.err());
    let evidence = Evidence::collect(stage, traffic).await;
    let gateway = stage.gateways.worker().await;
    for (talk, one) in traffic.talks.iter().enumerate() {
        for end in 0..one.ends.len() {
            let at = (talk, end);
            verdict.judge_events(gateway, traffic, &evidence, at);
            verdict.judge_relays(traffic, &evidence, at);
            verdict.judge_answers(traffic, &evidence, at);
        }
    }
    verdict.judge_duplicates(stage, plan);
    verdict.judge_leases(gateway, traffic, &evidence);
    verdict.judge_money(gateway, traffic, &evidence);
    verdict
}

fn explain(gateway: &Gateway, event: &str) -> String {
    let history = gateway.ask(&["explain", event]);
    history.unwrap_or_else(|complaint| complaint)
}

fn is_flagged(gateway: &Gateway, event: &str) -> bool {
    explain(gateway, event).contains("sent again")
}

impl Verdict {
    /// What people wrote is with a phone, or the room says why not.
    fn judge_events(
        &mut self,
        gateway: &Gateway,
        traffic: &Traffic,
        evidence: &Evidence,
        (talk, place): (usize, usize),
    ) {
        let end = &traffic.talks[talk].ends[place];
        let written = traffic.written.lock().expect("a lock");
        let here: Vec<&Written> = written.iter().filter(|one| one.talk == talk).collect();
        let mut places = HashMap::new();
        for one in &here {
            self.judge_event(gateway, evidence, end, one);
            if let Some(place) = evidence.places.get(&one.event) {
                places.insert(one.token, *place);
            }
        }
        let mut late = evidence.late(end, &places);
        late.retain(|token| {
            let one = here.iter().find(|one| one.token == *token);
            // What was uncertain was sent again, or was still under way on a link that is gone.
            one.is_some_and(|one| !explain(gateway, &one.event).contains("uncertain"))
        });
        self.table.to_phones.reordered += late.len();
        self.complain(!late.is_empty(), || {
            format!("{end:?}: late by their transactions: {late:?}")
        });
    }

    fn judge_event(&mut self, gateway: &Gateway, evidence: &Evidence, end: &End, one: &Written) {
        let room = &evidence.rooms[one.talk];
        let by = ghost(end.phone);
        let told = room.replies(&one.event).any(|reply| reply["sender"] == by);
        let copies = evidence.at_phone(end, one.token);
        let sent = copies.whole > 0;
        let arrived = evidence.first_at(end, one.token);
        let waited = arrived.map(|at| at.saturating_duration_since(one.at));
        self.longest_wait = self.longest_wait.max(waited.unwrap_or_default());
        let lost = !sent && !told;
        let sums = &mut self.table.to_phones;
        sums.accepted += 1;
        sums.sent += usize::from(sent);
        sums.delivered += usize::from(room.has_check(&by, &one.event));
        sums.told += usize::from(!sent && told);
        sums.lost += usize::from(lost);
        self.complain(lost, || {
            format!(
                "{one:?} is not at {end:?}\n{}",
                explain(gateway, &one.event)
            )
        });
        let words = sent.then(|| evidence.words(end, one.token));
        let wrong = words.is_some_and(|words| !words.ends_with(&one.body));
        self.complain(wrong, || format!("{one:?} says something else at {end:?}"));
        if copies.repeats == 0 {
            return;
        }
        let flagged = is_flagged(gateway, &one.event);
        let sums = &mut self.table.to_phones;
        sums.flagged += if flagged { copies.repeats } else { 0 };
        sums.doubled += if flagged { 0 } else { copies.repeats };
        self.complain(!flagged, || {
            format!(
                "{one:?} is doubled at {end:?}\n{}",
                explain(gateway, &one.event)
            )
        });
    }

    /// What a phone of a group says is with each other phone of it once, or the room says why not.
    fn judge_relays(
        &mut self,
        traffic: &Traffic,
        evidence: &Evidence,
        (talk, place): (usize, usize),
    ) {
        let ends = &traffic.talks[talk].ends;
        let end = &ends[place];
        let said = traffic.said.lock().expect("a lock");
        let mut missing = Vec::new();
        for (from, speaker) in ends.iter().enumerate().filter(|(from, _)| *from != place) {
            let mut order = HashMap::new();
            for one in heard(&said, evidence, (talk, from), speaker) {
                let copies = evidence.at_phone(end, one.token);
                let sums = &mut self.table.relayed;
                sums.accepted += 1;
                sums.sent += usize::from(copies.whole > 0);
                let unheard = evidence.was_unheard(speaker, one.token);
                sums.unheard += if unheard { copies.repeats } else { 0 };
                sums.doubled += if unheard { 0 } else { copies.repeats };
                self.complain(copies.repeats > 0 && !unheard, || {
                    format!("{one:?} is doubled at {end:?}")
                });
                missing.extend((copies.whole == 0).then_some(one.token));
                order.insert(one.token, usize::try_from(one.token).unwrap_or(0));
            }
            let late = evidence.late(end, &order);
            self.table.relayed.reordered += late.len();
            self.complain(!late.is_empty(), || format!("{end:?}: {late:?} came late"));
        }
        let notices = evidence.rooms[talk].messages().filter(|event| {
            event["sender"] == ghost(end.phone)
                && says(event, &["did not reach"])
                && event["content"]["m.relates_to"].is_null()
        });
        let told = notices.count().min(missing.len());
        self.table.relayed.told += told;
        self.table.relayed.lost += missing.len() - told;
        self.complain(missing.len() > told, || {
            format!("{missing:?} are not at {end:?}, only {told} told")
        });
    }

    /// What a phone says is in its room once, and nowhere else.
    fn judge_answers(
        &mut self,
        traffic: &Traffic,
        evidence: &Evidence,
        (talk, place): (usize, usize),
    ) {
        let end = &traffic.talks[talk].ends[place];
        let by = ghost(end.phone);
        let said = traffic.said.lock().expect("a lock");
        for one in said
            .iter()
            .filter(|one| (one.talk, one.end) == (talk, place))
        {
            let copies = evidence.rooms[talk].texts(&by, &one.body);
            let accepted = evidence.was_heard(end, one.token);
            let sums = &mut self.table.to_rooms;
            sums.accepted += usize::from(accepted);
            sums.sent += usize::from(accepted && copies > 0);
            sums.delivered += usize::from(accepted && copies > 0);
            sums.lost += usize::from(accepted && copies == 0);
            let more = copies.saturating_sub(1);
            let unheard = evidence.was_unheard(end, one.token);
            sums.unheard += if unheard { more } else { 0 };
            sums.doubled += if unheard { 0 } else { more };
            let wrong = (more > 0 && !unheard) || (accepted && copies == 0);
            self.complain(wrong, || format!("{one:?} is {copies} times in its room"));
            let rooms = evidence.rooms.iter().enumerate();
            let elsewhere = rooms.filter(|(room, timeline)| {
                let mut messages = timeline.messages();
                *room != talk && messages.any(|event| event["content"]["body"] == *one.body)
            });
            let elsewhere = elsewhere.count();
            self.table.leases += elsewhere;
            self.complain(elsewhere > 0, || format!("{one:?} is in another room"));
        }
        let spoken = evidence.rooms[talk]
            .messages()
            .filter(|event| event["sender"] == *by && event["content"]["msgtype"] == "m.text");
        let tokens = spoken.filter_map(|event| token_of(text(&event["content"]["body"])));
        let order = tokens.map(|token| (usize::try_from(token).unwrap_or(0), token));
        let late = descents(order);
        self.table.to_rooms.reordered += late.len();
        self.complain(!late.is_empty(), || format!("{late:?} came late in a room"));
    }

    /// Only what was under way when something broke, or met with a mishap, may be doubled.
    fn judge_duplicates(&mut self, stage: &Stage, plan: &Plan) {
        let breaks = plan.breaks() + stage.gateways.ended_by_itself;
        let mishaps = usize::try_from(stage.links.struck()).unwrap_or(usize::MAX);
        self.table.may_double = breaks * WINDOW * stage.count_of_links() + mishaps;
        let flagged = self.table.to_phones.flagged;
        let too_many = flagged > self.table.may_double;
        self.complain(too_many, || format!("{flagged} are doubled"));
    }

    /// A number and a phone serve one conversation, to the end.
    fn judge_leases(&mut self, gateway: &Gateway, traffic: &Traffic, evidence: &Evidence) {
        let astray = evidence.astray(traffic);
        self.table.leases += astray.len();
        self.complain(!astray.is_empty(), || format!("astray: {astray:?}"));
        let list = gateway.cli(&["lease", "list"]);
        let pairs: HashSet<&str> = list
            .lines()
            .filter_map(|line| line.split("  conversation").next())
            .collect();
        let ends: usize = traffic.talks.iter().map(|talk| talk.ends.len()).sum();
        let unique = pairs.len() == list.lines().count() && pairs.len() == ends;
        self.table.leases += usize::from(!unique);
        self.complain(!unique, || list.clone());
        let aside = gateway.cli(&["queue", "list"]);
        let nothing = aside.lines().all(|line| line.contains("nothing"));
        self.complain(!nothing, || aside.clone());
    }

    /// The ledger adds up, nothing is reserved for nothing, and nobody paid for more segments than
    /// the SMSC took.
    fn judge_money(&mut self, gateway: &Gateway, traffic: &Traffic, evidence: &Evidence) {
        if let Err(differences) = gateway.ask(&["credit", "audit"]) {
            self.table.drift += differences.lines().count();
            self.problems.push(differences);
        }
        let price = micros(&format!("price {PRICE}"), "price");
        for (payer, user) in traffic.people.iter().enumerate() {
            let line = gateway.balance(&user.id);
            let amounts = ["balance", "reserved", "spent", "paid in"].map(|of| micros(&line, of));
            let [balance, reserved, spent, paid_in] = amounts;
            let adds_up = balance + reserved + spent == paid_in && spent % price == 0;
            self.table.drift += usize::from(!adds_up || reserved != 0);
            self.complain(!adds_up || reserved != 0, || line.clone());
            let taken = segments_for(payer, traffic, evidence);
            let overpaid = (spent / price - taken).max(0);
            self.table.overpaid += overpaid;
            self.complain(overpaid > 0, || {
                format!("{taken} segments were taken: {line}")
            });
        }
    }

    fn complain(&mut self, wrong: bool, problem: impl FnOnce() -> String) {
        if wrong {
            self.problems.push(problem());
        }
    }
}

/// What a phone said and the gateway took.
fn heard<'a>(
    said: &'a [Said],
    evidence: &Evidence,
    at: (usize, usize),
    speaker: &End,
) -> Vec<&'a Said> {
    let of_phone = said.iter().filter(|one| (one.talk, one.end) == at);
    of_phone
        .filter(|one| evidence.was_heard(speaker, one.token))
        .collect()
}

/// How many segments the SMSC took that a user pays for, each counted once. All phones of a talk are
/// there by the invitation of who writes in it.
fn segments_for(payer: usize, traffic: &Traffic, evidence: &Evidence) -> i64 {
    let written = traffic.written.lock().expect("a lock");
    let said = traffic.said.lock().expect("a lock");
    let mut tokens: HashSet<u32> = [HELLO].into();
    tokens.extend(written.iter().map(|one| one.token));
    tokens.extend(said.iter().map(|one| one.token));
    let talks = traffic.talks.iter().filter(|talk| talk.writer == payer);
    let ends = talks.flat_map(|talk| &talk.ends);
    let count: usize = ends.map(|end| evidence.segments_of(end, &tokens)).sum();
    i64::try_from(count).expect("a count")
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
