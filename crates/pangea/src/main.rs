//! The `pangea` program; see `pangea::cli`.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Requests and simulated events are made of many short-lived small values.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    pangea::guard::install();
    pangea::cli::main()
}
