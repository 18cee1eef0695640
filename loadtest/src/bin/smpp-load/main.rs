//! `smpp-load`: load over SMPP, from either end, with a report.

mod args;
mod report;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use matrix_smpp_loadtest::load::{Listen, LoadError, Stop, send};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::args::{Cli, ListenArgs, Role};
use crate::report::{Progress, report};

/// Why there is no report, or none that could be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    System(#[from] io::Error),
    #[error("cannot write {}: {cause}", path.display())]
    Report { path: PathBuf, cause: io::Error },
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
    match run(Cli::parse().role).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(failure) => {
            tracing::error!("{failure}");
            ExitCode::from(2)
        }
    }
}

/// Runs and reports; whether all expectations were met.
async fn run(role: Role) -> Result<bool, Failure> {
    let stop = Stop::default();
    let interrupt = signal(SignalKind::interrupt())?;
    let terminate = signal(SignalKind::terminate())?;
    let running = async {
        match role {
            Role::Send(args) => {
                let progress = Progress::new(args.traffic.report.quiet);
                let sent = send(&args.settings(), &stop, |interval| progress.show(interval)).await;
                progress.end();
                report(&args.traffic.report, sent?)
            }
            Role::Listen(args) => listen(&args, &stop).await,
        }
    };
    tokio::select! {
        met = running => met,
        () = heed(&stop, interrupt, terminate) => Ok(false),
    }
}

async fn listen(args: &ListenArgs, stop: &Stop) -> Result<bool, Failure> {
    let port = Listen::bind(args.settings()).await?;
    let mut out = io::stderr();
    writeln!(out, "ready smpp={}", port.address()?)?;
    let progress = Progress::new(args.traffic.report.quiet);
    let outcome = port.run(stop, |interval| progress.show(interval)).await;
    progress.end();
    report(&args.traffic.report, outcome?)
}

/// The first signal ends the sending, the second the waiting. Never ends.
async fn heed(stop: &Stop, mut interrupt: Signal, mut terminate: Signal) {
    for token in [&stop.sending, &stop.waiting] {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        token.cancel();
    }
    std::future::pending::<()>().await;
}
