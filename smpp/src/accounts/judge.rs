//! Whether a bind is granted.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use matrix_smpp_codec::{CommandStatus, Password, Quirks};
use subtle::{Choice, ConstantTimeEq};

use super::{Account, Accounts, Admission, PeerLimits, Seat, State, Taken};
use crate::clock;
use crate::server::{Authenticator, BindRequest};

impl Authenticator for Accounts {
    async fn authenticate(&self, request: BindRequest) -> Result<Admission, CommandStatus> {
        let asked = clock::now();
        let verdict = self.judge(&request, asked);
        if verdict.is_err() {
            let after = asked + self.shared.settings.refusal_after;
            tokio::time::sleep_until(after.into()).await;
        }
        verdict
    }

    fn quirks(&self) -> Option<Quirks> {
        Some(self.all_quirks())
    }
}

impl Accounts {
    pub(super) fn judge(
        &self,
        request: &BindRequest,
        now: Instant,
    ) -> Result<Admission, CommandStatus> {
        let mut state = self.shared.lock();
        let address = request.address.ip();
        if !state.refusals.listens(address, now) {
            state.refusals.note(address, now);
            return Err(CommandStatus::ESME_RINVPASWD);
        }
        let known = state.accounts.get(&request.system_id);
        let genuine = is_genuine(known.map(|entry| &entry.account), request);
        if !genuine {
            state.refusals.note(address, now);
            return Err(CommandStatus::ESME_RINVPASWD);
        }
        let (number, limits) = state.seat(request, self.shared.settings.patience)?;
        let known = state.accounts.get(&request.system_id);
        Ok(Admission {
            limits: Some(limits),
            quirks: known.map(|entry| entry.account.quirks),
            seat: Some(Seat {
                shared: Arc::clone(&self.shared),
                system_id: request.system_id,
                number,
            }),
        })
    }
}

impl State {
    fn seat(
        &mut self,
        request: &BindRequest,
        patience: Duration,
    ) -> Result<(u64, PeerLimits), CommandStatus> {
        let entry = self
            .accounts
            .get_mut(&request.system_id)
            .ok_or(CommandStatus::ESME_RINVPASWD)?;
        if !entry.account.modes.contains(&request.mode) {
            return Err(CommandStatus::ESME_RBINDFAIL);
        }
        if entry.seats.len() >= entry.account.max_binds {
            for link in entry.seats.iter().filter_map(|taken| taken.link.as_ref()) {
                link.probe(patience);
            }
            return Err(CommandStatus::ESME_RALYBND);
        }
        self.next_seat += 1;
        entry.seats.push(Taken {
            seat: self.next_seat,
            mode: request.mode,
            address: request.address,
            link: None,
        });
        Ok((self.next_seat, entry.limits()))
    }
}

impl Account {
    pub(super) fn lies_within(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.is_empty() || self.networks.iter().any(|net| net.contains(&address))
    }

    fn is_named(&self, names: &[String]) -> bool {
        self.certificate
            .as_ref()
            .is_none_or(|wanted| names.iter().any(|name| name.eq_ignore_ascii_case(wanted)))
    }
}

/// Looks at everything in any case: an account that does not exist has a password that fits nothing.
fn is_genuine(account: Option<&Account>, request: &BindRequest) -> bool {
    let nobody = Account::default();
    let known = Choice::from(u8::from(account.is_some()));
    let account = account.unwrap_or(&nobody);
    let provable = account.password.is_some() || account.certificate.is_some();
    let wanted = account.password.unwrap_or_default();
    let no_password = Choice::from(u8::from(account.password.is_none()));
    let password = padded(&wanted).ct_eq(&padded(&request.password)) | no_password;
    let named = Choice::from(u8::from(account.is_named(&request.certificate_names)));
    let near = Choice::from(u8::from(account.lies_within(request.address.ip())));
    let provable = Choice::from(u8::from(provable));
    (known & provable & password & named & near).into()
}

/// The password with its length, always as long.
fn padded(password: &Password) -> [u8; 10] {
    let mut padded = [0; 10];
    for (to, from) in padded.iter_mut().zip(password.as_bytes()) {
        *to = *from;
    }
    let [.., length] = &mut padded;
    *length = u8::try_from(password.as_bytes().len()).unwrap_or(u8::MAX);
    padded
}
