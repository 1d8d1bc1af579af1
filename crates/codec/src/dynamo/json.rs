//! Writing JSON straight into a buffer.

use serde::Serialize;

use crate::binary::DecodeError;

/// Writes a JSON string.
pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    match none_is(text.as_bytes(), is_escaped) {
        true => write_quoted(out, text.as_bytes()),
        false => write_value(out, text),
    }
}

/// Writes bytes as a JSON string, if they are a text.
pub(super) fn write_utf8(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), DecodeError> {
    // One look is enough for most texts.
    if none_is(bytes, |byte| is_escaped(byte) | !byte.is_ascii()) {
        write_quoted(out, bytes);
    } else {
        write_text(out, str::from_utf8(bytes).map_err(|_| DecodeError::Utf8)?);
    }
    Ok(())
}

fn write_quoted(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    out.extend_from_slice(bytes);
    out.push(b'"');
}

const fn is_escaped(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

/// Whether `odd` holds of no byte, as in most texts. By blocks without a way out of them, which
/// compilers turn into vector instructions: texts are most of what is answered. The last block
/// overlaps the one before it.
#[inline]
fn none_is(bytes: &[u8], odd: impl Fn(u8) -> bool + Copy) -> bool {
    let mut found = false;
    if let Some(last) = bytes.last_chunk::<32>() {
        bytes.as_chunks().0.iter().for_each(|block| found |= any::<32>(block, odd));
        found |= any(last, odd);
    } else if let Some(last) = bytes.last_chunk::<8>() {
        bytes.as_chunks().0.iter().for_each(|block| found |= any::<8>(block, odd));
        found |= any(last, odd);
    } else {
        found = bytes.iter().any(|&byte| odd(byte));
    }
    !found
}

#[inline]
fn any<const N: usize>(block: &[u8; N], odd: impl Fn(u8) -> bool) -> bool {
    block.iter().fold(false, |found, &byte| found | odd(byte))
}

/// Writes anything that serde can: for what is small or rare.
pub(super) fn write_value(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(out, value).expect("a vector takes every byte, and no map has odd keys");
}

/// An object under construction: [`Object::end`] closes it.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Object<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    /// Goes on behind a member.
    pub(super) fn resume(out: &'a mut Vec<u8>) -> Self {
        Self { out, first: false }
    }

    /// Begins a member; its value must be written to what this returns.
    pub(super) fn member(&mut self, name: &str) -> &mut Vec<u8> {
        write_text(self.element(), name);
        self.out.push(b':');
        self.out
    }

    /// Begins a member whose name, colon and value must be written to what this returns.
    pub(super) fn element(&mut self) -> &mut Vec<u8> {
        separate(self.out, &mut self.first);
        self.out
    }

    pub(super) fn text(&mut self, name: &str, value: &str) {
        write_text(self.member(name), value);
    }

    pub(super) fn value(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        write_value(self.member(name), value);
    }

    pub(super) fn end(self) {
        self.out.push(b'}');
    }
}

/// An array under construction: [`Array::end`] closes it.
pub(super) struct Array<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Array<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        out.push(b'[');
        Self { out, first: true }
    }

    /// Begins an element; its value must be written to what this returns.
    pub(super) fn element(&mut self) -> &mut Vec<u8> {
        separate(self.out, &mut self.first);
        self.out
    }

    pub(super) fn end(self) {
        self.out.push(b']');
    }
}

fn separate(out: &mut Vec<u8>, first: &mut bool) {
    if !core::mem::take(first) {
        out.push(b',');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_written_as_serde_writes_them() {
        let around = "0123456789abcdefé".repeat(3);
        let odd = (0..0x80_u8).map(char::from).chain(['\u{7f}', '\u{80}', '\u{2028}', '😀']);
        for odd in odd {
            for at in around.char_indices().map(|(at, _)| at) {
                let text = format!("{}{odd}{}", &around[..at], &around[at..]);
                let mut out = Vec::new();
                write_text(&mut out, &text);
                let wanted = serde_json::to_vec(&text).expect("a text");
                assert_eq!(out, wanted, "{text:?}");
                out.clear();
                assert_eq!(write_utf8(&mut out, text.as_bytes()), Ok(()));
                assert_eq!(out, wanted, "{text:?}");
            }
        }
    }

    #[test]
    fn what_is_no_text_is_not_written() {
        for length in 0..70 {
            for at in 0..length {
                let mut bytes = vec![b'a'; length];
                bytes[at] = 0xff;
                let mut out = Vec::new();
                assert_eq!(write_utf8(&mut out, &bytes), Err(DecodeError::Utf8));
                assert!(out.is_empty());
            }
        }
    }
}
