//! What went over the wire, as Wireshark sees it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};

use serde_json::json;

use crate::support::capture::Capture;
use crate::support::gateway::Plan;
use crate::support::user::User;
use crate::support::wait::until;
use crate::support::world::{OTHER_PHONE, PHONE, World, ghost};

/// After the traffic a link is silent for so long; then come two PDUs, and silence again.
const ENQUIRE: &str = "enquire_link = \"5s\"";

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_pdu_would_be_noticed() {
    let home = tempfile::tempdir().unwrap();
    let smsc = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = smsc.local_addr().unwrap();
    let capture = Capture::start(home.path(), address.port()).await;
    // command_length, command_id, command_status, sequence_number (SMPP 3.4 §3.2).
    let enquire_link: [u32; 4] = [16, 0x0000_0015, 0, 1];
    let unknown_command: [u32; 4] = [16, 0x0000_0666, 0, 1];
    let submit_sm_without_a_body: [u32; 4] = [16, 0x0000_0004, 0, 1];
    for pdu in [enquire_link, unknown_command, submit_sm_without_a_body] {
        let mut link = TcpStream::connect(address).unwrap();
        link.write_all(&pdu.map(u32::to_be_bytes).concat()).unwrap();
        link.shutdown(Shutdown::Write).unwrap();
        let (mut peer, _) = smsc.accept().unwrap();
        assert_eq!(peer.read_to_end(&mut Vec::new()).unwrap(), 16);
    }
    let captured = capture.stop().await;
    assert_eq!(captured.sent_to_smsc().get("enquire_link"), Some(&1));
    assert_eq!(
        captured.undissected().len(),
        1,
        "{:?}",
        captured.undissected()
    );
    assert_eq!(captured.malformed().len(), 1, "{:?}", captured.malformed());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_pdu_of_a_transceiver_dissects_clean_and_is_counted_by_both_ends() {
    compare(|plan| plan.link = ENQUIRE.to_owned()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_pdu_of_a_transmitter_and_a_receiver_dissects_clean_and_is_counted_by_both_ends() {
    compare(|plan| {
        plan.link = ENQUIRE.to_owned();
        plan.bind = "pair";
    })
    .await;
}

async fn compare(change: impl FnOnce(&mut Plan)) {
    let mut world = World::before_the_gateway(change).await;
    let capture = Capture::start(world.home(), world.sim.smpp_port()).await;
    world.gateway.start().await;
    let alice = world.person("alice", "10").await;
    talk(&world, &alice).await;
    until("an enquire_link after the traffic", async || {
        world
            .sim
            .pdus("out")
            .await
            .contains_key("enquire_link_resp")
            .then_some(())
    })
    .await;

    let (gateway_out, gateway_in) = (
        world.gateway.pdus("out").await,
        world.gateway.pdus("in").await,
    );
    world.gateway.stop().await;
    let captured = capture.stop().await;

    let none: [String; 0] = [];
    assert_eq!(captured.lost(), none, "the capture is whole");
    assert_eq!(captured.malformed(), none);
    assert_eq!(captured.undissected(), none);

    let (mut to_smsc, mut from_smsc) = (captured.sent_to_smsc(), captured.sent_by_smsc());
    assert_eq!(to_smsc, world.sim.pdus("in").await);
    assert_eq!(from_smsc, world.sim.pdus("out").await);
    for command in ["submit_sm", "deliver_sm_resp", "enquire_link", "unbind"] {
        assert!(to_smsc.contains_key(command), "no {command} in {to_smsc:?}");
    }
    // The gateway's last counters are from before it unbound.
    assert!(to_smsc.remove("unbind").is_some() && from_smsc.remove("unbind_resp").is_some());
    assert_eq!(to_smsc, gateway_out);
    assert_eq!(from_smsc, gateway_in);
}

/// Texts of every alphabet and length both ways, receipts of every kind, refusals.
async fn talk(world: &World, alice: &User) {
    let room = world.chat(alice, PHONE).await;
    let texts = [
        "short",
        "€{[]}",
        "Привет",
        "🙂👨‍👩‍👧‍👦",
        &"long ".repeat(100),
        &"длинный ".repeat(40),
    ];
    for text in texts {
        let text = text.trim_end();
        alice.write(&room, text).await;
        world.sim.gets(PHONE, text).await;
        world.answer(PHONE, text).await;
        alice.hears(&room, &ghost(PHONE), text).await;
    }
    let other = world.chat(alice, OTHER_PHONE).await;
    for change in [
        json!({ "submit_status": "ESME_RTHROTTLED", "next": 1 }),
        json!({ "receipts": "undeliverable" }),
        json!({ "receipts": "expired" }),
        json!({ "submit_status_for": { OTHER_PHONE: "ESME_RINVDSTADR" } }),
    ] {
        world.sim.behave(change).await;
        let event = alice.write(&other, "what becomes of this?").await;
        let heard = |timeline: &crate::support::room::Timeline| {
            let failed = timeline.replies(&event).count() > 0;
            failed || timeline.has_check(&ghost(OTHER_PHONE), &event)
        };
        alice.sees(&other, "what became of it", heard).await;
    }
    every_receipt_is_answered(world).await;
}

/// Receipts may be under way still when the room has heard all it will hear.
async fn every_receipt_is_answered(world: &World) {
    until("an answer to every receipt", async || {
        let owed = |submit: &serde_json::Value| submit["receipt"] == "owed";
        let open = world.sim.submits().await.iter().any(owed);
        let (sent, answered) = (world.sim.pdus("out").await, world.sim.pdus("in").await);
        (!open && sent.get("deliver_sm") == answered.get("deliver_sm_resp")).then_some(())
    })
    .await;
}
