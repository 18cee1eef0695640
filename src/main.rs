//! The `matrix-smpp` program.

use std::process::ExitCode;

use clap::Parser as _;
use matrix_smpp::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().execute()
}
