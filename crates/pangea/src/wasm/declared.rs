//! The attributes that a module says it treats in its own way.
//!
//! The laws are checked on generated items, which can only test what they contain: a module that
//! adds up `stock` must be shown items with `stock`. It declares such names in a custom section.

use std::str::FromStr;

use super::error::ModuleError;
use super::limits::DECLARED_ATTRIBUTES_MAX;

/// The custom section: words like `stock:N tags:SS lines:M note`, parted by white space.
pub(super) const SECTION: &str = "pangea.attributes";

/// Bytes of a name (DynamoDB: an attribute's name, 64 KB; nobody types more than this).
const NAME_BYTES_MAX: usize = 255;

/// The type of an attribute value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// String.
    S,
    /// Number.
    N,
    /// Binary.
    B,
    /// Boolean.
    Bool,
    /// Null.
    Null,
    /// String set.
    Ss,
    /// Number set.
    Ns,
    /// Binary set.
    Bs,
    /// List.
    L,
    /// Map.
    M,
}

impl Kind {
    pub(super) const ALL: [(Self, &'static str); 10] = [
        (Self::S, "S"),
        (Self::N, "N"),
        (Self::B, "B"),
        (Self::Bool, "BOOL"),
        (Self::Null, "NULL"),
        (Self::Ss, "SS"),
        (Self::Ns, "NS"),
        (Self::Bs, "BS"),
        (Self::L, "L"),
        (Self::M, "M"),
    ];
}

/// An attribute's name, and its type where it mostly has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// Its name at the top of an item.
    pub name: String,
    /// Its usual type; other types are generated too, only less often.
    pub kind: Option<Kind>,
}

impl std::fmt::Display for Declaration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        let word = Kind::ALL.iter().find(|(kind, _)| Some(*kind) == self.kind);
        word.map_or(Ok(()), |(_, word)| write!(f, ":{word}"))
    }
}

impl FromStr for Declaration {
    type Err = String;

    /// `name` or `name:TYPE`; everything before the last colon is the name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, kind) = match text.rsplit_once(':') {
            None => (text, None),
            Some((name, word)) => {
                let known = Kind::ALL.iter().find(|(_, known)| *known == word);
                let kind = known.ok_or_else(|| {
                    let words: Vec<&str> = Kind::ALL.iter().map(|(_, word)| *word).collect();
                    format!("`{text}`: no type `{word}`; there are {}", words.join(", "))
                })?;
                (name, Some(kind.0))
            }
        };
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(format!("`{text}`: a name has 1 to {NAME_BYTES_MAX} bytes"));
        }
        Ok(Self { name: name.to_owned(), kind })
    }
}

/// Adds what a section declares.
pub(super) fn read(section: &[u8], all: &mut Vec<Declaration>) -> Result<(), ModuleError> {
    let text = std::str::from_utf8(section)
        .map_err(|_| ModuleError::Declaration("it is not UTF-8".to_owned()))?;
    for word in text.split_whitespace() {
        all.push(word.parse().map_err(ModuleError::Declaration)?);
    }
    if all.len() > DECLARED_ATTRIBUTES_MAX {
        let (count, max) = (all.len() as u64, DECLARED_ATTRIBUTES_MAX as u64);
        return Err(ModuleError::TooMany { what: "declared attributes", count, max });
    }
    Ok(())
}
