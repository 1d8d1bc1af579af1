//! One `up` per data directory.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, bail};
use rustix::fs::{FlockOperation, flock};

/// Held as long as this value lives; the kernel lets go of it when the process dies.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Makes the data directory if need be and takes its lock.
pub(super) fn take(data_dir: &Path) -> anyhow::Result<Lock> {
    let shown = data_dir.display();
    let remedy = "choose a directory of your own with --data-dir DIR";
    std::fs::create_dir_all(data_dir.join(super::spec::LOGS))
        .with_context(|| format!("cannot make the data directory {shown}: {remedy}"))?;
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(data_dir.join("up.lock"))
        .with_context(|| format!("cannot write to the data directory {shown}: {remedy}"))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut pid = String::new();
        drop(file.read_to_string(&mut pid));
        let pid = pid.trim();
        bail!(
            "data directory {shown} is in use by another `pangea up` (pid {pid})\n  \
             help: stop that one (kill {pid}), or run this one with another --data-dir"
        );
    }
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    Ok(Lock { _file: file })
}
