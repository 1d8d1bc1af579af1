//! Projection expressions.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::parser::Parser;
use super::path::{Path, PathTree};
use super::{ExprError, Kind, Placeholders};
use crate::item::Attributes;

/// A parsed `ProjectionExpression`: which parts of an item a reader wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Projection {
    tree: PathTree,
}

impl Projection {
    /// Parses a `ProjectionExpression`.
    ///
    /// # Errors
    ///
    /// [`ExprError::Invalid`] with DynamoDB's message.
    pub fn parse(text: &str, placeholders: &mut Placeholders) -> Result<Self, ExprError> {
        let mut parser = Parser::new(Kind::Projection, text, placeholders)?;
        let mut tree = PathTree::default();
        loop {
            let path = parser.path()?;
            if let Err((rank, reason)) = tree.insert(&path) {
                parser.defer(rank, reason);
            }
            if !parser.eat(",") {
                break;
            }
        }
        parser.finish()?;
        Ok(Self { tree })
    }

    /// Whole attributes: `AttributesToGet`.
    ///
    /// # Errors
    ///
    /// [`ExprError::Refused`] where one is named twice.
    pub fn of_attributes(names: Vec<String>) -> Result<Self, ExprError> {
        let mut tree = PathTree::default();
        for root in names {
            let path = Path { root, steps: Vec::new() };
            if tree.insert(&path).is_err() {
                return Err(ExprError::Refused(format!(
                    "One or more parameter values were invalid: Duplicate value in attribute name: \
                     {}",
                    path.root
                )));
            }
        }
        Ok(Self { tree })
    }

    /// The attributes that it names, or names parts of, each once.
    pub fn roots(&self) -> impl Iterator<Item = &str> {
        self.tree.roots()
    }

    /// Whether any path goes below the attribute `name`.
    #[must_use]
    pub fn goes_below(&self, name: &str) -> bool {
        self.tree.goes_below(name)
    }

    /// The wanted parts of an item; list elements close up, in the order of the list.
    #[must_use]
    pub fn apply(&self, item: &Attributes) -> Attributes {
        self.tree.select(item)
    }
}
