//! The driver over real sockets, and sessions over a simulated wire.
#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, as it should"
)]

mod accounts;
mod common;
mod hasty;
mod held;
mod hostile;
mod loopback;
mod outbind;
mod raw;
mod simulation;
mod tls;
mod writes;
