//! The program `smsc-sim`: its ready line, its end, its logs.
#![expect(
    clippy::unwrap_used,
    reason = "a helper that panics fails its test, as it should"
)]

use std::process::Stdio;

use matrix_smpp_codec::CommandStatus;
use matrix_smpp_session::{BindMode, CloseReason, LinkEvent};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::client::{Esme, PHONE, http, message};

fn start(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_smsc-sim"))
        .args(arguments)
        .env("RUST_LOG", "trace")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn terminate(program: &Child) {
    let id = program.id().unwrap().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .await
            .unwrap()
            .success()
    );
}

#[tokio::test]
async fn the_program_says_where_it_is_and_unbinds_on_sigterm_without_a_private_word() {
    let mut program = start(&["--smpp", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    let mut ready = String::new();
    BufReader::new(program.stdout.take().unwrap())
        .read_line(&mut ready)
        .await
        .unwrap();
    let addresses = ready.strip_prefix("ready smpp=").unwrap().trim_end();
    let (smpp, pages) = addresses.split_once(" http=").unwrap();
    let mut esme = Esme::begin(
        smpp.parse().unwrap(),
        BindMode::Transceiver,
        "gateway",
        "pa55word",
    );
    assert!(matches!(esme.event().await, LinkEvent::Up { .. }));
    assert!(esme.submit(message("a private word")).await.0.is_ok());
    esme.deliver(CommandStatus::ESME_ROK).await;
    assert_eq!(
        http(pages.parse().unwrap(), "GET", "/handsets", "").await.0,
        200
    );
    terminate(&program).await;
    match esme.event().await {
        LinkEvent::Down { reason, .. } => assert_eq!(reason, CloseReason::PeerUnbound),
        other => panic!("not unbound: {other:?}"),
    }
    let mut logs = String::new();
    program
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut logs)
        .await
        .unwrap();
    assert!(program.wait().await.unwrap().success());
    assert!(logs.contains("bound"));
    for private in ["private word", PHONE, "pa55word"] {
        assert!(!logs.contains(private), "{private:?} is in the logs");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_ends_the_program_with_the_reason() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let program = start(&["--smpp", &address, "--http", "127.0.0.1:0"]);
    let output = program.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&address) && said.contains("--smpp"), "{said}");
}

#[tokio::test]
async fn what_cannot_be_begun_with_ends_the_program_with_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scenario.toml");
    std::fs::write(&file, "[[account]]\nsystem_id = 'gateway'\n").unwrap();
    let (file, pem) = (file.to_str().unwrap(), file.to_str().unwrap());
    for (arguments, wanted) in [
        (
            &["--account", "gateway:a", "--scenario", file][..],
            "account 2: there is an account gateway already",
        ),
        (
            &["--account", "a:b", "--account", "a:c"],
            "account 2: there is an account a already",
        ),
        (&["--tls-cert", pem, "--tls-key", pem], "over TLS"),
    ] {
        let ports = ["--smpp", "127.0.0.1:0", "--http", "127.0.0.1:0"];
        let program = start(&[&ports, arguments].concat());
        let output = program.wait_with_output().await.unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(wanted) && !said.contains("--smpp"), "{said}");
    }
}
