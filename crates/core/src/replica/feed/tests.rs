use core::cell::RefCell;
use std::string::ToString;
use std::vec;

use super::*;
use crate::item::{AttributeValue, ItemKey, KeyValue};
use crate::merge::{Body, Stored};
use crate::replica::Applied;

/// Rows of the catalog, which go to everyone, and the limits that they were asked for with.
struct Changes {
    entries: Vec<Entry>,
    asked: RefCell<Vec<usize>>,
}

impl Changes {
    /// Rows of so many bytes each, stamped from 1 ms on.
    fn new(me: Origin, rows: impl IntoIterator<Item = usize>) -> Self {
        let entry = |(ms, bytes): (u64, usize)| {
            let hlc = Hlc::from_parts(ms, 0);
            let body = [("noise".to_string(), AttributeValue::B(vec![0; bytes]))];
            let version = Version::first(Stamp { hlc, origin: me }, Body::live(body.into()));
            let primary = PrimaryKey { partition: KeyValue::S(ms.to_string()), sort: None };
            let key = ItemKey { table: TableId::CATALOG, primary };
            Entry { hlc, key, stored: Stored::single(version) }
        };
        let entries = (1..).zip(rows).map(entry).collect();
        Self { entries, asked: RefCell::default() }
    }
}

impl Snapshot for Changes {
    fn item(&self, _: &ItemKey) -> Option<Stored> {
        None
    }

    fn changes(&self, _: Origin, after: Hlc, to: Hlc, limit: usize) -> Vec<Entry> {
        self.asked.borrow_mut().push(limit);
        let within = self.entries.iter().filter(|entry| entry.hlc > after && entry.hlc <= to);
        within.take(limit).cloned().collect()
    }

    fn tombstones(&self, _: TableId, _: Option<Stamp>, _: usize) -> Vec<(Stamp, ItemKey)> {
        Vec::new()
    }

    fn newest(&self, _: Origin) -> Hlc {
        self.entries.last().map(|entry| entry.hlc).unwrap_or_default()
    }

    fn rows(&self, _: TableId, _: Option<&PrimaryKey>, _: usize) -> Vec<(ItemKey, Stored)> {
        Vec::new()
    }
}

/// What is read and not sent is read again, and its memory is the feeder's.
#[test]
fn few_entries_are_read_where_rows_are_great() {
    let slot = |index| RegionSlot::new(index).expect("small");
    let me = Origin::new(slot(0), 1);
    let sizes = [10; 1000].into_iter().chain([20_000; 200]);
    let store = Changes::new(me, sizes);
    let closed = Hlc::from_parts(1200, 0);
    let (applied, catalog, collected) = (Applied::new(), Default::default(), Default::default());
    let progress = Progress { closed, applied, catalog, collected };
    let mut feed = Feed::new(me, slot(1));
    feed.receive(Request::Subscribe { after: Hlc::ZERO });
    let now = Now { wall_ms: 2_000, mono_us: 0 };
    let (mut rows, mut place) = (0, Hlc::ZERO);
    while let Some(Frame::Rows(frame)) = feed.next(now, &progress, &store) {
        assert_eq!(frame.after, place, "no gap");
        place = frame.through;
        rows += frame.rows.len();
    }
    assert_eq!((rows, place), (1200, closed));
    let asked = store.asked.into_inner();
    assert!(asked.contains(&FEED_ROWS_MAX), "{asked:?}");
    assert!(asked.iter().filter(|limit| **limit == ENTRIES_MIN).count() > 10, "{asked:?}");
}
