//! Disk rows: fixed bytes, round trips of random items, and no panic whatever the bytes.

use std::fmt::Write as _;
use std::path::Path;

use pangea_codec::disk::{self, meta};
use pangea_core::id::{Origin, RegionSlot, TableId};
use pangea_core::item::{AttributeValue, Attributes, ItemKey, KeyValue, Number, PrimaryKey};
use pangea_core::merge::{Body, Stored, Version, VersionVector};
use pangea_core::time::{Hlc, Stamp};

/// Splitmix64: tests need variety, not quality.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn bytes(&mut self) -> Vec<u8> {
        (0..self.below(12)).map(|_| self.next() as u8).collect()
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    fn number(&mut self) -> Number {
        let mantissa = i128::from(self.next().cast_signed()) * i128::from(self.next() >> 4);
        let exponent = self.below(120) as i16 - 60;
        Number::from_parts(mantissa / 10i128.pow(self.below(30) as u32), exponent)
            .unwrap_or_else(|_| Number::from(7))
    }

    fn value(&mut self, depth: usize) -> AttributeValue {
        match self.below(if depth < 4 { 11 } else { 9 }) {
            0 => AttributeValue::S(self.text()),
            1 => AttributeValue::N(self.number()),
            2 => AttributeValue::B(self.bytes()),
            3 => AttributeValue::Bool(false),
            4 => AttributeValue::Bool(true),
            5 => AttributeValue::Null,
            6 => AttributeValue::Ss((0..3).map(|_| self.text()).collect()),
            7 => AttributeValue::Ns((0..3).map(|_| self.number()).collect()),
            8 => AttributeValue::Bs((0..3).map(|_| self.bytes()).collect()),
            9 => AttributeValue::L((0..self.below(4)).map(|_| self.value(depth + 1)).collect()),
            _ => AttributeValue::M(self.attributes(depth + 1)),
        }
    }

    fn attributes(&mut self, depth: usize) -> Attributes {
        (0..self.below(6)).map(|_| (self.text(), self.value(depth))).collect()
    }

    fn key_value(&mut self) -> KeyValue {
        match self.below(3) {
            0 => KeyValue::S(self.text()),
            1 => KeyValue::N(self.number()),
            _ => KeyValue::B(self.bytes()),
        }
    }

    fn vector(&mut self) -> VersionVector {
        let entry = |random: &mut Self| {
            (Origin::from_bits(random.below(9) as u16 * 1024), Hlc::from_bits(random.next()))
        };
        VersionVector::from_entries((0..self.below(4)).map(|_| entry(self)).collect::<Vec<_>>())
    }

    fn item(&mut self) -> (PrimaryKey, Stored) {
        let sort = (self.below(2) == 0).then(|| self.key_value());
        let context = self.vector();
        let seen = if self.below(2) == 0 { context.clone() } else { self.vector() };
        let body = match self.below(4) {
            0 => Body::Tombstone,
            _ => Body::Live(self.attributes(0)),
        };
        let origin = Origin::from_bits(self.below(65536) as u16);
        let stamp = Stamp { hlc: Hlc::from_bits(self.next()), origin };
        let version = Version { stamp, context, body, conditional: self.below(2) == 0 };
        (PrimaryKey { partition: self.key_value(), sort }, Stored { seen, version })
    }
}

#[test]
fn items_round_trip_and_have_one_spelling() {
    let mut random = Random(1);
    for _ in 0..5000 {
        let (key, stored) = random.item();
        let row = disk::encode_item(&key, &stored).expect("shallow");
        assert_eq!(disk::decode_stored(&row), Ok((key.clone(), stored.clone())));
        let item = disk::decode_item(&row).expect("just encoded");
        assert_eq!((&item.key, item.stamp), (&key, stored.version.stamp));
        assert_eq!(item.attributes.as_ref(), stored.version.body.attributes());
        let (key, stored) = disk::decode_stored(&row).expect("just encoded");
        assert_eq!(disk::encode_item(&key, &stored).expect("shallow"), row);
    }
}

#[test]
fn a_flipped_bit_anywhere_is_detected() {
    let mut random = Random(2);
    for _ in 0..100 {
        let (key, stored) = random.item();
        let row = disk::encode_item(&key, &stored).expect("shallow");
        for bit in 0..row.len() * 8 {
            let mut bad = row.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(disk::decode_stored(&bad).is_err() && disk::decode_item(&bad).is_err());
        }
    }
}

/// Half of the mutants get a checksum that holds, so that the parsers themselves are reached.
#[test]
fn garbage_gives_errors_or_values_but_no_panic() {
    let mut random = Random(3);
    let mut parsed = 0;
    for round in 0..20_000 {
        let (key, stored) = random.item();
        let mut row = disk::encode_item(&key, &stored).expect("shallow");
        for _ in 0..=random.below(4) {
            mutate(&mut random, &mut row);
        }
        if round % 2 == 0 && row.len() >= disk::SEAL_BYTES {
            row[0] = 0x11;
            reseal(&mut row);
        }
        if let Ok((key, stored)) = disk::decode_stored(&row) {
            assert_eq!(disk::encode_item(&key, &stored).expect("was decoded"), row);
            parsed += 1;
        }
        let _ = disk::decode_item(&row);
        let _ = disk::decode_attributes(&row);
        let _ = disk::read_changelog_key(&row);
        let _ = disk::read_table(&row);
        let _ = (meta::decode_region(&row), meta::decode_number(&row), meta::decode_text(&row));
        let _ = (meta::decode_reading(&row), meta::read_applied_key(&row));
    }
    assert!(parsed > 100, "the parsers were reached: {parsed}");
}

fn mutate(random: &mut Random, row: &mut Vec<u8>) {
    if row.is_empty() {
        return;
    }
    let at = random.below(row.len());
    match random.below(4) {
        0 => row[at] ^= 1 << random.below(8),
        1 => row[at] = random.next() as u8,
        2 => row.truncate(at),
        _ => row.insert(at, random.next() as u8),
    }
}

fn reseal(row: &mut [u8]) {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&row[..1]);
    hasher.update(&row[disk::SEAL_BYTES..]);
    row[1..disk::SEAL_BYTES].copy_from_slice(&hasher.finalize().to_be_bytes());
}

#[test]
fn nesting_is_limited_both_ways() {
    let nested = |levels: usize| {
        let value =
            (0..levels).fold(AttributeValue::Null, |value, _| AttributeValue::L([value].into()));
        Attributes::from([("v".to_owned(), value)])
    };
    let mut out = Vec::new();
    assert_eq!(disk::encode_attributes(&mut out, &nested(disk::DEPTH_MAX)), Ok(()));
    assert_eq!(disk::decode_attributes(&out), Ok(nested(disk::DEPTH_MAX)));
    assert!(disk::encode_attributes(&mut out, &nested(disk::DEPTH_MAX + 1)).is_err());
    let mut bomb = vec![1, 1, b'v'];
    bomb.extend([10, 1].repeat(100_000));
    assert!(disk::decode_attributes(&bomb).is_err());
}

#[test]
fn meta_records_round_trip() {
    let slot = RegionSlot::new(5).expect("small slot");
    assert_eq!(meta::decode_region(&meta::encode_region(slot, "x")), Ok((slot, "x".to_owned())));
    assert_eq!(meta::decode_number(&meta::encode_number(513)), Ok(513));
    assert_eq!(meta::decode_text(&meta::encode_text("é")), Ok("é".to_owned()));
    let hlc = Hlc::from_bits(77);
    assert_eq!(meta::decode_reading(&meta::encode_reading(hlc)), Ok(hlc));
    assert!(meta::decode_number(&meta::encode_reading(hlc)).is_err());
    let origin = Origin::from_bits(0x1234);
    assert_eq!(meta::read_applied_key(&meta::applied_key(origin)), Ok(origin));
}

/// Run with `UPDATE_GOLDEN=1` after a deliberate change of format.
#[test]
fn bytes_are_as_they_always_were() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/disk.txt");
    let mut actual = String::new();
    for (name, bytes) in golden() {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(actual, "{name} {hex}").expect("a string takes all");
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &actual).expect("golden file is writable");
    }
    let expected = std::fs::read_to_string(&path).expect("golden file exists");
    assert_eq!(actual, expected, "the disk format changed");
}

fn golden() -> Vec<(String, Vec<u8>)> {
    let slot = RegionSlot::new(1).expect("small slot");
    let stamp = Stamp { hlc: Hlc::from_parts(1_700_000_000_000, 3), origin: Origin::new(slot, 1) };
    let mut all = vec![
        ("changelog_key".to_owned(), disk::changelog_key(stamp).to_vec()),
        ("meta_reading".to_owned(), meta::encode_reading(stamp.hlc)),
        ("meta_number".to_owned(), meta::encode_number(7)),
        ("meta_text".to_owned(), meta::encode_text("cluster")),
        ("meta_region".to_owned(), meta::encode_region(slot, "eu-west-1")),
        ("meta_applied_key".to_owned(), meta::applied_key(stamp.origin)),
    ];
    for (name, sort) in [
        ("none", None),
        ("s", Some(KeyValue::S("sört".to_owned()))),
        ("b", Some(KeyValue::B(vec![0, 255]))),
        ("n", Some(KeyValue::N(Number::parse("-12.345").expect("a number")))),
        ("n_zero", Some(KeyValue::N(Number::from(0)))),
    ] {
        let primary = PrimaryKey { partition: KeyValue::S("p1".to_owned()), sort };
        let key = ItemKey { table: TableId(stamp), primary };
        all.push((format!("row_key_{name}"), disk::row_key(&key)));
    }
    let key = PrimaryKey { partition: KeyValue::S("p1".to_owned()), sort: None };
    let context = VersionVector::from_entries([(stamp.origin, stamp.hlc)]);
    let mut seen = context.clone();
    seen.record(Stamp { hlc: Hlc::from_parts(1_699_999_999_999, 0), origin: Origin::from_bits(1) });
    for (name, body, seen, conditional) in [
        ("live", Body::Live(every_type()), context.clone(), false),
        ("tombstone", Body::Tombstone, seen, true),
    ] {
        let version = Version { stamp, context: context.clone(), body, conditional };
        let row = disk::encode_item(&key, &Stored { seen, version }).expect("shallow");
        all.push((format!("item_{name}"), row));
    }
    all
}

fn every_type() -> Attributes {
    let number = |text| Number::parse(text).expect("a number");
    let values = [
        AttributeValue::S("text".to_owned()),
        AttributeValue::N(number("-3.14E-20")),
        AttributeValue::B(vec![1, 2]),
        AttributeValue::Bool(true),
        AttributeValue::Bool(false),
        AttributeValue::Null,
        AttributeValue::Ss(["a".to_owned(), "b".to_owned()].into()),
        AttributeValue::Ns([number("1"), number("2E10")].into()),
        AttributeValue::Bs([vec![0], vec![1]].into()),
    ];
    let mut all: Attributes =
        values.iter().enumerate().map(|(at, value)| (format!("v{at}"), value.clone())).collect();
    all.insert("list".to_owned(), AttributeValue::L(values.to_vec()));
    all.insert("map".to_owned(), AttributeValue::M(all.clone()));
    all
}
