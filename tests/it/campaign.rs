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
//! | `CAMPAIGN_ENGINE` | what keeps the gateway's data: `sqlite`, `redis` |
//! | `CAMPAIGN_GATEWAYS` | how many gateways share one Redis |
//! | `CAMPAIGN_KILLS` | nothing happens but so many kills, in campaigns of a hundred |
//! | `CAMPAIGN_KEEP` | a folder that gets all data and logs of campaigns that fail |

mod evidence;
mod gateways;
mod homeserver;
mod keeper;
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
use homeserver::Kind;
use keeper::Engine;
use plan::Plan;
use stage::{Cast, LINKS, Stage};
use table::Table;
use traffic::Traffic;

/// The seed of the ordinary run.
const SEED: u64 = 1;

/// How long things go wrong in the ordinary run.
const SECONDS: u64 = 15;

/// The same with Redis.
const SECONDS_WITH_REDIS: u64 = 8;

/// How many kills one campaign has where it has nothing else.
const KILLS: u64 = 100;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_goes_wrong_every_text_and_every_coin_is_accounted_for() {
    campaigns(Kind::Stub, engine(), SECONDS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_goes_wrong_beside_a_real_homeserver_every_text_is_accounted_for() {
    campaigns(Kind::Synapse, engine(), SECONDS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_that_share_a_redis_account_for_every_text_and_every_coin() {
    campaigns(Kind::Stub, Engine::Redis, SECONDS_WITH_REDIS).await;
}

fn engine() -> Engine {
    Engine::named(given("ENGINE").as_deref().unwrap_or("sqlite"))
}

async fn campaigns(homeserver: Kind, engine: Engine, seconds: u64) {
    let (first, kills) = (number("SEED", SEED), number("KILLS", 0));
    let count = number("SEEDS", kills.div_ceil(KILLS).max(1));
    let mut failed = Vec::new();
    let mut total = Table::default();
    for seed in first..first + count {
        let mut dice = Dice::new(seed);
        let links: &&str = dice.pick(&LINKS);
        let cast = Cast {
            links,
            homeserver,
            engine,
            gateways: gateways(engine),
        };
        let (table, problem) = campaign(seed, dice, cast, seconds).await;
        total.add(&table);
        failed.extend(problem);
    }
    if count > 1 {
        eprintln!(
            "{count} campaigns from seed {first}, {} failed\n{total}",
            failed.len()
        );
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn gateways(engine: Engine) -> usize {
    let otherwise = u64::from(engine.gateways());
    usize::try_from(number("GATEWAYS", otherwise)).expect("a few")
}

fn given(variable: &str) -> Option<String> {
    std::env::var(format!("CAMPAIGN_{variable}")).ok()
}

fn number(variable: &str, otherwise: u64) -> u64 {
    given(variable).map_or(otherwise, |text| text.parse().expect("a whole number"))
}

/// One campaign. Returns its account, and what must not be.
async fn campaign(seed: u64, mut dice: Dice, cast: Cast, seconds: u64) -> (Table, Option<String>) {
    let begun = now();
    let mut stage = Stage::set(cast).await;
    let (mut havoc, flow) = (dice.fork(), dice.fork());
    let plan = if given("KILLS").is_some() {
        Plan::kills(&mut havoc, KILLS, stage.means())
    } else {
        let lasts = Duration::from_secs(number("SECONDS", seconds));
        Plan::new(&mut havoc, lasts, stage.means())
    };
    let title = format!("CAMPAIGN_SEED={seed} {cast:?}");
    eprintln!("{title}\n{plan}");
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
        "{title}, {} steps; {}\n{}\n\
         ready after {ready:.1?}, all over after {ended:.1?}, judged after {:.1?}",
        plan.steps.len(),
        stage.struck(),
        verdict.table,
        begun.elapsed(),
    );
    let name = format!("{:?}-{:?}-{seed}", cast.homeserver, cast.engine);
    if given("KEEP_ALL").is_some() || !verdict.problems.is_empty() {
        keep(stage.home(), &name);
    }
    if verdict.problems.is_empty() {
        stage.gateways.stop().await;
        return (verdict.table, None);
    }
    let problems = verdict.problems.join("\n");
    eprintln!("{problems}");
    (verdict.table, Some(format!("{title}:\n{problems}")))
}

/// Copies a campaign's folder to where somebody can look at it.
fn keep(home: &Path, name: &str) {
    let Some(folder) = given("KEEP") else {
        return;
    };
    let copied = Command::new("cp")
        .arg("-r")
        .arg(home)
        .arg(Path::new(&folder).join(name))
        .status();
    assert!(copied.is_ok_and(|status| status.success()), "cannot copy");
}
