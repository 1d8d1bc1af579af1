//! What a statement that changes an item asks of its table.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::ast::{Call, Change, Clause, Expr, Insert, Returning, Select, Statement};
use super::keys::{exact_key, key_value};
use super::lower;
use super::{Error, refuse};
use crate::expr::{Condition, Node, Path, SetOperand, SetValue, Update, distinct};
use crate::item::{AttributeValue, validate};
use crate::table::{Action, ReturnValues, Schema, WriteOp, key_update};

const NO_KEY: &str = "Where clause does not contain a mandatory equality on all key attributes";

impl Statement {
    /// Refuses what is wrong with it whatever its table is.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with DynamoDB's message.
    pub(super) fn check(&self) -> Result<(), Error> {
        let (filter, clauses) = match self {
            Self::Select(select) | Self::Exists(select) => (&select.filter, &[][..]),
            Self::Update(change) | Self::Delete(change) => (&change.filter, &change.clauses[..]),
            Self::Insert(_) => return Ok(()),
        };
        if let Some(filter) = filter {
            lower::condition(filter)?;
        }
        for clause in clauses {
            changed(clause)?;
        }
        Ok(())
    }

    /// The write that it asks of a table of the given schema.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with DynamoDB's message.
    pub fn write(&self, schema: &Schema) -> Result<WriteOp, Error> {
        match self {
            Self::Select(select) | Self::Exists(select) => exists(select, schema),
            Self::Insert(insert) => insert_op(insert, schema),
            Self::Update(change) => update_op(change, schema),
            Self::Delete(change) => delete_op(change, schema),
        }
    }

    /// Why a `PutItem` of the item of an `INSERT` would be refused for its key: transactions do.
    #[must_use]
    pub fn put_refusal(&self, schema: &Schema) -> Option<String> {
        let Self::Insert(insert) = self else { return None };
        schema.key_of(&insert.item).err().map(|refusal| refusal.to_string())
    }

    /// Whether its failed condition says that there is such an item.
    #[must_use]
    pub const fn is_insert(&self) -> bool {
        matches!(self, Self::Insert(_))
    }
}

fn exists(select: &Select, schema: &Schema) -> Result<WriteOp, Error> {
    let (key, condition) = select.check(schema)?;
    Ok(WriteOp { condition: Some(condition), ..WriteOp::new(key, Action::Check) })
}

fn attribute(name: &str) -> Path {
    Path { root: name.to_string(), steps: Vec::new() }
}

fn insert_op(insert: &Insert, schema: &Schema) -> Result<WriteOp, Error> {
    let refused = |text: String| Error::Refused(text);
    validate(&insert.item).map_err(|error| refused(error.to_string()))?;
    for key in core::iter::once(&schema.partition).chain(&schema.sort) {
        if let Some(value) = insert.item.get(&key.name) {
            key_value(value, key).map_err(|_| Error::KeyType(key.name.clone()))?;
        }
    }
    let key = schema.key_of(&insert.item).map_err(|refusal| refused(refusal.to_string()))?;
    let absent = Node::NotExists(attribute(&schema.partition.name));
    Ok(WriteOp {
        condition: Some(Condition::of_node(absent)),
        ..WriteOp::new(key, Action::Put(insert.item.clone()))
    })
}

/// The key, and the nodes of the condition behind it.
fn keyed(change: &Change, schema: &Schema) -> Result<(WriteOp, Vec<Node>), Error> {
    if change.target.index.is_some() {
        return refuse("This operation is not supported on an index");
    }
    let Some(filter) = &change.filter else { return refuse(NO_KEY) };
    let (key, rest) = exact_key(filter, schema, false)?;
    let Some(key) = key else { return refuse(NO_KEY) };
    if let Some(name) = schema.key_names().find(|name| rest.iter().any(|it| it.names(name))) {
        return refuse(format!(
            "Multiple conditions on same key {name}. Only single item Update/Insert/Delete are \
             supported"
        ));
    }
    let nodes = rest.into_iter().map(lower::node).collect::<Result<Vec<_>, _>>()?;
    let return_values = match change.returning {
        None => ReturnValues::None,
        Some(Returning::AllOld) => ReturnValues::AllOld,
        Some(Returning::ModifiedOld) => ReturnValues::UpdatedOld,
        Some(Returning::AllNew) => ReturnValues::AllNew,
        Some(Returning::ModifiedNew) => ReturnValues::UpdatedNew,
    };
    Ok((WriteOp { return_values, ..WriteOp::new(key, Action::Delete) }, nodes))
}

/// Of an item that is not there a `DELETE` takes away nothing, whatever its condition.
fn delete_op(change: &Change, schema: &Schema) -> Result<WriteOp, Error> {
    let (op, nodes) = keyed(change, schema)?;
    let absent = Node::NotExists(attribute(&schema.partition.name));
    let condition = (!nodes.is_empty())
        .then(|| Condition::of_node(Node::Or(Vec::from([absent, Node::And(nodes)]))));
    Ok(WriteOp { condition, ..op })
}

/// An `UPDATE` changes items that are there, and creates none.
fn update_op(change: &Change, schema: &Schema) -> Result<WriteOp, Error> {
    let (op, mut nodes) = keyed(change, schema)?;
    for clause in &change.clauses {
        let (Clause::Remove(path) | Clause::Set(path, _)) = clause;
        if path.steps.is_empty() && schema.key_names().any(|name| name == path.root) {
            return refuse(key_update(&path.root).to_string());
        }
    }
    let update = update(&change.clauses)?;
    nodes.insert(0, Node::Exists(attribute(&schema.partition.name)));
    Ok(WriteOp {
        action: Action::Update(update),
        condition: Some(Condition::of_node(Node::And(nodes))),
        ..op
    })
}

/// What a clause makes of an attribute.
enum Changed {
    Removed,
    Added(Arc<AttributeValue>),
    Deleted(Arc<AttributeValue>),
    Set(SetValue),
}

fn changed(clause: &Clause) -> Result<Changed, Error> {
    Ok(match clause {
        Clause::Remove(_) | Clause::Set(_, Expr::Missing) => Changed::Removed,
        Clause::Set(path, Expr::Call(call)) if call.is("set_add") => {
            Changed::Added(set(call, path)?)
        }
        Clause::Set(path, Expr::Call(call)) if call.is("set_delete") => {
            Changed::Deleted(set(call, path)?)
        }
        Clause::Set(_, value) => Changed::Set(set_value(value)?),
    })
}

fn update(clauses: &[Clause]) -> Result<Update, Error> {
    // Of two paths that overlap the later is told first, and what is removed is behind what is set.
    let (removed, set): (Vec<_>, Vec<_>) =
        clauses.iter().rev().partition(|clause| matches!(clause, Clause::Remove(_)));
    let paths = removed.into_iter().chain(set).map(|clause| match clause {
        Clause::Remove(path) | Clause::Set(path, _) => path,
    });
    distinct(paths).or_else(refuse)?;
    let mut update = Update::default();
    for clause in clauses {
        let (Clause::Remove(path) | Clause::Set(path, _)) = clause;
        let path = path.clone();
        let pushed = match changed(clause)? {
            Changed::Removed => update.push_remove(path),
            Changed::Added(set) => update.push_add(path, set),
            Changed::Deleted(set) => update.push_delete(path, set),
            Changed::Set(value) => update.push_set(path, value),
        };
        if let Err(reason) = pushed {
            return refuse(reason);
        }
    }
    Ok(update)
}

/// What `set_add` or `set_delete` is given.
fn set(call: &Call, target: &Path) -> Result<Arc<AttributeValue>, Error> {
    let name = call.name.to_ascii_uppercase();
    let [(first, at), (second, _)] = &call.arguments[..] else {
        return refuse(format!("{name} must have exactly two arguments at {}", call.span));
    };
    if !matches!(first, Expr::Path(path) if path == target) {
        return refuse(format!(
            "The first argument to {name} must equal the assignment value at {}",
            call.span
        ));
    }
    match second {
        Expr::Value(
            set @ (AttributeValue::Ss(_) | AttributeValue::Ns(_) | AttributeValue::Bs(_)),
        ) => Ok(Arc::new(set.clone())),
        _ => refuse(format!("The second argument to {name} must be a value with type SET at {at}")),
    }
}

fn set_value(expression: &Expr) -> Result<SetValue, Error> {
    match expression {
        Expr::Sum { left, right, minus } => {
            let name = if *minus { "-" } else { "+" };
            lower::check_type(name, left, "N")?;
            lower::check_type(name, right, "N")?;
            let (left, right) = (set_operand(left)?, set_operand(right)?);
            Ok(if *minus { SetValue::Minus(left, right) } else { SetValue::Plus(left, right) })
        }
        other => Ok(SetValue::Plain(set_operand(other)?)),
    }
}

fn set_operand(expression: &Expr) -> Result<SetOperand, Error> {
    match expression {
        Expr::Path(path) => Ok(SetOperand::Path(path.clone())),
        Expr::Value(value) => Ok(SetOperand::Value(Arc::new(value.clone()))),
        Expr::Call(call) if call.is("list_append") => {
            let [first, second] = call.operands()?;
            let operand = |expression| {
                lower::check_type("list_append", expression, "L")?;
                set_operand(expression).map(alloc::boxed::Box::new)
            };
            Ok(SetOperand::ListAppend(operand(first)?, operand(second)?))
        }
        Expr::Call(call) if call.is("if_not_exists") => {
            let [first, second] = call.operands()?;
            let Expr::Path(path) = first else {
                return refuse(
                    "Operator or function requires a document path; operator or function: \
                     if_not_exists",
                );
            };
            let other = alloc::boxed::Box::new(set_operand(second)?);
            Ok(SetOperand::IfNotExists(path.clone(), other))
        }
        Expr::Call(call) => call.unknown(),
        Expr::Unsupported(what) => refuse(format!("Unsupported operation: {what}")),
        _ => refuse("Unsupported operand in a SET clause"),
    }
}
