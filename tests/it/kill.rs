//! Crashes by the dozen: texts travel both ways while the gateway is killed at random moments, its
//! links are cut and its homeserver restarts. Afterwards every text is accounted for.
//!
//! `KILL_SEED` replays one campaign; `KILL_ROUNDS` runs so many, each with the next seed. The seed
//! fixes what is done and when; the processes are real, so that what they make of it varies.
//! `KILL_KEEP` names a folder that gets all data and logs of campaigns that fail.

mod traffic;
mod verdict;

use std::path::Path;
use std::process::Command;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::dice::Dice;
use crate::support::gateway::{Gateway, PRICE, Plan};
use crate::support::sim::Sim;
use crate::support::synapse::Synapse;
use crate::support::world::World;
use traffic::Traffic;

/// How often the gateway dies in one campaign.
const KILLS: u64 = 8;

/// The seed of the ordinary run.
const SEED: u64 = 1;

#[tokio::test(flavor = "multi_thread")]
async fn whoever_dies_whenever_every_text_is_accounted_for() {
    let (first, rounds) = (number("KILL_SEED", SEED), number("KILL_ROUNDS", 1));
    for seed in first..first + rounds {
        campaign(seed).await;
    }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(otherwise, |text| text.parse().expect("a whole number"))
}

async fn campaign(seed: u64) {
    let mut dice = Dice::new(seed);
    let links = *dice.pick(&["one transceiver", "two transceivers", "a pair"]);
    let mut world = World::with(|plan| set_up(plan, links)).await;
    let traffic = Traffic::prepare(&world).await;
    let over = CancellationToken::new();
    let (mut ours, theirs) = (dice.fork(), dice.fork());
    let World {
        gateway,
        synapse,
        sim,
        ..
    } = &mut world;
    let chaos = async {
        havoc(&mut ours, gateway, sim).await;
        restart(&mut ours, gateway, synapse, &traffic).await;
        havoc(&mut ours, gateway, sim).await;
        over.cancel();
    };
    tokio::join!(chaos, traffic.flow(theirs, sim, &over));
    sim.behave(json!({ "reset": true })).await;
    let verdict = verdict::judge(&mut world, &traffic).await;
    eprintln!("seed {seed}, {links}, {KILLS} kills\n{verdict}");
    if !verdict.problems.is_empty() {
        keep(world.home(), seed);
    }
    assert!(
        verdict.problems.is_empty(),
        "KILL_SEED={seed} ({links}):\n{}",
        verdict.problems.join("\n")
    );
    world.gateway.stop().await;
}

/// Copies a campaign's folder to where somebody can look at it.
fn keep(home: &Path, seed: u64) {
    let Some(folder) = std::env::var_os("KILL_KEEP") else {
        return;
    };
    let copied = Command::new("cp")
        .arg("-r")
        .arg(home)
        .arg(Path::new(&folder).join(format!("seed-{seed}")))
        .status();
    assert!(copied.is_ok_and(|status| status.success()), "cannot copy");
}

/// Two routes, one for each way to treat what was on the wire when the gateway died.
fn set_up(plan: &mut Plan, links: &str) {
    plan.prefix = "4477009001";
    plan.route
        .push_str("\nuncertain = \"hold\"\nuncertain_hold = \"3s\"");
    plan.bind = match links {
        "a pair" => "pair",
        _ => "transceiver",
    };
    plan.more = format!(
        r#"
[[route]]
name = "again"
prefixes = ["4477009002"]
link_group = "operator"
price = "{PRICE}"
originator = {{ pool = "uk" }}
uncertain = "resend"

[limits]
retry_first = "100ms"
retry_cap = "1s"
"#
    );
    if links == "two transceivers" {
        plan.link.push_str(SECOND_LINK);
        plan.link = format!("{}\naddress = \"127.0.0.1:{}\"", plan.link, plan.smsc);
    }
}

const SECOND_LINK: &str = r#"
[[link_group.link]]
name = "b"
bind = "transceiver"
system_id = "gateway"
password = "secret"
reconnect_first = "100ms"
reconnect_cap = "1s""#;

/// Kills the gateway again and again, at moments from its very start to full work.
async fn havoc(dice: &mut Dice, gateway: &mut Gateway, sim: &Sim) {
    for _ in 0..KILLS / 2 {
        let delay = dice.between(0, 120);
        sim.behave(json!({ "response_delay_ms": delay })).await;
        match dice.between(0, 3) {
            0 => dice.wait(20, 400).await,
            1 => dice.wait(400, 1_200).await,
            _ => dice.wait(1_200, 2_200).await,
        }
        if dice.one_in(2) {
            sim.drop_binds().await;
            dice.wait(0, 300).await;
        }
        if dice.one_in(3) {
            let status = *dice.pick(&["ESME_RTHROTTLED", "ESME_RMSGQFUL", "ESME_RSYSERR"]);
            sim.behave(json!({ "submit_status": status, "next": 2 }))
                .await;
            dice.wait(0, 200).await;
        }
        gateway.kill().await;
        dice.wait(0, 200).await;
        gateway.launch();
    }
}

/// Restarts the homeserver, and kills the gateway meanwhile. Phones go on writing; people rest: what
/// they say is Synapse's to keep until it has handed it over, and it forgets or delays what it was
/// handing over when it stopped. Nothing is done where texts stay without a fate: the verdict tells.
async fn restart(dice: &mut Dice, gateway: &mut Gateway, synapse: &mut Synapse, traffic: &Traffic) {
    let registration = gateway.registration();
    let people = traffic.people_rest.write().await;
    let phones = traffic.phones_rest.write().await;
    if !traffic.settle(gateway).await {
        return;
    }
    drop(phones);
    synapse.stop().await;
    dice.wait(0, 1_500).await;
    gateway.kill().await;
    gateway.launch();
    synapse.start(Some(&registration)).await;
    drop(people);
}
