//! The load generator against the simulator and against itself, over TCP.
#![expect(
    clippy::unwrap_used,
    reason = "a helper that panics fails its test, as it should"
)]

mod listen;
mod program;
mod send;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use matrix_smpp_loadtest::load::{Mix, SendSettings, Traffic};
use matrix_smpp_loadtest::sim::{Sim, SimSettings};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A simulator whose receipts come quickly.
async fn simulator() -> Sim {
    let receipt_delay = Duration::from_millis(1);
    Sim::start(SimSettings {
        receipt_delay,
        ..SimSettings::default()
    })
    .await
    .unwrap()
}

/// One bind to this address and so many requests.
fn to(address: SocketAddr, count: u64) -> SendSettings {
    SendSettings {
        address: address.to_string(),
        traffic: counted(count),
        ..SendSettings::default()
    }
}

fn counted(count: u64) -> Traffic {
    Traffic {
        count: Some(count),
        ..Traffic::default()
    }
}

fn paced(rate: u32, count: u64) -> Traffic {
    Traffic {
        rate: NonZeroU32::new(rate),
        ..counted(count)
    }
}

fn texts(texts: &[&str]) -> Mix {
    Mix {
        texts: texts.iter().map(ToString::to_string).collect(),
        ..Mix::default()
    }
}

async fn get(sim: &Sim, path: &str) -> Value {
    ask(sim, "GET", path, "").await
}

/// One request of HTTP/1.1 on a connection of its own.
async fn ask(sim: &Sim, method: &str, path: &str, body: &str) -> Value {
    let mut stream = TcpStream::connect(sim.http_addr).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: sim\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap()
}
