//! Rate and processor time of one session on loopback: `submit_sm` and its answer, both ends
//! counted, each end in a process of its own.
//!
//! `session [pinned|free] [rounds]`: both ends on one core, or on all of them; 5 rounds by default,
//! each of which runs every case once. The table gives the medians.

use std::io::Write;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use matrix_smpp_bench::child::{self, Process};
use matrix_smpp_bench::cost;
use matrix_smpp_bench::peers::{ANSWERED, Peer};

const WINDOWS: [usize; 2] = [10, 100];

/// Before a measurement begins.
const WARM_UP: Duration = Duration::from_millis(300);

/// One measurement.
const MEASURE: Duration = Duration::from_millis(1_000);

/// Client and server.
const PAIRS: [(Peer, Peer); 5] = [
    (Peer::Bare, Peer::Bare),
    (Peer::Ours, Peer::Ours),
    (Peer::Smpp34, Peer::Smpp34),
    (Peer::Ours, Peer::Bare),
    (Peer::Smpp34, Peer::Bare),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", peer, threads] => serve(peer.parse().expect("a peer"), *threads == "many"),
        ["drive", peer, threads, port, window] => {
            let port = port.parse().expect("a port");
            let window = window.parse().expect("a window");
            drive(
                peer.parse().expect("a peer"),
                *threads == "many",
                port,
                window,
            );
        }
        [] => [true, false]
            .into_iter()
            .for_each(|pinned| compare(pinned, 5)),
        [place] => compare(*place == "pinned", 5),
        [place, rounds, ..] => compare(*place == "pinned", rounds.parse().expect("a number")),
    }
}

fn serve(peer: Peer, threads: bool) {
    child::answer(|_| cost::cpu().as_nanos().to_string());
    child::run(threads, peer.serve(|port| println!("{port}")));
}

fn drive(peer: Peer, threads: bool, port: u16, window: usize) {
    std::thread::spawn(|| {
        std::thread::sleep(WARM_UP);
        let (start, answered, cpu) = (Instant::now(), ANSWERED.load(Relaxed), cost::cpu());
        println!("begun");
        std::thread::sleep(MEASURE);
        let (time, spent) = (start.elapsed(), cost::cpu() - cpu);
        let answered = ANSWERED.load(Relaxed) - answered;
        println!("{answered} {} {}", time.as_nanos(), spent.as_nanos());
    });
    child::run(threads, async move { peer.drive(port, window).await });
}

/// A case and what its rounds gave.
struct Case {
    client: Peer,
    server: Peer,
    threads: bool,
    window: usize,
    results: Vec<Outcome>,
}

/// One measurement.
#[derive(Clone, Copy)]
struct Outcome {
    /// Messages in a second.
    rate: f64,
    /// Nanoseconds of the processor for a message.
    client: f64,
    server: f64,
}

fn compare(pinned: bool, rounds: usize) {
    let mut cases = cases(pinned);
    for round in 0..rounds {
        eprint!(
            "\r{} round {}/{rounds} ",
            if pinned { "pinned" } else { "free" },
            round + 1
        );
        std::io::stderr().flush().ok();
        for case in &mut cases {
            let outcome = measure(case, pinned);
            case.results.push(outcome);
        }
    }
    eprintln!();
    print(&cases, pinned);
}

fn cases(pinned: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for window in WINDOWS {
        for (client, server) in PAIRS {
            for threads in [false, true] {
                if !(pinned && threads) {
                    cases.push(Case {
                        client,
                        server,
                        threads,
                        window,
                        results: Vec::new(),
                    });
                }
            }
        }
    }
    cases
}

fn measure(case: &Case, pinned: bool) -> Outcome {
    let core = pinned.then_some(0);
    let threads = if case.threads { "many" } else { "one" };
    let mut server = Process::start(core, &["serve", case.server.name(), threads]);
    let port = server.next_line();
    let window = case.window.to_string();
    let mut client = Process::start(
        core,
        &["drive", case.client.name(), threads, &port, &window],
    );
    let cpu = |server: &mut Process| server.ask("cpu").parse::<f64>().expect("nanoseconds");
    assert_eq!(client.next_line(), "begun");
    let before = cpu(&mut server);
    let line = client.next_line();
    let after = cpu(&mut server);
    let mut numbers = line
        .split(' ')
        .map(|number| number.parse::<f64>().expect("a number"));
    let [answered, nanos, spent] = std::array::from_fn(|_| numbers.next().expect("three"));
    Outcome {
        rate: answered * 1e9 / nanos,
        client: spent / answered,
        server: (after - before) / answered,
    }
}

fn median(case: &Case, of: impl Fn(&Outcome) -> f64) -> f64 {
    let mut values: Vec<f64> = case.results.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn print(cases: &[Case], pinned: bool) {
    println!(
        "\n{}\n",
        if pinned {
            "Both ends on one core"
        } else {
            "All cores"
        }
    );
    println!(
        "| window | client | server | threads of each | messages/s | ns CPU a message: client | server | both | rate beside smpp34 | CPU beside smpp34 |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for case in cases {
        let (rate, client, server) = (
            median(case, |o| o.rate),
            median(case, |o| o.client),
            median(case, |o| o.server),
        );
        // smpp34 at its better number of threads, against the same server or its own.
        let rivals = || {
            cases.iter().filter(|rival| {
                rival.client == Peer::Smpp34
                    && rival.window == case.window
                    && (rival.server == Peer::Bare)
                        == (case.server == Peer::Bare && case.client != Peer::Bare)
            })
        };
        let best = rivals()
            .map(|rival| median(rival, |o| o.rate))
            .fold(0.0, f64::max);
        let least = rivals()
            .map(|rival| median(rival, |o| o.client + o.server))
            .fold(f64::INFINITY, f64::min);
        println!(
            "| {} | {} | {} | {} | {rate:.0} | {client:.0} | {server:.0} | {:.0} | {:.2} | {:.2} |",
            case.window,
            case.client.name(),
            case.server.name(),
            if case.threads { "many" } else { "1" },
            client + server,
            rate / best,
            (client + server) / least,
        );
    }
}
