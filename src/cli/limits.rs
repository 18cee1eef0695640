//! `matrix-smpp limits …`: what the limits against pumped traffic refuse.

use std::path::Path;

use clap::Subcommand;
use matrix_smpp_config::Money;

use super::Failure;
use super::admin::tell;
use crate::gateway::limits::Limit;
use crate::ops::admin::{LimitLine, Request, utc};

/// `matrix-smpp limits …`
#[derive(Debug, Subcommand)]
pub(super) enum Limits {
    /// Show what the limits of [fraud] have refused lately: which limit, of which Matrix ID or prefix of
    /// numbers, how much counts now, what is allowed, since when.
    List,
    /// Have a limit start anew for a Matrix ID or a prefix, as if nothing had been sent.
    Clear {
        /// Its key in [fraud], such as `spend_per_day`.
        limit: Limit,
        /// A full Matrix ID, or the digits of a prefix, as they are listed.
        whose: String,
    },
}

pub(super) fn limits(config: &Path, limits: Limits) -> Result<(), Failure> {
    let request = match limits {
        Limits::List => Request::Limits,
        Limits::Clear { limit, whose } => Request::ClearLimit { limit, whose },
    };
    tell(config, request)
}

pub(super) fn line(line: &LimitLine, currency: &str) -> String {
    let shown = |count: i64| match line.limit {
        Limit::SpendPerDay => {
            let money = Money::from_micros(count).unwrap_or(Money::MAX);
            format!("{money} {currency}")
        }
        Limit::NewPhonesPerDay | Limit::NewPhonesPerPrefix => format!("{count} new phones"),
    };
    let most = line.most.map_or_else(
        || "no limit now".to_owned(),
        |most| format!("of {}", shown(most)),
    );
    format!(
        "{}  {}  {}  {most}  refuses since {}",
        line.limit,
        line.whose,
        shown(line.used),
        utc(line.since)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::Timestamp;

    #[test]
    fn a_limits_line_tells_what_counts_and_what_is_allowed() {
        let spent = LimitLine {
            limit: Limit::SpendPerDay,
            whose: "@alice:example.org".to_owned(),
            used: 19_950_000,
            most: Some(20_000_000),
            since: Timestamp(0),
        };
        assert_eq!(
            line(&spent, "EUR"),
            "spend_per_day  @alice:example.org  19.95 EUR  of 20 EUR  refuses since \
             1970-01-01T00:00:00Z"
        );
        let texted = LimitLine {
            limit: Limit::NewPhonesPerPrefix,
            whose: "44770090".to_owned(),
            used: 50,
            most: None,
            since: Timestamp(0),
        };
        assert!(line(&texted, "EUR").contains("44770090  50 new phones  no limit now"));
    }
}
