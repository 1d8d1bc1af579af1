//! Processes that are killed: this test's own program, told by its environment to be the victim.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use pangea::storage::Engine;
use pangea::storage::conformance::{Random, Script, read_all};

pub(crate) const DIRECTORY: &str = "PANGEA_STORAGE_VICTIM";
pub(crate) const ENGINE: &str = "PANGEA_STORAGE_ENGINE";
pub(crate) const SEED: u64 = 11;
const COMMITS: usize = 120;

/// A directory of its own for one test, gone when dropped.
#[derive(Debug)]
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("pangea-{name}-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("there is room for tests");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// How many commits of the script are there.
pub(crate) fn found(engine: &dyn Engine, script: &Script) -> usize {
    let rows = read_all(engine).expect("readable");
    let found = script.states.iter().position(|state| *state == rows);
    found.expect("a state between two commits")
}

/// Goes on with the script where the directory stands, and says each commit that is acknowledged.
#[expect(clippy::print_stdout, reason = "the parent listens")]
fn be_the_victim(engine: &dyn Engine) {
    let script = Script::new(SEED, COMMITS);
    for (number, changes) in (1..).zip(&script.commits).skip(found(engine, &script)) {
        engine.commit(changes).expect("the disk is sound");
        println!("acknowledged {number}");
    }
}

#[test]
#[ignore = "the victim of the others"]
fn victim() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let engine = std::env::var(ENGINE).expect("told by the parent");
    let engine = super::open_directory(&engine, Path::new(&directory));
    be_the_victim(&*engine.expect("nothing is damaged"));
}

/// Kills a process of the engine again and again in one directory; the number of kills.
pub(crate) fn survive(engine: &str) -> u64 {
    let (scratch, script) = (Scratch::new(&format!("kill-{engine}")), Script::new(SEED, COMMITS));
    let (mut random, mut kills, mut there) = (Random(1), 0, 0);
    while there < COMMITS {
        let program = std::env::current_exe().expect("a program knows where it is");
        let mut victim = Command::new(program)
            .args(["--exact", "kill::victim", "--ignored", "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, &scratch.0)
            .env(ENGINE, engine)
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts");
        let lines = BufReader::new(victim.stdout.take().expect("piped")).lines();
        let until = random.below(16);
        let mut acknowledged = there;
        for line in lines.map_while(Result::ok) {
            if let Some(number) = line.strip_prefix("acknowledged ") {
                acknowledged = number.parse().expect("a number");
                if acknowledged >= there + usize::try_from(until).expect("small") {
                    victim.kill().expect("it may have ended");
                    kills += 1;
                    break;
                }
            }
        }
        victim.wait().expect("it was started");
        let engine = super::open_directory(engine, &scratch.0).expect("nothing is damaged");
        there = found(&*engine, &script);
        assert!(there >= acknowledged, "acknowledged {acknowledged}, found {there}");
    }
    kills
}

/// Commits of the victim whose calls fail.
#[cfg(feature = "rocksdb")]
pub(crate) const FEW: usize = 8;

/// Where that victim is listened to.
#[cfg(feature = "rocksdb")]
pub(crate) const EAR: &str = "PANGEA_STORAGE_EAR";

/// Does a few commits, says what is acknowledged and what is not, and never panics for a fault.
#[cfg(feature = "rocksdb")]
#[test]
#[ignore = "the victim of others"]
fn careful_victim() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let (name, ear) = (std::env::var(ENGINE).expect("told"), std::env::var(EAR).expect("told"));
    let mouth = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    mouth.connect(ear).expect("the parent listens");
    let say = |word: &str| {
        mouth.send(word.as_bytes()).expect("the parent listens");
    };
    let script = Script::new(SEED, FEW);
    let Ok(engine) = super::open_directory(&name, Path::new(&directory)) else {
        return say("fault");
    };
    let mut acknowledged = 0;
    for changes in &script.commits {
        if engine.commit(changes).is_err() {
            say("fault");
            if engine.commit(changes).is_ok() {
                say("a failed engine goes on");
            }
            break;
        }
        acknowledged += 1;
        say("acknowledged");
    }
    match read_all(&*engine) {
        Ok(rows) if rows == script.states[acknowledged] => {}
        Ok(_) => say("a read is wrong"),
        Err(_) => say("fault"),
    }
}
