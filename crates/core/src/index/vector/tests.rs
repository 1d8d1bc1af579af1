use alloc::string::ToString;
use alloc::vec;

use super::*;
use crate::index::{Index, IndexId, Projected, billed_size, changed};
use crate::item::value_size;
use crate::limits::PARTITION_KEY_BYTES_MAX;
use crate::table::{KeyKind, Schema};

fn key(name: &str) -> KeyAttribute {
    KeyAttribute { name: name.to_string(), kind: KeyKind::S }
}

/// Of three dimensions, by `tenant` and `category`.
fn by_tenant() -> Index {
    let element = |name, is_hash| SearchAttribute { key: key(name), is_hash };
    let schema = vec![element("category", false), element("tenant", true)];
    Index {
        id: IndexId(3),
        name: "vix".to_string(),
        local: false,
        partition: vec![key("tenant")],
        sort: Vec::new(),
        projected: Projected::All,
        options: Attributes::new(),
        vector: Some(Vector {
            attribute: "embedding".to_string(),
            dimensions: 3,
            distance: Distance::Cosine,
            schema,
        }),
    }
}

fn plain() -> Index {
    let mut index = by_tenant();
    index.partition.clear();
    if let Some(vector) = &mut index.vector {
        vector.schema.clear();
    }
    index
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_string())
}

fn number(text: &str) -> AttributeValue {
    AttributeValue::N(Number::parse(text).expect("a number"))
}

fn vector(numbers: &[&str]) -> AttributeValue {
    AttributeValue::L(numbers.iter().map(|it| number(it)).collect())
}

fn item(values: &[(&str, AttributeValue)]) -> Attributes {
    values.iter().map(|(name, value)| (name.to_string(), value.clone())).collect()
}

fn schema() -> Schema {
    Schema { partition: key("pk"), sort: None }
}

#[test]
fn numbers_are_rounded_once() {
    for text in [
        "0",
        "1",
        "-1",
        "0.1",
        "16777217",
        "16777219",
        "1.000000059604644775390625",
        "1.0000000596046447753906251",
        "3.4028235E38",
        "-3.4028235E38",
        "3.40282356779733661E38",
        "1E-45",
        "7E-46",
        "1.1754943508222875E-38",
        "0.333333333333333333333333333333333333",
        "8388608.5",
        "8388609.5",
        "123456789012345678901234567890123456",
        "9007199254740993",
        "0.6000000238418579",
        "0.60000002384185791015625",
        "0.8",
        "1E-130",
        "5E-324",
    ] {
        let Ok(value) = Number::parse(text) else { continue };
        let wanted: f32 = text.parse().expect("a number");
        assert_eq!(to_f32(value), Some(wanted), "{text}");
    }
    // Near halfway between two, and of as many digits as there may be.
    let mut bits: u32 = 1;
    for at in 0..20_000_u32 {
        bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let low = f32::from_bits(bits & 0x7fff_ffff);
        let halfway = (f64::from(low) + f64::from(low.next_up())) / 2.0;
        let near = f64::from_bits(halfway.to_bits() + u64::from(at % 5) - 2);
        for text in [alloc::format!("{near:e}"), alloc::format!("{near:.36e}")] {
            let Ok(value) = Number::parse(&text) else { continue };
            let wanted = text.parse().ok().filter(|it: &f32| it.is_finite());
            assert_eq!(to_f32(value), wanted, "{text}");
        }
    }
    for text in ["3.4028236E38", "1E39", "-1E39", "9E125"] {
        assert_eq!(to_f32(Number::parse(text).expect("a number")), None, "{text}");
    }
}

#[test]
fn roots_are_those_of_the_standard_library() {
    let mut bits: u64 = 0x3ff0_0000_0000_0001;
    for _ in 0..20_000 {
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let square = f64::from_bits(bits >> 1);
        if square.is_normal() {
            assert_eq!(root(square).to_bits(), square.sqrt().to_bits(), "{square:e}");
        }
    }
    for square in [0.0, 1.0, 2.0, 4.0, 0.25, 1e-90, 1e77, f64::MAX, f64::MIN_POSITIVE] {
        assert_eq!(root(square).to_bits(), square.sqrt().to_bits(), "{square:e}");
    }
}

/// Which are found, and their scores.
fn found(distance: Distance, query: &[f32], vectors: &[&[f32]], count: usize) -> Vec<(f64, usize)> {
    let mut nearest = Nearest::new(query.to_vec(), distance, count);
    vectors.iter().enumerate().for_each(|(at, vector)| nearest.meet(vector, || at));
    nearest.finish()
}

#[test]
fn the_nearest_are_found_by_each_distance() {
    let vectors: [&[f32]; 4] = [&[0.0, 1.0], &[-1.0, 0.0], &[1.0, 0.0], &[0.6, 0.8]];
    let near = |distance, count| found(distance, &[1.0, 0.0], &vectors, count);
    let dot: f64 = 0.6_f32.into();
    assert_eq!(near(Distance::DotProduct, 9), [(1.0, 2), (dot, 3), (0.0, 0), (-1.0, 1)]);
    let cosine = near(Distance::Cosine, 9);
    assert_eq!([cosine[0], cosine[2], cosine[3]], [(0.0, 2), (1.0, 0), (2.0, 1)]);
    assert!((cosine[1].0 - 0.4).abs() < 1e-7 && cosine[1].1 == 3);
    let euclidean = near(Distance::Euclidean, 9);
    assert_eq!((euclidean[0], euclidean[3]), ((0.0, 2), (2.0, 1)));
    assert!((euclidean[1].0 - 0.8_f64.sqrt()).abs() < 1e-7);
    for distance in [Distance::Cosine, Distance::Euclidean, Distance::DotProduct] {
        let all = near(distance, 9);
        for count in 0..4 {
            assert_eq!(near(distance, count), all[..count], "the first of all, whatever is kept");
        }
    }
}

#[test]
fn of_equals_the_first_that_is_met_stays() {
    let same: [&[f32]; 3] = [&[1.0], &[1.0], &[1.0]];
    assert_eq!(found(Distance::Euclidean, &[1.0], &same, 2), [(0.0, 0), (0.0, 1)]);
}

#[test]
fn what_is_out_of_range_is_at_its_end() {
    let (most, wide) = (f32::MAX, f64::from(f32::MAX));
    assert_eq!(found(Distance::Euclidean, &[most], &[&[-most]], 1), [(wide, 0)]);
    assert_eq!(found(Distance::DotProduct, &[most], &[&[-most]], 1), [(-wide, 0)]);
    let cancelling: [&[f32]; 1] = [&[most, most]];
    assert_eq!(found(Distance::DotProduct, &[most, -most], &cancelling, 1), [(0.0, 0)]);
    // Neither has zero a direction, nor is what is small taken for zero.
    assert_eq!(found(Distance::Cosine, &[0.0, 0.0], &[&[1.0, 0.0]], 1), [(1.0, 0)]);
    assert_eq!(found(Distance::Cosine, &[1.0, 0.0], &[&[0.0, 0.0]], 1), [(1.0, 0)]);
    let tiny: [&[f32]; 2] = [&[1e-23, 0.0], &[-1e-23, 0.0]];
    assert_eq!(found(Distance::Cosine, &[1e-23, 0.0], &tiny, 2), [(0.0, 0), (2.0, 1)]);
}

#[test]
fn an_item_is_in_an_index_with_a_vector_and_what_partitions_it() {
    let whole = item(&[
        ("tenant", text("t")),
        ("category", text("c")),
        ("embedding", vector(&["1", "2", "3"])),
    ]);
    let index = by_tenant();
    assert_eq!(
        index.key_of(&whole).expect("in it").partition,
        [crate::item::KeyValue::S("t".into())]
    );
    assert!(plain().key_of(&item(&[("embedding", vector(&["1", "2", "3"]))])).is_some());
    let with = |name: &str, value: Option<AttributeValue>| {
        let mut other = whole.clone();
        match value {
            Some(value) => other.insert(name.to_string(), value),
            None => other.remove(name),
        };
        other
    };
    assert!(index.key_of(&with("category", None)).is_some(), "a filter may be missing");
    for (name, value) in [
        ("tenant", None),
        ("tenant", Some(text(""))),
        ("tenant", Some(number("1"))),
        ("tenant", Some(text(&"t".repeat(PARTITION_KEY_BYTES_MAX + 1)))),
        ("category", Some(number("1"))),
        ("embedding", None),
        ("embedding", Some(text("1"))),
        ("embedding", Some(vector(&["1", "2"]))),
        ("embedding", Some(vector(&["1", "2", "1E39"]))),
        ("embedding", Some(AttributeValue::L(vec![number("1"), number("2"), text("3")]))),
    ] {
        assert_eq!(index.key_of(&with(name, value.clone())), None, "{name} of {value:?}");
    }
    let moved = with("embedding", Some(vector(&["3", "2", "1"])));
    assert_eq!(changed(&index, Some(&whole), Some(&moved)), (None, None), "keys alone");
    let torn = with("embedding", None);
    assert_eq!(changed(&index, Some(&whole), Some(&torn)), (index.key_of(&whole), None));
}

fn refused(result: Result<(), Refusal>) -> String {
    result.expect_err("a refusal").to_string()
}

#[test]
fn what_is_no_vector_is_refused_in_the_words_of_the_service() {
    let prefix = "One or more parameter values were invalid. Invalid ";
    for (value, message) in [
        (
            vector(&["1", "2"]),
            "size for parameter embedding, Expected: 3, Actual: 2 IndexName: vix",
        ),
        (
            AttributeValue::L(vec![number("1"), text("x"), AttributeValue::Null]),
            "type for parameter embedding[1], Expected: 32-bit floating point number, Actual: S. \
             IndexName: vix",
        ),
        (
            text("x"),
            "type for parameter embedding, Expected: 32-bit floating point number list IndexName: \
             vix",
        ),
        (
            vector(&["1", "-4.56e38", "0"]),
            "value for parameter embedding[1], Value: -4.56E+38 is outside valid range \
             [-3.4028235E38, 3.4028235E38]. IndexName: vix",
        ),
    ] {
        let item = item(&[("embedding", value)]);
        assert_eq!(refused(plain().check(&item)), [prefix, message].concat());
        assert_eq!(refused(plain().check_change(None, &item)), [prefix, message].concat());
        // What was there before may stay.
        assert_eq!(plain().check_change(Some(&item), &item), Ok(()));
    }
    let index = by_tenant();
    assert_eq!(index.check(&item(&[("pk", text("a"))])), Ok(()), "it is not in the index");
    let mistyped = "One or more parameter values were invalid. Attribute 'category' type mismatch. \
                    Expected: S, Actual: N. IndexName: vix";
    assert_eq!(refused(index.check(&item(&[("category", number("1"))]))), mistyped);
    assert_eq!(index.check(&item(&[("category", text(""))])), Ok(()));
    let empty = item(&[("tenant", text(""))]);
    assert!(refused(index.check(&empty)).ends_with("IndexName: vix, IndexKey: tenant"));
    assert!(refused(index.check_change(None, &empty)).ends_with("an empty string value."));
}

#[test]
fn a_write_costs_what_the_index_has_of_the_item() {
    let (mut index, schema) = (plain(), schema());
    let made = |numbers: &[&str], note: &str| {
        item(&[("pk", text("a")), ("embedding", vector(numbers)), ("note", text(note))])
    };
    let long = "x".repeat(2000);
    let (one, other) = (made(&["1", "2", "3"], &long), made(&["1", "2", "4"], "y"));
    let bytes = u32::try_from("pkaembeddingnote".len() + 12 + 2000).expect("small");
    let units = |index: &Index, before: Option<&Attributes>, after: Option<&Attributes>| {
        index.write_units(&schema, before, after)
    };
    assert_eq!(units(&index, None, Some(&one)), bytes);
    assert_eq!(units(&index, Some(&one), None), bytes);
    assert_eq!(units(&index, Some(&one), Some(&other)), bytes, "the larger of both");
    assert_eq!(units(&index, None, Some(&other)), 1024, "at least");
    assert_eq!(units(&index, Some(&one), Some(&one)), 0);
    assert_eq!(units(&index, None, Some(&item(&[("pk", text("a"))]))), 0);
    index.projected = Projected::Keys;
    let noted = made(&["1", "2", "3"], "y");
    assert_eq!(units(&index, Some(&one), Some(&noted)), 0, "nothing that is projected changed");
    assert_eq!(units(&index, Some(&one), Some(&other)), 1024, "the vector did");
}

#[test]
fn a_vector_is_charged_by_its_dimensions() {
    let wide = "12345678901234567890123456789012345678";
    let of = |value: AttributeValue| item(&[("pk", text("a")), ("embedding", value)]);
    let (indexes, whole) = ([plain(), by_tenant()], of(vector(&[wide; 3])));
    let stored = value_size(&whole["embedding"]);
    assert_eq!(item_size(&whole) - billed_size(&indexes, &whole), stored - 12);
    let other = of(vector(&[wide; 2]));
    assert_eq!(billed_size(&indexes, &other), item_size(&other), "no vector of theirs");
    assert_eq!(billed_size(&[], &whole), item_size(&whole));
}
