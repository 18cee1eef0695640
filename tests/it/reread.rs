//! The running program reads its routes again.

use crate::support::gateway::{Gateway, PRICE, Plan};
use crate::support::peer::free_port;
use crate::support::world::{PHONE, World};

/// A phone of another country, where no route leads at first.
const GERMAN: &str = "4915112345678";

const ABROAD: &str = r#"
[[route]]
name = "abroad"
prefixes = ["49"]
link_group = "operator"
price = "0.2"
originator = { shortcode = "12345" }
"#;

const SECOND: &str = r#"
[[link_group]]
name = "second"
[[link_group.link]]
name = "a"
address = "127.0.0.1:9"
system_id = "smsgw"
password = "secret"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_new_price_and_a_new_route_hold_for_the_next_message() {
    let world = World::start().await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    alice.write(&room, "at the old price").await;
    world.sim.gets(PHONE, "at the old price").await;

    world.gateway.rewrite(|config| {
        let config = config.replace(&format!("price = \"{PRICE}\""), "price = \"0.1\"");
        config + ABROAD
    });
    world.gateway.hang_up();
    let read = r#"added=["abroad"] removed=[] changed=["mobiles"]"#;
    world.gateway.logs(read).await;
    alice.write(&room, "at the new price").await;
    world.sim.gets(PHONE, "at the new price").await;
    let abroad = world.chat(&alice, GERMAN).await;
    alice.write(&abroad, "by the new route").await;
    let received = world.sim.gets(GERMAN, "by the new route").await;
    assert_eq!(received["from"], "12345");
    assert!(world.gateway.balance(&alice.id).contains("balance 0.65 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_with_mistakes_changes_nothing_and_each_mistake_is_logged() {
    let world = World::start().await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    let line = |config: &str, words: &str| {
        let mut lines = config.lines();
        let at = lines.position(|line| line.contains(words));
        at.expect("a line of the configuration") + 1
    };
    let (mut places, mut before) = (Vec::new(), String::new());
    world.gateway.rewrite(|config| {
        before.clone_from(&config);
        let config = config.replace(&format!("price = \"{PRICE}\""), "price = \"0.1\"");
        let config = config.replace("reconnect_cap = \"1s\"", "reconnect_cap = \"1\"");
        let config = config + &ABROAD.replace("\"operator\"", "\"nobody\"");
        places.push(line(&config, "reconnect_cap"));
        places.push(line(&config, "\"nobody\""));
        config
    });
    world.gateway.hang_up();
    for place in places {
        world.gateway.logs(&format!("mistake=line {place}: ")).await;
    }
    world.gateway.logs("all stays as it is mistakes=2").await;
    alice.write(&room, "at the old price").await;
    world.sim.gets(PHONE, "at the old price").await;
    // Commands read the same file.
    world.gateway.rewrite(|_| before);
    assert!(world.gateway.balance(&alice.id).contains("balance 0.95 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_restart_is_named_and_a_route_that_needs_it_changes_nothing() {
    let home = tempfile::tempdir().expect("a folder");
    let plan = Plan::new("http://127.0.0.1:9", free_port());
    let mut gateway = Gateway::prepare(home.path(), &plan);
    gateway.launch_with(&[]);
    gateway.logs("running").await;
    gateway.rewrite(|config| {
        let group = "name = \"operator\"\nmo_unleased = \"reject\"";
        let config = config.replacen("name = \"operator\"", group, 1);
        config + SECOND + &ABROAD.replace("\"operator\"", "\"second\"")
    });
    gateway.hang_up();
    let waits = "link_group operator.mo_unleased, link_group second";
    gateway.logs(waits).await;
    let logged = gateway.logged();
    let needs = "the route abroad needs second, which begins with a restart";
    assert!(logged.contains(needs), "{logged}");
    assert!(!logged.contains("were read again"), "{logged}");

    gateway
        .rewrite(|config| config.replace("link_group = \"second\"", "link_group = \"operator\""));
    gateway.hang_up();
    gateway.logs(r#"added=["abroad"]"#).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_everybody_can_read_by_now_is_warned_of() {
    let home = tempfile::tempdir().expect("a folder");
    let plan = Plan::new("http://127.0.0.1:9", free_port());
    let mut gateway = Gateway::prepare(home.path(), &plan);
    gateway.allow(0o600);
    gateway.launch_with(&[]);
    gateway.logs("running").await;
    let warning = "every user of this machine can read";
    assert!(!gateway.logged().contains(warning), "{}", gateway.logged());
    gateway.allow(0o644);
    gateway.hang_up();
    gateway.logs(warning).await;
    gateway.stop().await;
}
