//! The command line.

mod admin;
mod check;
mod limits;
mod registration;
mod run;
mod store;
mod submission;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use matrix_smpp_config::{ProcessEnv, Settings};

/// An SMS gateway that speaks SMPP natively and has Matrix as its front.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    /// The configuration file.
    #[arg(
        long,
        short,
        global = true,
        default_value = "/etc/matrix-smpp/config.toml"
    )]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway.
    Run,
    /// Check the configuration; every mistake is printed with its line and its mend.
    Check,
    /// Print a commented example configuration.
    Example,
    /// Write the registration that the homeserver needs, or new tokens for the configuration.
    Registration(registration::Registration),
    /// Credit of Matrix users.
    #[command(subcommand)]
    Credit(admin::Credit),
    /// Numbers: who leases what, and who owns what.
    #[command(subcommand)]
    Lease(admin::Lease),
    /// Phones that want no more texts.
    #[command(subcommand)]
    OptOut(admin::OptOut),
    /// What the limits against pumped traffic refuse.
    #[command(subcommand)]
    Limits(limits::Limits),
    /// What could not be handled and was set aside.
    #[command(subcommand)]
    Queue(admin::Queue),
    /// What the store lies in.
    #[command(subcommand)]
    Store(store::Store),
    /// Tell the history of a message, by its id or by the Matrix event it came from, or of what an
    /// account submitted, by the id that it got.
    Explain {
        /// A message id or an event id.
        id: String,
    },
}

impl Cli {
    /// Does what was asked.
    #[must_use]
    pub fn execute(self) -> ExitCode {
        let done = match self.command {
            Command::Run => run::run(&self.config),
            Command::Check => check::check(&self.config),
            Command::Example => {
                say(&matrix_smpp_config::example());
                Ok(())
            }
            Command::Registration(registration) => registration.execute(&self.config),
            Command::Credit(credit) => admin::credit(&self.config, credit),
            Command::Lease(lease) => admin::lease(&self.config, lease),
            Command::OptOut(opt_out) => admin::opt_out(&self.config, opt_out),
            Command::Limits(limits) => limits::limits(&self.config, limits),
            Command::Queue(queue) => admin::queue(&self.config, queue),
            Command::Store(store) => store::execute(&self.config, &store),
            Command::Explain { id } => admin::explain(&self.config, id),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                complain(&failure.words);
                failure.code
            }
        }
    }
}

/// The exit code that means a mistake in the configuration (`EX_CONFIG` of sysexits): the service
/// manager need not try again.
const EX_CONFIG: u8 = 78;

/// Why a command failed, for the person who gave it.
#[derive(Debug)]
struct Failure {
    words: String,
    code: ExitCode,
}

impl Failure {
    fn new(words: impl Into<String>) -> Self {
        Self {
            words: words.into(),
            code: ExitCode::FAILURE,
        }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error.to_string())
    }
}

fn settings(path: &Path) -> Result<Settings, Failure> {
    matrix_smpp_config::load(path, &ProcessEnv).map_err(|mistakes| Failure {
        words: mistakes.to_string(),
        code: ExitCode::from(EX_CONFIG),
    })
}

#[expect(clippy::print_stdout, reason = "the output of a command")]
fn say(words: &str) {
    print!("{words}");
    if !words.ends_with('\n') {
        println!();
    }
}

fn complain(words: &str) {
    use std::io::Write as _;
    // A terminal that cannot be written to cannot be told so either.
    drop(writeln!(std::io::stderr(), "matrix-smpp: {words}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn every_command_of_the_manual_is_understood() {
        for line in [
            "matrix-smpp run",
            "matrix-smpp --config gw.toml check",
            "matrix-smpp check -c gw.toml",
            "matrix-smpp example",
            "matrix-smpp credit top-up @alice:example.org 1.50",
            "matrix-smpp credit top-up @alice:example.org -0.5 --key refund-7",
            "matrix-smpp credit balance @alice:example.org",
            "matrix-smpp credit limit @alice:example.org 5",
            "matrix-smpp credit list",
            "matrix-smpp credit audit",
            "matrix-smpp lease list",
            "matrix-smpp lease pools",
            "matrix-smpp lease release 447700900900 447700900123",
            "matrix-smpp lease dedicate 447700900999 @alice:example.org",
            "matrix-smpp lease undedicate 447700900999",
            "matrix-smpp lease dedicated",
            "matrix-smpp limits list",
            "matrix-smpp limits clear spend_per_day @alice:example.org",
            "matrix-smpp limits clear new_phones_per_prefix 44770090",
            "matrix-smpp explain $event",
            "matrix-smpp queue list",
            "matrix-smpp queue retry e17",
            "matrix-smpp queue drop o17",
            "matrix-smpp store migrate --to redis",
            "matrix-smpp store migrate --to sqlite",
        ] {
            if let Err(error) = parsed(line) {
                panic!("{line}: {error}");
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_before_anything_is_done() {
        for line in [
            "matrix-smpp",
            "matrix-smpp dance",
            "matrix-smpp credit top-up alice 1",
            "matrix-smpp credit top-up @alice:example.org lots",
            "matrix-smpp credit top-up @alice:example.org 0.0000001",
            "matrix-smpp lease release +447700900900 447700900123",
            "matrix-smpp limits clear",
            "matrix-smpp limits clear invites_per_hour 44770090",
            "matrix-smpp explain",
            "matrix-smpp queue retry",
            "matrix-smpp queue drop 17",
            "matrix-smpp store migrate",
            "matrix-smpp store migrate --to paper",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
