//! `[appservice]`: where homeservers call the gateway.

use std::net::SocketAddr;

use crate::check::within;
use crate::section::section;

section! {
    /// The HTTP listener that homeservers push their transactions to.
    pub struct Appservice, raw RawAppservice {
        /// The IP address and port to listen on.
        listen: SocketAddr = default("\"127.0.0.1:29300\"");
        /// The largest transaction that is taken, in octets. A homeserver sends one that is refused
        /// again and again, so this is large. 1048576 (1 MiB) to 1073741824 (1 GiB).
        max_body_bytes: usize = default("67108864"), check within(1024 * 1024..=1024 * 1024 * 1024);
    }
}
