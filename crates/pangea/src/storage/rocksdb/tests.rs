//! RocksDB against the suite, and what is peculiar to it.

use std::ops::Bound;

use pangea_codec::disk::{self, key};
use pangea_core::id::{Origin, TableId};
use pangea_core::item::{Attributes, KeyValue, PrimaryKey};
use pangea_core::merge::{Body, Stored, Version};
use pangea_core::time::{Hlc, Stamp};

use super::opening::open as open_database;
use super::*;
use crate::storage::memtable::Key;
use crate::storage::tests::Scratch;
use crate::storage::{OnDamage, StoreView, conformance};

const TABLE: TableId = TableId(Stamp { hlc: Hlc::from_bits(77), origin: Origin::from_bits(1) });

fn options() -> Options {
    Options { cache_bytes: 8 << 20, reserve_bytes: 0, log_bytes: 256 << 10 }
}

#[derive(Debug)]
struct Scratched(RocksDb, Scratch);

impl Engine for Scratched {
    fn view(&self) -> Result<Arc<dyn View>, Fault> {
        self.0.view()
    }
    fn commit_if(&self, conditions: &[Condition], changes: &[Change]) -> Result<Outcome, Fault> {
        self.0.commit_if(conditions, changes)
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

fn open(scratch: &Scratch) -> Result<RocksDb, Fault> {
    RocksDb::open_directory(&scratch.0, options())
}

#[test]
fn rocksdb_conforms() {
    let make = || {
        let scratch = Scratch::new();
        Scratched(open(&scratch).expect("a new directory opens"), scratch)
    };
    let reopen = |Scratched(engine, scratch): Scratched| {
        drop(engine);
        Scratched(open(&scratch).expect("its own directory opens"), scratch)
    };
    conformance::suite(make, reopen);
}

#[test]
fn a_full_disk_refuses_commits_before_anything_is_written() {
    let scratch = Scratch::new();
    let full = Options { reserve_bytes: u64::MAX / 2, ..options() };
    let engine = RocksDb::open_directory(&scratch.0, full).expect("a new directory opens");
    let fault = engine.commit(&[]).expect_err("less free than the reserve");
    assert!(matches!(fault, Fault::DiskFull { .. }) && fault.is_passing());
}

#[test]
fn a_view_outlives_its_engine() {
    let scratch = Scratch::new();
    let engine = open(&scratch).expect("a new directory opens");
    let put = |value: &[u8]| [(Space::Meta, b"m".to_vec(), Some(value.to_vec()))];
    engine.commit(&put(b"1")).expect("there is room");
    let view = engine.view().expect("it reads");
    engine.commit(&put(b"2")).expect("there is room");
    drop(engine);
    assert_eq!(view.get(Space::Meta, b"m").expect("it reads"), Some(b"1".to_vec()));
}

/// The one table file of a space's rows, the largest there is.
fn table_file(scratch: &Scratch) -> PathBuf {
    let entries = std::fs::read_dir(scratch.0.join(DIRECTORY)).expect("it is there").flatten();
    let tables = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sst"));
    let len = |path: &PathBuf| path.metadata().expect("it is there").len();
    tables.max_by_key(len).expect("something was flushed")
}

#[test]
fn a_damaged_block_is_named_by_its_file_and_scanned_past() {
    const ROWS: usize = 3000;
    let scratch = Scratch::new();
    let engine = open(&scratch).expect("a new directory opens");
    let mut changes: Vec<Change> = Vec::new();
    for number in 0..ROWS {
        let primary = PrimaryKey { partition: KeyValue::S(format!("p{number}")), sort: None };
        let stored = Stored::single(Version::first(TABLE.0, Body::live(Attributes::new())));
        let row = disk::encode_row(&primary, &stored);
        changes.push((Space::Items, key::row_in(TABLE, &primary), Some(row)));
    }
    changes.sort();
    engine.commit(&changes).expect("there is room");
    engine.checkpoint().expect("there is room");
    drop(engine);
    let file = table_file(&scratch);
    let mut bytes = std::fs::read(&file).expect("it is there");
    let at = bytes.len() / 3;
    bytes[at] ^= 8;
    std::fs::write(&file, bytes).expect("there is room");
    let engine = open(&scratch).expect("its blocks are read when they are asked for");
    let view = StoreView::new(engine.view().expect("it reads"));
    let stopped = view.scan_rows(TABLE, Bound::Unbounded, ROWS, OnDamage::Stop);
    let name = file.file_name().expect("a file").to_str().expect("digits").to_owned();
    let fault = stopped.expect_err("a block is damaged");
    assert!(matches!(&fault, Fault::Damaged { file, .. } if file.ends_with(&name)), "{fault}");
    let found = view.scan_rows(TABLE, Bound::Unbounded, ROWS, OnDamage::GoOn);
    let found = found.expect("it goes on");
    assert_eq!(found.unreadable.len(), 1);
    assert!(found.rows.len() < ROWS && found.rows.len() > ROWS / 2, "{}", found.rows.len());
    let unreadable = |key: &Vec<u8>| {
        found.unreadable.iter().any(|range| std::ops::RangeBounds::contains(range, key))
    };
    let named = changes.iter().filter(|change| unreadable(&change.1)).count();
    assert_eq!(named + found.rows.len(), ROWS, "each row is read or named");
}

#[test]
fn errors_name_their_file() {
    let place = Path::new("/d/rocksdb");
    for (text, file) in [
        (
            "block checksum mismatch: stored = 1, computed = 2 in /d/rocksdb/000012.sst offset 0",
            "000012.sst",
        ),
        ("Corruption: checksum mismatch in file '000007.log'", "000007.log"),
        ("CURRENT names MANIFEST-000004, which is not there", "MANIFEST-000004"),
    ] {
        assert_eq!(named(place, text), format!("/d/rocksdb/{file}"));
    }
    assert_eq!(named(place, "unknown"), "/d/rocksdb");
}

fn put(value: &[u8]) -> [Change; 1] {
    [(Space::Meta, b"m".to_vec(), Some(value.to_vec()))]
}

fn value(view: &dyn View) -> Option<Vec<u8>> {
    view.get(Space::Meta, b"m").expect("it reads")
}

/// An engine with a commit in RocksDB's files and one in the log.
fn moved_and_logged(scratch: &Scratch) -> RocksDb {
    let engine = open(scratch).expect("a new directory opens");
    engine.commit(&put(b"moved")).expect("there is room");
    engine.checkpoint().expect("there is room");
    engine.commit(&put(b"in the log")).expect("there is room");
    engine
}

#[test]
fn what_the_log_has_is_read_where_nothing_can_be_written() {
    let (scratch, copy) = (Scratch::new(), Scratch::new());
    let _engine = moved_and_logged(&scratch);
    let place = copy.0.join(DIRECTORY);
    copy_directory(&scratch, &copy);
    let directory = Directory::take(&copy.0).expect("it is there");
    let opened = open_read_only(&directory, &place, options()).expect("it reads");
    let found = opened.table.get(Space::Meta, &Key::of(b"m"), 2).flatten();
    assert_eq!(found.as_ref().map(|it| it.bytes()), Some(&b"in the log"[..]));
    assert!(opened.acknowledged.number() == 2 && opened.log.is_none());
    drop((opened, directory));
    let writable = RocksDb::open_directory(&copy.0, options()).expect("and is written again");
    assert_eq!(value(&*writable.view().expect("it reads")), Some(b"in the log".to_vec()));
}

#[test]
fn a_database_with_a_log_of_its_own_is_taken_over() {
    let scratch = Scratch::new();
    let place = scratch.0.join(DIRECTORY);
    std::fs::create_dir_all(&place).expect("there is room");
    let database = open_database(&place, options()).expect("a new directory opens");
    let mut batch = rocksdb::WriteBatch::default();
    batch.put_cf(family(&database, Space::Meta), b"m", b"old");
    batch.put(b"commits", disk::meta::commits(3));
    let mut how = rocksdb::WriteOptions::default();
    how.set_sync(true);
    database.write_opt(batch, &how).expect("there is room");
    drop(database);
    for before in [&b"old"[..], b"new"] {
        let engine = open(&scratch).expect("an older version's directory opens");
        assert_eq!(value(&*engine.view().expect("it reads")), Some(before.to_vec()));
        engine.commit(&put(b"new")).expect("there is room");
        let number = engine.committing().acknowledged.number();
        assert_eq!(number, if before == b"old" { 4 } else { 5 });
    }
}

#[test]
fn commits_go_on_while_what_they_were_is_moved() {
    let scratch = Scratch::new();
    let options = Options { log_bytes: 16 << 10, ..options() };
    let engine = RocksDb::open_directory(&scratch.0, options).expect("a new directory opens");
    for round in 0..200_u32 {
        engine.commit(&put(&round.to_be_bytes())).expect("there is room");
    }
    let in_files = {
        let mut committing = engine.committing();
        assert_eq!(finish(&mut committing), Ok(()));
        table_file(&scratch).exists()
    };
    assert!(in_files, "the log was full more than once");
    drop(engine);
    let engine = RocksDb::open_directory(&scratch.0, options).expect("it was closed in order");
    let last = 199_u32.to_be_bytes().to_vec();
    assert_eq!(value(&*engine.view().expect("it reads")), Some(last));
    assert_eq!(engine.committing().acknowledged.number(), 200);
}

#[test]
fn rows_that_are_there_before_their_commit_do_no_harm() {
    let (scratch, copy) = (Scratch::new(), Scratch::new());
    let engine = moved_and_logged(&scratch);
    // As if a checkpoint had ended there: RocksDB has the row and not the number of its commit.
    let mut row = rocksdb::WriteBatch::default();
    row.put_cf(family(&engine.database, Space::Meta), b"m", b"in the log");
    let mut how = rocksdb::WriteOptions::default();
    how.disable_wal(true);
    engine.database.write_opt(row, &how).expect("there is room");
    let shown = value(&*engine.view().expect("it reads"));
    assert_eq!(shown, Some(b"in the log".to_vec()));
    engine.database.flush_cf(family(&engine.database, Space::Meta)).expect("there is room");
    copy_directory(&scratch, &copy);
    let reopened = open(&copy).expect("as a crash would leave it");
    assert_eq!(value(&*reopened.view().expect("it reads")), Some(b"in the log".to_vec()));
    assert_eq!(reopened.committing().acknowledged.number(), 2);
}

/// Files as they are at the moment, and would be after `kill -9`.
fn copy_directory(from: &Scratch, to: &Scratch) {
    std::fs::create_dir_all(to.0.join(DIRECTORY)).expect("there is room");
    for folder in ["", DIRECTORY] {
        let entries = std::fs::read_dir(from.0.join(folder)).expect("it is there").flatten();
        for entry in entries.filter(|entry| entry.path().is_file()) {
            let to = to.0.join(folder).join(entry.file_name());
            std::fs::copy(entry.path(), to).expect("there is room");
        }
    }
}
