//! Gateways without anything but doors: an owner, and one that stands by.

use matrix_smpp_session::{Accept as _, Listener, ListenerSettings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::*;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

/// The doors of one gateway.
struct Gateway {
    standing: Standing,
    entrance: Entrance,
    crew: Crew,
    metrics: Metrics,
}

impl Gateway {
    fn new(door: Door) -> Self {
        Self {
            standing: Standing::default(),
            entrance: Entrance::new(door, "127.0.0.1:0".parse().unwrap()),
            crew: Crew::default(),
            metrics: Metrics::new(),
        }
    }

    /// One with an inner door, where its secret leads in.
    async fn owner(door: Door) -> (Self, Inlet, Reach) {
        let owner = Self::new(door);
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let reach = Reach::at(socket.local_addr().unwrap().to_string());
        let entrances = vec![owner.entrance.clone()];
        let inner = inner::Inner::new(&reach, entrances, owner.metrics.doors.clone());
        owner
            .crew
            .spawn("the inner door", inner.serve(socket, owner.crew.clone()));
        let inlet = owner.entrance.inlet().await.unwrap();
        (owner, inlet, reach)
    }

    /// One that forwards, at most so many connections, none of which waits for longer.
    fn standby(door: Door, most: usize, patience: Duration) -> Self {
        let standby = Self::new(door);
        let forwarder = Forwarder {
            entrance: standby.entrance.clone(),
            sight: standby.standing.watch(),
            patience,
            tracker: standby.crew.tracker.clone(),
            metrics: standby.metrics.doors.clone(),
        };
        standby.crew.tracker.spawn(forwarder.run(most));
        standby
    }

    /// A peer at its public door.
    async fn visit(&self) -> TcpStream {
        let socket = self.entrance.open().await.unwrap();
        let address = socket.local_addr().unwrap();
        TcpStream::connect(address).await.unwrap()
    }

    fn shows(&self, line: &str) -> bool {
        self.metrics.render().lines().any(|shown| shown == line)
    }
}

async fn next(inlet: &Inlet) -> (TcpStream, SocketAddr) {
    timeout(LONG, inlet.accept()).await.unwrap().unwrap()
}

/// Says something at one end and hears it at the other.
async fn says(from: &mut TcpStream, to: &mut TcpStream, text: &str) {
    from.write_all(text.as_bytes()).await.unwrap();
    let mut heard = vec![0; text.len()];
    timeout(LONG, to.read_exact(&mut heard))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(heard, text.as_bytes());
}

/// All that comes until the other end closes, in whatever way.
async fn rest(stream: &mut TcpStream) -> String {
    let mut heard = Vec::new();
    // A reset is an end as well.
    drop(timeout(LONG, stream.read_to_end(&mut heard)).await.unwrap());
    String::from_utf8(heard).unwrap()
}

async fn until(mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, waiting).await.unwrap();
}

#[tokio::test]
async fn what_comes_to_a_standby_is_served_by_the_owner_with_its_true_address() {
    let (_owner, inlet, reach) = Gateway::owner(Door::Smpp).await;
    let standby = Gateway::standby(Door::Smpp, 10, LONG);
    standby.standing.see(Sight::Other(reach));
    let mut peer = standby.visit().await;
    let (mut served, address) = next(&inlet).await;
    assert_eq!(address, peer.local_addr().unwrap());
    says(&mut peer, &mut served, "bind").await;
    says(&mut served, &mut peer, "bound").await;
    assert!(standby.shows("matrix_smpp_forwarded_connections{door=\"smpp\"} 1"));
    drop(served);
    assert_eq!(rest(&mut peer).await, "");
    // The peer keeps its end, and is not waited for.
    until(|| standby.shows("matrix_smpp_forwarded_connections{door=\"smpp\"} 0")).await;
    assert!(standby.shows("matrix_smpp_forwards_total{door=\"smpp\"} 1"));
}

#[tokio::test]
async fn an_account_is_known_and_bounded_by_its_own_address_wherever_it_came_in() {
    let (_owner, inlet, reach) = Gateway::owner(Door::Smpp).await;
    let settings = ListenerSettings {
        max_per_address: Some(1),
        ..ListenerSettings::default()
    };
    let listener = Listener::over(inlet, settings).unwrap();
    let mut came = Vec::new();
    for peer in ["192.0.2.7:1", "192.0.2.8:1", "192.0.2.7:2"] {
        let peer = peer.parse().unwrap();
        let stream = call::call(&reach, Door::Smpp, peer).await.unwrap();
        let incoming = timeout(LONG, listener.accept()).await.unwrap().unwrap();
        assert_eq!(incoming.address(), peer);
        came.push((incoming, stream));
    }
    // The first gave way to the third, which is from where it was.
    assert_eq!(listener.watch().connections().unbound, 2);
}

#[tokio::test]
async fn a_peer_that_has_said_its_last_word_still_hears_the_owner() {
    let (_owner, inlet, reach) = Gateway::owner(Door::Smpp).await;
    let standby = Gateway::standby(Door::Smpp, 10, LONG);
    standby.standing.see(Sight::Other(reach));
    let mut peer = standby.visit().await;
    peer.write_all(b"bye").await.unwrap();
    peer.shutdown().await.unwrap();
    let (mut served, _) = next(&inlet).await;
    assert_eq!(rest(&mut served).await, "bye");
    served.write_all(b"good bye").await.unwrap();
    drop(served);
    assert_eq!(rest(&mut peer).await, "good bye");
}

#[tokio::test]
async fn what_comes_to_the_owner_itself_is_served_as_well() {
    let (owner, inlet, _) = Gateway::owner(Door::Smpp).await;
    let peer = owner.visit().await;
    let (_, address) = next(&inlet).await;
    assert_eq!(address, peer.local_addr().unwrap());
}

#[tokio::test]
async fn who_does_not_know_the_secret_is_not_let_in_and_not_waited_for() {
    let (owner, inlet, reach) = Gateway::owner(Door::Smpp).await;
    let secret = &reach.secret;
    let calls = [
        format!("matrix-smpp/1 {} smpp 192.0.2.1:1\n", "0".repeat(64)),
        format!("matrix-smpp/1 {secret} smpp 192.0.2.1:1\nand more"),
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        "x".repeat(1_000_000),
        // Says nothing at all.
        String::new(),
    ];
    for (refused, call) in (1..).zip(&calls) {
        let mut caller = TcpStream::connect(&reach.address).await.unwrap();
        // It may be closed before all of it is written.
        drop(caller.write_all(call.as_bytes()).await);
        assert_eq!(rest(&mut caller).await, "", "{call:.40}");
        let counted = format!("matrix_smpp_inner_calls_refused_total {refused}");
        until(|| owner.shows(&counted)).await;
    }
    let mut caller = TcpStream::connect(&reach.address).await.unwrap();
    let call = format!("matrix-smpp/1 {secret} smpp 192.0.2.1:1\n");
    caller.write_all(call.as_bytes()).await.unwrap();
    let (_, address) = next(&inlet).await;
    assert_eq!(address.to_string(), "192.0.2.1:1", "the first that came in");
}

#[tokio::test]
async fn a_connection_waits_for_a_take_over_by_another_one() {
    let (_owner, inlet, reach) = Gateway::owner(Door::Smpp).await;
    let standby = Gateway::standby(Door::Smpp, 10, LONG);
    let paused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = paused.local_addr().unwrap().to_string();
    standby.standing.see(Sight::Other(Reach::at(address)));
    let mut peer = standby.visit().await;
    // Its system takes the call, and nobody answers.
    let (_call, _) = timeout(LONG, paused.accept()).await.unwrap().unwrap();
    standby.standing.see(Sight::Other(reach));
    let (mut served, address) = next(&inlet).await;
    assert_eq!(address, peer.local_addr().unwrap());
    says(&mut peer, &mut served, "hello").await;
}

#[tokio::test]
async fn a_connection_waits_for_a_take_over_by_the_gateway_it_came_to() {
    let standby = Gateway::standby(Door::Appservice, 10, LONG);
    let mut peer = standby.visit().await;
    standby.standing.see(Sight::Ours);
    let mut later = standby.visit().await;
    let inlet = standby.entrance.inlet().await.unwrap();
    let mut latest = standby.visit().await;
    for _ in 0..3 {
        let (mut served, address) = next(&inlet).await;
        let mut all = [&mut peer, &mut later, &mut latest].into_iter();
        let its = all.find(|peer| peer.local_addr().unwrap() == address);
        says(its.unwrap(), &mut served, "hello").await;
    }
}

#[tokio::test]
async fn where_nobody_works_for_too_long_a_homeserver_hears_so_and_an_account_is_cut() {
    let short = Duration::from_millis(50);
    let standby = Gateway::standby(Door::Appservice, 10, short);
    let mut homeserver = standby.visit().await;
    homeserver.write_all(b"PUT / HTTP/1.1\r\n").await.unwrap();
    let answer = rest(&mut homeserver).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("M_UNKNOWN"), "{answer}");
    let failed = "matrix_smpp_forwards_failed_total{door=\"appservice\"} 1";
    assert!(standby.shows(failed));
    let standby = Gateway::standby(Door::Smpp, 10, short);
    assert_eq!(rest(&mut standby.visit().await).await, "");
}

#[tokio::test]
async fn a_forwarded_connection_ends_when_its_owner_works_no_more() {
    let (_owner, inlet, reach) = Gateway::owner(Door::Smpp).await;
    let standby = Gateway::standby(Door::Smpp, 10, LONG);
    standby.standing.see(Sight::Other(reach));
    let mut peer = standby.visit().await;
    let (mut served, _) = next(&inlet).await;
    says(&mut peer, &mut served, "hello").await;
    let (_next, next_inlet, next_reach) = Gateway::owner(Door::Smpp).await;
    standby.standing.see(Sight::Other(next_reach));
    assert_eq!(
        rest(&mut peer).await,
        "",
        "the first owner still has its end"
    );
    let again = standby.visit().await;
    let (_, address) = next(&next_inlet).await;
    assert_eq!(address, again.local_addr().unwrap());
}

#[tokio::test]
async fn no_more_connections_are_forwarded_at_once_than_there_may_be() {
    let (_owner, inlet, reach) = Gateway::owner(Door::Smpp).await;
    let standby = Gateway::standby(Door::Smpp, 1, LONG);
    standby.standing.see(Sight::Other(reach));
    let first = standby.visit().await;
    let (served, address) = next(&inlet).await;
    assert_eq!(address, first.local_addr().unwrap());
    let second = standby.visit().await;
    let early = timeout(Duration::from_millis(100), inlet.accept()).await;
    assert!(early.is_err(), "the second one waits");
    drop((first, served));
    let (_, address) = next(&inlet).await;
    assert_eq!(address, second.local_addr().unwrap());
}
