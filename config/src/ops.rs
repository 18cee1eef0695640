//! `[ops]`: where the gateway is watched.

use std::net::SocketAddr;

use crate::section::section;

section! {
    /// The HTTP listener for metrics, health and readiness. It has no password: keep it private.
    pub struct Ops, raw RawOps {
        /// The IP address and port to listen on.
        listen: SocketAddr = default("\"127.0.0.1:29301\"");
    }
}
