//! What a `SELECT` reads: items, stretches of partitions, or a whole table.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cmp::Ordering;

use super::ast::{Expr, Order, Select};
use super::keys::{exact_key, ranges};
use super::lower;
use super::{Error, refuse};
use crate::expr::{Condition, KeyRange, Path, SortRange, Step};
use crate::item::{Attributes, PrimaryKey};
use crate::table::{self, Schema};

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
    /// How many items a page of many partitions has at most.
    pub page_items: Option<usize>,
}

/// Partitions that a statement reads at most (Developer Guide, "PartiQL arithmetic, comparison, and
/// logical operators": 50 values of a hash attribute; `amzn/smoke-dynamodb` splits lists at as many
/// "decomposed read operations").
const PARTITIONS_MAX: usize = 50;
/// Items of a page, of a statement that names more partitions than these (there: "pages of up to 10
/// items").
const PAGE_ITEMS: usize = 10;

/// What a `SELECT` returns of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Names in the response, and what has them; `None` is the whole item.
    columns: Option<Vec<(String, Path)>>,
}

impl Output {
    fn of(select: &Select) -> Self {
        let column = |path: &Path| {
            // The path from its last name on.
            let name = path.steps.iter().fold(path.root.clone(), |name, step| match step {
                Step::Name(name) => name.clone(),
                Step::Index(index) => format!("{name}[{index}]"),
            });
            (name, path.clone())
        };
        let columns = select.paths.as_ref();
        Self { columns: columns.map(|paths| paths.iter().map(column).collect()) }
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
        self.check_order(schema)?;
        let mut ranges = match &self.filter {
            Some(filter) => ranges(filter, schema)?,
            None => None,
        };
        let partitions = ranges.as_deref().map_or(0, partitions);
        if partitions > PARTITIONS_MAX {
            return refuse("The statement names too many partitions: 50 at most are read by one");
        }
        if let Some(ranges) = &ranges {
            check_sizes(ranges)?;
        }
        let forward = self.order(schema, &mut ranges)?;
        let is_query = ranges.is_some() && !matches!(self.filter, Some(Expr::Or(_)));
        let page_items = (partitions > PAGE_ITEMS).then_some(PAGE_ITEMS);
        Ok(Read { ranges, is_query, filter, output: Output::of(self), forward, page_items })
    }

    /// That what it is ordered by is the key, as is told before what its key is.
    fn check_order(&self, schema: &Schema) -> Result<(), Error> {
        if !self.order.is_empty() && self.filter.is_none() {
            return refuse("Must have WHERE clause in the statement when using ORDER BY clause.");
        }
        for Order { path, refusal, .. } in &self.order {
            if let Some(refusal) = refusal {
                return refuse(refusal.clone());
            }
            if !schema.key_names().any(|name| name == path.root) {
                return refuse(format!(
                    "Attribute {} in ORDER BY clause must be part of the primary key",
                    path.root
                ));
            }
        }
        Ok(())
    }

    /// Whether the sort keys are wanted in ascending order: where only the partition key is named,
    /// they are not.
    fn order(&self, schema: &Schema, ranges: &mut Option<Vec<KeyRange>>) -> Result<bool, Error> {
        if self.order.is_empty() {
            return Ok(true);
        }
        let Some(ranges) = ranges else {
            return refuse(
                "Must have at least one non-optional hash key condition in WHERE clause when using \
                 ORDER BY clause.",
            );
        };
        let by_partition = |order: &Order| order.path.root == schema.partition.name;
        let first = ranges.first().map(|range| &range.partition);
        let is_one = ranges.iter().all(|range| Some(&range.partition) == first);
        if !is_one && !self.order.iter().any(by_partition) {
            return refuse(
                "Must have hash key in ORDER BY clause when more than one hash key condition \
                 specified in WHERE clause.",
            );
        }
        let (mut forward, mut ascending) = (false, true);
        for Order { path, descending, .. } in &self.order {
            let named =
                if path.root == schema.partition.name { &mut ascending } else { &mut forward };
            *named = !descending;
        }
        let directed = |order: Ordering, forward| if forward { order } else { order.reverse() };
        ranges.sort_by(|one, two| {
            let by_partition = directed(one.partition.cmp(&two.partition), ascending);
            by_partition.then_with(|| directed(begins(&one.sort, &two.sort), forward))
        });
        Ok(forward)
    }

    /// The key of the one item that the `WHERE` names, if that is all that it says.
    ///
    /// # Errors
    ///
    /// As of [`Select::resolve`].
    pub fn key(&self, schema: &Schema) -> Result<Option<PrimaryKey>, Error> {
        let (key, rest) = match &self.filter {
            Some(filter) => {
                // That it names more than it may is told before.
                ranges(filter, schema)?;
                exact_key(filter, schema, true)?
            }
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
            Some(filter) => exact_key(filter, schema, true)?,
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

/// How many partitions the stretches are of.
fn partitions(ranges: &[KeyRange]) -> usize {
    ranges.iter().map(|range| &range.partition).collect::<BTreeSet<_>>().len()
}

/// Which of two stretches of one partition, which do not overlap, comes first.
fn begins(one: &SortRange, two: &SortRange) -> Ordering {
    use core::ops::Bound::{Excluded, Included, Unbounded};
    let place = |range: &SortRange| match range.lower() {
        Unbounded => None,
        Included(low) => Some((low, false)),
        Excluded(low) => Some((low, true)),
    };
    place(one).cmp(&place(two))
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
