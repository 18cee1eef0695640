//! Two homeservers, two links, TLS, and an SMSC with ways of its own.

use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::json;

use crate::support::gateway::Plan;
use crate::support::sim::{PASSWORD, SYSTEM_ID};
use crate::support::synapse::Synapse;
use crate::support::wait::until;
use crate::support::world::{PHONE, World, ghost};

#[tokio::test(flavor = "multi_thread")]
async fn a_link_over_tls_carries_texts_both_ways() {
    let files = tempfile::tempdir().unwrap();
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (chain, key) = (files.path().join("chain.pem"), files.path().join("key.pem"));
    std::fs::write(&chain, cert.pem()).unwrap();
    std::fs::write(&key, signing_key.serialize_pem()).unwrap();
    let (chain, key) = (chain.display().to_string(), key.display().to_string());
    let world = World::with(|plan| {
        plan.link = format!("tls.ca_file = {chain:?}");
        let arguments = ["--tls-cert", &chain, "--tls-key", &key];
        plan.smsc_arguments = arguments.map(str::to_owned).to_vec();
    })
    .await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    alice.write(&room, "In private").await;
    world.sim.gets(PHONE, "In private").await;
    world.answer(PHONE, "Likewise").await;
    alice.hears(&room, &ghost(PHONE), "Likewise").await;
}

/// Adds a second link to the same account.
fn two_links(plan: &mut Plan) {
    plan.link = format!(
        "\n[[link_group.link]]\nname = \"b\"\naddress = \"127.0.0.1:{}\"\n\
         system_id = \"{SYSTEM_ID}\"\npassword = \"{PASSWORD}\"\n",
        plan.smsc
    );
}

async fn both_links_are_bound(world: &World) {
    until("both links are bound", async || {
        (world.sim.binds().await == 2).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_parts_of_a_text_are_joined_whichever_links_they_come_over() {
    let world = World::with(two_links).await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    alice.write(&room, "Tell me more").await;
    world.sim.gets(PHONE, "Tell me more").await;
    both_links_are_bound(&world).await;

    let text = "abc ".repeat(150);
    let text = text.trim_end();
    world.answer(PHONE, text).await;
    alice.hears(&room, &ghost(PHONE), text).await;
    for link in ["a", "b"] {
        let labels = [
            ("link", link),
            ("command", "deliver_sm"),
            ("direction", "in"),
        ];
        let came = world.gateway.metric("matrix_smpp_pdus_total", &labels);
        assert!(came.await > 0, "nothing came over {link}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_the_smsc_brings_again_is_in_the_room_once() {
    let world = World::with(two_links).await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    // Else the only bind could be the one that is cut.
    both_links_are_bound(&world).await;
    alice.write(&room, "Coming?").await;
    let vmn = world.sim.gets(PHONE, "Coming?").await["from"].clone();
    until("its receipt is there", async || {
        let receipts = "matrix_smpp_receipts_total";
        (world.gateway.metric(receipts, &[]).await > 0).then_some(())
    })
    .await;
    world.sim.behave(json!({ "lose_answers": 1 })).await;
    let sms = json!({ "to": vmn, "text": "Yes", "account": SYSTEM_ID, "redeliver": true });
    assert_eq!(world.sim.writes_as(PHONE, &sms).await, ["ESME_ROK"]);
    let copies = "matrix_smpp_copied_sms_total";
    assert_eq!(world.gateway.metric(copies, &[]).await, 1);
    alice.hears(&room, &ghost(PHONE), "Yes").await;
    // The same words again are a text of their own.
    assert_eq!(world.sim.writes_as(PHONE, &sms).await, ["ESME_ROK"]);
    alice
        .sees(&room, "it twice", |timeline| {
            timeline.texts(&ghost(PHONE), "Yes") == 2
        })
        .await;
    assert_eq!(world.gateway.metric(copies, &[]).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_the_smsc_names_in_national_form_is_the_same_phone() {
    let world = World::with(|plan| plan.group = "country_code = \"44\"".to_owned()).await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    alice.write(&room, "Who are you?").await;
    let vmn = world.sim.gets(PHONE, "Who are you?").await["from"].clone();
    let sms = json!({ "to": vmn, "text": "Still me", "source_ton": 2 });
    assert_eq!(world.sim.writes_as("07700900123", &sms).await, ["ESME_ROK"]);
    alice.hears(&room, &ghost(PHONE), "Still me").await;
}

/// The second homeserver.
const ELSEWHERE: &str = "elsewhere.test";

#[tokio::test(flavor = "multi_thread")]
async fn two_homeservers_share_the_gateway_and_nothing_else() {
    let home = tempfile::tempdir().unwrap();
    let mut elsewhere = Synapse::prepare(home.path(), ELSEWHERE);
    let mut world = World::before_the_gateway(|plan| {
        plan.more = format!(
            "[[homeserver]]\nname = \"{ELSEWHERE}\"\nurl = \"{}\"\n\
             appservice_url = \"{}\"\n\
             as_token = \"other-as-token-of-the-tests\"\n\
             hs_token = \"other-hs-token-of-the-tests\"\n",
            elsewhere.url(),
            plan.appservice_url()
        );
    })
    .await;
    let registration = world.gateway.registration_of(ELSEWHERE);
    elsewhere.start(Some(&registration)).await;
    world.gateway.start().await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    let bob = elsewhere.register("bob").await;
    world.gateway.top_up(&bob.id, "1");
    let ghost_there = format!("@.tel.{PHONE}:{ELSEWHERE}");
    let room_there = bob.direct_room(&ghost_there).await;
    bob.sees_join(&room_there, &ghost_there).await;

    alice.write(&room, "From here").await;
    bob.write(&room_there, "From there").await;
    let here = world.sim.gets(PHONE, "From here").await["from"].clone();
    let there = world.sim.gets(PHONE, "From there").await["from"].clone();
    assert_ne!(here, there, "one phone, two conversations, two numbers");
    for (vmn, text) in [(here, "To Alice"), (there, "To Bob")] {
        let sms = json!({ "to": vmn, "text": text });
        assert_eq!(world.sim.writes_as(PHONE, &sms).await, ["ESME_ROK"]);
    }
    alice.hears(&room, &ghost(PHONE), "To Alice").await;
    bob.hears(&room_there, &ghost_there, "To Bob").await;
    assert_eq!(alice.read(&room).await.texts(&ghost(PHONE), "To Bob"), 0);
    assert_eq!(
        bob.read(&room_there).await.texts(&ghost_there, "To Alice"),
        0
    );
}

/// An SMSC that answers in hexadecimal and writes its receipts in padded decimal numbers.
#[tokio::test(flavor = "multi_thread")]
async fn receipts_find_their_messages_though_the_smsc_writes_their_ids_in_another_base() {
    let files = tempfile::tempdir().unwrap();
    let scenario = files.path().join("scenario.toml");
    let ids = "[message_id]\nresponse = \"hex_upper\"\n\
               receipt = { base = \"decimal\", width = 12 }\n";
    std::fs::write(&scenario, ids).unwrap();
    let world = World::with(|plan| {
        plan.smsc_arguments = vec!["--scenario".to_owned(), scenario.display().to_string()];
    })
    .await;
    let alice = world.person("alice", "10").await;
    let room = world.chat(&alice, PHONE).await;
    for text in ["one", "two", &"three ".repeat(60), "four", "five"] {
        let event = alice.write(&room, text).await;
        alice
            .until(&room, "that it was delivered", |timeline| {
                timeline.has_check(&ghost(PHONE), &event).then_some(())
            })
            .await;
    }
    let labels = |matched| [("link_group", "operator"), ("match", matched)];
    until("all seven receipts are matched", async || {
        let by_id = labels("id");
        (world
            .gateway
            .metric("matrix_smpp_receipts_total", &by_id)
            .await
            == 7)
            .then_some(())
    })
    .await;
    let parked = labels("parked");
    assert_eq!(
        world
            .gateway
            .metric("matrix_smpp_receipts_total", &parked)
            .await,
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_text_arrives_whole_in_sar_segments_and_as_a_payload() {
    for (way, submits) in [("sar", 3), ("payload", 1)] {
        let setting = format!("\nlong_messages = \"{way}\"");
        let world = World::with(|plan| plan.route.push_str(&setting)).await;
        let alice = world.person("alice", "10").await;
        let room = world.chat(&alice, PHONE).await;
        let text = "{0123456789} ".repeat(28);
        alice.write(&room, text.trim_end()).await;
        let received = world.sim.gets(PHONE, text.trim_end()).await;
        assert_eq!(received["segments"], submits, "{way}");
        // Three segments on the air are paid for either way.
        until("all of it is settled", async || {
            let balance = world.gateway.balance(&alice.id);
            balance.contains("balance 9.85 ").then_some(())
        })
        .await;
    }
}
