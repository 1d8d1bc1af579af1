//! Writing JSON straight into a buffer.

use serde::Serialize;

/// Writes a JSON string.
pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    if !is_plain(text.as_bytes()) {
        return write_value(out, text);
    }
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Whether nothing has to be escaped, as in most texts. By blocks without a way out of them, which
/// compilers turn into vector instructions: texts are most of what is answered.
fn is_plain(bytes: &[u8]) -> bool {
    let escaped = |byte: u8| (byte < 0x20) | (byte == b'"') | (byte == b'\\');
    let mut blocks = bytes.chunks_exact(32);
    let found = blocks.any(|block| block.iter().fold(false, |found, &it| found | escaped(it)));
    !found && !blocks.remainder().iter().any(|&byte| escaped(byte))
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
        separate(self.out, &mut self.first);
        write_text(self.out, name);
        self.out.push(b':');
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
                assert_eq!(out, serde_json::to_vec(&text).expect("a text"), "{text:?}");
            }
        }
    }
}
