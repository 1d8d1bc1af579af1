//! Update expressions: the tree and its parser.

mod apply;
mod charge;
mod targets;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::parser::{Parser, Rank};
use super::path::{Path, PathTree};
use super::{ExprError, Kind, Placeholders};
use crate::item::{AttributeValue, Attributes};

pub use apply::UpdateError;
pub(crate) use apply::{Effect, Item};
pub(crate) use targets::{Change, Target};

/// A parsed `UpdateExpression`, names and values substituted; its paths do not overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    set: Vec<(Path, SetValue)>,
    remove: Vec<Path>,
    add: Vec<(Path, Arc<AttributeValue>)>,
    delete: Vec<(Path, Arc<AttributeValue>)>,
    targets: PathTree,
    /// Whether it came in `AttributeUpdates`, which refuses mismatches in words of its own.
    legacy: bool,
}

/// One change in `AttributeUpdates`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeUpdate {
    /// The attribute becomes this.
    Put(AttributeValue),
    /// A number is added to, sets are joined, lists are appended to.
    Add(AttributeValue),
    /// Elements leave a set, or the attribute goes.
    Delete(Option<AttributeValue>),
}

/// The right side of an assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SetValue {
    Plain(SetOperand),
    Plus(SetOperand, SetOperand),
    Minus(SetOperand, SetOperand),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SetOperand {
    Path(Path),
    Value(Arc<AttributeValue>),
    IfNotExists(Path, Box<SetOperand>),
    ListAppend(Box<SetOperand>, Box<SetOperand>),
}

const SECTIONS: [&str; 4] = ["SET", "REMOVE", "ADD", "DELETE"];

impl Update {
    /// Parses an `UpdateExpression`.
    ///
    /// # Errors
    ///
    /// [`ExprError::Invalid`] with DynamoDB's message.
    pub fn parse(text: &str, placeholders: &mut Placeholders) -> Result<Self, ExprError> {
        let mut parser = Parser::new(Kind::Update, text, placeholders)?;
        let mut update = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        while !parser.is_at_end() {
            let Some(section) = SECTIONS.into_iter().find(|word| parser.eat_keyword(word)) else {
                return Err(parser.syntax_error());
            };
            if seen.contains(&section) {
                let reason = "section can only be used once in an update expression;";
                parser.defer(Rank::Section, format!("The \"{section}\" {reason}"));
            }
            seen.push(section);
            update.clause(&mut parser, section)?;
            while parser.eat(",") {
                update.clause(&mut parser, section)?;
            }
        }
        parser.finish()?;
        Ok(update)
    }

    /// `AttributeUpdates`, by attribute.
    #[must_use]
    pub fn of_attributes(updates: impl IntoIterator<Item = (String, AttributeUpdate)>) -> Self {
        let mut update = Self { legacy: true, ..Self::default() };
        for (root, change) in updates {
            let path = Path { root, steps: Vec::new() };
            // Attributes of a map are distinct, so nothing overlaps.
            let _ = update.targets.insert(&path);
            match change {
                AttributeUpdate::Put(value) => {
                    update.set.push((path, SetValue::Plain(SetOperand::Value(Arc::new(value)))));
                }
                AttributeUpdate::Add(AttributeValue::L(tail)) => {
                    let list =
                        |list| Box::new(SetOperand::Value(Arc::new(AttributeValue::L(list))));
                    let base = SetOperand::IfNotExists(path.clone(), list(Vec::new()));
                    let sum = SetOperand::ListAppend(Box::new(base), list(tail));
                    update.set.push((path, SetValue::Plain(sum)));
                }
                AttributeUpdate::Add(value) => update.add.push((path, Arc::new(value))),
                AttributeUpdate::Delete(Some(value)) => {
                    update.delete.push((path, Arc::new(value)));
                }
                AttributeUpdate::Delete(None) => update.remove.push(path),
            }
        }
        update
    }

    /// Adds an assignment.
    ///
    /// # Errors
    ///
    /// As all of these, DynamoDB's message where targets overlap.
    pub(crate) fn push_set(&mut self, path: Path, value: SetValue) -> Result<(), String> {
        self.target(&path)?;
        self.set.push((path, value));
        Ok(())
    }

    pub(crate) fn push_remove(&mut self, path: Path) -> Result<(), String> {
        self.target(&path)?;
        self.remove.push(path);
        Ok(())
    }

    pub(crate) fn push_add(
        &mut self,
        path: Path,
        value: Arc<AttributeValue>,
    ) -> Result<(), String> {
        self.target(&path)?;
        self.add.push((path, value));
        Ok(())
    }

    pub(crate) fn push_delete(
        &mut self,
        path: Path,
        value: Arc<AttributeValue>,
    ) -> Result<(), String> {
        self.target(&path)?;
        self.delete.push((path, value));
        Ok(())
    }

    fn target(&mut self, path: &Path) -> Result<(), String> {
        self.targets.insert(path).map_err(|(_, reason)| reason)
    }

    /// Whether any target of the update starts at the attribute `name`.
    #[must_use]
    pub fn changes(&self, name: &str) -> bool {
        self.targets.has_root(name)
    }

    /// Whether the update can only take away: on an item that does not exist it does nothing.
    #[must_use]
    pub fn only_removes(&self) -> bool {
        let removes = !self.remove.is_empty() || !self.delete.is_empty();
        removes && self.set.is_empty() && self.add.is_empty()
    }

    /// The parts of `item` that the update names: what `UPDATED_OLD` and `UPDATED_NEW` return.
    #[must_use]
    pub fn updated_parts(&self, item: &Attributes) -> Attributes {
        self.targets.select(item)
    }

    /// One clause of a section.
    fn clause(&mut self, parser: &mut Parser<'_>, section: &str) -> Result<(), ExprError> {
        let path = parser.path()?;
        if let Err((rank, reason)) = self.targets.insert(&path) {
            parser.defer(rank, reason);
        }
        match section {
            "SET" => {
                parser.expect("=")?;
                parser.operator()?;
                let value = set_value(parser)?;
                self.set.push((path, value));
            }
            "REMOVE" => {
                parser.operator()?;
                self.remove.push(path);
            }
            _ => {
                let Some(value) = parser.eat_value() else { return Err(parser.syntax_error()) };
                parser.operator()?;
                check_clause_value(parser, section, &value);
                let clauses = if section == "ADD" { &mut self.add } else { &mut self.delete };
                clauses.push((path, value));
            }
        }
        Ok(())
    }
}

/// `ADD` takes numbers and sets, `DELETE` takes sets.
fn check_clause_value(parser: &mut Parser<'_>, section: &str, value: &AttributeValue) {
    let kind = match value {
        AttributeValue::Ss(_) | AttributeValue::Ns(_) | AttributeValue::Bs(_) => return,
        AttributeValue::N(_) if section == "ADD" => return,
        AttributeValue::N(_) => "NUMBER",
        AttributeValue::S(_) => "STRING",
        AttributeValue::B(_) => "BINARY",
        AttributeValue::Null => "NULL",
        AttributeValue::Bool(_) => "BOOLEAN",
        AttributeValue::L(_) => "LIST",
        AttributeValue::M(_) => "MAP",
    };
    let reason = format!(
        "Incorrect operand type for operator or function; operator: {section}, operand type: {kind}, \
         typeSet: ALLOWED_FOR_ADD_OPERAND"
    );
    parser.defer(Rank::ClauseType, reason);
}

fn set_value(parser: &mut Parser<'_>) -> Result<SetValue, ExprError> {
    let left = set_term(parser)?;
    let sign = parser.peek();
    if !matches!(sign, "+" | "-") || !parser.eat(sign) {
        return Ok(left);
    }
    parser.operator()?;
    let right = set_term(parser)?;
    let (SetValue::Plain(left), SetValue::Plain(right)) = (left, right) else {
        return Err(parser.syntax_error());
    };
    for operand in [&left, &right] {
        check_type(parser, sign, operand, "N");
    }
    Ok(if sign == "+" { SetValue::Plus(left, right) } else { SetValue::Minus(left, right) })
}

/// An operand, or a whole value in parentheses.
fn set_term(parser: &mut Parser<'_>) -> Result<SetValue, ExprError> {
    if !parser.eat("(") {
        return Ok(SetValue::Plain(set_operand(parser)?));
    }
    let inner = parser.nested(set_value)?;
    parser.expect(")")?;
    Ok(inner)
}

fn set_operand(parser: &mut Parser<'_>) -> Result<SetOperand, ExprError> {
    if let Some(name) = parser.eat_call() {
        return parser.nested(|parser| call(parser, name));
    }
    match parser.eat_value() {
        Some(value) => Ok(SetOperand::Value(value)),
        None => Ok(SetOperand::Path(parser.path()?)),
    }
}

/// A call whose `(` is already read.
fn call(parser: &mut Parser<'_>, name: &str) -> Result<SetOperand, ExprError> {
    parser.operator()?;
    let mut arguments = Vec::from([set_operand(parser)?]);
    while parser.eat(",") {
        arguments.push(set_operand(parser)?);
    }
    parser.expect(")")?;
    let count = arguments.len();
    let mut arguments = arguments.into_iter();
    match (name, arguments.next(), arguments.next()) {
        ("if_not_exists", Some(SetOperand::Path(path)), Some(other)) if count == 2 => {
            Ok(SetOperand::IfNotExists(path, Box::new(other)))
        }
        ("list_append", Some(first), Some(second)) if count == 2 => {
            // DynamoDB nests other functions, but not this one in itself.
            if [&first, &second].into_iter().any(|a| matches!(a, SetOperand::ListAppend(..))) {
                let reason = "The function is not allowed to be used this way in an expression";
                parser.defer(Rank::MisusedFunction, format!("{reason}; function: {name}"));
            }
            check_type(parser, name, &first, "L");
            check_type(parser, name, &second, "L");
            Ok(SetOperand::ListAppend(Box::new(first), Box::new(second)))
        }
        _ => {
            let (rank, reason) = wrong_call(name, count);
            parser.defer(rank, reason);
            Ok(SetOperand::Value(Arc::new(AttributeValue::Null)))
        }
    }
}

fn wrong_call(name: &str, count: usize) -> (Rank, String) {
    match name {
        "if_not_exists" if count == 2 => (
            Rank::OperandType,
            format!("Operator or function requires a document path; operator or function: {name}"),
        ),
        "if_not_exists" | "list_append" => (
            Rank::OperandType,
            format!(
                "Incorrect number of operands for operator or function; operator or function: \
                 {name}, number of operands: {count}"
            ),
        ),
        "attribute_exists"
        | "attribute_not_exists"
        | "attribute_type"
        | "begins_with"
        | "contains"
        | "size" => (
            Rank::UnknownFunction,
            format!("The function is not allowed in an update expression; function: {name}"),
        ),
        _ => (Rank::UnknownFunction, format!("Invalid function name; function: {name}")),
    }
}

/// Defers an error where the text alone tells that an operand is not of type `wanted`.
fn check_type(parser: &mut Parser<'_>, name: &str, operand: &SetOperand, wanted: &str) {
    let kind = match operand {
        SetOperand::Value(value) => value.type_name(),
        SetOperand::ListAppend(..) => "L",
        SetOperand::Path(_) | SetOperand::IfNotExists(..) => return,
    };
    if kind == wanted {
        return;
    }
    let reason = format!(
        "Incorrect operand type for operator or function; operator or function: {name}, \
         operand type: {kind}"
    );
    parser.defer(Rank::OperandType, reason);
}
