//! The program as systemd runs it.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::support::wait::{PATIENCE, until};
use crate::support::world::{PHONE, World};

/// What the program tells systemd, one datagram after the other, until one is `wanted`.
fn hear(systemd: &UnixDatagram, wanted: &str) -> Vec<String> {
    systemd
        .set_read_timeout(Some(PATIENCE))
        .expect("a socket with a timeout");
    let mut heard = Vec::new();
    let mut buffer = [0; 256];
    while heard
        .last()
        .is_none_or(|last: &String| !last.lines().any(|line| line == wanted))
    {
        let length = systemd
            .recv(&mut buffer)
            .unwrap_or_else(|_| panic!("no {wanted}: {heard:?}"));
        heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
    }
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_hears_that_it_is_ready_alive_and_stopping() {
    let mut world = World::before_the_gateway(|_| ()).await;
    let path = world.home().join("notify");
    let systemd = UnixDatagram::bind(&path).expect("a socket");
    let socket = format!("NOTIFY_SOCKET={}", path.display());
    let watchdog = format!("WATCHDOG_USEC={}", Duration::from_millis(300).as_micros());
    world.gateway.start_with(&[&socket, &watchdog]).await;

    hear(&systemd, "READY=1");
    hear(&systemd, "WATCHDOG=1");
    hear(&systemd, "WATCHDOG=1");
    world.gateway.stop().await;
    hear(&systemd, "STOPPING=1");
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
