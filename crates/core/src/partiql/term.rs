//! The parser of expressions and literals.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::ast::{Call, Expr};
use super::lexer::{Span, Token, is_keyword};
use super::parser::{PARAMETERS, Parser};
use super::{DEPTH_MAX, Error, TOO_DEEP, malformed, refuse};
use crate::expr::Comparator;
use crate::item::{AttributeValue, Attributes, Number, validate_value};

/// Words that stand between operands.
const OPERATORS: [&str; 6] = ["AND", "OR", "IN", "IS", "LIKE", "BETWEEN"];

impl Parser {
    /// Operands of `OR`.
    pub(super) fn expression(&mut self) -> Result<Expr, Error> {
        let first = self.conjunction()?;
        if !self.is_word("OR") {
            return Ok(first);
        }
        let mut terms = Vec::from([first]);
        while self.eat_word("OR") {
            self.operator();
            self.need_right()?;
            terms.push(self.conjunction()?);
        }
        Ok(Expr::Or(terms))
    }

    fn conjunction(&mut self) -> Result<Expr, Error> {
        let first = self.negation()?;
        if !self.is_word("AND") {
            return Ok(first);
        }
        let mut terms = Vec::from([first]);
        while self.eat_word("AND") {
            self.operator();
            self.need_right()?;
            terms.push(self.negation()?);
        }
        Ok(Expr::And(terms))
    }

    fn negation(&mut self) -> Result<Expr, Error> {
        if !self.eat_word("NOT") {
            return self.comparison();
        }
        self.operator();
        let inner = self.nested(Self::negation)?;
        Ok(Expr::Not(Box::new(inner)))
    }

    /// An operator at the end of the text has nothing to its right.
    fn need_right(&self) -> Result<(), Error> {
        if self.is_at_end() {
            return malformed("Missing right-hand side expression of infix operator");
        }
        Ok(())
    }

    fn comparison(&mut self) -> Result<Expr, Error> {
        let mut left = self.sum()?;
        for _ in 0..DEPTH_MAX {
            let op = match self.token() {
                Token::Symbol(symbol) => comparator(symbol),
                _ => None,
            };
            if let Some(op) = op {
                self.operator();
                self.advance();
                self.need_right()?;
                let right = Box::new(self.sum()?);
                left = Expr::Compare { left: Box::new(left), op, right };
                continue;
            }
            let negated = self.is_word("NOT");
            if negated {
                self.operator();
                self.advance();
            }
            if ["IN", "BETWEEN", "IS"].iter().any(|word| self.is_word(word)) {
                self.operator();
            }
            let operand = Box::new(left);
            let test = if self.eat_word("IN") {
                self.need_right()?;
                Expr::In { operand, list: self.list()? }
            } else if self.eat_word("BETWEEN") {
                self.between(operand)?
            } else if self.eat_word("LIKE") {
                self.need_right()?;
                self.sum()?;
                self.defer("Unsupported operation: LIKE");
                Expr::Unsupported("LIKE")
            } else if !negated && self.eat_word("IS") {
                self.is(operand)?
            } else if negated {
                return malformed("Unexpected keyword");
            } else {
                return Ok(*operand);
            };
            left = if negated { Expr::Not(Box::new(test)) } else { test };
        }
        malformed(TOO_DEEP)
    }

    fn between(&mut self, operand: Box<Expr>) -> Result<Expr, Error> {
        self.need_right()?;
        let low = Box::new(self.sum()?);
        if !self.eat_word("AND") {
            return malformed("Expected AND after BETWEEN");
        }
        self.need_right()?;
        Ok(Expr::Between { operand, low, high: Box::new(self.sum()?) })
    }

    /// What stands behind `IN`: a list in brackets or parentheses.
    fn list(&mut self) -> Result<Vec<Expr>, Error> {
        let close = if self.is_symbol("[") { "]" } else { ")" };
        if self.is_symbol("[") && self.is_before("]") {
            self.advance();
            self.advance();
            return Ok(Vec::new());
        }
        if self.eat("(") || self.eat("[") {
            let mut list = Vec::from([self.nested(Self::sum)?]);
            while self.eat(",") {
                list.push(self.nested(Self::sum)?);
            }
            self.expect(close)?;
            if let [Expr::Value(AttributeValue::L(values))] = &list[..] {
                return Ok(values.iter().cloned().map(Expr::Value).collect());
            }
            return Ok(list);
        }
        match self.sum()? {
            Expr::Value(AttributeValue::L(values)) => {
                Ok(values.into_iter().map(Expr::Value).collect())
            }
            other => Ok(Vec::from([other])),
        }
    }

    fn is(&mut self, operand: Box<Expr>) -> Result<Expr, Error> {
        let negated = self.eat_word("NOT");
        if negated {
            self.operator();
        }
        let Token::Word(word) = self.token().clone() else {
            return malformed("Expected type name");
        };
        self.advance();
        let word = word.to_ascii_uppercase();
        let second = match word.as_str() {
            "DOUBLE" => self.eat_word("PRECISION"),
            "CHARACTER" => self.eat_word("VARYING") || !self.is_word("VARYING"),
            _ => true,
        };
        let kinds: &'static [&'static str] = match word.as_str() {
            _ if !second => return malformed("Expected type name"),
            "MISSING" => &[],
            "NULL" => &["NULL"],
            "BOOL" | "BOOLEAN" => &["BOOL"],
            "STRING" | "VARCHAR" | "CHAR" | "CHARACTER" | "SYMBOL" => &["S"],
            "INT" | "INTEGER" | "INT2" | "INT4" | "INT8" | "INTEGER2" | "INTEGER4" | "INTEGER8"
            | "SMALLINT" | "BIGINT" | "FLOAT" | "REAL" | "DOUBLE" | "DECIMAL" | "NUMERIC" => &["N"],
            "BLOB" | "CLOB" => &["B"],
            "LIST" => &["L"],
            "STRUCT" | "TUPLE" => &["M"],
            "BAG" => &["SS", "NS", "BS"],
            "ANY" | "DATE" | "TIME" | "TIMESTAMP" | "SEXP" => &["?"],
            _ => return malformed("Expected type name"),
        };
        let test = Expr::Is { operand, kinds };
        Ok(if negated { Expr::Not(Box::new(test)) } else { test })
    }

    /// Terms that are added and subtracted.
    pub(super) fn sum(&mut self) -> Result<Expr, Error> {
        let mut left = self.term()?;
        let mut terms = 1;
        while self.is_symbol("+") || self.is_symbol("-") {
            terms += 1;
            if terms > DEPTH_MAX {
                return malformed(TOO_DEEP);
            }
            let minus = self.is_symbol("-");
            self.advance();
            self.need_right()?;
            let right = Box::new(self.term()?);
            left = Expr::Sum { left: Box::new(left), right, minus };
        }
        for (symbol, name) in [("*", "Times"), ("/", "Divide"), ("%", "Modulo"), ("||", "Concat")] {
            if self.eat(symbol) {
                self.need_right()?;
                self.term()?;
                left = Expr::Unsupported(name);
            }
        }
        Ok(left)
    }

    fn term(&mut self) -> Result<Expr, Error> {
        match self.token().clone() {
            Token::Text(text) => {
                self.advance();
                Ok(Expr::Value(AttributeValue::S(text)))
            }
            Token::Number(text) => {
                self.advance();
                Ok(Expr::Value(self.number(&text)))
            }
            Token::Parameter => {
                self.advance();
                match self.parameters.next() {
                    Some(value) => Ok(Expr::Value(value)),
                    None => refuse(PARAMETERS),
                }
            }
            Token::Quoted(name) => {
                self.advance();
                Ok(Expr::Path(self.steps(name)?))
            }
            Token::Word(word) => self.worded(word),
            Token::Symbol("-") => {
                self.advance();
                match self.token().clone() {
                    Token::Number(text) => {
                        self.advance();
                        Ok(Expr::Value(self.number(&format!("-{text}"))))
                    }
                    _ => malformed("Unexpected term"),
                }
            }
            Token::Symbol("(") => {
                self.advance();
                let inner = self.nested(Self::expression)?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Symbol("[" | "{" | "<<") => Ok(Expr::Value(self.nested(Self::collection)?)),
            Token::Symbol(_) | Token::End => malformed("Unexpected term"),
        }
    }

    fn worded(&mut self, word: String) -> Result<Expr, Error> {
        let upper = word.to_ascii_uppercase();
        let value = match upper.as_str() {
            "TRUE" => Some(AttributeValue::Bool(true)),
            "FALSE" => Some(AttributeValue::Bool(false)),
            "NULL" => Some(AttributeValue::Null),
            _ => None,
        };
        if let Some(value) = value {
            self.advance();
            return Ok(Expr::Value(value));
        }
        if upper == "MISSING" {
            self.advance();
            return Ok(Expr::Missing);
        }
        if self.is_before("(") && (!is_keyword(&word) || upper == "EXISTS") {
            return self.nested(|parser| parser.call(word));
        }
        if OPERATORS.contains(&upper.as_str()) {
            return malformed("Unexpected operator");
        }
        // What has a table and no verb begins with something else.
        if upper == "FROM" && self.is_before_name() {
            return malformed("Expected data manipulation");
        }
        if is_keyword(&word) {
            return malformed("Unexpected keyword");
        }
        self.advance();
        Ok(Expr::Path(self.steps(word)?))
    }

    fn call(&mut self, name: String) -> Result<Expr, Error> {
        let span = self.span();
        self.operator();
        self.advance();
        self.advance();
        let mut arguments = Vec::new();
        if !self.eat(")") {
            loop {
                let at = self.span();
                // COUNT(*) is refused by the place that it stands in.
                if self.eat("*") {
                    arguments.push((Expr::Unsupported("Star"), at));
                } else if self.is_word("SELECT") && name.eq_ignore_ascii_case("EXISTS") {
                    return refuse(format!("Unsupported token in expression: SELECT at {at}"));
                } else {
                    arguments.push((self.expression()?, at));
                }
                if !self.eat(",") {
                    break;
                }
            }
            self.expect(")")?;
        }
        Ok(Expr::Call(Call { name, span, arguments }))
    }

    /// The number that a literal spells; one that is out of range is told of later.
    fn number(&mut self, text: &str) -> AttributeValue {
        match Number::parse(text) {
            Ok(number) => AttributeValue::N(number),
            Err(error) => {
                let reason = format!("{} under root{}", error.client_message(), self.place);
                self.defer(reason);
                AttributeValue::N(Number::ZERO)
            }
        }
    }

    /// The item of an `INSERT`: a map, whose values are places of their own.
    pub(super) fn item(&mut self) -> Result<AttributeValue, Error> {
        if !self.eat("{") {
            return match self.sum()? {
                Expr::Value(value) => Ok(value),
                _ => Ok(AttributeValue::Null),
            };
        }
        self.members(false)
    }

    /// A list, a map or a set, whose bracket is under the cursor.
    fn collection(&mut self) -> Result<AttributeValue, Error> {
        if self.eat("{") {
            return self.members(true);
        }
        let close = if self.eat("[") { "]" } else { ">>" };
        if close == ">>" {
            self.advance();
        }
        let (mut values, mut spans) = (Vec::new(), Vec::new());
        if !self.eat(close) {
            loop {
                let at = if close == "]" { format!("[{}]", values.len()) } else { String::new() };
                spans.push(self.span());
                values.push(self.element(&at)?);
                if !self.eat(",") {
                    break;
                }
            }
            self.expect(close)?;
        }
        if close == "]" {
            return Ok(self.checked(AttributeValue::L(values)));
        }
        match bag(values, &spans, &self.place) {
            Ok(set) => Ok(set),
            Err(reason) => {
                self.defer(reason);
                Ok(AttributeValue::Null)
            }
        }
    }

    /// The members of a map whose brace is read.
    fn members(&mut self, is_place: bool) -> Result<AttributeValue, Error> {
        let mut members = Attributes::new();
        if self.eat("}") {
            return Ok(AttributeValue::M(members));
        }
        loop {
            let name = match self.token().clone() {
                Token::Text(name) | Token::Quoted(name) => name,
                Token::Parameter => match self.parameters.next() {
                    Some(AttributeValue::S(name)) => name,
                    _ => return refuse(PARAMETERS),
                },
                _ => return malformed("Unexpected term"),
            };
            self.advance();
            self.expect(":")?;
            if name.is_empty() {
                self.defer("Path component cannot be an empty string");
            }
            let at = if is_place { format!(".{name}") } else { String::new() };
            let value = self.element(&at)?;
            members.insert(name, value);
            if !self.eat(",") {
                break;
            }
        }
        self.expect("}")?;
        Ok(self.checked(AttributeValue::M(members)))
    }

    /// A value in a collection, `at` being its place there.
    fn element(&mut self, at: &str) -> Result<AttributeValue, Error> {
        let length = self.place.len();
        self.place.push_str(at);
        let expression = self.nested(Self::sum)?;
        let value = match expression {
            Expr::Value(value) => value,
            Expr::Call(call) => {
                let (name, place, span) = (&call.name, &self.place, call.span);
                self.defer(format!(
                    "Unsupported data type: {name} under key root{place} at {span}"
                ));
                AttributeValue::Null
            }
            _ => {
                self.defer("Unsupported data type: only literals and parameters are values");
                AttributeValue::Null
            }
        };
        self.place.truncate(length);
        Ok(value)
    }

    fn checked(&mut self, value: AttributeValue) -> AttributeValue {
        if let Err(error) = validate_value(&value) {
            self.defer(error.to_string());
        }
        value
    }
}

fn comparator(symbol: &str) -> Option<Comparator> {
    Some(match symbol {
        "=" => Comparator::Eq,
        "<>" | "!=" => Comparator::Ne,
        "<" => Comparator::Lt,
        "<=" => Comparator::Le,
        ">" => Comparator::Gt,
        ">=" => Comparator::Ge,
        _ => return None,
    })
}

/// The set of some texts or numbers, which are at `spans` of a statement and `place` of a value.
fn bag(values: Vec<AttributeValue>, spans: &[Span], place: &str) -> Result<AttributeValue, String> {
    const INVALID: &str = "One or more parameter values were invalid:";
    const ONLY: &str =
        "Unsupported data type in Bag. DynamoDB only supports either numbers or strings in bags";
    let Some(first) = values.first() else { return Err("Empty bags are not supported".into()) };
    let (kind, count) = (first.type_name(), values.len());
    let other = values.iter().zip(spans).find(|(value, _)| value.type_name() != kind);
    match (kind, other) {
        ("S" | "N", None) => {}
        ("N", Some((AttributeValue::Null, _))) => {
            return Err(format!("{INVALID} Numeric sets may not contain null under root{place}"));
        }
        // Where it stands is told of other bags alone.
        ("N", Some(_)) => return Err(ONLY.into()),
        ("S", Some((_, span))) => return Err(format!("{ONLY} at {span}")),
        _ => return Err(format!("{ONLY} at {}", spans[0])),
    }
    let listed: Vec<String> = values.iter().map(shown).collect();
    let listed = listed.join(", ");
    let (mut texts, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for value in values {
        match value {
            AttributeValue::S(text) => drop(texts.insert(text)),
            AttributeValue::N(number) => drop(numbers.insert(number)),
            _ => {}
        }
    }
    match (texts.len(), numbers.len()) {
        (found, 0) if found == count => Ok(AttributeValue::Ss(texts)),
        (0, found) if found == count => Ok(AttributeValue::Ns(numbers)),
        (_, 0) => Err(format!("{INVALID} Input collection [{listed}] contains duplicates.")),
        _ => Err(format!(
            "{INVALID} Input collection [{listed}] contains duplicates! under root{place}"
        )),
    }
}

fn shown(value: &AttributeValue) -> String {
    match value {
        AttributeValue::S(text) => text.clone(),
        AttributeValue::N(number) => number.to_string(),
        other => other.type_name().to_string(),
    }
}
