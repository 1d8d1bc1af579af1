//! Writes to one item: what an operation makes of the item that is there.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};

use super::Schema;
use crate::expr::{Condition, Update, UpdateError};
use crate::index::{Index, check_each, check_paths};
use crate::item::{Attributes, ItemError, PrimaryKey, validate};
use crate::merge::VersionVector;

/// Which image of the item an operation returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReturnValues {
    /// None.
    #[default]
    None,
    /// The whole item before.
    AllOld,
    /// The updated parts before.
    UpdatedOld,
    /// The whole item after.
    AllNew,
    /// The updated parts after.
    UpdatedNew,
}

/// What an operation does to its item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Replaces the item by these attributes, the key among them.
    Put(Attributes),
    /// Changes parts of the item, or creates it.
    Update(Update),
    /// Takes the item away.
    Delete,
    /// Leaves the item as it is: for an operation that is only a condition.
    Check,
}

/// A write to one item, ready to be applied by the table's writer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteOp {
    /// Which item.
    pub key: PrimaryKey,
    /// What to do.
    pub action: Action,
    /// What must hold of the item before.
    pub condition: Option<Condition>,
    /// What to return.
    pub return_values: ReturnValues,
    /// Whether a failed condition returns the item (`ReturnValuesOnConditionCheckFailure`).
    pub return_on_condition_failure: bool,
    /// What the client had seen of the item, where it says so: see [`crate::merge::Write`].
    pub context: Option<VersionVector>,
    /// The item was in a table before: what it has in place of a key of an index keeps it out of
    /// that index, and is not refused.
    pub restores: bool,
}

impl WriteOp {
    /// A plain write: no condition, nothing to return.
    #[must_use]
    pub const fn new(key: PrimaryKey, action: Action) -> Self {
        Self {
            key,
            action,
            condition: None,
            return_values: ReturnValues::None,
            return_on_condition_failure: false,
            context: None,
            restores: false,
        }
    }

    /// Whether the operation depends on a condition.
    #[must_use]
    pub const fn had_condition(&self) -> bool {
        self.condition.is_some()
    }
}

/// What applying an operation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied<'a> {
    /// The item afterwards; `None` if there is none.
    pub next: Option<Cow<'a, Attributes>>,
    /// What `ReturnValues` asked for; `None` if there is nothing to return.
    pub returned: Option<Attributes>,
    /// False only of a check, and where no item was there and none is now: nothing needs to be
    /// written. A write of equal content counts as a change, because it is a later version of the
    /// item.
    pub changed: bool,
}

impl Applied<'_> {
    /// The same without the operation and the item that it came from.
    #[must_use]
    pub fn into_owned(self) -> Applied<'static> {
        let Self { next, returned, changed } = self;
        Applied { next: next.map(|item| Cow::Owned(item.into_owned())), returned, changed }
    }
}

/// Why an operation is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request is wrong; the text is DynamoDB's message.
    #[error("{0}")]
    Validation(String),
    /// The condition does not hold.
    #[error("The conditional request failed")]
    ConditionFailed {
        /// The item as it is, if the operation asked for it and it exists.
        item: Option<Attributes>,
    },
    /// The item would become larger than 400 KB.
    #[error("{0}")]
    ItemTooLarge(ItemError),
}

impl From<UpdateError> for Refusal {
    fn from(error: UpdateError) -> Self {
        match error {
            UpdateError::TooLarge => Self::ItemTooLarge(ItemError::TooLargeToUpdate),
            _ => Self::Validation(error.to_string()),
        }
    }
}

impl From<ItemError> for Refusal {
    fn from(error: ItemError) -> Self {
        match error {
            ItemError::TooLarge | ItemError::TooLargeToUpdate => Self::ItemTooLarge(error),
            ItemError::TooDeep
            | ItemError::NameTooLarge
            | ItemError::EmptyStringSet
            | ItemError::EmptyNumberSet
            | ItemError::EmptyBinarySet => Self::Validation(error.to_string()),
        }
    }
}

/// Applies an operation to the item that is there now.
///
/// # Errors
///
/// [`Refusal`]; the item then stays as it is.
pub fn apply<'a>(
    op: &'a WriteOp,
    schema: &Schema,
    current: Option<&'a Attributes>,
) -> Result<Applied<'a>, Refusal> {
    if let Action::Update(update) = &op.action {
        refuse_key_update(update, schema)?;
    }
    if op.condition.as_ref().is_some_and(|condition| !condition.matches(current)) {
        let item = current.filter(|_| op.return_on_condition_failure).cloned();
        return Err(Refusal::ConditionFailed { item });
    }
    let next = match &op.action {
        Action::Put(item) => {
            validate(item)?;
            Some(Cow::Borrowed(item))
        }
        Action::Update(update) => updated(op, update, schema, current)?.map(Cow::Owned),
        Action::Delete => None,
        Action::Check => current.map(Cow::Borrowed),
    };
    let returned = returned(op, current, next.as_deref());
    let changed = op.action != Action::Check && (next.is_some() || current.is_some());
    Ok(Applied { next, returned, changed })
}

fn updated(
    op: &WriteOp,
    update: &Update,
    schema: &Schema,
    current: Option<&Attributes>,
) -> Result<Option<Attributes>, Refusal> {
    let next = match current {
        Some(item) => update.apply(item)?,
        // DynamoDB does not even look at the paths: there is nothing to remove.
        None if update.only_removes() => return Ok(None),
        None => update.apply(&schema.attributes_of(&op.key))?,
    };
    validate(&next).map_err(|error| match error {
        ItemError::TooLarge => ItemError::TooLargeToUpdate,
        other => other,
    })?;
    Ok(Some(next))
}

fn returned(
    op: &WriteOp,
    before: Option<&Attributes>,
    after: Option<&Attributes>,
) -> Option<Attributes> {
    let parts = |item: Option<&Attributes>| match (&op.action, item) {
        (Action::Update(update), Some(item)) => {
            Some(update.updated_parts(item)).filter(|parts| !parts.is_empty())
        }
        _ => None,
    };
    match op.return_values {
        ReturnValues::None => None,
        ReturnValues::AllOld => before.cloned(),
        ReturnValues::UpdatedOld => parts(before),
        ReturnValues::AllNew => after.cloned(),
        ReturnValues::UpdatedNew => parts(after),
    }
}

/// Refuses an update that its text alone shows to be wrong for the keys of its table or of the
/// table's indexes, before the item is looked at.
///
/// # Errors
///
/// [`Refusal::Validation`].
pub fn check_update(update: &Update, schema: &Schema, indexes: &[Index]) -> Result<(), Refusal> {
    refuse_key_update(update, schema)?;
    check_each(indexes, |index| index.check_types(|name| update.type_given(name)))?;
    let goes_below = |name: &str| update.goes_below(name);
    schema.check_paths(goes_below)?;
    check_paths(indexes, goes_below)
}

fn refuse_key_update(update: &Update, schema: &Schema) -> Result<(), Refusal> {
    match schema.key_names().find(|name| update.changes(name)) {
        None => Ok(()),
        Some(name) => Err(key_update(name)),
    }
}

/// Why an update of an attribute of the key is refused.
pub(crate) fn key_update(name: &str) -> Refusal {
    Refusal::Validation(format!(
        "One or more parameter values were invalid: Cannot update attribute {name}. This \
         attribute is part of the key"
    ))
}
