//! Memory of a bound session that does nothing: what a process grows by for each.
//!
//! `idle [sessions]`: 10,000 sessions by default. Client and server are processes of their own and
//! speak plain TCP. A first few hundred sessions warm both up and stay. Every session is then
//! measured after its bind and an `enquire_link`, and once more after a burst of messages.

use std::time::Duration;

use matrix_smpp_bench::child::{self, Process};
use matrix_smpp_bench::cost;
use matrix_smpp_bench::peers::{Peer, bare, ours};
use tokio::sync::mpsc;

const SESSIONS: usize = 10_000;

/// Sessions that warm up client and server.
const WARM_UP: usize = 500;

/// Messages that each session carries before the last measurement.
const BURST: usize = 20;

/// Sessions that do so at once.
const TOGETHER: usize = 100;

/// Longer than the pause between two `enquire_link`, and for what follows to settle.
const SETTLE: Duration = Duration::from_secs(6);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", peer] => serve(peer.parse().expect("a peer")),
        ["hold", peer, port] => {
            hold(peer.parse().expect("a peer"), port.parse().expect("a port"));
        }
        [] => compare(SESSIONS),
        [sessions, ..] => compare(sessions.parse().expect("a number")),
    }
}

fn serve(peer: Peer) {
    child::answer(|_| cost::resident().to_string());
    child::run(false, peer.serve(|port| println!("{port}")));
}

/// Answers `bind <sessions>`, `burst` and `rss`.
fn hold(peer: Peer, port: u16) {
    let (sender, mut orders) = mpsc::channel::<String>(1);
    std::thread::spawn(move || {
        for order in std::io::stdin().lines().map_while(Result::ok) {
            sender.blocking_send(order).expect("the holder lives");
        }
        std::process::exit(0);
    });
    child::run(false, async move {
        let mut held = Held::new(peer, port);
        while let Some(order) = orders.recv().await {
            match order.split_once(' ') {
                Some((_bind, sessions)) => held.bind(sessions.parse().expect("a number")).await,
                None if order == "burst" => held.burst().await,
                None => {}
            }
            println!("{}", cost::resident());
        }
    });
}

/// Bound sessions, held by the client's process.
enum Held {
    Ours(u16, Vec<ours::Client>),
    Bare(u16, Vec<bare::Client>),
}

impl Held {
    fn new(peer: Peer, port: u16) -> Self {
        match peer {
            Peer::Ours => Self::Ours(port, Vec::new()),
            _ => Self::Bare(port, Vec::new()),
        }
    }

    async fn bind(&mut self, sessions: usize) {
        for _ in 0..sessions {
            match self {
                Self::Ours(port, held) => held.push(ours::Client::bind(*port).await),
                Self::Bare(port, held) => held.push(bare::Client::bind(*port).await),
            }
        }
    }

    async fn burst(&mut self) {
        match self {
            Self::Ours(_, held) => {
                for client in held {
                    client.exchange(BURST).await;
                }
            }
            Self::Bare(_, held) => {
                // A server that leaves Nagle's algorithm on answers after 40 ms.
                for together in held.chunks_mut(TOGETHER) {
                    for client in &mut *together {
                        client.begin(BURST).await;
                    }
                    for client in together {
                        client.end().await;
                    }
                }
            }
        }
    }
}

fn compare(sessions: usize) {
    println!(
        "| server | client | sessions | KiB a session in the server: idle | after {BURST} messages each | in the client: idle | after {BURST} messages each |"
    );
    println!("|---|---|---|---|---|---|---|");
    let pairs = [
        (Peer::Ours, Peer::Ours),
        (Peer::Ours, Peer::Bare),
        (Peer::Smpp34, Peer::Bare),
        (Peer::Bare, Peer::Bare),
    ];
    for (server, client) in pairs {
        let [idle, used] = measure(server, client, sessions);
        println!(
            "| {} | {} | {sessions} | {:.2} | {:.2} | {:.2} | {:.2} |",
            server.name(),
            client.name(),
            idle.0,
            used.0,
            idle.1,
            used.1
        );
    }
}

/// KiB for each session in server and client: idle, and after the burst.
fn measure(server: Peer, client: Peer, sessions: usize) -> [(f64, f64); 2] {
    let mut server = Process::start(None, &["serve", server.name()]);
    let port = server.next_line();
    let mut client = Process::start(None, &["hold", client.name(), &port]);
    let mut resident = |order: &str| {
        client.ask(order);
        std::thread::sleep(SETTLE);
        let number = |line: String| line.parse::<f64>().expect("KiB");
        (number(server.ask("rss")), number(client.ask("rss")))
    };
    resident(&format!("bind {WARM_UP}"));
    let warm = resident("burst");
    let idle = resident(&format!("bind {sessions}"));
    let used = resident("burst");
    let grown = |now: (f64, f64)| {
        let each = |now: f64, before: f64| (now - before) / sessions as f64;
        (each(now.0, warm.0), each(now.1, warm.1))
    };
    [grown(idle), grown(used)]
}
