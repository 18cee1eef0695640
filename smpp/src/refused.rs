//! Why nobody was let in, for the operator's eyes: the peer is told less.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use matrix_smpp_codec::CommandStatus;

use crate::error::CloseReason;

/// Why a bind was refused, or a connection closed before its bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No account has this name.
    UnknownAccount,
    /// The password is wrong, or the account has neither password nor certificate.
    WrongPassword,
    /// The certificate bears another name, or there is none.
    WrongCertificate,
    /// The account may not come from there.
    WrongAddress,
    /// There were too many wrong answers from there: nothing was looked at.
    Guessing,
    /// The account may not bind for this.
    WrongMode,
    /// The account has all the binds that it may have.
    TooManyBinds,
    /// There are too many connections from there, all of them bound.
    TooManyConnections,
    /// It gave its place up to a newer connection before it bound.
    Displaced,
    /// It did not bind in time.
    NotInTime,
    /// The TLS handshake failed.
    Tls,
    /// It went away or broke the protocol before it bound.
    BrokenOff,
}

impl Refusal {
    /// Every reason.
    pub const ALL: [Self; 12] = [
        Self::UnknownAccount,
        Self::WrongPassword,
        Self::WrongCertificate,
        Self::WrongAddress,
        Self::Guessing,
        Self::WrongMode,
        Self::TooManyBinds,
        Self::TooManyConnections,
        Self::Displaced,
        Self::NotInTime,
        Self::Tls,
        Self::BrokenOff,
    ];

    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownAccount => "unknown_account",
            Self::WrongPassword => "wrong_password",
            Self::WrongCertificate => "wrong_certificate",
            Self::WrongAddress => "wrong_address",
            Self::Guessing => "guessing",
            Self::WrongMode => "wrong_mode",
            Self::TooManyBinds => "too_many_binds",
            Self::TooManyConnections => "too_many_connections",
            Self::Displaced => "displaced",
            Self::NotInTime => "not_in_time",
            Self::Tls => "tls",
            Self::BrokenOff => "broken_off",
        }
    }

    /// What the peer is told: a stranger nothing but that it is one.
    pub(crate) const fn status(self) -> CommandStatus {
        match self {
            Self::WrongMode => CommandStatus::ESME_RBINDFAIL,
            Self::TooManyBinds => CommandStatus::ESME_RALYBND,
            _ => CommandStatus::ESME_RINVPASWD,
        }
    }

    /// Why a connection came to nothing; `None` for a refused bind, which whoever refused it counts.
    pub(crate) const fn of(reason: CloseReason) -> Option<Self> {
        match reason {
            CloseReason::BindRefused(_) => None,
            CloseReason::Displaced => Some(Self::Displaced),
            CloseReason::NotBoundInTime => Some(Self::NotInTime),
            CloseReason::TlsHandshake | CloseReason::TlsSettings => Some(Self::Tls),
            _ => Some(Self::BrokenOff),
        }
    }
}

/// How often each was the reason.
#[derive(Debug, Default)]
pub(crate) struct Refused([AtomicU64; Refusal::ALL.len()]);

impl Refused {
    pub(crate) fn count(&self, reason: Refusal) {
        if let Some(count) = self.0.get(reason as usize) {
            count.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn get(&self, reason: Refusal) -> u64 {
        let count = self.0.get(reason as usize);
        count.map_or(0, |count| count.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_counted_by_itself() {
        let refused = Refused::default();
        for (times, reason) in Refusal::ALL.into_iter().enumerate() {
            (0..times).for_each(|_| refused.count(reason));
        }
        let counts = Refusal::ALL.map(|reason| refused.get(reason));
        assert_eq!(counts, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    }
}
