//! What a `WHERE` says of keys: the one item, or the stretches of partitions, that it is about.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::ast::Expr;
use super::{Error, refuse};
use crate::expr::{Comparator, KeyRange, SortRange};
use crate::item::{AttributeValue, KeyValue, PrimaryKey};
use crate::table::{KeyAttribute, Schema};

const OVERLAPPING: &str =
    "Overlapping conditions with range keys are not supported in where clause";
/// Items, partitions and stretches of one statement.
const RANGES_MAX: usize = 1000;

/// What a conjunct says of an attribute.
enum Says {
    /// It is one of these.
    Equal(Vec<KeyValue>),
    /// It is in this range.
    Range(SortRange),
    /// Something that no stretch of keys is, by a negation or not.
    Other { negated: bool },
}

/// The key that a condition demands, and the conjuncts behind it. A key is named by `=`, and of
/// what is read also by `IN` with one value; the same said twice is said once.
pub(super) fn exact_key<'e>(
    filter: &'e Expr,
    schema: &Schema,
    is_read: bool,
) -> Result<(Option<PrimaryKey>, Vec<&'e Expr>), Error> {
    let mut conjuncts = Vec::new();
    flatten(filter, &mut conjuncts);
    let mut find = |attribute: &KeyAttribute| {
        let mut found: Option<&AttributeValue> = None;
        conjuncts.retain(|conjunct| match named(conjunct, &attribute.name, is_read) {
            Some(value) if found.is_none_or(|found| found == value) => {
                found = Some(value);
                false
            }
            _ => true,
        });
        found
    };
    let partition = find(&schema.partition);
    let sort = schema.sort.as_ref().map(|sort| (sort, find(sort)));
    // Of what type they are matters where all are there.
    let key = match (partition, sort) {
        (Some(partition), None) => {
            PrimaryKey { partition: key_value(partition, &schema.partition)?, sort: None }
        }
        (Some(partition), Some((attribute, Some(sort)))) => PrimaryKey {
            partition: key_value(partition, &schema.partition)?,
            sort: Some(key_value(sort, attribute)?),
        },
        _ => return Ok((None, conjuncts)),
    };
    match schema.exact_key(&schema.attributes_of(&key)) {
        Ok(key) => Ok((Some(key), conjuncts)),
        Err(refusal) => refuse(refusal.to_string()),
    }
}

/// The one value that a conjunct says an attribute has.
fn named<'e>(conjunct: &'e Expr, name: &str, is_read: bool) -> Option<&'e AttributeValue> {
    let is_it = |expression: &Expr| match expression {
        Expr::Path(path) => path.steps.is_empty() && path.root == name,
        _ => false,
    };
    match conjunct {
        Expr::Compare { left, op: Comparator::Eq, right } => match (&**left, &**right) {
            (left, Expr::Value(value)) if is_it(left) => Some(value),
            (Expr::Value(value), right) if is_it(right) => Some(value),
            _ => None,
        },
        Expr::In { operand, list } if is_read && is_it(operand) => match &list[..] {
            [Expr::Value(value)] => Some(value),
            _ => None,
        },
        _ => None,
    }
}

fn flatten<'e>(expression: &'e Expr, conjuncts: &mut Vec<&'e Expr>) {
    match expression {
        Expr::And(terms) => terms.iter().for_each(|term| flatten(term, conjuncts)),
        other => conjuncts.push(other),
    }
}

/// What a branch of the condition reads of one partition.
struct Stretch {
    partition: KeyValue,
    /// `None` where the branch says nothing of the sort key.
    sort: Option<SortRange>,
    /// Whether overlaps of it with others are not looked for.
    negated: bool,
    /// Whether a list of keys in it has one twice.
    repeated: bool,
}

/// The branches of a condition, one of which is true where it is: an `OR` of what is said of keys
/// is as many of them, and one of anything else is a condition of a branch.
fn branches<'e>(filter: &'e Expr, schema: &Schema) -> Vec<Vec<&'e Expr>> {
    let whole = || Vec::from([Vec::from([filter])]);
    match filter {
        Expr::And(terms) => {
            let mut found: Vec<Vec<&Expr>> = Vec::from([Vec::new()]);
            for term in terms {
                let of_term = branches(term, schema);
                if let [one] = &of_term[..] {
                    found.iter_mut().for_each(|branch| branch.extend(one));
                    continue;
                }
                if found.len() * of_term.len() > RANGES_MAX {
                    found.iter_mut().for_each(|branch| branch.push(term));
                    continue;
                }
                found = found
                    .iter()
                    .flat_map(|branch| {
                        of_term.iter().map(|other| [&branch[..], &other[..]].concat())
                    })
                    .collect();
            }
            found
        }
        Expr::Or(terms) if is_of_keys(filter, schema) => {
            let found: Vec<_> = terms.iter().flat_map(|term| branches(term, schema)).collect();
            if found.len() > RANGES_MAX { whole() } else { found }
        }
        _ => whole(),
    }
}

/// Whether it says anything of a key.
fn is_of_keys(filter: &Expr, schema: &Schema) -> bool {
    match filter {
        Expr::And(terms) | Expr::Or(terms) => terms.iter().any(|term| is_of_keys(term, schema)),
        other => {
            let attributes = core::iter::once(&schema.partition).chain(&schema.sort);
            attributes.into_iter().any(|attribute| !matches!(says(other, attribute), Ok(None)))
        }
    }
}

/// The stretches that hold all items for which the condition may be true; `None` if those are all.
pub(super) fn ranges(filter: &Expr, schema: &Schema) -> Result<Option<Vec<KeyRange>>, Error> {
    let mut stretches = Vec::new();
    for (at, branch) in branches(filter, schema).iter().enumerate() {
        let Some(found) = stretches_of(branch, schema)? else { return Ok(None) };
        stretches.extend(found.into_iter().map(|stretch| (at, stretch)));
        if stretches.len() > RANGES_MAX {
            return refuse(format!("The where clause names more than {RANGES_MAX} key ranges"));
        }
    }
    // What a negation leaves is not looked at, wherever it stands.
    let is_negated = stretches.iter().any(|(_, stretch)| stretch.negated);
    let is_repeated = stretches.iter().any(|(_, stretch)| stretch.repeated);
    if is_repeated && !is_negated {
        return refuse(OVERLAPPING);
    }
    let mut ranges: Vec<KeyRange> = Vec::new();
    let mut owners: Vec<usize> = Vec::new();
    for (at, Stretch { partition, sort, .. }) in stretches {
        let sort = sort.unwrap_or(SortRange::All);
        let clash = (0..ranges.len()).find(|other| {
            ranges[*other].partition == partition && overlap(&ranges[*other].sort, &sort)
        });
        let Some(other) = clash else {
            ranges.push(KeyRange { partition, sort });
            owners.push(at);
            continue;
        };
        if owners[other] != at && !is_negated {
            return refuse(OVERLAPPING);
        }
        // One stretch for both, and for whatever else of the partition is there already.
        ranges[other].sort = SortRange::All;
        let mut index = 0;
        ranges.retain(|range| {
            index += 1;
            index - 1 == other || range.partition != partition
        });
        owners.truncate(ranges.len());
    }
    Ok(Some(ranges))
}

fn stretches_of(branch: &[&Expr], schema: &Schema) -> Result<Option<Vec<Stretch>>, Error> {
    let mut equal: Option<Vec<&AttributeValue>> = None;
    for conjunct in branch {
        let Some(values) = listed(conjunct, &schema.partition.name) else { continue };
        match &equal {
            // What is said of a partition key twice makes no stretch, of whatever type it is.
            Some(known) if !is_same(known, &values) => return Ok(None),
            Some(known) if known.len() >= values.len() => {}
            _ => equal = Some(values),
        }
    }
    let Some(equal) = equal else { return Ok(None) };
    let key = |value: &&AttributeValue| key_value(value, &schema.partition);
    let mut partitions = equal.iter().map(key).collect::<Result<Vec<_>, _>>()?;
    let mut repeated = dedup(&mut partitions);
    let (mut sorts, mut negated): (Option<Vec<SortRange>>, bool) = (None, false);
    let mut refusal: Option<(Error, &Expr)> = None;
    for conjunct in branch {
        let Some(attribute) = &schema.sort else { break };
        let found: Vec<SortRange> = match says(conjunct, attribute) {
            Ok(Some(Says::Equal(mut values))) => {
                repeated |= dedup(&mut values);
                values.into_iter().map(SortRange::Eq).collect()
            }
            Ok(Some(Says::Range(range))) => Vec::from([range]),
            Ok(Some(Says::Other { negated: true })) => {
                negated = true;
                continue;
            }
            Ok(_) => continue,
            Err(error) => {
                // Of what type a key is matters of the only condition.
                negated |= sorts.is_some();
                negated |= refusal.as_ref().is_some_and(|(_, known)| known != conjunct);
                refusal.get_or_insert((error, conjunct));
                continue;
            }
        };
        // Of a second condition only that there is one matters: overlaps are not looked for then.
        negated |= refusal.is_some() || sorts.as_ref().is_some_and(|known| *known != found);
        sorts.get_or_insert(found);
    }
    match refusal {
        Some((refusal, _)) if !negated => return Err(refusal),
        // Nothing is of a type that the key has not.
        Some(_) => return Ok(Some(Vec::new())),
        None => {}
    }
    let mut stretches = Vec::new();
    for partition in partitions {
        let stretch = |sort: Option<&SortRange>| Stretch {
            partition: partition.clone(),
            sort: sort.cloned(),
            negated,
            repeated,
        };
        match &sorts {
            None => stretches.push(stretch(None)),
            Some(sorts) => stretches.extend(sorts.iter().map(|sort| stretch(Some(sort)))),
        }
    }
    Ok(Some(stretches))
}

/// The values of which an attribute is said to be one.
fn listed<'e>(conjunct: &'e Expr, name: &str) -> Option<Vec<&'e AttributeValue>> {
    if let Some(value) = named(conjunct, name, true) {
        return Some(Vec::from([value]));
    }
    let Expr::In { operand, list } = conjunct else { return None };
    if !matches!(&**operand, Expr::Path(path) if path.steps.is_empty() && path.root == name) {
        return None;
    }
    let values = list.iter().map(|one| match one {
        Expr::Value(value) => Some(value),
        _ => None,
    });
    values.collect()
}

/// Whether two lists have the same values, however often.
fn is_same(one: &[&AttributeValue], two: &[&AttributeValue]) -> bool {
    one.iter().all(|value| two.contains(value)) && two.iter().all(|value| one.contains(value))
}

/// Sorts keys, and says whether there was one twice.
fn dedup(keys: &mut Vec<KeyValue>) -> bool {
    let count = keys.len();
    keys.sort();
    keys.dedup();
    keys.len() < count
}

/// What a conjunct says of a key attribute, if anything.
fn says(conjunct: &Expr, attribute: &KeyAttribute) -> Result<Option<Says>, Error> {
    let is_it = |expression: &Expr| {
        matches!(expression, Expr::Path(path)
            if path.steps.is_empty() && path.root == attribute.name)
    };
    let key = |expression: &Expr| match expression {
        Expr::Value(value) => key_value(value, attribute).map(Some),
        _ => Ok(None),
    };
    let ranged =
        |range: Option<SortRange>| Some(range.map_or(Says::Other { negated: false }, Says::Range));
    Ok(match conjunct {
        Expr::Compare { left, op, right } => {
            let (op, value) = match (is_it(left), is_it(right)) {
                (true, _) => (*op, right),
                (_, true) => (op.flipped(), left),
                _ => return Ok(None),
            };
            if op == Comparator::Ne {
                return Ok(Some(Says::Other { negated: true }));
            }
            match (op, key(value)?) {
                (Comparator::Ne, _) => None,
                (Comparator::Eq, Some(value)) => Some(Says::Equal(Vec::from([value]))),
                (Comparator::Lt, value) => ranged(value.map(SortRange::Lt)),
                (Comparator::Le, value) => ranged(value.map(SortRange::Le)),
                (Comparator::Gt, value) => ranged(value.map(SortRange::Gt)),
                (Comparator::Ge, value) => ranged(value.map(SortRange::Ge)),
                (Comparator::Eq, None) => Some(Says::Other { negated: false }),
            }
        }
        Expr::Between { operand, low, high } if is_it(operand) => {
            let bounds = key(low)?.zip(key(high)?);
            ranged(bounds.map(|(low, high)| SortRange::Between(low, high)))
        }
        Expr::In { operand, list } if is_it(operand) => {
            let values = list.iter().map(key).collect::<Result<Option<Vec<_>>, _>>()?;
            values.map(Says::Equal)
        }
        Expr::Call(call) if call.is("begins_with") => match &call.arguments[..] {
            [(of, _), (prefix, _)] if is_it(of) => ranged(key(prefix)?.map(SortRange::BeginsWith)),
            _ => None,
        },
        // Of what type the value is does not matter then.
        Expr::Not(inner) => match says(inner, attribute) {
            Ok(None) => None,
            Ok(Some(_)) | Err(_) => Some(Says::Other { negated: true }),
        },
        _ => None,
    })
}

/// The value as a key.
///
/// # Errors
///
/// [`Error::KeyType`] and [`Error::KeyKind`].
pub(super) fn key_value(
    value: &AttributeValue,
    attribute: &KeyAttribute,
) -> Result<KeyValue, Error> {
    let name = || attribute.name.clone();
    let key = match value {
        AttributeValue::S(text) => KeyValue::S(text.clone()),
        AttributeValue::N(number) => KeyValue::N(*number),
        AttributeValue::B(bytes) => KeyValue::B(bytes.clone()),
        other => return Err(Error::KeyKind(name(), other.type_name())),
    };
    if attribute.kind.fits(&key) { Ok(key) } else { Err(Error::KeyType(name())) }
}

/// Whether a sort key may be in both ranges.
fn overlap(one: &SortRange, two: &SortRange) -> bool {
    use core::ops::Bound::{Excluded, Included, Unbounded};
    let starts_after = |low: &SortRange, high: &SortRange| match (low.lower(), high.upper()) {
        (Unbounded, _) | (_, Unbounded) => false,
        (Included(low), Included(high)) => low > high,
        (Included(low) | Excluded(low), Included(high) | Excluded(high)) => low >= high,
    };
    !starts_after(one, two) && !starts_after(two, one)
}
