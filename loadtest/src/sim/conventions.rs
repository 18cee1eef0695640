//! What other simulators' users write into destination numbers, so that a test made for those runs here.

use matrix_smpp_codec::{CommandStatus, SubmitSm};
use serde::{Deserialize, Serialize};

use crate::sim::fate::Fate;
use crate::sim::ids::{Base, IdForm};

/// Whose conventions hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Conventions {
    /// Nobody's: numbers mean nothing.
    #[default]
    None,
    /// `SMPPSim`'s `DeterministicLifeCycleManager`: the first digit of the destination decides.
    Smppsim,
    /// `SMPPSim`'s `LoadTestLifeCycleManager` (a fork's): the text of the message decides.
    #[value(name = "smppsim-text")]
    #[serde(rename = "smppsim-text")]
    SmppsimText,
    /// Melrose Labs' SMSC Simulator: 333 fails, less than eight digits is no destination, the
    /// `system_id` as destination comes back as MO, long ids.
    Melrose,
}

/// What a convention says about one message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Custom {
    /// The status of the answer.
    pub(crate) status: Option<CommandStatus>,
    /// What becomes of the message, and the network's error in its receipt.
    pub(crate) fate: Option<(Fate, &'static str)>,
    /// It comes back to its sender as MO.
    pub(crate) echo: bool,
}

/// `SMPPSim`'s error numbers, the same in all its versions that have them.
const EXPIRED: (Fate, &str) = (Fate::Expired, "903");
const DELETED: (Fate, &str) = (Fate::Deleted, "904");
const UNDELIVERABLE: (Fate, &str) = (Fate::Undeliverable, "901");
const ACCEPTED: (Fate, &str) = (Fate::Accepted, "002");
const REJECTED: (Fate, &str) = (Fate::Rejected, "902");
const UNKNOWN: (Fate, &str) = (Fate::Unknown, "905");
const DELIVERED: (Fate, &str) = (Fate::Delivered, "000");

impl Conventions {
    /// What is said about this message of this account.
    pub(crate) fn of(self, account: &str, pdu: &SubmitSm) -> Custom {
        let destination = pdu.destination_addr.as_str().unwrap_or_default();
        match self {
            Self::None => Custom::default(),
            Self::Smppsim => fated(by_digit(destination)),
            Self::SmppsimText => fated(by_text(&pdu.short_message)),
            Self::Melrose => melrose(account, destination),
        }
    }

    /// The form of ids, where nothing else is asked for.
    pub(crate) const fn id_form(self) -> Option<IdForm> {
        match self {
            Self::Melrose => Some(IdForm::Named(Base::LongHex)),
            _ => None,
        }
    }
}

fn fated(fate: (Fate, &'static str)) -> Custom {
    Custom {
        fate: Some(fate),
        ..Custom::default()
    }
}

fn by_digit(destination: &str) -> (Fate, &'static str) {
    match destination.trim_start_matches('+').bytes().next() {
        Some(b'1') => EXPIRED,
        Some(b'2') => DELETED,
        Some(b'3') => UNDELIVERABLE,
        Some(b'4') => ACCEPTED,
        Some(b'5') => REJECTED,
        _ => DELIVERED,
    }
}

fn by_text(text: &[u8]) -> (Fate, &'static str) {
    let words: [(&str, (Fate, &str)); 6] = [
        ("EXPIRED", EXPIRED),
        ("DELETED", DELETED),
        ("UNDELIVERABLE", UNDELIVERABLE),
        ("ACCEPTED", ACCEPTED),
        ("REJECTED", REJECTED),
        ("UNKNOWN", UNKNOWN),
    ];
    let found = words
        .iter()
        .find(|(word, _)| text.eq_ignore_ascii_case(word.as_bytes()));
    found.map_or(DELIVERED, |(_, fate)| *fate)
}

fn melrose(account: &str, destination: &str) -> Custom {
    let status = match destination {
        "333" => Some(CommandStatus::ESME_RSUBMITFAIL),
        own if own == account => None,
        short if short.len() < 8 => Some(CommandStatus::ESME_RINVDSTADR),
        _ => None,
    };
    Custom {
        status,
        fate: None,
        echo: destination == account,
    }
}

#[cfg(test)]
mod tests {
    use matrix_smpp_codec::ShortMessage;

    use super::*;

    fn to(destination: &str) -> SubmitSm {
        SubmitSm {
            destination_addr: destination.parse().unwrap(),
            ..SubmitSm::default()
        }
    }

    #[test]
    fn smppsim_looks_at_the_first_digit() {
        let fates: Vec<_> = ["1", "2", "3", "4", "5", "6"]
            .iter()
            .map(|digit| Conventions::Smppsim.of("a", &to(&format!("{digit}47700900123"))))
            .map(|custom| custom.fate.unwrap())
            .collect();
        let wanted = [
            EXPIRED,
            DELETED,
            UNDELIVERABLE,
            ACCEPTED,
            REJECTED,
            DELIVERED,
        ];
        assert_eq!(fates, wanted);
    }

    #[test]
    fn smppsim_can_look_at_the_text() {
        let pdu = SubmitSm {
            short_message: ShortMessage::try_from(&b"undeliverable"[..]).unwrap(),
            ..to("447700900123")
        };
        let custom = Conventions::SmppsimText.of("a", &pdu);
        assert_eq!(custom.fate, Some(UNDELIVERABLE));
    }

    #[test]
    fn melrose_fails_333_and_short_numbers_and_echoes_the_system_id() {
        let custom = |destination| Conventions::Melrose.of("123456", &to(destination));
        assert_eq!(custom("333").status, Some(CommandStatus::ESME_RSUBMITFAIL));
        assert_eq!(custom("4477").status, Some(CommandStatus::ESME_RINVDSTADR));
        assert_eq!(custom("447700900123"), Custom::default());
        assert!(custom("123456").echo && custom("123456").status.is_none());
    }

    #[test]
    fn by_default_numbers_mean_nothing() {
        assert_eq!(Conventions::None.of("a", &to("333")), Custom::default());
    }
}
