//! `matrix-smpp registration`.

use std::fs::{OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use clap::Args;
use ruma::{OwnedServerName, UserId};
use secrecy::ExposeSecret as _;

use super::{Failure, say, settings};
use crate::matrix::registration::{self, generate_token};

/// Write the registration that the homeserver needs, or new tokens for the configuration.
#[derive(Debug, Args)]
pub(super) struct Registration {
    /// Print new tokens to put into the configuration, and do nothing else.
    #[arg(long)]
    tokens: bool,
    /// Which homeserver of the configuration; may be left out where there is one.
    #[arg(long)]
    homeserver: Option<OwnedServerName>,
    /// The file to write, readable for its owner only; standard output where left out.
    #[arg(long, short)]
    output: Option<PathBuf>,
}

impl Registration {
    pub(super) fn execute(self, config: &Path) -> Result<(), Failure> {
        if self.tokens {
            let mut random = rand::rng();
            let mut token = || generate_token(&mut random).expose_secret().to_owned();
            say(&format!(
                "as_token = \"{}\"\nhs_token = \"{}\"",
                token(),
                token()
            ));
            return Ok(());
        }
        let text = self.text(config)?;
        match self.output {
            None => say(&text),
            Some(path) => write_private(&path, &text)?,
        }
        Ok(())
    }

    fn text(&self, config: &Path) -> Result<String, Failure> {
        let settings = settings(config)?;
        let wanted = |name: &OwnedServerName| {
            self.homeserver
                .as_ref()
                .is_none_or(|homeserver| homeserver == name)
        };
        let mut fitting = settings.homeservers.iter().filter(|one| wanted(&one.name));
        let (Some(homeserver), None) = (fitting.next(), fitting.next()) else {
            let why = "the configuration has not exactly one such homeserver; name one of its \
                       [[homeserver]] with --homeserver";
            return Err(Failure::new(why));
        };
        let bot = UserId::parse(format!("@{}:{}", homeserver.bot_localpart, homeserver.name))?;
        let registration = registration::Registration {
            id: &settings.gateway.name,
            url: &homeserver.appservice_url,
            as_token: &homeserver.as_token,
            hs_token: &homeserver.hs_token,
            bot: &bot,
            ghost_prefix: &settings.gateway.ghost_prefix,
        };
        Ok(registration.to_string())
    }
}

/// The file holds tokens: only its owner may read it, one that was there before too.
fn write_private(path: &Path, text: &str) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let write = || {
        let mut file = options.open(path)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(text.as_bytes())
    };
    let named = |error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
    write().map_err(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_is_for_its_owner_alone_and_a_file_that_cannot_be_written_is_named() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("registration.yaml");
        std::fs::write(&path, "an older and longer one").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        write_private(&path, "new").unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        let nowhere = home.path().join("absent").join("registration.yaml");
        let failure = write_private(&nowhere, "new").unwrap_err();
        assert!(failure.words.contains("absent/registration.yaml"));
    }
}
