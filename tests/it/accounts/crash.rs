//! The gateway is killed between its commit and its answer. The aggregator knows nothing of what it
//! submitted and submits it again: the text is in its room once, and has one id and one receipt.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use matrix_smpp_codec::receipt::Receipt;
use matrix_smpp_codec::values::MessageState;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::esme::Esme;
use super::{PHONE, world};
use crate::support::dice::Dice;
use crate::support::world::ghost;

/// A way to the gateway on which nothing comes back any more once it is deaf.
struct Wire {
    port: u16,
    deaf: Arc<AtomicBool>,
    _carrying: JoinSet<()>,
}

impl Wire {
    async fn to(gateway: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let deaf = Arc::new(AtomicBool::new(false));
        let mut carrying = JoinSet::new();
        let ears = Arc::clone(&deaf);
        carrying.spawn(async move {
            let mut ways = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(("127.0.0.1", gateway)).await else {
                    continue;
                };
                let ((near_in, near_out), (far_in, far_out)) =
                    (near.into_split(), far.into_split());
                ways.spawn(carry(near_in, far_out, Arc::default()));
                ways.spawn(carry(far_in, near_out, Arc::clone(&ears)));
            }
        });
        Self {
            port,
            deaf,
            _carrying: carrying,
        }
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, lost: Arc<AtomicBool>) {
    let mut octets = [0; 4_096];
    while let Ok(count @ 1..) = from.read(&mut octets).await {
        if !lost.load(Ordering::SeqCst) && to.write_all(&octets[..count]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_and_never_answered_is_submitted_again_and_said_once() {
    let (mut world, port) = world().await;
    let alice = world.person("alice", "10").await;
    let room = world.chat(&alice, PHONE).await;
    let mut esme = Esme::bind(port).await;
    alice.write(&room, "Hello?").await;
    esme.takes().await;
    drop(esme);

    let wire = Wire::to(port).await;
    let esme = Esme::bind(wire.port).await;
    wire.deaf.store(true, Ordering::SeqCst);
    esme.sends("once");
    // Only what is committed is said.
    alice.hears(&room, &ghost(PHONE), "once").await;
    world.gateway.kill().await;
    drop((esme, wire));

    world.gateway.start().await;
    let mut esme = Esme::bind(port).await;
    let id = esme.submit("once").await;
    // Its receipt has waited since, under the id that nobody had heard.
    let receipt = Receipt::of(&esme.takes().await).expect("a receipt");
    assert_eq!(receipt.message_id, id.to_text());
    assert_eq!(receipt.state, MessageState::DELIVERED);
    assert_eq!(esme.state(id).await, MessageState::DELIVERED);
    // The same words once more are a text of their own.
    assert_ne!(esme.submit("once").await, id);
    esme.submit("the end").await;
    alice.hears(&room, &ghost(PHONE), "the end").await;
    let said = alice.read(&room).await.texts(&ghost(PHONE), "once");
    assert_eq!(said, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn at_whichever_moment_the_gateway_dies_a_text_that_is_submitted_again_is_said_once() {
    let (mut world, port) = world().await;
    let alice = world.person("alice", "10").await;
    let room = world.chat(&alice, PHONE).await;
    let mut esme = Esme::bind(port).await;
    alice.write(&room, "Hello?").await;
    esme.takes().await;
    drop(esme);
    let mut dice = Dice::new(7);
    let texts = ["one", "two", "three", "four", "five"];
    for text in texts {
        let wire = Wire::to(port).await;
        let hasty = Esme::bind(wire.port).await;
        wire.deaf.store(true, Ordering::SeqCst);
        hasty.sends(text);
        // From before the PDU is read to after its answer was written.
        dice.wait(0, 40).await;
        world.gateway.kill().await;
        drop((hasty, wire));
        world.gateway.start().await;
        let mut esme = Esme::bind(port).await;
        esme.submit(text).await;
        alice.hears(&room, &ghost(PHONE), text).await;
    }
    let mut esme = Esme::bind(port).await;
    esme.submit("the end").await;
    alice.hears(&room, &ghost(PHONE), "the end").await;
    let timeline = alice.read(&room).await;
    for text in texts {
        assert_eq!(timeline.texts(&ghost(PHONE), text), 1, "{text}");
    }
}
