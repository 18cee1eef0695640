//! What a run of load is started with.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use matrix_smpp_session::{ServerTlsSettings, TlsSettings};

use crate::load::mix::Mix;

/// How much is sent, how fast and for how long; the same in both roles.
#[derive(Debug, Clone)]
pub struct Traffic {
    /// Requests per second over all binds: open loop, each has its time whether or not answers
    /// come. `None` is closed loop: as fast as the windows allow.
    pub rate: Option<NonZeroU32>,
    /// How long an open loop takes to reach its rate, linearly from zero.
    pub ramp: Duration,
    /// How many requests are sent; `None` for no limit.
    pub count: Option<u64>,
    /// How long requests are sent; `None` for no limit.
    pub duration: Option<Duration>,
    /// Most requests without an answer on each bind.
    pub window: usize,
    /// The longest wait for an answer; later it counts as unanswered.
    pub response_timeout: Duration,
    /// After the last request, how long its answer is waited for.
    pub drain: Duration,
    /// After the last answer, how long the receipts that are due are waited for.
    pub receipt_wait: Duration,
    /// What the messages are.
    pub mix: Mix,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            rate: None,
            ramp: Duration::ZERO,
            count: None,
            duration: None,
            window: 100,
            response_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(10),
            receipt_wait: Duration::from_secs(10),
            mix: Mix::default(),
        }
    }
}

/// A run in the ESME role: it binds to an SMSC and submits.
#[derive(Debug, Clone)]
pub struct SendSettings {
    /// `host:port` of the SMSC.
    pub address: String,
    /// TLS, where the SMSC speaks it.
    pub tls: Option<TlsSettings>,
    /// The account's name, 15 octets at most; `{bind}` becomes the number of the bind, from 1.
    pub system_id: String,
    /// The account's password, 8 octets at most.
    pub password: Password,
    /// The `system_type`, 12 octets at most.
    pub system_type: String,
    /// How many binds there are that send and receive.
    pub transceivers: usize,
    /// How many binds there are that only send.
    pub transmitters: usize,
    /// How many binds there are that only receive.
    pub receivers: usize,
    /// How long all binds together may take to come up at the start.
    pub bind_timeout: Duration,
    /// What is sent.
    pub traffic: Traffic,
}

impl Default for SendSettings {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:2775".to_owned(),
            tls: None,
            system_id: "load".to_owned(),
            password: Password(String::new()),
            system_type: String::new(),
            transceivers: 1,
            transmitters: 0,
            receivers: 0,
            bind_timeout: Duration::from_secs(10),
            traffic: Traffic::default(),
        }
    }
}

/// A run in the SMSC role: it lets ESMEs bind, floods those that receive with `deliver_sm`, and
/// answers what they submit.
#[derive(Debug, Clone)]
pub struct ListenSettings {
    /// Where ESMEs bind; port 0 takes a free one.
    pub listen: SocketAddr,
    /// TLS, where the port is to speak it.
    pub tls: Option<ServerTlsSettings>,
    /// The password that every bind must bear; `None` takes any.
    pub password: Option<Password>,
    /// How many receiving binds the traffic is shared over; it starts when they are all there.
    /// A bind beyond them gets no traffic until one of them is gone.
    pub binds: usize,
    /// How long to wait for them.
    pub bind_timeout: Duration,
    /// Whether an accepted `submit_sm` that asks for a receipt gets one, on its own bind.
    pub receipts: bool,
    /// What is sent.
    pub traffic: Traffic,
}

impl Default for ListenSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls: None,
            password: None,
            binds: 1,
            bind_timeout: Duration::from_mins(1),
            receipts: false,
            traffic: Traffic::default(),
        }
    }
}

/// A password; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_never_printed() {
        let settings = SendSettings {
            password: Password("pa55word".to_owned()),
            ..SendSettings::default()
        };
        assert!(!format!("{settings:?}").contains("pa55word"));
    }
}
