//! Exact sums of numbers.
//!
//! The sum of two DynamoDB numbers need not be one: it may want more than 38 digits. Rounding on
//! the way would make a total depend on the order of additions, so sums are kept exact and are
//! rounded once, when they are read.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::item::{Number, NumberError};

/// Limbs of 64 bits of a wide sum. Units are 10^-167 (the last digit of the smallest number of 38
/// digits); a number is below 10^126, so below 10^293 < 2^974 units, and 2^64 of them, more than
/// there are stamps of one origin, are below 2^1038. The rest is for 2^16 origins.
const LIMBS: usize = 17;
/// Bytes of a wide sum's magnitude that are accepted: 2^1040, see [`LIMBS`].
const WIDE_BYTES_MAX: usize = 130;
/// The power of ten of a unit, negated: 1E-130 with 37 digits behind the first.
const SCALE: i16 = 167;
/// Significant digits of a number (DynamoDB).
const DIGITS: usize = 38;
/// The greatest power of ten below 2^64, and its digits.
const CHUNK: u64 = 10_000_000_000_000_000_000;
const CHUNK_DIGITS: u32 = 19;

/// An exact decimal: a DynamoDB number where it fits one, and wider where not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sum(Repr);

/// Canonical: wide only where no number is equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Repr {
    Narrow(Number),
    Wide(Box<Wide>),
}

/// Sign and magnitude; zero is not negative.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Wide {
    negative: bool,
    /// Least significant first.
    limbs: [u64; LIMBS],
}

/// A sum as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rounded {
    /// The nearest number, half to even; the greatest number of its sign where the sum is beyond.
    pub number: Number,
    /// Whether the number is the sum.
    pub exact: bool,
}

impl From<Number> for Sum {
    fn from(number: Number) -> Self {
        Self(Repr::Narrow(number))
    }
}

impl Sum {
    /// Nothing.
    pub const ZERO: Self = Self(Repr::Narrow(Number::ZERO));

    /// The exact sum.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        if let (Repr::Narrow(left), Repr::Narrow(right)) = (&self.0, &other.0)
            && let Ok(sum) = left.checked_add(*right)
        {
            return Self::from(sum);
        }
        let (left, right) = (self.widen(), other.widen());
        left.plus(&right).narrow()
    }

    /// The exact difference.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        if let (Repr::Narrow(left), Repr::Narrow(right)) = (&self.0, &other.0)
            && let Ok(difference) = left.checked_sub(*right)
        {
            return Self::from(difference);
        }
        let mut right = other.widen();
        right.negative = !right.negative;
        self.widen().plus(&right).narrow()
    }

    /// The sum as it is shown.
    #[must_use]
    pub fn round(&self) -> Rounded {
        match &self.0 {
            Repr::Narrow(number) => Rounded { number: *number, exact: true },
            Repr::Wide(wide) => wide.round(),
        }
    }

    /// The number that the sum is, if it is one; for codecs.
    #[must_use]
    pub fn number(&self) -> Option<Number> {
        match &self.0 {
            Repr::Narrow(number) => Some(*number),
            Repr::Wide(_) => None,
        }
    }

    /// Whether the sum is negative, and its magnitude in units of 10^-167: little-endian, without
    /// zeros at the end. `None` where [`Sum::number`] is not; for codecs.
    #[must_use]
    pub fn wide(&self) -> Option<(bool, Vec<u8>)> {
        let Repr::Wide(wide) = &self.0 else { return None };
        let mut bytes: Vec<u8> = wide.limbs.iter().flat_map(|limb| limb.to_le_bytes()).collect();
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        Some((wide.negative, bytes))
    }

    /// The inverse of [`Sum::wide`]; `None` for what it never returns.
    #[must_use]
    pub fn from_wide(negative: bool, magnitude: &[u8]) -> Option<Self> {
        if magnitude.len() > WIDE_BYTES_MAX || magnitude.last().is_none_or(|byte| *byte == 0) {
            return None;
        }
        let mut limbs = [0; LIMBS];
        for (at, byte) in magnitude.iter().enumerate() {
            limbs[at / 8] |= u64::from(*byte) << (at % 8 * 8);
        }
        let sum = Wide { negative, limbs }.narrow();
        sum.number().is_none().then_some(sum)
    }

    fn widen(&self) -> Wide {
        match &self.0 {
            Repr::Narrow(number) => Wide::from(*number),
            Repr::Wide(wide) => Wide::clone(wide),
        }
    }
}

impl From<Number> for Wide {
    fn from(number: Number) -> Self {
        let magnitude = number.mantissa().unsigned_abs();
        let mut limbs = [0; LIMBS];
        limbs[0] = magnitude as u64;
        limbs[1] = (magnitude >> 64) as u64;
        let mut wide = Self { negative: number.mantissa() < 0, limbs };
        let mut power = u32::from((number.exponent() + SCALE).unsigned_abs());
        while power > 0 {
            let step = power.min(CHUNK_DIGITS);
            wide.multiply(10_u64.pow(step));
            power -= step;
        }
        wide
    }
}

impl Wide {
    fn multiply(&mut self, factor: u64) {
        let mut carry = 0_u128;
        for limb in &mut self.limbs {
            carry += u128::from(*limb) * u128::from(factor);
            *limb = carry as u64;
            carry >>= 64;
        }
        assert!(carry == 0, "a number of 38 digits fits");
    }

    /// Divides by [`CHUNK`]; the remainder.
    fn divide(&mut self) -> u64 {
        let mut rest = 0_u128;
        for limb in self.limbs.iter_mut().rev() {
            let part = (rest << 64) | u128::from(*limb);
            *limb = (part / u128::from(CHUNK)) as u64;
            rest = part % u128::from(CHUNK);
        }
        rest as u64
    }

    fn is_zero(&self) -> bool {
        self.limbs.iter().all(|limb| *limb == 0)
    }

    fn plus(&self, other: &Self) -> Self {
        if self.negative == other.negative {
            let (limbs, carry) = chain(&self.limbs, &other.limbs, u64::overflowing_add);
            assert!(!carry, "sums of all stamps of all origins fit");
            return Self { negative: self.negative, limbs };
        }
        let (more, less) = if self.limbs.iter().rev().ge(other.limbs.iter().rev()) {
            (self, other)
        } else {
            (other, self)
        };
        let (limbs, _) = chain(&more.limbs, &less.limbs, u64::overflowing_sub);
        Self { negative: more.negative, limbs }
    }

    fn narrow(self) -> Sum {
        let rounded = self.round();
        if rounded.exact {
            return Sum::from(rounded.number);
        }
        Sum(Repr::Wide(Box::new(self)))
    }

    fn round(&self) -> Rounded {
        let digits = self.digits();
        let (head, tail) = digits.split_at(digits.len().min(DIGITS));
        let mut mantissa = head.iter().fold(0_i128, |value, digit| value * 10 + i128::from(*digit));
        let exact = tail.iter().all(|digit| *digit == 0);
        if rounds_up(tail, mantissa % 2 == 1) {
            mantissa += 1;
        }
        let signed = |mantissa: i128| if self.negative { -mantissa } else { mantissa };
        // At most 342 digits, so that the exponent is far inside its type.
        let exponent = i16::try_from(tail.len()).unwrap_or(i16::MAX).saturating_sub(SCALE);
        match Number::from_parts(signed(mantissa), exponent) {
            Ok(number) => Rounded { number, exact },
            Err(NumberError::Underflow) => Rounded { number: Number::ZERO, exact: false },
            Err(_) => Rounded { number: greatest(self.negative), exact: false },
        }
    }

    /// Decimal digits, most significant first, without leading zeros.
    fn digits(&self) -> Vec<u8> {
        let mut rest = self.clone();
        let mut digits = Vec::new();
        while !rest.is_zero() {
            let mut chunk = rest.divide();
            for _ in 0..CHUNK_DIGITS {
                digits.push((chunk % 10) as u8);
                chunk /= 10;
            }
        }
        while digits.last() == Some(&0) {
            digits.pop();
        }
        digits.reverse();
        digits
    }
}

/// Half to even, where `tail` was cut off.
fn rounds_up(tail: &[u8], odd: bool) -> bool {
    let Some((first, rest)) = tail.split_first() else { return false };
    let beyond = rest.iter().any(|digit| *digit != 0);
    *first > 5 || (*first == 5 && (beyond || odd))
}

/// 9.99...E+125, 38 nines.
fn greatest(negative: bool) -> Number {
    let nines = 10_i128.pow(38) - 1;
    let mantissa = if negative { -nines } else { nines };
    Number::from_parts(mantissa, 88).unwrap_or(Number::ZERO)
}

/// Limb by limb, with a carry.
fn chain(
    left: &[u64; LIMBS],
    right: &[u64; LIMBS],
    step: fn(u64, u64) -> (u64, bool),
) -> ([u64; LIMBS], bool) {
    let (mut out, mut carry) = ([0; LIMBS], false);
    for (at, limb) in out.iter_mut().enumerate() {
        let (part, first) = step(left[at], right[at]);
        let (whole, second) = step(part, u64::from(carry));
        *limb = whole;
        carry = first || second;
    }
    (out, carry)
}

#[cfg(test)]
mod tests;
