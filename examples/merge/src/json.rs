//! As much of JSON as canonical versions need: the members of an object, the elements of an array.
//!
//! Nothing is decoded. Versions have one spelling, so values are equal when their text is; what the
//! rules do not look into is carried over as it stands.

/// A name and a value as they stand in the text, the name without its quotes.
pub(crate) type Member<'a> = (&'a str, &'a str);

/// The members of an object, in ascending order of the names' text.
pub(crate) fn members(object: &str) -> Vec<Member<'_>> {
    let bytes = object.as_bytes();
    let mut members = Vec::with_capacity(16);
    let mut at = 1;
    while at + 1 < bytes.len() {
        let name_end = string_end(bytes, at);
        let end = value_end(bytes, name_end + 1);
        members.push((&object[at + 1..name_end - 1], &object[name_end + 1..end]));
        at = end + 1;
    }
    // Versions have them in this order, but for names with escapes.
    if !members.is_sorted() {
        members.sort_unstable();
    }
    members
}

/// The elements of an array, each as name and value at once, in ascending order of their text.
pub(crate) fn elements(array: &str) -> Vec<Member<'_>> {
    let bytes = array.as_bytes();
    let mut elements = Vec::with_capacity(16);
    let mut at = 1;
    while at + 1 < bytes.len() {
        let end = value_end(bytes, at);
        elements.push((&array[at..end], &array[at..end]));
        at = end + 1;
    }
    if !elements.is_sorted() {
        elements.sort_unstable();
    }
    elements
}

/// The value of a name.
pub(crate) fn get<'a>(members: &[Member<'a>], wanted: &str) -> Option<&'a str> {
    members.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value)
}

/// An attribute value's content, if it has this type: `{"N":"5"}` and `N` give `"5"` with quotes.
pub(crate) fn typed<'a>(value: &'a str, kind: &str) -> Option<&'a str> {
    let content = value.strip_prefix("{\"")?.strip_prefix(kind)?.strip_prefix("\":")?;
    content.strip_suffix('}')
}

/// Where the value ends that begins at `at`.
fn value_end(bytes: &[u8], at: usize) -> usize {
    match bytes[at] {
        b'"' => string_end(bytes, at),
        b'{' | b'[' => container_end(bytes, at),
        _ => {
            let rest = &bytes[at..];
            at + rest.iter().position(|byte| b",}]".contains(byte)).unwrap_or(rest.len())
        }
    }
}

/// Behind the bracket that closes the one at `at`.
fn container_end(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0;
    loop {
        match bytes[at] {
            b'"' => {
                at = string_end(bytes, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
}

/// Behind the closing quote of the string that begins at `at`.
fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    loop {
        let special = bytes[at..].iter().position(|byte| matches!(byte, b'"' | b'\\'));
        let found = at + special.expect("strings end");
        if bytes[found] == b'"' {
            return found + 1;
        }
        at = found + 2;
    }
}
