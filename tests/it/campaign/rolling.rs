//! A rolling restart, as an upgrade is: one gateway after the other is asked to stop and started again
//! while texts go both ways.

use super::homeserver::Kind;
use super::keeper::Engine;
use super::stage::Cast;
use super::{SEED, Script, campaign, number};

const GATEWAYS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn gateways_that_are_restarted_one_after_the_other_lose_and_double_nothing() {
    let rounds = number("ROUNDS", 1);
    let cast = |links| Cast {
        links,
        homeserver: Kind::Stub,
        engine: Engine::Redis,
        gateways: GATEWAYS,
    };
    let script = Script::Rolling {
        gateways: GATEWAYS,
        rounds,
    };
    let (title, verdict) = campaign(number("SEED", SEED), cast, script).await;
    let table = &verdict.table;
    eprintln!(
        "{rounds} restarts of each of {GATEWAYS} gateways; the longest wait of a text was {:.2?}",
        verdict.longest_wait
    );
    let problems = verdict.problems.join("\n");
    assert!(problems.is_empty(), "{title}:\n{problems}");
    let twice = [&table.to_phones, &table.relayed, &table.to_rooms].map(|sums| sums.flagged);
    assert_eq!(twice, [0; 3], "{title}: sent again\n{table}");
}
