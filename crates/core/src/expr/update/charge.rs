//! What an `UpdateExpression` is charged for against the greatest size of an item.
//!
//! Beside the item that it makes, the service holds the request itself against the limit: every
//! action, path and value of it costs bytes, whatever is stored. The costs are as the authors of
//! dynoxide have measured them on the service.

use super::{SetOperand, SetValue, Update};
use crate::expr::{Path, Step};
use crate::item::value_size;

const STATEMENT: usize = 3;
/// An action that writes a value, and one that takes something away.
const WRITES: usize = 19;
const CLEARS: usize = 1;
/// A step below an attribute that is written.
const TARGET_STEP: usize = 4;
/// A path that is read, and each of its steps, the attribute included.
const OPERAND: usize = 1;
const OPERAND_STEP: usize = 14;
const PLUS: usize = 34;
const MINUS: usize = 37;
const IF_NOT_EXISTS: usize = 39;
const LIST_APPEND: usize = 37;

impl Update {
    /// Bytes that are held against the greatest size of an item (see the head of this file).
    #[must_use]
    pub fn charge(&self) -> usize {
        let set = self.set.iter().map(|(path, value)| WRITES + target(path) + assigned(value));
        let add = self.add.iter().map(|(path, value)| WRITES + target(path) + value_size(value));
        let cleared = self.remove.iter().chain(self.delete.iter().map(|(path, _)| path));
        let cleared = cleared.map(|path| CLEARS + target(path));
        STATEMENT + set.chain(add).chain(cleared).sum::<usize>()
    }
}

fn step(step: &Step) -> usize {
    match step {
        Step::Name(name) => name.len(),
        Step::Index(index) => index.checked_ilog10().map_or(1, |digits| digits as usize + 1),
    }
}

fn target(path: &Path) -> usize {
    path.root.len() + path.steps.iter().map(|it| TARGET_STEP + step(it)).sum::<usize>()
}

fn read(path: &Path) -> usize {
    let steps = path.steps.iter().map(|it| OPERAND_STEP + step(it));
    OPERAND + OPERAND_STEP + path.root.len() + steps.sum::<usize>()
}

fn assigned(value: &SetValue) -> usize {
    match value {
        SetValue::Plain(one) => operand(one),
        SetValue::Plus(left, right) => PLUS + operand(left) + operand(right),
        SetValue::Minus(left, right) => MINUS + operand(left) + operand(right),
    }
}

fn operand(one: &SetOperand) -> usize {
    match one {
        SetOperand::Path(path) => read(path),
        SetOperand::Value(value) => value_size(value),
        SetOperand::IfNotExists(path, other) => IF_NOT_EXISTS + read(path) + operand(other),
        SetOperand::ListAppend(first, second) => LIST_APPEND + operand(first) + operand(second),
    }
}
