//! `matrix-smpp store …`: what the store lies in.

use std::path::Path;

use clap::{Subcommand, ValueEnum};
use matrix_smpp_config::{Engine, Money};

use super::admin::belongs_to_us;
use super::{Failure, complain, say, settings};
use crate::store::{self, Moved};

/// `matrix-smpp store …`
#[derive(Debug, Subcommand)]
pub(super) enum Store {
    /// Move everything between SQLite and Redis while no gateway runs. Repeat it where it was
    /// interrupted; it goes on from there.
    Migrate {
        /// Where to. It comes from the other one; the configuration says where both are.
        #[arg(long)]
        to: To,
    },
}

/// An engine.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum To {
    /// The file of `store.path`.
    Sqlite,
    /// The Redis of `[store.redis]`.
    Redis,
}

pub(super) fn execute(config: &Path, command: &Store) -> Result<(), Failure> {
    let Store::Migrate { to } = *command;
    let settings = settings(config)?;
    belongs_to_us(&settings.store.path)?;
    let to = match to {
        To::Sqlite => Engine::Sqlite,
        To::Redis => Engine::Redis,
    };
    let moved = store::migrate(&settings, to, &mut complain)?;
    say(&summary(&moved, &settings.gateway.currency));
    let engine = to.word();
    say(&if settings.store.engine == to {
        format!("store.engine is \"{engine}\" already: the gateway may start")
    } else {
        format!("now set store.engine = \"{engine}\" and start the gateway")
    });
    Ok(())
}

fn summary(moved: &Moved, currency: &str) -> String {
    let amount = |micros: i128| match i64::try_from(micros).ok().and_then(Money::from_micros) {
        Some(money) => format!("{money} {currency}"),
        None => format!("{micros} millionths of {currency}"),
    };
    format!(
        "{} rows are the same on both sides; {} accounts agree with the ledger: balance {}, \
         reserved {}, spent {}, paid in {}",
        moved.rows,
        moved.accounts,
        amount(moved.balance),
        amount(moved.reserved),
        amount(moved.settled),
        amount(moved.top_ups)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_tells_the_sums() {
        let moved = Moved {
            rows: 7,
            accounts: 2,
            balance: 1_500_000,
            reserved: 0,
            settled: 250_000,
            top_ups: i128::MAX,
        };
        let summary = summary(&moved, "EUR");
        assert!(summary.starts_with("7 rows"), "{summary}");
        assert!(summary.contains("spent 0.25"), "{summary}");
        assert!(summary.contains("millionths of EUR"), "{summary}");
    }
}
