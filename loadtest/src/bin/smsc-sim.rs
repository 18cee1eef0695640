//! `smsc-sim`: an SMSC to bind to, with virtual handsets on a web page. Started without arguments, it
//! accepts any bind on 127.0.0.1:2775 and serves the phones on <http://127.0.0.1:2780>.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use matrix_smpp_loadtest::sim::{
    Account, Certificate, Conventions, Scenario, ScenarioError, Sim, SimSettings, Span, StartError,
};
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

    /// How the simulator conducts itself: a scenario in TOML.
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,

    /// Whose conventions about destination numbers hold.
    #[arg(long, value_enum, default_value_t = Conventions::None)]
    conventions: Conventions,

    /// From the acceptance of a message to its receipt: 500ms, 2s, 1m.
    #[arg(long, default_value = "500ms", value_name = "TIME")]
    receipt_delay: Span,

    /// Decides message ids, references, shuffles and everything else that is drawn: the same seed,
    /// the same numbers. Without it, each start takes a new one and logs it.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// How many messages are remembered.
    #[arg(long, default_value_t = 100_000, value_name = "N")]
    keep: usize,

    /// How many MiB of the latest traffic are kept for `GET /capture.pcapng`; 0 for none.
    #[arg(long, default_value_t = 16, value_name = "MIB")]
    capture: usize,

    /// The certificate chain (PEM) of the SMPP port, which then speaks TLS only.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The private key (PEM) of the certificate.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Who signs the certificates (PEM) that ESMEs must show; without it, they need none.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,

    /// A second SMPP port for TLS; the first one then stays plain.
    #[arg(long, value_name = "ADDRESS", requires = "tls_cert")]
    smpp_tls: Option<SocketAddr>,
}

impl Args {
    fn settings(self) -> Result<SimSettings, Failure> {
        let scenario = self.scenario.map(read).transpose()?;
        let files = self.tls_cert.zip(self.tls_key);
        let client_ca = self.tls_client_ca;
        Ok(SimSettings {
            smpp: self.smpp,
            http: self.http,
            accounts: self.accounts,
            receipt_delay: self.receipt_delay.duration(),
            seed: self.seed,
            tls: files.map(|(chain, key)| Certificate {
                chain,
                key,
                client_ca,
            }),
            smpp_tls: self.smpp_tls,
            conventions: self.conventions,
            keep: self.keep,
            capture: self.capture.saturating_mul(1 << 20),
            scenario: scenario.unwrap_or_default(),
        })
    }
}

fn read(path: PathBuf) -> Result<Scenario, Failure> {
    let text = std::fs::read_to_string(&path);
    let text = text.map_err(|cause| Failure::File {
        path: path.clone(),
        cause,
    })?;
    Scenario::from_toml(&text).map_err(|cause| Failure::Scenario { path, cause })
}

/// Why the program ends with another status than 0.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    System(#[from] io::Error),
    #[error("cannot read {path}: {cause}")]
    File { path: PathBuf, cause: io::Error },
    #[error("{path}: {cause}")]
    Scenario { path: PathBuf, cause: ScenarioError },
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("{failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), Failure> {
    let settings = args.settings()?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let sim = Sim::start(settings).await?;
    let mut out = io::stdout();
    write!(out, "ready smpp={} http={}", sim.smpp_addr, sim.http_addr)?;
    if let Some(address) = sim.tls_addr {
        write!(out, " smpp_tls={address}")?;
    }
    writeln!(out)?;
    out.flush()?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    sim.stop().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_argument_is_needed() {
        let settings = Args::parse_from(["smsc-sim"]).settings().unwrap();
        assert_eq!(settings.smpp.to_string(), "127.0.0.1:2775");
        assert_eq!(settings.http.to_string(), "127.0.0.1:2780");
        assert!(settings.accounts.is_empty());
    }

    #[test]
    fn a_certificate_needs_its_key() {
        assert!(Args::try_parse_from(["smsc-sim", "--tls-cert", "chain.pem"]).is_err());
    }
}
