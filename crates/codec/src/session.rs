//! Session tokens: what a client has seen, spelled so that it can travel in a header.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | [`VERSION`] |
//! | 4 | the cluster: the beginning of its identity |
//! | 1 | how many entries follow |
//! | 10 each | origin (2 B) and reading (8 B), origins ascending |
//! | 12 | BLAKE3 of all before, keyed, its beginning |
//!
//! The whole in base64url without padding: 64 characters for three regions. All numbers are
//! big-endian. The key is the same in all regions of a cluster and is known to nobody else, so
//! that a client cannot make a region wait for a stamp that was never issued. 96 bits can only be
//! guessed online, where each guess is counted.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use pangea_core::id::Origin;
use pangea_core::limits::SESSION_ORIGINS_MAX;
use pangea_core::merge::VersionVector;
use pangea_core::time::Hlc;

/// The format; a change of a byte needs another one.
pub const VERSION: u8 = 1;
/// Characters of the longest token.
pub const TOKEN_CHARS_MAX: usize =
    (HEAD_BYTES + SESSION_ORIGINS_MAX * ENTRY_BYTES + MAC_BYTES).div_ceil(3) * 4;

const CLUSTER_BYTES: usize = 4;
const HEAD_BYTES: usize = 1 + CLUSTER_BYTES + 1;
const ENTRY_BYTES: usize = 10;
const MAC_BYTES: usize = 12;

const _: () = assert!(SESSION_ORIGINS_MAX <= u8::MAX as usize);

/// What tokens are signed with.
#[derive(Clone)]
pub struct Key([u8; 32]);

impl Key {
    /// From a secret of the cluster, of any length.
    #[must_use]
    pub fn derive(secret: &[u8]) -> Self {
        Self(blake3::derive_key("pangea 2026 session token v1", secret))
    }

    /// Whether this key signed the bytes.
    #[must_use]
    pub fn has_signed(&self, bytes: &[u8], mac: &[u8]) -> bool {
        is_same(mac, &self.sign(bytes))
    }

    /// The signature of bytes.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> [u8; MAC_BYTES] {
        let mut mac = [0; MAC_BYTES];
        mac.copy_from_slice(&blake3::keyed_hash(&self.0, bytes).as_bytes()[..MAC_BYTES]);
        mac
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Why a text is no token of this cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not base64url, or nothing in it makes sense.
    #[error("it is malformed")]
    Malformed,
    /// Of another format.
    #[error("it is of format {0}, this is {VERSION}")]
    Version(u8),
    /// Of another cluster.
    #[error("it is of another cluster")]
    Cluster,
    /// Bytes are missing, or there are too many.
    #[error("it is truncated")]
    Truncated,
    /// The signature is not this cluster's.
    #[error("its signature is wrong")]
    Forged,
}

impl TokenError {
    /// Every kind, for counters.
    pub const KINDS: [&'static str; 5] = ["malformed", "version", "cluster", "truncated", "forged"];

    /// The word in metrics and logs.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        Self::KINDS[self.index()]
    }

    /// The place of its word in [`TokenError::KINDS`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Malformed => 0,
            Self::Version(_) => 1,
            Self::Cluster => 2,
            Self::Truncated => 3,
            Self::Forged => 4,
        }
    }
}

/// The token of what was seen, of at most [`SESSION_ORIGINS_MAX`] origins.
///
/// # Panics
/// If there are more.
#[must_use]
pub fn encode(key: &Key, cluster: &[u8; 16], seen: &VersionVector) -> String {
    let count = u8::try_from(seen.iter().len()).expect("a session names few lives of regions");
    assert!(usize::from(count) <= SESSION_ORIGINS_MAX, "{count} entries");
    let mut bytes = Vec::with_capacity(HEAD_BYTES + usize::from(count) * ENTRY_BYTES + MAC_BYTES);
    bytes.push(VERSION);
    bytes.extend_from_slice(&cluster[..CLUSTER_BYTES]);
    bytes.push(count);
    for (origin, hlc) in seen.iter() {
        bytes.extend_from_slice(&origin.to_bits().to_be_bytes());
        bytes.extend_from_slice(&hlc.to_bits().to_be_bytes());
    }
    let mac = key.sign(&bytes);
    bytes.extend_from_slice(&mac);
    BASE64URL_NOPAD.encode(&bytes)
}

/// The inverse of [`encode`].
///
/// # Errors
/// [`TokenError`] for whatever [`encode`] did not make for this cluster, with this key.
pub fn decode(key: &Key, cluster: &[u8; 16], token: &[u8]) -> Result<VersionVector, TokenError> {
    if token.len() > TOKEN_CHARS_MAX {
        return Err(TokenError::Malformed);
    }
    let bytes = BASE64URL_NOPAD.decode(token).map_err(|_| TokenError::Malformed)?;
    let version = *bytes.first().ok_or(TokenError::Malformed)?;
    if version != VERSION {
        return Err(TokenError::Version(version));
    }
    let (head, rest) = bytes.split_at_checked(HEAD_BYTES).ok_or(TokenError::Truncated)?;
    if head[1..=CLUSTER_BYTES] != cluster[..CLUSTER_BYTES] {
        return Err(TokenError::Cluster);
    }
    let count = usize::from(head[HEAD_BYTES - 1]);
    if rest.len() != count * ENTRY_BYTES + MAC_BYTES {
        return Err(TokenError::Truncated);
    }
    let (entries, mac) = rest.split_at(count * ENTRY_BYTES);
    if !is_same(mac, &key.sign(&bytes[..HEAD_BYTES + entries.len()])) {
        return Err(TokenError::Forged);
    }
    read_entries(entries).filter(|seen| seen.iter().len() <= SESSION_ORIGINS_MAX).ok_or(
        // Signed, and not as this build signs.
        TokenError::Malformed,
    )
}

/// Each origin once, in order: one token to a vector.
fn read_entries(entries: &[u8]) -> Option<VersionVector> {
    let mut seen = Vec::new();
    for entry in entries.chunks_exact(ENTRY_BYTES) {
        let origin = Origin::from_bits(u16::from_be_bytes(entry[..2].try_into().ok()?));
        let hlc = Hlc::from_bits(u64::from_be_bytes(entry[2..].try_into().ok()?));
        if seen.last().is_some_and(|&(before, _)| before >= origin) {
            return None;
        }
        seen.push((origin, hlc));
    }
    Some(VersionVector::from_entries(seen))
}

/// In a time that does not tell how much of it is the same.
fn is_same(one: &[u8], other: &[u8; MAC_BYTES]) -> bool {
    let differences = one.iter().zip(other).fold(0, |differ, (one, other)| differ | (one ^ other));
    one.len() == MAC_BYTES && differences == 0
}
