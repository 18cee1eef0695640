//! The primary Redis dies with all that is under way to its replica, which takes over: how many texts
//! that were acknowledged are lost then, at each durability.

use std::fmt;

use super::homeserver::Kind;
use super::keeper::Engine;
use super::replicated::Replication;
use super::stage::Cast;
use super::table::Table;
use super::{SEED, Script, campaign, given, number};

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    replication: Replication,
    gateway_dies: bool,
}

impl Row {
    const fn new(durability: &'static str, replicas: u8, gateway_dies: bool) -> Self {
        Self {
            replication: Replication {
                durability,
                replicas,
            },
            gateway_dies,
        }
    }

    /// It keeps everything: the replica has it, or the gateway that lives sends it again.
    const fn keeps_all(self) -> bool {
        self.replication.replicas > 0 || !self.gateway_dies
    }
}

/// What the ordinary run looks at: what must keep everything.
const ORDINARY: [Row; 2] = [Row::new("always", 0, false), Row::new("always", 1, true)];

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Replication {
            durability,
            replicas,
        } = self.replication;
        let gateway = if self.gateway_dies { "dies" } else { "lives" };
        write!(f, "{durability:>10}{replicas:>9}{gateway:>9}")
    }
}

fn rows() -> Vec<Row> {
    if given("FAILOVERS").is_none() {
        return ORDINARY.to_vec();
    }
    let mut rows = Vec::new();
    for durability in ["always", "everysec", "none"] {
        for replicas in [0, 1] {
            rows.extend([false, true].map(|dies| Row::new(durability, replicas, dies)));
        }
    }
    rows
}

/// Texts both ways that were acknowledged and then lost.
const fn lost(table: &Table) -> usize {
    table.to_phones.lost + table.relayed.lost + table.to_rooms.lost
}

fn line(row: Row, table: &Table) -> String {
    let sums = [&table.to_phones, &table.relayed, &table.to_rooms];
    let sum = |number: fn(&super::table::Sums) -> usize| -> usize {
        sums.iter().map(|sums| number(sums)).sum()
    };
    format!(
        "{row}{:>10}{:>6}{:>9}{:>11}{:>7}{:>7}\n",
        sum(|sums| sums.accepted),
        lost(table),
        sum(|sums| sums.doubled),
        sum(|sums| sums.reordered),
        table.drift,
        table.leases,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_loses_nothing_that_a_replica_has_or_a_living_gateway_knows() {
    let mut account =
        "durability replicas  gateway  accepted  lost  doubled  reordered  drift leases\n"
            .to_owned();
    let mut wrong = Vec::new();
    for row in rows() {
        let cast = |links| Cast {
            links,
            homeserver: Kind::Stub,
            engine: Engine::Replicated(row.replication),
            gateways: 2,
        };
        let script = Script::FailOver {
            gateway_dies: row.gateway_dies,
        };
        let mut total = Table::default();
        let first = number("SEED", SEED);
        for seed in first..first + number("FAILOVERS", 1) {
            let (title, verdict) = campaign(seed, cast, script).await;
            total.add(&verdict.table);
            if row.keeps_all() && !verdict.problems.is_empty() || !verdict.is_settled {
                wrong.push(format!("{title}:\n{}", verdict.problems.join("\n")));
            }
        }
        account.push_str(&line(row, &total));
    }
    eprintln!("{account}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
