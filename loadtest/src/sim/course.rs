//! When things happen to one message, and how it ends.

use std::borrow::Cow;
use std::time::Duration;

use matrix_smpp_codec::COctets;
use matrix_smpp_codec::CommandStatus;
use matrix_smpp_codec::time::{Time, TimeError};

use crate::sim::clock::Now;
use crate::sim::fate::Fate;
use crate::sim::receipts::Form;

/// What is to happen to one message. Moments are in milliseconds since 1970 (UTC).
#[derive(Debug, Clone)]
pub(crate) struct Course {
    /// How it ends, unless it expires before.
    pub(crate) fate: Fate,
    /// The network's error in its receipt, of that end.
    pub(crate) error: Cow<'static, str>,
    /// When it was scheduled for; none for at once.
    pub(crate) scheduled_at: Option<u64>,
    /// When it expires.
    pub(crate) expires_at: Option<u64>,
    /// When it came.
    pub(crate) came_at: u64,
    /// From its delivery to its end.
    pub(crate) delay: Duration,
    pub(crate) form: Form,
}

/// How and when a message ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) fate: Fate,
    /// The network's error in the receipt.
    pub(crate) error: Cow<'static, str>,
    /// In milliseconds since 1970 (UTC).
    pub(crate) at: u64,
}

/// The moments that an ESME asks for; none where it leaves a field empty.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Times {
    pub(crate) scheduled_at: Option<u64>,
    pub(crate) expires_at: Option<u64>,
}

impl Times {
    /// Reads `schedule_delivery_time` and `validity_period` (SMPP 3.4 §7.1.1).
    pub(crate) fn of(
        now: Now,
        schedule: &COctets<17>,
        validity: &COctets<17>,
    ) -> Result<Self, CommandStatus> {
        let scheduled_at = moment(now, schedule).map_err(|_| CommandStatus::ESME_RINVSCHED)?;
        let expires_at = moment(now, validity).map_err(|_| CommandStatus::ESME_RINVEXPIRY)?;
        Ok(Self {
            scheduled_at: scheduled_at.filter(|at| *at > now.unix_ms),
            expires_at,
        })
    }
}

impl Course {
    /// That of a message that came now and was not accepted.
    pub(crate) const fn none(now: Now) -> Self {
        Self {
            fate: Fate::None,
            error: Cow::Borrowed("000"),
            scheduled_at: None,
            expires_at: None,
            came_at: now.unix_ms,
            delay: Duration::ZERO,
            form: Form::Both,
        }
    }

    /// When it reaches its phone.
    pub(crate) fn delivery_at(&self) -> u64 {
        self.scheduled_at.unwrap_or(self.came_at)
    }

    /// How and when it ends.
    pub(crate) fn end(&self) -> End {
        let delay = u64::try_from(self.delay.as_millis()).unwrap_or(u64::MAX / 2);
        let at = self.delivery_at().saturating_add(delay);
        match self.expires_at {
            Some(expiry) if expiry < at => End {
                fate: Fate::Expired,
                error: Fate::Expired.error().into(),
                at: expiry,
            },
            _ => End {
                fate: self.fate,
                error: self.error.clone(),
                at,
            },
        }
    }

    /// From now to its delivery, and to its end.
    pub(crate) fn waits(&self, now: Now) -> (Duration, Duration) {
        let wait = |at: u64| Duration::from_millis(at.saturating_sub(now.unix_ms));
        let delivery = wait(self.delivery_at());
        let end = if self.end().fate == self.fate && now.unix_ms <= self.delivery_at() {
            // To less than a millisecond, where no expiry comes between.
            delivery + self.delay
        } else {
            wait(self.end().at)
        };
        (delivery, end)
    }

    /// Other moments, where some are given (SMPP 3.4 §4.10.1).
    pub(crate) fn change(&mut self, times: &Times) {
        self.scheduled_at = times.scheduled_at.or(self.scheduled_at);
        self.expires_at = times.expires_at.or(self.expires_at);
    }
}

/// The moment in this field; `None` where it is empty.
fn moment(now: Now, field: &COctets<17>) -> Result<Option<u64>, TimeError> {
    let Some(time) = Time::of(field)? else {
        return Ok(None);
    };
    let now_s = i64::try_from(now.unix_ms / 1_000).unwrap_or(i64::MAX);
    // What has gone by is out of range too.
    let seconds = u64::try_from(time.unix(now_s).saturating_sub(now_s));
    let seconds = seconds.map_err(|_| TimeError::Range)?;
    Ok(Some(
        now.unix_ms.saturating_add(seconds.saturating_mul(1_000)),
    ))
}
