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
//! | `CAMPAIGN_ENGINE` | what keeps the gateway's data: `sqlite`, `redis`, `cluster` |
//! | `CAMPAIGN_GATEWAYS` | how many gateways share one Redis |
//! | `CAMPAIGN_KILLS` | nothing happens but so many kills, in campaigns of a hundred |
//! | `CAMPAIGN_FAILOVERS` | how often Redis' machine dies in each row of the table of that |
//! | `CAMPAIGN_ROUNDS` | how often each gateway of a rolling restart is restarted |
//! | `CAMPAIGN_KEEP` | a folder that gets all data and logs of campaigns that fail |

mod cluster;
mod evidence;
mod failover;
mod gateways;
mod homeserver;
mod keeper;
mod plan;
mod quiet;
mod replicated;
mod rolling;
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
use plan::{Means, Plan};
use stage::{Cast, LINKS, Stage};
use table::Table;
use traffic::Traffic;
use verdict::Verdict;

/// The seed of the ordinary run.
const SEED: u64 = 1;

/// How long things go wrong in the ordinary run.
const SECONDS: u64 = 15;

/// The same with Redis.
const SECONDS_WITH_REDIS: u64 = 8;

/// How many kills one campaign has at most where it has nothing else.
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

#[tokio::test(flavor = "multi_thread")]
async fn gateways_that_share_a_redis_cluster_account_for_every_text_and_every_coin() {
    campaigns(Kind::Stub, Engine::Cluster, SECONDS_WITH_REDIS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_that_share_a_redis_beside_a_real_homeserver_account_for_every_text() {
    campaigns(Kind::Synapse, Engine::Redis, SECONDS_WITH_REDIS).await;
}

fn engine() -> Engine {
    Engine::named(given("ENGINE").as_deref().unwrap_or("sqlite"))
}

async fn campaigns(homeserver: Kind, engine: Engine, seconds: u64) {
    let (first, kills) = (number("SEED", SEED), number("KILLS", 0));
    let count = number("SEEDS", kills.div_ceil(KILLS).max(1));
    let script = match kills {
        0 => Script::Everything(Duration::from_secs(number("SECONDS", seconds))),
        kills => Script::Kills(kills.div_ceil(count)),
    };
    let mut failed = Vec::new();
    let mut total = Table::default();
    for seed in first..first + count {
        let cast = |links| Cast {
            links,
            homeserver,
            engine,
            gateways: gateways(engine),
        };
        let (title, verdict) = campaign(seed, cast, script).await;
        total.add(&verdict.table);
        let problems = verdict.problems.join("\n");
        failed.extend((!problems.is_empty()).then(|| format!("{title}:\n{problems}")));
    }
    if count > 1 {
        let failures = failed.len();
        eprintln!("{count} campaigns from seed {first}, {failures} failed\n{total}");
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

/// What happens in a campaign.
#[derive(Debug, Clone, Copy)]
enum Script {
    /// All that can go wrong, for so long.
    Everything(Duration),
    /// Nothing but so many kills.
    Kills(u64),
    /// Nothing but restarts of each gateway in turn, so many times.
    Rolling { gateways: usize, rounds: u64 },
    /// Nothing but the death of Redis' machine.
    LoseRedis { gateway_dies: bool },
}

impl Script {
    fn plan(self, dice: &mut Dice, means: Means) -> Plan {
        match self {
            Self::Everything(lasts) => Plan::new(dice, lasts, means),
            Self::Kills(count) => Plan::kills(dice, count, means),
            Self::Rolling { gateways, rounds } => Plan::rolling(gateways, rounds),
            Self::LoseRedis { gateway_dies } => Plan::lose_redis(dice, gateway_dies, means),
        }
    }
}

/// One campaign. Returns what it is called, and what became of it.
async fn campaign(
    seed: u64,
    cast: impl FnOnce(&'static str) -> Cast,
    script: Script,
) -> (String, Verdict) {
    let begun = now();
    let mut dice = Dice::new(seed);
    let links: &&str = dice.pick(&LINKS);
    let cast = cast(links);
    let mut stage = Stage::set(cast).await;
    let (mut havoc, flow) = (dice.fork(), dice.fork());
    let plan = script.plan(&mut havoc, stage.means());
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
         ready after {ready:.1?}, all over after {ended:.1?}, judged after {:.1?}\n{}",
        plan.steps.len(),
        stage.struck(),
        verdict.table,
        begun.elapsed(),
        verdict.problems.join("\n"),
    );
    let is_well = verdict.problems.is_empty();
    if given("KEEP_ALL").is_some() || !is_well {
        keep(stage.home(), &format!("{:?}-{seed}", cast.homeserver));
    }
    if is_well {
        stage.gateways.stop().await;
    }
    (title, verdict)
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
