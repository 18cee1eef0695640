//! What the simulator is started with.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

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
    /// With a certificate, the SMPP port speaks TLS only.
    pub tls: Option<Certificate>,
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
}

/// One ESME that may bind, written `system_id:password`.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// 1 to 15 octets (SMPP 3.4 §5.2.1).
    pub system_id: String,
    /// 0 to 8 octets (SMPP 3.4 §5.2.2).
    pub password: String,
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
        if !(1..=15).contains(&system_id.len()) {
            return Err(AccountError::SystemId);
        }
        if password.len() > 8 {
            return Err(AccountError::Password);
        }
        Ok(Self {
            system_id: system_id.to_owned(),
            password: password.to_owned(),
        })
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
