//! DynamoDB numbers: up to 38 significant decimal digits, 1E-130 to 9.99...E+125 (38 nines).

use alloc::string::String;
use core::cmp::Ordering;
use core::fmt;

#[cfg(test)]
mod tests;

/// Significant digits of a number (DynamoDB).
const DIGITS_MAX: u32 = 38;
/// The power of ten of the leading digit of the greatest number (DynamoDB).
const MAGNITUDE_MAX: i64 = 125;
/// The power of ten of the leading digit of the smallest positive number (DynamoDB).
const MAGNITUDE_MIN: i64 = -130;

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

impl NumberError {
    /// The message that DynamoDB's clients see; [`NumberError::Malformed`] wants the text appended.
    #[must_use]
    pub const fn client_message(self) -> &'static str {
        match self {
            Self::Malformed => "The parameter cannot be converted to a numeric value",
            Self::Precision => "Attempting to store more than 38 significant digits in a Number",
            Self::Overflow => {
                "Number overflow. Attempting to store a number with magnitude larger than \
                 supported range"
            }
            Self::Underflow => {
                "Number underflow. Attempting to store a number with magnitude smaller than \
                 supported range"
            }
        }
    }
}

/// An exact decimal: `mantissa * 10^exponent`, normalised (no trailing zero in the mantissa; zero
/// is `0 * 10^0`), so that derived equality and hash are numeric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Number {
    mantissa: i128,
    exponent: i16,
}

impl Number {
    /// Zero.
    pub const ZERO: Self = Self { mantissa: 0, exponent: 0 };

    /// The number that `text` spells: sign, digits with at most one point, exponent.
    ///
    /// # Errors
    ///
    /// [`NumberError`] where the text is not a decimal or DynamoDB could not store it exactly.
    pub fn parse(text: &str) -> Result<Self, NumberError> {
        let (negative, rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let (digits, power) = match rest.find(['e', 'E']) {
            Some(at) => (&rest[..at], parse_power(&rest[at + 1..])?),
            None => (rest, 0),
        };
        let mut scan = Scan::default();
        for byte in digits.bytes() {
            scan.push(byte)?;
        }
        scan.finish(negative, power)
    }

    /// As [`Number::parse`], of a text that is read as Java's `BigDecimal` reads it: its power of
    /// ten and its scale are 32 bits wide, and so is precision less scale (measured on the service
    /// by dynoxide's authors).
    ///
    /// # Errors
    ///
    /// As [`Number::parse`].
    pub fn parse_narrow(text: &str) -> Result<Self, NumberError> {
        let (digits, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let power = power.parse::<i32>().map_err(|_| NumberError::Malformed)?;
        let scale = i64::try_from(fraction.len()).map_or(i64::MAX, |all| all - i64::from(power));
        if i32::try_from(scale).is_err() {
            return Err(NumberError::Malformed);
        }
        let leading = |digit: &u8| matches!(digit, b'+' | b'-' | b'0');
        let precision = whole.bytes().chain(fraction.bytes()).skip_while(leading).count().max(1);
        if i64::try_from(precision).map_or(i64::MAX, |all| all - scale) >= i64::from(i32::MAX) {
            return Err(NumberError::Underflow);
        }
        Self::parse(text)
    }

    /// `mantissa * 10^exponent`, normalised; for codecs.
    ///
    /// # Errors
    ///
    /// [`NumberError`] where the value is outside DynamoDB's precision or range.
    pub fn from_parts(mantissa: i128, exponent: i16) -> Result<Self, NumberError> {
        Self::build(mantissa < 0, mantissa.unsigned_abs(), i64::from(exponent))
    }

    /// The significant digits, signed; never ends in a decimal zero unless it is zero.
    #[must_use]
    pub const fn mantissa(self) -> i128 {
        self.mantissa
    }

    /// The power of ten that scales the mantissa.
    #[must_use]
    pub const fn exponent(self) -> i16 {
        self.exponent
    }

    /// How many significant digits the number has; 1 for zero.
    #[must_use]
    pub fn digits(self) -> u32 {
        digits(self.mantissa.unsigned_abs())
    }

    /// The exact sum.
    ///
    /// # Errors
    ///
    /// [`NumberError`] where the exact sum is outside DynamoDB's precision or range.
    pub fn checked_add(self, other: Self) -> Result<Self, NumberError> {
        if self.mantissa == 0 {
            return Ok(other);
        }
        if other.mantissa == 0 {
            return Ok(self);
        }
        if self.exponent == other.exponent
            && let Some(sum) = self.mantissa.checked_add(other.mantissa)
        {
            return Self::build(sum < 0, sum.unsigned_abs(), i64::from(self.exponent));
        }
        let (high, low) =
            if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        let shift = u32::from(high.exponent.abs_diff(low.exponent));
        // The last digit of `low` is not zero and stays the last digit of the sum if it is shifted
        // against at all; so a product beyond `u128` has no exact sum of 38 digits.
        let scale = 10u128.checked_pow(shift).ok_or(NumberError::Precision)?;
        let scaled = high.mantissa.unsigned_abs().checked_mul(scale);
        let left = scaled.ok_or(NumberError::Precision)?;
        let right = low.mantissa.unsigned_abs();
        let exponent = i64::from(low.exponent);
        if (high.mantissa < 0) == (low.mantissa < 0) {
            let sum = left.checked_add(right).ok_or(NumberError::Precision)?;
            return Self::build(high.mantissa < 0, sum, exponent);
        }
        let negative = if left >= right { high.mantissa < 0 } else { low.mantissa < 0 };
        Self::build(negative, left.abs_diff(right), exponent)
    }

    /// The exact difference.
    ///
    /// # Errors
    ///
    /// [`NumberError`] where the exact difference is outside DynamoDB's precision or range.
    pub fn checked_sub(self, other: Self) -> Result<Self, NumberError> {
        self.checked_add(Self { mantissa: -other.mantissa, exponent: other.exponent })
    }

    fn build(negative: bool, magnitude: u128, exponent: i64) -> Result<Self, NumberError> {
        if magnitude == 0 {
            return Ok(Self::ZERO);
        }
        let (magnitude, zeros) = without_zeros(magnitude);
        let exponent = exponent.saturating_add(zeros);
        let count = digits(magnitude);
        if count > DIGITS_MAX {
            return Err(NumberError::Precision);
        }
        let top = exponent.saturating_add(i64::from(count) - 1);
        if top > MAGNITUDE_MAX {
            return Err(NumberError::Overflow);
        }
        if top < MAGNITUDE_MIN {
            return Err(NumberError::Underflow);
        }
        let mantissa = i128::try_from(magnitude).map_err(|_| NumberError::Precision)?;
        let exponent = i16::try_from(exponent).map_err(|_| NumberError::Overflow)?;
        Ok(Self { mantissa: if negative { -mantissa } else { mantissa }, exponent })
    }

    /// The power of ten of the leading digit.
    fn top(self) -> i64 {
        i64::from(self.exponent) + i64::from(self.digits()) - 1
    }

    fn cmp_magnitude(self, other: Self) -> Ordering {
        let widen = |number: Self| {
            let missing = DIGITS_MAX.saturating_sub(number.digits());
            number.mantissa.unsigned_abs().saturating_mul(10u128.pow(missing))
        };
        self.top().cmp(&other.top()).then_with(|| widen(self).cmp(&widen(other)))
    }
}

fn digits(magnitude: u128) -> u32 {
    let log = match u64::try_from(magnitude) {
        Ok(small) => small.checked_ilog10(),
        Err(_) => magnitude.checked_ilog10(),
    };
    log.unwrap_or(0) + 1
}

/// A magnitude, not zero, without the decimal zeros at its end, and how many there were.
fn without_zeros(mut magnitude: u128) -> (u128, i64) {
    let mut zeros = 0;
    // Most numbers are small, and dividing 128 bits is slow.
    while u64::try_from(magnitude).is_err() {
        if !magnitude.is_multiple_of(10) {
            return (magnitude, zeros);
        }
        magnitude /= 10;
        zeros += 1;
    }
    let mut small = magnitude as u64;
    while small.is_multiple_of(10) {
        small /= 10;
        zeros += 1;
    }
    (small.into(), zeros)
}

/// The value of an exponent's text, which must fit 64 bits (measured by the Parity Suite).
fn parse_power(text: &str) -> Result<i64, NumberError> {
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() {
        return Err(NumberError::Malformed);
    }
    let mut power = 0i64;
    for byte in digits.bytes() {
        if !byte.is_ascii_digit() {
            return Err(NumberError::Malformed);
        }
        let next = power.checked_mul(10).and_then(|p| p.checked_add(i64::from(byte - b'0')));
        power = next.ok_or(NumberError::Malformed)?;
    }
    // Halved, so that sums with lengths of texts never overflow.
    let power = power.min(i64::MAX / 4);
    Ok(if negative { -power } else { power })
}

/// The state of reading digits: leading zeros are dropped, trailing ones only counted.
#[derive(Default)]
struct Scan {
    magnitude: u128,
    /// Digits of `magnitude`.
    count: u64,
    /// Zeros read after the last digit of `magnitude`.
    zeros: u64,
    /// Digits read after the point.
    fraction: i64,
    point: bool,
    digit: bool,
    too_precise: bool,
}

impl Scan {
    fn push(&mut self, byte: u8) -> Result<(), NumberError> {
        match byte {
            b'.' if !self.point => {
                self.point = true;
                return Ok(());
            }
            b'0'..=b'9' => {}
            _ => return Err(NumberError::Malformed),
        }
        self.digit = true;
        self.fraction += i64::from(self.point);
        if byte == b'0' {
            self.zeros += u64::from(self.magnitude != 0);
            return Ok(());
        }
        self.count += self.zeros + 1;
        if self.count > u64::from(DIGITS_MAX) {
            self.too_precise = true;
            return Ok(());
        }
        let shift = u32::try_from(self.zeros + 1).map_err(|_| NumberError::Precision)?;
        self.magnitude = self.magnitude * 10u128.pow(shift) + u128::from(byte - b'0');
        self.zeros = 0;
        Ok(())
    }

    fn finish(self, negative: bool, power: i64) -> Result<Number, NumberError> {
        if !self.digit {
            return Err(NumberError::Malformed);
        }
        if self.too_precise {
            return Err(NumberError::Precision);
        }
        if self.magnitude == 0 {
            // Zero is held to the range by the exponent that it is written with.
            return match power - self.fraction {
                top if top > MAGNITUDE_MAX => Err(NumberError::Overflow),
                top if top < MAGNITUDE_MIN => Err(NumberError::Underflow),
                _ => Ok(Number::ZERO),
            };
        }
        let zeros = i64::try_from(self.zeros).unwrap_or(i64::MAX / 4);
        Number::build(negative, self.magnitude, power + zeros - self.fraction)
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self::from_parts(i128::from(value), 0).unwrap_or(Self::ZERO)
    }
}

impl fmt::Display for Number {
    /// Plain decimal digits without exponent or trailing zeros, as DynamoDB prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        // As most are; those of 128 bits take longer.
        if let (0, Ok(whole)) = (self.exponent, i64::try_from(self.mantissa)) {
            return write!(f, "{whole}");
        }
        let mut text = String::new();
        write!(text, "{}", self.mantissa.unsigned_abs())?;
        if self.mantissa < 0 {
            f.write_char('-')?;
        }
        let zeros = |f: &mut fmt::Formatter<'_>, count: usize| -> fmt::Result {
            (0..count).try_for_each(|_| f.write_char('0'))
        };
        let places = usize::from(self.exponent.unsigned_abs());
        if self.exponent >= 0 {
            f.write_str(&text)?;
            return zeros(f, places);
        }
        if places >= text.len() {
            f.write_str("0.")?;
            zeros(f, places - text.len())?;
            return f.write_str(&text);
        }
        let (whole, fraction) = text.split_at(text.len() - places);
        write!(f, "{whole}.{fraction}")
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let signs = self.mantissa.signum().cmp(&other.mantissa.signum());
        signs.then_with(|| match self.mantissa.signum() {
            0 => Ordering::Equal,
            1.. => self.cmp_magnitude(*other),
            _ => other.cmp_magnitude(*self),
        })
    }
}
