//! Writing JSON straight into a buffer.

use serde::Serialize;

/// Writes a JSON string.
pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    write_value(out, text);
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
