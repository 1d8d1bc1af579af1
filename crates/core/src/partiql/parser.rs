//! The parser of statements.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

use super::ast::{Expr, Order, Select, Statement, Target};
use super::keywords::{is_keyword, is_no_step};
use super::lexer::{Span, Token, tokens};
use super::{DEPTH_MAX, EXISTS_ELSEWHERE, Error, TOO_DEEP, malformed, refuse};
use crate::expr::{OPERATORS_MAX, Path, Step};
use crate::item::AttributeValue;

pub(super) const LEFTOVER: &str = "Unexpected token after expression";
pub(super) const NO_VERB: &str = "Expected data manipulation";
const SECOND: &str = "Unexpected token after semicolon. (Only one query is allowed.)";
const ALIASING: &str = "Aliasing is not supported";

/// Where in a statement something is refused: what is in the `WHERE` clause is told before what is
/// in clauses that change something (the Parity Suite, October 2026).
const BEFORE: usize = 0;
const WHERE: usize = 1;
pub(super) const AFTER: usize = 2;
pub(super) const LAST: usize = 3;

/// Parses a statement and puts parameters in the places of its `?`.
///
/// # Errors
///
/// [`Error`] with DynamoDB's message.
pub fn parse(text: &str, parameters: Vec<AttributeValue>) -> Result<Statement, Error> {
    let tokens = tokens(text)?;
    let mut parser = Parser {
        tokens,
        at: 0,
        depth: 0,
        parameters: parameters.into_iter(),
        lacks_parameters: false,
        clause: BEFORE,
        deferred: [const { None }; LAST + 1],
        place: String::new(),
        operators: 0,
    };
    let mut statement = parser.statement()?;
    parser.end()?;
    match (parser.deferred.into_iter().flatten().next(), &mut statement) {
        (Some(Error::Projection(text)), Statement::Select(select))
            if select.target.index.is_some() =>
        {
            select.refusal = Some(text);
            return Ok(statement);
        }
        (Some(error), _) => return Err(error),
        (None, _) if parser.lacks_parameters => return refuse(PARAMETERS),
        (None, _) => {}
    }
    // Whether its table is there is told after that.
    statement.check()?;
    Ok(statement)
}

pub(super) const PARAMETERS: &str = "Number of parameters in request and statement don't match.";

/// A cursor over the tokens of a statement.
pub(super) struct Parser {
    tokens: Vec<(Token, Span)>,
    at: usize,
    depth: usize,
    pub(super) parameters: vec::IntoIter<AttributeValue>,
    /// Whether there are fewer parameters than places for them.
    pub(super) lacks_parameters: bool,
    /// The clause that the parser is in.
    pub(super) clause: usize,
    /// What is wrong with each clause first, if the statement's syntax is right.
    deferred: [Option<Error>; LAST + 1],
    /// Where in an attribute's value the parser is: `.x[1]`.
    pub(super) place: String,
    operators: usize,
}

impl Parser {
    pub(super) fn token(&self) -> &Token {
        self.tokens.get(self.at).map_or(&Token::End, |(token, _)| token)
    }

    pub(super) fn span(&self) -> Span {
        self.tokens.get(self.at).map_or_else(Span::default, |(_, span)| *span)
    }

    pub(super) fn is_at_end(&self) -> bool {
        *self.token() == Token::End
    }

    pub(super) fn advance(&mut self) {
        self.at += 1;
    }

    pub(super) fn defer(&mut self, reason: impl Into<String>) {
        self.deferred[self.clause].get_or_insert_with(|| Error::Refused(reason.into()));
    }

    fn defer_projection(&mut self, span: Span) {
        let text = format!("Unexpected path component at {span}");
        self.deferred[self.clause].get_or_insert(Error::Projection(text));
    }

    /// Counts an operator or a call of a condition.
    pub(super) fn operator(&mut self) {
        self.operators += 1;
        if self.operators > OPERATORS_MAX {
            let count = OPERATORS_MAX + 1;
            self.defer(format!(
                "The expression contains too many operators; operator count: {count}"
            ));
        }
    }

    pub(super) fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.token(), Token::Symbol(found) if *found == symbol)
    }

    pub(super) fn eat(&mut self, symbol: &str) -> bool {
        let found = self.is_symbol(symbol);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, symbol: &str) -> Result<(), Error> {
        let name = match symbol {
            _ if self.eat(symbol) => return Ok(()),
            ")" => "RIGHT_PAREN",
            "]" => "RIGHT_BRACKET",
            "}" => "RIGHT_CURLY",
            ">>" => "RIGHT_DOUBLE_ANGLE_BRACKET",
            ":" => "COLON",
            other => other,
        };
        malformed(&format!("Expected {name}"))
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self.token(), Token::Word(found) if found.eq_ignore_ascii_case(word))
    }

    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    /// Whether the token behind the next is the symbol.
    pub(super) fn is_before(&self, symbol: &str) -> bool {
        let next = self.tokens.get(self.at + 1);
        matches!(next, Some((Token::Symbol(found), _)) if *found == symbol)
    }

    /// Whether the token behind the next is the word.
    pub(super) fn is_before_word(&self, word: &str) -> bool {
        let next = self.tokens.get(self.at + 1);
        matches!(next, Some((Token::Word(found), _)) if found.eq_ignore_ascii_case(word))
    }

    /// The token two behind the next.
    pub(super) fn third(&self) -> Option<&Token> {
        self.tokens.get(self.at + 2).map(|(token, _)| token)
    }

    /// What stands behind `WHERE`, if it is there.
    pub(super) fn filter(&mut self) -> Result<Option<Expr>, Error> {
        if !self.eat_word("WHERE") {
            return Ok(None);
        }
        let before = self.clause;
        self.clause = WHERE;
        let filter = self.expression()?;
        self.clause = before;
        Ok(Some(filter))
    }

    /// Whether the parser is in the `WHERE` clause.
    pub(super) const fn is_in_where(&self) -> bool {
        self.clause == WHERE
    }

    /// Whether the token behind the next may be a table's name.
    pub(super) fn is_before_name(&self) -> bool {
        match self.tokens.get(self.at + 1) {
            Some((Token::Quoted(_), _)) => true,
            Some((Token::Word(word), _)) => !is_keyword(word),
            _ => false,
        }
    }

    /// Runs `inner` one level deeper.
    pub(super) fn nested<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.depth >= DEPTH_MAX {
            return malformed(TOO_DEEP);
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// Nothing may be left over but one semicolon.
    fn end(&mut self) -> Result<(), Error> {
        let what = if self.eat(";") { SECOND } else { LEFTOVER };
        if self.is_at_end() { Ok(()) } else { malformed(what) }
    }

    fn statement(&mut self) -> Result<Statement, Error> {
        if self.eat_word("SELECT") {
            return Ok(Statement::Select(self.select()?));
        }
        if self.is_before("(") && self.is_subquery("EXISTS") && self.is_word("EXISTS") {
            self.at += 3;
            let select = self.select()?;
            self.expect(")")?;
            return Ok(Statement::Exists(select));
        }
        if self.eat_word("INSERT") {
            return self.insert();
        }
        if self.eat_word("UPDATE") {
            return self.update();
        }
        if self.eat_word("DELETE") {
            return self.delete();
        }
        if self.is_word("FROM") && self.is_before_name() {
            self.advance();
            return self.where_first();
        }
        if self.is_word("SET") || self.is_word("REMOVE") {
            self.clauses()?;
            self.end()?;
            return refuse("Only select from a single table or index is supported.");
        }
        let expression = self.expression()?;
        self.end()?;
        let what = match expression {
            Expr::Path(path) if path.steps.is_empty() => "Id",
            Expr::Path(_) => "Path",
            Expr::Missing => "Missing",
            Expr::Is { .. } => "IsType",
            Expr::Value(AttributeValue::L(_)) => "List",
            Expr::Value(AttributeValue::M(_)) => "Struct",
            Expr::Value(AttributeValue::Ss(_) | AttributeValue::Ns(_) | AttributeValue::Bs(_)) => {
                "Bag"
            }
            Expr::Value(_) => "Lit",
            _ => return refuse(EXISTS_ELSEWHERE),
        };
        refuse(format!("Unsupported operation: {what}"))
    }

    fn select(&mut self) -> Result<Select, Error> {
        let distinct = self.span();
        if self.eat_word("DISTINCT") {
            self.defer(format!("Unsupported clause: DISTINCT at {distinct}"));
        }
        if self.is_word("FROM") {
            return malformed(
                "Expected identifier or an expression but found unexpected keyword 'from' in a \
                 select list.",
            );
        }
        let paths = if self.eat("*") { None } else { Some(self.projection()?) };
        if !self.eat_word("FROM") {
            return if self.is_at_end() {
                malformed("Unexpected term")
            } else {
                malformed(LEFTOVER)
            };
        }
        if self.is_at_end() || matches!(self.token(), Token::Symbol(_)) {
            return malformed("Unexpected term");
        }
        let target = self.target("Unexpected keyword")?;
        self.alias();
        let filter = self.filter()?;
        for clause in ["GROUP", "HAVING", "LIMIT", "OFFSET"] {
            if self.is_word(clause) {
                return refuse(format!("Unsupported clause: {clause} at {}", self.span()));
            }
        }
        let mut order = Vec::new();
        if self.eat_word("ORDER") {
            if !self.eat_word("BY") {
                return malformed("Expected BY");
            }
            order.push(self.order()?);
            while self.eat(",") {
                order.push(self.order()?);
            }
        }
        Ok(Select { target, paths, filter, order, refusal: None })
    }

    fn projection(&mut self) -> Result<Vec<Path>, Error> {
        let mut paths = Vec::new();
        loop {
            let span = self.span();
            match self.expression()? {
                Expr::Path(path) => paths.push(path),
                Expr::Call(call) => self.defer_projection(call.span),
                _ => self.defer_projection(span),
            }
            self.alias();
            if !self.eat(",") {
                return Ok(paths);
            }
        }
    }

    fn order(&mut self) -> Result<Order, Error> {
        const ARGUMENT: &str = "Argument to ORDER BY must be of type VariableReference. Type:";
        let span = self.span();
        let (path, refusal) = match self.expression()? {
            Expr::Path(path) if path.steps.is_empty() => (path, None),
            Expr::Path(path) => (path, Some(format!("{ARGUMENT} PATH at {span}"))),
            Expr::Value(AttributeValue::S(root)) => {
                let refusal = format!("{ARGUMENT} {root} at {span}");
                (Path { root, steps: Vec::new() }, Some(refusal))
            }
            _ => return malformed("Expected a path in ORDER BY"),
        };
        let descending = self.eat_word("DESC");
        if !descending {
            self.eat_word("ASC");
        }
        // Every item has its keys, so that this orders nothing.
        if self.eat_word("NULLS") && !self.eat_word("FIRST") && !self.eat_word("LAST") {
            return malformed(LEFTOVER);
        }
        Ok(Order { path, descending, refusal })
    }

    /// A table, and an index behind a point.
    pub(super) fn target(&mut self, otherwise: &str) -> Result<Target, Error> {
        let start = self.span();
        let Some(table) = self.name() else { return malformed(otherwise) };
        let mut target = Target { table, index: None, span: start };
        if self.is_symbol(".") {
            self.advance();
            let Some(index) = self.name() else { return malformed("Invalid path dot component") };
            target.index = Some(index);
        }
        if target.table.is_empty() || target.index.as_ref().is_some_and(String::is_empty) {
            return refuse("Path component cannot be an empty string");
        }
        if self.is_symbol(".") || self.is_symbol("[") {
            return refuse("A path may contain at most 2 components in the FROM clause");
        }
        Ok(target)
    }

    pub(super) fn name(&mut self) -> Option<String> {
        let name = match self.token() {
            Token::Quoted(name) => name.clone(),
            Token::Word(word) if !is_keyword(word) => word.clone(),
            _ => return None,
        };
        self.advance();
        Some(name)
    }

    /// Another name for what stands before, which is refused.
    pub(super) fn alias(&mut self) {
        if self.eat_word("AS") || !matches!(self.token(), Token::Symbol(_)) {
            let end = self.at;
            if self.name().is_some() {
                self.defer(ALIASING);
            } else {
                self.at = end;
            }
        }
    }

    /// A document path.
    pub(super) fn path(&mut self) -> Result<Path, Error> {
        let Some(root) = self.name() else {
            return malformed("Expected identifier for simple path");
        };
        self.steps(root)
    }

    /// The way down from an attribute.
    pub(super) fn steps(&mut self, root: String) -> Result<Path, Error> {
        let mut steps = Vec::new();
        loop {
            if self.eat(".") {
                if matches!(self.token(), Token::Word(word) if is_no_step(word)) {
                    return malformed("Invalid path dot component");
                }
                match self.name() {
                    Some(name) => steps.push(Step::Name(name)),
                    None => return malformed("Invalid path dot component"),
                }
            } else if self.eat("[") {
                let step = match self.token() {
                    Token::Number(digits) => digits.parse().ok().map(Step::Index),
                    Token::Text(name) => Some(Step::Name(name.to_string())),
                    _ => None,
                };
                let Some(step) = step else { return malformed("Invalid path component") };
                self.advance();
                self.expect("]")?;
                steps.push(step);
            } else {
                break;
            }
        }
        if steps.len() > crate::limits::NESTING_DEPTH_MAX {
            self.defer(format!(
                "The document path has too many nesting elements; nesting levels: {}",
                steps.len()
            ));
        }
        Ok(Path { root, steps })
    }
}
