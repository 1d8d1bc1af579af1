//! The `pangea` program; see `pangea::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    pangea::cli::main()
}
