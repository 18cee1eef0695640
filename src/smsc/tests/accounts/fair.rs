//! What strangers and hasty accounts cannot do to the others, and what the operator sees of it.

use std::sync::atomic::AtomicUsize;

use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

use super::door::config;
use super::*;

/// Most of its requests that an account may have open; the flood keeps as many.
const WINDOW: usize = 100;

impl Door {
    fn metrics(&self) -> String {
        self.links.export(&self.gateway.metrics);
        self.gateway.metrics.render()
    }
}

/// Submits as fast as it can until it is told to end; how many were answered is counted.
async fn flood(mut esme: Esme, answered: Arc<AtomicUsize>, stop: CancellationToken) {
    esme.link.set_limits(WINDOW, None);
    for number in 0_u64.. {
        let text = SubmitSm {
            registered_delivery: RegisteredDelivery::NONE,
            ..sm(&format!("flood {number}"))
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = esme.link.ready() => {}
        }
        esme.link
            .submit(Ticket(number), Body::SubmitSm(text))
            .unwrap();
        while esme.link.events_waiting() > 0 {
            if let LinkEvent::Answered { status, .. } = esme.next().await {
                assert_eq!(status, CommandStatus::ESME_ROK);
                answered.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_floods_does_not_starve_another() {
    const TEXTS: usize = 20;
    let door = Door::open().await;
    let flooded = Arc::new(AtomicUsize::new(0));
    let stop = CancellationToken::new();
    let hasty = door.bind(BindMode::Transmitter).await;
    let flooding = TaskTracker::new();
    let ended = flooding.spawn(flood(hasty, Arc::clone(&flooded), stop.clone()));
    let mut calm = door.connect("strict", "secret", BindMode::Transmitter);
    assert!(matches!(calm.next().await, LinkEvent::Up { .. }));
    while flooded.load(Ordering::Relaxed) < WINDOW {
        tokio::task::yield_now().await;
    }
    let before = flooded.load(Ordering::Relaxed);
    for number in 0..TEXTS {
        calm.submit(sm(&format!("calm {number}"))).await.unwrap();
    }
    let meanwhile = flooded.load(Ordering::Relaxed) - before;
    stop.cancel();
    ended.await.unwrap();
    // Each waits for what is in line, which is no more than a few windows of the flood.
    assert!(meanwhile <= TEXTS * 5 * WINDOW, "{meanwhile}");
    drop(calm);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_sees_who_is_bound_and_why_others_are_not() {
    let door = Door::open().await;
    let _esme = door.bind(BindMode::Transceiver).await;
    assert!(door.links.accepts());
    for (system_id, password) in [("agg", "wrong"), ("who", "secret"), ("far", "secret")] {
        let mut esme = door.connect(system_id, password, BindMode::Transceiver);
        assert!(matches!(esme.next().await, LinkEvent::Down { .. }));
    }
    let metrics = door.metrics();
    for line in [
        "matrix_smpp_listener_up 1",
        "matrix_smpp_binds{link_group=\"aggregator\"} 1",
        "matrix_smpp_binds{link_group=\"strict\"} 0",
        "matrix_smpp_listener_connections{state=\"bound\"} 1",
        "matrix_smpp_binds_refused_total{reason=\"wrong_password\"} 1",
        "matrix_smpp_binds_refused_total{reason=\"unknown_account\"} 1",
        "matrix_smpp_binds_refused_total{reason=\"wrong_address\"} 1",
        "matrix_smpp_binds_refused_total{reason=\"too_many_binds\"} 0",
    ] {
        assert!(metrics.lines().any(|one| one == line), "{line}: {metrics}");
    }
    door.crew.stop.cancel();
    let closed = async {
        while door.links.accepts() {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, closed).await.unwrap();
    assert!(door.metrics().contains("matrix_smpp_listener_up 0"));
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_do_not_bind_keep_no_account_out() {
    let narrow = config().replace(
        "listen = \"127.0.0.1:0\"",
        "listen = \"127.0.0.1:0\"\nmax_connections = 3",
    );
    let door = Door::open_with(tempfile::tempdir().unwrap(), &narrow).await;
    let mut crowd = Vec::new();
    for _ in 0..10 {
        crowd.push(TcpStream::connect(&door.address).await.unwrap());
    }
    let mut esme = door.bind(BindMode::Transceiver).await;
    esme.submit(sm("in spite of it")).await.unwrap();
    assert_eq!(door.texts().await, ["in spite of it"]);
    drop((crowd, esme));
    door.close().await;
}
