//! Pages of a checkpoint, read before they are asked for.
//!
//! A checkpoint changes rows all over the database, one after the other, and waits for each page
//! that is not in memory. Where a disk takes milliseconds a read, commits wait for the checkpoint
//! before long. So while reads take long, many threads look for the next rows first, which leaves
//! their pages in redb's memory: a disk serves many reads at a time about as soon as one.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use redb::{Database, ReadableDatabase as _};

use super::commits::table_of;
use crate::storage::Space;

/// Rows that are looked for at a time: their pages have room in the smallest memory.
pub(super) const ROWS: usize = 256;
/// Threads that look for them.
const THREADS: usize = 32;
/// A time for a row, on average, from which on others are looked for ahead.
const SLOW: Duration = Duration::from_micros(100);
/// A time to find a row below which it was in memory.
const QUICK: Duration = Duration::from_micros(20);

/// Whether rows are looked for ahead; by what the last ones took, also of the checkpoint before.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    is_on: AtomicBool,
}

impl Ahead {
    /// Looks for the rows of these keys, if that is likely to help. What is wrong with them meets
    /// whoever changes them.
    pub(super) fn read(&self, database: &Database, space: Space, keys: &[&[u8]]) {
        if !self.is_on.load(Relaxed) {
            return;
        }
        let taken_us = AtomicU64::new(0);
        thread::scope(|threads| {
            for share in keys.chunks(keys.len().div_ceil(THREADS).max(1)) {
                let read = || {
                    let began = Instant::now();
                    find(database, space, share);
                    let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
                    taken_us.fetch_add(took, Relaxed);
                };
                // Without a thread to be had, these are read when they are changed.
                let _ = thread::Builder::new().name("ahead".to_owned()).spawn_scoped(threads, read);
            }
        });
        let taken = Duration::from_micros(taken_us.into_inner());
        self.note(taken, keys.len(), QUICK);
    }

    /// So many rows took so long to be changed.
    pub(super) fn changed(&self, took: Duration, rows: usize) {
        if !self.is_on.load(Relaxed) {
            self.note(took, rows, SLOW);
        }
    }

    fn note(&self, took: Duration, rows: usize, limit: Duration) {
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        self.is_on.store(took >= limit.saturating_mul(rows) && rows > 0, Relaxed);
    }
}

fn find(database: &Database, space: Space, keys: &[&[u8]]) {
    let Ok(transaction) = database.begin_read() else { return };
    let Ok(table) = transaction.open_table(table_of(space)) else { return };
    for key in keys {
        if table.get(*key).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use redb::StorageBackend;
    use redb::backends::InMemoryBackend;

    use super::*;

    /// A disk that counts the reads that it does at a time, and answers none before there are so
    /// many, or have been.
    #[derive(Debug, Default)]
    struct Slow {
        inner: InMemoryBackend,
        awaited: AtomicUsize,
        now: AtomicUsize,
        most: AtomicUsize,
    }

    #[derive(Clone, Debug, Default)]
    struct Disk(Arc<Slow>);

    impl StorageBackend for Disk {
        fn len(&self) -> io::Result<u64> {
            self.0.inner.len()
        }
        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            let now = self.0.now.fetch_add(1, Relaxed) + 1;
            self.0.most.fetch_max(now, Relaxed);
            let patience = Instant::now() + Duration::from_secs(20);
            while self.0.most.load(Relaxed) < self.0.awaited.load(Relaxed)
                && Instant::now() < patience
            {
                thread::sleep(Duration::from_millis(1));
            }
            self.0.now.fetch_sub(1, Relaxed);
            self.0.inner.read(offset, out)
        }
        fn set_len(&self, len: u64) -> io::Result<()> {
            self.0.inner.set_len(len)
        }
        fn sync_data(&self) -> io::Result<()> {
            self.0.inner.sync_data()
        }
        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.0.inner.write(offset, data)
        }
    }

    #[test]
    fn rows_are_looked_for_at_once() {
        let disk = Disk::default();
        let open = || {
            let mut builder = Database::builder();
            // Whatever it reads when it is opened, it cannot keep it all.
            builder.set_cache_size(128 << 10);
            builder.create_with_backend(disk.clone()).expect("it opens")
        };
        let keys: Vec<Vec<u8>> = (0..512_u32).map(|n| n.to_be_bytes().to_vec()).collect();
        let database = open();
        let transaction = database.begin_write().expect("nobody else writes");
        let mut table = transaction.open_table(table_of(Space::Items)).expect("its kind is right");
        for key in &keys {
            // A few to a page.
            table.insert(&key[..], &[7; 1000][..]).expect("there is room");
        }
        drop(table);
        transaction.commit().expect("there is room");
        drop(database);
        let database = open();
        disk.0.most.store(0, Relaxed);
        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let ahead = Ahead::default();
        ahead.read(&database, Space::Items, &keys);
        assert_eq!(disk.0.most.load(Relaxed), 0, "not before it is known to help");
        ahead.changed(Duration::from_secs(1), 1);
        disk.0.awaited.store(THREADS / 2, Relaxed);
        ahead.read(&database, Space::Items, &keys);
        assert!(disk.0.most.load(Relaxed) >= THREADS / 2, "{:?}", disk.0.most);
    }

    #[test]
    fn rows_are_looked_for_ahead_while_they_take_long() {
        let ahead = Ahead::default();
        let is_on = |ahead: &Ahead| ahead.is_on.load(Relaxed);
        ahead.changed(Duration::from_millis(10), 256);
        assert!(!is_on(&ahead), "40 us each");
        ahead.changed(Duration::from_millis(50), 256);
        assert!(is_on(&ahead), "200 us each");
        ahead.changed(Duration::from_millis(1), 256);
        assert!(is_on(&ahead), "because they were looked for: that says nothing");
        ahead.note(Duration::from_millis(100), 256, QUICK);
        assert!(is_on(&ahead), "they were not in memory");
        ahead.note(Duration::from_millis(2), 256, QUICK);
        assert!(!is_on(&ahead), "they were");
        ahead.changed(Duration::ZERO, 0);
        assert!(!is_on(&ahead));
    }
}
