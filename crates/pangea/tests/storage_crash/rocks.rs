//! RocksDB on a disk that fails. It has no seam where faults could be put in, so they come from
//! outside: its directory as a crash would leave it, and system calls that strace lets fail.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pangea::storage::conformance::{
    Cuts, Failed, Flips, Random, Script, Verdict, check_flipped, check_recovered,
};
use pangea::storage::rocksdb::{Options, RocksDb};
use pangea::storage::{Engine, Fault};
use pangea_codec::disk::wal::{ALIGN, HEADER_BYTES};

use super::kill::{self, Scratch};
use super::{say, seeds};

const SECTOR_BYTES: usize = 512;

pub(crate) fn open(directory: &Path) -> Result<RocksDb, Fault> {
    let options = Options { cache_bytes: 4 << 20, reserve_bytes: 0, log_bytes: 64 << 10 };
    RocksDb::open_directory(directory, options)
}

/// Files by path within the region's directory.
type Image = BTreeMap<PathBuf, Vec<u8>>;

fn copy(directory: &Path) -> Image {
    let mut image = Image::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("it is there").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(bytes) = std::fs::read(&path) {
                let name = path.strip_prefix(directory).expect("within").to_owned();
                image.insert(name, bytes);
            }
        }
    }
    image
}

fn lay(image: &Image, directory: &Path) {
    let _ = std::fs::remove_dir_all(directory);
    for (name, bytes) in image {
        let path = directory.join(name);
        std::fs::create_dir_all(path.parent().expect("within")).expect("there is room");
        std::fs::write(path, bytes).expect("there is room");
    }
}

fn is_log(name: &Path) -> bool {
    name.to_string_lossy().starts_with("region.wal-")
}

/// The directory after every commit, and after a checkpoint now and then; beside
/// each the commits that are acknowledged.
fn images(script: &Script) -> Vec<(usize, Image)> {
    let scratch = Scratch::new("rocks-images");
    let engine = open(&scratch.0).expect("a new directory opens");
    let mut images = vec![(0, copy(&scratch.0))];
    for (acknowledged, changes) in (1..).zip(&script.commits) {
        engine.commit(changes).expect("no fault yet");
        images.push((acknowledged, copy(&scratch.0)));
        if acknowledged % 7 == 6 {
            engine.checkpoint().expect("no fault yet");
            images.push((acknowledged, copy(&scratch.0)));
        }
    }
    images
}

/// What of the log was not synced torn or lost.
fn cut(before: &Image, after: &Image, random: &mut Random) -> Image {
    let mut image = after.clone();
    // The note is written after the sync.
    let note = PathBuf::from("acknowledged");
    match before.get(&note) {
        Some(bytes) => image.insert(note, bytes.clone()),
        None => image.remove(&note),
    };
    for (name, bytes) in image.iter_mut().filter(|(name, _)| is_log(name)) {
        let synced = before.get(name).map_or(&[][..], Vec::as_slice);
        // All of it was on its way: it arrived, or none of it did, or some.
        let kept = random.below(3);
        for (at, sector) in bytes.chunks_mut(SECTOR_BYTES).enumerate() {
            if kept == 0 || (kept == 1 && random.below(2) == 0) {
                continue;
            }
            sector.fill(0);
            let synced = synced.iter().skip(at * SECTOR_BYTES);
            sector.iter_mut().zip(synced).for_each(|(byte, synced)| *byte = *synced);
        }
    }
    image
}

#[test]
fn rocksdb_survives_power_cuts_between_and_in_commits() {
    let (script, scratch) = (Script::new(21, 24), Scratch::new("rocks-cuts"));
    let images = images(&script);
    let (mut cuts, mut random) = (Cuts::default(), Random(5));
    for (at, (acknowledged, image)) in images.iter().enumerate() {
        cuts.calls += 1;
        let mut after = vec![image.clone()];
        match images.get(at + 1) {
            Some((next, image_after)) if next > acknowledged => {
                after.extend((0..4 * seeds()).map(|_| cut(image, image_after, &mut random)));
            }
            _ => {}
        }
        let acknowledged = *acknowledged;
        for image in after {
            cuts.disks += 1;
            lay(&image, &scratch.0);
            let why = format!("cut after commit {acknowledged}");
            let engine = open(&scratch.0).unwrap_or_else(|fault| panic!("{why}: {fault}"));
            let found = check_recovered(&engine, &script, acknowledged, &why);
            cuts.kept += u64::from(found > acknowledged);
            if let Some(next) = script.commits.get(found) {
                engine.commit(next).expect("a recovered disk takes commits");
                check_recovered(&engine, &script, found + 1, &why);
            }
        }
    }
    say("rocksdb", &cuts);
    assert!(cuts.kept > 0 && cuts.kept < cuts.disks, "{cuts}");
}

#[test]
fn rocksdb_names_what_a_flipped_bit_damages() {
    let (script, scratch) = (Script::new(22, 24), Scratch::new("rocks-flips"));
    let expected = script.states.last().expect("begun with one");
    let (_, killed) = images(&script).pop().expect("one a commit");
    let (mut random, mut per_file) = (Random(6), BTreeMap::<String, Flips>::new());
    let mut all = Flips::default();
    for (name, bytes) in killed.iter().filter(|(_, bytes)| !bytes.is_empty()) {
        // Behind its records a log is zeros.
        let Some(last) = bytes.iter().rposition(|byte| *byte != 0) else { continue };
        for _ in 0..24 * seeds() {
            let bit = random.below((last as u64 + 1) * 8);
            let mut image = killed.clone();
            let damaged = image.get_mut(name).expect("it is there");
            damaged[usize::try_from(bit / 8).expect("small")] ^= 1 << (bit % 8);
            lay(&image, &scratch.0);
            let why = format!("bit {bit} of {}", name.display());
            let verdict = check_flipped(open(&scratch.0), expected, &why);
            let kind = name.file_name().expect("a file").to_string_lossy().into_owned();
            let digits = |letter: char| letter.is_ascii_digit() || letter == '-';
            per_file.entry(kind.replace(digits, "")).or_default().add(verdict);
            all.add(verdict);
        }
    }
    for (kind, flips) in &per_file {
        say(&format!("rocksdb, {kind}"), flips);
    }
    say("rocksdb", &all);
    for kind in [".sst", "region.wal"] {
        assert!(per_file[kind].count(Verdict::FileNamed) > 0, "{kind}");
    }
}

/// Where the records of a log begin.
fn records(log: &[u8]) -> Vec<usize> {
    let is_record = |at: &usize| log[*at..].starts_with(b"pangeawl");
    (0..log.len()).step_by(ALIGN).filter(is_record).collect()
}

#[test]
fn damage_in_the_log_is_no_power_cut() {
    let (script, scratch) = (Script::new(23, 5), Scratch::new("rocks-middle"));
    let (_, sound) = images(&script).pop().expect("one a commit");
    for from_end in [1, 3] {
        let mut image = sound.clone();
        let (name, bytes) = image.iter_mut().find(|(name, _)| is_log(name)).expect("a log");
        let (name, records) = (name.display().to_string(), records(bytes));
        assert_eq!(records.len(), script.commits.len());
        bytes[records[records.len() - from_end] + HEADER_BYTES] ^= 1;
        lay(&image, &scratch.0);
        let fault = open(&scratch.0).expect_err("acknowledged commits are damaged");
        let text = fault.to_string();
        assert!(matches!(fault, Fault::Damaged { .. }) && text.contains(&name), "{text}");
        // Nothing was dropped yet: the log is as it was found.
        let left = copy(&scratch.0);
        assert!(left.iter().all(|(path, bytes)| !is_log(path) || image.get(path) == Some(bytes)));
        std::fs::remove_file(scratch.0.join("acknowledged")).expect("it is there");
        let opened = open(&scratch.0);
        if from_end == 1 {
            let engine = opened.expect("the operator accepts the loss of the newest");
            assert_eq!(kill::found(&engine, &script), script.commits.len() - 1);
        } else {
            assert!(opened.is_err(), "what is behind the damage was durable");
        }
    }
}

#[test]
fn rocksdb_survives_kills() {
    let kills = kill::survive("rocksdb");
    say("rocksdb", &format!("{kills} processes killed, 0 commits lost"));
    assert!(kills > 5, "{kills}");
}

/// Calls of the kernel that can fail for want of a sound disk.
const CALLS: [&str; 4] = ["write", "pwrite64", "fdatasync,fsync", "pread64,ftruncate,rename"];

#[test]
fn rocksdb_survives_every_failed_call() {
    let mut failed = Failed::default();
    for calls in CALLS {
        for gone in [false, true] {
            for call in 1.. {
                let scratch = Scratch::new("rocks-calls");
                let Some(run) = run_with_failure(&scratch.0, calls, call, gone) else { break };
                failed.calls += u64::from(run.concerned);
                failed.reported += u64::from(run.reported);
                let why = format!("{calls} number {call}, all after it: {gone}");
                let script = Script::new(kill::SEED, kill::FEW);
                let engine = open(&scratch.0).unwrap_or_else(|fault| panic!("{why}: {fault}"));
                let found = kill::found(&engine, &script);
                let acknowledged = run.acknowledged;
                assert!((acknowledged..=acknowledged + 1).contains(&found), "{why}: {found}");
                failed.kept += u64::from(found > acknowledged);
            }
        }
    }
    say("rocksdb", &failed);
    assert!(failed.calls > 50 && failed.reported > 25, "{failed}");
}

#[derive(Debug, Default)]
struct Run {
    acknowledged: usize,
    reported: bool,
    /// The call was one of the engine, not of the program's loader.
    concerned: bool,
}

/// Runs a few commits in a process whose `call`th of `calls` fails; `None` if it makes fewer.
fn run_with_failure(directory: &Path, calls: &str, call: u64, gone: bool) -> Option<Run> {
    let log = std::env::temp_dir().join(format!("pangea-strace-{}", std::process::id()));
    let when = if gone { format!("{call}+") } else { call.to_string() };
    let program = std::env::current_exe().expect("a program knows where it is");
    // Said over a socket: whatever else the victim says may fail.
    let ear = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    ear.set_nonblocking(true).expect("a socket can");
    let status = Command::new("strace")
        .args(["-f", "-y", "-qq", "-o"])
        .arg(&log)
        .args(["-e", &format!("trace={calls}")])
        .args(["-e", &format!("inject={calls}:error=EIO:when={when}")])
        .arg(program)
        .args(["--exact", "kill::careful_victim", "--ignored", "--test-threads=1"])
        .env(kill::DIRECTORY, directory)
        .env(kill::ENGINE, "rocksdb")
        .env(kill::EAR, ear.local_addr().expect("bound").to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.expect("strace is there: `cargo xtask test --engine rocksdb` installs it");
    let mut run = Run::default();
    let mut word = [0; 512];
    while let Ok(len) = ear.recv(&mut word) {
        match &word[..len] {
            b"acknowledged" => run.acknowledged += 1,
            b"fault" => run.reported = true,
            other => panic!("{}", String::from_utf8_lossy(other)),
        }
    }
    let traced = std::fs::read_to_string(&log).unwrap_or_default();
    let _ = std::fs::remove_file(&log);
    let injected = || traced.lines().filter(|line| line.contains("(INJECTED)"));
    let place = directory.display().to_string();
    run.concerned = injected().any(|line| line.contains(&place));
    (injected().count() > 0).then_some(run)
}
