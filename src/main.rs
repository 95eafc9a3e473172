//! The entry: reads the command line and leaves the rest to the library.

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use shardloom::cli::Cli;

/// Frees and reuses small buffers across threads faster than the system's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    Cli::parse().run()
}
