//! Where one connection asks to bind, and leaves.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use matrix_smpp_codec::CommandStatus;
use matrix_smpp_session::{Admission, Authenticator, BindRequest, CloseReason};
use tokio::time::sleep;

use crate::sim::clock::Now;
use crate::sim::rules::Asked;
use crate::sim::smsc::Smsc;

/// One connection at the door.
pub(crate) struct Door {
    smsc: Arc<Smsc>,
    /// Who was let in here.
    seat: Mutex<Option<String>>,
}

impl Door {
    pub(crate) const fn new(smsc: Arc<Smsc>) -> Self {
        Self {
            smsc,
            seat: Mutex::new(None),
        }
    }

    /// The bind is over; one that ended without unbind may hold its account for a while.
    pub(crate) fn leave(&self, reason: Option<CloseReason>) {
        let seat = self
            .seat
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(system_id) = seat else {
            return;
        };
        let orderly = [
            CloseReason::PeerUnbound,
            CloseReason::WeClosed,
            CloseReason::Inactive,
        ];
        let lost = !reason.is_some_and(|reason| orderly.contains(&reason));
        let mut model = self.smsc.model();
        let hold = model.script.binds.hold_after_drop.filter(|_| lost);
        let now = Now::read().instant;
        model
            .accounts
            .unbind(now, &system_id, hold.map(|hold| hold.0));
    }

    /// What the rules and the accounts say, and how long it takes to say it.
    fn judge(&self, request: &BindRequest) -> (Result<(), CommandStatus>, Duration) {
        let system_id = request.system_id.to_text();
        let mut model = self.smsc.model();
        let asked = Asked {
            command: request.mode.request(),
            to: "",
            from: "",
            account: &system_id,
            bind: 0,
            text: &String::new,
        };
        let then = model.decide_other(&asked).unwrap_or_default();
        let latency = then.latency.as_ref();
        let delay = latency.map(|latency| latency.draw(model.ids.dice()));
        let verdict = match then.status.map(|status| status.0) {
            Some(status) if !status.is_ok() => Err(status),
            _ => model.accounts.bind(Now::read().instant, request),
        };
        if verdict.is_ok() {
            let mut seat = self.seat.lock().unwrap_or_else(PoisonError::into_inner);
            *seat = Some(system_id);
        }
        (verdict, delay.unwrap_or_default())
    }
}

impl Authenticator for Door {
    async fn authenticate(&self, request: BindRequest) -> Result<Admission, CommandStatus> {
        let (verdict, delay) = self.judge(&request);
        if verdict.is_err() {
            self.smsc.refused(request.mode.request());
        }
        if !delay.is_zero() {
            sleep(delay).await;
        }
        verdict.map(Admission::from)
    }
}

/// A connection that was let in and never came to be a bind.
impl Drop for Door {
    fn drop(&mut self) {
        self.leave(None);
    }
}
