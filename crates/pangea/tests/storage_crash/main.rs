//! Engines on disks that fail: every IO call in its turn, power cuts, flipped bits.
//!
//! `PANGEA_STORAGE_SEEDS` multiplies what is tried; the counts are printed with `--nocapture`.

mod disk;
mod kill;
#[cfg(feature = "rocksdb")]
mod rocks;

use std::ops::Range;
use std::path::Path;

use pangea::storage::conformance::{
    FailingDisk, Random, Rows, Script, Verdict, check_flipped, check_recovered, cut_power,
    fail_each_call, flip_bits, read_all,
};
use pangea::storage::memory::Memory;
use pangea::storage::redb::{self, Redb};
use pangea::storage::{Change, Engine, Fault};

use disk::{Disk, Image, LONG_BYTES};

/// How many times as much is tried as in the default build.
fn seeds() -> u64 {
    let asked = std::env::var("PANGEA_STORAGE_SEEDS").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(1)
}

#[expect(clippy::print_stdout, reason = "what was tried is worth nothing unsaid")]
fn say(subject: &str, what: &dyn std::fmt::Display) {
    println!("{subject}: {what}");
}

/// An engine in a directory of the real file system.
fn open_directory(engine: &str, directory: &Path) -> Result<Box<dyn Engine>, Fault> {
    match engine {
        "redb" => {
            let (cache_bytes, log_bytes) = (1 << 20, 256 << 10);
            let options = redb::Options { cache_bytes, log_bytes, ..redb::Options::default() };
            Ok(Box::new(Redb::open_directory(directory, options)?))
        }
        #[cfg(feature = "rocksdb")]
        "rocksdb" => Ok(Box::new(rocks::open(directory)?)),
        other => panic!("no engine {other}"),
    }
}

#[test]
fn redb_survives_kills() {
    let kills = kill::survive("redb");
    say("redb", &format!("{kills} processes killed, 0 commits lost"));
    assert!(kills > 5, "{kills}");
}

impl FailingDisk for MemoryDisk {
    type Engine = Memory;

    fn new() -> Self {
        Self(Memory::new())
    }

    fn open(&self) -> Result<Memory, Fault> {
        Ok(self.0.clone())
    }

    fn calls(&self) -> u64 {
        self.0.calls()
    }

    fn fail(&self, calls: Range<u64>) {
        self.0.fail_calls(calls);
    }

    fn cut(&self, _seed: u64) -> Self {
        Self(self.0.reopen())
    }
}

/// Memory as its own disk: what begins anew is what was published.
struct MemoryDisk(Memory);

#[test]
fn memory_survives_every_failed_call() {
    for gone in [false, true] {
        let script = Script::new(1, 6);
        let failed = fail_each_call::<MemoryDisk>(&script, gone);
        say("memory", &failed);
        assert!(failed.calls > 50 && failed.reported == failed.calls, "{failed}");
    }
}

#[test]
fn redb_survives_every_failed_call() {
    for seed in 0..seeds() {
        let script = Script::new(seed, 40);
        for gone in [false, true] {
            let failed = fail_each_call::<Disk<false>>(&script, gone);
            say("redb", &failed);
            // The end of a life may fail as it likes.
            assert!(failed.reported > 50 && failed.kept > 5, "{failed}");
        }
        let failed = fail_each_call::<Disk<true>>(&script, false);
        say("redb with quick repair", &failed);
    }
}

fn bytes_of(changes: &[Change]) -> u64 {
    let row = |(_, key, row): &Change| key.len() + row.as_ref().map_or(0, Vec::len);
    changes.iter().map(row).sum::<usize>() as u64
}

#[test]
fn redb_survives_a_power_cut_at_every_call() {
    for seed in 0..seeds() {
        let script = Script::new(seed, 40);
        let long = script.commits.iter().filter(|changes| bytes_of(changes) > LONG_BYTES);
        assert!(long.count() > 0, "some commits go around the log");
        let cuts = cut_power::<Disk<false>>(&script, 3);
        say("redb", &cuts);
        // Both outcomes of a commit in flight were met.
        assert!(cuts.kept > 0 && cuts.kept < cuts.disks, "{cuts}");
        say("redb with quick repair", &cut_power::<Disk<true>>(&script, 1));
    }
}

/// A disk after the script, closed in order or not.
fn written(script: &Script, in_order: bool) -> Image {
    let disk = Disk::<false>::new();
    let engine = disk.open().expect("an empty disk opens");
    for changes in &script.commits {
        engine.commit(changes).expect("no fault yet");
    }
    if in_order {
        drop(engine);
        return disk.state().current.clone();
    }
    let image = disk.state().current.clone();
    drop(engine);
    image
}

/// Bits of the file's header, and others: half of them where there is something.
fn bits(image: &Image, file: usize, count: u64, random: &mut Random) -> Vec<u64> {
    let bytes = &image.files[file];
    let used: Vec<u64> =
        (0_u64..).zip(bytes).filter(|(_, byte)| **byte != 0).map(|(at, _)| at).collect();
    let mut bits: Vec<u64> = (0..count / 4).map(|_| random.below(320 * 8)).collect();
    bits.extend((0..count / 2).map(|_| {
        let at = usize::try_from(random.below(used.len() as u64)).expect("small");
        used[at] * 8 + random.below(8)
    }));
    bits.extend((0..count / 4).map(|_| random.below(bytes.len() as u64 * 8)));
    bits
}

fn open_flipped(image: &Image, file: usize, bit: u64) -> Result<Redb, Fault> {
    let mut image = image.clone();
    image.files[file][usize::try_from(bit / 8).expect("small")] ^= 1 << (bit % 8);
    Disk::<false>::holding(image).open()
}

fn survey(script: &Script, image: &Image, name: &str) {
    let expected: &Rows = script.states.last().expect("begun with one");
    let sound = Disk::<false>::holding(image.clone()).open();
    assert_eq!(check_flipped(sound, expected, name), Verdict::Harmless, "{name}");
    let bits = bits(image, 0, 600 * seeds(), &mut Random(9));
    let flips = flip_bits(bits, expected, |bit| open_flipped(image, 0, bit));
    say(name, &flips);
    assert!(flips.count(Verdict::FileNamed) > 20, "{flips}");
}

#[test]
fn redb_names_what_a_flipped_bit_damages() {
    let script = Script::new(3, 12);
    survey(&script, &written(&script, true), "redb, closed in order");
    // Long enough that checkpoints have most of it: the log heals the rest.
    let script = Script::new(3, 40);
    let killed = written(&script, false);
    survey(&script, &killed, "redb, killed");
    // What the log has of commits that the file lacks is missed by its name.
    let expected = script.states.last().expect("begun with one");
    let mut named = 0;
    for log in [1, 2] {
        let bits = bits(&killed, log, 400 * seeds(), &mut Random(10));
        let flips = flip_bits(bits, expected, |bit| open_flipped(&killed, log, bit));
        say("redb, killed, a file of its log", &flips);
        assert!(flips.count(Verdict::RowNamed) == 0, "{flips}");
        named += flips.count(Verdict::FileNamed);
    }
    assert!(named > 20, "{named}");
}

#[test]
fn a_log_that_is_gone_is_missed() {
    let mut named = 0;
    for commits in 12..24 {
        let script = Script::new(8, commits);
        let image = written(&script, false);
        let expected = script.states.last().expect("begun with one");
        for log in [1, 2] {
            let mut image = image.clone();
            image.files[log].clear();
            let opened = Disk::<false>::holding(image).open();
            let verdict = check_flipped(opened, expected, &format!("without log {log}"));
            named += u32::from(verdict == Verdict::FileNamed);
        }
    }
    assert!(named > 4, "{named} logs had what no checkpoint covers");
    let script = Script::new(8, 12);
    // After an orderly end they are not needed.
    let mut image = written(&script, true);
    image.files[1..].fill(Vec::new());
    let engine = Disk::<false>::holding(image).open().expect("the file has everything");
    check_recovered(&engine, &script, 12, "without a log");
}

/// A sound record of a later version: the codes of its rows' spaces are none of ours.
#[test]
fn a_log_of_rows_of_an_unknown_kind_is_refused_by_name() {
    let mut image = written(&Script::new(8, 12), false);
    let starts = |log: &[u8], at: usize| log[at..].starts_with(b"pangeawl");
    for log in &mut image.files[1..] {
        for at in (0..log.len()).step_by(4096) {
            if starts(log, at) {
                let len = u32::from_le_bytes(log[at + 24..at + 28].try_into().expect("four"));
                let end = at + 40 + usize::try_from(len).expect("small");
                log[at + 40] = 9;
                let sum = crc32fast::hash(&log[at + 40..end]);
                log[at + 28..at + 32].copy_from_slice(&sum.to_le_bytes());
                let sum = crc32fast::hash(&log[at..at + 36]);
                log[at + 36..at + 40].copy_from_slice(&sum.to_le_bytes());
            }
        }
    }
    let fault = Disk::<false>::holding(image).open().expect_err("nobody knows these rows");
    let text = fault.to_string();
    assert!(matches!(fault, Fault::Read(_)) && text.contains("start the version"), "{text}");
}

#[test]
fn a_note_that_is_damaged_or_gone_does_no_harm() {
    let script = Script::new(4, 3);
    let image = written(&script, true);
    let note = image.note.clone().expect("commits were acknowledged");
    let flipped = (0..note.len() as u64 * 8).map(|bit| {
        let mut note = note.clone();
        note[usize::try_from(bit / 8).expect("small")] ^= 1 << (bit % 8);
        Some(note)
    });
    for note in flipped.chain([None, Some(Vec::new())]) {
        let disk = Disk::<false>::holding(Image { note, ..image.clone() });
        let engine = disk.open().expect("the file is sound");
        check_recovered(&engine, &script, 3, "without a note");
    }
}

#[test]
fn a_file_older_than_what_was_acknowledged_is_refused_by_name() {
    let script = Script::new(4, 3);
    let (before, after) = (written(&Script::new(4, 2), true), written(&script, true));
    let mixed = Image { note: after.note, ..before };
    let fault = Disk::<false>::holding(mixed).open().expect_err("a commit is missing");
    let text = fault.to_string();
    assert!(text.contains("/disk/region.redb") && text.contains("1 newest of 3"), "{text}");
}

#[test]
fn a_failed_engine_reads_on_and_writes_nothing() {
    // Commits to the log, past it, and behind a checkpoint.
    let script = Script::new(5, 14);
    let mut failed = 0;
    for (at, changes) in script.commits.iter().enumerate() {
        for call in 0.. {
            let disk = Disk::<false>::new();
            let engine = disk.open().expect("an empty disk opens");
            for changes in &script.commits[..at] {
                engine.commit(changes).expect("no fault yet");
            }
            disk.fail(disk.calls() + call..u64::MAX);
            let Err(fault) = engine.commit(changes) else { break };
            failed += 1;
            // Else it was the checkpoint before the commit that failed.
            assert!(matches!(fault, Fault::Write(_) | Fault::ReadOnly(_)), "{fault}");
            disk.fail(0..0);
            let image = disk.state().current.files.clone();
            assert!(matches!(engine.commit(changes), Err(Fault::ReadOnly(_))));
            assert!(matches!(engine.health(), Err(Fault::ReadOnly(_))));
            let rows = read_all(&engine).expect("reads go on");
            assert!(rows == script.states[at], "commit {at}, call {call}");
            drop(engine);
            assert!(disk.state().current.files == image, "a failed engine wrote");
        }
    }
    assert!(failed > 40, "{failed} calls of commits failed");
}

#[test]
fn a_read_only_disk_serves_what_it_has() {
    let script = Script::new(6, 3);
    for in_order in [true, false] {
        let disk = Disk::<false>::holding(written(&script, in_order));
        disk.state().read_only = true;
        let image = disk.state().current.files.clone();
        let engine = disk.open().expect("readable");
        assert!(read_all(&engine).expect("readable") == script.states[3]);
        assert!(matches!(engine.commit(&script.commits[0]), Err(Fault::ReadOnly(_))));
        drop(engine);
        assert!(disk.state().current.files == image, "a read-only disk was written");
    }
    let empty = Disk::<false>::new();
    empty.state().read_only = true;
    assert!(matches!(empty.open(), Err(Fault::Read(_))));
}

#[test]
fn a_full_disk_refuses_and_takes_commits_again_when_there_is_room() {
    let (disk, script) = (Disk::<false>::new(), Script::new(7, 1));
    let engine = disk.open().expect("an empty disk opens");
    disk.state().full = true;
    assert!(matches!(engine.commit(&script.commits[0]), Err(Fault::DiskFull { .. })));
    assert!(engine.health().is_err_and(|fault| fault.is_passing()));
    assert!(read_all(&engine).expect("readable").is_empty());
    disk.state().full = false;
    engine.commit(&script.commits[0]).expect("there is room again");
}
