//! `stub-homeserver`: a homeserver of few words for load tests of application services.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use matrix_smpp_loadtest::homeserver::{HomeserverError, HomeserverSettings, StubHomeserver};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// A homeserver of few words for load tests of application services.
///
/// When it is ready it prints one line, `ready http=ADDRESS`. SIGTERM and Ctrl-C end it with status 0.
/// What it can be asked is in the documentation of the library's module `homeserver`.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where it listens; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8008", value_name = "ADDRESS")]
    listen: SocketAddr,

    /// The domain of its Matrix IDs.
    #[arg(long, default_value = "example.org", value_name = "DOMAIN")]
    server_name: String,

    /// Where the application service takes transactions.
    #[arg(long, default_value = "http://127.0.0.1:29333", value_name = "URL")]
    appservice: String,

    /// The token that the application service shows.
    #[arg(long, env = "STUB_AS_TOKEN", hide_env_values = true)]
    as_token: String,

    /// The token that it is shown.
    #[arg(long, env = "STUB_HS_TOKEN", hide_env_values = true)]
    hs_token: String,

    /// The localpart of its bot.
    #[arg(long, default_value = ".tel.bot", value_name = "LOCALPART")]
    bot: String,

    /// What the localparts of its other users begin with.
    #[arg(long, default_value = ".tel.", value_name = "PREFIX")]
    ghost_prefix: String,

    /// The most events of one transaction.
    #[arg(long, default_value_t = 100, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,

    /// The pause after a transaction that failed, in milliseconds; it doubles up to 60 times that.
    #[arg(long, default_value_t = 1_000, value_name = "MS")]
    retry: u64,

    /// A file that keeps what happens, to go on from after a restart. Without one all is forgotten.
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,

    /// The latest events that a room keeps.
    #[arg(long, default_value_t = 200, value_name = "N")]
    timeline: usize,
}

impl From<Args> for HomeserverSettings {
    fn from(args: Args) -> Self {
        Self {
            listen: args.listen,
            server_name: args.server_name,
            appservice: args.appservice,
            as_token: args.as_token,
            hs_token: args.hs_token,
            bot: args.bot,
            ghost_prefix: args.ghost_prefix,
            batch: args.batch.into(),
            retry: Duration::from_millis(args.retry),
            journal: args.journal,
            timeline: args.timeline,
            ..Self::default()
        }
    }
}

/// Why the program ends with another status than 0.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Start(#[from] HomeserverError),
    #[error(transparent)]
    System(#[from] io::Error),
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
    match run(Args::parse().into()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("{failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: HomeserverSettings) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stub = StubHomeserver::start(settings).await?;
    let mut out = io::stdout();
    writeln!(out, "ready http={}", stub.address)?;
    out.flush()?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stub.stop().await;
    Ok(())
}
