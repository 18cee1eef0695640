//! When a campaign is over: nothing is anywhere on its way any more.

use std::time::Duration;

use super::homeserver::Homeserver;
use super::plan::Plan;
use super::stage::Stage;
use super::traffic::Traffic;
use crate::support::dice::Dice;
use crate::support::wait::now;

/// What may wait in the gateway's store; none of it does in the end. Parts of texts of which the rest
/// never came are left out: they wait for it.
const WAITING: [&str; 7] = [
    "inbox",
    "set_aside",
    "queued_segments",
    "intent_segments",
    "uncertain_segments",
    "outbox",
    "sms",
];

/// Homeservers of which rooms are being read back.
const LOOKS_BACK: &str = "matrix_smpp_look_back_due";

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// After so long it is worth telling what still moves.
const SLOW: Duration = Duration::from_secs(8);

/// A machine that has no time for these processes makes one gateway after the other lose its store.
const PATIENCE: Duration = Duration::from_mins(4);

/// How often a homeserver is made to look again for what it left lying.
const ABSENCES: usize = 5;

/// Returns when nothing moves any more, or says what does.
pub(super) async fn settle(
    stage: &mut Stage,
    traffic: &Traffic,
    plan: &Plan,
) -> Result<(), String> {
    if plan.forgets() {
        // By this the gateway hears that the homeserver has died, and looks for what that has forgotten.
        traffic.write_once(&mut Dice::new(0), 0).await;
    }
    still(stage).await?;
    if matches!(stage.homeserver, Homeserver::Stub(_)) {
        return Ok(());
    }
    // Synapse may leave a transaction lying that came up while it was catching up with an
    // application service; it looks again when the service was away once more, so it is away once
    // more, with something to be told when it is back. What is told after that comes behind all
    // that Synapse still has.
    for _ in 0..ABSENCES {
        if traffic.all_have_their_fate().await {
            return Ok(());
        }
        stage.gateways.kill().await;
        traffic.write_once(&mut Dice::new(0), 0).await;
        stage.gateways.start().await;
        still(stage).await?;
    }
    Err("texts without a fate".to_owned())
}

/// Everything that has not arrived lies somewhere: the homeserver owes it, a request or a PDU bears
/// it, the gateway's store has it, the SMSC waits with it. Each passes it on before it forgets it. So
/// where all of these were found empty, and nothing moved on the wires between the first look and the
/// last, nothing is under way.
async fn still(stage: &mut Stage) -> Result<(), String> {
    let mut moving = String::new();
    let mut noted = false;
    let begun = now();
    let looking = async {
        loop {
            stage.revive();
            let before = wires(stage);
            moving = places(stage).await;
            let after = wires(stage);
            if moving.is_empty() && before == after && before.is_still() {
                return;
            }
            if moving.is_empty() {
                moving = format!("{before:?}, then {after:?}");
            }
            if !noted && begun.elapsed() > SLOW {
                eprintln!("after {SLOW:?} of peace: {moving}");
                noted = true;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let still = tokio::time::timeout(PATIENCE, looking).await;
    still.map_err(|_| format!("never quiet: {moving}"))
}

/// What is on the wires, and how much was.
#[derive(Debug, PartialEq, Eq)]
struct Wires {
    smpp: (usize, u64),
    requests: (u64, u64),
    transactions: (u64, u64),
}

impl Wires {
    const fn is_still(&self) -> bool {
        self.smpp.0 == 0 && self.requests.0 == 0 && self.transactions.0 == 0
    }
}

fn wires(stage: &Stage) -> Wires {
    Wires {
        smpp: stage.links.ledger().motion(),
        requests: stage.requests.motion(),
        transactions: stage.transactions.motion(),
    }
}

/// Where something lies; empty where nothing does.
async fn places(stage: &Stage) -> String {
    let Some(gateway) = stage.gateways.only_worker().await else {
        return "none of the gateways works, or several do".to_owned();
    };
    let Some(waiting) = gateway.may_wait(&WAITING).await else {
        return "the gateway does not answer".to_owned();
    };
    if !waiting.is_empty() {
        return format!("the gateway has {waiting:?}");
    }
    if gateway.may_metric(LOOKS_BACK, &[]).await != Some(0) {
        return "the gateway reads rooms back".to_owned();
    }
    if !stage.homeserver.has_told_all().await {
        return "the homeserver has not told all".to_owned();
    }
    match stage.sim.may_wait().await {
        Some(0) => String::new(),
        Some(count) => format!("the SMSC has {count}"),
        None => "the SMSC does not answer".to_owned(),
    }
}
