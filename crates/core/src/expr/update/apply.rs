//! What an update makes of an item.
//!
//! Every operand reads the item as it was; targets do not overlap; so the order of clauses does not
//! show, except that removals of list elements come last, from the end of each list.

use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::{Change, SetOperand, SetValue, Target, Update};
use crate::expr::path::{Path, Step};
use crate::item::{AttributeValue, Attributes, NumberError, value_size};
use crate::limits::ITEM_BYTES_MAX;

/// Why an update cannot be applied to an item. `Display` is DynamoDB's message to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// An operand names an attribute that the item lacks.
    #[error("The provided expression refers to an attribute that does not exist in the item")]
    MissingAttribute,
    /// A target's parent does not exist or is of the wrong type.
    #[error("The document path provided in the update expression is invalid for update")]
    InvalidPath,
    /// An attribute's type does not fit its operator.
    #[error("An operand in the update expression has an incorrect data type")]
    OperandType,
    /// The same of `AttributeUpdates`.
    #[error("Type mismatch for attribute to update")]
    Mismatch,
    /// What is to be set is larger than an item may be.
    #[error("Item size to update has exceeded the maximum allowed size")]
    TooLarge,
    /// A sum or difference that is not a DynamoDB number.
    #[error("{}", .0.client_message())]
    Number(NumberError),
}

/// What an update reads.
pub(crate) trait Item {
    /// What stands at the path, if anything does.
    fn read(&self, path: &Path) -> Option<Cow<'_, AttributeValue>>;
}

impl Item for Attributes {
    fn read(&self, path: &Path) -> Option<Cow<'_, AttributeValue>> {
        path.lookup(self).map(Cow::Borrowed)
    }
}

/// What an update makes of one of its targets.
#[derive(Debug)]
pub(crate) enum Effect {
    /// It is this.
    Put(AttributeValue),
    /// It goes.
    Remove,
    /// It is not there, and stays away.
    Nothing,
}

impl Update {
    /// The item after the update.
    ///
    /// # Errors
    ///
    /// [`UpdateError`] with DynamoDB's message; the item is then unchanged.
    pub fn apply(&self, before: &Attributes) -> Result<Attributes, UpdateError> {
        let mut effects = self.effects(before)?;
        // Ascending, so that elements beyond the end of a list are appended in order.
        effects.sort_by_key(|(target, _)| target.path);
        let mut item = before.clone();
        let mut removals: Vec<&Path> = Vec::new();
        for (target, effect) in effects {
            match effect {
                Effect::Put(value) => put(&mut item, target.path, value)?,
                Effect::Remove => removals.push(target.path),
                Effect::Nothing => {}
            }
        }
        // Descending, so that each index still means what it meant before the update.
        for path in removals.into_iter().rev() {
            remove(&mut item, path)?;
        }
        Ok(item)
    }

    /// What becomes of each target, in no particular order. What is refused for a target's parent
    /// is refused when the effects are carried out.
    ///
    /// # Errors
    ///
    /// [`UpdateError`] with DynamoDB's message.
    pub(crate) fn effects(
        &self,
        before: &impl Item,
    ) -> Result<Vec<(Target<'_>, Effect)>, UpdateError> {
        self.all_effects(before).map_err(|error| match error {
            UpdateError::OperandType if self.legacy => UpdateError::Mismatch,
            other => other,
        })
    }

    fn all_effects(&self, before: &impl Item) -> Result<Vec<(Target<'_>, Effect)>, UpdateError> {
        let count = self.set.len() + self.add.len() + self.delete.len() + self.remove.len();
        let mut effects = Vec::with_capacity(count);
        let mut bytes = 0;
        for (path, value) in &self.set {
            let set = set_value(value, before)?;
            // Bounded here, because a short expression may set a large value many times.
            bytes += bounded(&set)?;
            if bytes > ITEM_BYTES_MAX {
                return Err(UpdateError::TooLarge);
            }
            effects.push((Target::of_set(path, value), Effect::Put(set)));
        }
        for (path, operand) in &self.add {
            let sum = add(before.read(path).as_deref(), operand)?;
            effects.push((Target { path, change: Change::Add(operand) }, Effect::Put(sum)));
        }
        for (path, operand) in &self.delete {
            let effect = match before.read(path) {
                Some(current) => delete(&current, operand)?.map_or(Effect::Remove, Effect::Put),
                None => parent_fits(path, before).map(|()| Effect::Nothing)?,
            };
            effects.push((Target { path, change: Change::Delete(operand) }, effect));
        }
        for path in &self.remove {
            let there = is_removal(path, before)?;
            let effect = if there { Effect::Remove } else { Effect::Nothing };
            effects.push((Target { path, change: Change::Remove }, effect));
        }
        Ok(effects)
    }
}

fn set_value(value: &SetValue, item: &impl Item) -> Result<AttributeValue, UpdateError> {
    let number = |operand| match set_operand(operand, item)? {
        AttributeValue::N(number) => Ok(number),
        _ => Err(UpdateError::OperandType),
    };
    let result = match value {
        SetValue::Plain(operand) => return set_operand(operand, item),
        SetValue::Plus(left, right) => number(left)?.checked_add(number(right)?),
        SetValue::Minus(left, right) => number(left)?.checked_sub(number(right)?),
    };
    result.map(AttributeValue::N).map_err(UpdateError::Number)
}

fn set_operand(operand: &SetOperand, item: &impl Item) -> Result<AttributeValue, UpdateError> {
    match operand {
        SetOperand::Path(path) => {
            item.read(path).map(Cow::into_owned).ok_or(UpdateError::MissingAttribute)
        }
        SetOperand::Value(value) => Ok(AttributeValue::clone(value)),
        SetOperand::IfNotExists(path, other) => match item.read(path) {
            Some(value) => Ok(value.into_owned()),
            None => set_operand(other, item),
        },
        SetOperand::ListAppend(first, second) => {
            let (first, second) = (set_operand(first, item)?, set_operand(second, item)?);
            let (AttributeValue::L(mut list), AttributeValue::L(tail)) = (first, second) else {
                return Err(UpdateError::OperandType);
            };
            list.extend(tail);
            let list = AttributeValue::L(list);
            bounded(&list)?;
            Ok(list)
        }
    }
}

/// The size of a value that no item could hold is refused.
fn bounded(value: &AttributeValue) -> Result<usize, UpdateError> {
    let bytes = value_size(value);
    if bytes > ITEM_BYTES_MAX { Err(UpdateError::TooLarge) } else { Ok(bytes) }
}

/// The sum of numbers or the union of sets; what is missing is zero or empty.
fn add(
    current: Option<&AttributeValue>,
    operand: &AttributeValue,
) -> Result<AttributeValue, UpdateError> {
    use AttributeValue::{Bs, N, Ns, Ss};
    let Some(current) = current else { return Ok(operand.clone()) };
    Ok(match (current, operand) {
        (N(left), N(right)) => N(left.checked_add(*right).map_err(UpdateError::Number)?),
        (Ss(left), Ss(right)) => Ss(left | right),
        (Ns(left), Ns(right)) => Ns(left | right),
        (Bs(left), Bs(right)) => Bs(left | right),
        _ => return Err(UpdateError::OperandType),
    })
}

/// The difference of sets, or `None` if nothing is left.
fn delete(
    current: &AttributeValue,
    operand: &AttributeValue,
) -> Result<Option<AttributeValue>, UpdateError> {
    use AttributeValue::{Bs, Ns, Ss};
    fn rest<T: Ord + Clone>(left: &BTreeSet<T>, right: &BTreeSet<T>) -> Option<BTreeSet<T>> {
        let rest = left - right;
        (!rest.is_empty()).then_some(rest)
    }
    Ok(match (current, operand) {
        (Ss(left), Ss(right)) => rest(left, right).map(Ss),
        (Ns(left), Ns(right)) => rest(left, right).map(Ns),
        (Bs(left), Bs(right)) => rest(left, right).map(Bs),
        _ => return Err(UpdateError::OperandType),
    })
}

fn put(item: &mut Attributes, path: &Path, value: AttributeValue) -> Result<(), UpdateError> {
    let Some((last, parents)) = path.steps.split_last() else {
        item.insert(path.root.clone(), value);
        return Ok(());
    };
    match (parent(item, path, parents)?, last) {
        (AttributeValue::M(map), Step::Name(name)) => {
            map.insert(name.clone(), value);
        }
        (AttributeValue::L(list), Step::Index(index)) => match list.get_mut(*index) {
            Some(element) => *element = value,
            None => list.push(value),
        },
        _ => return Err(UpdateError::InvalidPath),
    }
    Ok(())
}

/// Whether there is something to remove at the path; its parent must be there in any case.
fn is_removal(path: &Path, before: &impl Item) -> Result<bool, UpdateError> {
    if before.read(path).is_some() {
        return Ok(true);
    }
    parent_fits(path, before).map(|()| false)
}

/// The parent of a path where nothing stands has to be there, and of the right type.
fn parent_fits(path: &Path, before: &impl Item) -> Result<(), UpdateError> {
    let Some((last, parents)) = path.steps.split_last() else { return Ok(()) };
    let parent = Path { root: path.root.clone(), steps: parents.to_vec() };
    match (before.read(&parent).as_deref(), last) {
        (Some(AttributeValue::M(_)), Step::Name(_))
        | (Some(AttributeValue::L(_)), Step::Index(_)) => Ok(()),
        _ => Err(UpdateError::InvalidPath),
    }
}

fn remove(item: &mut Attributes, path: &Path) -> Result<(), UpdateError> {
    let Some((last, parents)) = path.steps.split_last() else {
        item.remove(&path.root);
        return Ok(());
    };
    match (parent(item, path, parents)?, last) {
        (AttributeValue::M(map), Step::Name(name)) => {
            map.remove(name);
        }
        (AttributeValue::L(list), Step::Index(index)) => {
            if *index < list.len() {
                list.remove(*index);
            }
        }
        _ => return Err(UpdateError::InvalidPath),
    }
    Ok(())
}

/// The map or list that holds the last step of a path.
fn parent<'a>(
    item: &'a mut Attributes,
    path: &Path,
    parents: &[Step],
) -> Result<&'a mut AttributeValue, UpdateError> {
    let first = item.get_mut(&path.root).ok_or(UpdateError::InvalidPath)?;
    parents.iter().try_fold(first, |value, step| {
        let next = match (value, step) {
            (AttributeValue::M(map), Step::Name(name)) => map.get_mut(name),
            (AttributeValue::L(list), Step::Index(index)) => list.get_mut(*index),
            _ => None,
        };
        next.ok_or(UpdateError::InvalidPath)
    })
}
