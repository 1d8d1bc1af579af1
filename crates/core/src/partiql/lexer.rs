//! Tokens of a statement.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::iter::Peekable;
use core::str::CharIndices;

use super::{Error, ion, malformed};

/// Where a token stands: line and column from 1, and its length, in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    line: usize,
    column: usize,
    length: usize,
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.line, self.column, self.length)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A bare word, keyword or not.
    Word(String),
    /// A name in double quotes.
    Quoted(String),
    /// A text in single quotes.
    Text(String),
    Number(String),
    /// An Ion literal, of which only the type matters.
    Ion(&'static str),
    /// `?`
    Parameter,
    Symbol(&'static str),
    End,
}

/// Longest first.
const SYMBOLS: [&str; 27] = [
    "<<", ">>", "<>", "<=", ">=", "!=", "||", "(", ")", "[", "]", "{", "}", ",", ".", ":", ";",
    "*", "=", "<", ">", "+", "-", "/", "%", "@", "^",
];

/// The tokens of a text, [`Token::End`] behind them.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, Span)>, Error> {
    let mut lexer = Lexer { text, chars: text.char_indices().peekable(), line: 1, column: 1 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip()?;
        let (line, column) = (lexer.line, lexer.column);
        let start = lexer.at();
        let token = lexer.token()?;
        let length = text[start..lexer.at()].chars().count();
        let is_end = token == Token::End;
        tokens.push((token, Span { line, column, length }));
        if is_end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'t> {
    text: &'t str,
    chars: Peekable<CharIndices<'t>>,
    line: usize,
    column: usize,
}

impl Lexer<'_> {
    fn at(&mut self) -> usize {
        self.chars.peek().map_or(self.text.len(), |(at, _)| *at)
    }

    fn rest(&mut self) -> &str {
        let at = self.at();
        &self.text[at..]
    }

    fn next(&mut self) -> Option<char> {
        let (_, next) = self.chars.next()?;
        if next == '\n' {
            (self.line, self.column) = (self.line + 1, 1);
        } else {
            self.column += 1;
        }
        Some(next)
    }

    fn drop(&mut self, count: usize) {
        for _ in 0..count {
            self.next();
        }
    }

    /// Goes past white space and comments.
    fn skip(&mut self) -> Result<(), Error> {
        loop {
            let rest = self.rest();
            if rest.starts_with("--") {
                let length = rest.find('\n').unwrap_or(rest.len());
                let count = rest[..length].chars().count();
                self.drop(count);
            } else if let Some(inside) = rest.strip_prefix("/*") {
                let Some(end) = inside.find("*/") else { return malformed("") };
                let count = rest[..end + 4].chars().count();
                self.drop(count);
            } else if rest.starts_with(char::is_whitespace) {
                self.next();
            } else {
                return Ok(());
            }
        }
    }

    fn token(&mut self) -> Result<Token, Error> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(Token::End) };
        let second = rest[first.len_utf8()..].chars().next();
        match first {
            '\'' => Ok(Token::Text(self.quoted('\'')?)),
            '"' => Ok(Token::Quoted(self.quoted('"')?)),
            '`' => {
                self.next();
                let inside = self.rest();
                let Some(end) = inside.find('`') else { return malformed("") };
                let Some(kind) = ion::kind(&inside[..end]) else { return malformed("") };
                let count = inside[..=end].chars().count();
                self.drop(count);
                Ok(Token::Ion(kind))
            }
            '?' => {
                self.next();
                Ok(Token::Parameter)
            }
            '0'..='9' => self.number(),
            '.' if second.is_some_and(|next| next.is_ascii_digit()) => self.number(),
            _ if is_word(first) => Ok(Token::Word(self.word())),
            _ => {
                let found = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol));
                let Some(symbol) = found else { return malformed("") };
                self.drop(symbol.len());
                Ok(Token::Symbol(symbol))
            }
        }
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some((_, next)) = self.chars.peek().copied()
            && (is_word(next) || next.is_ascii_digit())
        {
            word.push(next);
            self.next();
        }
        word
    }

    /// What stands between quotes; twice the quote is one.
    fn quoted(&mut self, quote: char) -> Result<String, Error> {
        self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                None => return malformed(""),
                Some(next) if next == quote => {
                    if self.chars.peek().is_none_or(|(_, next)| *next != quote) {
                        return Ok(text);
                    }
                    self.next();
                    text.push(quote);
                }
                Some(next) => text.push(next),
            }
        }
    }

    fn digits(&mut self, text: &mut String) {
        while let Some((_, next)) = self.chars.peek().copied()
            && next.is_ascii_digit()
        {
            text.push(next);
            self.next();
        }
    }

    fn number(&mut self) -> Result<Token, Error> {
        let mut text = String::new();
        self.digits(&mut text);
        let mut fraction = 0;
        if self.rest().starts_with('.') {
            self.next();
            text.push('.');
            let before = text.len();
            self.digits(&mut text);
            fraction = text.len() - before;
        }
        let mut power = 0i64;
        if self.rest().starts_with(['e', 'E']) {
            self.next();
            text.push('e');
            let from = text.len();
            if let Some((_, sign @ ('+' | '-'))) = self.chars.peek().copied() {
                text.push(sign);
                self.next();
            }
            self.digits(&mut text);
            // Its exponent and its scale are 32 bits wide.
            let parsed = text[from..].parse::<i32>();
            power = match parsed {
                Ok(power) => i64::from(power),
                Err(_) => return malformed(""),
            };
        }
        let scale = i64::try_from(fraction).unwrap_or(i64::MAX).saturating_sub(power);
        if i32::try_from(scale).is_err() {
            return malformed("");
        }
        Ok(Token::Number(text))
    }
}

fn is_word(letter: char) -> bool {
    letter.is_alphabetic() || letter == '_' || letter == '$'
}
