//! The parser of literals: numbers, lists, maps and sets.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::ast::Expr;
use super::lexer::{Span, Token};
use super::parser::Parser;
use super::{Error, malformed};
use crate::item::{AttributeValue, Attributes, Number, validate_value};

impl Parser {
    /// The number that a literal spells; one that is out of range is told of later.
    pub(super) fn number(&mut self, text: &str) -> AttributeValue {
        match Number::parse_narrow(text) {
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
    pub(super) fn collection(&mut self) -> Result<AttributeValue, Error> {
        if self.eat("{") {
            return self.members(true);
        }
        if !self.eat("[") {
            self.advance();
            return self.bag();
        }
        let mut values = Vec::new();
        if !self.eat("]") {
            loop {
                values.push(self.element(&format!("[{}]", values.len()))?);
                if !self.eat(",") {
                    break;
                }
            }
            self.expect("]")?;
        }
        Ok(self.checked(AttributeValue::L(values)))
    }

    /// The set of some texts or numbers, whose bracket is read.
    fn bag(&mut self) -> Result<AttributeValue, Error> {
        let mut members = Vec::new();
        if !self.eat(">>") {
            loop {
                let span = self.span();
                let member = match *self.token() {
                    Token::Parameter => {
                        self.advance();
                        self.parameter();
                        Member::Parameter
                    }
                    Token::Ion(kind) => {
                        self.advance();
                        Member::Ion(kind)
                    }
                    _ => Member::Value(self.element("")?),
                };
                members.push((member, span));
                if !self.eat(",") {
                    break;
                }
            }
            self.expect(">>")?;
        }
        Ok(bag(members, &self.place).unwrap_or_else(|reason| {
            self.defer(reason);
            AttributeValue::Null
        }))
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
                Token::Parameter => match self.parameter() {
                    AttributeValue::S(name) => name,
                    _ => {
                        self.lacks_parameters = true;
                        "?".to_string()
                    }
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
        let value = AttributeValue::M(members);
        // An item is no level of nesting: what its attributes have was looked at.
        Ok(if is_place { self.checked(value) } else { value })
    }

    /// A value in a collection, `at` being its place there.
    fn element(&mut self, at: &str) -> Result<AttributeValue, Error> {
        let length = self.place.len();
        self.place.push_str(at);
        let expression = self.nested(Self::sum)?;
        let value = match expression {
            Expr::Value(value) => value,
            Expr::Call(call) => {
                // Its name is told of a value that is not within another.
                let (place, span) = (&self.place, call.span);
                let name = if place.is_empty() { &call.name } else { "Call" };
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

/// What stands in a bag.
enum Member {
    Value(AttributeValue),
    Parameter,
    Ion(&'static str),
}

impl Member {
    fn type_name(&self) -> &'static str {
        match self {
            Self::Value(value) => value.type_name(),
            Self::Parameter | Self::Ion(_) => "",
        }
    }
}

/// Why an Ion literal is refused.
pub(super) fn no_ion(kind: &str, place: &str, span: Span) -> String {
    format!("Ion Literals are not supported: {kind} under key root{place} at {span}")
}

/// The set of some texts or numbers, which are at `place` of a value.
fn bag(members: Vec<(Member, Span)>, place: &str) -> Result<AttributeValue, String> {
    const INVALID: &str = "One or more parameter values were invalid:";
    const ONLY: &str =
        "Unsupported data type in Bag. DynamoDB only supports either numbers or strings in bags";
    let Some((first, span)) = members.first() else {
        return Err("Empty bags are not supported".into());
    };
    let (kind, count) = (first.type_name(), members.len());
    if !matches!(kind, "S" | "N") {
        return Err(format!("{ONLY} at {span}"));
    }
    match members.iter().find(|(member, _)| member.type_name() != kind) {
        None => {}
        Some((Member::Parameter, span)) => {
            return Err(format!(
                "Unsupported data type: Parameter under key root{place} at {span}"
            ));
        }
        Some((Member::Ion(kind), span)) => return Err(no_ion(kind, place, *span)),
        Some((Member::Value(AttributeValue::Null), _)) if kind == "N" => {
            return Err(format!("{INVALID} Numeric sets may not contain null under root{place}"));
        }
        // Where it stands is told of texts alone.
        Some(_) if kind == "N" => return Err(ONLY.into()),
        Some((_, span)) => return Err(format!("{ONLY} at {span}")),
    }
    let values: Vec<AttributeValue> = members
        .into_iter()
        .filter_map(|(member, _)| match member {
            Member::Value(value) => Some(value),
            Member::Parameter | Member::Ion(_) => None,
        })
        .collect();
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
