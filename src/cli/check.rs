//! `matrix-smpp check`.

use std::path::Path;

use super::{Failure, complain, say, settings};

pub(super) fn check(config: &Path) -> Result<(), Failure> {
    let settings = settings(config)?;
    for note in &settings.notes {
        complain(&format!("{}: {note}", config.display()));
    }
    say(&format!(
        "{}: no mistakes ({} homeservers, {} link groups, {} accounts, {} routes)",
        config.display(),
        settings.homeservers.len(),
        settings.link_groups.len(),
        settings.esmes.len(),
        settings.routing.routes.len()
    ));
    Ok(())
}
