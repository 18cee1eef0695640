//! Why a session ended and why a request was not taken.

use std::io;

use matrix_smpp_codec::{Body, CommandStatus};
use thiserror::Error;

/// Why a session ended, or why none came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The connection could not be made.
    #[error("cannot connect: {0}")]
    ConnectFailed(io::ErrorKind),
    /// The TLS settings cannot be used (a missing or broken certificate or key file).
    #[error("the TLS settings cannot be used")]
    TlsSettings,
    /// The TLS handshake failed: most often a certificate that one side does not trust.
    #[error("the TLS handshake failed")]
    TlsHandshake,
    /// The bind was answered with this status.
    #[error("the bind was refused: {0}")]
    BindRefused(CommandStatus),
    /// The bind was answered by `generic_nack`: a 3.3 SMSC does so where it does not know
    /// `bind_transceiver`, and wants a transmitter and a receiver.
    #[error("the bind was not understood: {0}")]
    BindNacked(CommandStatus),
    /// The session was not bound before the `session_init` timer ran out.
    #[error("not bound in time")]
    NotBoundInTime,
    /// The connection had not bound, and its place was needed for another.
    #[error("not bound, and in the way of others")]
    Displaced,
    /// The peer sent unbind.
    #[error("the peer unbound")]
    PeerUnbound,
    /// We were asked to close.
    #[error("closed by us")]
    WeClosed,
    /// Nothing but `enquire_link` for as long as the inactivity timer runs.
    #[error("inactive")]
    Inactive,
    /// The peer is silent and `enquire_link` was not answered.
    #[error("the peer is silent")]
    LinkDead,
    /// The peer sent an impossible `command_length`; nothing after it can be read.
    #[error("the peer sent an impossible length")]
    BrokenFraming,
    /// The peer closed the connection without unbind.
    #[error("the peer closed the connection")]
    PeerClosed,
    /// Reading or writing failed.
    #[error("input or output failed: {0}")]
    Io(io::ErrorKind),
}

impl CloseReason {
    /// Whether another attempt will fail as well until somebody changes a setting.
    pub(crate) fn is_hopeless(self) -> bool {
        match self {
            Self::BindRefused(status) => matches!(
                status,
                CommandStatus::ESME_RINVPASWD
                    | CommandStatus::ESME_RINVSYSID
                    | CommandStatus::ESME_RINVSYSTYP
            ),
            Self::BindNacked(_) | Self::TlsSettings => true,
            _ => false,
        }
    }
}

/// Why a request was not taken; the request comes back. Nothing of it was or will be sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// No session is bound for sending, or it is closing.
    #[error("not bound for sending")]
    NotBound(Box<Body>),
    /// The window is full, the rate is used up, or the link was told to slow down.
    #[error("no room in the window or the rate")]
    WindowFull(Box<Body>),
    /// This end may not send such a PDU on this session. SMPP 3.4 Table 2-1.
    #[error("not a request that this end may send")]
    NotAllowed(Box<Body>),
    /// The peer speaks SMPP 3.3, and the request says what only a TLV or a later operation can.
    #[error("the peer speaks SMPP 3.3 and has no word for this")]
    NotKnown(Box<Body>),
}

impl SubmitError {
    /// The request, to be sent at another time or on another link.
    #[must_use]
    pub fn into_body(self) -> Body {
        match self {
            Self::NotBound(body)
            | Self::WindowFull(body)
            | Self::NotAllowed(body)
            | Self::NotKnown(body) => *body,
        }
    }
}

/// Why a request will have no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnansweredCause {
    /// The response timer ran out while the session lived on.
    Timeout,
    /// The session ended without our doing.
    LinkDied,
    /// We closed the session before the answer came.
    Closed,
    /// Nothing may be written for the time being, and it was not yet; see
    /// [`Link::write_only_while`](crate::Link::write_only_while).
    Withdrawn,
}
