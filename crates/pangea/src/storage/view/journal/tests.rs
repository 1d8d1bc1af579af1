use pangea_codec::disk::meta::Identity;
use pangea_core::id::{Origin, RegionSlot};
use pangea_core::item::{ItemKey, KeyValue, PrimaryKey};
use pangea_core::replica::{Batch, Snapshot as _};
use pangea_core::time::{Hlc, Stamp};

use super::*;
use crate::storage::Store;
use crate::storage::memory::Memory;

fn stamp(bits: u64) -> Stamp {
    let origin = Origin::new(RegionSlot::new(0).expect("small"), 1);
    Stamp { hlc: Hlc::from_bits(bits), origin }
}

fn record(table: TableId, sequence: u64) -> Record {
    let primary = PrimaryKey { partition: KeyValue::S("k".to_owned()), sort: None };
    let (wall_ms, stream_ms, expired) = (7, 5, false);
    let (key, stamp) = (ItemKey { table, primary }, stamp(sequence));
    Record { sequence, wall_ms, stream_ms, expired, key, stamp, before: None, after: None }
}

#[test]
fn records_are_ranges_of_sequences_and_go_in_steps() {
    let identity =
        Identity { cluster: "c".to_owned(), region: "eu".to_owned(), slot: 0, incarnation: 1 };
    let (store, _) = Store::with_engine(Memory::new(), identity).expect("an empty engine");
    let tables = [TableId(stamp(1)), TableId(stamp(2))];
    let table_of = |sequence: u64| tables[usize::from(sequence % 2 == 1)];
    let journal = (10..3_000).map(|it| record(table_of(it), it)).collect();
    store.write(vec![Batch { journal, ..Batch::default() }]).expect("room");
    let view = store.snapshot().expect("a view");
    let read = |view: &StoreView, (from, until), back, limit| {
        let mut found = Vec::new();
        let visit = |record: Record| {
            found.push(record.sequence);
            if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let read = match back {
            true => view.journal_back(tables[0], (from, until), visit),
            false => view.journal(tables[0], (from, until), visit),
        };
        read.expect("readable");
        found
    };
    assert_eq!(read(&view, (12, 18), false, 9), [12, 14, 16]);
    assert_eq!(read(&view, (12, u64::MAX), true, 2), [2_998, 2_996]);
    assert_eq!(read(&view, (18, 12), false, 9), Vec::<u64>::new());
    assert_eq!(view.journaled().expect("readable"), 2_999);
    assert_eq!(view.first_record(tables[0]), Some(10));
    let trim = || {
        let trimmed = [(tables[0], 2_500)].into();
        store.write(vec![Batch { trimmed, ..Batch::default() }]).expect("room");
        store.snapshot().expect("a view").first_record(tables[0])
    };
    assert_eq!(trim(), Some(10 + 2 * 1024), "some of them");
    assert_eq!((trim(), trim()), (Some(2_500), Some(2_500)));
    let view = store.snapshot().expect("a view");
    assert_eq!(view.first_record(tables[1]), Some(11), "those of the other table stay");
    assert_eq!(view.first_record(TableId(stamp(3))), None);
    assert_eq!(store.recover().expect("readable").journaled, 2_999);
}
