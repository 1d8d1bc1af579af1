//! What a stream carries: an encoded message, its place among those of the whole link, and
//! whether it is compressed.
//!
//! Frames of one link are dealt out to its streams and numbered from 0 without gaps, so that the
//! receiver can put them back into the order in which they were made.
//!
//! ```text
//! length  u32   of what follows, as of every message
//! marker  u8    the protocol
//! kind    u8    13
//! number  u64   place in the link's order
//! plain   u32   length of the message when decompressed; 0: it is not compressed
//! message       marker, kind, fields; possibly compressed
//! ```

use super::{FRAME_BYTES_MAX, MessageError, PREFIX_BYTES, PROTOCOL, SEALED};
use crate::binary::DecodeError;

/// Bytes between the length prefix and the message.
pub const HEAD_BYTES: usize = 14;

/// Greatest length that a prefix may announce on a stream, in bytes.
pub const SEALED_BYTES_MAX: usize = HEAD_BYTES + FRAME_BYTES_MAX;

/// What is known of a message before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its place in the link's order, from 0.
    pub number: u64,
    /// Its length in bytes once it is decompressed; `None` if it is not compressed.
    pub plain: Option<usize>,
}

/// Prefix and head of `message`, the payload of an encoded message or what it was compressed to.
///
/// # Panics
/// If either length exceeds what an encoded message can have.
#[must_use]
pub fn head(head: Head, message: &[u8]) -> [u8; PREFIX_BYTES + HEAD_BYTES] {
    let length = |bytes: usize| u32::try_from(bytes).expect("encoded messages are shorter");
    assert!(message.len() <= FRAME_BYTES_MAX, "an encoded message is no longer");
    let mut out = [0; PREFIX_BYTES + HEAD_BYTES];
    out[..4].copy_from_slice(&length(HEAD_BYTES + message.len()).to_be_bytes());
    out[4] = PROTOCOL;
    out[5] = SEALED;
    out[6..14].copy_from_slice(&head.number.to_be_bytes());
    out[14..].copy_from_slice(&head.plain.map_or(0, length).to_be_bytes());
    out
}

/// Reads what [`head`] wrote behind the prefix.
///
/// # Errors
/// [`MessageError::TooLong`] if the message would be longer than any, decompressed.
pub fn parse_head(bytes: [u8; HEAD_BYTES]) -> Result<Head, MessageError> {
    let [protocol, kind, number @ .., p0, p1, p2, p3] = bytes;
    if protocol != PROTOCOL {
        return Err(MessageError::Protocol(protocol));
    }
    if kind != SEALED {
        return Err(DecodeError::Tag { what: "envelope", tag: kind }.into());
    }
    let plain = u32::from_be_bytes([p0, p1, p2, p3]);
    let plain = usize::try_from(plain).unwrap_or(usize::MAX);
    if plain > FRAME_BYTES_MAX {
        return Err(MessageError::TooLong { length: plain, max: FRAME_BYTES_MAX });
    }
    Ok(Head { number: u64::from_be_bytes(number), plain: (plain > 0).then_some(plain) })
}
