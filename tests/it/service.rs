//! The program as systemd runs it.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::json;

use crate::support::wait::{PATIENCE, until};
use crate::support::world::{PHONE, World};

/// What the program tells systemd. A thread takes each datagram as it comes, as systemd does: a socket
/// holds few of them, and a gateway that nobody listens to would wait in the middle of its work.
struct Systemd {
    heard: Receiver<String>,
}

impl Systemd {
    /// Listens at this path from now on.
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).expect("a socket");
        let (say, heard) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 256];
            while let Ok(length) = socket.recv(&mut buffer) {
                let said = String::from_utf8_lossy(&buffer[..length]).into_owned();
                if say.send(said).is_err() {
                    return;
                }
            }
        });
        Self { heard }
    }

    /// Waits until one is `wanted`.
    fn hear(&self, wanted: &str) {
        let mut before = Vec::new();
        loop {
            let said = self.heard.recv_timeout(PATIENCE);
            let said = said.unwrap_or_else(|_| panic!("no {wanted}: {before:?}"));
            if said.lines().any(|line| line == wanted) {
                return;
            }
            before.push(said);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_hears_that_it_is_ready_alive_and_stopping() {
    let mut world = World::before_the_gateway(|_| ()).await;
    let path = world.home().join("notify");
    let systemd = Systemd::at(&path);
    let socket = format!("NOTIFY_SOCKET={}", path.display());
    let watchdog = format!("WATCHDOG_USEC={}", Duration::from_millis(300).as_micros());
    world.gateway.start_with(&[&socket, &watchdog]).await;

    systemd.hear("READY=1");
    systemd.hear("WATCHDOG=1");
    systemd.hear("WATCHDOG=1");
    world.gateway.stop().await;
    systemd.hear("STOPPING=1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() {
    let mut world = World::start().await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    world
        .sim
        .behave(json!({ "response_delay_ms": 600_000 }))
        .await;
    alice.write(&room, "No answer to this one").await;
    world.sim.gets(PHONE, "No answer to this one").await;

    world.gateway.ask_to_stop();
    until("it waits for the answer", async || {
        world.gateway.logged().contains("stopping").then_some(())
    })
    .await;
    world.gateway.stop().await;
    let log = world.gateway.logged();
    assert!(log.contains("stopped at once"), "{log}");
}

#[test]
fn a_bad_configuration_is_told_whole_and_is_not_worth_another_start() {
    let home = tempfile::tempdir().expect("a folder");
    let config = home.path().join("bad.toml");
    std::fs::write(
        &config,
        "[gateway]\nnmae = \"x\"\n[ops]\nlisten = \"here\"\n",
    )
    .expect("a file");
    let run = Command::new(env!("CARGO_BIN_EXE_matrix-smpp"))
        .args(["run", "--config"])
        .arg(&config)
        .output()
        .expect("the program starts");
    assert_eq!(run.status.code(), Some(78), "EX_CONFIG");
    let told = String::from_utf8_lossy(&run.stderr).into_owned();
    for mistake in ["line 2", "nmae", "line 4", "ops.listen"] {
        assert!(told.contains(mistake), "no {mistake} in {told}");
    }
}
