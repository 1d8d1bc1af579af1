//! A region's data directory: one process at a time, and a note of what was acknowledged.
//!
//! An engine that finds its newest commits damaged cannot tell them from commits that a power cut
//! interrupted, and drops them. So each commit carries its number, and once it is durable the
//! number is noted in a file of its own. The note is not synced, which costs nothing and makes it
//! late at worst: after `kill -9` it is exact, after a power cut it may lack the last seconds. An
//! engine that opens at a smaller number than the note says has lost what was acknowledged.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use pangea_codec::disk::meta;

use super::Fault;

/// What to do about a damaged file.
pub(super) const REMEDY: &str = "put a sound copy of the region's directory in its place, or \
                                 replace the region: see docs/operating.md, damaged data";
/// Name of the note.
const NOTE: &str = "acknowledged";

/// A directory that this process has to itself.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// Locked for as long as it is open.
    handle: File,
    /// Open once something was acknowledged; `None` if it cannot be.
    note: OnceLock<Option<File>>,
}

impl Directory {
    /// Takes the directory, making it if it is not there.
    ///
    /// # Errors
    ///
    /// [`Fault::Read`] if another process has it, or it is not to be had at all.
    pub fn take(path: &Path) -> Result<Self, Fault> {
        let failed = |error: &dyn fmt::Display| Fault::Read(format!("{}: {error}", path.display()));
        let open = || -> io::Result<File> {
            if !path.is_dir() {
                std::fs::create_dir_all(path)?;
            }
            File::open(path)
        };
        let handle = open().map_err(|error| failed(&error))?;
        match handle.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), handle, note: OnceLock::new() }),
            Err(TryLockError::WouldBlock) => Err(failed(&"in use by another process")),
            Err(TryLockError::Error(error)) => Err(failed(&error)),
        }
    }

    /// The path of a file in it.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes entries that were added durable.
    ///
    /// # Errors
    ///
    /// The directory cannot be synced.
    pub fn sync(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    /// Bytes that may still be written.
    ///
    /// # Errors
    ///
    /// The file system does not tell.
    pub fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::fstatvfs(&self.handle)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// The note as it stands in its file; `None` if there is none.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn note(&self) -> io::Result<Option<Vec<u8>>> {
        match std::fs::read(self.path.join(NOTE)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces the note; it is on the disk sooner or later.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn set_note(&self, bytes: &[u8]) -> io::Result<()> {
        let note = self.note.get_or_init(|| {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false).open(self.path.join(NOTE)).ok()
        });
        note.as_ref().ok_or(io::ErrorKind::NotFound)?.write_all_at(bytes, 0)
    }
}

/// How many commits an engine has acknowledged; see the module.
#[derive(Debug, Default)]
pub(super) struct Acknowledged(u64);

impl Acknowledged {
    /// What `note` says, compared with the number that an engine was `found` at.
    ///
    /// # Errors
    ///
    /// [`Fault::Damaged`] if `file` has lost commits that were acknowledged.
    pub(super) fn check(
        note: io::Result<Option<Vec<u8>>>,
        found: u64,
        file: &str,
    ) -> Result<Self, Fault> {
        let noted = match note {
            Ok(None) => 0,
            Ok(Some(bytes)) => meta::parse_commits(&bytes).unwrap_or_else(|error| {
                tracing::error!(%error, "damaged file {NOTE} beside {file}: going on without it");
                0
            }),
            Err(error) => {
                tracing::error!(%error, "cannot read {NOTE} beside {file}: going on without it");
                0
            }
        };
        if found >= noted {
            return Ok(Self(found));
        }
        let why = format!(
            "the {} newest of {noted} acknowledged commits are missing or damaged; to go on without \
             them, remove the file `{NOTE}` beside it; {REMEDY}",
            noted - found
        );
        Err(Fault::Damaged { file: file.to_owned(), why })
    }

    /// The number of the newest commit.
    pub(super) const fn number(&self) -> u64 {
        self.0
    }

    /// The number of the next commit.
    pub(super) const fn next(&self) -> u64 {
        self.0 + 1
    }

    /// The next commit is durable: notes it, where `set_note` can.
    pub(super) fn advance(&mut self, set_note: impl FnOnce(&[u8]) -> io::Result<()>) {
        self.0 += 1;
        // A note that is late says less; it never says what is not so.
        if let Err(error) = set_note(&meta::commits(self.0)) {
            tracing::debug!(%error, "the number of acknowledged commits could not be noted");
        }
    }
}
