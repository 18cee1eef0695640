//! The SMPP conversation with a peer.
//!
//! [`session::Session`] is the conversation as a value: PDUs and time go in, octets and events come
//! out, for both roles. The rest of the crate is one thin driver around it for tokio: [`client()`]
//! keeps a link to an SMSC bound for as long as its future runs, [`Listener`] accepts the binds of
//! ESMEs, and [`OutbindListener`] and [`outbind()`] do so the other way round. All give a [`Link`] to
//! send with and [`LinkEvents`] to read from.
//!
//! [`Accounts`] says who may bind to a listener and keeps what is bound: an application serves a
//! listener with it, answers each [`Peer`]'s requests by [`Reply`] once they are safe, and sends to an
//! account by [`Accounts::submit`] on whichever of its sessions has room.
//!
//! Below the window and rate of the contract both follow what the peer can take: [`AdaptSettings`].
//!
//! **Driving rule of the session: handle one thing, drain both polls until they are empty, then
//! wait no longer than `poll_timeout`.**
//!
//! Nothing here spawns a task by itself, and everything is bounded: the window, the outbox, the
//! event queue (when it is full nothing more is read from the peer) and the length of a PDU.
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]
#![cfg_attr(
    test,
    allow(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        reason = "a test that panics has failed, as it should"
    )
)]

mod accounts;
mod adapt;
mod backoff;
mod client;
mod clock;
mod counters;
mod driver;
mod error;
mod establish;
mod incoming;
mod link;
mod operations;
mod outbind;
mod owed;
mod places;
mod rate;
mod refusals;
mod refused;
mod reply;
mod sequence;
mod server;
pub mod session;
mod settings;
mod shared;
mod stream;
mod tls;
mod watch;
mod window;

pub use accounts::{Account, Accounts, AccountsSettings, Admission, BoundPeer, PeerLimits};
pub use adapt::AdaptSettings;
pub use backoff::Backoff;
pub use client::client;
pub use counters::Counters;
pub use error::{CloseReason, SubmitError, UnansweredCause};
pub use establish::Running;
pub use incoming::Incoming;
pub use link::{Answer, Link, LinkEvent, LinkEvents, LinkState};
pub use operations::{BindMode, Role, SessionState};
pub use outbind::{OutbindIncoming, OutbindListener, OutbindRequest, OutbindSettings, outbind};
pub use rate::Meter;
pub use refused::Refusal;
pub use reply::Reply;
pub use server::{
    Accept, Authenticator, BindRequest, ListenError, Listener, ListenerSettings, Peer,
};
pub use settings::{BindSettings, LinkSettings, SessionSettings};
pub use stream::Transport;
pub use tls::{ServerTls, ServerTlsSettings, TlsError, TlsSettings};
pub use watch::{Connections, ListenerWatch};
pub use window::Ticket;
