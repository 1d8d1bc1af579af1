//! Domain names as keys: lower case, uncompressed wire form without the root's zero byte.
//!
//! In this form the parent of a name is a suffix of its bytes, so a walk towards the root allocates
//! nothing. Comparison is case-insensitive by construction (RFC 4343).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::fmt;

/// Greatest length of a name in wire form, root included, bytes (RFC 1035, 2.3.4).
pub const NAME_BYTES_MAX: usize = 255;
/// Greatest length of a label, bytes (RFC 1035, 2.3.4).
pub const LABEL_BYTES_MAX: usize = 63;

/// A domain name, always absolute.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<[u8]>);

/// Why a name was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A label has no bytes, as in `a..b`.
    #[error("a label is empty")]
    EmptyLabel,
    /// A label is longer than [`LABEL_BYTES_MAX`].
    #[error("a label is longer than 63 bytes")]
    LabelTooLong,
    /// The name is longer than [`NAME_BYTES_MAX`].
    #[error("the name is longer than 255 bytes")]
    NameTooLong,
    /// A byte that is not printable ASCII, or a backslash (escapes are not read).
    #[error("{0:?} is not allowed in a name")]
    BadCharacter(char),
}

impl Name {
    /// From text; a trailing dot changes nothing: every name here is absolute.
    ///
    /// # Errors
    /// [`NameError`] if the text is not a name of printable ASCII.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Ok(Self(Box::default()));
        }
        if let Some(bad) = text.chars().find(|c| !c.is_ascii_graphic() || *c == '\\') {
            return Err(NameError::BadCharacter(bad));
        }
        let mut key = Key::new();
        for label in text.split('.') {
            key.push(label.as_bytes())?;
        }
        Ok(Self(key.as_bytes().into()))
    }

    /// The key form; see the module's head.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The labels, leftmost first.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        labels(&self.0)
    }

    /// `*.` and this name, or `None` if that is too long (RFC 4592).
    #[must_use]
    pub(crate) fn wildcard_under(parent: &[u8]) -> Option<Self> {
        let mut bytes = Vec::with_capacity(parent.len() + 2);
        bytes.extend_from_slice(&[1, b'*']);
        bytes.extend_from_slice(parent);
        (bytes.len() < NAME_BYTES_MAX).then(|| Self(bytes.into()))
    }

    /// From bytes that already are in key form: a suffix of another name.
    pub(crate) fn from_key(key: &[u8]) -> Self {
        Self(key.into())
    }
}

impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(".");
        }
        for label in self.labels() {
            write!(f, "{}.", label.escape_ascii())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A name in key form on the stack, for look-ups.
#[derive(Clone, Copy)]
pub struct Key {
    bytes: [u8; NAME_BYTES_MAX],
    len: usize,
}

impl Key {
    /// The root.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: [0; NAME_BYTES_MAX], len: 0 }
    }

    /// Appends a label on the right, in lower case; any bytes are allowed (RFC 2181, 11).
    ///
    /// # Errors
    /// [`NameError`] if the label is empty or too long, or the name becomes too long.
    pub fn push(&mut self, label: &[u8]) -> Result<(), NameError> {
        if label.is_empty() {
            return Err(NameError::EmptyLabel);
        }
        let Some(len) = u8::try_from(label.len()).ok().filter(|_| label.len() <= LABEL_BYTES_MAX)
        else {
            return Err(NameError::LabelTooLong);
        };
        let end = self.len + 1 + label.len();
        if end >= NAME_BYTES_MAX {
            return Err(NameError::NameTooLong);
        }
        self.bytes[self.len] = len;
        for (to, from) in self.bytes[self.len + 1..end].iter_mut().zip(label) {
            *to = from.to_ascii_lowercase();
        }
        self.len = end;
        Ok(())
    }

    /// The key form.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Default for Key {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Name::from_key(self.as_bytes()), f)
    }
}

/// The labels of a key, leftmost first.
pub(crate) fn labels(mut key: &[u8]) -> impl Iterator<Item = &[u8]> {
    core::iter::from_fn(move || {
        let (len, rest) = key.split_first()?;
        let (label, rest) = rest.split_at_checked(usize::from(*len))?;
        key = rest;
        Some(label)
    })
}

/// The name one label up; `None` at the root.
pub(crate) fn parent(key: &[u8]) -> Option<&[u8]> {
    let (len, rest) = key.split_first()?;
    rest.get(usize::from(*len)..)
}

/// Whether `key` is `zone` or below it.
pub(crate) fn is_within(key: &[u8], zone: &[u8]) -> bool {
    let mut at = Some(key);
    while let Some(name) = at.filter(|name| name.len() >= zone.len()) {
        if name == zone {
            return true;
        }
        at = parent(name);
    }
    false
}
