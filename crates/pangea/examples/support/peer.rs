//! dynoxide, another server of the same API: an emulator with SQLite inside, in memory here.
//!
//! `cargo xtask bench` installs it (MIT or Apache-2.0, crate `dynoxide-rs`) and names it with
//! `--dynoxide`; without that it is left out.

use std::path::PathBuf;

use super::process::{Process, Server};
use super::{Directory, free, option, progress};

/// Starts it, if it is there. Its log goes to `directory`.
pub(crate) fn start(arguments: &[String], directory: &Directory) -> anyhow::Result<Option<Server>> {
    let program: PathBuf = option(arguments, "--dynoxide", PathBuf::new())?;
    if program.as_os_str().is_empty() {
        progress("dynoxide is not measured: --dynoxide names no program");
        return Ok(None);
    }
    let (address, log) = (free()?, directory.path().join("dynoxide.log"));
    let arguments = ["--host", "127.0.0.1", "--port", &address.port().to_string()];
    let arguments = arguments.map(str::to_owned);
    let process = Process::start(&program, &arguments, Some(&log))?.listening(address)?;
    Ok(Some(Server { process, address }))
}
