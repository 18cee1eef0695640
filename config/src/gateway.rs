//! `[gateway]`: who the gateway is and where its files are.

use std::path::PathBuf;
use std::time::Duration;

use crate::check::{label, lasts, localpart, title};
use crate::read::Mend;
use crate::section::section;

/// The most octets that the path of a Unix socket holds on Linux (`sun_path` without its NUL).
const MAX_SOCKET_PATH: usize = 107;

section! {
    /// The gateway itself.
    pub struct Gateway, raw RawGateway {
        /// The id of the application service, the same in the registration of every homeserver.
        /// 1 to 64 letters, digits, `-`, `_` or `.`.
        name: String = default("\"smsgw\""), check label;
        /// The name that people see, of the bot above all. 1 to 64 characters.
        public_name: String = default("\"SMS\""), check title;
        /// The folder of everything that must survive a restart.
        /// Relative paths in this file start at the folder of this file.
        data_dir: PathBuf = default("\"/var/lib/matrix-smpp\"");
        /// The Unix socket on which the running gateway takes commands.
        /// By default `admin.sock` in `data_dir`. At most 107 octets.
        admin_socket: PathBuf = derived("\"/var/lib/matrix-smpp/admin.sock\"");
        /// What the Matrix IDs of phones begin with: the ghost of 447700900123 is
        /// `@.tel.447700900123:example.org`. 1 to 64 of a-z, 0-9 and `._=-/+`.
        ghost_prefix: String = default("\".tel.\""), check ghost_prefix;
        /// The currency of prices and balances. It is shown, never computed with.
        currency: String = default("\"EUR\""), check title;
        /// Whether a ✓ is put on what a phone has received. Clients that show the status events beside it
        /// (`com.beeper.message_send_status`) do without.
        check_marks: bool = default("true");
        /// How long a stopping gateway waits for answers from peers. 0s to 10m.
        drain_timeout: Duration = default("\"20s\""), check lasts("0s", "10m");
    }
}

/// A prefix that ends in a digit would make `1` + `23` and `12` + `3` the same ghost.
fn ghost_prefix(prefix: &impl AsRef<str>) -> Mend {
    let prefix = prefix.as_ref();
    localpart(&prefix)?;
    if prefix.ends_with(|last: char| last.is_ascii_digit()) {
        return Err("ends in a digit; write a prefix such as \".tel.\"".to_owned());
    }
    Ok(())
}

impl RawGateway {
    /// Puts the admin socket into the data folder where the file does not say.
    pub(crate) fn fill(&mut self) {
        if self.admin_socket.is_none() {
            self.admin_socket = self
                .data_dir
                .as_ref()
                .map(|folder| folder.join("admin.sock"));
        }
    }

    /// What is wrong with the length of the socket's path.
    pub(crate) fn check_socket(&self) -> Mend {
        let length = self
            .admin_socket
            .as_ref()
            .map_or(0, |path| path.as_os_str().len());
        if length <= MAX_SOCKET_PATH {
            return Ok(());
        }
        Err(format!(
            "is a path of {length} octets; write one of {MAX_SOCKET_PATH} at most"
        ))
    }
}
