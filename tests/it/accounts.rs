//! Aggregators that bind to the gateway: their texts land in rooms, they get their receipts and the
//! traffic for their numbers.

mod crash;
pub(crate) mod esme;
mod reload;

use matrix_smpp_codec::receipt::Receipt;
use matrix_smpp_codec::values::MessageState;

use crate::support::kannel::Kannel;
use crate::support::peer::free_port;
use crate::support::sim::{PASSWORD, SYSTEM_ID};
use crate::support::world::{World, ghost};
use esme::Esme;

/// A phone behind the aggregator.
pub(crate) const PHONE: &str = "46701740605";
/// The number of ours that its texts come from.
pub(crate) const NUMBER: &str = "447700900900";

/// A gateway whose numbers of +46 are an account's that binds to this port.
async fn world() -> (World, u16) {
    let port = free_port();
    let world = World::with(|plan| {
        plan.more = format!(
            r#"
[listener]
listen = "127.0.0.1:{port}"

[[esme]]
name = "aggregator"
system_id = "{SYSTEM_ID}"
password = "{PASSWORD}"
networks = ["127.0.0.1"]

[[route]]
name = "elsewhere"
prefixes = ["46"]
link_group = "aggregator"
originator = {{ pool = "uk" }}
price = "0.05"
"#
        );
    });
    (world.await, port)
}

fn texts() -> [String; 3] {
    [
        "Hello".to_owned(),
        "more than one part ".repeat(20).trim_end().to_owned(),
        "Привет".to_owned(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn kannel_binds_to_the_gateway_and_texts_travel_both_ways_with_their_receipts() {
    let (world, port) = world().await;
    let alice = world.person("alice", "10").await;
    let room = world.chat(&alice, PHONE).await;
    // It waits for Kannel.
    alice.write(&room, "Are you there?").await;
    let kannel = Kannel::start(world.home(), port).await;
    let told = kannel.hears("Are you there?").await;
    assert_eq!(told["from"].trim_start_matches('+'), NUMBER);
    assert_eq!(told["to"].trim_start_matches('+'), PHONE);
    for (n, text) in texts().iter().enumerate() {
        alice.write(&room, text).await;
        kannel.hears(text).await;
        let tag = format!("text-{n}");
        // Without the plus Kannel takes any number for one in national form.
        kannel.sends(&format!("+{PHONE}"), NUMBER, text, &tag).await;
        alice.hears(&room, &ghost(PHONE), text).await;
        for state in ["8", "1"] {
            kannel.is_receipted(&tag, state).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_said_and_receipted_though_gateway_and_homeserver_die() {
    let (mut world, port) = world().await;
    let alice = world.person("alice", "10").await;
    let room = world.chat(&alice, PHONE).await;
    let mut esme = Esme::bind(port).await;
    alice.write(&room, "Hello?").await;
    assert_eq!(esme.takes().await.short_message.bytes(), &b"Hello?"[..]);

    world.synapse.stop().await;
    let id = esme.submit("still here").await;
    assert_eq!(esme.state(id).await, MessageState::ENROUTE);
    drop(esme);
    world.gateway.kill().await;
    let registration = world.gateway.registration();
    world.synapse.start(Some(&registration)).await;
    world.gateway.start().await;
    alice.hears(&room, &ghost(PHONE), "still here").await;

    let mut esme = Esme::bind(port).await;
    let receipt = Receipt::of(&esme.takes().await).expect("a receipt");
    assert_eq!(receipt.message_id, id.to_text());
    assert_eq!(receipt.state, MessageState::DELIVERED);
    assert_eq!(esme.state(id).await, MessageState::DELIVERED);
}
