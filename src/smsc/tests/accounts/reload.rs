//! Accounts that come, go and change while the gateway runs.

use super::door::config;
use super::*;
use crate::gateway::changes::Changes;

/// An account that is in no configuration yet.
const LATE: &str = r#"
    [[esme]]
    name = "late"
    system_id = "late"
    password = "secret"
    "#;

impl Door {
    /// Has the accounts of this configuration from now on.
    fn meets(&self, config: &str) -> Changes {
        let settings = matrix_smpp_config::parse(config, Path::new("test.toml"), &ProcessEnv);
        let esmes = settings.unwrap().esmes;
        let met = self.links.meet(&self.gateway, &self.crew, &esmes);
        met.unwrap()
    }

    async fn bound(&self, system_id: &str) -> Esme {
        let mut esme = self.connect(system_id, "secret", BindMode::Transceiver);
        assert!(matches!(esme.next().await, LinkEvent::Up { .. }));
        esme
    }
}

impl Esme {
    /// Why it is bound no more; what it is asked meanwhile stays without answer.
    async fn end(&mut self) -> CloseReason {
        loop {
            if let LinkEvent::Down { reason, .. } = self.next().await {
                return reason;
            }
        }
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn without(config: &str, name: &str) -> String {
    let name = format!("name = \"{name}\"");
    let tables = config.split("[[");
    let others: Vec<_> = tables.filter(|table| !table.contains(&name)).collect();
    others.join("[[")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_comes_can_bind_and_one_that_goes_is_unbound_while_the_rest_goes_on() {
    let door = Door::open().await;
    let mut stays = door.bound("agg").await;
    let mut goes = door.bound("strict").await;
    let changes = door.meets(&(without(&config(), "strict") + LATE));
    assert_eq!(changes.added, names(&["late"]));
    assert_eq!(changes.removed, names(&["strict"]));
    assert_eq!(changes.changed, names(&[]));
    assert_eq!(goes.end().await, CloseReason::PeerUnbound);
    let refused = CloseReason::BindRefused(CommandStatus::ESME_RINVPASWD);
    assert_eq!(goes.end().await, refused);
    stays.submit(sm("still here")).await.unwrap();
    let mut comes = door.bound("late").await;
    let id = comes.submit(sm("hello")).await.unwrap();
    assert_eq!(door.say_all().await, ["still here", "hello"]);
    // Its receipt does not wait until somebody looks by chance.
    assert_eq!(comes.receipt().await.message_id, id.to_text());
    assert_eq!(stays.receipt().await.state, WireState::DELIVERED);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_may_lead_to_new_accounts_and_not_to_links_that_do_not_run() {
    let door = Door::open().await;
    let read = |text: String| {
        let settings = matrix_smpp_config::parse(&text, Path::new("test.toml"), &ProcessEnv);
        settings.unwrap()
    };
    let lead_to = |name: &str| format!("link_group = \"{name}\"");
    let rerouted = config().replace(&lead_to("aggregator"), &lead_to("late"));
    let new = read(rerouted + LATE);
    assert!(door.links.carry(&new.routing.routes, &new.esmes).is_ok());
    let gone = door.links.carry(&new.routing.routes, &[]).unwrap_err();
    let needs = "the route uk needs late, which begins with a restart";
    assert_eq!(gone.to_string(), needs);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_of_an_account_holds_for_its_next_bind() {
    let door = Door::open().await;
    let to_nobody = || SubmitSm {
        destination_addr: "447700900998".parse().unwrap(),
        registered_delivery: RegisteredDelivery::NONE,
        ..sm("anybody?")
    };
    let mut old = door.bound("strict").await;
    let refused = Err(CommandStatus::ESME_RINVDSTADR);
    assert_eq!(old.submit(to_nobody()).await, refused);
    let strict = "system_id = \"strict\"\n    password = \"secret\"\n    mo_unleased = \"reject\"";
    let other = config().replace(strict, &strict.replace("reject", "drop"));
    let changes = door.meets(&other);
    assert_eq!(changes.changed, names(&["strict"]));
    assert_eq!((changes.added, changes.removed), (names(&[]), names(&[])));
    assert_eq!(old.submit(to_nobody()).await, refused);
    let mut new = door.bound("strict").await;
    new.submit(to_nobody()).await.unwrap();
    assert_eq!(door.meets(&other), Changes::default());
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_is_asked_of_the_next_bind_and_ends_those_by_the_old_one() {
    let door = Door::open().await;
    let mut old = door.bound("strict").await;
    let strict = "system_id = \"strict\"\n    password = \"secret\"";
    door.meets(&config().replace(strict, &strict.replace("secret", "another")));
    assert_eq!(old.end().await, CloseReason::PeerUnbound);
    let mut new = door.connect("strict", "another", BindMode::Transceiver);
    assert!(matches!(new.next().await, LinkEvent::Up { .. }));
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn binds_do_not_stay_under_the_name_that_their_account_had() {
    let door = Door::open().await;
    let mut old = door.bound("strict").await;
    let changes = door.meets(&config().replace("name = \"strict\"", "name = \"new\""));
    assert_eq!(changes.added, names(&["new"]));
    assert_eq!(changes.removed, names(&["strict"]));
    assert_eq!(old.end().await, CloseReason::PeerUnbound);
    let mut new = door.bound("strict").await;
    new.submit(sm("one")).await.unwrap();
    assert_eq!(door.pending().await[0].link_group, "new");
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_comes_back_is_who_it_was() {
    let door = Door::open().await;
    let mut esme = door.bound("strict").await;
    let id = esme.submit(sm("one")).await.unwrap();
    door.meets(&without(&config(), "strict"));
    assert_eq!(esme.end().await, CloseReason::PeerUnbound);
    drop(esme);
    let changes = door.meets(&config());
    assert_eq!(changes.added, names(&["strict"]));
    let mut again = door.bound("strict").await;
    assert_eq!(again.query(id).await, Ok(WireState::ENROUTE));
    assert_eq!(door.say_all().await, ["one"]);
    assert_eq!(again.receipt().await.message_id, id.to_text());
    door.close().await;
}
