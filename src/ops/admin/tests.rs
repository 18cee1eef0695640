//! Each request, asked of a store of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::gateway::model::{MessageState, Timestamp};
use crate::store::{Due, Ending, Lane, NewOutbox, OutboxItem};
use crate::store::{Store, TableStore};

const SETTINGS: &str = r#"
[[homeserver]]
name = "example.org"
url = "http://127.0.0.1:8008"
as_token = "0123456789abcdef0123456789abcdef"
hs_token = "fedcba9876543210fedcba9876543210"
[[link_group]]
name = "operator"
[[link_group.link]]
name = "a"
address = "127.0.0.1:2775"
system_id = "smsgw"
password = "secret"
[[pool]]
name = "uk"
numbers = ["447700900900"]
[[route]]
name = "uk"
prefixes = ["44"]
link_group = "operator"
originator = { pool = "uk" }
price = "0.05"
[[dedicated]]
number = "447700900999"
owner = "@alice:example.org"
"#;

struct Desk {
    store: Arc<dyn Store>,
    routing: Routing,
    _directory: TempDir,
}

impl Desk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gw.db");
        let place = Path::new("test.toml");
        let env = matrix_smpp_config::ProcessEnv;
        let settings = matrix_smpp_config::parse(SETTINGS, place, &env);
        Self {
            store: TableStore::open_sqlite(path, Duration::from_hours(24)).unwrap(),
            routing: settings.unwrap().routing,
            _directory: directory,
        }
    }

    /// The answer as it goes over the socket.
    async fn ask(&self, request: serde_json::Value) -> String {
        let clock = Clock::manual(Timestamp(1));
        let request = serde_json::from_value(request).unwrap();
        let answer = answer(&*self.store, &self.routing, &clock, request).await;
        serde_json::to_string(&answer).unwrap()
    }
}

fn top_up(micros: i64, key: &str) -> serde_json::Value {
    let owner = "@alice:example.org";
    serde_json::json!({ "top_up": { "owner": owner, "micros": micros, "key": key } })
}

#[tokio::test]
async fn a_top_up_pays_once_for_each_key() {
    let desk = Desk::new();
    let first = desk.ask(top_up(1_500_000, "k")).await;
    assert!(first.contains(r#""balance":1500000,"#), "{first}");
    assert_eq!(desk.ask(top_up(1_500_000, "k")).await, first);
    let other = desk.ask(top_up(2_000_000, "k")).await;
    assert!(other.contains("failed"), "{other}");
    let account = serde_json::json!({ "account": { "owner": "@alice:example.org" } });
    assert_eq!(desk.ask(account).await, first);
    assert_eq!(desk.ask(serde_json::json!("accounts")).await, first);
    assert_eq!(
        desk.ask(serde_json::json!("audit")).await,
        r#"{"audit":[]}"#
    );
}

#[tokio::test]
async fn amounts_that_are_no_money_are_refused() {
    let desk = Desk::new();
    let limit = serde_json::json!({
        "set_limit": { "owner": "@alice:example.org", "micros": i64::MAX }
    });
    for request in [top_up(i64::MAX, "k"), top_up(-1, "k"), limit] {
        let answer = desk.ask(request).await;
        assert!(answer.contains("failed"), "{answer}");
    }
}

#[tokio::test]
async fn a_limit_lets_the_balance_go_below_zero() {
    let desk = Desk::new();
    let limit = serde_json::json!({
        "set_limit": { "owner": "@alice:example.org", "micros": 1_000_000 }
    });
    assert!(!desk.ask(limit).await.contains("failed"));
    let answer = desk.ask(top_up(-1_000_000, "k")).await;
    assert!(answer.contains(r#""balance":-1000000,"#), "{answer}");
}

fn dedicate(number: &str) -> serde_json::Value {
    serde_json::json!({ "dedicate": { "number": number, "owner": "@bob:example.org" } })
}

#[tokio::test]
async fn a_number_is_dedicated_and_taken_back() {
    let desk = Desk::new();
    assert_eq!(desk.ask(dedicate("447700900555")).await, r#""done""#);
    let listed = desk.ask(serde_json::json!("dedicated")).await;
    assert_eq!(
        listed,
        r#"{"dedicated":[["447700900555","@bob:example.org"]]}"#
    );
    let back = serde_json::json!({ "undedicate": { "number": "447700900555" } });
    assert_eq!(desk.ask(back.clone()).await, r#""done""#);
    assert!(desk.ask(back).await.contains("not dedicated"));
}

#[tokio::test]
async fn a_number_that_is_taken_or_none_is_not_dedicated() {
    let desk = Desk::new();
    for (number, why) in [
        ("447700900900", "pool uk"),
        ("447700900999", "in the configuration"),
        ("+447700900555", "digits only"),
        ("", "digits only"),
    ] {
        let answer = desk.ask(dedicate(number)).await;
        assert!(answer.contains(why), "{number}: {answer}");
    }
}

#[tokio::test]
async fn leases_are_listed_and_only_real_ones_released() {
    let desk = Desk::new();
    assert_eq!(
        desk.ask(serde_json::json!("leases")).await,
        r#"{"leases":[]}"#
    );
    for (number, why) in [("447700900900", "no such lease"), ("x", "not a number")] {
        let release = serde_json::json!({
            "release_lease": { "number": number, "handset": "447700900123" }
        });
        let answer = desk.ask(release).await;
        assert!(answer.contains(why), "{answer}");
    }
}

#[tokio::test]
async fn nothing_is_known_of_an_unknown_message() {
    let desk = Desk::new();
    let explain = serde_json::json!({ "explain": { "id": "$nothing" } });
    assert_eq!(desk.ask(explain).await, r#"{"histories":[]}"#);
}

#[tokio::test]
async fn what_was_set_aside_is_listed_tried_again_and_dropped() {
    let desk = Desk::new();
    let queue = serde_json::json!("queue");
    assert_eq!(desk.ask(queue.clone()).await, r#"{"queue":[]}"#);
    let owner = OwnedUserId::try_from("@alice:example.org").unwrap();
    let item = OutboxItem::TellOwner {
        homeserver: owner.server_name().to_owned(),
        owner: owner.clone(),
        text: "secret".to_owned(),
    };
    let entry = NewOutbox {
        key: "k".to_owned(),
        lane: Lane::Person(owner),
        item,
    };
    desk.store.enqueue(vec![entry], Timestamp(1)).await.unwrap();
    let set_aside = Ending::SetAside {
        reason: "why".to_owned(),
        at: Timestamp(-59_000),
        tell: None,
    };
    let due = desk
        .store
        .due_outbox(Due::heads(Timestamp(1), 1))
        .await
        .unwrap();
    let id = AsideId::Outbox(due[0].id);
    let finish = || desk.store.finish_outbox(due[0].id, set_aside.clone());
    finish().await.unwrap();
    let listed = desk.ask(queue.clone()).await;
    assert!(
        listed.contains(&format!(r#""id":"{id}","#)) && listed.contains(r#""reason":"why""#),
        "{listed}"
    );
    assert!(!listed.contains("secret"), "{listed}");
    let retry = serde_json::json!({ "retry": { "id": id.to_string() } });
    assert_eq!(desk.ask(retry.clone()).await, r#""done""#);
    assert!(desk.ask(retry).await.contains("nothing of this id"));
    finish().await.unwrap();
    let drop = serde_json::json!({ "drop": { "id": id.to_string() } });
    assert_eq!(desk.ask(drop.clone()).await, r#""done""#);
    assert!(desk.ask(drop).await.contains("nothing of this id"));
    assert_eq!(desk.ask(queue).await, r#"{"queue":[]}"#);
    let odd = serde_json::json!({ "drop": { "id": "7" } });
    assert!(desk.ask(odd).await.contains("as in e17"));
}

#[test]
fn times_are_shown_in_utc() {
    assert_eq!(utc(Timestamp(0)), "1970-01-01T00:00:00Z");
    assert_eq!(word(MessageState::Undeliverable), "undeliverable");
}

#[tokio::test]
async fn the_socket_of_a_dead_gateway_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    drop(listen(&path).unwrap());
    assert!(path.exists());
    assert!(listen(&path).is_ok());
}

#[tokio::test]
async fn a_file_that_is_no_socket_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.db");
    std::fs::write(&path, "money").unwrap();
    let error = listen(&path).unwrap_err();
    assert!(error.to_string().contains("no socket"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "money");
}

#[tokio::test]
async fn pools_tell_how_full_they_are() {
    let desk = Desk::new();
    let pools = desk.ask(serde_json::json!("pools")).await;
    assert!(
        pools.contains(r#"{"name":"uk","numbers":1,"active":0,"#),
        "{pools}"
    );
}

#[tokio::test]
async fn a_limit_that_nothing_has_hit_is_neither_listed_nor_cleared() {
    let desk = Desk::new();
    assert_eq!(desk.ask("limits".into()).await, r#"{"limits":[]}"#);
    let clear = serde_json::json!({
        "clear_limit": { "limit": "spend_per_day", "whose": "@alice:example.org" }
    });
    let answer = desk.ask(clear).await;
    assert!(answer.contains("has counted nothing"), "{answer}");
}
