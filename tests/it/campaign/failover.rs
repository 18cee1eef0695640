//! The machine of Redis dies: with all that is under way to a replica, which takes over, or with all that was
//! not synced, and comes back. How many texts that were acknowledged are lost then, at each durability.

use std::fmt;

use super::homeserver::Kind;
use super::keeper::Engine;
use super::replicated::Replication;
use super::stage::Cast;
use super::table::{Sums, Table};
use super::{SEED, Script, campaign, given, number};

/// What goes on after Redis' machine has died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// A replica.
    Replica(Replication),
    /// The same machine, with what was synced at this durability.
    Itself(&'static str),
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    after: After,
    gateway_dies: bool,
}

const fn replica(durability: &'static str, replicas: u8, gateway_dies: bool) -> Row {
    let replication = Replication {
        durability,
        replicas,
    };
    Row {
        after: After::Replica(replication),
        gateway_dies,
    }
}

const fn itself(durability: &'static str, gateway_dies: bool) -> Row {
    Row {
        after: After::Itself(durability),
        gateway_dies,
    }
}

impl Row {
    const fn engine(self) -> Engine {
        match self.after {
            After::Replica(replication) => Engine::Replicated(replication),
            After::Itself(durability) => Engine::Powered(durability),
        }
    }

    /// Nothing may be lost: it is synced, the replica has it, or the gateway that lives sends it again.
    fn keeps_all(self) -> bool {
        let redis_has_all = match self.after {
            After::Replica(replication) => replication.replicas > 0,
            After::Itself(durability) => durability == "always",
        };
        redis_has_all || !self.gateway_dies
    }
}

/// What the ordinary run looks at: what must keep everything.
const ORDINARY: [Row; 2] = [replica("always", 0, false), replica("always", 1, true)];

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (after, durability) = match self.after {
            After::Replica(of) => (
                format!("replica, replicas = {}", of.replicas),
                of.durability,
            ),
            After::Itself(durability) => ("itself, power lost".to_owned(), durability),
        };
        let gateway = if self.gateway_dies { "dies" } else { "lives" };
        write!(f, "{after:24}{durability:12}{gateway:8}")
    }
}

fn rows() -> Vec<Row> {
    if given("FAILOVERS").is_none() {
        return ORDINARY.to_vec();
    }
    let mut rows = Vec::new();
    for durability in ["always", "everysec", "none"] {
        for replicas in [0, 1] {
            rows.extend([false, true].map(|dies| replica(durability, replicas, dies)));
        }
    }
    for durability in ["always", "everysec"] {
        rows.extend([false, true].map(|dies| itself(durability, dies)));
    }
    rows
}

/// Texts both ways that were acknowledged and then lost.
const fn lost(table: &Table) -> usize {
    table.to_phones.lost + table.relayed.lost + table.to_rooms.lost
}

fn line(row: Row, table: &Table) -> String {
    let sums = [&table.to_phones, &table.relayed, &table.to_rooms];
    let sum = |number: fn(&Sums) -> usize| -> usize { sums.iter().map(|sums| number(sums)).sum() };
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
    let titles = ["then works", "durability", "gateway", "accepted", "lost"];
    let [after, durability, gateway, accepted, lost] = titles;
    let mut account = format!(
        "{after:24}{durability:12}{gateway:8}{accepted:>10}{lost:>6}  doubled  reordered  drift leases\n"
    );
    let mut wrong = Vec::new();
    for row in rows() {
        let cast = |links| Cast {
            links,
            homeserver: Kind::Stub,
            engine: row.engine(),
            gateways: 2,
        };
        let script = Script::LoseRedis {
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
