//! `smsc-sim`: an SMSC to bind to, with virtual handsets on a web page. Started without arguments, it
//! accepts any bind on 127.0.0.1:2775 and serves the phones on <http://127.0.0.1:2780>.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use matrix_smpp_loadtest::sim::{Account, Certificate, Sim, SimSettings, StartError};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// An SMSC to bind to, with virtual handsets on a web page.
///
/// When it is ready it prints one line, `ready smpp=ADDRESS http=ADDRESS`. SIGTERM and Ctrl-C unbind
/// its peers and end it with status 0. The environment variable `RUST_LOG` sets what it logs.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where ESMEs bind; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:2775", value_name = "ADDRESS")]
    smpp: SocketAddr,

    /// Where the page of phones and the API are; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:2780", value_name = "ADDRESS")]
    http: SocketAddr,

    /// Who may bind, as `system_id:password`; may be repeated. Without it, anybody.
    #[arg(long = "account", value_name = "ID:PASSWORD")]
    accounts: Vec<Account>,

    /// From the acceptance of a message to its receipt: 500ms, 2s, 1m.
    #[arg(long, default_value = "500ms", value_name = "TIME", value_parser = duration)]
    receipt_delay: Duration,

    /// Decides message ids, references and shuffles: the same seed, the same numbers. Without it,
    /// each start takes a new one and logs it.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// The certificate chain (PEM) of the SMPP port, which then speaks TLS only.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The private key (PEM) of the certificate.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

impl From<Args> for SimSettings {
    fn from(args: Args) -> Self {
        let files = args.tls_cert.zip(args.tls_key);
        Self {
            smpp: args.smpp,
            http: args.http,
            accounts: args.accounts,
            receipt_delay: args.receipt_delay,
            seed: args.seed,
            tls: files.map(|(chain, key)| Certificate {
                chain,
                key,
                client_ca: None,
            }),
            ..Self::default()
        }
    }
}

/// Why the program ends with another status than 0.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Start(#[from] StartError),
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

async fn run(settings: SimSettings) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let sim = Sim::start(settings).await?;
    let mut out = io::stdout();
    writeln!(out, "ready smpp={} http={}", sim.smpp_addr, sim.http_addr)?;
    out.flush()?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    sim.stop().await;
    Ok(())
}

fn duration(text: &str) -> Result<Duration, String> {
    let split = text
        .find(|char: char| !char.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u32 = number
        .parse()
        .map_err(|_| "write a whole number and ms, s or m")?;
    match unit {
        "ms" => Ok(Duration::from_millis(number.into())),
        "s" => Ok(Duration::from_secs(number.into())),
        "m" => Ok(Duration::from_mins(number.into())),
        _ => Err("the unit is ms, s or m".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_whole_number_and_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("1m"), Ok(Duration::from_mins(1)));
        for wrong in ["", "5", "s", "1.5s", "-1s", "5h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_argument_is_needed() {
        let settings: SimSettings = Args::parse_from(["smsc-sim"]).into();
        assert_eq!(settings.smpp.to_string(), "127.0.0.1:2775");
        assert_eq!(settings.http.to_string(), "127.0.0.1:2780");
        assert!(settings.accounts.is_empty());
    }

    #[test]
    fn a_certificate_needs_its_key() {
        assert!(Args::try_parse_from(["smsc-sim", "--tls-cert", "chain.pem"]).is_err());
    }
}
