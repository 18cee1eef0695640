//! `matrix-smpp run`.

use std::num::NonZero;
use std::path::Path;
use std::thread::available_parallelism;

use super::{Failure, settings};
use crate::app;
use crate::ops::log;

pub(super) fn run(config: &Path) -> Result<(), Failure> {
    let settings = settings(config)?;
    log::start(&settings.log);
    log::notes(config, &settings.notes);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    // Where it is set, tokio heeds it by itself.
    if std::env::var_os("TOKIO_WORKER_THREADS").is_none() {
        runtime.worker_threads(workers());
    }
    let runtime = runtime.enable_all().build()?;
    let ended = runtime.block_on(app::run(settings, config));
    // What a second signal left behind is not waited for.
    runtime.shutdown_background();
    Ok(ended?)
}

/// Threads that speak to homeservers and links: half of the processors, for the threads of the store have as
/// much to do. More of them wait for each other's processors.
fn workers() -> usize {
    let processors = available_parallelism().map_or(1, NonZero::get);
    (processors / 2).max(2)
}
