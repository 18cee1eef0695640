//! A gateway between a homeserver of few words and an SMSC, for tests that write very many texts: each
//! bears its number, and a witness between gateway and SMSC sees them all.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use super::gateway::{Gateway, Plan};
use super::peer::free_port;
use super::proxy::smpp::SmppProxy;
use super::room::text;
use super::sim::{PASSWORD, SYSTEM_ID, Sim};
use super::stub::Stub;
use super::wait::{now, until};

/// What waits in the gateway while a text is under way to its phone.
const UNDER_WAY: [&str; 4] = [
    "inbox",
    "queued_segments",
    "intent_segments",
    "uncertain_segments",
];

/// The first phone.
const PHONES: u64 = 447_700_910_001;

#[derive(Debug)]
pub(crate) struct Line {
    // Dropped from the top, so that nobody talks to a peer that is gone.
    pub(crate) gateway: Gateway,
    pub(crate) stub: Stub,
    pub(crate) sim: Sim,
    /// Gateway to SMSC.
    pub(crate) links: SmppProxy,
    _home: TempDir,
}

/// A text as the SMSC was asked to take it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) phone: String,
    pub(crate) number: u64,
    /// An answer came.
    pub(crate) was_heard: bool,
    /// The answer was no.
    pub(crate) was_refused: bool,
    pub(crate) at: Instant,
}

impl Line {
    /// Starts everything. `scenario` is the SMSC's.
    pub(crate) async fn start(scenario: &str, change: impl FnOnce(&mut Plan)) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let mut sim = Sim::prepare(home.path());
        let door = free_port();
        let mut plan = Plan::new("", door);
        let mut stub = Stub::prepare(home.path(), &plan.appservice_url());
        plan.homeserver = format!("http://127.0.0.1:{}", stub.port());
        change(&mut plan);
        let mut gateway = Gateway::prepare(home.path(), &plan);
        sim.start_with(&arguments(home.path(), scenario)).await;
        stub.launch();
        stub.ready().await;
        let links = SmppProxy::start(door, sim.smpp_port()).await;
        gateway.start().await;
        Self {
            gateway,
            stub,
            sim,
            links,
            _home: home,
        }
    }

    /// So many direct rooms of a person with credit and a phone, which has joined.
    pub(crate) async fn rooms(&self, count: u64) -> Vec<Value> {
        let rooms = self.stub.rooms(count, PHONES).await;
        for room in &rooms {
            self.gateway.top_up(text(&room["user"]), "100000");
        }
        until("all phones have joined", async || {
            (self.stub.joined(&rooms).await == count).then_some(())
        })
        .await;
        rooms
    }

    /// Waits until nothing is under way to a phone, for as long as something moves.
    pub(crate) async fn settles(&self, written: u64) {
        while !self.is_settled(written).await {
            let before = self.links.ledger().motion().1;
            until("something moves, or nothing is left", async || {
                let moved = self.links.ledger().motion().1 > before;
                (moved || self.is_settled(written).await).then_some(())
            })
            .await;
        }
    }

    async fn is_settled(&self, written: u64) -> bool {
        let all_told = self.stub.flooded().await >= written && self.stub.owed().await == Some(0);
        let waits = self.gateway.may_wait(&UNDER_WAY).await;
        all_told && waits.is_some_and(|waiting| waiting.is_empty())
    }

    /// All that the SMSC was asked to take, in order.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        let ledger = self.links.ledger();
        let arrivals = ledger.submits.iter().filter_map(|segment| {
            Some(Arrival {
                phone: segment.to.clone(),
                number: number_in(&segment.text())?,
                was_heard: segment.answer.is_some(),
                was_refused: segment.answer.is_some() && !segment.taken(),
                at: segment.at,
            })
        });
        arrivals.collect()
    }

    /// How long a text takes from its homeserver to the SMSC.
    pub(crate) async fn latency(&self, room: &Value, number: u64) -> Duration {
        let begun = now();
        self.stub
            .says(room, &format!("text #{number} of many"))
            .await;
        let arrived = until("the text is there", async || {
            let ledger = self.links.ledger();
            let mut latest = ledger.submits.iter().rev();
            let found = latest.find(|segment| number_in(&segment.text()) == Some(number));
            found.map(|segment| segment.at)
        });
        arrived.await.saturating_duration_since(begun)
    }
}

/// A second link of the same account, as TOML to come behind the keys of the first.
pub(crate) fn second_link(plan: &Plan, keys: &str) -> String {
    format!(
        "\n[[link_group.link]]\nname = \"b\"\naddress = \"127.0.0.1:{}\"\n\
         system_id = \"{SYSTEM_ID}\"\npassword = \"{PASSWORD}\"\n\
         reconnect_first = \"100ms\"\nreconnect_cap = \"1s\"\n{keys}\n",
        plan.smsc
    )
}

/// Of the texts to each phone, those that came behind a later one.
pub(crate) fn late(arrivals: &[Arrival]) -> Vec<&Arrival> {
    let mut latest: HashMap<&str, u64> = HashMap::new();
    let mut late = Vec::new();
    for arrival in arrivals {
        let latest = latest.entry(&arrival.phone).or_default();
        if arrival.number < *latest {
            late.push(arrival);
        }
        *latest = arrival.number.max(*latest);
    }
    late
}

/// The number that a text bears, which ends with a blank.
fn number_in(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once('#')?;
    rest.split_once(' ')?.0.parse().ok()
}

fn arguments(home: &Path, scenario: &str) -> Vec<String> {
    let file = home.join("scenario.toml");
    std::fs::write(&file, scenario).expect("the scenario");
    let file = file.to_str().expect("a UTF-8 path").to_owned();
    vec!["--scenario".to_owned(), file]
}

/// The body of a flood.
pub(crate) fn flood(rooms: &[Value], rate: u64, count: u64) -> Value {
    json!({ "rate": rate, "count": count, "rooms": rooms })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(phone: &str, number: u64) -> Arrival {
        Arrival {
            phone: phone.to_owned(),
            number,
            was_heard: true,
            was_refused: false,
            at: now(),
        }
    }

    #[test]
    fn a_text_is_late_behind_a_later_one_to_the_same_phone() {
        let came = [("a", 1), ("b", 5), ("a", 3), ("b", 2), ("a", 4)];
        let came = came.map(|(phone, number)| arrival(phone, number));
        assert_eq!(late(&came), [&came[3]]);
        assert_eq!(number_in("load #17 @5"), Some(17));
        assert_eq!(number_in("hello"), None);
    }
}
