//! Installs what the tests need and nothing that is there already.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::say;
use crate::shell::{self, Failure};

/// A program that the tests run, how to see that it is there, and who brings it.
struct Tool {
    probe: &'static [&'static str],
    package: &'static str,
}

const TOOLS: [Tool; 4] = [
    Tool { probe: &["dig", "-v"], package: "dnsutils" },
    Tool { probe: &["curl", "--version"], package: "curl" },
    Tool { probe: &["python3", "--version"], package: "python3" },
    Tool { probe: &["python3", "-c", "import ensurepip, venv"], package: "python3-venv" },
];

/// Where Debian's packages put the library by which RocksDB's header is read; a user's own is named
/// by `LIBCLANG_PATH`.
const LIBCLANG: &str = "test -n \"$LIBCLANG_PATH\" || ls /usr/lib/llvm-*/lib/libclang.so";

/// What compiles RocksDB, and lets its system calls fail.
const ROCKSDB_TOOLS: [Tool; 3] = [
    Tool { probe: &["c++", "--version"], package: "g++" },
    Tool { probe: &["sh", "-c", LIBCLANG], package: "libclang-dev" },
    Tool { probe: &["strace", "--version"], package: "strace" },
];

/// The server that ours is measured beside, exactly this version: MIT or Apache-2.0, and no part
/// of any build of ours.
const DYNOXIDE: [&str; 2] = ["dynoxide-rs", "3.2.0"];

const REQUIREMENTS: &str = "tests/e2e/requirements.txt";

/// Installs the missing Debian packages of the unit tests and the end-to-end tests.
pub(crate) fn packages() -> Result<(), Failure> {
    install(&TOOLS)
}

/// Installs the missing Debian packages of the feature `rocksdb` and its tests.
pub(crate) fn rocksdb() -> Result<(), Failure> {
    install(&ROCKSDB_TOOLS)
}

/// The program of dynoxide, installed from the crates registry; none where that cannot be done.
pub(crate) fn dynoxide() -> Result<Option<PathBuf>, Failure> {
    let [package, version] = DYNOXIDE;
    let root = shell::target()?.join("tools").join(format!("{package}-{version}"));
    let program = root.join("bin/dynoxide");
    if present(&[&program.to_string_lossy(), "--version"]) {
        return Ok(Some(program));
    }
    say::problem(&format!("installing {package} {version} into {}, once", root.display()));
    let build = root.join("build");
    let mut command = shell::cargo(&["install", "--quiet", "--locked", package, "--version"]);
    // The server alone, as its makers' release profile builds it.
    command.args([&format!("={version}"), "--no-default-features", "--features"]);
    command.args(["native-sqlite,http-server,cli", "--root"]).arg(&root);
    let installed = shell::succeeds(command.arg("--target-dir").arg(&build));
    let _ = fs::remove_dir_all(&build);
    if installed? && present(&[&program.to_string_lossy(), "--version"]) {
        return Ok(Some(program));
    }
    say::problem(&format!("{package} {version} cannot be installed: there is no ratio beside it"));
    Ok(None)
}

fn install(tools: &[Tool]) -> Result<(), Failure> {
    let missing: Vec<&str> =
        tools.iter().filter(|tool| !present(tool.probe)).map(|tool| tool.package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    say::line(&format!("installing {}", missing.join(" ")));
    let by_hand = format!("apt-get update && apt-get install -y {}", missing.join(" "));
    let install = [&["install", "-y", "--no-install-recommends"], missing.as_slice()].concat();
    let done = apt(&["update"])? && apt(&install)?;
    if done && tools.iter().all(|tool| present(tool.probe)) {
        return Ok(());
    }
    Err(Failure::new(format!("the tests need {}; as root: {by_hand}", missing.join(", "))))
}

/// The Python of a virtual environment that has the pinned clients.
pub(crate) fn python() -> Result<PathBuf, Failure> {
    let wanted = shell::root().join(REQUIREMENTS);
    let wanted = fs::read_to_string(&wanted)
        .map_err(|error| Failure::new(format!("{}: {error}", wanted.display())))?;
    let venv = shell::target()?.join("venv");
    let python = venv.join("bin/python");
    // The stamp is the list itself, with the interpreter that made the environment.
    let version = shell::output(Command::new("python3").arg("--version"))?;
    let (stamp, wanted) = (venv.join("installed"), format!("{version}{wanted}"));
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    say::line(&format!("installing {REQUIREMENTS} into {}", venv.display()));
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
    let done = shell::succeeds(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?
        && shell::succeeds(shell::program_in_root(&python).args(install).arg(REQUIREMENTS))?;
    if !done {
        return Err(Failure::new(format!("{REQUIREMENTS} could not be installed")));
    }
    fs::write(&stamp, wanted)
        .map_err(|error| Failure::new(format!("{}: {error}", stamp.display())))?;
    Ok(python)
}

fn present(probe: &[&str]) -> bool {
    shell::quietly(Command::new(probe[0]).args(&probe[1..]))
}

fn apt(arguments: &[&str]) -> Result<bool, Failure> {
    if !present(&["apt-get", "--version"]) {
        return Ok(false);
    }
    let root = shell::output(Command::new("id").arg("-u"))?.trim() == "0";
    let mut command = if root {
        Command::new("apt-get")
    } else if present(&["sudo", "-n", "true"]) {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        sudo
    } else {
        return Ok(false);
    };
    shell::succeeds(command.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq").args(arguments))
}
