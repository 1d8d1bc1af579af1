//! The parser of statements.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

use super::ast::{Change, Clause, Expr, Insert, Returning, Select, Statement, Target};
use super::lexer::{Span, Token, is_keyword, tokens};
use super::lower;
use super::{DEPTH_MAX, EXISTS_ELSEWHERE, Error, TOO_DEEP, malformed, refuse};
use crate::expr::{OPERATORS_MAX, Path, Step};
use crate::item::AttributeValue;

const LEFTOVER: &str = "Unexpected token after expression";
const SECOND: &str = "Unexpected token after semicolon. (Only one query is allowed.)";
const ALIASING: &str = "Aliasing is not supported";

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
        deferred: None,
        place: String::new(),
        operators: 0,
    };
    let mut statement = parser.statement()?;
    parser.end()?;
    match (parser.deferred, &mut statement) {
        (Some(Error::Projection(text)), Statement::Select(select))
            if select.target.index.is_some() =>
        {
            select.refusal = Some(text);
            Ok(statement)
        }
        (Some(error), _) => Err(error),
        (None, _) => {
            // Whether its table is there is told after that.
            if let Statement::Select(Select { filter: Some(filter), .. }) = &statement {
                lower::condition(filter)?;
            }
            Ok(statement)
        }
    }
}

pub(super) const PARAMETERS: &str = "Number of parameters in request and statement don't match.";

/// A cursor over the tokens of a statement.
pub(super) struct Parser {
    tokens: Vec<(Token, Span)>,
    at: usize,
    depth: usize,
    pub(super) parameters: vec::IntoIter<AttributeValue>,
    /// What is wrong with the statement, if its syntax is right.
    deferred: Option<Error>,
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
        self.deferred.get_or_insert_with(|| Error::Refused(reason.into()));
    }

    fn defer_projection(&mut self, span: Span) {
        let text = format!("Unexpected path component at {span}");
        self.deferred.get_or_insert(Error::Projection(text));
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
        if self.eat(symbol) { Ok(()) } else { malformed(&format!("Expected {symbol}")) }
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
        if self.is_word("EXISTS") && self.is_before("(") {
            self.at += 2;
            if !self.eat_word("SELECT") {
                return malformed("Expected SELECT");
            }
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
        if self.eat_word("FROM") {
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
        let filter = if self.eat_word("WHERE") { Some(self.expression()?) } else { None };
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

    fn order(&mut self) -> Result<(Path, bool), Error> {
        let span = self.span();
        let Expr::Path(path) = self.expression()? else {
            return malformed("Expected a path in ORDER BY");
        };
        if !path.steps.is_empty() {
            self.defer(format!(
                "Argument to ORDER BY must be of type VariableReference. Type: PATH at {span}"
            ));
        }
        let descending = self.eat_word("DESC");
        if !descending {
            self.eat_word("ASC");
        }
        // Every item has its keys, so that this orders nothing.
        if self.eat_word("NULLS") && !self.eat_word("FIRST") && !self.eat_word("LAST") {
            return malformed(LEFTOVER);
        }
        Ok((path, descending))
    }

    /// A table, and an index behind a point.
    fn target(&mut self, otherwise: &str) -> Result<Target, Error> {
        let start = self.span();
        let Some(table) = self.name() else { return malformed(otherwise) };
        let mut target = Target { table, index: None, span: start };
        if self.is_symbol(".") {
            self.advance();
            let end = self.span();
            let Some(index) = self.name() else { return malformed("Invalid path dot component") };
            target = Target { index: Some(index), span: start.to(end), ..target };
        }
        if target.table.is_empty() || target.index.as_ref().is_some_and(String::is_empty) {
            return refuse("Path component cannot be an empty string");
        }
        if self.is_symbol(".") || self.is_symbol("[") {
            return refuse("A path may contain at most 2 components in the FROM clause");
        }
        Ok(target)
    }

    fn name(&mut self) -> Option<String> {
        let name = match self.token() {
            Token::Quoted(name) => name.clone(),
            Token::Word(word) if !is_keyword(word) => word.clone(),
            _ => return None,
        };
        self.advance();
        Some(name)
    }

    /// Another name for what stands before, which is refused.
    fn alias(&mut self) {
        if self.eat_word("AS") || !matches!(self.token(), Token::Symbol(_)) {
            let end = self.at;
            if self.name().is_some() {
                self.defer(ALIASING);
            } else {
                self.at = end;
            }
        }
    }

    /// The table of a statement that changes one.
    fn changed(&mut self) -> Result<Target, Error> {
        let target = self.target("Expected identifier for simple path")?;
        Ok(target)
    }

    fn insert(&mut self) -> Result<Statement, Error> {
        if !self.eat_word("INTO") {
            return malformed("Expected INTO");
        }
        let target = self.changed()?;
        if target.index.is_some() {
            self.defer(format!(
                "FROM clause may only contain a single table name in data manipulation statements \
                 at {}",
                target.span
            ));
        }
        if !self.eat_word("VALUE") {
            let what = if self.is_at_end() { "Expected VALUE" } else { LEFTOVER };
            return malformed(what);
        }
        let item = match self.item()? {
            AttributeValue::M(item) => item,
            _ => {
                self.defer("Unsupported data type: an item is a tuple");
                crate::item::Attributes::new()
            }
        };
        Ok(Statement::Insert(Insert { target, item }))
    }

    fn update(&mut self) -> Result<Statement, Error> {
        let target = self.changed()?;
        if !self.is_word("SET") && !self.is_word("REMOVE") {
            self.alias();
        }
        let clauses = self.clauses()?;
        let filter = if self.eat_word("WHERE") { Some(self.expression()?) } else { None };
        let returning = self.returning()?;
        Ok(Statement::Update(Change { target, filter, clauses, returning }))
    }

    fn where_first(&mut self) -> Result<Statement, Error> {
        let target = self.changed()?;
        if !self.is_word("SET") && !self.is_word("REMOVE") {
            self.alias();
        }
        let filter = if self.eat_word("WHERE") { Some(self.expression()?) } else { None };
        let clauses = self.clauses()?;
        let returning = self.returning()?;
        Ok(Statement::Update(Change { target, filter, clauses, returning }))
    }

    fn delete(&mut self) -> Result<Statement, Error> {
        if !self.eat_word("FROM") {
            return malformed("Expected FROM");
        }
        let target = self.changed()?;
        self.alias();
        let filter = if self.eat_word("WHERE") { Some(self.expression()?) } else { None };
        let returning = self.returning()?;
        if let Some(other) = returning.filter(|it| *it != Returning::AllOld) {
            self.defer(format!(
                "Invalid returning clause: RETURNING {} *. Only RETURNING ALL OLD * is allowed in \
                 DELETE statements.",
                other.text()
            ));
        }
        Ok(Statement::Delete(Change { target, filter, clauses: Vec::new(), returning }))
    }

    fn clauses(&mut self) -> Result<Vec<Clause>, Error> {
        let mut clauses = Vec::new();
        loop {
            if self.eat_word("SET") {
                clauses.push(self.assignment()?);
                while self.eat(",") {
                    clauses.push(self.assignment()?);
                }
            } else if self.eat_word("REMOVE") {
                clauses.push(Clause::Remove(self.path()?));
            } else if clauses.is_empty() {
                return malformed("Expected data manipulation");
            } else {
                return Ok(clauses);
            }
        }
    }

    fn assignment(&mut self) -> Result<Clause, Error> {
        let path = self.path()?;
        if !self.eat("=") {
            return malformed("Expected = for assignment");
        }
        Ok(Clause::Set(path, self.sum()?))
    }

    fn returning(&mut self) -> Result<Option<Returning>, Error> {
        if !self.eat_word("RETURNING") {
            return Ok(None);
        }
        let all = self.eat_word("ALL");
        if !all && !self.eat_word("MODIFIED") {
            return malformed("Expected ALL or MODIFIED in a returning clause.");
        }
        let old = self.eat_word("OLD");
        if !old && !self.eat_word("NEW") {
            return malformed("Expected OLD or NEW in a returning clause.");
        }
        if !self.eat("*") {
            return malformed("Expected * in a returning clause.");
        }
        Ok(Some(match (all, old) {
            (true, true) => Returning::AllOld,
            (true, false) => Returning::AllNew,
            (false, true) => Returning::ModifiedOld,
            (false, false) => Returning::ModifiedNew,
        }))
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
