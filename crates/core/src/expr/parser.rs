//! What all expression parsers share: a cursor over tokens, names, values and document paths.
//!
//! A syntax error ends a parse at once. Every other error is deferred and ranked, because DynamoDB
//! reports syntax first and then one error in a fixed order, wherever in the text they stand.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::lexer::{Token, TokenKind, tokens};
use super::path::{Path, Step};
use super::reserved::is_reserved;
use super::{DEPTH_MAX, ExprError, Kind, OPERATORS_MAX, PATH_STEPS_MAX, Placeholders, REDUNDANT};
use crate::item::AttributeValue;
use crate::limits::EXPRESSION_BYTES_MAX;

/// The order in which DynamoDB reports what is wrong with a text of correct syntax.
///
/// From [`Rank::UndefinedName`] on, the first of the conditions in a text that has something wrong
/// with it goes before those behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Of an update, whose functions are looked at later.
    ReservedTarget,
    Parentheses,
    UnknownFunction,
    MisusedFunction,
    Reserved,
    Section,
    UndefinedName,
    UndefinedValue,
    Overlap,
    Conflict,
    /// What `ADD` or `DELETE` is given.
    ClauseType,
    OperandCount,
    Distinct,
    OperandType,
}

/// A cursor over the tokens of one expression.
#[derive(Debug)]
pub(super) struct Parser<'a> {
    pub(super) kind: Kind,
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    placeholders: &'a mut Placeholders,
    /// What is wrong, in the condition of that number, counted from 1; 0 is the whole text.
    deferred: Option<((usize, Rank), String)>,
    conditions: usize,
    operators: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(
        kind: Kind,
        text: &'a str,
        placeholders: &'a mut Placeholders,
    ) -> Result<Self, ExprError> {
        let invalid = |reason: String| Err(ExprError::Invalid { kind, reason });
        if text.len() > EXPRESSION_BYTES_MAX {
            let size = match kind {
                Kind::Update => String::new(),
                _ => format!(" expression size: {}", text.len()),
            };
            return invalid(format!(
                "Expression size has exceeded the maximum allowed size;{size}"
            ));
        }
        let tokens = tokens(text);
        if tokens.is_empty() {
            return invalid(match text {
                "" => "The expression can not be empty;".to_string(),
                // Spaces are an expression that ends too early.
                spaces => format!("Syntax error; token: \"<EOF>\", near: \"{spaces}\""),
            });
        }
        Ok(Self {
            kind,
            text,
            tokens,
            at: 0,
            placeholders,
            deferred: None,
            conditions: 1,
            operators: 0,
            depth: 0,
        })
    }

    /// Ends the parse: nothing may be left over, and nothing deferred.
    pub(super) fn finish(self) -> Result<(), ExprError> {
        if self.at < self.tokens.len() {
            return Err(self.syntax_error());
        }
        let kind = self.kind;
        match self.deferred {
            Some((_, reason)) => Err(ExprError::Invalid { kind, reason }),
            None => Ok(()),
        }
    }

    pub(super) fn invalid(&self, reason: String) -> ExprError {
        ExprError::Invalid { kind: self.kind, reason }
    }

    /// Notes an error that is reported if the syntax is right and nothing of lower rank is wrong.
    pub(super) fn defer(&mut self, rank: Rank, reason: String) {
        let place = match (self.kind, rank) {
            (Kind::Update, Rank::Reserved) => (0, Rank::ReservedTarget),
            (Kind::Update | Kind::Projection, _) => (0, rank),
            // Names and values are one to a condition.
            (_, Rank::UndefinedValue) => (self.conditions, Rank::UndefinedName),
            (_, rank) if rank >= Rank::UndefinedName => (self.conditions, rank),
            _ => (0, rank),
        };
        if self.deferred.as_ref().is_none_or(|(other, _)| place < *other) {
            self.deferred = Some((place, reason));
        }
    }

    /// Ends one of the conditions that a text joins.
    pub(super) fn end_condition(&mut self) {
        self.conditions += 1;
    }

    /// The error at the current token, with its neighbours as DynamoDB prints them.
    pub(super) fn syntax_error(&self) -> ExprError {
        let span = |at: usize| self.tokens.get(at).map(|token| token.span.clone());
        let token = span(self.at).map_or("<EOF>", |span| &self.text[span]);
        let start = self.at.checked_sub(1).and_then(span).or_else(|| span(self.at));
        let end = span(self.at + 1).or_else(|| span(self.at));
        let from = start.map_or(0, |span| span.start);
        let near = &self.text[from..end.map_or(self.text.len(), |span| span.end)];
        // Of spaces that are beyond ASCII the service makes tokens.
        let near = near.trim_end_matches(|it: char| it.is_ascii_whitespace());
        self.invalid(format!("Syntax error; token: \"{token}\", near: \"{near}\""))
    }

    /// Counts an operator against the limit.
    pub(super) fn operator(&mut self) -> Result<(), ExprError> {
        self.operators += 1;
        if self.operators <= OPERATORS_MAX {
            return Ok(());
        }
        let count = self.operators;
        Err(self.invalid(format!(
            "The expression contains too many operators; operator count: {count}"
        )))
    }

    /// Runs `inner` one level deeper.
    pub(super) fn nested<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, ExprError>,
    ) -> Result<T, ExprError> {
        if self.depth >= DEPTH_MAX {
            return Err(self.invalid(REDUNDANT.to_string()));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn token(&self, ahead: usize) -> Option<(TokenKind, &'a str)> {
        let token = self.tokens.get(self.at + ahead)?;
        Some((token.kind, &self.text[token.span.clone()]))
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.tokens.len()
    }

    /// The symbol or name under the cursor; empty at the end.
    pub(super) fn peek(&self) -> &'a str {
        self.token(0).map_or("", |(_, text)| text)
    }

    pub(super) fn eat(&mut self, symbol: &str) -> bool {
        let found = self.token(0) == Some((TokenKind::Symbol, symbol));
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, symbol: &str) -> Result<(), ExprError> {
        if self.eat(symbol) { Ok(()) } else { Err(self.syntax_error()) }
    }

    /// Whether the cursor is at the keyword, in whatever case.
    pub(super) fn at_keyword(&self, word: &str) -> bool {
        self.token(0)
            .is_some_and(|(kind, text)| kind == TokenKind::Name && text.eq_ignore_ascii_case(word))
    }

    pub(super) fn eat_keyword(&mut self, word: &str) -> bool {
        let found = self.at_keyword(word);
        self.at += usize::from(found);
        found
    }

    /// The name of a function whose call the cursor is at; the cursor moves behind its `(`.
    pub(super) fn eat_call(&mut self) -> Option<&'a str> {
        let name = self.peek_call()?;
        self.at += 2;
        Some(name)
    }

    /// The name of a function whose call the cursor is at.
    pub(super) fn peek_call(&self) -> Option<&'a str> {
        let (TokenKind::Name, name) = self.token(0)? else { return None };
        (self.token(1) == Some((TokenKind::Symbol, "("))).then_some(name)
    }

    /// A value placeholder under the cursor, resolved; an undefined one is deferred.
    pub(super) fn eat_value(&mut self) -> Option<Arc<AttributeValue>> {
        let (TokenKind::ValueRef, text) = self.token(0)? else { return None };
        self.at += 1;
        let value = self.placeholders.value(text);
        if value.is_none() {
            let reason = format!(
                "An expression attribute value used in expression is not defined; \
                 attribute value: {text}"
            );
            self.defer(Rank::UndefinedValue, reason);
        }
        Some(value.unwrap_or_else(|| Arc::new(AttributeValue::Null)))
    }

    /// A document path.
    pub(super) fn path(&mut self) -> Result<Path, ExprError> {
        let root = self.path_name()?;
        let mut steps = Vec::new();
        loop {
            if self.eat(".") {
                steps.push(Step::Name(self.path_name()?));
            } else if self.eat("[") {
                steps.push(Step::Index(self.index()?));
                self.expect("]")?;
            } else {
                break;
            }
        }
        if steps.len() > PATH_STEPS_MAX {
            return Err(self.invalid(format!(
                "The document path has too many nesting elements; nesting levels: {}",
                steps.len()
            )));
        }
        Ok(Path { root, steps })
    }

    fn path_name(&mut self) -> Result<String, ExprError> {
        let Some((kind, text)) = self.token(0) else { return Err(self.syntax_error()) };
        match kind {
            TokenKind::Name => {
                let keywords = ["AND", "OR", "NOT", "BETWEEN", "IN"].iter();
                let sections = ["SET", "REMOVE", "ADD", "DELETE"].iter();
                let is_update = self.kind == Kind::Update;
                let mut words = keywords.chain(sections.filter(|_| is_update));
                if words.any(|word| self.at_keyword(word)) {
                    return Err(self.syntax_error());
                }
                self.at += 1;
                if is_reserved(text) {
                    let reason = "Attribute name is a reserved keyword; reserved keyword";
                    self.defer(Rank::Reserved, format!("{reason}: {text}"));
                }
                Ok(text.to_string())
            }
            TokenKind::NameRef => {
                self.at += 1;
                if let Some(name) = self.placeholders.name(text) {
                    return Ok(name);
                }
                let reason = format!(
                    "An expression attribute name used in the document path is not defined; \
                     attribute name: {text}"
                );
                self.defer(Rank::UndefinedName, reason);
                Ok(String::new())
            }
            TokenKind::ValueRef | TokenKind::Digits | TokenKind::Symbol | TokenKind::Unknown => {
                Err(self.syntax_error())
            }
        }
    }

    fn index(&mut self) -> Result<usize, ExprError> {
        let Some((TokenKind::Digits, text)) = self.token(0) else {
            return Err(self.syntax_error());
        };
        let Some(index) = text.parse().ok().filter(|index| *index <= i32::MAX as usize) else {
            let reason = "List index is not within the allowable range; index";
            return Err(self.invalid(format!("{reason}: [{text}]")));
        };
        self.at += 1;
        Ok(index)
    }
}
