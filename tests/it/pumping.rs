//! A script of several accounts texts the numbers of an expensive range, one after the other.

use std::collections::BTreeSet;

use tempfile::TempDir;

use crate::support::gateway::{Gateway, Plan};
use crate::support::room::text;
use crate::support::sim::Sim;
use crate::support::stub::Stub;
use crate::support::user::User;
use crate::support::wait::until;
use crate::support::world::{PHONE, ghost};

/// How many numbers the script texts.
const NUMBERS: u64 = 500;
/// The first of them.
const FIRST: u64 = 447_700_910_000;
/// What all of them begin with.
const RANGE: &str = "44770091";
/// A phone of that range whose owner somebody talks with.
const NEIGHBOUR: &str = "447700919999";
/// How many new phones of a range may be texted.
const MOST_PHONES: usize = 20;
/// How many texts the limit of a day pays for.
const MOST_TEXTS: usize = 30;
/// What a refusal says.
const FRAUD: &str = "limit of this gateway against fraud";
/// What the log says of the first one.
const WARNING: &str = "a limit refuses messages";

const LIMITS: &str = r#"
[limits]
invites_per_hour = 1000

[fraud]
spend_per_day = "1.5"
new_phones_per_prefix = 20
prefix_window = "1h"
"#;

/// A gateway with limits between a homeserver and an SMSC.
struct World {
    // Dropped from the top, so that nobody talks to a peer that is gone.
    gateway: Gateway,
    stub: Stub,
    sim: Sim,
    _home: TempDir,
}

impl World {
    async fn start() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let mut sim = Sim::prepare(home.path());
        let mut plan = Plan::new("", sim.smpp_port());
        let mut stub = Stub::prepare(home.path(), &plan.appservice_url());
        plan.homeserver = format!("http://127.0.0.1:{}", stub.port());
        LIMITS.clone_into(&mut plan.more);
        let mut gateway = Gateway::prepare(home.path(), &plan);
        sim.start_with(&[]).await;
        stub.launch();
        stub.ready().await;
        gateway.start().await;
        Self {
            gateway,
            stub,
            sim,
            _home: home,
        }
    }

    async fn person(&self, name: &str) -> User {
        let user = self.stub.register(name).await;
        self.gateway.top_up(&user.id, "100");
        user
    }

    /// Waits until nothing is left to do.
    async fn is_quiet(&self) {
        until("all is done", async || {
            let kinds = ["inbox", "outbox", "queued_segments", "intent_segments"];
            let told = self.stub.owed().await? == 0;
            let waits = self.gateway.may_wait(&kinds).await?;
            (told && waits.is_empty()).then_some(())
        })
        .await;
    }

    /// The phones of the range that were sent anything.
    async fn reached(&self) -> BTreeSet<String> {
        let submits = self.sim.submits().await;
        let to = submits
            .iter()
            .map(|submit| text(&submit["destination"]).to_owned());
        to.filter(|to| to.starts_with(RANGE)).collect()
    }
}

/// Texts every third number, from this one up to that one, as fast as the homeserver takes it. Gives the rooms.
async fn pump(user: &User, (from, to): (u64, u64)) -> Vec<String> {
    let mut rooms = Vec::new();
    for number in (from..to).step_by(3) {
        let phone = (FIRST + number).to_string();
        let room = user.direct_room(&ghost(&phone)).await;
        user.insists(&room, "Your code is 1234").await;
        rooms.push(room);
    }
    rooms
}

/// All three text their share of these numbers at once. Gives the rooms of each.
async fn pump_all(script: &[User; 3], (from, to): (u64, u64)) -> [Vec<String>; 3] {
    let [one, two, three] = script;
    tokio::join!(
        pump(one, (from, to)),
        pump(two, (from + 1, to)),
        pump(three, (from + 2, to)),
    )
    .into()
}

/// In how many of a person's rooms a text was refused; each is told once.
async fn refusals(user: &User, rooms: &[String]) -> usize {
    let mut refused = 0;
    for room in rooms {
        let timeline = user.read(room).await;
        let told = timeline.notices(&[FRAUD, "again from"]).count();
        assert!(told <= 1, "told {told} times");
        refused += told;
    }
    refused
}

/// An ordinary conversation: each writes, and the other reads it.
async fn talk(world: &World, user: &User, room: &str, words: &str) {
    user.insists(room, words).await;
    let received = world.sim.gets(NEIGHBOUR, words).await;
    let answer = format!("{words}, indeed");
    world
        .sim
        .writes(NEIGHBOUR, text(&received["from"]), &answer)
        .await;
    until("the phone's answer is in the room", async || {
        let timeline = user.read(room).await;
        (timeline.texts(&ghost(NEIGHBOUR), &answer) == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pumping_script_is_stopped_while_others_talk_and_after_a_crash() {
    let mut world = World::start().await;
    let carol = world.person("carol").await;
    let chat = carol.direct_room(&ghost(NEIGHBOUR)).await;
    talk(&world, &carol, &chat, "before").await;

    let script = [
        world.person("mallory1").await,
        world.person("mallory2").await,
        world.person("mallory3").await,
    ];
    let half = NUMBERS / 2;
    let (first, ()) = tokio::join!(
        pump_all(&script, (0, half)),
        talk(&world, &carol, &chat, "meanwhile"),
    );
    world.gateway.logs(WARNING).await;
    world.gateway.kill().await;
    world.gateway.start().await;
    let (second, ()) = tokio::join!(
        pump_all(&script, (half, NUMBERS)),
        talk(&world, &carol, &chat, "after the crash"),
    );
    world.is_quiet().await;

    let reached = world.reached().await;
    assert_eq!(reached.len(), MOST_PHONES, "{NEIGHBOUR} is one of them");
    let mut refused = 0;
    for ((user, first), second) in script.iter().zip(&first).zip(&second) {
        refused += refusals(user, first).await + refusals(user, second).await;
    }
    let sent = reached.len() - 1;
    assert_eq!(u64::try_from(refused + sent).expect("a count"), NUMBERS);
    let log = world.gateway.logged();
    assert_eq!(log.matches(WARNING).count(), 1, "once for its window");
    assert!(!log.contains(RANGE), "nobody's number is in the log");

    let listed = world.gateway.cli(&["limits", "list"]);
    let line = format!("new_phones_per_prefix  {RANGE}  20 new phones  of 20 new phones");
    assert!(listed.contains(&line), "{listed}");
    let clear = ["limits", "clear", "new_phones_per_prefix", RANGE];
    world.gateway.cli(&clear);
    let next = pump(&script[0], (NUMBERS, NUMBERS + 1)).await;
    world.is_quiet().await;
    assert_eq!(refusals(&script[0], &next).await, 0);
    assert_eq!(world.reached().await.len(), MOST_PHONES + 1);
    let audit = world.gateway.cli(&["credit", "audit"]);
    assert!(audit.contains("every account agrees"), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_account_spends_what_a_day_allows_and_a_crash_allows_no_more() {
    let mut world = World::start().await;
    let eve = world.person("eve").await;
    let room = eve.direct_room(&ghost(PHONE)).await;
    until("the phone joins", async || {
        let timeline = eve.read(&room).await;
        let member = timeline.membership(&ghost(PHONE))?;
        (member["membership"] == "join").then_some(())
    })
    .await;
    for _ in 0..MOST_TEXTS {
        eve.insists(&room, "more").await;
    }
    world.gateway.kill().await;
    world.gateway.start().await;
    for _ in 0..10 {
        eve.insists(&room, "and more").await;
    }
    world.is_quiet().await;
    // One whose bytes had not left when the gateway died is held.
    let submits = world.sim.submits().await.len();
    assert!(
        (MOST_TEXTS - 1..=MOST_TEXTS).contains(&submits),
        "{submits}"
    );
    let timeline = eve.read(&room).await;
    let told = timeline.notices(&[FRAUD, "1.5 EUR", "again from"]).count();
    assert_eq!(told, 10, "{timeline}");
    assert!(world.gateway.balance(&eve.id).contains("balance 98.5 "));
    let reason = [("reason", "spend_per_day")];
    let counted = world
        .gateway
        .metric("matrix_smpp_refused_messages_total", &reason);
    let counted = counted.await;
    assert!(
        counted >= 10,
        "{counted}: one that is judged again counts again"
    );
}
