//! What goes wrong on the way out: faults that stand for all links, and marks for one PDU.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use matrix_smpp_codec::CommandId;
use serde::{Deserialize, Serialize};

use crate::sim::dice::Dice;
use crate::sim::turn::Turn;
use crate::sim::wire::mangle::Mangle;

/// How many faults may stand at once.
const MAX_FAULTS: usize = 1_000;

/// What is wrong with PDUs of a kind. `POST /faults` and `[[fault]]` take it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    /// Only PDUs of this command, by its name (`submit_sm_resp`); otherwise all that go out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) command: Option<String>,
    /// Only links of this account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<String>,
    /// Only this link, as in `GET /binds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bind: Option<u64>,
    /// Which of them.
    #[serde(default)]
    pub(crate) on: Turn,
    /// What happens to them.
    #[serde(rename = "fault")]
    pub(crate) mangle: Mangle,
}

impl Fault {
    /// Whether it makes sense, or what does not.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.on.check()?;
        self.mangle.check()?;
        match &self.command {
            Some(name) if command(name).is_none() => Err(format!(
                "no command is called {name}: submit_sm_resp is one"
            )),
            _ => Ok(()),
        }
    }

    fn concerns(&self, link: &Who<'_>, command_id: u32) -> bool {
        let named = self.command.as_deref().map(command);
        named.is_none_or(|named| named == Some(CommandId(command_id)))
            && self
                .account
                .as_deref()
                .is_none_or(|id| link.account == Some(id))
            && self.bind.is_none_or(|bind| link.bind == Some(bind))
    }
}

/// The command of this name.
pub(crate) fn command(name: &str) -> Option<CommandId> {
    let mut known = CommandId::KNOWN.iter();
    known.find(|command| command.name() == Some(name)).copied()
}

/// Whose PDU it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Who<'a> {
    pub(crate) account: Option<&'a str>,
    pub(crate) bind: Option<u64>,
}

/// The faults that stand.
#[derive(Debug)]
pub(crate) struct Faults {
    /// Whether there are any; asked before every write.
    armed: AtomicBool,
    /// How many PDUs were mangled.
    pub(crate) struck: AtomicU64,
    standing: Mutex<Standing>,
}

#[derive(Debug)]
struct Standing {
    faults: BTreeMap<u64, Fault>,
    last: u64,
    dice: Dice,
}

/// A fault and its number, as the API shows it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Numbered {
    id: u64,
    /// How many PDUs it concerned.
    seen: u64,
    /// How many of them it struck.
    taken: u64,
    #[serde(flatten)]
    fault: Fault,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            armed: AtomicBool::new(false),
            struck: AtomicU64::new(0),
            standing: Mutex::new(Standing {
                faults: BTreeMap::new(),
                last: 0,
                dice: Dice::new(seed),
            }),
        }
    }

    /// Whether any fault stands.
    pub(crate) fn armed(&self) -> bool {
        self.armed.load(Relaxed)
    }

    /// Adds a fault. Returns its number, or what is wrong with it.
    pub(crate) fn add(&self, fault: Fault) -> Result<u64, String> {
        fault.check()?;
        let mut standing = self.lock();
        if standing.faults.len() >= MAX_FAULTS {
            return Err(format!("at most {MAX_FAULTS} faults stand at once"));
        }
        standing.last += 1;
        let id = standing.last;
        standing.faults.insert(id, fault);
        self.armed.store(true, Relaxed);
        Ok(id)
    }

    /// Takes a fault away; whether it was there.
    pub(crate) fn remove(&self, id: u64) -> bool {
        let mut standing = self.lock();
        let was = standing.faults.remove(&id).is_some();
        self.armed.store(!standing.faults.is_empty(), Relaxed);
        was
    }

    /// Takes all faults away.
    pub(crate) fn clear(&self) {
        self.lock().faults.clear();
        self.armed.store(false, Relaxed);
    }

    pub(crate) fn list(&self) -> Vec<Numbered> {
        let standing = self.lock();
        let numbered = standing.faults.iter();
        numbered
            .map(|(id, fault)| Numbered {
                id: *id,
                seen: fault.on.seen,
                taken: fault.on.taken,
                fault: fault.clone(),
            })
            .collect()
    }

    /// What happens to a PDU with this command: what the first fault says whose turn it is.
    pub(crate) fn strike(&self, link: &Who<'_>, command_id: u32) -> Option<Mangle> {
        if !self.armed() {
            return None;
        }
        let mut standing = self.lock();
        let Standing { faults, dice, .. } = &mut *standing;
        let mut struck = faults
            .values_mut()
            .filter(|fault| fault.concerns(link, command_id));
        let struck = struck.find_map(|fault| fault.on.comes(dice).then(|| fault.mangle.clone()));
        self.struck.fetch_add(u64::from(struck.is_some()), Relaxed);
        struck
    }

    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: Who<'_> = Who {
        account: Some("gateway"),
        bind: Some(1),
    };
    const SUBMIT_SM_RESP: u32 = 0x8000_0004;

    fn faults(json: &str) -> Faults {
        let faults = Faults::new(1);
        faults.add(serde_json::from_str(json).unwrap()).unwrap();
        faults
    }

    #[test]
    fn a_fault_strikes_what_it_names_when_it_is_its_turn() {
        let faults = faults(
            r#"{"command": "submit_sm_resp", "account": "gateway", "on": {"times": 1},
                "fault": {"kind": "drop"}}"#,
        );
        let stranger = Who {
            account: Some("stranger"),
            bind: Some(2),
        };
        assert_eq!(faults.strike(&stranger, SUBMIT_SM_RESP), None);
        assert_eq!(faults.strike(&LINK, 5), None);
        assert_eq!(faults.strike(&LINK, SUBMIT_SM_RESP), Some(Mangle::Drop {}));
        assert_eq!(faults.strike(&LINK, SUBMIT_SM_RESP), None);
        assert_eq!(faults.struck.load(Relaxed), 1);
    }

    #[test]
    fn without_faults_nothing_is_armed() {
        let faults = faults(r#"{"fault": {"kind": "reset"}}"#);
        assert!(faults.armed());
        assert!(faults.remove(1));
        assert!(!faults.armed() && !faults.remove(1));
    }

    #[test]
    fn a_fault_for_a_command_that_is_none_is_refused() {
        let fault = r#"{"command": "submit", "fault": {"kind": "drop"}}"#;
        let fault = serde_json::from_str(fault).unwrap();
        assert!(Faults::new(1).add(fault).is_err());
    }
}
