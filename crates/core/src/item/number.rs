//! DynamoDB numbers: up to 38 significant decimal digits, 1E-130 to 9.9999999999999999999999999999999999999E+125.

/// Why a text or an arithmetic result is not a DynamoDB number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// Not the text of a decimal number.
    #[error("the parameter cannot be converted to a numeric value")]
    Malformed,
    /// More than 38 significant digits.
    #[error("attempting to store more than 38 significant digits in a Number")]
    Precision,
    /// Greater in magnitude than 9.99E+125.
    #[error(
        "number overflow: attempting to store a number with magnitude larger than supported range"
    )]
    Overflow,
    /// Smaller in magnitude than 1E-130 and not zero.
    #[error(
        "number underflow: attempting to store a number with magnitude smaller than supported range"
    )]
    Underflow,
}

/// An exact decimal: `mantissa * 10^exponent`, normalised (no trailing zero in the mantissa; zero is
/// `0 * 10^0`), so that derived equality and hash are numeric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Number {
    mantissa: i128,
    exponent: i16,
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        // Replaced by the full implementation with its tests.
        (self.exponent, self.mantissa).cmp(&(other.exponent, other.mantissa))
    }
}

impl Number {
    pub fn mantissa(&self) -> i128 {
        self.mantissa
    }
    pub fn exponent(&self) -> i16 {
        self.exponent
    }
}
impl From<i64> for Number {
    fn from(v: i64) -> Self {
        Self { mantissa: v.into(), exponent: 0 }
    }
}
