//! Condition, filter and key condition expressions: the tree and its parser.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::eval;
use super::parser::{Parser, Rank};
use super::path::Path;
use super::{ExprError, IN_OPERANDS_MAX, Kind, Placeholders, REDUNDANT};
use crate::item::{AttributeValue, Attributes};

mod joined;

use joined::{Parsed, What};

/// A parsed condition or filter, names and values substituted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    pub(super) root: Node,
}

/// A node of a condition: something true or false of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Compare { left: Operand, op: Comparator, right: Operand },
    Between { operand: Operand, low: Operand, high: Operand },
    In { operand: Operand, list: Vec<Operand> },
    Exists(Path),
    NotExists(Path),
    Type(Operand, &'static str),
    BeginsWith(Operand, Operand),
    Contains(Operand, Operand),
}

/// Something that has a value in an item, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    Path(Path),
    Value(Arc<AttributeValue>),
    Size(Box<Operand>),
}

/// A comparison between two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparator {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Comparator {
    fn from_symbol(symbol: &str) -> Option<Self> {
        Some(match symbol {
            "=" => Self::Eq,
            "<>" => Self::Ne,
            "<" => Self::Lt,
            "<=" => Self::Le,
            ">" => Self::Gt,
            ">=" => Self::Ge,
            _ => return None,
        })
    }

    /// How it is written.
    pub(crate) const fn symbol(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Ne => "<>",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
        }
    }

    /// The comparator that says the same with its operands swapped.
    pub(crate) const fn flipped(self) -> Self {
        match self {
            Self::Eq => Self::Eq,
            Self::Ne => Self::Ne,
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
        }
    }
}

impl Condition {
    /// Parses a `ConditionExpression` or, by `kind`, a `FilterExpression`.
    ///
    /// # Errors
    ///
    /// [`ExprError::Invalid`] with DynamoDB's message.
    pub fn parse(
        kind: Kind,
        text: &str,
        placeholders: &mut Placeholders,
    ) -> Result<Self, ExprError> {
        let mut parser = Parser::new(kind, text, placeholders)?;
        let root = match joined::parse(&mut parser)?.what {
            What::Node(node) => *node,
            What::Operand(it) if matches!(*it, Operand::Size(_)) && parser.is_at_end() => {
                misused(&mut parser, "size");
                Node::And(Vec::new())
            }
            What::Operand(_) => return Err(parser.syntax_error()),
        };
        parser.finish()?;
        Ok(Self { root })
    }

    pub(crate) const fn of_node(root: Node) -> Self {
        Self { root }
    }

    /// Whether the condition holds for an item; `None` is the item that does not exist.
    #[must_use]
    pub fn matches(&self, item: Option<&Attributes>) -> bool {
        static ABSENT: Attributes = Attributes::new();
        eval::holds(&self.root, item.unwrap_or(&ABSENT))
    }

    /// Whether any path of the condition starts at the attribute `name`.
    #[must_use]
    pub fn mentions(&self, name: &str) -> bool {
        let mut found = false;
        each_path(&self.root, &mut |path| found |= path.root == name);
        found
    }

    /// Whether any path of the condition goes below the attribute `name`.
    #[must_use]
    pub fn goes_below(&self, name: &str) -> bool {
        let mut goes = false;
        each_path(&self.root, &mut |path| goes |= path.root == name && !path.steps.is_empty());
        goes
    }

    /// The attributes that its paths start at.
    #[must_use]
    pub fn roots(&self) -> BTreeSet<&str> {
        let mut roots = BTreeSet::new();
        each_path(&self.root, &mut |path| {
            roots.insert(path.root.as_str());
        });
        roots
    }
}

/// Shows every path of a condition.
fn each_path<'n>(node: &'n Node, see: &mut dyn FnMut(&'n Path)) {
    match node {
        Node::And(nodes) | Node::Or(nodes) => nodes.iter().for_each(|node| each_path(node, see)),
        Node::Not(node) => each_path(node, see),
        Node::Between { operand, low, high } => {
            [operand, low, high].into_iter().for_each(|operand| path_of(operand, see));
        }
        Node::In { operand, list } => {
            path_of(operand, see);
            list.iter().for_each(|operand| path_of(operand, see));
        }
        Node::Exists(path) | Node::NotExists(path) => see(path),
        Node::Type(operand, _) => path_of(operand, see),
        Node::Compare { left, right, .. }
        | Node::BeginsWith(left, right)
        | Node::Contains(left, right) => {
            path_of(left, see);
            path_of(right, see);
        }
    }
}

fn path_of<'n>(operand: &'n Operand, see: &mut dyn FnMut(&'n Path)) {
    match operand {
        Operand::Path(path) => see(path),
        Operand::Value(_) => {}
        Operand::Size(inner) => path_of(inner, see),
    }
}

/// What follows a primary, which no level of parentheses is read on top of.
fn compared_with(
    parser: &mut Parser<'_>,
    called: Option<&str>,
    first: Parsed,
) -> Result<Parsed, ExprError> {
    let is_operand = Comparator::from_symbol(parser.peek()).is_some()
        || parser.at_keyword("BETWEEN")
        || parser.at_keyword("IN");
    let left = match (first.what, called) {
        (What::Operand(operand), _) => *operand,
        (What::Node(_), Some(name)) if is_operand => {
            misused(parser, name);
            nothing()
        }
        (what, _) => return Ok(Parsed { what, enclosed: first.enclosed }),
    };
    let node = if let Some(op) = Comparator::from_symbol(parser.peek()) {
        let symbol = parser.peek();
        parser.eat(symbol);
        parser.operator()?;
        let right = operand(parser)?;
        check_distinct(parser, symbol, &left, &right);
        if !matches!(op, Comparator::Eq | Comparator::Ne) {
            check_scalar(parser, symbol, [&left, &right]);
        }
        Node::Compare { left, op, right }
    } else if parser.eat_keyword("BETWEEN") {
        between(parser, left)?
    } else if parser.eat_keyword("IN") {
        membership(parser, left)?
    } else {
        let what = What::Operand(Box::new(left));
        return Ok(Parsed { what, enclosed: first.enclosed });
    };
    Ok(Parsed { what: What::Node(Box::new(node)), enclosed: false })
}

fn between(parser: &mut Parser<'_>, left: Operand) -> Result<Node, ExprError> {
    parser.operator()?;
    let low = operand(parser)?;
    if !parser.eat_keyword("AND") {
        return Err(parser.syntax_error());
    }
    let high = operand(parser)?;
    check_scalar(parser, "BETWEEN", [&left, &low]);
    check_scalar(parser, "BETWEEN", [&left, &high]);
    check_bounds(parser, &low, &high);
    Ok(Node::Between { operand: left, low, high })
}

fn membership(parser: &mut Parser<'_>, left: Operand) -> Result<Node, ExprError> {
    parser.operator()?;
    parser.expect("(")?;
    let mut list = Vec::from([operand(parser)?]);
    while parser.eat(",") {
        list.push(operand(parser)?);
    }
    parser.expect(")")?;
    if list.len() > IN_OPERANDS_MAX {
        wrong_count(parser, "IN", list.len());
    }
    Ok(Node::In { operand: left, list })
}

/// A call, a path or a value.
fn unenclosed(parser: &mut Parser<'_>) -> Result<Parsed, ExprError> {
    let what = match parser.eat_call() {
        Some(name) => parser.nested(|parser| call(parser, name))?,
        None => What::Operand(Box::new(path_or_value(parser)?)),
    };
    Ok(Parsed { what, enclosed: false })
}

fn path_or_value(parser: &mut Parser<'_>) -> Result<Operand, ExprError> {
    match parser.eat_value() {
        Some(value) => Ok(Operand::Value(value)),
        None => Ok(Operand::Path(parser.path()?)),
    }
}

/// An operand of a comparison or of a function.
fn operand(parser: &mut Parser<'_>) -> Result<Operand, ExprError> {
    if parser.eat("(") {
        if parser.peek() == "(" {
            parser.defer(Rank::Parentheses, REDUNDANT.into());
        }
        let inner = parser.nested(operand)?;
        parser.expect(")")?;
        return Ok(inner);
    }
    let Some(name) = parser.eat_call() else { return path_or_value(parser) };
    match parser.nested(|parser| call(parser, name))? {
        What::Operand(operand) => Ok(*operand),
        What::Node(_) => {
            misused(parser, name);
            Ok(nothing())
        }
    }
}

/// The arguments of a call whose `(` is already read.
fn call(parser: &mut Parser<'_>, name: &str) -> Result<What, ExprError> {
    parser.operator()?;
    let mut arguments = Vec::from([operand(parser)?]);
    while parser.eat(",") {
        arguments.push(operand(parser)?);
    }
    parser.expect(")")?;
    let wanted = match name {
        "size" | "attribute_exists" | "attribute_not_exists" => 1,
        "attribute_type" | "begins_with" | "contains" => 2,
        _ => {
            let what = match name {
                "if_not_exists" | "list_append" => {
                    "The function is not allowed in a condition expression"
                }
                _ => "Invalid function name",
            };
            let reason = format!("{what}; function: {name}");
            parser.defer(Rank::UnknownFunction, reason);
            0
        }
    };
    if wanted != 0 && arguments.len() != wanted {
        wrong_count(parser, name, arguments.len());
    }
    let mut arguments = arguments.into_iter();
    let first = arguments.next().unwrap_or_else(nothing);
    Ok(match (name, arguments.next()) {
        ("size", _) => What::Operand(Box::new(size(parser, first))),
        (_, second) => What::Node(Box::new(truth(parser, name, first, second))),
    })
}

fn size(parser: &mut Parser<'_>, operand: Operand) -> Operand {
    if let Some(kind) = static_type(&operand)
        && matches!(kind, "N" | "BOOL" | "NULL")
    {
        wrong_type(parser, "size", kind);
    }
    Operand::Size(Box::new(operand))
}

/// A call that is true or false; a wrong one becomes a placeholder behind a deferred error.
fn truth(parser: &mut Parser<'_>, name: &str, first: Operand, second: Option<Operand>) -> Node {
    match (name, second) {
        ("attribute_exists", _) => need_path(parser, name, first, Node::Exists),
        ("attribute_not_exists", _) => need_path(parser, name, first, Node::NotExists),
        ("attribute_type", Some(second)) => {
            check_distinct(parser, name, &first, &second);
            let kind = wanted_type(parser, &second);
            Node::Type(first, kind)
        }
        ("begins_with", Some(second)) => {
            check_distinct(parser, name, &first, &second);
            for kind in [&first, &second].into_iter().filter_map(static_type) {
                if !matches!(kind, "S" | "B") {
                    wrong_type(parser, name, kind);
                }
            }
            Node::BeginsWith(first, second)
        }
        ("contains", Some(second)) => {
            check_distinct(parser, name, &first, &second);
            Node::Contains(first, second)
        }
        _ => Node::And(Vec::new()),
    }
}

fn need_path(
    parser: &mut Parser<'_>,
    name: &str,
    operand: Operand,
    make: fn(Path) -> Node,
) -> Node {
    if let Operand::Path(path) = operand {
        return make(path);
    }
    let reason = "Operator or function requires a document path; operator or function";
    parser.defer(Rank::OperandType, format!("{reason}: {name}"));
    Node::And(Vec::new())
}

const TYPES: [&str; 10] = ["B", "NULL", "SS", "BOOL", "L", "BS", "N", "NS", "S", "M"];

fn wanted_type(parser: &mut Parser<'_>, operand: &Operand) -> &'static str {
    let (Operand::Value(value), Some("S")) = (operand, static_type(operand)) else {
        let kind = static_type(operand).unwrap_or("{NS,SS,L,BS,N,M,B,BOOL,NULL,S}");
        wrong_type(parser, "attribute_type", kind);
        return "";
    };
    let AttributeValue::S(text) = &**value else { return "" };
    let found = TYPES.into_iter().find(|kind| kind == text);
    found.unwrap_or_else(|| {
        let reason = format!(
            "Invalid attribute type name found; type: {text}, valid types: {{{}}}",
            TYPES.join(",")
        );
        parser.defer(Rank::OperandType, reason);
        ""
    })
}

/// The type of an operand, where the text alone tells it.
fn static_type(operand: &Operand) -> Option<&'static str> {
    match operand {
        Operand::Path(_) => None,
        Operand::Value(value) => Some(value.type_name()),
        Operand::Size(_) => Some("N"),
    }
}

/// What stands in for an operand behind a deferred error.
fn nothing() -> Operand {
    Operand::Value(Arc::new(AttributeValue::Null))
}

fn misused(parser: &mut Parser<'_>, name: &str) {
    let reason = "The function is not allowed to be used this way in an expression; function";
    parser.defer(Rank::MisusedFunction, format!("{reason}: {name}"));
}

fn wrong_count(parser: &mut Parser<'_>, name: &str, count: usize) {
    let reason = format!(
        "Incorrect number of operands for operator or function; operator or function: {name}, \
         number of operands: {count}"
    );
    parser.defer(Rank::OperandCount, reason);
}

fn wrong_type(parser: &mut Parser<'_>, name: &str, kind: &str) {
    let reason = format!(
        "Incorrect operand type for operator or function; operator or function: {name}, \
         operand type: {kind}"
    );
    parser.defer(Rank::OperandType, reason);
}

fn check_scalar(parser: &mut Parser<'_>, name: &str, operands: [&Operand; 2]) {
    for kind in operands.into_iter().filter_map(static_type) {
        if !matches!(kind, "S" | "N" | "B") {
            wrong_type(parser, name, kind);
        }
    }
}

fn check_distinct(parser: &mut Parser<'_>, name: &str, left: &Operand, right: &Operand) {
    if let (Operand::Path(left), Operand::Path(right)) = (left, right)
        && left == right
    {
        let reason = format!(
            "The first operand must be distinct from the remaining operands for this operator or \
             function; operator: {name}, first operand: {left}"
        );
        parser.defer(Rank::Distinct, reason);
    }
}

fn check_bounds(parser: &mut Parser<'_>, low: &Operand, high: &Operand) {
    if let Err(reason) = bounds(low, high) {
        parser.defer(Rank::OperandType, reason);
    }
}

/// Refuses bounds of a range of which no value can be between them.
pub(crate) fn bounds(low: &Operand, high: &Operand) -> Result<(), alloc::string::String> {
    let (Operand::Value(low), Operand::Value(high)) = (low, high) else { return Ok(()) };
    let what = match eval::order(low, high) {
        None => "same data type for lower and upper bounds",
        Some(core::cmp::Ordering::Greater) => {
            "upper bound to be greater than or equal to lower bound"
        }
        Some(_) => return Ok(()),
    };
    Err(format!(
        "The BETWEEN operator requires {what}; lower bound operand: AttributeValue: {}, \
         upper bound operand: AttributeValue: {}",
        eval::Shown(low),
        eval::Shown(high)
    ))
}
