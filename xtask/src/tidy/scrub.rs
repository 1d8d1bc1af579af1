//! Rust source with comments blanked out and literals filled with quotes, line for line.
//!
//! Just enough of a lexer that a brace in a string does not count as one in the code.

/// `text` with the same lines; comments are spaces, all of a string or character is `"`.
pub(super) fn scrub(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut clean = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(bytes, at);
        if end > at {
            let fill = if bytes[at] == b'/' { ' ' } else { '"' };
            let filled = |&byte: &u8| if byte == b'\n' { '\n' } else { fill };
            clean.extend(bytes[at..end].iter().map(filled));
            at = end;
        } else {
            clean.push(if bytes[at].is_ascii() { char::from(bytes[at]) } else { ' ' });
            at += 1;
        }
    }
    clean
}

/// Where the comment or literal that starts at `at` ends; `at` itself if none starts there.
fn literal_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    match rest {
        [b'/', b'/', ..] => at + until(rest, 0, b"\n"),
        [b'/', b'*', ..] => at + block_comment(rest),
        [b'"', ..] => at + quoted(rest),
        [b'r', b'"' | b'#', ..] if !continues_word(bytes, at) => at + raw(rest),
        [b'\'', ..] => at + character(rest),
        _ => at,
    }
}

/// The index just behind the next `needle` in `rest` from `from`, or its end.
fn until(rest: &[u8], from: usize, needle: &[u8]) -> usize {
    let found = rest[from..].windows(needle.len()).position(|window| window == needle);
    // A line comment keeps its line break out: it belongs to the code.
    let behind = if needle == b"\n" { 0 } else { needle.len() };
    found.map_or(rest.len(), |index| from + index + behind)
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] if depth == 1 => return at + 2,
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    rest.len()
}

fn quoted(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// `r"…"`, `r#"…"#`; 0 for a raw identifier such as `r#type`.
fn raw(rest: &[u8]) -> usize {
    let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let end: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    until(rest, 2 + hashes, &end)
}

/// `'x'`, `'\n'`, `'ä'`; 0 for a lifetime.
fn character(rest: &[u8]) -> usize {
    if rest.get(1) == Some(&b'\\') {
        return until(rest, 3, b"'");
    }
    let letters = rest.iter().take(6).skip(2).position(|byte| *byte == b'\'');
    let width = rest.get(1).map_or(1, |byte| match byte {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    });
    if letters == Some(width - 1) { width + 2 } else { 0 }
}

/// Whether the byte at `at` goes on with a word: the `r` of `for"` starts no raw string. `br"…"`
/// does.
fn continues_word(bytes: &[u8], at: usize) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match at.checked_sub(1).map(|before| bytes[before]) {
        Some(b'b' | b'c') => at >= 2 && word(bytes[at - 2]),
        Some(byte) => word(byte),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let clean = scrub(text);
        assert_eq!(clean.split_whitespace().collect::<Vec<_>>().join(" "), expected);
        assert_eq!(clean.matches('\n').count(), text.matches('\n').count());
    }

    #[test]
    fn comments_and_literals_are_blanked() {
        check("a // {\nb", "a b");
        check("a /* { /* } */ { */ b", "a b");
        check(r#"f("}\"{", x)"#, r#"f("""""", x)"#);
        check("f(r#\"{\"#, br\"{\")", r#"f("""""", b"""")"#);
        check(r"f('{', '\'', '\u{7b}', 'ä')", r#"f(""", """", """""""", """")"#);
    }

    #[test]
    fn lifetimes_and_raw_identifiers_are_code() {
        check("fn f<'a>(x: &'a u8) {}", "fn f<'a>(x: &'a u8) {}");
        check("let r#type = 1; for x", "let r#type = 1; for x");
    }
}
