//! Golden bytes, round trips and garbage.

use pangea_core::id::{Origin, RegionSlot, TableId};
use pangea_core::item::{AttributeValue, Attributes, ItemKey, KeyValue, Number, PrimaryKey};
use pangea_core::merge::{Body, Origins, Version, VersionVector};
use pangea_core::time::{Hlc, Stamp};

use super::*;

fn stamp(ms: u64, slot: u8) -> Stamp {
    let origin = Origin::new(RegionSlot::new(slot).expect("small slot"), 3);
    Stamp { hlc: Hlc::from_parts(ms, 7), origin }
}

fn every_kind() -> Attributes {
    let number = |mantissa, exponent| Number::from_parts(mantissa, exponent).expect("in range");
    let text = |text: &str| text.to_owned();
    let inner = [(text("é"), AttributeValue::Null), (text("z"), AttributeValue::Bool(true))];
    Attributes::from([
        (text("b"), AttributeValue::B(vec![0, 255])),
        (text("bs"), AttributeValue::Bs([vec![1], vec![1, 0]].into())),
        (text("l"), AttributeValue::L(vec![AttributeValue::Bool(false), AttributeValue::Null])),
        (text("m"), AttributeValue::M(inner.into())),
        (text("n"), AttributeValue::N(number(-125, -1))),
        (text("ns"), AttributeValue::Ns([number(1, 125), number(0, 0), number(-7, -130)].into())),
        (text("s"), AttributeValue::S(text("héllo"))),
        (text("ss"), AttributeValue::Ss([text("a"), text("")].into())),
    ])
}

fn version() -> Version {
    let context = VersionVector::from_entries([
        (stamp(0, 2).origin, Hlc::from_parts(1_699_999_999_999, 0)),
        (stamp(0, 1).origin, stamp(1_700_000_000_000, 1).hlc),
    ]);
    let stamp = stamp(1_700_000_000_000, 1);
    let origins = Origins { conditional: true, ..Origins::PLAIN };
    Version { stamp, context, body: Body::live(every_kind()), origins }
}

fn written(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    write(&mut writer);
    writer.into_bytes()
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// Versions that do not say so are as they were before there was such a flag.
#[test]
fn the_end_of_an_item_that_expired_is_one_bit() {
    let (plain, mut expired) = (version(), version());
    expired.origins.expired = true;
    let [plain, told] = [&plain, &expired].map(|it| written(|writer| writer.version(it)));
    assert_eq!(told[0], plain[0] | 0x80);
    assert_eq!(told[1..], plain[1..]);
    assert_eq!(Reader::new(&told).version(), Ok(expired));
    assert!(Reader::new(&[0xff; 64]).version().is_err());
}

/// A change here is a change of what is on disk and on the wire: it needs a new format version.
#[test]
fn the_bytes_are_golden() {
    let key = ItemKey {
        table: TableId(stamp(1_700_000_000_000, 0)),
        primary: PrimaryKey {
            partition: KeyValue::S("user".to_owned()),
            sort: Some(KeyValue::N(Number::from(42))),
        },
    };
    assert_eq!(
        hex(&written(|out| out.item_key(&key))),
        "018bcfe5680000070003010475736572025400",
        "item key"
    );
    let golden = concat!(
        "0d018bcfe5680000070403010803018bcfe567ff0000080162030200ff026273090201010201",
        "00016c0a020406016d0b02017a0502c3a906016e02f90101026e7308030d8302000002fa0101",
        "73010668c3a96c6c6f0273730702000161",
    );
    assert_eq!(hex(&written(|out| out.version(&version()))), golden, "version");
}

#[test]
fn what_was_written_is_read() {
    let bytes = written(|out| out.version(&version()));
    let mut reader = Reader::new(&bytes);
    assert_eq!(reader.version(), Ok(version()));
    assert_eq!(reader.finish(), Ok(()));
}

#[test]
fn integers_are_read_in_their_shortest_form_only() {
    for value in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
        let bytes = written(|out| out.varint(value));
        assert_eq!(Reader::new(&bytes).varint(), Ok(value));
    }
    assert_eq!(Reader::new(&[0x80, 0x00]).varint(), Err(DecodeError::Integer));
    assert_eq!(Reader::new(&[0xff; 30]).varint(), Err(DecodeError::Integer));
}

#[test]
fn numbers_of_full_precision_survive() {
    let nines = 10_i128.pow(38) - 1;
    for (mantissa, exponent) in [(nines, 88), (-nines, -130), (1, -130), (-1, 125), (0, 0)] {
        let number = Number::from_parts(mantissa, exponent).expect("in range");
        let bytes = written(|out| out.number(number));
        assert_eq!(Reader::new(&bytes).number(), Ok(number));
    }
    // 10 * 10^0 is written 1 * 10^1.
    assert_eq!(Reader::new(&[20, 0]).number(), Err(DecodeError::Number));
}

/// What is passed over is as long as what is read, and what is wanted of it is there.
#[test]
fn attributes_can_be_passed_over() {
    let bytes = written(|out| out.attributes(&every_kind()));
    for (wanted, value) in every_kind() {
        let (mut reader, mut found) = (Reader::new(&bytes), None);
        let read = reader.visit_attributes(|name, reader| {
            match name == wanted.as_bytes() {
                true => found = Some(reader.value()?),
                false => reader.skip_value()?,
            }
            Ok(())
        });
        assert_eq!((read, reader.remaining()), (Ok(()), 0), "{wanted}");
        assert_eq!(found, Some(value), "{wanted}");
    }
    let (mut reader, mut all) = (Reader::new(&bytes), Vec::new());
    let read = reader.visit_attributes(|_, reader| {
        all.push(reader.numbers(|_| {})?);
        Ok(())
    });
    assert_eq!((read, reader.remaining()), (Ok(()), 0));
    assert!(!all.contains(&true), "none is a list of numbers");
    let number = |mantissa| Number::from_parts(mantissa, -3).expect("in range");
    let numbers = [i128::MIN >> 8, -1, 0, 7, i128::from(u64::MAX)].map(number);
    let mut list = numbers.map(AttributeValue::N).to_vec();
    let read = |list: &[AttributeValue]| {
        let bytes = written(|out| out.value(&AttributeValue::L(list.to_vec())));
        let (mut reader, mut seen) = (Reader::new(&bytes), Vec::new());
        let is_numbers = reader.numbers(|number| seen.push(number)).expect("whole");
        assert_eq!(reader.remaining(), 0);
        (is_numbers, seen)
    };
    assert_eq!(read(&list), (true, numbers.to_vec()));
    list.push(AttributeValue::M(every_kind()));
    assert!(!read(&list).0, "a map is no number");
}

#[test]
fn nesting_ends() {
    let nested = |depth| {
        let mut bytes = [tag::L, 1].repeat(depth);
        bytes.push(tag::NULL);
        bytes
    };
    assert!(Reader::new(&nested(DEPTH_MAX)).skip_value().is_ok());
    assert_eq!(Reader::new(&nested(DEPTH_MAX + 1)).skip_value(), Err(DecodeError::Depth));
    assert_eq!(Reader::new(&nested(100_000)).numbers(|_| {}), Err(DecodeError::Depth));
    assert!(Reader::new(&nested(DEPTH_MAX)).value().is_ok());
    assert_eq!(Reader::new(&nested(DEPTH_MAX + 1)).value(), Err(DecodeError::Depth));
    assert_eq!(Reader::new(&nested(100_000)).value(), Err(DecodeError::Depth));
}

#[test]
fn order_and_lengths_are_checked() {
    let unordered = [tag::SS, 2, 1, b'b', 1, b'a'];
    assert_eq!(Reader::new(&unordered).value(), Err(DecodeError::Order));
    let twice = [tag::SS, 2, 1, b'a', 1, b'a'];
    assert_eq!(Reader::new(&twice).value(), Err(DecodeError::Order));
    let huge = written(|out| {
        out.u8(tag::L);
        out.varint(u64::MAX);
    });
    let error = DecodeError::Truncated { wanted: u64::MAX, left: 0 };
    assert_eq!(Reader::new(&huge).value(), Err(error));
    assert_eq!(Reader::new(&[0]).finish(), Err(DecodeError::Trailing(1)));
}

/// Mutations of a valid version: no panic, and whatever is accepted is canonical.
#[test]
fn garbage_is_refused_or_canonical() {
    let good = written(|out| out.version(&version()));
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % below as u64).expect("below a usize")
    };
    for _ in 0..20_000 {
        let mut bytes = good.clone();
        for _ in 0..=next(3) {
            let at = next(bytes.len());
            bytes[at] = u8::try_from(next(256)).expect("below 256");
        }
        bytes.truncate(good.len() - next(4) * next(good.len()) / 4);
        let mut reader = Reader::new(&bytes);
        if let Ok(version) = reader.version() {
            let length = bytes.len() - reader.remaining();
            assert_eq!(written(|out| out.version(&version)), bytes[..length]);
            let Body::Live(attributes) = &version.body else { continue };
            let bytes = written(|out| out.attributes(attributes));
            let mut reader = Reader::new(&bytes);
            let passed = reader.visit_attributes(|_, reader| reader.skip_value());
            assert_eq!((passed, reader.remaining()), (Ok(()), 0));
        }
        // Whatever the bytes, they are passed over or refused.
        let _ = Reader::new(&bytes).skip_value();
        let _ = Reader::new(&bytes).visit_attributes(|_, reader| reader.numbers(|_| {}).map(drop));
    }
}
