//! Fingerprints tell what they shall tell apart, and nothing else; their numbers are frozen.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use std::collections::BTreeSet;

use super::*;
use crate::crdt::{Options, State};
use crate::id::{Origin, RegionSlot};
use crate::item::{AttributeValue, Attributes, KeyValue, Number};
use crate::merge::{Body, Origins, VersionVector};
use crate::time::{Hlc, Stamp};

fn stamp(ms: u64, slot: u8) -> Stamp {
    let origin = Origin::new(RegionSlot::new(slot).expect("small"), 1);
    Stamp { hlc: Hlc::from_parts(ms, 0), origin }
}

fn key(text: &str) -> PrimaryKey {
    PrimaryKey { partition: KeyValue::S(text.to_string()), sort: None }
}

fn item(text: &str) -> Attributes {
    [
        ("s".to_string(), AttributeValue::S(text.to_string())),
        ("n".to_string(), AttributeValue::N(Number::from(-7))),
        ("b".to_string(), AttributeValue::B(alloc::vec![1, 2, 3, 4, 5, 6, 7, 8, 9])),
        ("l".to_string(), AttributeValue::L(alloc::vec![AttributeValue::Null])),
        ("set".to_string(), AttributeValue::Ss(["x".to_string(), "y".to_string()].into())),
    ]
    .into()
}

fn live(text: &str, ms: u64) -> Version {
    Version::first(stamp(ms, 1), Body::live(item(text)))
}

#[test]
fn the_numbers_are_frozen() {
    let merging = |text: &str| {
        let mut state = State::default();
        state.put(stamp(9, 2), &["s"], &item(text), &Options::default());
        Version::first(stamp(9, 2), Body::Crdt(state.into()))
    };
    let sums = [
        of_version(&key("k"), &live("text", 5)),
        of_version(&key("k"), &Version::first(stamp(5, 1), Body::Tombstone)),
        of_version(&key("k"), &merging("text")),
    ];
    let text: Vec<String> = sums.iter().map(|sum| alloc::format!("{sum:032x}")).collect();
    // A change here is a change of FORMAT, and of what regions of different releases compare.
    assert_eq!(text, FROZEN);
    assert_eq!([bucket(&key("k")), bucket(&key("another"))], BUCKETS_FROZEN);
}

#[test]
fn attributes_told_one_by_one_have_the_same_number() {
    for text in ["", "t", "1234567", "12345678", "1234567890123456", "é much longer than sixteen"]
    {
        let version = live(text, 5);
        let Body::Live(attributes) = &version.body else { panic!("attributes") };
        let (stamp, origins) = (version.stamp, version.origins);
        let mut teller = Teller::new(&key("k"), stamp, origins, attributes.len());
        for (name, value) in attributes.iter() {
            teller.name(name.as_bytes());
            match value {
                AttributeValue::S(text) => teller.text(text.as_bytes()),
                AttributeValue::B(bytes) => teller.bytes(bytes),
                other => teller.value(other),
            }
        }
        assert_eq!(teller.sum(), of_version(&key("k"), &version), "{text}");
    }
}

const FROZEN: [&str; 3] = [
    "062f59862a02e29a40db09847d8d0abf",
    "df65c8beb6eb359da532ae2abcff50a1",
    "8e0bb8dbfab6328511bd8f7fd1a91941",
];
const BUCKETS_FROZEN: [u8; 2] = [188, 108];

#[test]
fn what_was_seen_does_not_count_and_everything_else_does() {
    let version = live("text", 5);
    let mut longer = version.clone();
    longer.context = VersionVector::from_entries([(stamp(4, 3).origin, stamp(4, 3).hlc)]);
    let sum = of_version(&key("k"), &version);
    assert_eq!(of_version(&key("k"), &longer), sum);
    let others = [
        of_version(&key("l"), &version),
        of_version(&key("k"), &live("texu", 5)),
        of_version(&key("k"), &live("text", 6)),
        of_version(&key("k"), &Version { stamp: stamp(5, 2), ..version.clone() }),
        of_version(&key("k"), &Version { body: Body::Tombstone, ..version.clone() }),
        of_version(
            &key("k"),
            &Version { origins: Origins { rows: 2, ..Origins::PLAIN }, ..version },
        ),
    ];
    assert!(!others.contains(&sum));
    assert_eq!(others.iter().collect::<BTreeSet<_>>().len(), others.len());
}

#[test]
fn an_item_that_is_deleted_in_all_versions_counts_as_nothing() {
    let dead = |ms| Version::first(stamp(ms, 2), Body::Tombstone);
    let both = |one: Version, other: Version| Stored {
        seen: VersionVector::default(),
        versions: Vec::from([one, other]),
    };
    assert_eq!(of_item(&key("k"), &both(dead(9), dead(8))), 0);
    let mixed = of_item(&key("k"), &both(dead(9), live("text", 5)));
    assert_ne!(mixed, 0);
    assert_ne!(mixed, of_item(&key("k"), &Stored::single(live("text", 5))));
}

/// Near inputs give far numbers: of a bit that flips, about half of the output does.
#[test]
fn one_bit_changes_half_of_the_number() {
    let mut flipped = 0;
    for nth in 0..256_u32 {
        let text = |bit: u32| {
            let mut bytes = [b'a'; 32];
            bytes[nth as usize / 8] ^= (bit << (nth % 8)) as u8 & 0x7f;
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let (one, other) = (live(&text(0), 5), live(&text(1), 5));
        let differs = of_version(&key("k"), &one) ^ of_version(&key("k"), &other);
        flipped += differs.count_ones();
        let whole = differs.count_ones();
        assert!(whole == 0 || (30..=98).contains(&whole), "{nth}: {whole} of 128 bits");
    }
    assert!((56..=70).contains(&(flipped / 224)), "{flipped}");
}

#[test]
fn buckets_are_used_evenly() {
    let mut counts = [0_u32; BUCKETS];
    (0..25_600).for_each(|n: u32| counts[usize::from(bucket(&key(&n.to_string())))] += 1);
    // 100 each, with a standard deviation of 10.
    assert!(counts.iter().all(|count| (50..150).contains(count)), "{counts:?}");
}
