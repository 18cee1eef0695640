//! Things that become due by time alone.

use crate::gateway::model::Timestamp;

/// What to look at when its time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Timer {
    /// A message may wait for receipts that are overdue.
    Receipt(i64),
    /// A segment without an answer (message, number): the end of its hold, or of its memory.
    Unanswered(i64, u8),
    /// Leases of a phone, by its handset's key, may have cooled off.
    Leases(String),
    /// An SMS may be due for which its sender has set the time.
    Sms(i64),
}

/// The key of a timer: keys stand in the order of the times.
pub(crate) fn key(at: Timestamp, timer: &Timer) -> String {
    let at = at.0.max(0);
    match timer {
        Timer::Receipt(message) => format!("{at:019}|receipt|{message}"),
        Timer::Unanswered(message, number) => format!("{at:019}|unanswered|{message}|{number}"),
        Timer::Leases(handset) => format!("{at:019}|leases|{handset}"),
        Timer::Sms(sms) => format!("{at:019}|sms|{sms}"),
    }
}

/// A key after those of all timers up to and with `now`.
pub(crate) fn end(now: Timestamp) -> String {
    format!("{:019}", now.0.saturating_add(1).max(0))
}

/// The timer of a key; `None` for one that no program of this version has written.
pub(crate) fn parse(key: &str) -> Option<Timer> {
    let (_, rest) = key.split_once('|')?;
    let (kind, what) = rest.split_once('|')?;
    Some(match kind {
        "receipt" => Timer::Receipt(what.parse().ok()?),
        "unanswered" => {
            let (message, number) = what.split_once('|')?;
            Timer::Unanswered(message.parse().ok()?, number.parse().ok()?)
        }
        "leases" => Timer::Leases(what.to_owned()),
        "sms" => Timer::Sms(what.parse().ok()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_timer_survives_its_key() {
        for timer in [
            Timer::Receipt(7),
            Timer::Unanswered(7, 2),
            Timer::Leases("=s12345".to_owned()),
            Timer::Sms(7),
        ] {
            assert_eq!(parse(&key(Timestamp(5), &timer)), Some(timer));
        }
    }

    #[test]
    fn keys_stand_in_the_order_of_the_times() {
        let at = |millis| key(Timestamp(millis), &Timer::Receipt(1));
        assert!(at(-1) < at(9) && at(9) < at(10));
        assert!(at(10) < end(Timestamp(10)) && end(Timestamp(10)) < at(11));
        assert!(at(i64::MAX) <= end(Timestamp(i64::MAX)) || at(i64::MAX) > at(11));
    }
}
