//! Which request may be sent by whom in which state: SMPP 3.4 Table 2-1 as one table.

use matrix_smpp_codec::{CommandId, CommandStatus};

/// Which end of a session: the one that binds or the one that accepts binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// External short message entity: binds.
    Esme,
    /// Short message service centre: accepts binds.
    Smsc,
}

impl Role {
    /// The other end.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Esme => Self::Smsc,
            Self::Smsc => Self::Esme,
        }
    }
}

/// What a session is bound for, seen from the ESME.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BindMode {
    /// The ESME only sends messages.
    Transmitter,
    /// The ESME only receives messages.
    Receiver,
    /// Both.
    #[default]
    Transceiver,
}

impl BindMode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Transmitter, Self::Receiver, Self::Transceiver];

    /// The request that opens a session of this mode.
    #[must_use]
    pub const fn request(self) -> CommandId {
        match self {
            Self::Transmitter => CommandId::BIND_TRANSMITTER,
            Self::Receiver => CommandId::BIND_RECEIVER,
            Self::Transceiver => CommandId::BIND_TRANSCEIVER,
        }
    }

    /// Whether this end may send messages on a session of this mode.
    #[must_use]
    pub const fn sends(self, role: Role) -> bool {
        !matches!(
            (self, role),
            (Self::Receiver, Role::Esme) | (Self::Transmitter, Role::Smsc)
        )
    }
}

/// How far a session has come. SMPP 3.4 §2.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionState {
    /// Connected and not yet bound; SMPP 3.4's OPEN.
    Open,
    /// The SMSC sent outbind and waits for the ESME to bind; SMPP 5.0's OUTBOUND, a part of OPEN in
    /// 3.4.
    Outbound,
    /// `BOUND_TX`, `BOUND_RX` or `BOUND_TRX`.
    Bound(BindMode),
    /// One side has sent unbind, or the peer has shut down its side of the connection: what is still
    /// owed is answered, and nothing more is asked.
    Unbinding,
    /// Over; what is left is to flush the last bytes.
    Closed,
}

impl SessionState {
    const fn bit(self) -> u8 {
        match self {
            Self::Open => OPEN,
            Self::Outbound => OUTBOUND,
            Self::Bound(BindMode::Transmitter) => TX,
            Self::Bound(BindMode::Receiver) => RX,
            Self::Bound(BindMode::Transceiver) => TRX,
            Self::Unbinding => UNBINDING,
            Self::Closed => 0,
        }
    }
}

const OPEN: u8 = 0x01;
const TX: u8 = 0x02;
const RX: u8 = 0x04;
const TRX: u8 = 0x08;
const UNBINDING: u8 = 0x10;
const OUTBOUND: u8 = 0x20;
const BOUND: u8 = TX | RX | TRX;
const CONNECTED: u8 = OPEN | OUTBOUND | BOUND | UNBINDING;
const NEVER: u8 = 0;

/// The states in which a request may be sent, by the role of its sender.
struct Operation {
    command: CommandId,
    by_esme: u8,
    by_smsc: u8,
}

const fn op(command: CommandId, by_esme: u8, by_smsc: u8) -> Operation {
    Operation {
        command,
        by_esme,
        by_smsc,
    }
}

/// SMPP 3.4 Table 2-1, with three rows as SMPP 5.0 has them: `enquire_link` is answered before the
/// bind too (peers do send it), `replace_sm` is allowed on a transceiver (3.4's own text says so), and
/// outbind may be followed by a transceiver's bind.
const OPERATIONS: [Operation; 14] = [
    op(CommandId::BIND_TRANSMITTER, OPEN, NEVER),
    op(CommandId::BIND_RECEIVER, OPEN | OUTBOUND, NEVER),
    op(CommandId::BIND_TRANSCEIVER, OPEN | OUTBOUND, NEVER),
    op(CommandId::OUTBIND, NEVER, OPEN),
    op(CommandId::UNBIND, BOUND | UNBINDING, BOUND | UNBINDING),
    op(CommandId::SUBMIT_SM, TX | TRX, NEVER),
    op(CommandId::SUBMIT_MULTI, TX | TRX, NEVER),
    op(CommandId::DATA_SM, BOUND, BOUND),
    op(CommandId::DELIVER_SM, NEVER, RX | TRX),
    op(CommandId::QUERY_SM, TX | TRX, NEVER),
    op(CommandId::CANCEL_SM, TX | TRX, NEVER),
    op(CommandId::REPLACE_SM, TX | TRX, NEVER),
    op(CommandId::ENQUIRE_LINK, CONNECTED, CONNECTED),
    op(CommandId::ALERT_NOTIFICATION, NEVER, RX | TRX),
];

/// What to do with a request that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is in order.
    Take,
    /// Answer with this status and go on.
    Refuse(CommandStatus),
    /// Say nothing: after our unbind only responses count, and what stays unanswered is sent again.
    Ignore,
}

/// Judges a request by its command, its sender and the state of the session.
pub(crate) fn judge(sender: Role, state: SessionState, command: CommandId) -> Verdict {
    if may_send(sender, state, command) {
        return Verdict::Take;
    }
    match state {
        SessionState::Unbinding | SessionState::Closed => Verdict::Ignore,
        SessionState::Bound(_) if sender == Role::Esme && is_bind(command) => {
            Verdict::Refuse(CommandStatus::ESME_RALYBND)
        }
        SessionState::Open | SessionState::Outbound | SessionState::Bound(_) => {
            Verdict::Refuse(CommandStatus::ESME_RINVBNDSTS)
        }
    }
}

/// Whether Table 2-1 lets `sender` send this request now.
pub(crate) fn may_send(sender: Role, state: SessionState, command: CommandId) -> bool {
    OPERATIONS
        .iter()
        .find(|row| row.command == command)
        .is_some_and(|row| {
            let states = match sender {
                Role::Esme => row.by_esme,
                Role::Smsc => row.by_smsc,
            };
            states & state.bit() != 0
        })
}

/// Whether this is one of the three requests that open a session.
pub(crate) fn is_bind(command: CommandId) -> bool {
    BindMode::ALL.iter().any(|mode| mode.request() == command)
}
