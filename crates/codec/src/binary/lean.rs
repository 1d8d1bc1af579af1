//! Attributes of which most are passed over.

use pangea_core::item::Number;

use super::{DEPTH_MAX, DecodeError, Reader, tag};

type Result<T> = std::result::Result<T, DecodeError>;

impl<'a> Reader<'a> {
    /// Visits attributes in their order. The visitor is given a name and this reader before the
    /// value, which it takes: by [`Reader::value`], [`Reader::numbers`] or [`Reader::skip_value`].
    #[inline]
    pub fn visit_attributes(
        &mut self,
        mut visit: impl FnMut(&'a [u8], &mut Self) -> Result<()>,
    ) -> Result<()> {
        let mut before = None;
        for _ in 0..self.length()? {
            let name = self.bytes()?;
            if before.replace(name).is_some_and(|before| before >= name) {
                return Err(DecodeError::Order);
            }
            visit(name, self)?;
        }
        Ok(())
    }

    /// Shows the numbers of a list that has nothing else. `false` of any other value, of whose
    /// numbers some may have been shown.
    pub fn numbers(&mut self, mut see: impl FnMut(Number)) -> Result<bool> {
        if self.peeked()? != tag::L {
            self.skip_value()?;
            return Ok(false);
        }
        self.u8()?;
        let mut all = true;
        for _ in 0..self.length()? {
            match self.peeked()? {
                tag::N => {
                    self.u8()?;
                    see(self.number()?);
                }
                _ => {
                    self.skip_below(DEPTH_MAX - 1)?;
                    all = false;
                }
            }
        }
        Ok(all)
    }

    /// Passes over an attribute value, and looks at no more of it than where it ends.
    pub fn skip_value(&mut self) -> Result<()> {
        self.skip_below(DEPTH_MAX)
    }

    fn skip_below(&mut self, depth: usize) -> Result<()> {
        let inner = || depth.checked_sub(1).ok_or(DecodeError::Depth);
        match self.u8()? {
            tag::S | tag::B => drop(self.bytes()?),
            tag::N => self.skip_number()?,
            tag::FALSE | tag::TRUE | tag::NULL => {}
            tag::SS | tag::BS => {
                for _ in 0..self.length()? {
                    self.bytes()?;
                }
            }
            tag::NS => {
                for _ in 0..self.length()? {
                    self.skip_number()?;
                }
            }
            tag::L => {
                let depth = inner()?;
                for _ in 0..self.length()? {
                    self.skip_below(depth)?;
                }
            }
            tag::M => {
                let depth = inner()?;
                for _ in 0..self.length()? {
                    self.bytes()?;
                    self.skip_below(depth)?;
                }
            }
            tag => return Err(DecodeError::Tag { what: "attribute value", tag }),
        }
        Ok(())
    }

    /// Mantissa and exponent.
    fn skip_number(&mut self) -> Result<()> {
        for _ in 0..2 {
            while self.u8()? & 0x80 != 0 {}
        }
        Ok(())
    }

    /// The next byte, which stays.
    fn peeked(&self) -> Result<u8> {
        let mut ahead = *self;
        ahead.u8()
    }
}
