//! How fast the stub homeserver is, so that it is never what a benchmark measures:
//! `cargo run --release -p matrix-smpp-loadtest --example stub_bench`.
//!
//! Events pushed: people write as fast as the stub takes it, and a sink of few words answers each
//! transaction. Requests taken in: so many connections send one message after the other, each waiting
//! for its answer as an HTTP client without pipelining does.

use std::error::Error;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use matrix_smpp_loadtest::homeserver::{HomeserverSettings, StubHomeserver};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// Measures the stub homeserver from both sides.
#[derive(Debug, Parser)]
struct Args {
    /// Connections that send at once.
    #[arg(long, default_value_t = 64)]
    connections: u32,

    /// Seconds for each of the two.
    #[arg(long, default_value_t = 5)]
    seconds: u32,
}

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let args = Args::parse();
    let seconds = Duration::from_secs(args.seconds.into());
    let sink = sink().await?;
    let stub = StubHomeserver::start(HomeserverSettings {
        appservice: format!("http://{sink}"),
        as_token: "as".to_owned(),
        hs_token: "hs".to_owned(),
        ..HomeserverSettings::default()
    })
    .await?;
    let address = stub.address;
    let rooms = json!({"count": args.connections, "first": 447_700_900_000_u64});
    let rooms = ask(address, "POST", "/_stub/rooms", &rooms).await?;
    let measured = pushed(address, &rooms, seconds).await?;
    measured.show("events pushed in transactions of 100");
    let measured = taken_in(address, &rooms, seconds).await?;
    measured.show("PUTs taken in, and told again");
    stub.stop().await;
    Ok(())
}

/// What was counted in some time.
struct Measured {
    count: u64,
    time: Duration,
    /// Of both ends.
    cpu: Duration,
}

impl Measured {
    #[expect(clippy::cast_precision_loss, reason = "a count for people")]
    fn show(&self, what: &str) {
        let Self { count, time, cpu } = self;
        let count = *count as f64;
        let rate = count / time.as_secs_f64();
        let each = cpu.as_secs_f64() * 1e6 / count;
        let line = format!("{what}: {rate:.0}/s, {each:.1} us of CPU each, both ends together\n");
        // Nobody reads it: no reason to fail.
        io::stdout().write_all(line.as_bytes()).unwrap_or_default();
    }
}

/// Events that the sink has taken.
async fn pushed(stub: SocketAddr, rooms: &Value, length: Duration) -> Outcome<Measured> {
    let flood = json!({"rate": 200_000, "count": u64::MAX, "rooms": rooms});
    ask(stub, "POST", "/_stub/flood", &flood).await?;
    sleep(length / 5).await;
    let (start, used, before) = (now(), cpu(), events(stub).await?);
    sleep(length).await;
    let measured = Measured {
        count: events(stub).await? - before,
        time: now() - start,
        cpu: cpu().saturating_sub(used),
    };
    ask(stub, "DELETE", "/_stub/flood", &Value::Null).await?;
    while ask(stub, "GET", "/_stub/counts", &Value::Null).await?["waiting"] != 0 {
        sleep(Duration::from_millis(10)).await;
    }
    Ok(measured)
}

async fn events(stub: SocketAddr) -> Outcome<u64> {
    let counts = ask(stub, "GET", "/_stub/counts", &Value::Null).await?;
    Ok(counts["transactions"]["events"].as_u64().unwrap_or(0))
}

/// Messages that the stub has answered; it tells the sink of each.
async fn taken_in(stub: SocketAddr, rooms: &Value, length: Duration) -> Outcome<Measured> {
    let mut senders = JoinSet::new();
    let (start, used) = (now(), cpu());
    for pair in rooms.as_array().into_iter().flatten() {
        let (room, ghost) = (text(&pair["room"]), text(&pair["ghost"]));
        let localpart = ghost.trim_start_matches('@').split(':').next();
        let registration = json!({"username": localpart});
        ask(stub, "POST", "/_matrix/client/v3/register", &registration).await?;
        let join = format!("/_matrix/client/v3/rooms/{room}/join?user_id={ghost}");
        ask(stub, "POST", &join, &json!({})).await?;
        senders.spawn(send(stub, room, ghost, length));
    }
    let mut count = 0;
    while let Some(sent) = senders.join_next().await {
        count += sent??;
    }
    Ok(Measured {
        count,
        time: now() - start,
        cpu: cpu().saturating_sub(used),
    })
}

/// One message after the other over one connection; how many.
async fn send(stub: SocketAddr, room: String, ghost: String, length: Duration) -> Outcome<u64> {
    let mut stream = TcpStream::connect(stub).await?;
    stream.set_nodelay(true)?;
    let end = now() + length;
    let mut answer = vec![0; 4_096];
    let body =
        json!({"msgtype": "m.text", "body": "A message as people write them, of forty octets."});
    let body = body.to_string();
    let mut count = 0;
    while now() < end {
        let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{count}");
        let request = format!(
            "PUT {path}?user_id={ghost} HTTP/1.1\r\nhost: stub\r\nauthorization: Bearer as\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await?;
        let octets = stream.read(&mut answer).await?;
        let ok = answer
            .get(..octets)
            .is_some_and(|head| head.starts_with(b"HTTP/1.1 200"));
        if !ok {
            return Err("a message was not taken".into());
        }
        count += 1;
    }
    Ok(count)
}

/// An application service that answers every transaction with `{}`.
async fn sink() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(swallow(stream));
        }
    };
    spawn(serving);
    Ok(address)
}

async fn swallow(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut octets = Vec::new();
    loop {
        let Some(whole) = request_length(&octets) else {
            if stream.read_buf(&mut octets).await? == 0 {
                return Ok(());
            }
            continue;
        };
        octets.drain(..whole);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
            .await?;
    }
}

/// The length of the first request, where all of it is there.
fn request_length(octets: &[u8]) -> Option<usize> {
    let head = octets.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = str::from_utf8(octets.get(..head)?).ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let known = name.eq_ignore_ascii_case("content-length");
        known.then(|| value.trim().parse::<usize>().ok())?
    })?;
    (octets.len() >= head + length).then_some(head + length)
}

async fn ask(stub: SocketAddr, method: &str, path: &str, body: &Value) -> Outcome<Value> {
    let mut stream = TcpStream::connect(stub).await?;
    let body = body.to_string();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: stub\r\nauthorization: Bearer as\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (_, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    Ok(serde_json::from_str(body).unwrap_or(Value::Null))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "it measures time")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "it ends with the program")]
fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}
