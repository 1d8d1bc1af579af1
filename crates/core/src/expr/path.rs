//! Document paths, and sets of paths that do not overlap.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::parser::Rank;
use crate::item::{AttributeValue, Attributes};

/// One step of a path below its first name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A member of a map.
    Name(String),
    /// An element of a list, from 0.
    Index(usize),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// A document path such as `a.b[0].c`, its placeholders resolved.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    /// The attribute that the path starts at.
    pub root: String,
    /// The way down from it; bounded, so that walks may recurse.
    pub steps: Vec<Step>,
}

impl fmt::Display for Path {
    /// As DynamoDB's messages print it: `[a, b, [0]]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}", self.root)?;
        self.steps.iter().try_for_each(|step| write!(f, ", {step}"))?;
        f.write_str("]")
    }
}

impl Path {
    /// What stands at the path, if anything does.
    #[must_use]
    pub fn lookup<'a>(&self, item: &'a Attributes) -> Option<&'a AttributeValue> {
        descend(item.get(&self.root)?, &self.steps)
    }
}

/// What stands some steps below a value, if anything does.
pub(crate) fn descend<'a>(value: &'a AttributeValue, steps: &[Step]) -> Option<&'a AttributeValue> {
    steps.iter().try_fold(value, |value, step| match (value, step) {
        (AttributeValue::M(map), Step::Name(name)) => map.get(name),
        (AttributeValue::L(list), Step::Index(index)) => list.get(*index),
        _ => None,
    })
}

/// A set of paths none of which is or contains another: a tree with the paths as its leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PathTree {
    roots: BTreeMap<String, Branch>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Branch {
    /// A path ends here: everything below is meant.
    Whole,
    Names(BTreeMap<String, Branch>),
    Indexes(BTreeMap<usize, Branch>),
}

impl PathTree {
    /// Adds a path.
    ///
    /// # Errors
    ///
    /// DynamoDB's message where the path overlaps or conflicts with one already there.
    pub(super) fn insert(&mut self, path: &Path) -> Result<(), (Rank, String)> {
        let Some(mut branch) = self.roots.get_mut(&path.root) else {
            self.roots.insert(path.root.clone(), chain(&path.steps));
            return Ok(());
        };
        let mut walked = Path { root: path.root.clone(), steps: Vec::new() };
        for (at, step) in path.steps.iter().enumerate() {
            let rest = &path.steps[at + 1..];
            match (&*branch, step) {
                (Branch::Whole, _) => return Err(clash(Rank::Overlap, branch, walked, path)),
                (Branch::Names(_), Step::Index(_)) | (Branch::Indexes(_), Step::Name(_)) => {
                    return Err(clash(Rank::Conflict, branch, walked, path));
                }
                _ => {}
            }
            let Some(next) = branch_at(branch, step, rest) else { return Ok(()) };
            walked.steps.push(step.clone());
            branch = next;
        }
        Err(clash(Rank::Overlap, branch, walked, path))
    }

    /// Whether any path goes below the attribute `name`.
    pub(super) fn goes_below(&self, name: &str) -> bool {
        !matches!(self.roots.get(name), None | Some(Branch::Whole))
    }

    /// Whether any path starts at the attribute `name`.
    pub(super) fn has_root(&self, name: &str) -> bool {
        self.roots.contains_key(name)
    }

    /// The attributes at which paths start.
    pub(super) fn roots(&self) -> impl Iterator<Item = &str> {
        self.roots.keys().map(String::as_str)
    }

    /// The parts of `item` that the paths name; list elements close up, in order.
    pub(super) fn select(&self, item: &Attributes) -> Attributes {
        select_names(&self.roots, item)
    }
}

/// Refuses, in DynamoDB's words, paths of which one is or contains another.
pub(crate) fn distinct<'p>(mut paths: impl Iterator<Item = &'p Path>) -> Result<(), String> {
    let mut tree = PathTree::default();
    paths.try_for_each(|path| tree.insert(path)).map_err(|(_, reason)| reason)
}

/// The branch at `step`, or `None` once the rest of the path was planted there.
fn branch_at<'a>(branch: &'a mut Branch, step: &Step, rest: &[Step]) -> Option<&'a mut Branch> {
    match (branch, step) {
        (Branch::Names(map), Step::Name(name)) => {
            if !map.contains_key(name) {
                map.insert(name.clone(), chain(rest));
                return None;
            }
            map.get_mut(name)
        }
        (Branch::Indexes(map), Step::Index(index)) => {
            if !map.contains_key(index) {
                map.insert(*index, chain(rest));
                return None;
            }
            map.get_mut(index)
        }
        _ => None,
    }
}

fn chain(steps: &[Step]) -> Branch {
    steps.iter().rev().fold(Branch::Whole, |below, step| match step {
        Step::Name(name) => Branch::Names(BTreeMap::from([(name.clone(), below)])),
        Step::Index(index) => Branch::Indexes(BTreeMap::from([(*index, below)])),
    })
}

fn clash(rank: Rank, mut branch: &Branch, mut one: Path, two: &Path) -> (Rank, String) {
    loop {
        let (step, next) = match branch {
            Branch::Whole => break,
            Branch::Names(map) => match map.first_key_value() {
                Some((name, next)) => (Step::Name(name.clone()), next),
                None => break,
            },
            Branch::Indexes(map) => match map.first_key_value() {
                Some((index, next)) => (Step::Index(*index), next),
                None => break,
            },
        };
        one.steps.push(step);
        branch = next;
    }
    let how = if rank == Rank::Conflict { "conflict" } else { "overlap" };
    let reason = format!(
        "Two document paths {how} with each other; must remove or rewrite one of these paths; \
         path one: {one}, path two: {two}"
    );
    (rank, reason)
}

fn select_names(branches: &BTreeMap<String, Branch>, map: &Attributes) -> Attributes {
    let found = branches.iter().filter_map(|(name, branch)| {
        let value = select(branch, map.get(name)?)?;
        Some((name.clone(), value))
    });
    found.collect()
}

fn select(branch: &Branch, value: &AttributeValue) -> Option<AttributeValue> {
    match (branch, value) {
        (Branch::Whole, value) => Some(value.clone()),
        (Branch::Names(branches), AttributeValue::M(map)) => {
            let selected = select_names(branches, map);
            (!selected.is_empty()).then_some(AttributeValue::M(selected))
        }
        (Branch::Indexes(branches), AttributeValue::L(list)) => {
            let selected: Vec<_> = branches
                .iter()
                .filter_map(|(index, branch)| select(branch, list.get(*index)?))
                .collect();
            (!selected.is_empty()).then_some(AttributeValue::L(selected))
        }
        _ => None,
    }
}
