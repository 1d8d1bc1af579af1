//! What is done to a disk that fails: a fixed sequence of commits of real rows.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, ControlFlow};

use pangea_codec::disk::{self, key, meta};
use pangea_core::id::{Origin, TableId};
use pangea_core::item::{AttributeValue, Attributes, KeyValue, Number, PrimaryKey};
use pangea_core::merge::{Body, Stored, Version};
use pangea_core::time::{Hlc, Stamp};

use crate::storage::{Change, Engine, Fault, Space};

/// All rows of an engine.
pub type Rows = BTreeMap<(Space, Vec<u8>), Vec<u8>>;

const TABLE: TableId = TableId(Stamp { hlc: Hlc::from_bits(77), origin: Origin::from_bits(1) });
/// Items that the script writes over and over.
const ITEMS: u64 = 40;

/// Splitmix64: the same faults in every run.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// Any number.
    #[expect(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Commits, and all rows before the first and after each.
#[derive(Clone, Debug)]
pub struct Script {
    /// The commits, in order.
    pub commits: Vec<Vec<Change>>,
    /// `states[n]` is what is there after `n` commits.
    pub states: Vec<Rows>,
}

impl Script {
    /// `count` commits of items, their changelog entries and the newest stamp, as the writer makes
    /// them: some new, some over old ones, some removed, a few of several pages.
    #[must_use]
    pub fn new(seed: u64, count: usize) -> Self {
        let mut random = Random(seed);
        let (mut commits, mut states) = (Vec::new(), vec![Rows::new()]);
        let mut entries: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let mut ms = 1_789_000_000_000;
        for _ in 0..count {
            let mut changes = BTreeMap::new();
            let touched: BTreeSet<u64> =
                (0..=random.below(7)).map(|_| random.below(ITEMS)).collect();
            for item in touched {
                ms += 1;
                change(item, ms, &mut random, &mut entries, &mut changes);
            }
            let last = meta::hlc(Hlc::from_parts(ms, 0));
            changes.insert((Space::Meta, meta::LAST.to_vec()), Some(last));
            let mut rows = states.last().expect("begun with one").clone();
            for (place, value) in &changes {
                match value {
                    Some(value) => rows.insert(place.clone(), value.clone()),
                    None => rows.remove(place),
                };
            }
            states.push(rows);
            let change = |((space, key), value)| (space, key, value);
            commits.push(changes.into_iter().map(change).collect());
        }
        Self { commits, states }
    }
}

/// One write of an item: its row, its entry in the changelog, the entry before removed.
fn change(
    item: u64,
    ms: u64,
    random: &mut Random,
    entries: &mut BTreeMap<Vec<u8>, Vec<u8>>,
    changes: &mut BTreeMap<(Space, Vec<u8>), Option<Vec<u8>>>,
) {
    let partition = KeyValue::S(format!("customer-{}", item / 4));
    let sort = Some(KeyValue::N(Number::from(i64::try_from(item % 4).expect("small"))));
    let primary = PrimaryKey { partition, sort };
    let row_key = key::row_in(TABLE, &primary);
    if let Some(before) = entries.remove(&row_key) {
        changes.insert((Space::Changelog, before), None);
    }
    let row = (random.below(5) > 0).then(|| {
        let stamp = Stamp { hlc: Hlc::from_parts(ms, 0), origin: Origin::from_bits(1) };
        disk::encode_row(&primary, &Stored::single(Version::first(stamp, Body::live(body(random)))))
    });
    if row.is_some() {
        let entry = [&[0, 1], &ms.to_be_bytes()[..], &row_key].concat();
        changes.insert((Space::Changelog, entry.clone()), Some(row_key.clone()));
        entries.insert(row_key.clone(), entry);
    }
    changes.insert((Space::Items, row_key), row);
}

/// Text that does not compress to nothing.
fn body(random: &mut Random) -> Attributes {
    let words = if random.below(12) == 0 { 700 } else { random.below(40) };
    let text: String = (0..words).map(|_| format!("{:016x}", random.next())).collect();
    [("text".to_owned(), AttributeValue::S(text))].into()
}

/// All rows of an engine.
///
/// # Errors
///
/// The first fault that a read meets.
pub fn read_all(engine: &dyn Engine) -> Result<Rows, Fault> {
    let view = engine.view()?;
    let mut rows = Rows::new();
    for space in Space::ALL {
        let all = (Bound::Unbounded, Bound::Unbounded);
        view.scan(space, all, false, &mut |key, value| {
            rows.insert((space, key.to_vec()), value.to_vec());
            ControlFlow::Continue(())
        })?;
    }
    Ok(rows)
}
