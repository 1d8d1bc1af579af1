//! Literals of Ion, which are refused by their types.

use crate::item::Number;

/// The type of the Ion literal of a text between backticks; `None` where it is no such literal.
pub(super) fn kind(text: &str) -> Option<&'static str> {
    let text = text.trim();
    let inside = |open: &str, close: &str| text.strip_prefix(open)?.strip_suffix(close);
    if let Some(lob) = text.strip_prefix("{{") {
        let lob = lob.strip_suffix("}}")?.trim();
        let is_base64 = |byte: u8| {
            byte.is_ascii_alphanumeric() || b"+/=".contains(&byte) || byte.is_ascii_whitespace()
        };
        return match lob.starts_with(['"', '\'']) {
            true => Some("CLOB"),
            false => lob.bytes().all(is_base64).then_some("BLOB"),
        };
    }
    let bracketed = [
        ("{", "}", "STRUCT"),
        ("[", "]", "LIST"),
        ("(", ")", "SEXP"),
        ("\"", "\"", "STRING"),
        ("'''", "'''", "STRING"),
        ("'", "'", "SYMBOL"),
    ];
    let found = bracketed.into_iter().find(|(open, close, _)| inside(open, close).is_some());
    if let Some((_, _, kind)) = found {
        return Some(kind);
    }
    match text {
        "true" | "false" => return Some("BOOL"),
        "nan" | "+inf" | "-inf" => return Some("FLOAT"),
        _ => {}
    }
    if text == "null" || text.starts_with("null.") {
        return Some("NULL");
    }
    let first = text.bytes().next()?;
    if first.is_ascii_alphabetic() || b"_$".contains(&first) {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_$".contains(&byte);
        return text.bytes().all(is_name).then_some("SYMBOL");
    }
    number(text)
}

/// The type of what begins with a digit or a sign.
fn number(text: &str) -> Option<&'static str> {
    let year = text.bytes().take_while(u8::is_ascii_digit).count();
    if year == 4 && text[year..].starts_with(['-', 'T']) {
        let is_time = |byte: u8| byte.is_ascii_digit() || b"-:TZ.+".contains(&byte);
        return text.bytes().all(is_time).then_some("TIMESTAMP");
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let based = [("0x", 16), ("0X", 16), ("0b", 2), ("0B", 2)];
    let based = based.into_iter().find_map(|(sign, base)| Some((digits.strip_prefix(sign)?, base)));
    if let Some((digits, base)) = based {
        let is_digit = |letter: char| letter == '_' || letter.is_digit(base);
        return (!digits.is_empty() && digits.chars().all(is_digit)).then_some("INT");
    }
    let is_float = text.contains(['e', 'E']);
    let plain = text.replace('_', "").replace(['d', 'D'], "e");
    if Number::parse(&plain).err() == Some(crate::item::NumberError::Malformed) {
        return None;
    }
    Some(match text.contains(['.', 'd', 'D']) {
        _ if is_float => "FLOAT",
        true => "DECIMAL",
        false => "INT",
    })
}
