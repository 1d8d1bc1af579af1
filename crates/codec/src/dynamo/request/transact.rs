//! Transactions: several items, all or none.

use std::collections::BTreeSet;

use pangea_core::expr::Condition;
use pangea_core::id::TableId;
use pangea_core::item::{Attributes, PrimaryKey};
use pangea_core::limits::TRANSACTION_ITEMS_MAX;
use pangea_core::table::{Action, ReturnValues, Schema, WriteOp};

use super::expressions::{return_capacity, return_metrics};
use super::item::{Common, Operation};
use super::{Constraints, DeleteItem, GetItem, Members, PutItem, UpdateItem};
use crate::dynamo::ApiError;
use crate::dynamo::capacity::ReturnCapacity;
use crate::dynamo::error::cancelled;

/// Longest `ClientRequestToken`, characters (DynamoDB).
const TOKEN_CHARS_MAX: usize = 36;
/// Parameters of the operations on one item that the actions of a transaction do not have.
const NOT_OF_ACTIONS: [&str; 8] = [
    "AttributeUpdates",
    "AttributesToGet",
    "ConditionalOperator",
    "ConsistentRead",
    "Expected",
    "ReturnConsumedCapacity",
    "ReturnItemCollectionMetrics",
    "ReturnValues",
];
/// The names and values of expressions, which the service does not look at where a part of a
/// transaction has no expression.
const PLACEHOLDERS: [&str; 2] = ["ExpressionAttributeNames", "ExpressionAttributeValues"];
const ONE_ITEM_TWICE: &str = "Transaction request cannot include multiple operations on one item";

/// `TransactWriteItems`.
#[derive(Clone, Debug, PartialEq)]
pub struct TransactWriteItems {
    /// What to do, in the order of the request.
    pub writes: Vec<TransactWrite>,
    /// Names the request, so that it is done once however often it is sent.
    pub token: Option<String>,
    /// What to tell of consumed capacity.
    pub capacity: ReturnCapacity,
    /// Whether to tell of the items' collections, where tables have local indexes.
    pub collection_metrics: bool,
}

/// One action of a `TransactWriteItems`.
#[derive(Clone, Debug, PartialEq)]
pub enum TransactWrite {
    /// Replaces an item.
    Put(PutItem),
    /// Changes an item.
    Update(UpdateItem),
    /// Takes an item away.
    Delete(DeleteItem),
    /// Changes nothing; its condition must hold.
    Check(ConditionCheck),
}

/// `ConditionCheck`.
#[derive(Clone, Debug, PartialEq)]
pub struct ConditionCheck {
    /// The table's name.
    pub table: String,
    /// The key, not yet held against a schema.
    pub key: Attributes,
    /// What must hold of the item.
    pub condition: Condition,
    /// Whether a failed condition returns the item.
    pub return_on_condition_failure: bool,
}

impl TransactWriteItems {
    pub(super) fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let mut constraints = Constraints::default();
        let (actions, older) = (actions(body, &mut constraints)?, body.is_older());
        let pending = actions.into_iter().enumerate();
        let pending =
            pending.map(|(at, entry)| Pending::of(at + 1, entry, older, &mut constraints));
        let pending = pending.collect::<Result<Vec<_>, _>>()?;
        constraints.move_to(body);
        let token = body.text("ClientRequestToken")?;
        if let Some(token) = &token {
            check_token(token, &mut constraints);
        }
        let capacity = return_capacity(body, &mut constraints)?;
        let collection_metrics = return_metrics(body, &mut constraints)?;
        constraints.finish()?;
        let writes = pending.into_iter().map(|one| one?.finish()).collect::<Result<_, _>>()?;
        Ok(Self { writes, token, capacity, collection_metrics })
    }

    /// The tables that it names, each once, in order.
    #[must_use]
    pub fn tables(&self) -> Vec<&str> {
        self.writes.iter().map(TransactWrite::table).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The writes that this asks of tables, in its order.
    ///
    /// # Errors
    ///
    /// What `schema_of` says of a table's name; a `TransactionCanceledException` where items have
    /// no right key; a `ValidationException` where an item is named twice.
    pub fn into_ops<'s>(
        self,
        schema_of: impl Fn(&str) -> Result<(TableId, &'s Schema), ApiError>,
    ) -> Result<Vec<(TableId, WriteOp)>, ApiError> {
        let op = |write: TransactWrite| {
            let (table, schema) = schema_of(write.table())?;
            Ok(write.into_op(schema).map(|op| (table, op)))
        };
        let ops = self.writes.into_iter().map(op).collect::<Result<Vec<_>, ApiError>>()?;
        let ops = all_or_first_reason(ops)?;
        distinct(ops.iter().map(|(table, op)| (*table, &op.key)))?;
        Ok(ops)
    }
}

/// An action whose members keep to the model, as far as they do not: the constraints of all
/// actions are told of together, before anything else that is wrong with one.
struct Pending {
    name: &'static str,
    members: Members,
    common: Common,
}

impl Pending {
    /// The action that stands at `at`, or why it is none.
    fn of(
        at: usize,
        mut entry: Members,
        older: bool,
        constraints: &mut Constraints,
    ) -> Result<Result<Self, ApiError>, ApiError> {
        const NAMES: [&str; 4] = ["ConditionCheck", "Put", "Update", "Delete"];
        let present: Vec<&str> = NAMES.into_iter().filter(|name| entry.has(name)).collect();
        let [name] = present[..] else {
            return Ok(Err(ApiError::validation(if present.is_empty() {
                "Invalid Request: TransactWriteRequest should contain Delete or Put or Update \
                 request"
            } else {
                "TransactItems can only contain one of Check, Put, Update or Delete"
            })));
        };
        let (first, rest) = name.split_at(1);
        let path = format!("transactItems.{at}.member.{}{rest}.", first.to_ascii_lowercase());
        let mut members = entry.object(name)?.unwrap_or_default().at(path).of_older(older);
        members.forget(&NOT_OF_ACTIONS);
        if matches!(name, "Put" | "Delete") && !members.has("ConditionExpression") {
            members.forget(&PLACEHOLDERS);
        }
        constraints.move_to(&members);
        match name {
            "Update" => required(&members, "UpdateExpression", "updateExpression", constraints),
            "ConditionCheck" => {
                required(&members, "ConditionExpression", "conditionExpression", constraints);
            }
            _ => {}
        }
        let operation = match name {
            "Put" => Operation::Put,
            "Update" => Operation::Update,
            _ => Operation::Delete,
        };
        let common = Common::of_action(&mut members, operation, constraints)?;
        Ok(Ok(Self { name, members, common }))
    }

    fn finish(mut self) -> Result<TransactWrite, ApiError> {
        let (members, common) = (&mut self.members, self.common);
        Ok(match self.name {
            "Put" => TransactWrite::Put(PutItem::of_action(members, common)?),
            "Delete" => TransactWrite::Delete(DeleteItem::of_action(members, common)?),
            "Update" => TransactWrite::Update(UpdateItem::of_action(members, common)?),
            _ => TransactWrite::Check(ConditionCheck::of_action(members, common)?),
        })
    }
}

impl TransactWrite {
    /// The name of its table.
    #[must_use]
    pub fn table(&self) -> &str {
        match self {
            Self::Put(put) => &put.table,
            Self::Update(update) => &update.table,
            Self::Delete(delete) => &delete.table,
            Self::Check(check) => &check.table,
        }
    }

    fn into_op(self, schema: &Schema) -> Result<WriteOp, ApiError> {
        let op = match self {
            Self::Put(put) => put.into_op(schema),
            Self::Update(update) => update.into_op(schema),
            Self::Delete(delete) => delete.into_op(schema),
            Self::Check(check) => check.into_op(schema),
        };
        Ok(WriteOp { return_values: ReturnValues::None, ..op? })
    }
}

impl ConditionCheck {
    fn of_action(body: &mut Members, common: Common) -> Result<Self, ApiError> {
        let delete = DeleteItem::of_action(body, common)?;
        let DeleteItem { table, key, condition, return_on_condition_failure, .. } = delete;
        let missing = || ApiError::validation("ConditionCheck needs a ConditionExpression");
        let condition = condition.ok_or_else(missing)?;
        Ok(Self { table, key, condition, return_on_condition_failure })
    }

    fn into_op(self, schema: &Schema) -> Result<WriteOp, ApiError> {
        Ok(WriteOp {
            condition: Some(self.condition),
            return_on_condition_failure: self.return_on_condition_failure,
            ..WriteOp::new(schema.exact_key(&self.key)?, Action::Check)
        })
    }
}

/// `TransactGetItems`.
#[derive(Clone, Debug, PartialEq)]
pub struct TransactGetItems {
    /// What to get, in the order of the request. That a read is consistent or not, and what it
    /// wants to be told of capacity, is not asked of one item.
    pub gets: Vec<GetItem>,
    /// What to tell of consumed capacity.
    pub capacity: ReturnCapacity,
}

impl TransactGetItems {
    pub(super) fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let mut constraints = Constraints::default();
        let mut pending = Vec::new();
        for (at, mut entry) in actions(body, &mut constraints)?.into_iter().enumerate() {
            let Some(get) = entry.object("Get")? else {
                constraints.move_to(&entry.at(format!("transactItems.{}.member.", at + 1)));
                constraints.required(None::<()>, "get");
                continue;
            };
            let mut get = get.at(format!("transactItems.{}.member.get.", at + 1));
            get.forget(&NOT_OF_ACTIONS);
            if !get.has("ProjectionExpression") {
                get.forget(&PLACEHOLDERS);
            }
            let target = GetItem::target(&mut get, &mut constraints)?;
            pending.push((get, target));
        }
        constraints.move_to(body);
        let capacity = return_capacity(body, &mut constraints)?;
        constraints.finish()?;
        let gets = pending.into_iter().map(|(mut get, of)| GetItem::of_action(&mut get, of));
        Ok(Self { gets: gets.collect::<Result<_, _>>()?, capacity })
    }

    /// The tables that it names, each once, in order.
    #[must_use]
    pub fn tables(&self) -> Vec<&str> {
        let tables = self.gets.iter().map(|get| get.table.as_str());
        tables.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The keys, in its order.
    ///
    /// # Errors
    ///
    /// As of [`TransactWriteItems::into_ops`].
    pub fn primary_keys<'s>(
        &self,
        schema_of: impl Fn(&str) -> Result<(TableId, &'s Schema), ApiError>,
    ) -> Result<Vec<(TableId, PrimaryKey)>, ApiError> {
        let key = |get: &GetItem| {
            let (table, schema) = schema_of(&get.table)?;
            Ok(get.primary_key(schema).map(|key| (table, key)))
        };
        let keys = self.gets.iter().map(key).collect::<Result<Vec<_>, ApiError>>()?;
        let keys = all_or_reasons(keys)?;
        distinct(keys.iter().map(|(table, key)| (*table, key)))?;
        Ok(keys)
    }
}

fn actions(body: &mut Members, constraints: &mut Constraints) -> Result<Vec<Members>, ApiError> {
    let path = "transactItems";
    let Some(actions) = body.objects("TransactItems")? else {
        return Ok(constraints.required(None, path));
    };
    if actions.is_empty() {
        constraints.violated("'[]'", path, "have length greater than or equal to 1");
    } else if actions.len() > TRANSACTION_ITEMS_MAX {
        let limit = format!("have length less than or equal to {TRANSACTION_ITEMS_MAX}");
        constraints.violated(format_args!("'[{} items]'", actions.len()), path, &limit);
    }
    Ok(actions)
}

fn required(body: &Members, name: &str, path: &str, constraints: &mut Constraints) {
    constraints.required(body.has(name).then_some(()), path);
}

pub(super) fn check_token(token: &str, constraints: &mut Constraints) {
    let (shown, path) = (format!("'{token}'"), "clientRequestToken");
    if token.is_empty() {
        constraints.violated(&shown, path, "have length greater than or equal to 1");
    }
    if token.chars().count() > TOKEN_CHARS_MAX {
        let limit = format!("have length less than or equal to {TOKEN_CHARS_MAX}");
        constraints.violated(&shown, path, &limit);
    }
}

/// All of them, or why not the first that is not: the service looks no further than that, but for
/// empty keys, which it looks for before.
fn all_or_first_reason<T>(all: Vec<Result<T, ApiError>>) -> Result<Vec<T>, ApiError> {
    let first = all.iter().position(Result::is_err);
    all_or_reasons(all).map_err(|error| match first {
        Some(first) if !error.reasons.is_empty() => {
            let reasons = error.reasons.into_iter().enumerate();
            cancelled(reasons.map(|(at, reason)| (at == first).then_some(reason)))
        }
        _ => error,
    })
}

/// All of them, or why not, for each in order.
fn all_or_reasons<T>(all: Vec<Result<T, ApiError>>) -> Result<Vec<T>, ApiError> {
    if all.iter().all(Result::is_ok) {
        return Ok(all.into_iter().flatten().collect());
    }
    Err(cancelled(all.into_iter().map(|one| one.err().map(Into::into))))
}

fn distinct<'k>(keys: impl Iterator<Item = (TableId, &'k PrimaryKey)>) -> Result<(), ApiError> {
    let (mut seen, mut keys) = (BTreeSet::new(), keys);
    if keys.all(|key| seen.insert(key)) {
        return Ok(());
    }
    Err(ApiError::validation(ONE_ITEM_TWICE))
}
