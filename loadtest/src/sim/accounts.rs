//! Who may bind, how often, and how fast they may go.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use matrix_smpp_codec::CommandStatus;
use matrix_smpp_session::{BindMode, BindRequest};

use crate::sim::settings::{Account, Limits};

/// Of how many accounts that nobody named the simulator remembers what they do.
const MAX_STRANGERS: usize = 100_000;

/// The accounts. Without any, everybody is one.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    named: HashMap<String, Account>,
    active: HashMap<String, Active>,
}

#[derive(Debug, Default)]
struct Active {
    binds: usize,
    /// After a lost link, when it may bind again.
    held_until: Option<Instant>,
    bucket: Option<Bucket>,
}

/// Requests that may still come, refilled by time.
#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Accounts {
    pub(crate) fn new(accounts: Vec<Account>) -> Self {
        let named = accounts.into_iter();
        Self {
            named: named
                .map(|account| (account.system_id.clone(), account))
                .collect(),
            active: HashMap::new(),
        }
    }

    /// Whether this ESME may bind; if so, it has.
    pub(crate) fn bind(
        &mut self,
        now: Instant,
        request: &BindRequest,
    ) -> Result<(), CommandStatus> {
        let system_id = request.system_id.to_text();
        let limits = self.admit(&system_id, request)?;
        if !limits.modes.is_empty() && !limits.modes.iter().any(|mode| mode.is(request.mode)) {
            return Err(CommandStatus::ESME_RBINDFAIL);
        }
        if self.active.len() >= MAX_STRANGERS {
            self.active.retain(|_, active| active.binds > 0);
        }
        let active = self.active.entry(system_id).or_default();
        let full = limits.max_binds.is_some_and(|most| active.binds >= most);
        if full || active.held_until.is_some_and(|until| now < until) {
            return Err(CommandStatus::ESME_RALYBND);
        }
        active.held_until = None;
        active.binds += 1;
        Ok(())
    }

    /// A bind is over. After a lost link its account is held for a while.
    pub(crate) fn unbind(&mut self, now: Instant, system_id: &str, hold: Option<Duration>) {
        if let Some(active) = self.active.get_mut(system_id) {
            active.binds = active.binds.saturating_sub(1);
            active.held_until = hold.map(|hold| now + hold);
        }
    }

    /// The limits of an account.
    pub(crate) fn limits(&self, system_id: &str) -> Limits {
        let account = self.named.get(system_id);
        account
            .map(|account| account.limits.clone())
            .unwrap_or_default()
    }

    /// Whether one more message of this account is too many: over its rate, or over its window with
    /// so many that wait for their answers.
    pub(crate) fn exceeds(
        &mut self,
        now: Instant,
        system_id: &str,
        outstanding: usize,
    ) -> Option<CommandStatus> {
        let limits = &self.named.get(system_id)?.limits;
        if limits.window.is_some_and(|window| outstanding >= window) {
            return Some(CommandStatus::ESME_RMSGQFUL);
        }
        let rate = limits.rate?;
        let active = self.active.entry(system_id.to_owned()).or_default();
        let bucket = active.bucket.get_or_insert_with(|| Bucket {
            tokens: f64::from(rate),
            at: now,
        });
        (!bucket.take(now, f64::from(rate))).then_some(CommandStatus::ESME_RTHROTTLED)
    }

    fn admit(&self, system_id: &str, request: &BindRequest) -> Result<Limits, CommandStatus> {
        if self.named.is_empty() {
            return Ok(Limits::default());
        }
        let account = self.named.get(system_id);
        let account = account.ok_or(CommandStatus::ESME_RINVSYSID)?;
        if account.password.as_bytes() != request.password.as_bytes() {
            return Err(CommandStatus::ESME_RINVPASWD);
        }
        Ok(account.limits.clone())
    }
}

impl Bucket {
    /// Takes one, if there is one. At most one second's worth gathers.
    fn take(&mut self, now: Instant, rate: f64) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.tokens = passed.mul_add(rate, self.tokens).min(rate.max(1.0));
        let there = self.tokens >= 1.0;
        if there {
            self.tokens -= 1.0;
        }
        there
    }
}

/// How an account may bind, as people write it.
impl crate::sim::settings::Mode {
    fn is(self, mode: BindMode) -> bool {
        matches!(
            (self, mode),
            (Self::Transmitter, BindMode::Transmitter)
                | (Self::Receiver, BindMode::Receiver)
                | (Self::Transceiver, BindMode::Transceiver)
        )
    }
}

#[cfg(test)]
mod tests {
    use matrix_smpp_codec::{COctets, InterfaceVersion, Npi, Ton};

    use super::*;
    use crate::sim::clock::Now;
    use crate::sim::settings::Mode;

    fn request(system_id: &str, password: &str, mode: BindMode) -> BindRequest {
        BindRequest {
            address: "127.0.0.1:40000".parse().unwrap(),
            mode,
            system_id: system_id.parse().unwrap(),
            password: password.parse().unwrap(),
            system_type: COctets::default(),
            interface_version: InterfaceVersion::V3_4,
            addr_ton: Ton::UNKNOWN,
            addr_npi: Npi::UNKNOWN,
            address_range: COctets::default(),
            certificate_names: Vec::new(),
        }
    }

    fn accounts(limits: Limits) -> Accounts {
        let account: Account = "gateway:secret".parse().unwrap();
        Accounts::new(vec![Account { limits, ..account }])
    }

    #[test]
    fn an_account_binds_with_its_password_as_often_and_as_it_may() {
        let mut accounts = accounts(Limits {
            max_binds: Some(1),
            modes: vec![Mode::Transceiver],
            ..Limits::default()
        });
        let now = Now::read().instant;
        let mut bind = |id, password, mode| accounts.bind(now, &request(id, password, mode));
        let trx = BindMode::Transceiver;
        assert_eq!(bind("a", "secret", trx), Err(CommandStatus::ESME_RINVSYSID));
        let wrong = bind("gateway", "wrong", trx);
        assert_eq!(wrong, Err(CommandStatus::ESME_RINVPASWD));
        let mode = bind("gateway", "secret", BindMode::Receiver);
        assert_eq!(mode, Err(CommandStatus::ESME_RBINDFAIL));
        assert_eq!(bind("gateway", "secret", trx), Ok(()));
        let second = bind("gateway", "secret", trx);
        assert_eq!(second, Err(CommandStatus::ESME_RALYBND));
    }

    #[test]
    fn an_account_is_held_after_a_lost_link() {
        let mut accounts = Accounts::default();
        let now = Now::read().instant;
        let request = request("anybody", "x", BindMode::Transceiver);
        accounts.bind(now, &request).unwrap();
        accounts.unbind(now, "anybody", Some(Duration::from_secs(5)));
        let held = accounts.bind(now + Duration::from_secs(4), &request);
        assert_eq!(held, Err(CommandStatus::ESME_RALYBND));
        assert_eq!(
            accounts.bind(now + Duration::from_secs(5), &request),
            Ok(())
        );
    }

    #[test]
    fn a_rate_and_a_window_are_kept() {
        let mut accounts = accounts(Limits {
            rate: Some(10),
            window: Some(5),
            ..Limits::default()
        });
        let now = Now::read().instant;
        let full = accounts.exceeds(now, "gateway", 5);
        assert_eq!(full, Some(CommandStatus::ESME_RMSGQFUL));
        let taken = (0..20)
            .filter(|_| accounts.exceeds(now, "gateway", 0).is_none())
            .count();
        assert_eq!(taken, 10);
        let later = now + Duration::from_millis(250);
        let taken = (0..20)
            .filter(|_| accounts.exceeds(later, "gateway", 0).is_none())
            .count();
        assert_eq!(taken, 2);
    }
}
