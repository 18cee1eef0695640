//! The scenario: everything about the simulator's conduct in one file (TOML) or one request (JSON).

use serde::{Deserialize, Serialize};

use crate::sim::conventions::Conventions;
use crate::sim::ids::IdForm;
use crate::sim::lists::Lists;
use crate::sim::loopback::Loopback;
use crate::sim::mo::MoPlan;
use crate::sim::receipts::ReceiptStyle;
use crate::sim::rules::Rule;
use crate::sim::settings::Account;
use crate::sim::span::{Latency, Span};
use crate::sim::wire::faults::Fault;

/// How the simulator conducts itself. What is left out is as in a fresh start without a scenario.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// See `--seed`; read at the start only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seed: Option<u64>,
    /// See `--keep`; read at the start only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) keep: Option<usize>,
    /// Whose conventions about numbers hold.
    pub(crate) conventions: Conventions,
    /// Whether messages come back to ESMEs.
    pub(crate) loopback: Loopback,
    /// Who may bind.
    #[serde(skip_serializing)]
    pub(crate) account: Vec<Account>,
    /// Answers where no rule says otherwise.
    pub(crate) answers: Answers,
    /// How ids are written.
    pub(crate) message_id: MessageIds,
    /// What receipts are like.
    pub(crate) receipts: ReceiptStyle,
    /// What happens to binds.
    pub(crate) binds: BindRules,
    /// The timers of a session; read at the bind.
    pub(crate) timers: Timers,
    /// What `submit_multi` may name beside numbers.
    pub(crate) distribution_list: Lists,
    /// Who gets which answer.
    pub(crate) rule: Vec<Rule>,
    /// What goes wrong on the wire.
    pub(crate) fault: Vec<Fault>,
    /// What phones write by themselves.
    pub(crate) mo: Vec<MoPlan>,
}

/// Answers where no rule says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Answers {
    /// From the request to its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) latency: Option<Latency>,
}

/// How the id of a message is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MessageIds {
    /// In the answer to the submission.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) response: Option<IdForm>,
    /// In the receipt; otherwise as in the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) receipt: Option<IdForm>,
}

/// What happens to binds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BindRules {
    /// So long after a link was lost without unbind, its account gets `ESME_RALYBND`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hold_after_drop: Option<Span>,
    /// So long after it was bound, each bind is unbound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unbind_after: Option<Span>,
}

/// The timers of a session (SMPP 3.4 §7.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Timers {
    /// After so long a silence the ESME is asked for a sign of life; otherwise 30 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) enquire_link: Option<Span>,
    /// How long an ESME may take over its answer; otherwise one minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) response: Option<Span>,
    /// After so long without a message the ESME is unbound; otherwise never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) inactivity: Option<Span>,
    /// How long an ESME may take to bind; otherwise 30 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) session_init: Option<Span>,
}

impl Timers {
    /// Whether they make sense, or which does not: a timer of nothing ends every session at once.
    fn check(&self) -> Result<(), String> {
        let named = [
            ("enquire_link", self.enquire_link),
            ("response", self.response),
            ("inactivity", self.inactivity),
            ("session_init", self.session_init),
        ];
        let nothing = named
            .iter()
            .find(|(_, span)| *span == Some(Span::default()));
        match nothing {
            Some((name, _)) => Err(format!("`{name}` is more than 0")),
            None => Ok(()),
        }
    }
}

/// Why a scenario was refused; nothing of it took effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// It can be read and makes no sense.
    #[error("{place}: {reason}")]
    Senseless {
        /// Where.
        place: String,
        /// What is wrong there.
        reason: String,
    },
}

impl Scenario {
    /// Reads a scenario in TOML.
    pub fn from_toml(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self =
            toml::from_str(text).map_err(|error| ScenarioError::Unreadable(error.to_string()))?;
        scenario.check()?;
        Ok(scenario)
    }

    /// Reads a scenario in JSON.
    pub fn from_json(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = serde_json::from_str(text)
            .map_err(|error| ScenarioError::Unreadable(error.to_string()))?;
        scenario.check()?;
        Ok(scenario)
    }

    fn check(&self) -> Result<(), ScenarioError> {
        let ids = [&self.message_id.response, &self.message_id.receipt];
        for form in ids.into_iter().flatten() {
            at("message_id", form.check())?;
        }
        at("receipts", self.receipts.check())?;
        at("timers", self.timers.check())?;
        at("distribution_list", self.distribution_list.check())?;
        for (place, rule) in (1..).zip(&self.rule) {
            at(&format!("rule {place}"), rule.check())?;
        }
        for (place, fault) in (1..).zip(&self.fault) {
            at(&format!("fault {place}"), fault.check())?;
        }
        for (place, account) in (1..).zip(&self.account) {
            at(&format!("account {place}"), account.check())?;
            let before = self.account.iter().take(place - 1);
            at(&format!("account {place}"), account.is_new(before))?;
        }
        for (place, plan) in (1..).zip(&self.mo) {
            at(&format!("mo {place}"), plan.check())?;
        }
        Ok(())
    }
}

fn at(place: &str, checked: Result<(), String>) -> Result<(), ScenarioError> {
    checked.map_err(|reason| ScenarioError::Senseless {
        place: place.to_owned(),
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_a_scenario() {
        assert_eq!(Scenario::from_toml(""), Ok(Scenario::default()));
        assert_eq!(Scenario::from_json("{}"), Ok(Scenario::default()));
    }

    #[test]
    fn toml_and_json_say_the_same() {
        let toml = r#"
            conventions = "smppsim"
            [answers]
            latency = { uniform = { min = "5ms", max = "20ms" } }
            [message_id]
            response = "hex"
            [[rule]]
            when = { to = "4477*" }
            then = { status = "ESME_RTHROTTLED" }
        "#;
        let json = r#"{"conventions": "smppsim",
            "answers": {"latency": {"uniform": {"min": "5ms", "max": "20ms"}}},
            "message_id": {"response": "hex"},
            "rule": [{"when": {"to": "4477*"}, "then": {"status": "ESME_RTHROTTLED"}}]}"#;
        let scenario = Scenario::from_toml(toml).unwrap();
        assert_eq!(Scenario::from_json(json), Ok(scenario.clone()));
        let again = serde_json::to_string(&scenario).unwrap();
        assert_eq!(Scenario::from_json(&again), Ok(scenario));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let senseless = Scenario::from_toml("[[rule]]\n[[rule]]\non = { every = 0 }");
        assert_eq!(
            senseless.unwrap_err().to_string(),
            "rule 2: `every` counts from 1"
        );
        for (toml, told) in [
            (
                "[timers]\nresponse = '0s'",
                "timers: `response` is more than 0",
            ),
            (
                "[[account]]\nsystem_id = 'a'\n[[account]]\nsystem_id = 'a'",
                "account 2: there is an account a already",
            ),
            (
                "[[fault]]\nfault = { kind = 'split', octets = 0 }",
                "fault 1: `octets` counts from 1",
            ),
        ] {
            let senseless = Scenario::from_toml(toml).unwrap_err();
            assert_eq!(senseless.to_string(), told);
        }
        let unknown = Scenario::from_toml("[receipts]\nmixx = 1").unwrap_err();
        assert!(unknown.to_string().contains("mixx"), "{unknown}");
    }
}
