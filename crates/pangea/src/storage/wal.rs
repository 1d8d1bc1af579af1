//! The write-ahead log in front of an engine's files: what makes a commit durable.
//!
//! redb is a copy-on-write tree: a durable commit of one row writes its leaf and every branch above
//! it, wherever there is room, for each of the three spaces. RocksDB has a log of its own, which
//! grows with every commit, so that a sync writes what the file system knows of the file, too. So
//! the rows of a commit go to this log, in a row, which is synced; and the engine has them in
//! memory, without a sync or a write. Now and then it writes all of that at once: a *checkpoint*.
//!
//! There are two log files, whose room is used again and again. After a checkpoint has begun,
//! commits go to the start of the other file; the next one begins when it is durable. So what the
//! other file had has been synced long ago, and nothing that a crash may still need is overwritten.
//!
//! What the log has beyond the last checkpoint is applied again when the database is opened. A
//! commit names rows by their keys and has their whole values, so applying one twice does no harm.

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::sync::Arc;

use pangea_codec::disk::wal::{self, ALIGN, HEADER_BYTES, Record};
use redb::StorageBackend;

use super::directory::REMEDY;
use super::memtable::Memtable;
use super::{Change, Fault};

/// How many files a log has.
pub(super) const FILES: usize = 2;

/// Bytes by which a file is made longer at once.
const EXTENT_BYTES: usize = 64 << 10;

/// One of them.
pub(super) type File = Box<dyn StorageBackend>;

/// A log that is appended to.
#[derive(Debug)]
pub(super) struct Wal {
    files: [File; FILES],
    salt: u64,
    /// Which file the next record is written to, and where.
    current: usize,
    position: u64,
}

impl Wal {
    /// The log beside a database that has everything; the first record overwrites what is there.
    pub(super) fn new(files: [File; FILES], salt: u64) -> Self {
        Self { files, salt, current: 0, position: 0 }
    }

    /// Makes files that are shorter so long, with zeros.
    ///
    /// # Errors
    /// There is no room.
    #[cfg_attr(not(feature = "rocksdb"), expect(dead_code, reason = "redb's log is short"))]
    pub(super) fn extend(&self, bytes: u64) -> io::Result<()> {
        let zeros = [0; EXTENT_BYTES];
        for file in &self.files {
            let mut len = file.len()?;
            while len < bytes {
                let count = zeros.len().min(usize::try_from(bytes - len).unwrap_or(usize::MAX));
                file.write(len, &zeros[..count])?;
                len += count as u64;
            }
            file.sync_data()?;
        }
        Ok(())
    }

    /// Makes a commit durable, and gives its record.
    ///
    /// # Errors
    /// What the log has now is unknown; it must not be appended to any more.
    pub(super) fn append(&mut self, number: u64, changes: &[Change]) -> io::Result<Arc<Vec<u8>>> {
        let rows = changes.iter().map(|(space, key, row)| (*space as u8, &key[..], row.as_deref()));
        let record = wal::record(self.salt, number, rows);
        let file = &self.files[self.current];
        file.write(self.position, &record)?;
        self.position += record.len() as u64;
        file.sync_data()?;
        Ok(Arc::new(record))
    }

    /// See [`Pending::read`].
    pub(super) const fn salt(&self) -> u64 {
        self.salt
    }

    /// Bytes written since the last checkpoint.
    pub(super) const fn bytes(&self) -> u64 {
        self.position
    }

    /// Goes on in the other file: there is a checkpoint, and the one before is durable.
    pub(super) const fn turn(&mut self) {
        (self.current, self.position) = ((self.current + 1) % FILES, 0);
    }
}

/// A salt for a new log.
pub(super) fn draw_salt(name: &str) -> u64 {
    RandomState::new().hash_one(name)
}

/// What a log has beyond what the database has.
#[derive(Debug)]
pub(super) struct Pending {
    files: [Vec<u8>; FILES],
    salt: u64,
    /// Where the records begin, in the order of their numbers: in which file, and its byte.
    places: Vec<(usize, usize)>,
    /// The number of the newest commit, in the log or in the database.
    pub(super) reached: u64,
}

impl Pending {
    /// Reads what the log has beyond the commit that the database was `found` at. A database
    /// without a salt never had a log.
    ///
    /// A commit that has not reached the log whole was never acknowledged, so a log may end
    /// anywhere in a record. A record that is missing *before* another has been damaged, because
    /// the other was written when it was durable.
    ///
    /// # Errors
    /// [`Fault::Read`]; [`Fault::Damaged`] if something durable is missing.
    pub(super) fn read(
        files: [io::Result<Option<File>>; FILES],
        name: &str,
        salt: Option<u64>,
        found: u64,
    ) -> Result<Self, Fault> {
        let none = [const { Vec::new() }; FILES];
        let mut pending = Self { files: none, salt: 0, places: Vec::new(), reached: found };
        let Some(salt) = salt else { return Ok(pending) };
        pending.salt = salt;
        let mut records = Vec::new();
        for (which, file) in files.into_iter().enumerate() {
            let bytes = file.and_then(bytes_of).map_err(|error| {
                Fault::Read(format!("the write-ahead log beside {name}: {error}"))
            })?;
            let mut at = 0;
            while at + HEADER_BYTES <= bytes.len() {
                let record = Record::parse(&bytes[at..], salt);
                if let Some(record) = record.filter(|record| record.number > found) {
                    records.push((record.number, (which, at)));
                }
                at += record.map_or(ALIGN, |record| record.bytes());
            }
            pending.files[which] = bytes;
        }
        records.sort_unstable();
        for (number, place) in records {
            if number != pending.reached + 1 {
                let (lost, file) = (pending.reached + 1, name.to_owned());
                let why = format!(
                    "the write-ahead log beside it has commit {number} and lacks commit {lost}, \
                     which was durable before; {REMEDY}"
                );
                return Err(Fault::Damaged { file, why });
            }
            pending.places.push(place);
            pending.reached = number;
        }
        Ok(pending)
    }

    /// Whether the database has everything.
    pub(super) const fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The rows of the commits that the database lacks, as a table.
    ///
    /// # Errors
    /// A later version wrote them, beside what people call the database.
    pub(super) fn table(&self, beside: &str) -> Result<Memtable, Fault> {
        let table = Memtable::default();
        for &(which, at) in &self.places {
            let bytes = &self.files[which][at..];
            let record = Record::parse(bytes, self.salt).expect("parsed before");
            let bytes = Arc::new(bytes[..record.bytes().min(bytes.len())].to_vec());
            if table.add(&bytes).is_none() {
                let why = "the write-ahead log beside it has rows of a kind that this version does \
                           not know: start the version that wrote it";
                return Err(Fault::Read(format!("{beside}: {why}")));
            }
        }
        Ok(table)
    }
}

fn bytes_of(log: Option<File>) -> io::Result<Vec<u8>> {
    let Some(log) = log else { return Ok(Vec::new()) };
    let mut bytes = vec![0; usize::try_from(log.len()?).map_err(io::Error::other)?];
    if !bytes.is_empty() {
        log.read(0, &mut bytes)?;
    }
    Ok(bytes)
}
