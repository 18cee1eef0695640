//! Rules: who gets which answer, and what becomes of their messages.

use matrix_smpp_codec::CommandId;
use serde::{Deserialize, Serialize};

use crate::sim::dice::Dice;
use crate::sim::fate::Fate;
use crate::sim::receipts::Form;
use crate::sim::span::Latency;
use crate::sim::status::StatusName;
use crate::sim::turn::Turn;
use crate::sim::wire::faults::command;
use crate::sim::wire::mangle::Mangle;

/// How many rules may stand at once.
const MAX_RULES: usize = 10_000;

/// One rule, as `[[rule]]` and `POST /rules` write it: first what must hold, then what happens. What
/// is left out holds for all, or stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Rule {
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// Which.
    pub(crate) when: When,
    /// Of those, which.
    pub(crate) on: Turn,
    /// What happens.
    pub(crate) then: Then,
}

/// What must hold. Numbers and names may have `*` for anything and `?` for one character.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct When {
    /// The request, by its name; `bind` is each of the three. Otherwise each that carries a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) command: Option<String>,
    /// The destination.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<String>,
    /// The source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    /// The `system_id` of the bind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<String>,
    /// The number of the bind, as in `GET /binds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bind: Option<u64>,
    /// Words of the message, in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
}

/// What happens.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Then {
    /// The status of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<StatusName>,
    /// No answer at all.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) silent: bool,
    /// From the request to its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) latency: Option<Latency>,
    /// What becomes of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) receipt: Option<Fate>,
    /// The network's error in its receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// From the delivery to its receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) receipt_delay: Option<Latency>,
    /// Whether the receipt says it by TLV, by text or both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) form: Option<Form>,
    /// The receipt goes before the answer.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) early: bool,
    /// What happens to the answer on the wire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fault: Option<Mangle>,
    /// What the phone writes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reply: Option<String>,
    /// `congestion_state` of the answer, 0 to 100 (SMPP 5.0 §4.8.4.18).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) congestion: Option<u8>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// What a request is, for rules to look at.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) command: CommandId,
    pub(crate) to: &'a str,
    pub(crate) from: &'a str,
    pub(crate) account: &'a str,
    pub(crate) bind: u64,
    /// The text, read only where a rule wants to know.
    pub(crate) text: &'a dyn Fn() -> String,
}

/// The rules that stand, in their order: the first that holds and whose turn it is decides.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    standing: Vec<(u64, Rule)>,
    last: u64,
}

/// A rule and its number, as the API shows it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Numbered {
    id: u64,
    /// How many requests it held for.
    seen: u64,
    /// How many of them it decided.
    taken: u64,
    #[serde(flatten)]
    rule: Rule,
}

impl Rules {
    /// Adds a rule behind the others. Returns its number, or what is wrong with it.
    pub(crate) fn add(&mut self, rule: Rule) -> Result<u64, String> {
        rule.check()?;
        if self.standing.len() >= MAX_RULES {
            return Err(format!("at most {MAX_RULES} rules stand at once"));
        }
        self.last += 1;
        let id = self.last;
        self.standing.push((id, rule));
        Ok(id)
    }

    /// Takes a rule away; whether it was there.
    pub(crate) fn remove(&mut self, id: u64) -> bool {
        let before = self.standing.len();
        self.standing.retain(|(known, _)| *known != id);
        self.standing.len() < before
    }

    /// Takes all rules away.
    pub(crate) fn clear(&mut self) {
        self.standing.clear();
    }

    pub(crate) fn list(&self) -> Vec<Numbered> {
        let numbered = self.standing.iter().map(|(id, rule)| Numbered {
            id: *id,
            seen: rule.on.seen,
            taken: rule.on.taken,
            rule: rule.clone(),
        });
        numbered.collect()
    }

    /// The rules in their order.
    pub(crate) fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.standing.iter().map(|(_, rule)| rule)
    }

    /// What happens to this request.
    pub(crate) fn decide(&mut self, asked: &Asked<'_>, dice: &mut Dice) -> Option<Then> {
        let mut rules = self.standing.iter_mut().map(|(_, rule)| rule);
        rules.find_map(|rule| {
            let decides = rule.when.holds(asked) && rule.on.comes(dice);
            decides.then(|| rule.then.clone())
        })
    }
}

impl Rule {
    /// Whether it makes sense, or what does not.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.on.check()?;
        match self.when.command.as_deref() {
            None | Some(BIND) => {}
            Some(name) if command(name).is_some_and(|command| !command.is_response()) => {}
            Some(name) => return Err(format!("no request is called {name}: submit_sm is one")),
        }
        if let Some(fault) = &self.then.fault {
            fault.check()?;
        }
        if self.then.congestion.is_some_and(|state| state > 100) {
            return Err("`congestion` is from 0 to 100".to_owned());
        }
        Ok(())
    }
}

const BIND: &str = "bind";

/// The requests that carry a message.
const MESSAGES: [CommandId; 3] = [
    CommandId::SUBMIT_SM,
    CommandId::SUBMIT_MULTI,
    CommandId::DATA_SM,
];

const BINDS: [CommandId; 3] = [
    CommandId::BIND_TRANSMITTER,
    CommandId::BIND_RECEIVER,
    CommandId::BIND_TRANSCEIVER,
];

impl When {
    fn holds(&self, asked: &Asked<'_>) -> bool {
        let command_holds = match self.command.as_deref() {
            None => MESSAGES.contains(&asked.command),
            Some(BIND) => BINDS.contains(&asked.command),
            Some(name) => asked.command.name() == Some(name),
        };
        command_holds
            && self.bind.is_none_or(|bind| bind == asked.bind)
            && fits(self.to.as_deref(), asked.to)
            && fits(self.from.as_deref(), asked.from)
            && fits(self.account.as_deref(), asked.account)
            && self.says(asked)
    }

    fn says(&self, asked: &Asked<'_>) -> bool {
        self.text.as_deref().is_none_or(|words| {
            let text = (asked.text)().to_lowercase();
            text.contains(&words.to_lowercase())
        })
    }
}

/// Whether a number or name is what is wanted; a plus before it does not matter.
pub(crate) fn fits(pattern: Option<&str>, value: &str) -> bool {
    let plain = |text| str::strip_prefix(text, "+").unwrap_or(text);
    pattern.is_none_or(|pattern| glob(plain(pattern).as_bytes(), plain(value).as_bytes()))
}

/// Matches `*` and `?`, without backtracking further than the last star.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(octet) = text.get(seen) {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(wanted) if wanted == octet || *wanted == b'?' => {
                at += 1;
                seen += 1;
            }
            _ => {
                let Some((place, taken)) = star else {
                    return false;
                };
                star = Some((place, taken + 1));
                at = place + 1;
                seen = taken + 1;
            }
        }
    }
    pattern.iter().skip(at).all(|octet| *octet == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Asked<'_> = Asked {
        command: CommandId::SUBMIT_SM,
        to: "447700900123",
        from: "BANK",
        account: "gateway",
        bind: 3,
        text: &|| "Your code is 1234".to_owned(),
    };

    fn rules(json: &[&str]) -> Rules {
        let mut rules = Rules::default();
        for rule in json {
            rules.add(serde_json::from_str(rule).unwrap()).unwrap();
        }
        rules
    }

    fn decided(rule: &str) -> bool {
        let mut dice = Dice::new(1);
        rules(&[rule]).decide(&ASKED, &mut dice).is_some()
    }

    #[test]
    fn a_rule_holds_when_all_of_it_does() {
        for holds in [
            r"{}",
            r#"{"when": {"to": "4477*"}}"#,
            r#"{"when": {"to": "+44*123", "from": "B?NK", "account": "gateway"}}"#,
            r#"{"when": {"text": "CODE", "bind": 3}}"#,
            r#"{"when": {"command": "submit_sm"}}"#,
        ] {
            assert!(decided(holds), "{holds}");
        }
        for fails in [
            r#"{"when": {"to": "4478*"}}"#,
            r#"{"when": {"to": "44770090012"}}"#,
            r#"{"when": {"to": "4477*", "from": "BANKS"}}"#,
            r#"{"when": {"text": "hello"}}"#,
            r#"{"when": {"command": "data_sm"}}"#,
            r#"{"when": {"command": "bind"}}"#,
            r#"{"when": {"bind": 4}}"#,
        ] {
            assert!(!decided(fails), "{fails}");
        }
    }

    #[test]
    fn the_first_rule_whose_turn_it_is_decides() {
        let mut rules = rules(&[
            r#"{"on": {"times": 1}, "then": {"status": "ESME_RTHROTTLED"}}"#,
            r#"{"then": {"status": "ESME_RMSGQFUL"}}"#,
        ]);
        let mut dice = Dice::new(1);
        let mut status = || rules.decide(&ASKED, &mut dice).unwrap().status.unwrap();
        assert_eq!(String::from(status()), "ESME_RTHROTTLED");
        assert_eq!(String::from(status()), "ESME_RMSGQFUL");
    }

    #[test]
    fn a_rule_that_makes_no_sense_is_refused() {
        for wrong in [
            r#"{"when": {"command": "submit"}}"#,
            r#"{"when": {"command": "submit_sm_resp"}}"#,
            r#"{"on": {"every": 0}}"#,
            r#"{"then": {"congestion": 101}}"#,
            r#"{"then": {"fault": {"kind": "sequence"}}}"#,
        ] {
            let rule = serde_json::from_str(wrong).unwrap();
            assert!(Rules::default().add(rule).is_err(), "{wrong}");
        }
        assert!(serde_json::from_str::<Rule>(r#"{"then": {"stauts": 1}}"#).is_err());
    }

    #[test]
    fn stars_match_anything() {
        for (pattern, text, matches) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("*b*c*", "abxc", true),
            ("a?", "ab", true),
            ("a?", "a", false),
        ] {
            assert_eq!(
                glob(pattern.as_bytes(), text.as_bytes()),
                matches,
                "{pattern}"
            );
        }
    }
}
