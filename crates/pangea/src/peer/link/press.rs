//! Compression of messages on their way.
//!
//! One context for each end of a link, kept for its life, because making one costs more than a
//! small message. What does not become shorter travels as it is, and where that was so, some
//! messages are not tried: images and ciphertext cost no time.

use std::io;

use pangea_codec::peer::envelope::{self, Head};
use pangea_codec::peer::{FRAME_BYTES_MAX, PREFIX_BYTES};
use zstd::bulk::{Compressor, Decompressor};

use super::reorder::Sealed;

/// Messages below this are not compressed, bytes: little to gain, and the other end waits less.
const COMPRESSED_BYTES_MIN: usize = 1024;
/// Messages that are not tried after one that did not become shorter by a sixteenth.
const SKIPPED: u32 = 15;

/// The sender's end.
pub(super) struct Press {
    context: Option<Compressor<'static>>,
    skip: u32,
}

impl Press {
    /// Of a level of zstd, or of no compression.
    pub(super) fn new(level: Option<i32>) -> io::Result<Self> {
        Ok(Self { context: level.map(Compressor::new).transpose()?, skip: 0 })
    }

    /// The envelope of an encoded message (prefix and payload), compressed if that helps.
    pub(super) fn seal(&mut self, number: u64, message: &[u8]) -> io::Result<Vec<u8>> {
        let payload = &message[PREFIX_BYTES..];
        let compressed = self.compress(payload)?;
        let plain = compressed.is_some().then_some(payload.len());
        let body = compressed.as_deref().unwrap_or(payload);
        let head = envelope::head(Head { number, plain }, body);
        Ok([head.as_slice(), body].concat())
    }

    fn compress(&mut self, payload: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let Some(context) = &mut self.context else { return Ok(None) };
        if payload.len() < COMPRESSED_BYTES_MIN {
            return Ok(None);
        }
        if self.skip > 0 {
            self.skip -= 1;
            return Ok(None);
        }
        let compressed = context.compress(payload)?;
        if compressed.len() <= payload.len() - payload.len() / 16 {
            return Ok(Some(compressed));
        }
        self.skip = SKIPPED;
        Ok(None)
    }
}

/// The receiver's end.
pub(super) struct Unpress {
    context: Decompressor<'static>,
}

impl Unpress {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { context: Decompressor::new()? })
    }

    /// The payload of a message; allocates what its head announces and no more.
    pub(super) fn open(&mut self, message: Sealed) -> io::Result<Vec<u8>> {
        let Some(length) = message.plain else { return Ok(message.bytes) };
        assert!(length <= FRAME_BYTES_MAX, "its head was checked");
        let payload = self.context.decompress(&message.bytes, length)?;
        if payload.len() == length {
            return Ok(payload);
        }
        Err(io::Error::other("a message is not as long as it was said to be"))
    }
}

#[cfg(test)]
mod tests;
