//! What a caller chooses about a session and a link.

use std::num::NonZeroU32;
use std::time::Duration;

use matrix_smpp_codec::{COctets, InterfaceVersion, Npi, Password, Quirks, Ton};

use crate::adapt::AdaptSettings;
use crate::backoff::Backoff;
use crate::operations::BindMode;
use crate::tls::TlsSettings;

/// How a session behaves once it is connected; the same for both roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionSettings {
    /// Most of our requests that may wait for an answer at once. SMPP 3.4 §2.7 advises ten or fewer
    /// unless the peer has agreed to more.
    pub window: usize,
    /// Most of our requests per second; `None` for no limit.
    pub rate: Option<NonZeroU32>,
    /// How window and rate follow what the peer can take, never above the two; `None` for not at
    /// all.
    pub adapt: Option<AdaptSettings>,
    /// The longest wait for the answer to any of our requests. SMPP 3.4 §7.2, `response_timer`.
    pub response_timeout: Duration,
    /// After this much silence from the peer it is asked for a sign of life; any PDU is one.
    /// SMPP 3.4 §7.2, `enquire_link_timer`.
    pub enquire_link: Duration,
    /// Whether to tell when the peer has our answers ([`LinkEvent::Heard`](crate::LinkEvent::Heard)):
    /// this long after an answer that no request of ours followed, it is asked for a sign of life.
    /// `None` asks and tells nothing.
    pub confirm_answers: Option<Duration>,
    /// The longest time from the connection to the bound state. SMPP 3.4 §7.2, `session_init_timer`.
    pub session_init: Duration,
    /// After this long without anything but `enquire_link` the session is unbound; `None` for never.
    /// SMPP 3.4 §7.2, `inactivity_timer`.
    pub inactivity: Option<Duration>,
    /// How long a graceful close waits for the answers that are still due before it unbinds, and
    /// then for the answer to unbind.
    pub drain: Duration,
    /// Most requests of the peer that may wait for our answers at once; a further one is refused
    /// with `ESME_RTHROTTLED`.
    pub peer_window: usize,
    /// What an SMSC is taken to speak that does not say so in its bind response. SMPP 3.4 §3.4
    /// advises to send it no TLVs then; but many that take them leave the version out.
    pub silent_peer: InterfaceVersion,
    /// What the peer does against the standard: by this its PDUs are read that make no sense
    /// otherwise. A PDU that can be read is the same with and without.
    pub quirks: Quirks,
    /// The longest PDU taken, in octets. A longer one ends the session: the stream is lost then.
    pub max_pdu: usize,
    /// Events that may wait for their reader. From there on nothing more is read from the peer
    /// (what one read brought, 16 KiB at most, still finds room).
    pub event_queue: usize,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            window: 10,
            rate: None,
            adapt: Some(AdaptSettings::default()),
            response_timeout: Duration::from_mins(1),
            enquire_link: Duration::from_secs(30),
            confirm_answers: None,
            session_init: Duration::from_secs(30),
            inactivity: None,
            drain: Duration::from_secs(10),
            peer_window: 10_000,
            silent_peer: InterfaceVersion::V3_4,
            quirks: Quirks::NONE,
            max_pdu: 70_000,
            event_queue: 1_000,
        }
    }
}

impl SessionSettings {
    /// The longest PDU taken from a peer that has not bound yet: room for any bind with TLVs, and
    /// no way for a stranger to make us hold more.
    pub const MAX_PDU_BEFORE_BIND: usize = 4_096;
}

/// What an ESME says of itself when it binds. SMPP 3.4 §4.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindSettings {
    /// Whether to send, to receive or both.
    pub mode: BindMode,
    /// The account's name at the SMSC.
    pub system_id: COctets<16>,
    /// The account's password; never printed.
    pub password: Password,
    /// What kind of system this is, where the SMSC asks for it.
    pub system_type: COctets<13>,
    /// The version of SMPP that we speak.
    pub interface_version: InterfaceVersion,
    /// Type of number of `address_range`.
    pub addr_ton: Ton,
    /// Numbering plan of `address_range`.
    pub addr_npi: Npi,
    /// The addresses that this session serves, as the SMSC writes it (often a regular expression).
    pub address_range: COctets<41>,
}

impl Default for BindSettings {
    fn default() -> Self {
        Self {
            mode: BindMode::Transceiver,
            system_id: COctets::default(),
            password: Password::default(),
            system_type: COctets::default(),
            interface_version: InterfaceVersion::V3_4,
            addr_ton: Ton::default(),
            addr_npi: Npi::default(),
            address_range: COctets::default(),
        }
    }
}

/// A persistent link to one SMSC.
#[derive(Debug, Clone)]
pub struct LinkSettings {
    /// The name used in logs.
    pub name: String,
    /// `host:port`; looked up again for every attempt to connect.
    pub address: String,
    /// TLS, where the peer speaks it.
    pub tls: Option<TlsSettings>,
    /// Who we are.
    pub bind: BindSettings,
    /// How the sessions behave.
    pub session: SessionSettings,
    /// How long to wait between attempts.
    pub reconnect: Backoff,
}
