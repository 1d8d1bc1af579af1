//! Primitives: variable-length integers, length-prefixed bytes, and a reader that cannot overrun.

use super::Corrupt;

/// Seven bits a byte, least significant first, the top bit meaning "more".
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u128) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A signed integer with its sign in the lowest bit, so that small magnitudes are short.
pub(super) fn put_zigzag(out: &mut Vec<u8>, value: i128) {
    put_varint(out, ((value << 1) ^ (value >> 127)).cast_unsigned());
}

/// A length and that many bytes.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u128);
    out.extend_from_slice(bytes);
}

/// What is left to read of a payload.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn byte(&mut self) -> Result<u8, Corrupt> {
        let (&first, rest) = self.0.split_first().ok_or(Corrupt("truncated"))?;
        self.0 = rest;
        Ok(first)
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Corrupt> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Corrupt("truncated"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        let (&taken, rest) = self.0.split_first_chunk().ok_or(Corrupt("truncated"))?;
        self.0 = rest;
        Ok(taken)
    }

    /// Small numbers, the common case, cost one comparison.
    pub(super) fn varint(&mut self) -> Result<u128, Corrupt> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(u128::from(first));
        }
        let mut value = u128::from(first & 0x7f);
        for shift in (7..128).step_by(7) {
            let byte = self.byte()?;
            let bits = u128::from(byte & 0x7f);
            if (bits << shift) >> shift != bits {
                return Err(Corrupt("integer too large"));
            }
            if byte == 0 {
                return Err(Corrupt("integer is padded"));
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Corrupt("integer too large"))
    }

    pub(super) fn zigzag(&mut self) -> Result<i128, Corrupt> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }

    /// A count of things of at least one byte each: never more than there are bytes left.
    pub(super) fn count(&mut self) -> Result<usize, Corrupt> {
        let count = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        if count > self.0.len() {
            return Err(Corrupt("count exceeds the bytes left"));
        }
        Ok(count)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Corrupt> {
        let count = self.count()?;
        self.take(count)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Corrupt> {
        core::str::from_utf8(self.bytes()?).map_err(|_| Corrupt("text is not UTF-8"))
    }

    pub(super) fn end(&self) -> Result<(), Corrupt> {
        if self.0.is_empty() { Ok(()) } else { Err(Corrupt("bytes left over")) }
    }
}
