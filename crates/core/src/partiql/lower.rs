//! Conditions of a `WHERE` as the trees that expressions become.

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::ast::{Call, Expr};
use super::{Error, refuse};
use crate::expr::{Comparator, Condition, IN_OPERANDS_MAX, Node, Operand, Path, bounds};
use crate::item::AttributeValue;

/// The types that an attribute may have.
const TYPES: [&str; 10] = ["B", "NULL", "SS", "BOOL", "L", "BS", "N", "NS", "S", "M"];

const NO_CONDITION: &str = "WHERE clause must contain an expression that resolves to a boolean";

/// The condition that an expression is.
pub(super) fn condition(expression: &Expr) -> Result<Condition, Error> {
    Ok(Condition::of_node(node(expression)?))
}

/// Something true or false of an item.
pub(super) fn node(expression: &Expr) -> Result<Node, Error> {
    node_under(None, expression)
}

/// As [`node`], of an operand of the operator.
fn node_under(operator: Option<&str>, expression: &Expr) -> Result<Node, Error> {
    let all = |operator: &str, terms: &[Expr]| {
        terms.iter().map(|term| node_under(Some(operator), term)).collect::<Result<Vec<_>, _>>()
    };
    let no_condition = |kind: &str| match operator {
        Some(operator) => wrong_type(operator, kind),
        None => refuse(NO_CONDITION),
    };
    Ok(match expression {
        Expr::And(terms) => Node::And(all("AND", terms)?),
        Expr::Or(terms) => Node::Or(all("OR", terms)?),
        Expr::Not(inner) => Node::Not(Box::new(node_under(Some("NOT"), inner)?)),
        Expr::Compare { left, op, right } => compare(left, *op, right)?,
        Expr::Between { operand: of, low, high } => {
            let (of, low, high) = (operand(of)?, operand(low)?, operand(high)?);
            check_distinct("BETWEEN", &of, [&low, &high])?;
            check_ordered("BETWEEN", [&of, &low])?;
            check_ordered("BETWEEN", [&high, &high])?;
            bounds(&low, &high).or_else(refuse)?;
            Node::Between { operand: of, low, high }
        }
        Expr::In { operand: of, list } if is_truth(of) || list.iter().any(is_truth) => {
            let equal = |one: &Expr| compare(of, Comparator::Eq, one);
            Node::Or(list.iter().map(equal).collect::<Result<_, _>>()?)
        }
        Expr::In { operand: of, list } => {
            let list = list.iter().map(operand).collect::<Result<Vec<_>, _>>()?;
            let of = operand(of)?;
            check_distinct("IN", &of, &list)?;
            if list.len() > IN_OPERANDS_MAX {
                let count = list.len();
                return refuse(format!(
                    "The IN operator is provided with too many operands; number of operands: {count}"
                ));
            }
            Node::In { operand: of, list }
        }
        Expr::Is { operand: of, kinds } => is(of, kinds)?,
        Expr::Call(call) if call.is("size") => {
            operand(expression)?;
            return no_condition("N");
        }
        Expr::Call(call) => truth(call)?,
        Expr::Value(AttributeValue::Bool(true)) => Node::And(Vec::new()),
        Expr::Value(AttributeValue::Bool(false)) => Node::Or(Vec::new()),
        Expr::Value(value) => return no_condition(value.type_name()),
        Expr::Unsupported(what) => return refuse(format!("Unsupported operation: {what}")),
        Expr::Missing | Expr::Path(_) | Expr::Sum { .. } => {
            return refuse(NO_CONDITION);
        }
    })
}

fn is_truth(expression: &Expr) -> bool {
    matches!(expression, Expr::Call(call) if call.is_truth())
}

fn is(of: &Expr, kinds: &[&'static str]) -> Result<Node, Error> {
    let Expr::Path(path) = of else { return refuse("Unsupported operation: IsType") };
    if kinds.is_empty() {
        return Ok(Node::NotExists(path.clone()));
    }
    let test = |kind: &&'static str| Node::Type(Operand::Path(path.clone()), kind);
    Ok(Node::Or(kinds.iter().map(test).collect()))
}

fn compare(left: &Expr, op: Comparator, right: &Expr) -> Result<Node, Error> {
    for (call, other) in [(left, right), (right, left)] {
        if let Expr::Call(call) = call
            && call.is_truth()
        {
            return compare_truth(call, op, other);
        }
    }
    if matches!((left, right), (_, Expr::Missing) | (Expr::Missing, _)) {
        return refuse("MISSING must be compared using IS operator");
    }
    let (left, right) = (operand(left)?, operand(right)?);
    if !matches!(op, Comparator::Eq | Comparator::Ne) {
        check_ordered(op.symbol(), [&left, &right])?;
    }
    check_distinct(op.symbol(), &left, [&right])?;
    Ok(Node::Compare { left, op, right })
}

/// A function that is true or false, held against something: equal to the same alone (measured on
/// the service by dynoxide's authors, October 2026).
fn compare_truth(call: &Call, op: Comparator, other: &Expr) -> Result<Node, Error> {
    let node = truth(call)?;
    let equal = equal_truth(node, other)?;
    match op {
        Comparator::Eq => Ok(equal),
        Comparator::Ne => Ok(Node::Not(Box::new(equal))),
        _ => wrong_type(op.symbol(), "BOOL"),
    }
}

/// Whether a truth is what an operand is.
fn equal_truth(node: Node, other: &Expr) -> Result<Node, Error> {
    let not = |node: Node| Node::Not(Box::new(node));
    let either = |node: &Node, yes: Node, no: Node| {
        let both = Node::And(Vec::from([node.clone(), yes]));
        Node::Or(Vec::from([both, Node::And(Vec::from([not(node.clone()), no]))]))
    };
    Ok(match other {
        Expr::Value(AttributeValue::Bool(true)) => node,
        Expr::Value(AttributeValue::Bool(false)) => not(node),
        Expr::Path(path) => {
            let is = |wanted| Node::Compare {
                left: Operand::Path(path.clone()),
                op: Comparator::Eq,
                right: Operand::Value(Arc::new(AttributeValue::Bool(wanted))),
            };
            either(&node, is(true), is(false))
        }
        Expr::Call(call) if call.is_truth() => {
            let other = truth(call)?;
            either(&node, other.clone(), not(other))
        }
        // Nothing else is true or false.
        other => {
            operand(other)?;
            Node::Or(Vec::new())
        }
    })
}

/// Refuses a path that is held against itself.
fn check_distinct<'o>(
    name: &str,
    first: &Operand,
    others: impl IntoIterator<Item = &'o Operand>,
) -> Result<(), Error> {
    let Operand::Path(path) = first else { return Ok(()) };
    let is_it = |other: &Operand| matches!(other, Operand::Path(other) if other == path);
    if !others.into_iter().any(is_it) {
        return Ok(());
    }
    refuse(format!(
        "The first operand must be distinct from the remaining operands for this operator or \
         function; operator: {name}, first operand: {path}"
    ))
}

/// Only strings, numbers and binaries have an order.
fn check_ordered(name: &str, operands: [&Operand; 2]) -> Result<(), Error> {
    for operand in operands {
        if let Operand::Value(value) = operand
            && !matches!(value.type_name(), "S" | "N" | "B")
        {
            return wrong_type(name, value.type_name());
        }
    }
    Ok(())
}

/// Refuses a value of another type than `wanted` as an operand of `name`.
pub(super) fn check_type(name: &str, operand: &Expr, wanted: &str) -> Result<(), Error> {
    match operand {
        Expr::Value(value) if value.type_name() != wanted => wrong_type(name, value.type_name()),
        _ => Ok(()),
    }
}

fn wrong_type<T>(name: &str, kind: &str) -> Result<T, Error> {
    refuse(format!(
        "Incorrect operand type for operator or function; operator or function: {name}, operand \
         type: {kind}"
    ))
}

/// Something that has a value in an item.
fn operand(expression: &Expr) -> Result<Operand, Error> {
    match expression {
        Expr::Path(path) => Ok(Operand::Path(path.clone())),
        Expr::Value(value) => Ok(Operand::Value(Arc::new(value.clone()))),
        Expr::Call(call) if call.is("size") => {
            let [of] = call.operands()?;
            let of = operand(of)?;
            if let Operand::Value(value) = &of
                && matches!(value.type_name(), "N" | "BOOL" | "NULL")
            {
                return wrong_type("size", value.type_name());
            }
            Ok(Operand::Size(Box::new(of)))
        }
        Expr::Call(call) => call.unknown(),
        Expr::Sum { .. } => refuse("Unsupported operation: arithmetic in the where clause"),
        Expr::Unsupported(what) => refuse(format!("Unsupported operation: {what}")),
        _ => refuse("Unsupported operand in the where clause"),
    }
}

/// A call that is true or false.
fn truth(call: &Call) -> Result<Node, Error> {
    let name = call.lower();
    Ok(match name.as_str() {
        "attribute_exists" => Node::Exists(path_of(call)?),
        "attribute_not_exists" => Node::NotExists(path_of(call)?),
        "attribute_type" => {
            let [of, kind] = call.operands()?;
            let Expr::Value(value) = kind else {
                return wrong_type(&name, "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}");
            };
            let AttributeValue::S(kind) = value else {
                return wrong_type(&name, value.type_name());
            };
            let Some(kind) = TYPES.into_iter().find(|known| known == kind) else {
                return refuse(format!(
                    "Invalid attribute type name found; type: {kind}, valid types: {{{}}}",
                    TYPES.join(",")
                ));
            };
            Node::Type(operand(of)?, kind)
        }
        "begins_with" => {
            let [of, prefix] = call.operands()?;
            let (of, prefix) = (operand(of)?, operand(prefix)?);
            for part in [&of, &prefix] {
                if let Operand::Value(value) = part
                    && !matches!(value.type_name(), "S" | "B")
                {
                    return wrong_type(&name, value.type_name());
                }
            }
            Node::BeginsWith(of, prefix)
        }
        "contains" => {
            let [of, part] = call.operands()?;
            Node::Contains(operand(of)?, operand(part)?)
        }
        _ => return call.unknown(),
    })
}

fn path_of(call: &Call) -> Result<Path, Error> {
    let [of] = call.operands()?;
    match of {
        Expr::Path(path) => Ok(path.clone()),
        _ => refuse(format!(
            "Operator or function requires a document path; operator or function: {}",
            call.lower()
        )),
    }
}

impl Call {
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Whether it is true or false.
    fn is_truth(&self) -> bool {
        let name = self.lower();
        let functions = [
            "attribute_exists",
            "attribute_not_exists",
            "attribute_type",
            "begins_with",
            "contains",
        ];
        functions.contains(&name.as_str())
    }

    pub(super) fn lower(&self) -> alloc::string::String {
        self.name.to_ascii_lowercase()
    }

    pub(super) fn unknown<T>(&self) -> Result<T, Error> {
        refuse(format!("Unrecognized function: {} at {}", self.lower(), self.span))
    }

    /// The operands, where there are so many.
    pub(super) fn operands<const N: usize>(&self) -> Result<[&Expr; N], Error> {
        let operands: Vec<&Expr> = self.arguments.iter().map(|(argument, _)| argument).collect();
        let count = operands.len();
        operands.try_into().or_else(|_| {
            refuse(format!(
                "Incorrect number of operands for operator or function; operator or function: {}, \
                 number of operands: {count}",
                self.lower()
            ))
        })
    }
}
