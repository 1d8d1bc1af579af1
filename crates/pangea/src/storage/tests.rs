//! Engines against the suite, and what a disk that fails does to them.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::memory::Memory;
use super::redb::{Options, Redb};
use super::*;

/// A directory of its own for one test, gone when dropped.
#[derive(Debug)]
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("pangea-storage-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // What an earlier process of this id left behind.
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    pub(super) fn open(&self) -> Result<Redb, Fault> {
        Redb::open_directory(&self.0, options())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn options() -> Options {
    Options { cache_bytes: 8 << 20, reserve_bytes: 0, ..Options::default() }
}

#[derive(Debug)]
struct Scratched(Redb, Scratch);

impl Engine for Scratched {
    fn view(&self) -> Result<Arc<dyn View>, Fault> {
        self.0.view()
    }
    fn commit_if(&self, conditions: &[Condition], ops: &[Change]) -> Result<Outcome, Fault> {
        self.0.commit_if(conditions, ops)
    }
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }
    fn health(&self) -> Result<(), Fault> {
        self.0.health()
    }
    fn close(&self) {
        self.0.close();
    }
}

#[test]
fn memory_conforms() {
    conformance::suite(Memory::new, |engine| engine.reopen());
}

#[test]
fn an_engine_of_partitions_conforms() {
    conformance::suite(Memory::partitioned, |engine| engine.reopen());
}

#[test]
#[should_panic(expected = "inside one partition alone")]
fn an_engine_of_partitions_takes_no_batch_of_the_whole_node() {
    let meta = (Space::Meta, b"m".to_vec(), Some(Vec::new()));
    let _ = Memory::partitioned().commit(&[put(b"a", b"1"), meta]);
}

#[test]
#[should_panic(expected = "conditions of a commit are in one partition")]
fn conditions_are_in_one_partition() {
    let place = |key: u8| Place::new(Space::Items, &[key; 26]);
    let conditions = [1, 2].map(|key| Condition { place: place(key), expected: None });
    let _ = Memory::new().commit_if(&conditions, &[]);
}

#[test]
fn a_directory_is_opened_with_the_engine_that_made_it() {
    let scratch = Scratch::new();
    drop(EngineOptions::default().open(&scratch.0).expect("a new directory opens"));
    let other = EngineOptions { kind: EngineKind::RocksDb, ..EngineOptions::default() };
    let refused = |options: EngineOptions| options.open(&scratch.0).expect_err("not its engine");
    let text = refused(other).to_string();
    assert!(text.contains("storage.engine = \"redb\""), "{text}");
    std::fs::remove_file(scratch.0.join("region.redb")).expect("it is there");
    std::fs::create_dir(scratch.0.join("rocksdb")).expect("there is room");
    let text = refused(EngineOptions::default()).to_string();
    assert!(text.contains("storage.engine = \"rocksdb\""), "{text}");
    if !EngineKind::RocksDb.is_built_in() {
        let text = refused(other).to_string();
        assert!(text.contains("--features rocksdb"), "{text}");
    }
}

#[test]
fn a_lost_file_is_not_taken_for_a_new_one() {
    let scratch = Scratch::new();
    let engine = scratch.open().expect("a new directory opens");
    engine.commit(&[put(b"a", b"1")]).expect("there is room");
    drop(engine);
    std::fs::remove_file(scratch.0.join("region.redb")).expect("it is there");
    let fault = scratch.open().expect_err("what was acknowledged is gone");
    assert!(matches!(&fault, Fault::Damaged { file, .. } if file.ends_with("region.redb")));
    std::fs::remove_file(scratch.0.join("acknowledged")).expect("it is there");
    scratch.open().expect("the operator said so");
}

#[test]
fn redb_conforms() {
    let make = || {
        let scratch = Scratch::new();
        Scratched(scratch.open().expect("a new directory opens"), scratch)
    };
    let reopen = |Scratched(engine, scratch): Scratched| {
        drop(engine);
        Scratched(scratch.open().expect("its own directory opens"), scratch)
    };
    conformance::suite(make, reopen);
}

fn put(key: &[u8], value: &[u8]) -> Change {
    (Space::Items, key.to_vec(), Some(value.to_vec()))
}

#[test]
fn a_directory_has_one_process() {
    let scratch = Scratch::new();
    let engine = scratch.open().expect("a new directory opens");
    assert!(matches!(scratch.open(), Err(Fault::Read(why)) if why.contains("in use")));
    drop(engine);
    scratch.open().expect("free again");
}

#[test]
fn a_full_disk_refuses_commits_before_anything_is_written_and_recovers() {
    let scratch = Scratch::new();
    let full = Options { reserve_bytes: u64::MAX / 2, ..options() };
    let engine = Redb::open_directory(&scratch.0, full).expect("a new directory opens");
    let fault = engine.commit(&[put(b"a", b"1")]).expect_err("less free than the reserve");
    assert!(matches!(fault, Fault::DiskFull { .. }) && fault.nothing_written());
    assert!(fault.is_passing());
    drop(engine);
    let memory = Memory::new();
    memory.set_full(true);
    assert!(matches!(memory.commit(&[put(b"a", b"1")]), Err(Fault::DiskFull { .. })));
    memory.set_full(false);
    memory.commit(&[put(b"a", b"1")]).expect("there is room again");
}

#[test]
fn a_failed_commit_poisons_memory_and_reads_go_on() {
    for ios in 0..3 {
        let engine = Memory::new();
        engine.commit(&[put(b"a", b"1")]).expect("no fault yet");
        engine.fail_after(Some(ios));
        let fault = engine.commit(&[put(b"a", b"2"), put(b"b", b"2")]).expect_err("injected");
        assert!(matches!(fault, Fault::Write(_)) && !fault.nothing_written());
        engine.fail_after(None);
        assert!(matches!(engine.commit(&[put(b"c", b"3")]), Err(Fault::ReadOnly(_))));
        let view = engine.view().expect("reads go on");
        assert_eq!(view.get(Space::Items, b"a").expect("reads go on"), Some(b"1".to_vec()));
        engine.reopen().commit(&[put(b"c", b"3")]).expect("a new process begins anew");
    }
}

#[test]
fn an_overlay_reads_its_base_and_keeps_changes_to_itself() {
    use ::redb::StorageBackend as _;
    let base = ::redb::backends::InMemoryBackend::new();
    base.set_len(10_000).expect("memory grows");
    base.write(4090, b"abcdefghij").expect("memory writes");
    let overlay = Overlay::new(Box::new(base)).expect("it has a length");
    let read = |offset, len: usize| {
        let mut out = vec![1; len];
        overlay.read(offset, &mut out).map(|()| out)
    };
    overlay.write(4094, b"XY").expect("an overlay writes");
    assert_eq!(read(4090, 10).expect("within"), b"abcdXYghij");
    assert!(read(9_999, 2).is_err());
    overlay.set_len(4095).expect("an overlay shrinks");
    overlay.set_len(20_000).expect("an overlay grows");
    assert_eq!(read(4090, 10).expect("within"), b"abcdX\0\0\0\0\0");
    assert_eq!(read(12_000, 3).expect("within"), [0; 3]);
    assert_eq!(overlay.len().expect("it has a length"), 20_000);
}
