//! The rules for carts.
//!
//! * A cart that is deleted in one region is checked out: nothing brings it back.
//! * `lines`, a map from product to quantity, has every product of both, with the greater quantity.
//! * `coupons`, a set of strings, has those of both.
//! * Everything else is as the newer version has it.
//!
//! Each rule takes the greater of two in some order, or unites: that is what makes the result
//! independent of the order in which versions meet. It holds for what should not be there, too: a
//! quantity that is no number, lines that are no map.

use std::cmp::Ordering;

use crate::json::{Member, elements, get, members, typed};

/// Appends what two values of an attribute become.
type Both = fn(&mut String, &str, &str);

/// The attributes that have a rule of their own.
const PARTS: [(&str, Both); 2] = [("lines", lines), ("coupons", coupons)];
const DELETED: &str = r#"{"deleted":true,"item":{}}"#;
const LIVE: &str = r#"{"deleted":false,"item":"#;

/// Merges two versions of a cart.
///
/// # Panics
///
/// The texts are not canonical versions.
#[must_use]
pub fn merge(a: &str, b: &str) -> String {
    let (Some(a), Some(b)) = (Cart::read(a), Cart::read(b)) else { return DELETED.to_owned() };
    let newer = if a.written < b.written { &b } else { &a };
    let mut out = String::with_capacity(a.length + b.length);
    out.push_str(LIVE);
    out.push('{');
    let rest = newer.item.iter().filter(|(name, _)| PARTS.iter().all(|(part, _)| part != name));
    for (name, value) in rest {
        write_member(&mut out, name, value);
    }
    for (name, both) in PARTS {
        match (get(&a.item, name), get(&b.item, name)) {
            (Some(a), Some(b)) => {
                write_member(&mut out, name, "");
                both(&mut out, a, b);
            }
            (Some(value), None) | (None, Some(value)) => write_member(&mut out, name, value),
            (None, None) => {}
        }
    }
    out.push_str("}}");
    out
}

/// A version that is not deleted.
struct Cart<'a> {
    item: Vec<Member<'a>>,
    /// The parts of its stamp, in the order in which they count.
    written: [u64; 4],
    length: usize,
}

impl<'a> Cart<'a> {
    /// Relies on the one spelling of versions: `deleted` first, `stamp` last.
    fn read(version: &'a str) -> Option<Self> {
        let rest = version.strip_prefix(LIVE)?;
        let (item, stamp) = rest.rsplit_once(",\"stamp\":").expect("versions have a stamp");
        let stamp = members(stamp.strip_suffix('}').expect("versions are objects"));
        let written = ["ms", "counter", "region", "incarnation"].map(|part| {
            let number = get(&stamp, part).expect("stamps have all parts");
            number.parse().expect("stamps are made of numbers")
        });
        Some(Self { item: members(item), written, length: version.len() })
    }
}

/// Appends a member, and the comma before it. The value may be written after it as well.
fn write_member(out: &mut String, name: &str, value: &str) {
    if !out.ends_with('{') {
        out.push(',');
    }
    out.push('"');
    out.push_str(name);
    out.push_str("\":");
    out.push_str(value);
}

/// Every name of both, in order. `both` decides where a name is in both.
fn unite<'a>(
    a: &[Member<'a>],
    b: &[Member<'a>],
    both: impl Fn(&'a str, &'a str) -> &'a str,
    mut each: impl FnMut(Member<'a>),
) {
    let (mut a, mut b) = (a.iter().copied().peekable(), b.iter().copied().peekable());
    loop {
        let order = match (a.peek(), b.peek()) {
            (Some((a, _)), Some((b, _))) => a.cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return,
        };
        match order {
            Ordering::Less => a.next().map(&mut each),
            Ordering::Greater => b.next().map(&mut each),
            Ordering::Equal => a.next().zip(b.next()).map(|((name, value_a), (_, value_b))| {
                each((name, both(value_a, value_b)));
            }),
        };
    }
}

/// Every product of both, with the greater quantity. What is no map gives way to a map.
fn lines(out: &mut String, a: &str, b: &str) {
    let (Some(map_a), Some(map_b)) = (typed(a, "M"), typed(b, "M")) else {
        return out.push_str(greater(a, b, "M"));
    };
    out.push_str("{\"M\":{");
    unite(&members(map_a), &members(map_b), quantity, |(product, quantity)| {
        write_member(out, product, quantity);
    });
    out.push_str("}}");
}

/// The greater quantity. What is no number gives way to a number.
fn quantity<'a>(a: &'a str, b: &'a str) -> &'a str {
    match (typed(a, "N"), typed(b, "N")) {
        (Some(number_a), Some(number_b)) => {
            let order = compare(number_a.trim_matches('"'), number_b.trim_matches('"'));
            if order.is_lt() { b } else { a }
        }
        _ => greater(a, b, "N"),
    }
}

/// The coupons of both. What is no set of strings gives way to one.
fn coupons(out: &mut String, a: &str, b: &str) {
    let (Some(set_a), Some(set_b)) = (typed(a, "SS"), typed(b, "SS")) else {
        return out.push_str(greater(a, b, "SS"));
    };
    out.push_str("{\"SS\":[");
    let mut separator = "";
    unite(
        &elements(set_a),
        &elements(set_b),
        |a, _| a,
        |(coupon, _)| {
            out.push_str(separator);
            out.push_str(coupon);
            separator = ",";
        },
    );
    out.push_str("]}");
}

/// The one of the wanted type, else the one that is greater as text: some order, always the same.
fn greater<'a>(a: &'a str, b: &'a str, wanted: &str) -> &'a str {
    let rank = |value: &'a str| (typed(value, wanted).is_some(), value);
    if rank(a) < rank(b) { b } else { a }
}

/// Compares two numbers as versions spell them: `-12.5`, without exponent or needless zeros.
fn compare(a: &str, b: &str) -> Ordering {
    match (a.strip_prefix('-'), b.strip_prefix('-')) {
        (Some(a), Some(b)) => magnitude(b).cmp(&magnitude(a)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => magnitude(a).cmp(&magnitude(b)),
    }
}

/// Digits before the point decide by their count, then as text; those behind it as text.
fn magnitude(number: &str) -> (usize, &str) {
    (number.find('.').unwrap_or(number.len()), number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(ms: u64, item: &str) -> String {
        let stamp = format!(r#"{{"counter":0,"incarnation":0,"ms":{ms},"region":0}}"#);
        format!(r#"{{"deleted":false,"item":{item},"stamp":{stamp}}}"#)
    }

    #[test]
    fn quantities_take_the_greater_and_the_rest_follows_the_newer() {
        let older =
            version(1, r#"{"id":{"S":"k"},"lines":{"M":{"pen":{"N":"10"}}},"note":{"S":"x"}}"#);
        let newer =
            version(2, r#"{"id":{"S":"k"},"lines":{"M":{"cup":{"N":"1"},"pen":{"N":"9"}}}}"#);
        let lines = r#""lines":{"M":{"cup":{"N":"1"},"pen":{"N":"10"}}}"#;
        let merged = format!(r#"{{"deleted":false,"item":{{"id":{{"S":"k"}},{lines}}}}}"#);
        assert_eq!(merge(&older, &newer), merged);
        assert_eq!(merge(&newer, &older), merged);
    }

    #[test]
    fn coupons_unite_and_a_cart_that_was_checked_out_stays_so() {
        let a = version(1, r#"{"coupons":{"SS":["a","q\",\""]},"id":{"S":"k"}}"#);
        let b = version(2, r#"{"coupons":{"SS":["a","b"]},"id":{"S":"k"}}"#);
        let united = r#"{"SS":["a","b","q\",\""]}"#;
        assert!(merge(&a, &b).contains(united), "{}", merge(&a, &b));
        let gone = r#"{"deleted":true,"item":{},"stamp":{}}"#;
        assert_eq!(merge(&b, gone), DELETED);
    }

    #[test]
    fn names_with_escapes_meet() {
        // As names, `"` comes before `a`; as text, `\"` comes behind `Z`.
        let a = version(1, r#"{"lines":{"M":{"\"":{"N":"1"},"Z":{"N":"1"}}}}"#);
        let b = version(2, r#"{"lines":{"M":{"\"":{"N":"2"},"Z":{"N":"2"}}}}"#);
        let lines = r#""lines":{"M":{"Z":{"N":"2"},"\"":{"N":"2"}}}"#;
        assert!(merge(&a, &b).contains(lines), "{}", merge(&a, &b));
    }

    #[test]
    fn numbers_compare_as_numbers() {
        for (smaller, greater) in
            [("-1.5", "-1"), ("-1", "0"), ("9", "10"), ("9.5", "10"), ("0.1", "0.25"), ("1", "1.5")]
        {
            assert_eq!(compare(smaller, greater), Ordering::Less, "{smaller} {greater}");
            assert_eq!(compare(greater, smaller), Ordering::Greater, "{greater} {smaller}");
        }
        assert_eq!(compare("-7", "-7"), Ordering::Equal);
    }
}
