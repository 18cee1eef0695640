//! The end of a session whose peer has said its last, and is still owed answers.

use std::time::Instant;

use matrix_smpp_codec::{Body, CommandStatus};

use super::{Session, State};
use crate::error::CloseReason;
use crate::operations::Role;

/// How the peer said that it asks nothing more.
#[derive(Debug, Clone, Copy)]
pub(super) enum Leaving {
    /// By an unbind of this number. It is answered last: from its unbind on the peer reads answers
    /// only, and nothing behind the one to it.
    Unbind(u32),
    /// By shutting down its side of the connection.
    Silence,
}

impl Session {
    /// The peer has shut down its side of the connection: nothing will come behind what was handed in.
    /// What it has asked is still answered, be it the bind; it waits for that no longer than
    /// [`SessionSettings::drain`](crate::SessionSettings::drain).
    pub fn handle_half_closed(&mut self, now: Instant) {
        match (self.role, self.state) {
            (_, State::Closed(_)) => {}
            (_, State::Bound(_)) | (Role::Smsc, State::Binding { .. }) => {
                self.leave(now, Leaving::Silence);
            }
            _ => self.close_with(CloseReason::PeerClosed),
        }
    }

    /// Lets the peer go once it has its answers.
    pub(super) fn leave(&mut self, now: Instant, leaving: Leaving) {
        if self.leaving.is_none() {
            self.leaving = Some(leaving);
            self.clock.gone_by = Some(now + self.settings.drain);
        }
        self.part_when_answered();
    }

    pub(super) fn part_when_answered(&mut self) {
        if matches!(self.state, State::Bound(_)) && self.owed.len() == 0 {
            self.part();
        }
    }

    /// Lets the peer go, if it said that it wants to.
    pub(super) fn part(&mut self) {
        match self.leaving.take() {
            Some(Leaving::Unbind(sequence)) => {
                self.reply(sequence, CommandStatus::ESME_ROK, Body::UnbindResp);
                self.close_with(CloseReason::PeerUnbound);
            }
            Some(Leaving::Silence) => self.close_with(CloseReason::PeerClosed),
            None => {}
        }
    }
}
