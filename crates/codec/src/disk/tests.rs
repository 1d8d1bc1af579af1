//! Keys sort as values do, rows round-trip, damage is noticed.

use super::*;
use pangea_core::id::{Origin, RegionSlot};
use pangea_core::item::{AttributeValue, KeyValue, Number};
use pangea_core::merge::overwrite;
use pangea_core::time::{Hlc, Stamp};

fn origin(slot: u8) -> Origin {
    Origin::new(RegionSlot::new(slot).expect("small slot"), 1)
}

fn key() -> PrimaryKey {
    let sort = Number::parse("-12.5").expect("a number");
    PrimaryKey { partition: KeyValue::S("p".into()), sort: Some(KeyValue::N(sort)) }
}

fn stored() -> Stored {
    let stamp = Stamp { hlc: Hlc::from_parts(1_789_000_000_000, 2), origin: origin(1) };
    let item = [
        ("p".to_string(), AttributeValue::S("p".into())),
        ("n".to_string(), AttributeValue::N(Number::from(7))),
    ];
    let mut stored = overwrite(None, stamp, Body::Live(item.into()), true);
    stored.seen.record(Stamp { hlc: Hlc::from_parts(5, 0), origin: origin(2) });
    stored
}

#[test]
fn the_format_is_frozen() {
    let hex: String = encode_row(&key(), &stored()).iter().map(|b| format!("{b:02x}")).collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/disk-row-v1.hex");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, format!("{hex}\n")).expect("the golden file is writable");
    }
    assert_eq!(hex, std::fs::read_to_string(path).expect("the golden file").trim());
}

#[test]
fn rows_round_trip() {
    let row = encode_row(&key(), &stored());
    assert_eq!(decode_row(&row), Ok((key(), stored())));
    assert_eq!(decode_key(&row), Ok(key()));
    let tombstone = Stored {
        version: pangea_core::merge::Version { body: Body::Tombstone, ..stored().version },
        ..stored()
    };
    assert_eq!(decode_item(&encode_row(&key(), &tombstone)), Ok((key(), None)));
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let row = encode_row(&key(), &stored());
    for at in 0..row.len() {
        for bit in 0..8 {
            let mut damaged = row.clone();
            damaged[at] ^= 1 << bit;
            assert!(decode_row(&damaged).is_err(), "bit {bit} of byte {at}");
        }
        assert!(decode_row(&row[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn number_keys_sort_numerically() {
    let texts = [
        "-9.9E125", "-1000", "-100.5", "-100", "-99.99", "-10", "-1.5", "-1", "-0.5", "-1E-130",
        "0", "1E-130", "0.001", "0.5", "1", "1.5", "10", "99.99", "100", "100.5", "1000",
        "9.9E125",
    ];
    let keys = texts.map(|text| {
        let number = Number::parse(text).expect("a number");
        let sort = Some(KeyValue::N(number));
        key::row_in(TableId::LEDGER, &PrimaryKey { partition: KeyValue::S("p".into()), sort })
    });
    assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "{keys:x?}");
}

#[test]
fn segments_cover_a_table_without_overlap() {
    for total in [1, 2, 3, 7, 1_000_000] {
        let mut before = key::table(TableId::LEDGER);
        for index in (1..total).chain([total]).take(10) {
            let at = key::segment(TableId::LEDGER, index, total).expect("not the last table");
            assert!(at > before);
            before = at;
        }
    }
}

#[test]
fn changelog_keys_sort_by_origin_then_reading() {
    let stamp = |slot, bits| Stamp { hlc: Hlc::from_bits(bits), origin: origin(slot) };
    let stamps = [stamp(0, 1), stamp(0, 256), stamp(0, u64::MAX), stamp(1, 0)];
    let keys = stamps.map(key::changelog);
    assert!(keys.windows(2).all(|pair| pair[0] < pair[1]));
    assert_eq!(keys.map(|bytes| key::parse_changelog(&bytes)), stamps.map(Some));
}
