//! The parser of expressions and literals.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::ast::{Call, Expr};
use super::keywords::is_keyword;
use super::lexer::{Span, Token};
use super::literal::no_ion;
use super::parser::{NO_VERB, Parser};
use super::{DEPTH_MAX, Error, TOO_DEEP, malformed, refuse};
use crate::expr::Comparator;
use crate::item::AttributeValue;

/// Functions of conditions.
const FUNCTIONS: [&str; 6] = [
    "attribute_exists",
    "attribute_not_exists",
    "attribute_type",
    "begins_with",
    "contains",
    "size",
];
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
        if self.is_at_end() || self.is_symbol(";") {
            return malformed("Missing right-hand side expression of infix operator");
        }
        Ok(())
    }

    fn comparison(&mut self) -> Result<Expr, Error> {
        let start = self.span();
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
                self.is(operand, start)?
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
            return malformed("Expected AND keyword");
        }
        if self.is_at_end() {
            return malformed("Expected expression after AND");
        }
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

    fn is(&mut self, operand: Box<Expr>, start: Span) -> Result<Expr, Error> {
        let negated = self.eat_word("NOT");
        if negated {
            self.operator();
        }
        let kinds = self.type_name(start)?;
        let test = Expr::Is { operand, kinds };
        Ok(if negated { Expr::Not(Box::new(test)) } else { test })
    }

    /// The types that a name stands for; those of SQL that the service knows and tests for none of
    /// are refused (measured by dynoxide's authors in two regions, October 2026).
    fn type_name(&mut self, start: Span) -> Result<&'static [&'static str], Error> {
        let Token::Word(word) = self.token().clone() else {
            return malformed("Expected type name");
        };
        self.advance();
        let (mut unknown, mut kinds): (&str, &[&str]) = ("", &[]);
        match word.to_ascii_uppercase().as_str() {
            "MISSING" => {}
            "NULL" => kinds = &["NULL"],
            "BOOL" | "BOOLEAN" => kinds = &["BOOL"],
            "STRING" => kinds = &["S"],
            "NUMERIC" => kinds = &["N"],
            "BLOB" => kinds = &["B"],
            "LIST" => kinds = &["L"],
            "STRUCT" | "TUPLE" => kinds = &["M"],
            "SMALLINT" => unknown = "Smallint",
            "INT" | "INTEGER" => unknown = "Integer",
            "INT4" => unknown = "Integer4",
            "INT8" | "BIGINT" => unknown = "Integer8",
            "FLOAT" => unknown = "Float",
            "REAL" => unknown = "Real",
            "DOUBLE" if self.eat_word("PRECISION") => unknown = "DoublePrecision",
            "DECIMAL" => unknown = "Decimal",
            "TIMESTAMP" => unknown = "Timestamp",
            "DATE" => unknown = "Date",
            "TIME" => unknown = "Time",
            "CHARACTER" if self.eat_word("VARYING") => unknown = "CharacterVarying",
            "VARCHAR" => unknown = "CharacterVarying",
            "CHAR" | "CHARACTER" => unknown = "Character",
            "SYMBOL" => unknown = "Symbol",
            "CLOB" => unknown = "Clob",
            "SEXP" => unknown = "Sexp",
            "BAG" => unknown = "Bag",
            "ANY" => unknown = "Any",
            _ => return malformed("Expected type name"),
        }
        if self.eat("(") {
            while !self.eat(")") {
                if !matches!(self.token(), Token::Number(_) | Token::Symbol(",")) {
                    return malformed("Expected type name");
                }
                self.advance();
            }
        }
        if !unknown.is_empty() {
            self.defer(format!(
                "Unsupported data type for IS operator: {unknown}Type. Supported data types are \
                 [MISSING, NULL, BOOLEAN, BLOB, STRING, NUMERIC, STRUCT, TUPLE, LIST] at {start}"
            ));
        }
        Ok(kinds)
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
            Token::Ion(kind) => {
                let reason = no_ion(kind, &self.place, self.span());
                self.defer(reason);
                self.advance();
                Ok(Expr::Value(AttributeValue::Null))
            }
            Token::Parameter => {
                self.advance();
                Ok(Expr::Value(self.parameter()))
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

    /// The next parameter; that there is none is told after what is wrong with the text.
    pub(super) fn parameter(&mut self) -> AttributeValue {
        self.parameters.next().unwrap_or_else(|| {
            self.lacks_parameters = true;
            AttributeValue::Null
        })
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
            if self.is_in_where() {
                self.defer("MISSING must be compared using IS operator");
            }
            return Ok(Expr::Missing);
        }
        if self.is_before("(") && (!is_keyword(&word) || upper == "EXISTS") {
            return self.nested(|parser| parser.call(word));
        }
        if OPERATORS.contains(&upper.as_str()) {
            return malformed("Unexpected operator");
        }
        // What has a table and no verb begins with something else.
        if upper == "FROM" {
            return malformed(if self.is_before_name() { NO_VERB } else { "Unexpected term" });
        }
        if is_keyword(&word) {
            return malformed("Unexpected keyword");
        }
        self.advance();
        Ok(Expr::Path(self.steps(word)?))
    }

    /// Whether the call whose name is under the cursor is `EXISTS (SELECT …)`.
    pub(super) fn is_subquery(&self, name: &str) -> bool {
        let third = self.third();
        let is_select =
            matches!(third, Some(Token::Word(word)) if word.eq_ignore_ascii_case("SELECT"));
        name.eq_ignore_ascii_case("EXISTS") && is_select
    }

    fn call(&mut self, name: String) -> Result<Expr, Error> {
        let span = self.span();
        self.operator();
        let is_known = FUNCTIONS.iter().any(|known| name.eq_ignore_ascii_case(known));
        if self.is_in_where() && !is_known && !self.is_subquery(&name) {
            let lower = name.to_ascii_lowercase();
            self.defer(format!("Unrecognized function: {lower} at {span}"));
        }
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
