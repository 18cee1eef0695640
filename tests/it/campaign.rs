//! The fault campaign: numbered texts travel both ways between real processes while each of them is
//! killed, paused and restarted, links are cut and go dead, single answers are lost, repeated and
//! late, the homeserver refuses, stalls and repeats itself, the disk fills and the clock jumps.
//! Afterwards every text and every coin is accounted for.
//!
//! A seed fixes what is done and when, and is printed with the whole plan before anything starts;
//! the processes are real, so that what they make of it varies.
//!
//! | variable | what it chooses |
//! |---|---|
//! | `CAMPAIGN_SEED` | the first seed |
//! | `CAMPAIGN_SEEDS` | how many campaigns, each with the next seed |
//! | `CAMPAIGN_SECONDS` | how long things go wrong in each |
//! | `CAMPAIGN_ENGINE` | what keeps the gateway's data: `sqlite` |
//! | `CAMPAIGN_KEEP` | a folder that gets all data and logs of campaigns that fail |

mod evidence;
mod plan;
mod quiet;
mod stage;
mod table;
mod traffic;
mod verdict;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::support::dice::Dice;
use crate::support::wait::now;
use plan::Plan;
use stage::{Engine, Kind, LINKS, Stage};
use traffic::Traffic;

/// The seed of the ordinary run.
const SEED: u64 = 1;

/// How long things go wrong in the ordinary run.
const SECONDS: u64 = 15;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_goes_wrong_every_text_and_every_coin_is_accounted_for() {
    campaigns(Kind::Stub).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_goes_wrong_beside_a_real_homeserver_every_text_is_accounted_for() {
    campaigns(Kind::Synapse).await;
}

async fn campaigns(kind: Kind) {
    let (first, count) = (number("SEED", SEED), number("SEEDS", 1));
    let mut failed = Vec::new();
    for seed in first..first + count {
        failed.extend(campaign(seed, kind).await);
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn given(variable: &str) -> Option<String> {
    std::env::var(format!("CAMPAIGN_{variable}")).ok()
}

fn number(variable: &str, otherwise: u64) -> u64 {
    given(variable).map_or(otherwise, |text| text.parse().expect("a whole number"))
}

/// One campaign. Returns what must not be.
async fn campaign(seed: u64, kind: Kind) -> Option<String> {
    let begun = now();
    let mut dice = Dice::new(seed);
    let links = *dice.pick(&LINKS);
    let engine = Engine::named(given("ENGINE").as_deref().unwrap_or("sqlite"));
    let mut stage = Stage::set(kind, engine, links).await;
    let lasts = Duration::from_secs(number("SECONDS", SECONDS));
    let (mut havoc, flow) = (dice.fork(), dice.fork());
    let plan = Plan::new(&mut havoc, lasts, stage.means());
    eprintln!("CAMPAIGN_SEED={seed} {kind:?} {engine:?}, {links}\n{plan}");
    let traffic = Traffic::prepare(&stage).await;
    let over = CancellationToken::new();
    let ready = begun.elapsed();
    let phones = stage.sim.seen_from_afar();
    let chaos = async {
        stage.play(&plan).await;
        over.cancel();
        stage.heal().await;
    };
    tokio::join!(chaos, traffic.flow(flow, &phones, &over));
    let ended = begun.elapsed();
    let verdict = verdict::judge(&mut stage, &traffic, &plan).await;
    eprintln!(
        "CAMPAIGN_SEED={seed} {kind:?} {engine:?}, {links}, {} steps; {}\n{verdict}\n\
         ready after {ready:.1?}, all over after {ended:.1?}, judged after {:.1?}",
        plan.steps.len(),
        stage.struck(),
        begun.elapsed(),
    );
    if given("KEEP_ALL").is_some() {
        keep(stage.home(), seed, kind);
    }
    if verdict.problems.is_empty() {
        stage.gateway.stop().await;
        return None;
    }
    keep(stage.home(), seed, kind);
    let problems = verdict.problems.join("\n");
    eprintln!("{problems}");
    Some(format!(
        "CAMPAIGN_SEED={seed} ({kind:?}, {links}):\n{problems}"
    ))
}

/// Copies a campaign's folder to where somebody can look at it.
fn keep(home: &Path, seed: u64, kind: Kind) {
    let Some(folder) = given("KEEP") else {
        return;
    };
    let copied = Command::new("cp")
        .arg("-r")
        .arg(home)
        .arg(Path::new(&folder).join(format!("{kind:?}-{seed}")))
        .status();
    assert!(copied.is_ok_and(|status| status.success()), "cannot copy");
}
