//! What an update touches, for merge policies that treat some changes as operations.

use alloc::vec::Vec;

use super::{SetOperand, SetValue, Update};
use crate::expr::path::Path;
use crate::item::AttributeValue;

/// One target of an update.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    /// What is changed.
    pub(crate) path: &'a Path,
    /// How.
    pub(crate) change: Change<'a>,
}

/// The shape of a change, as far as its text tells.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change<'a> {
    /// `SET` of whatever the right side comes to.
    Assign,
    /// `SET a = a + :n`, or `- :n`; `if_not_exists(a, :initial)` in place of the `a` on the right.
    Count {
        /// What an absent attribute counts as.
        initial: Option<&'a AttributeValue>,
    },
    /// `SET a = list_append(a, ...)`, or `list_append(if_not_exists(a, ...), ...)`.
    Append,
    /// `REMOVE`.
    Remove,
    /// `ADD` of a number or a set.
    Add(&'a AttributeValue),
    /// `DELETE` of a set.
    Delete(&'a AttributeValue),
}

impl<'a> Target<'a> {
    pub(super) fn of_set(path: &'a Path, value: &'a SetValue) -> Self {
        Self { path, change: set_change(path, value) }
    }
}

impl Update {
    /// Whether any path, of a target or of what is read, goes below the attribute `name`.
    #[must_use]
    pub fn goes_below(&self, name: &str) -> bool {
        let is_below = |path: &Path| path.root == name && !path.steps.is_empty();
        let reads = |value: &SetValue| match value {
            SetValue::Plain(operand) => any_path(operand, &is_below),
            SetValue::Plus(left, right) | SetValue::Minus(left, right) => {
                any_path(left, &is_below) || any_path(right, &is_below)
            }
        };
        self.targets.goes_below(name) || self.set.iter().any(|(_, value)| reads(value))
    }

    /// The type of what the update gives the whole attribute `name`, as far as its text tells.
    #[must_use]
    pub fn type_given(&self, name: &str) -> Option<&'static str> {
        let is_whole = |path: &Path| path.root == name && path.steps.is_empty();
        let mut values = self.add.iter().chain(&self.delete);
        if let Some((_, value)) = values.find(|(path, _)| is_whole(path)) {
            return Some(value.type_name());
        }
        let (_, value) = self.set.iter().find(|(path, _)| is_whole(path))?;
        match value {
            SetValue::Plain(SetOperand::Value(value)) => Some(value.type_name()),
            SetValue::Plain(SetOperand::ListAppend(..)) => Some("L"),
            SetValue::Plain(SetOperand::Path(_) | SetOperand::IfNotExists(..)) => None,
            SetValue::Plus(..) | SetValue::Minus(..) => Some("N"),
        }
    }

    /// The attributes that the update changes or reads, ascending, each once.
    pub(crate) fn roots(&self) -> Vec<&str> {
        let mut roots: Vec<&str> = Vec::new();
        roots.extend(self.remove.iter().map(|path| path.root.as_str()));
        roots.extend(self.add.iter().chain(&self.delete).map(|(path, _)| path.root.as_str()));
        for (path, value) in &self.set {
            roots.push(&path.root);
            match value {
                SetValue::Plain(operand) => operand_roots(operand, &mut roots),
                SetValue::Plus(left, right) | SetValue::Minus(left, right) => {
                    operand_roots(left, &mut roots);
                    operand_roots(right, &mut roots);
                }
            }
        }
        roots.sort_unstable();
        roots.dedup();
        roots
    }
}

fn operand_roots<'a>(operand: &'a SetOperand, roots: &mut Vec<&'a str>) {
    match operand {
        SetOperand::Path(path) => roots.push(&path.root),
        SetOperand::Value(_) => {}
        SetOperand::IfNotExists(path, other) => {
            roots.push(&path.root);
            operand_roots(other, roots);
        }
        SetOperand::ListAppend(first, second) => {
            operand_roots(first, roots);
            operand_roots(second, roots);
        }
    }
}

fn any_path(operand: &SetOperand, test: &dyn Fn(&Path) -> bool) -> bool {
    match operand {
        SetOperand::Path(path) => test(path),
        SetOperand::Value(_) => false,
        SetOperand::IfNotExists(path, other) => test(path) || any_path(other, test),
        SetOperand::ListAppend(first, second) => any_path(first, test) || any_path(second, test),
    }
}

fn set_change<'a>(target: &Path, value: &'a SetValue) -> Change<'a> {
    let count = |base: &'a SetOperand, step: &SetOperand| {
        if !matches!(step, SetOperand::Value(_)) {
            return None;
        }
        match base {
            SetOperand::Path(path) if path == target => Some(Change::Count { initial: None }),
            SetOperand::IfNotExists(path, other) if path == target => match &**other {
                SetOperand::Value(initial) => Some(Change::Count { initial: Some(initial) }),
                _ => None,
            },
            _ => None,
        }
    };
    let change = match value {
        SetValue::Plus(left, right) => count(left, right).or_else(|| count(right, left)),
        SetValue::Minus(left, right) => count(left, right),
        SetValue::Plain(SetOperand::ListAppend(first, _)) => match &**first {
            SetOperand::Path(path) | SetOperand::IfNotExists(path, _) if path == target => {
                Some(Change::Append)
            }
            _ => None,
        },
        SetValue::Plain(_) => None,
    };
    change.unwrap_or(Change::Assign)
}
