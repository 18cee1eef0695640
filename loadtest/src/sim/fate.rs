//! What becomes of accepted messages.

use std::collections::BTreeMap;

use matrix_smpp_codec::MessageState;
use serde::{Deserialize, Serialize};

use crate::sim::dice::Dice;

/// What becomes of one message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Fate {
    /// The handset gets it.
    #[default]
    Delivered,
    /// The handset cannot be reached.
    Undeliverable,
    /// It runs out of time.
    Expired,
    /// The SMSC takes it away.
    Deleted,
    /// It was read on the subscriber's behalf.
    Accepted,
    /// Nobody knows.
    Unknown,
    /// The network refuses it.
    Rejected,
    /// It stays on its way for ever: no receipt.
    Enroute,
    /// The handset gets it, and nobody is told.
    None,
}

impl Fate {
    /// Where it ends (SMPP 3.4 §5.2.28).
    pub(crate) const fn state(self) -> MessageState {
        match self {
            Self::Delivered | Self::None => MessageState::DELIVERED,
            Self::Undeliverable => MessageState::UNDELIVERABLE,
            Self::Expired => MessageState::EXPIRED,
            Self::Deleted => MessageState::DELETED,
            Self::Accepted => MessageState::ACCEPTED,
            Self::Unknown => MessageState::UNKNOWN,
            Self::Rejected => MessageState::REJECTED,
            Self::Enroute => MessageState::ENROUTE,
        }
    }

    /// Whether its sender is told, where it asked for it.
    pub(crate) const fn is_told(self) -> bool {
        !matches!(self, Self::None | Self::Enroute)
    }

    /// What the phone shows of it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Delivered | Self::None => "delivered",
            Self::Undeliverable => "undeliverable",
            Self::Expired => "expired",
            Self::Deleted => "deleted",
            Self::Accepted => "accepted",
            Self::Unknown => "unknown",
            Self::Rejected => "rejected",
            Self::Enroute => "enroute",
        }
    }

    /// The network's error in the receipt: 000 is none; the others are of no standard, as in the field.
    pub(crate) const fn error(self) -> &'static str {
        match self {
            Self::Delivered | Self::None | Self::Enroute => "000",
            Self::Expired => "034",
            _ => "001",
        }
    }
}

/// Fates by their share: percentages, or any other weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Mix(BTreeMap<Fate, u32>);

impl Mix {
    /// The next fate.
    pub(crate) fn draw(&self, dice: &mut Dice) -> Fate {
        let mut left = dice.below(self.0.values().copied().map(u64::from).sum());
        for (fate, weight) in &self.0 {
            match left.checked_sub(u64::from(*weight)) {
                Some(rest) => left = rest,
                None => return *fate,
            }
        }
        Fate::default()
    }

    /// Whether it makes sense, or what does not.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.0.values().all(|weight| *weight == 0) {
            return Err("a mix of receipts needs a share above 0".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fate_has_its_share() {
        let json = r#"{"delivered": 90, "undeliverable": 10, "expired": 0}"#;
        let mix: Mix = serde_json::from_str(json).unwrap();
        mix.check().unwrap();
        let mut dice = Dice::new(1);
        let drawn: Vec<Fate> = (0..10_000).map(|_| mix.draw(&mut dice)).collect();
        let share = |fate| drawn.iter().filter(|one| **one == fate).count();
        assert!((900..1_100).contains(&share(Fate::Undeliverable)));
        assert_eq!(share(Fate::Expired), 0);
        assert_eq!(
            share(Fate::Delivered) + share(Fate::Undeliverable),
            drawn.len()
        );
    }

    #[test]
    fn a_mix_of_nothing_is_refused() {
        for nothing in ["{}", r#"{"delivered": 0}"#] {
            let mix: Mix = serde_json::from_str(nothing).unwrap();
            assert!(mix.check().is_err(), "{nothing}");
        }
        assert!(serde_json::from_str::<Mix>(r#"{"lost": 1}"#).is_err());
    }
}
