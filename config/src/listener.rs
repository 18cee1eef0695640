//! `[listener]`: where aggregators bind to the gateway.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::adapt::{Adapt, RawAdapt};
use crate::check::{lasts, octets, within};
use crate::link::check_pem;
use crate::read::{FromToml, Node};
use crate::section::{Section, section};

section! {
    /// TLS of the listener. Needs `cert_file` and `key_file`.
    pub struct ListenerTls, raw RawListenerTls {
        /// The PEM file of the gateway's certificate chain. Read again on SIGHUP.
        cert_file: Option<PathBuf> = optional("\"/etc/matrix-smpp/smpp.pem\"");
        /// The PEM file of its private key.
        key_file: Option<PathBuf> = optional("\"/etc/matrix-smpp/smpp.key\"");
        /// The PEM file of the authorities whose client certificates are accepted. Accounts with a
        /// `certificate` need it.
        client_ca_file: Option<PathBuf> = optional("\"/etc/matrix-smpp/clients-ca.pem\"");
        /// False refuses every client without a certificate; otherwise only accounts with a
        /// `certificate` need one.
        client_optional: Option<bool> = optional("false");
    }
}

impl FromToml for ListenerTls {
    fn from_toml(node: &Node<'_>) -> Option<Self> {
        let wanted = "a table, e.g. { cert_file = \"...\", key_file = \"...\" }";
        let raw: RawListenerTls = node.table(wanted)?.section();
        for (key, path) in [
            ("cert_file", &raw.cert_file),
            ("key_file", &raw.key_file),
            ("client_ca_file", &raw.client_ca_file),
        ] {
            check_pem(node, key, path.as_ref().and_then(Option::as_ref));
        }
        match (&raw.cert_file, &raw.key_file) {
            (Some(None), Some(_)) => node.wrong("has no cert_file; add it"),
            (Some(_), Some(None)) => node.wrong("has no key_file; add it"),
            _ => raw.checked(),
        }
    }
}

section! {
    /// The SMPP listener, for aggregators that bind to the gateway (see `[[esme]]`). Without
    /// `listen` there is none.
    pub struct Listener, raw RawListener {
        /// The IP address and port to listen on.
        listen: Option<SocketAddr> = optional("\"0.0.0.0:2775\"");
        /// The name that the gateway gives itself in bind responses. At most 15 characters.
        system_id: String = default("\"matrix-smpp\""), check octets(15);
        /// TLS of the listener. Without it sessions are plain TCP.
        tls: Option<ListenerTls> = optional_nested(RawListenerTls::FIELDS);
        /// How long connecting and binding may take. 1s to 10m.
        session_init: Duration = default("\"10s\""), check lasts("1s", "10m");
        /// A session that is silent for so long is asked whether it lives. 1s to 1h.
        enquire_link: Duration = default("\"30s\""), check lasts("1s", "1h");
        /// How long an answer is waited for. 1s to 10m.
        response_timeout: Duration = default("\"30s\""), check lasts("1s", "10m");
        /// A session without messages for so long is closed. 1m to 7d.
        inactivity: Option<Duration> = optional("\"1h\""), check lasts("1m", "7d");
        /// How window and rate of the accounts follow what they can take.
        adapt: Adapt = nested(RawAdapt::FIELDS);
        /// The most connections at a time. 1 to 100000.
        max_connections: usize = default("1000"), check within(1..=100_000);
        /// The most connections from one address at a time. 1 to 100000.
        max_per_address: usize = default("50"), check within(1..=100_000);
    }
}
