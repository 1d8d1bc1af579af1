//! Tokens of an expression.

use alloc::vec::Vec;
use core::ops::Range;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A bare name or keyword.
    Name,
    /// `#name`.
    NameRef,
    /// `:value`.
    ValueRef,
    /// Decimal digits.
    Digits,
    /// A comparator, bracket, sign or separator.
    Symbol,
    /// Something no expression contains.
    Unknown,
}

/// One token: what it is and where its text stands.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Range<usize>,
}

/// The tokens of `text`. Never fails: what is not a token becomes [`TokenKind::Unknown`].
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if matches!(first, ' ' | '\t' | '\r' | '\n') {
            at += 1;
            continue;
        }
        let (kind, length) = token(&text[at..], first);
        tokens.push(Token { kind, span: at..at + length });
        at += length;
    }
    tokens
}

/// The kind and the length in bytes of the token that `rest` begins with.
fn token(rest: &str, first: char) -> (TokenKind, usize) {
    let word = |from: usize| {
        let tail = rest.as_bytes()[from..].iter();
        from + tail.take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count()
    };
    match first {
        'a'..='z' | 'A'..='Z' => (TokenKind::Name, word(1)),
        '#' if word(1) > 1 => (TokenKind::NameRef, word(1)),
        ':' if word(1) > 1 => (TokenKind::ValueRef, word(1)),
        '0'..='9' => {
            (TokenKind::Digits, rest.bytes().take_while(|byte| byte.is_ascii_digit()).count())
        }
        '<' if rest.starts_with("<>") || rest.starts_with("<=") => (TokenKind::Symbol, 2),
        '>' if rest.starts_with(">=") => (TokenKind::Symbol, 2),
        '=' | '<' | '>' | '(' | ')' | '[' | ']' | ',' | '.' | '+' | '-' => (TokenKind::Symbol, 1),
        _ => (TokenKind::Unknown, first.len_utf8()),
    }
}
