//! What `NOT`, `AND`, `OR` and parentheses make of conditions.
//!
//! Levels of parentheses stand on the heap, not on a thread's stack: DynamoDB takes as many as fit
//! with its limit of operators, which recursion would not in a thread of ordinary size.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem::take;

use super::{Node, Operand, compared_with, unenclosed};
use crate::expr::parser::{Parser, Rank};
use crate::expr::{DEPTH_MAX, ExprError, REDUNDANT};

/// What a stretch of text turned out to be, and whether parentheses enclosed all of it.
pub(super) struct Parsed {
    pub(super) what: What,
    pub(super) enclosed: bool,
}

/// Boxed, because every level of parentheses has several of them.
pub(super) enum What {
    Node(Box<Node>),
    Operand(Box<Operand>),
}

/// What makes one condition of several.
type Join = fn(Vec<Node>) -> Node;

/// What was read of one level of parentheses, or of the whole text.
#[derive(Default)]
struct Level {
    /// Operands of `OR`.
    any: Vec<Node>,
    /// Operands of the `AND` that is being read.
    all: Vec<Node>,
    /// How many `NOT` stand before the condition that is being read.
    negations: usize,
}

impl Level {
    /// The condition with the `NOT` before it.
    fn negated(&mut self, parser: &Parser<'_>, parsed: Parsed) -> Result<Parsed, ExprError> {
        match take(&mut self.negations) {
            0 => Ok(parsed),
            times if times % 2 == 0 => Ok(whole(node(parser, parsed)?)),
            _ => Ok(whole(Node::Not(Box::new(node(parser, parsed)?)))),
        }
    }

    /// Joins a condition to those before it; `None` if another one is to follow.
    fn join(
        &mut self,
        parser: &mut Parser<'_>,
        mut parsed: Parsed,
    ) -> Result<Option<Parsed>, ExprError> {
        let joins: [(&str, &mut Vec<Node>, Join); 2] =
            [("AND", &mut self.all, Node::And), ("OR", &mut self.any, Node::Or)];
        for (keyword, nodes, join) in joins {
            let continues = parser.at_keyword(keyword);
            if continues || !nodes.is_empty() {
                nodes.push(node(parser, parsed)?);
                if parser.eat_keyword(keyword) {
                    parser.operator()?;
                    return Ok(None);
                }
                parsed = whole(join(take(nodes)));
            }
        }
        Ok(Some(parsed))
    }
}

/// A condition, or the operand that stands where one is wanted.
pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Parsed, ExprError> {
    let mut outer: Vec<Level> = Vec::new();
    let mut level = Level::default();
    loop {
        while parser.eat_keyword("NOT") {
            parser.operator()?;
            level.negations += 1;
        }
        if parser.eat("(") {
            if outer.len() >= DEPTH_MAX {
                return Err(parser.invalid(REDUNDANT.into()));
            }
            outer.push(take(&mut level));
            continue;
        }
        let called = parser.peek_call();
        let first = unenclosed(parser)?;
        let mut parsed = compared_with(parser, called, first)?;
        loop {
            if matches!(parsed.what, What::Node(_)) {
                parser.end_condition();
            }
            parsed = level.negated(parser, parsed)?;
            let Some(joined) = level.join(parser, parsed)? else { break };
            let Some(enclosing) = outer.pop() else { return Ok(joined) };
            level = enclosing;
            parser.expect(")")?;
            if joined.enclosed {
                parser.defer(Rank::Parentheses, REDUNDANT.into());
            }
            let inner = Parsed { what: joined.what, enclosed: true };
            parsed = compared_with(parser, None, inner)?;
        }
    }
}

fn whole(node: Node) -> Parsed {
    Parsed { what: What::Node(Box::new(node)), enclosed: false }
}

/// The truth that stands here; a bare operand is a syntax error at the token behind it.
fn node(parser: &Parser<'_>, parsed: Parsed) -> Result<Node, ExprError> {
    match parsed.what {
        What::Node(node) => Ok(*node),
        What::Operand(_) => Err(parser.syntax_error()),
    }
}
