//! The program `smpp-load`: its exit status, its files, its end by a signal.

use std::process::Stdio;

use matrix_smpp_loadtest::load::Outcome;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::{get, simulator};

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smpp-load"));
    command
        .args(arguments)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

#[tokio::test]
async fn expectations_decide_the_exit_status_and_the_files_are_written() {
    let sim = simulator().await;
    let folder = tempfile::tempdir().unwrap();
    let html = folder.path().join("report.html");
    let address = sim.smpp_addr.to_string();
    let run = async |expectation: &[&str]| {
        let html = html.to_str().unwrap();
        let base = [
            "send", &address, "--count", "200", "--json", "-", "--html", html,
        ];
        let all: Vec<&str> = base.iter().chain(expectation).copied().collect();
        program(&all).output().await.unwrap()
    };
    let good = run(&[
        "--max-error-percent",
        "0",
        "--max-p99",
        "20s",
        "--expect-rate",
        "1",
    ])
    .await;
    assert_eq!(good.status.code(), Some(0));
    let outcome: Outcome = serde_json::from_slice(&good.stdout).unwrap();
    assert_eq!((outcome.counts.ok, outcome.expectations.len()), (200, 3));
    assert!(std::fs::read_to_string(&html).unwrap().contains("<svg"));
    let slow = run(&["--expect-rate", "1000000000"]).await;
    assert_eq!(slow.status.code(), Some(1));
    let outcome: Outcome = serde_json::from_slice(&slow.stdout).unwrap();
    assert!(!outcome.expectations[0].met);
    assert_eq!(run(&["--max-p99", "0ms"]).await.status.code(), Some(1));
}

#[tokio::test]
async fn a_bind_that_fails_ends_it_with_the_reason() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    drop(taken);
    let output = program(&["send", &address, "--bind-timeout", "100ms"]).output();
    let output = output.await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("bind 1 of 1") && told.contains("refused"),
        "{told}"
    );
}

#[tokio::test]
async fn ctrl_c_ends_the_sending_and_not_the_report() {
    let sim = simulator().await;
    let address = sim.smpp_addr.to_string();
    let mut child = program(&["send", &address, "--json", "-"]).spawn().unwrap();
    let mut progress = BufReader::new(child.stderr.take().unwrap()).lines();
    let first = progress.next_line().await.unwrap().unwrap();
    assert!(
        first.contains("p99") && first.contains("in flight"),
        "{first}"
    );
    let id = child.id().unwrap().to_string();
    let killed = Command::new("kill").args(["-INT", &id]).status().await;
    assert!(killed.unwrap().success());
    let drained = async { while progress.next_line().await.unwrap().is_some() {} };
    let (output, ()) = tokio::join!(child.wait_with_output(), drained);
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(0));
    let outcome: Outcome = serde_json::from_slice(&output.stdout).unwrap();
    assert!(outcome.stopped);
    assert_eq!(get(&sim, "/counters").await["in"]["unbind"], 1);
}

#[tokio::test]
async fn the_help_has_nothing_that_its_printer_takes_for_a_line_break() {
    for role in ["send", "listen"] {
        let output = program(&[role, "--help"]).output().await.unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let text = said.lines().find(|line| line.contains("--text")).unwrap();
        assert!(text.contains("Without it, texts are generated"), "{text}");
    }
}
