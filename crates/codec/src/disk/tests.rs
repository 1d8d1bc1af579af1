//! Keys sort as values do, rows round-trip, damage is noticed.

use super::*;
use pangea_core::expr::SortRange;
use pangea_core::id::{Origin, RegionSlot};
use pangea_core::index::{Fill, IndexEntry, IndexId, IndexKey};
use pangea_core::item::Attributes;
use pangea_core::item::{AttributeValue, KeyValue, Number};
use pangea_core::journal::Record;
use pangea_core::merge::{Body, Origins, Write, overwrite};
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
    let origins = Origins { conditional: true, ..Origins::PLAIN };
    let write = Write { stamp, body: Body::live(item.into()), origins, context: None };
    let (mut stored, _) = overwrite(None, &VersionVector::default(), write);
    stored.seen.record(Stamp { hlc: Hlc::from_parts(5, 0), origin: origin(2) });
    stored
}

#[test]
fn the_format_is_frozen() {
    let hex: String = encode_row(&key(), &stored()).iter().map(|b| format!("{b:02x}")).collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/disk-row-v2.hex");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, format!("{hex}\n")).expect("the golden file is writable");
    }
    assert_eq!(hex, std::fs::read_to_string(path).expect("the golden file").trim());
}

#[test]
fn records_of_the_journal_round_trip() {
    let item: Attributes = [("p".to_string(), AttributeValue::S("p".into()))].into();
    let images = [(None, Some(item.clone())), (Some(item.clone()), Some(item.clone()))];
    for (before, after) in images.into_iter().chain([(Some(item), None)]) {
        let record = Record { expired: after.is_none(), before, after, ..record() };
        let name = meta::record(record.key.table, record.sequence);
        assert_eq!(meta::sequence_of(&name), Some(record.sequence));
        let bytes = journal::encode(&record);
        for at in 0..bytes.len() {
            assert!(journal::decode(&name, &bytes[..at]).is_err(), "cut at {at}");
        }
        assert_eq!(journal::decode(&name, &bytes), Ok(record));
    }
}

#[test]
fn rows_round_trip() {
    let row = encode_row(&key(), &stored());
    assert_eq!(decode_row(&row), Ok((key(), stored())));
    assert_eq!(decode_key(&row), Ok(key()));
    let mut many = stored();
    for at in 0..9 {
        let older = Stamp { hlc: Hlc::from_parts(1000 - at, 0), origin: origin(at as u8 + 2) };
        many.versions.push(Version {
            stamp: older,
            context: VersionVector::from_entries([(older.origin, older.hlc)]),
            body: Body::Tombstone,
            origins: Origins {
                rows: 7,
                epoch: 3,
                place: pangea_core::id::Place(2),
                ..Origins::PLAIN
            },
        });
        let row = encode_row(&key(), &many);
        assert_eq!(decode_row(&row), Ok((key(), many.clone())), "{at}");
    }
}

#[test]
fn the_outline_of_a_row_is_that_of_its_item() {
    let text = |text: &str| AttributeValue::S(text.into());
    let item: Attributes = [
        ("é".to_string(), text("sixteen bytes or more, of two letters é")),
        ("b".to_string(), AttributeValue::B(vec![0, 255, 3])),
        ("empty".to_string(), text("")),
        ("n".to_string(), AttributeValue::N(Number::parse("-12.5").expect("a number"))),
        ("l".to_string(), AttributeValue::L(vec![AttributeValue::Null, text("x")])),
        ("m".to_string(), AttributeValue::M([("in".to_string(), text("m"))].into())),
        ("ss".to_string(), AttributeValue::Ss(["x".to_string(), "y".to_string()].into())),
    ]
    .into();
    let expired = Origins { expired: true, ..Origins::PLAIN };
    let first = Stamp { hlc: Hlc::from_parts(7, 1), origin: origin(1) };
    for (body, origins) in [
        (Body::live(item), Origins::PLAIN),
        (Body::live(Attributes::new()), Origins { conditional: true, rows: 3, ..Origins::PLAIN }),
        (Body::Tombstone, expired),
    ] {
        let mut plain = Stored::single(Version { origins, ..Version::first(first, body) });
        let check = |stored: &Stored| {
            let row = encode_row(&key(), stored);
            let outline = outline(&row).expect("whole");
            assert_eq!(outline, (key(), Outline::of(&key(), stored.clone())));
        };
        check(&plain);
        plain.seen.record(Stamp { hlc: Hlc::from_parts(5, 0), origin: origin(2) });
        check(&plain);
        let older = Stamp { hlc: Hlc::from_parts(3, 0), origin: origin(3) };
        plain.versions.push(Version::first(older, Body::Tombstone));
        check(&plain);
    }
}

/// What replication adds to an item that one region wrote and nothing concurs with.
#[test]
fn metadata_of_a_cold_item_is_sixteen_bytes() {
    let item: Attributes = [("p".to_string(), AttributeValue::S("p".into()))].into();
    let stamp = Stamp { hlc: Hlc::from_parts(1_789_000_000_000, 2), origin: origin(1) };
    let write =
        Write { stamp, body: Body::live(item.clone()), origins: Origins::PLAIN, context: None };
    let (stored, _) = overwrite(None, &VersionVector::default(), write);
    let mut content = Writer::new();
    content.primary_key(&key());
    content.attributes(&item);
    assert_eq!(encode_row(&key(), &stored).len() - content.len(), 16);
}

#[test]
fn a_row_under_another_key_is_noticed() {
    let table = TableId(Stamp { hlc: Hlc::from_parts(9, 0), origin: origin(1) });
    let (row_key, row) = (key::row_in(table, &key()), encode_row(&key(), &stored()));
    let item = ItemKey { table, primary: key() };
    assert_eq!(decode_at(&row_key, &row), Ok((item, stored())));
    // The table is known from the row key alone, so damage there is the reader's to find.
    for at in 10..row_key.len() {
        let mut damaged = row_key.clone();
        damaged[at] ^= 1;
        assert_eq!(decode_at(&damaged, &row), Err(RowError::Misplaced), "byte {at}");
    }
    assert_eq!(key::partition_of(&row_key), key::partition(table, &key().partition));
    assert_eq!(key::partition_of(b"short"), b"short");
}

#[test]
fn the_count_of_commits_is_frozen_and_sealed() {
    let bytes = meta::commits(0x0102);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "2093edc6600000000000000102");
    assert_eq!(meta::parse_commits(&bytes), Ok(0x0102));
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(meta::parse_commits(&damaged).is_err(), "bit {bit}");
    }
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

/// Entries are in the order of their values, one attribute after another, whatever bytes are in
/// them, and bounds hold exactly the entries that match.
#[test]
fn index_entries_sort_as_their_values_do() {
    let text = |it: &str| KeyValue::S(it.to_owned());
    let number = |it: &str| KeyValue::N(Number::parse(it).expect("a number"));
    let firsts = ["", "a", "a\0", "a\0\u{1}", "a\u{1}", "aa", "b"].map(text);
    let seconds = ["-1e30", "-12", "-1.5", "0", "0.001", "1", "12", "123", "2"].map(number);
    let mut entries = Vec::new();
    for (first, second) in firsts.iter().flat_map(|it| seconds.iter().map(move |to| (it, to))) {
        let primary = key();
        let key = IndexKey {
            partition: vec![text("p"), number("7")],
            sort: vec![first.clone(), second.clone()],
        };
        let (table, index) = (TableId::LEDGER, IndexId(3));
        entries.push(IndexEntry { table, index, key, primary });
    }
    let named: Vec<_> = entries.iter().map(|entry| (key::index_entry(entry).0, entry)).collect();
    let (mut by_name, mut by_value) = (named.clone(), named);
    by_name.sort();
    by_value.sort_by(|a, b| a.1.key.sort.cmp(&b.1.key.sort));
    assert_eq!(by_name, by_value);
    let partition = key::index_partition(TableId::LEDGER, IndexId(3), &entries[0].key.partition);
    let check = |exact: &[KeyValue], range: SortRange| {
        let bounds = key::index_range(&partition, exact, &range);
        for (name, entry) in &by_name {
            let next = &entry.key.sort[exact.len()];
            let wanted = entry.key.sort.starts_with(exact) && range.matches(next);
            let inside = std::ops::RangeBounds::contains(&bounds, name);
            assert!(inside || !wanted, "{exact:?} {range:?} {entry:?}");
            let prefix = matches!(range, SortRange::BeginsWith(_));
            assert!(inside == wanted || prefix, "{exact:?} {range:?} {entry:?}");
        }
    };
    for (at, value) in firsts.iter().enumerate() {
        let one = |range: fn(KeyValue) -> SortRange| check(&[], range(value.clone()));
        for range in [SortRange::Eq, SortRange::Lt, SortRange::Le, SortRange::Gt, SortRange::Ge] {
            one(range);
        }
        one(SortRange::BeginsWith);
        firsts[at..].iter().for_each(|to| {
            check(&[], SortRange::Between(value.clone(), to.clone()));
        });
        for second in &seconds {
            let exact = std::slice::from_ref(value);
            check(exact, SortRange::Lt(second.clone()));
            check(exact, SortRange::Ge(second.clone()));
        }
        check(std::slice::from_ref(value), SortRange::All);
    }
    let (name, value) = key::index_entry(&entries[5]);
    let row_key = key::row_in(TableId::LEDGER, &entries[5].primary);
    assert_eq!(key::indexed_row(&name, &value), Some(row_key));
}

#[test]
fn changelog_keys_sort_by_origin_then_reading() {
    let stamp = |slot, bits| Stamp { hlc: Hlc::from_bits(bits), origin: origin(slot) };
    let stamps = [stamp(0, 1), stamp(0, 256), stamp(0, u64::MAX), stamp(1, 0)];
    let keys = stamps.map(|stamp| key::changelog(stamp, b"row"));
    assert!(keys.windows(2).all(|pair| pair[0] < pair[1]));
    for (bytes, stamp) in keys.iter().zip(stamps) {
        assert_eq!(key::parse_changelog(bytes), Some((stamp, &b"row"[..])));
    }
}

fn index_entry() -> IndexEntry {
    let stamp = Stamp { hlc: Hlc::from_parts(1_789_000_000_000, 2), origin: origin(1) };
    let values = |it: &str| vec![KeyValue::S(it.to_owned()), KeyValue::N(Number::from(5))];
    let at = IndexKey { partition: values("p"), sort: values("s\0") };
    IndexEntry { table: TableId(stamp), index: IndexId(9), key: at, primary: key() }
}

fn record() -> Record {
    let stamp = Stamp { hlc: Hlc::from_parts(1_789_000_000_000, 2), origin: origin(1) };
    let key = ItemKey { table: TableId(stamp), primary: key() };
    let after = Some([("v".to_owned(), AttributeValue::S("x".to_owned()))].into());
    let (wall_ms, stream_ms) = (1_789_000_000_007, 1_788_000_000_000);
    let (sequence, expired, before) = (5, true, None);
    Record { sequence, wall_ms, stream_ms, expired, key, stamp, before, after }
}

fn backed_up() -> [Attributes; 2] {
    [7, 8].map(|n| [("n".to_owned(), AttributeValue::N(Number::from(n)))].into())
}

#[test]
fn keys_and_meta_values_are_frozen() {
    let identity =
        meta::Identity { cluster: "c".into(), region: "eu".into(), slot: 1, incarnation: 2 };
    let stamp = Stamp { hlc: Hlc::from_parts(1_789_000_000_000, 2), origin: origin(1) };
    let lines = [
        ("row_key", key::row_in(TableId(stamp), &key())),
        ("changelog_key", key::changelog(stamp, &key::row_in(TableId(stamp), &key()))),
        ("identity", identity.encode()),
        ("reading", meta::hlc(stamp.hlc)),
        ("place", meta::applied(stamp.origin)),
        ("collected", meta::collected(TableId(stamp))),
        ("vector", meta::vector(&stored().seen)),
        ("tombstone", key::tombstone(TableId(stamp), stamp, &key::row_in(TableId(stamp), &key()))),
        ("fingerprint", meta::fingerprint(TableId(stamp), 7)),
        ("sum", meta::sum(3 << 100)),
        ("fingerprints", meta::fingerprints(1)),
        ("index", key::index_entry(&index_entry()).0),
        ("indexed", key::index_entry(&index_entry()).1),
        ("fill", meta::fill(TableId(stamp), IndexId(9))),
        ("filled", meta::fill_state(Fill::Ready)),
        ("record_key", meta::record(TableId(stamp), 5)),
        ("record", journal::encode(&record())),
        ("backup_head", backup::head("id")),
        ("backup_items", backup::chunk("id", 5)),
        ("backup", backup::encode(&backed_up())),
    ];
    let text: String = lines
        .map(|(name, bytes)| {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{name} {hex}\n")
        })
        .concat();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/disk-keys-v2.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &text).expect("the golden file is writable");
    }
    assert_eq!(text, std::fs::read_to_string(path).expect("the golden file"));
    assert_eq!(meta::Identity::decode(&identity.encode()), Ok(identity));
    assert_eq!(meta::parse_hlc(&meta::hlc(stamp.hlc)), Ok(stamp.hlc));
    assert_eq!(meta::parse_applied(&meta::applied(stamp.origin)), Ok(stamp.origin));
    assert!(meta::parse_applied(b"other").is_err());
    assert_eq!(meta::parse_collected(&meta::collected(TableId(stamp))), Ok(TableId(stamp)));
    assert!(meta::parse_collected(b"other").is_err());
    let bucket = (TableId(stamp), 255);
    assert_eq!(meta::parse_fingerprint(&meta::fingerprint(bucket.0, bucket.1)), Ok(bucket));
    assert_eq!(meta::parse_sum(&meta::sum(u128::MAX)), Ok(u128::MAX));
    assert_eq!(meta::parse_vector(&meta::vector(&stored().seen)), Ok(stored().seen));
    let row_key = key::row_in(TableId(stamp), &key());
    let entry = key::tombstone(TableId(stamp), stamp, &row_key);
    assert!(entry.starts_with(&key::tombstones_of(TableId(stamp), stamp)));
    assert_eq!(key::parse_tombstone(&entry), Some((stamp, row_key)));
    let index = (TableId(stamp), IndexId(70_000));
    assert_eq!(meta::parse_fill(&meta::fill(index.0, index.1)), Ok(index));
    for fill in [Fill::Filling, Fill::Ready] {
        assert_eq!(meta::parse_fill_state(&meta::fill_state(fill)), Ok(fill));
    }
    let record = record();
    let name = meta::record(record.key.table, record.sequence);
    assert_eq!(journal::decode(&name, &journal::encode(&record)), Ok(record));
    let bytes = backup::encode(&backed_up());
    assert_eq!(backup::decode(&bytes), Ok(backed_up().to_vec()));
    for at in 0..bytes.len() {
        assert!(backup::decode(&bytes[..at]).is_err(), "cut at {at}");
    }
    assert_eq!(backup::id_of(&backup::head("id")), Some("id".to_owned()));
    assert!(backup::chunk("id", 5).starts_with(&backup::chunks("id")));
}

/// Half of the mutants get a checksum that holds, so that the decoders themselves are reached.
#[test]
fn garbage_gives_errors_or_values_but_no_panic() {
    let mut seed = 1u64;
    let mut next = |bound: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % bound
    };
    let mut decoded = 0;
    for round in 0..20_000 {
        let mut row = encode_row(&key(), &stored());
        for _ in 0..=next(3) {
            let at = next(row.len().max(1));
            match next(4) {
                0 => row.truncate(at),
                1 => row.insert(at.min(row.len()), next(256) as u8),
                _ => row.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (round % 8)),
            }
        }
        if round % 2 == 0 && row.len() > HEAD_BYTES {
            row[0] = MARKER | (row[0] & 0x0f);
            row = sealed(Writer::from(row));
        }
        if let Ok((key, stored)) = decode_row(&row) {
            assert_eq!(encode_row(&key, &stored), row, "one spelling only");
            assert_eq!(outline(&row), Ok((key.clone(), Outline::of(&key, stored))));
            decoded += 1;
        }
        let _ = outline(&row);
        let _ = (decode_key(&row), item_key(&row, &row));
        let _ = (meta::Identity::decode(&row), meta::parse_hlc(&row), meta::parse_applied(&row));
        let _ = (key::parse_changelog(&row), key::parse_tombstone(&row));
        let _ = (meta::parse_vector(&row), meta::parse_collected(&row));
    }
    assert!(decoded > 100, "{decoded} mutants had another value");
}
