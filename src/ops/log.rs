//! Structured logs on standard error: text for people, JSON for collectors. The systemd journal
//! adds the time by itself, but a terminal does not, so each line bears its own.

use std::io;
use std::path::Path;

use matrix_smpp_config::{Log, LogFormat, Mistake};
use tracing::warn;
use tracing_subscriber::EnvFilter;

/// Starts logging. A second call in one process has no effect.
pub fn start(settings: &Log) {
    let filter = EnvFilter::try_new(&settings.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    let started = match settings.format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    drop(started);
}

/// Warns of what a configuration had better not have.
pub fn notes(file: &Path, notes: &[Mistake]) {
    let file = file.display();
    for note in notes {
        warn!(%file, "{note}");
    }
}
