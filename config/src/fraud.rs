//! `[fraud]`: limits against pumped traffic.

use std::time::Duration;

use crate::check::{lasts, within};
use crate::money::Money;
use crate::read::Mend;
use crate::section::section;

section! {
    /// Limits against pumped traffic (artificially inflated traffic, AIT): somebody has a script text
    /// many numbers of an expensive range and gets a share of what each text costs. What goes over a
    /// limit is refused before it costs anything, and the room is told why and when it may go again.
    /// Each limit is off until it is set, because the right one depends on who writes here: among
    /// people whom you know none is needed, and one that is too low holds honest texts back. Where
    /// strangers can get an account, set all three, such as in the examples. They may be read again
    /// while the gateway runs. Days are the last 24 hours, not days of the calendar: around midnight
    /// two allowances of the calendar could be used at once.
    pub struct Fraud, raw RawFraud {
        /// How much one Matrix ID may spend within 24 hours. What is refunded later counts too. This
        /// is the bound of what a stolen account costs.
        spend_per_day: Option<Money> = optional("\"20\""), check some_money;
        /// With how many new phones one Matrix ID may begin within 24 hours: phones with which it
        /// has no conversation. 1 to 1000000.
        new_phones_per_day: Option<u32> = optional("50"), check within(1..=1_000_000);
        /// How many new phones whose numbers differ in their last digits alone all Matrix IDs
        /// together may text within `prefix_window`: phones that have not texted us within the last
        /// year and that nobody here is in a conversation with. 1 to 1000000.
        new_phones_per_prefix: Option<u32> = optional("20"), check within(1..=1_000_000);
        /// The time over which new phones of a prefix are counted. 1m to 7d.
        prefix_window: Duration = default("\"1h\""), check lasts("1m", "7d");
        /// How many of a number's last digits its prefix is without: 4 makes 10000 neighbours one
        /// prefix. 1 to 8.
        prefix_digits: usize = default("4"), check within(1..=8);
    }
}

impl Fraud {
    /// True where any limit is set.
    #[must_use]
    pub const fn is_limited(&self) -> bool {
        self.spend_per_day.is_some()
            || self.new_phones_per_day.is_some()
            || self.new_phones_per_prefix.is_some()
    }
}

/// No limits.
impl Default for Fraud {
    fn default() -> Self {
        Self {
            spend_per_day: None,
            new_phones_per_day: None,
            new_phones_per_prefix: None,
            prefix_window: Duration::from_hours(1),
            prefix_digits: 4,
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "checks are called with a reference to the value, as all of them"
)]
fn some_money(amount: &Money) -> Mend {
    if *amount <= Money::ZERO {
        return Err(format!(
            "is {amount}; write more than 0, or remove it for no limit"
        ));
    }
    Ok(())
}
