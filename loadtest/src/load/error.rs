//! Why a run did not take place.

use std::time::Duration;

use matrix_smpp_session::{CloseReason, ListenError};

use crate::load::mix::MixError;

/// Why there is nothing to report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The messages cannot be made.
    #[error(transparent)]
    Mix(#[from] MixError),
    /// No bind at all was asked for.
    #[error("there is no bind to send or receive on")]
    NoBind,
    /// A value does not fit its field: its name and the most octets that do.
    #[error("{0} has more than {1} octets")]
    TooLong(&'static str, usize),
    /// A bind could not be made.
    #[error(transparent)]
    Bind(BindFault),
    /// Some binds did not say anything in time.
    #[error("{up} of {binds} binds were up in time")]
    NotAllBound {
        /// How many were up.
        up: usize,
        /// How many were wanted.
        binds: usize,
    },
    /// Too few ESMEs came.
    #[error("{up} of {binds} receiving binds came within {waited:?}")]
    TooFewPeers {
        /// How many were there.
        up: usize,
        /// How many were wanted.
        binds: usize,
        /// How long they were waited for.
        waited: Duration,
    },
    /// It was stopped before all binds were there.
    #[error("stopped before all binds were up")]
    Stopped,
    /// The port cannot be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
}

/// A bind that could not be made.
#[derive(Debug, Clone, thiserror::Error)]
#[error("bind {number} of {binds} to {address}: {reason}")]
pub struct BindFault {
    /// Which, from 1.
    pub number: usize,
    /// Of how many.
    pub binds: usize,
    /// Where to.
    pub address: String,
    /// What went wrong.
    pub reason: CloseReason,
}
