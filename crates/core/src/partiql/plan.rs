//! What a `SELECT` reads: items, stretches of partitions, or a whole table.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::ast::{Expr, Select};
use super::lower;
use super::{Error, refuse};
use crate::expr::{Comparator, Condition, KeyRange, Path, SortRange, Step};
use crate::item::{AttributeValue, Attributes, KeyValue, PrimaryKey};
use crate::table::{self, KeyAttribute, Schema};

const OVERLAPPING: &str =
    "Overlapping conditions with range keys are not supported in where clause";
/// Items, partitions and stretches of one statement.
const RANGES_MAX: usize = 1000;

/// A `SELECT`, held against a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The stretches to read, one after the other; `None` is everything.
    pub ranges: Option<Vec<KeyRange>>,
    /// Whether everything that the `WHERE` asks for is of one key condition, as a Query has it.
    pub is_query: bool,
    /// Which items of them to return: the whole `WHERE`.
    pub filter: Option<Condition>,
    /// What of them to return.
    pub output: Output,
    /// Whether to read in ascending order of sort keys.
    pub forward: bool,
}

/// What a `SELECT` returns of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Names in the response, and what has them; `None` is the whole item.
    columns: Option<Vec<(String, Path)>>,
}

impl Output {
    fn of(select: &Select) -> Self {
        let column = |(at, path): (usize, &Path)| {
            let name = match path.steps.last() {
                None => path.root.clone(),
                Some(Step::Name(name)) => name.clone(),
                Some(Step::Index(_)) => format!("_{}", at + 1),
            };
            (name, path.clone())
        };
        let columns = select.paths.as_ref();
        Self { columns: columns.map(|paths| paths.iter().enumerate().map(column).collect()) }
    }

    /// The wanted parts of an item.
    #[must_use]
    pub fn apply(&self, item: Attributes) -> Attributes {
        let Some(columns) = &self.columns else { return item };
        let found = columns.iter().filter_map(|(name, path)| {
            let value = path.lookup(&item)?;
            Some((name.clone(), value.clone()))
        });
        found.collect()
    }

    /// The attributes that it looks at, in the order of the statement; `None` is all.
    #[must_use]
    pub fn roots(&self) -> Option<Vec<&str>> {
        let columns = self.columns.as_ref()?;
        Some(columns.iter().map(|(_, path)| path.root.as_str()).collect())
    }
}

impl Select {
    /// What it reads of a table, or of an index, of the given key.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with DynamoDB's message.
    pub fn resolve(&self, schema: &Schema) -> Result<Read, Error> {
        if let Some(text) = &self.refusal {
            return refuse(text.clone());
        }
        let filter = self.filter.as_ref().map(lower::condition).transpose()?;
        let mut ranges = match &self.filter {
            Some(filter) => ranges(filter, schema)?,
            None => None,
        };
        if let Some(ranges) = &ranges {
            check_sizes(ranges)?;
        }
        let forward = self.order(schema, &mut ranges)?;
        let is_query = ranges.is_some() && !matches!(self.filter, Some(Expr::Or(_)));
        Ok(Read { ranges, is_query, filter, output: Output::of(self), forward })
    }

    /// Whether the sort keys are wanted in ascending order: where only the partition key is named,
    /// they are not.
    fn order(&self, schema: &Schema, ranges: &mut Option<Vec<KeyRange>>) -> Result<bool, Error> {
        if self.order.is_empty() {
            return Ok(true);
        }
        if self.filter.is_none() {
            return refuse("Must have WHERE clause in the statement when using ORDER BY clause.");
        }
        for (path, _) in &self.order {
            if !path.steps.is_empty() || !schema.key_names().any(|name| name == path.root) {
                return refuse(format!(
                    "Attribute {} in ORDER BY clause must be part of the primary key",
                    path.root
                ));
            }
        }
        let Some(ranges) = ranges else {
            return refuse(
                "Must have at least one non-optional hash key condition in WHERE clause when using \
                 ORDER BY clause.",
            );
        };
        let by_partition = |(path, _): &(Path, bool)| path.root == schema.partition.name;
        let first = ranges.first().map(|range| &range.partition);
        let is_one = ranges.iter().all(|range| Some(&range.partition) == first);
        if !is_one && !self.order.iter().any(by_partition) {
            return refuse(
                "Must have hash key in ORDER BY clause when more than one hash key condition \
                 specified in WHERE clause.",
            );
        }
        let mut forward = false;
        for (path, descending) in &self.order {
            if path.root == schema.partition.name {
                ranges.sort_by(|one, two| one.partition.cmp(&two.partition));
                if *descending {
                    ranges.reverse();
                }
            } else {
                forward = !descending;
            }
        }
        Ok(forward)
    }

    /// The key of the one item that the `WHERE` names, if that is all that it says.
    ///
    /// # Errors
    ///
    /// As of [`Select::resolve`].
    pub fn key(&self, schema: &Schema) -> Result<Option<PrimaryKey>, Error> {
        let (key, rest) = match &self.filter {
            Some(filter) => exact_key(filter, schema)?,
            None => return Ok(None),
        };
        Ok(key.filter(|_| rest.is_empty()))
    }

    /// What it returns of an item.
    #[must_use]
    pub fn output(&self) -> Output {
        Output::of(self)
    }

    /// The key of the one item that the `WHERE` names, and the condition that it adds.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] where it names no item, or adds no condition.
    pub fn check(&self, schema: &Schema) -> Result<(PrimaryKey, Condition), Error> {
        let (key, rest) = match &self.filter {
            Some(filter) => exact_key(filter, schema)?,
            None => (None, Vec::new()),
        };
        match (key, rest.is_empty()) {
            (Some(key), false) => {
                let nodes = rest.into_iter().map(lower::node).collect::<Result<Vec<_>, _>>()?;
                Ok((key, Condition::of_node(crate::expr::Node::And(nodes))))
            }
            _ => refuse("EXISTS() must contain a single item read with additional condition"),
        }
    }
}

/// What a conjunct says of an attribute.
enum Says {
    /// It is one of these.
    Equal(Vec<KeyValue>),
    /// It is in this range.
    Range(SortRange),
    /// Something that no stretch of keys is, by a negation or not.
    Other { negated: bool },
}

/// The key that a condition demands, and the conjuncts behind it.
pub(super) fn exact_key<'e>(
    filter: &'e Expr,
    schema: &Schema,
) -> Result<(Option<PrimaryKey>, Vec<&'e Expr>), Error> {
    let mut conjuncts = Vec::new();
    flatten(filter, &mut conjuncts);
    let mut find = |attribute: &KeyAttribute| -> Result<Option<KeyValue>, Error> {
        let mut found = None;
        let mut kept = Vec::with_capacity(conjuncts.len());
        for conjunct in conjuncts.drain(..) {
            match says(conjunct, attribute)? {
                Some(Says::Equal(values)) if found.is_none() && values.len() == 1 => {
                    found = values.into_iter().next();
                }
                _ => kept.push(conjunct),
            }
        }
        conjuncts = kept;
        Ok(found)
    };
    let partition = find(&schema.partition)?;
    let sort = schema.sort.as_ref().map(&mut find).transpose()?;
    let key = match (partition, sort) {
        (Some(partition), None) => Some(PrimaryKey { partition, sort: None }),
        (Some(partition), Some(Some(sort))) => Some(PrimaryKey { partition, sort: Some(sort) }),
        _ => None,
    };
    let key = key.map(|key| match schema.exact_key(&schema.attributes_of(&key)) {
        Ok(key) => Ok(key),
        Err(refusal) => refuse(refusal.to_string()),
    });
    Ok((key.transpose()?, conjuncts))
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
    negated: bool,
}

/// The stretches that hold all items for which the condition may be true; `None` if those are all.
fn ranges(filter: &Expr, schema: &Schema) -> Result<Option<Vec<KeyRange>>, Error> {
    let branches: &[Expr] = match filter {
        Expr::Or(terms) => terms,
        other => core::slice::from_ref(other),
    };
    let mut stretches = Vec::new();
    for (at, branch) in branches.iter().enumerate() {
        let Some(found) = stretches_of(branch, schema)? else { return Ok(None) };
        stretches.extend(found.into_iter().map(|stretch| (at, stretch)));
        if stretches.len() > RANGES_MAX {
            return refuse(format!("The where clause names more than {RANGES_MAX} key ranges"));
        }
    }
    let mut ranges: Vec<KeyRange> = Vec::new();
    let mut owners: Vec<(usize, bool)> = Vec::new();
    for (at, Stretch { partition, sort, negated }) in stretches {
        let sort = sort.unwrap_or(SortRange::All);
        let clash = (0..ranges.len()).find(|other| {
            ranges[*other].partition == partition && overlap(&ranges[*other].sort, &sort)
        });
        let Some(other) = clash else {
            ranges.push(KeyRange { partition, sort });
            owners.push((at, negated));
            continue;
        };
        let (owner, other_negated) = owners[other];
        if owner != at && !negated && !other_negated {
            return refuse(OVERLAPPING);
        }
        // One stretch for both, and for whatever else of the partition is there already.
        ranges[other].sort = SortRange::All;
        owners[other] = (owner, negated || other_negated);
        let mut index = 0;
        ranges.retain(|range| {
            index += 1;
            index - 1 == other || range.partition != partition
        });
        owners.truncate(ranges.len());
    }
    Ok(Some(ranges))
}

/// Refuses keys that are longer than any, of a statement that reads one partition.
fn check_sizes(ranges: &[KeyRange]) -> Result<(), Error> {
    let first = ranges.first().map(|range| &range.partition);
    if ranges.iter().any(|range| Some(&range.partition) != first) {
        return Ok(());
    }
    ranges.iter().try_for_each(|range| {
        let checked = table::check_sizes(&range.partition, range.sort.values());
        checked.or_else(|refusal| refuse(refusal.to_string()))
    })
}

fn stretches_of(branch: &Expr, schema: &Schema) -> Result<Option<Vec<Stretch>>, Error> {
    let mut conjuncts = Vec::new();
    flatten(branch, &mut conjuncts);
    let mut partitions = None;
    let (mut sorts, mut negated): (Option<Vec<SortRange>>, bool) = (None, false);
    for conjunct in &conjuncts {
        // What else is said of a partition key makes no stretch, of whatever type it is.
        let is_equality =
            matches!(conjunct, Expr::Compare { op: Comparator::Eq, .. } | Expr::In { .. });
        if is_equality
            && partitions.is_none()
            && let Some(Says::Equal(values)) = says(conjunct, &schema.partition)?
        {
            partitions = Some(values);
        }
    }
    let Some(partitions) = partitions else { return Ok(None) };
    for conjunct in conjuncts {
        let Some(attribute) = &schema.sort else { break };
        let found: Vec<SortRange> = match says(conjunct, attribute)? {
            Some(Says::Equal(values)) => values.into_iter().map(SortRange::Eq).collect(),
            Some(Says::Range(range)) => Vec::from([range]),
            Some(Says::Other { negated: true }) => {
                negated = true;
                continue;
            }
            _ => continue,
        };
        // Of a second condition only that there is one matters: overlaps are not looked for then.
        negated |= sorts.as_ref().is_some_and(|known| *known != found);
        sorts.get_or_insert(found);
    }
    let mut stretches = Vec::new();
    for partition in partitions {
        match &sorts {
            None => stretches.push(Stretch { partition, sort: None, negated }),
            Some(sorts) => {
                let stretch = |sort: &SortRange| Stretch {
                    partition: partition.clone(),
                    sort: Some(sort.clone()),
                    negated,
                };
                stretches.extend(sorts.iter().map(stretch));
            }
        }
    }
    Ok(Some(stretches))
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
            let Some(mut values) = values else { return Ok(None) };
            let count = values.len();
            values.sort();
            values.dedup();
            if values.len() < count {
                return refuse(OVERLAPPING);
            }
            Some(Says::Equal(values))
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
