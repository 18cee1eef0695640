//! `matrix-smpp run`.

use std::path::Path;

use super::{Failure, settings};
use crate::app;
use crate::ops::log;

pub(super) fn run(config: &Path) -> Result<(), Failure> {
    let settings = settings(config)?;
    log::start(&settings.log);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(app::run(settings, config));
    // What a second signal left behind is not waited for.
    runtime.shutdown_background();
    Ok(ended?)
}
