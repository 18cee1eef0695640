//! Whose turn it is: which of the things that match a rule it is for.

use serde::{Deserialize, Serialize};

use crate::sim::dice::Dice;

/// Which of those that match: without a word, all of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Turn {
    /// Lets the first so many go by.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) skip: u64,
    /// Of the rest, takes the first, then each so-manieth: 10 is every tenth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) every: Option<u64>,
    /// Takes no more than so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) times: Option<u64>,
    /// Takes so large a share of them by chance, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) chance: Option<f64>,
    /// How many have matched.
    #[serde(skip)]
    pub(crate) seen: u64,
    /// How many were taken.
    #[serde(skip)]
    pub(crate) taken: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Turn {
    /// One more has matched: whether it is taken.
    pub(crate) fn comes(&mut self, dice: &mut Dice) -> bool {
        self.seen += 1;
        let Some(place) = self.seen.checked_sub(self.skip + 1) else {
            return false;
        };
        let taken = self.times.is_none_or(|times| self.taken < times)
            && place.checked_rem(self.every.unwrap_or(1)) == Some(0)
            && self.chance.is_none_or(|chance| dice.fraction() < chance);
        self.taken += u64::from(taken);
        taken
    }

    /// Whether it makes sense, or what does not.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.every == Some(0) {
            return Err("`every` counts from 1".to_owned());
        }
        if self
            .chance
            .is_some_and(|chance| !(0.0..=1.0).contains(&chance))
        {
            return Err("`chance` is from 0 to 1".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(json: &str, count: usize) -> Vec<usize> {
        let mut turn: Turn = serde_json::from_str(json).unwrap();
        let mut dice = Dice::new(1);
        (1..=count).filter(|_| turn.comes(&mut dice)).collect()
    }

    #[test]
    fn without_a_word_all_are_taken() {
        assert_eq!(taken("{}", 3), [1, 2, 3]);
    }

    #[test]
    fn some_are_skipped_then_every_so_manieth_so_many_times() {
        assert_eq!(taken(r#"{"skip": 2, "times": 2}"#, 9), [3, 4]);
        assert_eq!(taken(r#"{"every": 3}"#, 9), [1, 4, 7]);
        assert_eq!(taken(r#"{"skip": 2, "every": 3, "times": 2}"#, 20), [3, 6]);
    }

    #[test]
    fn chance_takes_its_share() {
        let share = taken(r#"{"chance": 0.1}"#, 10_000).len();
        assert!((900..1_100).contains(&share), "{share}");
        assert_eq!(taken(r#"{"chance": 0}"#, 100), [0; 0]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in [r#"{"every": 0}"#, r#"{"chance": 2}"#] {
            let turn: Turn = serde_json::from_str(wrong).unwrap();
            assert!(turn.check().is_err(), "{wrong}");
        }
    }
}
