//! The control socket as a file, whatever the length of its path.
//!
//! The address of a Unix socket holds 107 bytes, and a data directory may be deeper. A long path is
//! reached through `/proc/self/fd`: a short name for the open directory.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use super::protocol::SOCKET;

/// Longest path that fits the address, its final zero aside.
const PATH_BYTES_MAX: usize = 107;

pub(super) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(SOCKET)
}

pub(super) fn connect(data_dir: &Path) -> io::Result<UnixStream> {
    with_short_path(data_dir, |path| UnixStream::connect(path))
}

/// Listens; the caller holds the directory's lock, so a socket found there is a leftover.
pub(super) fn listen(data_dir: &Path) -> io::Result<UnixListener> {
    remove(data_dir);
    with_short_path(data_dir, |path| UnixListener::bind(path))
}

pub(super) fn remove(data_dir: &Path) {
    drop(std::fs::remove_file(path(data_dir)));
}

fn with_short_path<T>(data_dir: &Path, f: impl Fn(&Path) -> io::Result<T>) -> io::Result<T> {
    let path = path(data_dir);
    if path.as_os_str().len() <= PATH_BYTES_MAX {
        return f(&path);
    }
    let directory = File::open(data_dir)?;
    f(&Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(SOCKET))
}
