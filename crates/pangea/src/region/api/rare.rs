//! Headers that few requests have, looked for once: a look-up of each by its name costs more than
//! the pass over the few headers that most requests have.

use hyper::HeaderMap;

/// What the names of the headers of this project's own begin with.
pub(super) const OURS: &str = "x-pangea-";

/// Comes with the keys of a role.
pub(super) const SECURITY_TOKEN: &str = "x-amz-security-token";

/// Which of them a request has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rare {
    /// `origin`: a script of a browser asks.
    pub(super) origin: bool,
    /// `accept-encoding`.
    pub(super) accept_encoding: bool,
    /// `content-encoding`.
    pub(super) content_encoding: bool,
    /// `x-amz-content-sha256`.
    pub(super) content_sha256: bool,
    /// `x-amz-security-token`.
    pub(super) security_token: bool,
    /// Any that begins with [`OURS`].
    pub(super) ours: bool,
}

impl Rare {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut rare = Self::default();
        for name in headers.keys() {
            let name = name.as_str();
            match name.len() {
                6 => rare.origin |= name == "origin",
                15 => rare.accept_encoding |= name == "accept-encoding",
                16 => rare.content_encoding |= name == "content-encoding",
                20 => {
                    rare.content_sha256 |= name == "x-amz-content-sha256";
                    rare.security_token |= name == SECURITY_TOKEN;
                }
                _ => {}
            }
            rare.ours |= name.starts_with(OURS);
        }
        rare
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn each_is_found_and_no_other() {
        let of = |names: &[&'static str]| {
            let name = |name: &&'static str| HeaderName::from_static(name);
            let empty = HeaderValue::from_static("");
            Rare::of(&names.iter().map(|it| (name(it), empty.clone())).collect())
        };
        let common = ["host", "x-amz-date", "x-amz-target", "content-length", "authorization"];
        assert_eq!(of(&common), Rare::default());
        assert_eq!(of(&["content-type", "accept-language", "x-amz-security-tokem"]), of(&[]));
        let none = Rare::default();
        assert_eq!(of(&["host", "origin"]), Rare { origin: true, ..none });
        assert_eq!(of(&["accept-encoding"]), Rare { accept_encoding: true, ..none });
        assert_eq!(of(&["content-encoding", "te"]), Rare { content_encoding: true, ..none });
        assert_eq!(of(&["x-amz-content-sha256"]), Rare { content_sha256: true, ..none });
        assert_eq!(of(&["x-amz-security-token"]), Rare { security_token: true, ..none });
        for name in ["x-pangea-read", "x-pangea-session", "x-pangea-context"] {
            assert_eq!(of(&["host", name]), Rare { ours: true, ..none }, "{name}");
        }
    }
}
