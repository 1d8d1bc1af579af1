//! Search condition expressions: what narrows a search for vectors.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::condition::{Comparator, Condition, Node, Operand};
use super::{ExprError, Kind, Placeholders};
use crate::item::AttributeValue;

/// A parsed `SearchConditionExpression`: the values that attributes must be equal to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchCondition {
    /// Each attribute once, in the order of the text.
    pub equal: Vec<(String, Arc<AttributeValue>)>,
}

impl SearchCondition {
    /// Parses a `SearchConditionExpression`.
    ///
    /// # Errors
    ///
    /// [`ExprError::Invalid`] with DynamoDB's message: whatever is no equality, or not one of
    /// attributes joined by `AND`, is told as a wrong comparator (measured by the Parity Suite; of
    /// nested attributes, and of two conditions on one, by dynoxide's authors).
    pub fn parse(text: &str, placeholders: &mut Placeholders) -> Result<Self, ExprError> {
        let condition = Condition::parse(Kind::Search, text, placeholders)?;
        let mut found = Vec::new();
        collect(&condition.root, &mut found)?;
        if found.iter().any(|(_, nested, _)| *nested) {
            return invalid(
                "SearchConditionExpression cannot have conditions on nested attributes",
            );
        }
        let mut equal: Vec<(String, Arc<AttributeValue>)> = Vec::new();
        for (name, _, value) in found {
            if equal.iter().any(|(other, _)| *other == name) {
                return invalid(
                    "SearchConditionExpression must only contain one condition per attribute",
                );
            }
            equal.push((name, value));
        }
        Ok(Self { equal })
    }

    /// What the attribute `name` must be equal to.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&AttributeValue> {
        let (_, value) = self.equal.iter().find(|(other, _)| other == name)?;
        Some(value)
    }
}

/// Name, whether it is of a nested attribute, and value of an equality.
type Equality = (String, bool, Arc<AttributeValue>);

fn collect(node: &Node, found: &mut Vec<Equality>) -> Result<(), ExprError> {
    match node {
        Node::And(nodes) => nodes.iter().try_for_each(|node| collect(node, found)),
        Node::Compare {
            left: Operand::Path(path),
            op: Comparator::Eq,
            right: Operand::Value(value),
        }
        | Node::Compare {
            left: Operand::Value(value),
            op: Comparator::Eq,
            right: Operand::Path(path),
        } => {
            found.push((path.root.clone(), !path.steps.is_empty(), Arc::clone(value)));
            Ok(())
        }
        _ => invalid("Invalid comparator used in SearchConditionExpression"),
    }
}

fn invalid<T>(reason: &str) -> Result<T, ExprError> {
    Err(ExprError::Invalid { kind: Kind::Search, reason: reason.into() })
}
