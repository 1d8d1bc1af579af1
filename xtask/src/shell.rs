//! Running programs.

use std::ffi::OsStr;
use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use crate::say;

/// Why a task cannot be done at all, in words for the user.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The root of the workspace that this run is about: cargo says which, at run time. (What was true
/// when this was compiled is another checkout's if they share a target directory.)
pub(crate) fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let package = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        package.parent().expect("xtask is in a folder of the workspace").to_owned()
    });
    &ROOT
}

/// Cargo's target directory, wherever the user put it: this program runs from it.
pub(crate) fn target() -> Result<PathBuf, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(format!("cannot tell where xtask runs from: {error}")))?;
    let profile =
        program.ancestors().find(|dir| dir.ends_with("debug") || dir.ends_with("release"));
    let target = profile.and_then(Path::parent).map(Path::to_owned);
    target.ok_or_else(|| Failure::new("run xtask through cargo: cargo xtask"))
}

/// `cargo` in the root of the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = program_in_root(program);
    command.args(arguments);
    command
}

/// `program` in the root of the workspace.
pub(crate) fn program_in_root(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// Whether it ran and ended well; its output goes where ours goes.
pub(crate) fn succeeds(command: &mut Command) -> Result<bool, Failure> {
    let status = command.stdin(Stdio::null()).status();
    status.map(|status| status.success()).map_err(|error| unstartable(command, &error))
}

/// Runs all of them side by side; whether all ended well.
pub(crate) fn all_succeed_at_once(commands: Vec<Command>) -> Result<bool, Failure> {
    let mut running = Vec::new();
    for mut command in commands {
        let child = command.stdin(Stdio::null()).spawn();
        running.push(child.map_err(|error| unstartable(&command, &error))?);
    }
    let mut all = true;
    for mut child in running {
        all &= child.wait().is_ok_and(|status| status.success());
    }
    Ok(all)
}

/// Like [`succeeds`], and shows each line of its standard output to `read`, too.
pub(crate) fn follow(command: &mut Command, mut read: impl FnMut(&str)) -> Result<bool, Failure> {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| unstartable(command, &error))?;
    let output = child.stdout.take().expect("it was asked for just above");
    for line in BufReader::new(output).split(b'\n') {
        let line = line.map_err(|error| unstartable(command, &error))?;
        let line = String::from_utf8_lossy(&line);
        say::line(&line);
        read(&line);
    }
    let status = child.wait().map_err(|error| unstartable(command, &error))?;
    Ok(status.success())
}

/// The standard output of a program that must end well.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| unstartable(command, &error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(format!("{}: {}\n{errors}", spelled(command), output.status)))
}

/// Like [`output`]; what it says to people goes where ours goes.
pub(crate) fn data(command: &mut Command) -> Result<String, Failure> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| unstartable(command, &error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Failure::new(format!("{}: {}", spelled(command), output.status)))
}

/// Whether it is there and ends well; says nothing.
pub(crate) fn quietly(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The command as a user would type it.
pub(crate) fn spelled(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

fn unstartable(command: &Command, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", spelled(command)))
}
