//! A gateway that stands still for longer than it is the owner of its store for sure.

use matrix_smpp_session::{Backoff, BindSettings, LinkSettings, SessionSettings};

use super::outgoing::Outgoing;
use super::*;
use crate::store::{Memory, Outcome, queue_a_text};

/// A gateway over a store in memory, in which a text waits.
async fn gateway_with_a_text() -> (Memory, World) {
    let memory = Memory::default();
    let store = TableStore::open(Box::new(memory.clone()), Duration::from_hours(24));
    let store: Arc<dyn Store> = Arc::new(store.unwrap());
    let world = World::over(store, None).await;
    queue_a_text(&world.store, world.clock.now()).await;
    (memory, world)
}

impl Bind {
    fn submits(&self) -> u64 {
        let counters = self.peer.link.counters();
        counters.pdus_in(CommandId::SUBMIT_SM)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_stood_still_after_a_claim_writes_nothing_before_it_is_sure_again() {
    let (memory, world) = gateway_with_a_text().await;
    memory.stand_still_after_commit();
    let (mut first, mut second) = world.binds().await;
    let bell = world.gateway.wakes.groups.of("operator").unwrap();
    bell.notify_one();
    let claimed = memory.commits().len() + 10;
    let turned_back = async {
        while memory.is_sure() || memory.commits().len() < claimed {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, turned_back).await.unwrap();
    // What we had said before would have come before these.
    for bind in [&mut first, &mut second] {
        bind.delivers("still there?").await;
        assert_eq!(bind.submits(), 0);
    }
    memory.go_on();
    let arrives = async {
        while first.submits() + second.submits() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, arrives).await.unwrap();
    world.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispatcher_that_stood_still_after_its_claim_hands_nothing_to_a_link() {
    let (memory, world) = gateway_with_a_text().await;
    let group = world.links.groups().remove(0);
    let dispatcher = group.dispatcher(&world.gateway);
    let now = world.clock.now();
    // No link is bound yet: nobody else claims.
    let claimed = world.store.claim("operator", 1, now).await.unwrap();
    let (link, _events, _running) = matrix_smpp_session::client(LinkSettings {
        name: "one".to_owned(),
        address: "127.0.0.1:1".to_owned(),
        tls: None,
        bind: BindSettings::default(),
        session: SessionSettings::default(),
        reconnect: Backoff::default(),
    });
    let links = [Outgoing::new("one".to_owned(), link, true)];
    assert!(dispatcher.taker(&links).is_some());
    memory.stand_still_after_commit();
    world.store.probe().await.unwrap();
    assert!(dispatcher.taker(&links).is_none());
    let answer = dispatcher.send_one(&links, &claimed[0]).unwrap();
    assert!(matches!(answer.outcome, Outcome::NotWritten));
    world.end();
}
