//! What is to be done next, as the session has it.

use std::time::Instant;

use matrix_smpp_codec::Quirks;

use crate::error::CloseReason;
use crate::operations::SessionState;
use crate::session::Session;
use crate::shared::Inner;

/// Most PDUs handed to the session under one hold of the lock.
const BATCH: usize = 64;

/// Nothing is read while this many PDUs wait to be encoded: a peer that asks and does not read.
const OUTBOX: usize = 1_000;

/// What the session wants next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) finished: Option<CloseReason>,
    pub(super) deadline: Option<Instant>,
    pub(super) max_pdu: usize,
    pub(super) quirks: Quirks,
    pub(super) batch: usize,
    pub(super) reading: Reading,
    /// PDUs wait that did not fit into the write buffer.
    pub(super) more: bool,
    /// No request of either side waits for its answer, and none is expected: room is not kept for what
    /// comes next.
    pub(super) resting: bool,
}

impl Step {
    /// Before anything was asked: nothing is read.
    pub(super) const FIRST: Self = Self {
        finished: None,
        deadline: None,
        max_pdu: 0,
        quirks: Quirks::NONE,
        batch: 1,
        reading: Reading::AfterWriting,
        more: false,
        resting: true,
    };

    /// What follows from how things stand.
    pub(super) fn next(session: &Session, inner: &Inner) -> Self {
        let reading = if !inner.has_room() {
            Reading::AfterTelling
        } else if session.is_deciding() {
            Reading::Ahead
        } else if session.is_refusing() {
            Reading::Leftovers
        } else if session.pdus_waiting() >= OUTBOX || session.finished().is_some() {
            Reading::AfterWriting
        } else {
            Reading::On
        };
        Self {
            finished: session.finished(),
            deadline: session.poll_timeout(),
            max_pdu: session.max_pdu(),
            quirks: session.quirks(),
            batch: match session.state() {
                SessionState::Open | SessionState::Outbound => 1,
                _ => BATCH,
            },
            reading,
            more: session.pdus_waiting() > 0,
            resting: session.is_resting(),
        }
    }

    /// Has the driver look again then, at the latest.
    pub(super) fn wake_at(&mut self, at: Instant) {
        self.deadline = Some(self.deadline.map_or(at, |deadline| deadline.min(at)));
    }
}

/// Whether to take in more, or what has to happen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    On,
    /// A bind waits to be answered, and what came behind it to be decoded.
    Ahead,
    /// What came behind a bind that is refused is decoded, and nothing more read.
    Leftovers,
    /// The event queue is full.
    AfterTelling,
    /// The outbox is full, or the session over.
    AfterWriting,
}
