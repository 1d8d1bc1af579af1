//! Reads of single rows: where they are asked for, or aside.
//!
//! A row that is in memory is read in a few microseconds, on the runtime's thread that serves the
//! request: to hand it to another thread would cost more. A row that is on a disk may take
//! milliseconds, and a thread of the runtime that waits for it answers nobody else meanwhile: not
//! whoever asks for a row in memory, nor a peer's heartbeat. There is no telling before, so reads
//! are timed. When they take long on average, the thread that reads leaves its other work to a new
//! one first (`block_in_place`), but for one now and then, by which it shows that they do no more:
//! how long a read aside takes says little, because the new thread may take its processor.
//!
//! The writer reads, too, and while it waits nobody writes. So while reads take long whoever asks
//! for a write reads its row first, and leaves it in memory for the writer; so are the rows read
//! that peers send, many at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use pangea_core::item::ItemKey;
use pangea_core::replica::Row;
use tokio::task::{block_in_place, spawn_blocking};

use super::Region;

/// A time of a read from which on it is done aside: to change threads takes a tenth.
const SLOW: Duration = Duration::from_micros(100);
/// A time below which a read counts as none at all.
const QUICK: Duration = Duration::from_micros(10);
/// A read counts for one of so many in the average.
const WEIGHT: u64 = 16;
/// While reads are done aside one of so many is not, at first: half as often after each that took
/// long, up to the maximum, and twice as often after each that did not, until all are.
const TRIED_FIRST: u64 = 64;
const TRIED_MAX: u64 = 1024;
/// While reads are quick, one of so many rows is read before it is written, by which it shows where
/// they are not.
const WARMED: u64 = 64;
/// Reads aside at a time. More are done where they are asked for, as a brake: each of these has a
/// thread, and others of the runtime's threads for blocking work read pages and feed peers.
const ASIDE_MAX: usize = 256;
/// Threads that read the rows of one frame: a frame has 512 at most.
const OF_FRAME_MAX: usize = 64;

/// Does a read that goes over many rows.
pub(super) fn aside<T>(read: impl FnOnce() -> T) -> T {
    block_in_place(read)
}

/// Sees to it that a row which is going to be written need not be waited for by the writer.
pub(super) fn warm(region: &Region, item: &ItemKey) {
    if region.pace.warms() {
        let read = || region.store.snapshot().and_then(|view| view.touch(item));
        // What is wrong with it meets the writer.
        let _ = region.pace.read(read);
    }
}

/// As [`warm`], of the rows of a peer's frame.
pub(super) async fn warm_all(region: &Arc<Region>, rows: &[Row]) {
    if !region.pace.is_slow() {
        rows.iter().for_each(|row| warm(region, &row.key));
        return;
    }
    // Where nobody else reads, this shows that reads do not take long any more.
    if let Some(row) = rows.first().filter(|_| region.pace.place().is_none()) {
        let _ = region.pace.timed(|| region.store.snapshot().and_then(|view| view.touch(&row.key)));
    }
    let (keys, store) = (rows.iter().map(|row| row.key.clone()), Arc::clone(&region.store));
    let touch = move |items: &[ItemKey]| {
        let view = store.snapshot()?;
        items.iter().try_for_each(|item| view.touch(item))
    };
    at_once(keys.collect(), touch).await;
}

/// Reads what these keys are of, each of some threads its share, whatever comes of it.
async fn at_once<K: Clone + Send + 'static, T: Send + 'static>(
    keys: Vec<K>,
    read: impl Fn(&[K]) -> T + Clone + Send + 'static,
) {
    let share = keys.len().div_ceil(OF_FRAME_MAX).max(1);
    let begin = |keys: &[K]| {
        let (keys, read) = (keys.to_vec(), read.clone());
        spawn_blocking(move || read(&keys))
    };
    // All of them are begun before one is waited for.
    let reads: Vec<_> = keys.chunks(share).map(begin).collect();
    for read in reads {
        let _ = read.await;
    }
}

/// How long reads have taken of late.
#[derive(Debug, Default)]
pub(super) struct Pace {
    average_ns: AtomicU64,
    /// One of so many reads is done where it is asked for; below 2, all.
    tried: AtomicU64,
    reads: AtomicU64,
    writes: AtomicU64,
    aside: AtomicUsize,
}

impl Pace {
    /// Reads, here or aside.
    pub(super) fn read<T>(&self, read: impl FnOnce() -> T) -> T {
        match self.place() {
            Some(_place) => aside(read),
            None => self.timed(read),
        }
    }

    /// Reads here.
    fn timed<T>(&self, read: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let answer = read();
        self.note(began.elapsed());
        answer
    }

    fn is_slow(&self) -> bool {
        self.tried.load(Relaxed) > 1
    }

    /// Whether the row of the next write is to be read first.
    fn warms(&self) -> bool {
        self.is_slow() || self.writes.fetch_add(1, Relaxed).is_multiple_of(WARMED)
    }

    /// A place for the next read aside, if it is to be done there and there is one.
    fn place(&self) -> Option<Place<'_>> {
        let tried = self.tried.load(Relaxed);
        if tried < 2 || self.reads.fetch_add(1, Relaxed).is_multiple_of(tried) {
            return None;
        }
        let place = Place(&self.aside);
        (self.aside.fetch_add(1, Relaxed) < ASIDE_MAX).then_some(place)
    }

    /// A read that was not done aside took so long. That some are lost which end at once does no
    /// harm.
    fn note(&self, took: Duration) {
        let tried = self.tried.load(Relaxed);
        if tried > 1 {
            let next = if took < SLOW { tried / 2 } else { (tried * 2).min(TRIED_MAX) };
            self.tried.store(next, Relaxed);
            return;
        }
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let before = self.average_ns.load(Relaxed);
        let took_ns = if took < QUICK { 0 } else { nanoseconds(took) };
        let after = before - before / WEIGHT + took_ns / WEIGHT;
        if after == before {
            // Threads whose rows are all in memory do not take this from each other's caches.
        } else if after < nanoseconds(SLOW) {
            self.average_ns.store(after, Relaxed);
        } else {
            self.average_ns.store(0, Relaxed);
            self.tried.store(TRIED_FIRST, Relaxed);
        }
    }
}

/// Given back when it is dropped, also by a read that panics.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::*;

    const IN_MEMORY: Duration = Duration::from_micros(5);
    const ON_DISK: Duration = Duration::from_millis(5);

    /// How many of some reads are done aside, if each that is not takes so long.
    fn aside_of(pace: &Pace, reads: usize, took: Duration) -> usize {
        let one = |_: &usize| {
            pace.place().is_some() || {
                pace.note(took);
                false
            }
        };
        (0..reads).filter(one).count()
    }

    #[test]
    fn reads_are_done_aside_while_they_take_long() {
        let pace = Pace::default();
        assert_eq!(aside_of(&pace, 1000, IN_MEMORY), 0);
        let aside = aside_of(&pace, 100_000, ON_DISK);
        assert!(
            (99_800..99_950).contains(&aside),
            "{aside}: all but the first, and one of a thousand"
        );
        let aside = aside_of(&pace, 100_000, IN_MEMORY);
        assert!((1_000..3_000).contains(&aside), "{aside}: until it is known");
        assert_eq!(aside_of(&pace, 1000, IN_MEMORY), 0);
        assert!(aside_of(&pace, 100, Duration::MAX) > 90);
    }

    #[test]
    fn rows_are_read_before_they_are_written_while_reads_take_long() {
        let pace = Pace::default();
        let warmed = |pace: &Pace| (0..640).filter(|_| pace.warms()).count();
        assert_eq!(warmed(&pace), 10);
        pace.note(ON_DISK);
        assert_eq!(warmed(&pace), 640);
    }

    #[tokio::test]
    async fn the_rows_of_a_frame_are_read_at_once_each_of_them_once() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let shared = Arc::new((now, most, Mutex::new(Vec::new())));
        let seen = Arc::clone(&shared);
        let read = move |keys: &[usize]| {
            let (now, most, read) = &*seen;
            most.fetch_max(now.fetch_add(1, Relaxed) + 1, Relaxed);
            // None ends before half of them are under way, or have been.
            let patience = Instant::now() + Duration::from_secs(20);
            while most.load(Relaxed) < OF_FRAME_MAX / 2 && Instant::now() < patience {
                std::thread::sleep(Duration::from_millis(1));
            }
            now.fetch_sub(1, Relaxed);
            read.lock().expect("no holder panics").extend_from_slice(keys);
        };
        let keys: Vec<usize> = (0..511).collect();
        at_once(keys.clone(), read).await;
        let (_, most, read) = &*shared;
        assert!((OF_FRAME_MAX / 2..=OF_FRAME_MAX).contains(&most.load(Relaxed)), "{most:?}");
        let mut read = read.lock().expect("no holder panics").clone();
        read.sort_unstable();
        assert_eq!(read, keys);
    }

    #[test]
    fn places_are_bounded_and_given_back() {
        let pace = Pace::default();
        pace.note(ON_DISK);
        let taken: Vec<_> = (0..4 * ASIDE_MAX).filter_map(|_| pace.place()).collect();
        assert_eq!(taken.len(), ASIDE_MAX);
        drop(taken);
        assert_eq!(pace.aside.load(Relaxed), 0);
        assert!((0..2).any(|_| pace.place().is_some()));
    }

    /// A thread of the runtime that reads leaves its tasks to another.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn whoever_waits_for_a_disk_keeps_nobody_else_waiting() {
        let pace = Arc::new(Pace::default());
        pace.note(ON_DISK);
        // One that is done where it is asked for.
        assert!(pace.place().is_none());
        let (free, wait) = mpsc::channel();
        let reading = tokio::spawn(async move { pace.read(|| wait.recv()) });
        // The only thread of the runtime would be the one that waits for this.
        tokio::task::yield_now().await;
        tokio::spawn(async move { free.send("read") }).await.expect("it runs").expect("and sends");
        assert_eq!(reading.await.expect("it runs"), Ok("read"));
    }
}
