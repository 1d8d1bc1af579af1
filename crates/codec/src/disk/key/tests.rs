//! Byte order is key order.

use super::*;
use pangea_core::item::PrimaryKey;

fn number(text: &str) -> KeyValue {
    KeyValue::N(Number::parse(text).expect("a number"))
}

#[test]
fn numbers_order_as_bytes_as_they_do_as_numbers() {
    let ascending = [
        "-9.9999999999999999999999999999999999999E+125",
        "-100.1",
        "-100",
        "-99.999",
        "-10.5",
        "-10.05",
        "-10",
        "-9",
        "-1.0000000000000000000000000000000000001",
        "-1",
        "-0.5",
        "-1E-130",
        "0",
        "1E-130",
        "0.5",
        "1",
        "1.0000000000000000000000000000000000001",
        "9",
        "10",
        "10.05",
        "10.5",
        "99.999",
        "100",
        "100.1",
        "12345678901234567890123456789012345678",
        "9.9999999999999999999999999999999999999E+125",
    ];
    for pair in ascending.windows(2) {
        assert!(sort_bytes(&number(pair[0])) < sort_bytes(&number(pair[1])), "{pair:?}");
    }
    assert_eq!(sort_bytes(&number("1.0")), sort_bytes(&number("1")));
}

#[test]
fn random_numbers_order_as_bytes_as_they_do_as_numbers() {
    let mut state = 7u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state >> 33
    };
    let mut numbers: Vec<Number> = (0..4000)
        .filter_map(|_| {
            let digits = i128::from(next()) * i128::from(next()) % 10i128.pow(next() as u32 % 18);
            let sign = if next() % 2 == 0 { 1 } else { -1 };
            let exponent = i16::try_from(next() % 200).expect("small") - 110;
            Number::from_parts(sign * digits, exponent).ok()
        })
        .collect();
    numbers.sort();
    numbers.dedup();
    assert!(numbers.len() > 1000);
    for pair in numbers.windows(2) {
        let [low, high] = [pair[0], pair[1]].map(|number| sort_bytes(&KeyValue::N(number)));
        assert!(low < high, "{pair:?}");
    }
}

#[test]
fn a_partition_stands_together_in_the_order_of_its_sort_keys() {
    let table = TableId::LEDGER;
    let key = |sort: &str| ItemKey {
        table,
        primary: PrimaryKey {
            partition: KeyValue::S("p".to_owned()),
            sort: Some(KeyValue::S(sort.to_owned())),
        },
    };
    let keys = ["", "a", "a\0", "aa", "b", "ä"].map(|sort| row_key(&key(sort)));
    assert!(keys.is_sorted());
    let prefix = partition_prefix(table, &KeyValue::S("p".to_owned()));
    assert!(keys.iter().all(|key| key.starts_with(&prefix)));
    assert_ne!(prefix, partition_prefix(table, &KeyValue::B(b"p".to_vec())));
    assert_eq!(read_table(&keys[0]), Ok(table));
    assert!(read_table(b"short").is_err());
}

#[test]
fn segments_cut_the_hash_space_evenly_and_leave_nothing_out() {
    let starts: Vec<_> = (0..=7).map(|at| segment_start(TableId::CATALOG, at, 7)).collect();
    assert_eq!(starts[7], None);
    assert!(starts[..7].is_sorted());
    assert!(starts[0].as_ref().expect("a key")[TABLE_BYTES..].iter().all(|&byte| byte == 0));
}

#[test]
fn changelog_keys_stand_by_origin_then_reading() {
    let stamp = |origin, hlc| Stamp { hlc: Hlc::from_bits(hlc), origin: Origin::from_bits(origin) };
    let stamps = [stamp(1, 5), stamp(1, 256), stamp(2, 0), stamp(256, 1)];
    assert!(stamps.map(changelog_key).is_sorted());
    assert_eq!(read_changelog_key(&changelog_key(stamps[3])), Ok(stamps[3]));
    assert!(read_changelog_key(b"x").is_err());
}
