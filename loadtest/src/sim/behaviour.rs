//! How the simulator answers: by default as a healthy SMSC, else as a test has scripted it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::sim::fate::Fate;
use crate::sim::handsets::digits;
use crate::sim::status::StatusName;

/// How many numbers may have a status of their own.
const MAX_SCRIPTED_NUMBERS: usize = 10_000;

/// The longest delay that can be asked for: one day.
const MAX_DELAY_MS: u64 = 86_400_000;

/// What becomes of accepted messages, and what their senders hear of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Receipts {
    /// The handset gets every message, and receipts say so.
    #[default]
    Delivered,
    /// No handset can be reached; receipts say UNDELIV.
    Undeliverable,
    /// Messages run out of time; receipts say EXPIRED.
    Expired,
    /// The handset gets every message, and nobody is told.
    None,
}

impl From<Receipts> for Fate {
    fn from(receipts: Receipts) -> Self {
        match receipts {
            Receipts::Delivered => Self::Delivered,
            Receipts::Undeliverable => Self::Undeliverable,
            Receipts::Expired => Self::Expired,
            Receipts::None => Self::None,
        }
    }
}

/// What the simulator does with each `submit_sm`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Behaviour {
    /// The status of the answers, where no number has its own.
    pub(crate) submit_status: StatusName,
    /// For how many answers more `submit_status` holds; `null` is until it is changed.
    pub(crate) next: Option<NonZeroU32>,
    /// The status of the answers by destination number.
    pub(crate) submit_status_for: BTreeMap<String, StatusName>,
    /// Whether each `submit_sm` is swallowed: no answer, no message, no receipt.
    pub(crate) silent: bool,
    /// What becomes of accepted messages.
    pub(crate) receipts: Receipts,
    /// From acceptance to receipt.
    pub(crate) receipt_delay_ms: u64,
    /// From `submit_sm` to its answer.
    pub(crate) response_delay_ms: u64,
    /// How many answers to `deliver_sm` are lost from now on, each with every bind.
    pub(crate) lose_answers: u32,
}

/// A change of behaviour: what it does not name stays as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Change {
    /// Begins from the behaviour of a fresh start.
    pub(crate) reset: bool,
    /// See [`Behaviour::submit_status`].
    pub(crate) submit_status: Option<StatusName>,
    /// Limits `submit_status` to the next so many answers.
    pub(crate) next: Option<NonZeroU32>,
    /// Adds numbers; `ESME_ROK` takes a number out again.
    pub(crate) submit_status_for: BTreeMap<String, StatusName>,
    /// See [`Behaviour::silent`].
    pub(crate) silent: Option<bool>,
    /// See [`Behaviour::receipts`].
    pub(crate) receipts: Option<Receipts>,
    /// See [`Behaviour::receipt_delay_ms`].
    pub(crate) receipt_delay_ms: Option<u64>,
    /// See [`Behaviour::response_delay_ms`].
    pub(crate) response_delay_ms: Option<u64>,
    /// See [`Behaviour::lose_answers`].
    pub(crate) lose_answers: Option<u32>,
}

/// Why a change was refused; nothing of it took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChangeError {
    /// A count without what it counts.
    #[error("`next` needs `submit_status` beside it")]
    NextAlone,
    /// Over one day.
    #[error("a delay is at most {MAX_DELAY_MS} ms")]
    DelayTooLong,
    /// More numbers than the simulator keeps.
    #[error("at most {MAX_SCRIPTED_NUMBERS} numbers may have a status of their own")]
    TooManyNumbers,
}

impl Behaviour {
    /// A healthy SMSC with this delay from acceptance to receipt.
    pub(crate) fn new(receipt_delay: Duration) -> Self {
        Self {
            submit_status: StatusName::OK,
            next: None,
            submit_status_for: BTreeMap::new(),
            silent: false,
            receipts: Receipts::Delivered,
            receipt_delay_ms: u64::try_from(receipt_delay.as_millis()).unwrap_or(MAX_DELAY_MS),
            response_delay_ms: 0,
            lose_answers: 0,
        }
    }

    /// This behaviour after a change. `fresh` is what a reset goes back to.
    pub(crate) fn changed(&self, change: Change, fresh: &Self) -> Result<Self, ChangeError> {
        let mut after = if change.reset {
            fresh.clone()
        } else {
            self.clone()
        };
        if let Some(status) = change.submit_status {
            after.submit_status = status;
            after.next = change.next;
        } else if change.next.is_some() {
            return Err(ChangeError::NextAlone);
        }
        after.script_numbers(change.submit_status_for)?;
        after.lose_answers = change.lose_answers.unwrap_or(after.lose_answers);
        after.silent = change.silent.unwrap_or(after.silent);
        after.receipts = change.receipts.unwrap_or(after.receipts);
        after.receipt_delay_ms = bounded(change.receipt_delay_ms, after.receipt_delay_ms)?;
        after.response_delay_ms = bounded(change.response_delay_ms, after.response_delay_ms)?;
        Ok(after)
    }

    /// The status for one `submit_sm` to this number, or none where it is to be swallowed. Uses up
    /// what was limited to the next few.
    pub(crate) fn answer(&mut self, destination: &str) -> Option<StatusName> {
        if self.silent {
            return None;
        }
        let own = self.submit_status_for.get(digits(destination)).copied();
        Some(own.unwrap_or_else(|| self.use_up()))
    }

    /// Whether an answer to a `deliver_sm` is to be lost. Uses one up.
    pub(crate) fn loses_answer(&mut self) -> bool {
        let loses = self.lose_answers > 0;
        self.lose_answers = self.lose_answers.saturating_sub(1);
        loses
    }

    fn use_up(&mut self) -> StatusName {
        let status = self.submit_status;
        if let Some(left) = self.next {
            self.next = NonZeroU32::new(left.get() - 1);
            if self.next.is_none() {
                self.submit_status = StatusName::OK;
            }
        }
        status
    }

    fn script_numbers(&mut self, numbers: BTreeMap<String, StatusName>) -> Result<(), ChangeError> {
        for (number, status) in numbers {
            if status == StatusName::OK {
                self.submit_status_for.remove(digits(&number));
            } else {
                self.submit_status_for
                    .insert(digits(&number).to_owned(), status);
            }
        }
        if self.submit_status_for.len() > MAX_SCRIPTED_NUMBERS {
            return Err(ChangeError::TooManyNumbers);
        }
        Ok(())
    }
}

fn bounded(wanted: Option<u64>, before: u64) -> Result<u64, ChangeError> {
    match wanted {
        Some(delay) if delay > MAX_DELAY_MS => Err(ChangeError::DelayTooLong),
        other => Ok(other.unwrap_or(before)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(changes: &[&str]) -> Behaviour {
        let fresh = Behaviour::new(Duration::from_millis(500));
        changes.iter().fold(fresh.clone(), |before, change| {
            before
                .changed(serde_json::from_str(change).unwrap(), &fresh)
                .unwrap()
        })
    }

    fn answers(behaviour: &mut Behaviour, destination: &str, count: usize) -> Vec<String> {
        let mut answer = || behaviour.answer(destination);
        (0..count)
            .map(|_| answer().map_or_else(|| "-".to_owned(), String::from))
            .collect()
    }

    #[test]
    fn a_status_for_the_next_n_is_used_up() {
        let mut behaviour = after(&[r#"{"submit_status": "ESME_RTHROTTLED", "next": 2}"#]);
        let seen = answers(&mut behaviour, "447700900123", 3);
        assert_eq!(seen, ["ESME_RTHROTTLED", "ESME_RTHROTTLED", "ESME_ROK"]);
    }

    #[test]
    fn a_status_without_a_count_holds_until_it_is_changed() {
        let mut behaviour = after(&[r#"{"submit_status": "0x400"}"#]);
        assert_eq!(answers(&mut behaviour, "1", 2), ["0x400", "0x400"]);
        let mut behaviour = after(&[r#"{"submit_status": "0x400"}"#, r#"{"reset": true}"#]);
        assert_eq!(answers(&mut behaviour, "1", 1), ["ESME_ROK"]);
    }

    #[test]
    fn a_number_s_own_status_uses_nothing_up() {
        let mut behaviour = after(&[
            r#"{"submit_status": "ESME_RMSGQFUL", "next": 1}"#,
            r#"{"submit_status_for": {"+447700900999": "ESME_RINVDSTADR"}}"#,
        ]);
        assert_eq!(
            answers(&mut behaviour, "447700900999", 2),
            ["ESME_RINVDSTADR"; 2]
        );
        assert_eq!(
            answers(&mut behaviour, "447700900123", 2),
            ["ESME_RMSGQFUL", "ESME_ROK"]
        );
    }

    #[test]
    fn silence_answers_nothing_until_it_ends() {
        let mut behaviour = after(&[r#"{"silent": true}"#]);
        assert_eq!(answers(&mut behaviour, "1", 1), ["-"]);
        let mut behaviour = after(&[r#"{"silent": true}"#, r#"{"silent": false}"#]);
        assert_eq!(answers(&mut behaviour, "1", 1), ["ESME_ROK"]);
    }

    #[test]
    fn so_many_answers_are_lost() {
        let mut behaviour = after(&[r#"{"lose_answers": 2}"#]);
        let lost = [(); 3].map(|()| behaviour.loses_answer());
        assert_eq!(lost, [true, true, false]);
    }

    #[test]
    fn a_change_touches_only_what_it_names() {
        let before = after(&[r#"{"receipts": "expired", "receipt_delay_ms": 5}"#]);
        let later = after(&[
            r#"{"receipts": "expired", "receipt_delay_ms": 5}"#,
            r#"{"response_delay_ms": 7}"#,
        ]);
        assert_eq!(
            later,
            Behaviour {
                response_delay_ms: 7,
                ..before
            }
        );
    }

    #[test]
    fn a_senseless_change_is_refused() {
        let fresh = Behaviour::new(Duration::ZERO);
        for wrong in [
            r#"{"silnet": true}"#,
            r#"{"submit_status": "X"}"#,
            r#"{"receipts": "no"}"#,
        ] {
            assert!(serde_json::from_str::<Change>(wrong).is_err(), "{wrong}");
        }
        let alone = Change {
            next: NonZeroU32::new(1),
            ..Change::default()
        };
        assert_eq!(fresh.changed(alone, &fresh), Err(ChangeError::NextAlone));
        let endless = Change {
            receipt_delay_ms: Some(u64::MAX),
            ..Change::default()
        };
        assert_eq!(
            fresh.changed(endless, &fresh),
            Err(ChangeError::DelayTooLong)
        );
    }
}
