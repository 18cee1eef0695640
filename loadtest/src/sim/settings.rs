//! What the simulator is started with.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::sim::conventions::Conventions;
use crate::sim::records::MESSAGES_KEPT;
use crate::sim::scenario::Scenario;

/// How to start a simulator. The default is the zero-config start, on free loopback ports.
#[derive(Debug, Clone)]
pub struct SimSettings {
    /// Where ESMEs bind; port 0 takes a free one.
    pub smpp: SocketAddr,
    /// Where the page and the API are; port 0 takes a free one.
    pub http: SocketAddr,
    /// Who may bind. Empty: anybody with any password.
    pub accounts: Vec<Account>,
    /// From the acceptance of a message to its receipt, until `POST /behaviour` says otherwise.
    pub receipt_delay: Duration,
    /// Decides message ids, references and shuffles. `None` takes a new one, so that a simulator that
    /// was restarted does not give its old message ids to new messages.
    pub seed: Option<u64>,
    /// With a certificate, the SMPP port speaks TLS only; or `smpp_tls` does, where there is one.
    pub tls: Option<Certificate>,
    /// A second SMPP port that speaks TLS, beside the plain one.
    pub smpp_tls: Option<SocketAddr>,
    /// Whose conventions about numbers hold; those of the scenario, unless there are others here.
    pub conventions: Conventions,
    /// How many messages are remembered.
    pub keep: usize,
    /// How many octets of traffic are kept for `GET /capture.pcapng`; 0 for none.
    pub capture: usize,
    /// Everything else.
    pub scenario: Scenario,
}

impl Default for SimSettings {
    fn default() -> Self {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            smpp: any_port,
            http: any_port,
            accounts: Vec::new(),
            receipt_delay: Duration::from_millis(500),
            seed: None,
            tls: None,
            smpp_tls: None,
            conventions: Conventions::None,
            keep: MESSAGES_KEPT,
            capture: 16 << 20,
            scenario: Scenario::default(),
        }
    }
}

/// The files of a TLS server, both PEM.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The chain, leaf first.
    pub chain: PathBuf,
    /// The private key of the leaf.
    pub key: PathBuf,
    /// Who signs the certificates that ESMEs must show; without it, they need none.
    pub client_ca: Option<PathBuf>,
}

/// One ESME that may bind, written `system_id:password`, or as a table with its limits.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "AccountTable")]
pub struct Account {
    /// 1 to 15 octets (SMPP 3.4 §5.2.1).
    pub system_id: String,
    /// 0 to 8 octets (SMPP 3.4 §5.2.2).
    pub password: String,
    /// What it may do; without a word, anything.
    pub limits: Limits,
}

/// What an account may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// How it may bind; empty is in any way.
    pub modes: Vec<Mode>,
    /// How many binds it may have at once; one more gets `ESME_RALYBND`.
    pub max_binds: Option<usize>,
    /// How many of its requests may wait for their answers on one bind; one more gets
    /// `ESME_RMSGQFUL`.
    pub window: Option<usize>,
    /// Messages per second; one more gets `ESME_RTHROTTLED`.
    pub rate: Option<u32>,
    /// How many `deliver_sm` may wait for its answers on one bind; otherwise 1000.
    pub deliver_window: Option<usize>,
    /// `deliver_sm` per second on one bind.
    pub deliver_rate: Option<NonZeroU32>,
}

/// How an account may bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// `bind_transmitter`.
    Transmitter,
    /// `bind_receiver`.
    Receiver,
    /// `bind_transceiver`.
    Transceiver,
}

/// An account in a scenario.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountTable {
    system_id: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    modes: Vec<Mode>,
    max_binds: Option<usize>,
    window: Option<usize>,
    rate: Option<u32>,
    deliver_window: Option<usize>,
    deliver_rate: Option<NonZeroU32>,
}

impl TryFrom<AccountTable> for Account {
    type Error = AccountError;

    fn try_from(table: AccountTable) -> Result<Self, AccountError> {
        let account = Self::new(&table.system_id, &table.password)?;
        Ok(Self {
            limits: Limits {
                modes: table.modes,
                max_binds: table.max_binds,
                window: table.window,
                rate: table.rate,
                deliver_window: table.deliver_window,
                deliver_rate: table.deliver_rate,
            },
            ..account
        })
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("system_id", &self.system_id)
            .finish_non_exhaustive()
    }
}

/// Why a text is no account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// The separator is missing.
    #[error("write it as system_id:password")]
    NoColon,
    /// Empty, or more than a bind PDU can carry.
    #[error("a system_id has 1 to 15 octets")]
    SystemId,
    /// More than a bind PDU can carry.
    #[error("a password has at most 8 octets")]
    Password,
}

impl FromStr for Account {
    type Err = AccountError;

    fn from_str(text: &str) -> Result<Self, AccountError> {
        let (system_id, password) = text.split_once(':').ok_or(AccountError::NoColon)?;
        Self::new(system_id, password)
    }
}

impl Account {
    fn new(system_id: &str, password: &str) -> Result<Self, AccountError> {
        if !(1..=15).contains(&system_id.len()) {
            return Err(AccountError::SystemId);
        }
        if password.len() > 8 {
            return Err(AccountError::Password);
        }
        Ok(Self {
            system_id: system_id.to_owned(),
            password: password.to_owned(),
            limits: Limits::default(),
        })
    }

    /// Whether none of the others has its name.
    pub(crate) fn is_new<'a>(
        &self,
        mut others: impl Iterator<Item = &'a Self>,
    ) -> Result<(), String> {
        if others.any(|other| other.system_id == self.system_id) {
            return Err(format!("there is an account {} already", self.system_id));
        }
        Ok(())
    }

    /// Whether its limits make sense, or what does not.
    pub(crate) fn check(&self) -> Result<(), String> {
        let zero = [
            self.limits.max_binds == Some(0),
            self.limits.window == Some(0),
            self.limits.rate == Some(0),
            self.limits.deliver_window == Some(0),
        ];
        if zero.contains(&true) {
            return Err("limits count from 1".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_an_id_and_a_password_that_may_hold_colons() {
        let account: Account = "gateway:se:cret".parse().unwrap();
        assert_eq!(account.system_id, "gateway");
        assert_eq!(account.password, "se:cret");
        assert_eq!("gateway".parse::<Account>(), Err(AccountError::NoColon));
        assert_eq!(":secret".parse::<Account>(), Err(AccountError::SystemId));
        assert_eq!(
            "gateway:ninechars".parse::<Account>(),
            Err(AccountError::Password)
        );
    }

    #[test]
    fn the_password_is_never_printed() {
        let account: Account = "gateway:secret".parse().unwrap();
        assert!(!format!("{account:?}").contains("secret"));
    }
}
