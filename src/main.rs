//! The `matrix-smpp` program.

use std::process::ExitCode;

use clap::Parser as _;
use matrix_smpp::cli::Cli;
use mimalloc::MiMalloc;

/// What one thread makes another one drops, with every message: the system's allocator has its threads
/// wait for each other there.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    Cli::parse().execute()
}
