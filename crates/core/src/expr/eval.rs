//! Whether a condition holds for an item.

use alloc::borrow::Cow;
use alloc::vec;
use core::cmp::Ordering;
use core::fmt;

use super::condition::{Comparator, Node, Operand};
use crate::item::{AttributeValue, Attributes, Number};

/// Whether the node is true of the item.
pub(super) fn holds(node: &Node, item: &Attributes) -> bool {
    match node {
        Node::And(nodes) => nodes.iter().all(|node| holds(node, item)),
        Node::Or(nodes) => nodes.iter().any(|node| holds(node, item)),
        Node::Not(node) => !holds(node, item),
        Node::Compare { left, op, right } => {
            compare(*op, resolve(left, item).as_deref(), resolve(right, item).as_deref())
        }
        Node::Between { operand, low, high } => {
            let operand = resolve(operand, item);
            compare(Comparator::Ge, operand.as_deref(), resolve(low, item).as_deref())
                && compare(Comparator::Le, operand.as_deref(), resolve(high, item).as_deref())
        }
        Node::In { operand, list } => {
            let operand = resolve(operand, item);
            list.iter().any(|candidate| {
                compare(Comparator::Eq, operand.as_deref(), resolve(candidate, item).as_deref())
            })
        }
        Node::Exists(path) => path.lookup(item).is_some(),
        Node::NotExists(path) => path.lookup(item).is_none(),
        Node::Type(operand, kind) => {
            resolve(operand, item).is_some_and(|value| value.type_name() == *kind)
        }
        Node::BeginsWith(text, prefix) => both(text, prefix, item, begins_with),
        Node::Contains(whole, part) => both(whole, part, item, contains),
    }
}

fn both(
    left: &Operand,
    right: &Operand,
    item: &Attributes,
    test: fn(&AttributeValue, &AttributeValue) -> bool,
) -> bool {
    match (resolve(left, item), resolve(right, item)) {
        (Some(left), Some(right)) => test(&left, &right),
        _ => false,
    }
}

fn resolve<'a>(operand: &'a Operand, item: &'a Attributes) -> Option<Cow<'a, AttributeValue>> {
    match operand {
        Operand::Path(path) => path.lookup(item).map(Cow::Borrowed),
        Operand::Value(value) => Some(Cow::Borrowed(&**value)),
        Operand::Size(operand) => {
            let value = resolve(operand, item)?;
            let count = i64::try_from(size(&value)?).ok()?;
            Some(Cow::Owned(AttributeValue::N(Number::from(count))))
        }
    }
}

/// What `size()` counts: units of UTF-16, as measured at the service, bytes, or elements. Other
/// types have no size.
fn size(value: &AttributeValue) -> Option<usize> {
    Some(match value {
        AttributeValue::S(text) => text.encode_utf16().count(),
        AttributeValue::B(bytes) => bytes.len(),
        AttributeValue::Ss(set) => set.len(),
        AttributeValue::Ns(set) => set.len(),
        AttributeValue::Bs(set) => set.len(),
        AttributeValue::L(list) => list.len(),
        AttributeValue::M(map) => map.len(),
        AttributeValue::N(_) | AttributeValue::Bool(_) | AttributeValue::Null => return None,
    })
}

/// A comparison; what is missing equals nothing, and has no order.
fn compare(op: Comparator, left: Option<&AttributeValue>, right: Option<&AttributeValue>) -> bool {
    let both = left.zip(right);
    let ordered =
        |test: fn(Ordering) -> bool| both.and_then(|(a, b)| order(a, b)).is_some_and(test);
    match op {
        Comparator::Eq => both.is_some_and(|(left, right)| left == right),
        Comparator::Ne => !both.is_some_and(|(left, right)| left == right),
        Comparator::Lt => ordered(Ordering::is_lt),
        Comparator::Le => ordered(Ordering::is_le),
        Comparator::Gt => ordered(Ordering::is_gt),
        Comparator::Ge => ordered(Ordering::is_ge),
    }
}

/// The order of two strings, numbers or binaries; values of other or of different types have none.
pub(super) fn order(left: &AttributeValue, right: &AttributeValue) -> Option<Ordering> {
    match (left, right) {
        (AttributeValue::S(left), AttributeValue::S(right)) => Some(left.cmp(right)),
        (AttributeValue::N(left), AttributeValue::N(right)) => Some(left.cmp(right)),
        (AttributeValue::B(left), AttributeValue::B(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

fn begins_with(text: &AttributeValue, prefix: &AttributeValue) -> bool {
    match (text, prefix) {
        (AttributeValue::S(text), AttributeValue::S(prefix)) => text.starts_with(prefix.as_str()),
        (AttributeValue::B(bytes), AttributeValue::B(prefix)) => bytes.starts_with(prefix),
        _ => false,
    }
}

fn contains(whole: &AttributeValue, part: &AttributeValue) -> bool {
    match (whole, part) {
        (AttributeValue::S(text), AttributeValue::S(part)) => text.contains(part.as_str()),
        (AttributeValue::B(bytes), AttributeValue::B(part)) => contains_bytes(bytes, part),
        (AttributeValue::Ss(set), AttributeValue::S(part)) => set.contains(part),
        (AttributeValue::Ns(set), AttributeValue::N(part)) => set.contains(part),
        (AttributeValue::Bs(set), AttributeValue::B(part)) => set.contains(part),
        (AttributeValue::L(list), part) => list.contains(part),
        _ => false,
    }
}

/// Whether `part` occurs in `bytes`, in linear time: both may be hundreds of kilobytes.
/// Source: Knuth, Morris and Pratt, Fast Pattern Matching in Strings (1977).
fn contains_bytes(bytes: &[u8], part: &[u8]) -> bool {
    if part.is_empty() {
        return true;
    }
    let mut borders = vec![0; part.len()];
    for at in 1..part.len() {
        let step = advance(&borders, part, borders[at - 1], part[at]);
        borders[at] = step;
    }
    let mut matched = 0;
    bytes.iter().any(|byte| {
        matched = advance(&borders, part, matched, *byte);
        matched == part.len()
    })
}

/// How much of `part` is matched after `byte`, where `matched < part.len()` was before.
fn advance(borders: &[usize], part: &[u8], mut matched: usize, byte: u8) -> usize {
    while matched > 0 && part[matched] != byte {
        matched = borders[matched - 1];
    }
    matched + usize::from(part[matched] == byte)
}

/// A value as DynamoDB's messages print it: `{N:1}`.
pub(super) struct Shown<'a>(pub(super) &'a AttributeValue);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            AttributeValue::S(text) => write!(f, "{{S:{text}}}"),
            AttributeValue::N(number) => write!(f, "{{N:{number}}}"),
            other => write!(f, "{{{}}}", other.type_name()),
        }
    }
}
