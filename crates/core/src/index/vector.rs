//! Indexes of vectors: which items have one, how far two are apart, and what a search finds.
//!
//! The entry of an item is a key, as in other secondary indexes: the value of the `HASH` attribute
//! of the search schema, or nothing. An item without the vector or without that attribute is not in
//! the index, and neither is one whose vector cannot be one, as concurrent writes may leave it. A
//! search looks at every entry of its partition and keeps the nearest: it is exact, and takes time
//! with the number of entries. What it computes is measured in 32-bit numbers, as the index of the
//! service has them (measured by the Parity Suite), and added up in 64.

use alloc::collections::BinaryHeap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt::{self, Write as _};

use super::{check_length, emptiness};
use crate::item::{AttributeValue, Attributes, Number, item_size};
use crate::table::{KeyAttribute, Refusal};

#[cfg(test)]
mod tests;

/// Bytes of a dimension, as they are charged for (DynamoDB, "Vector search pricing").
const DIMENSION_BYTES: usize = 4;
/// The least that a read or a write of an index of vectors is charged for (DynamoDB).
pub const REQUEST_BYTES_MIN: usize = 1024;

/// How the distance of two vectors is measured (DynamoDB `VectorDistanceFunction`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distance {
    /// 0 for the same direction, 2 for the opposite one.
    Cosine,
    /// The length of the difference.
    Euclidean,
    /// The greater the nearer.
    DotProduct,
}

impl Distance {
    /// The public name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cosine => "COSINE",
            Self::Euclidean => "EUCLIDEAN",
            Self::DotProduct => "DOT_PRODUCT",
        }
    }

    /// From the public name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Cosine, Self::Euclidean, Self::DotProduct].into_iter().find(|it| it.as_str() == word)
    }
}

/// An attribute by which a search is narrowed (DynamoDB `SearchSchemaElement`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchAttribute {
    /// Which, and of which type.
    pub key: KeyAttribute,
    /// It is the partition key of the index (`HASH`), rather than an `INLINE_FILTER`.
    pub is_hash: bool,
}

/// What makes an index one of vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vector {
    /// The attribute that has the vectors: a list of numbers.
    pub attribute: String,
    /// How many numbers.
    pub dimensions: u32,
    /// How their distance is measured.
    pub distance: Distance,
    /// What searches are narrowed by, in the order in which it was given.
    pub schema: Vec<SearchAttribute>,
}

/// Why a value is no vector of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Flaw {
    NotAList,
    Dimensions(usize),
    NotANumber(usize, &'static str),
    OutOfRange(usize, Number),
}

impl Vector {
    /// The attributes of the `INLINE_FILTER` elements.
    pub fn filters(&self) -> impl Iterator<Item = &KeyAttribute> {
        self.schema.iter().filter(|it| !it.is_hash).map(|it| &it.key)
    }

    /// The attribute of the `HASH` element.
    #[must_use]
    pub fn hash(&self) -> Option<&KeyAttribute> {
        self.schema.iter().find(|it| it.is_hash).map(|it| &it.key)
    }

    /// The vector of an item, if it has one that can be in the index.
    #[must_use]
    pub fn of(&self, item: &Attributes) -> Option<Vec<f32>> {
        self.read(item.get(&self.attribute)?).ok()
    }

    /// Whether an item can be in the index, the `HASH` attribute aside.
    pub(super) fn has(&self, item: &Attributes) -> bool {
        let vector = item.get(&self.attribute);
        self.fits(item) && vector.is_some_and(|value| self.check_each(value, |_| {}).is_ok())
    }

    /// Whether what searches are narrowed by is as the index wants it, where it is there.
    #[must_use]
    pub fn fits(&self, item: &Attributes) -> bool {
        let fits = |key: &KeyAttribute| item.get(&key.name).is_none_or(|it| key.kind.is_of(it));
        self.filters().all(fits)
    }

    fn read(&self, value: &AttributeValue) -> Result<Vec<f32>, Flaw> {
        let mut numbers = Vec::with_capacity(usize::try_from(self.dimensions).unwrap_or_default());
        self.check_each(value, |number| numbers.push(number))?;
        Ok(numbers)
    }

    fn check_each(&self, value: &AttributeValue, mut see: impl FnMut(f32)) -> Result<(), Flaw> {
        let AttributeValue::L(list) = value else { return Err(Flaw::NotAList) };
        if u32::try_from(list.len()) != Ok(self.dimensions) {
            return Err(Flaw::Dimensions(list.len()));
        }
        for (at, element) in list.iter().enumerate() {
            let AttributeValue::N(number) = element else {
                return Err(Flaw::NotANumber(at, element.type_name()));
            };
            see(to_f32(*number).ok_or(Flaw::OutOfRange(at, *number))?);
        }
        Ok(())
    }

    /// Refuses an item that has something in place of a vector, or values of other types in what
    /// the search schema names. What is not there is no mistake: the item is not in the index then.
    /// With `before`, what was there already may stay, as it may in other indexes.
    ///
    /// # Errors
    /// [`Refusal::Validation`], in the words of the service (measured by the Parity Suite, those of
    /// types and of the range by dynoxide's authors).
    pub(super) fn check(
        &self,
        index: &str,
        before: Option<&Attributes>,
        item: &Attributes,
    ) -> Result<(), Refusal> {
        let changed = |name: &str| {
            let value = item.get(name)?;
            (before.and_then(|before| before.get(name)) != Some(value)).then_some(value)
        };
        let vector = changed(&self.attribute).map_or(Ok(()), |it| self.check_each(it, |_| {}));
        vector.map_err(|flaw| Refusal::Validation(self.refusal(&flaw, index)))?;
        for SearchAttribute { key, is_hash } in &self.schema {
            let Some(value) = changed(&key.name) else { continue };
            if !key.kind.is_of(value) {
                return Err(Refusal::Validation(format!(
                    "One or more parameter values were invalid. Attribute '{}' type mismatch. \
                     Expected: {}, Actual: {}. IndexName: {index}",
                    key.name,
                    key.kind,
                    value.type_name()
                )));
            }
            if !is_hash {
                continue;
            }
            if let Some(what) = emptiness(value) {
                return Err(Refusal::Validation(empty(what, index, &key.name, before.is_some())));
            }
            check_length(value)?;
        }
        Ok(())
    }

    fn refusal(&self, flaw: &Flaw, index: &str) -> String {
        let name = &self.attribute;
        let what = match flaw {
            Flaw::NotAList => {
                format!("type for parameter {name}, Expected: 32-bit floating point number list")
            }
            Flaw::Dimensions(actual) => format!(
                "size for parameter {name}, Expected: {}, Actual: {actual}",
                self.dimensions
            ),
            Flaw::NotANumber(at, actual) => format!(
                "type for parameter {name}[{at}], Expected: 32-bit floating point number, Actual: \
                 {actual}."
            ),
            Flaw::OutOfRange(at, number) => format!(
                "value for parameter {name}[{at}], Value: {} is outside valid range \
                 [-3.4028235E38, 3.4028235E38].",
                Scientific(*number)
            ),
        };
        format!("One or more parameter values were invalid. Invalid {what} IndexName: {index}")
    }

    /// What an index that projects `projected` of an item is charged for its entry, the least of a
    /// request aside: the projected part, in which the vector counts as its name and four bytes a
    /// dimension (measured on the service by the Parity Suite).
    #[must_use]
    pub fn entry_bytes(&self, projected: &Attributes) -> usize {
        let vector = projected.get_key_value(&self.attribute);
        let counted = vector.map_or(0, |(name, value)| name.len() + crate::item::value_size(value));
        item_size(projected) - counted + self.attribute.len() + self.bytes()
    }

    /// Four bytes a dimension.
    fn bytes(&self) -> usize {
        DIMENSION_BYTES.saturating_mul(usize::try_from(self.dimensions).unwrap_or(usize::MAX))
    }

    /// By how much an item is smaller where the vector counts four bytes a dimension.
    pub(super) fn spared(&self, item: &Attributes) -> Option<(usize, usize)> {
        let value = item.get(&self.attribute)?;
        self.check_each(value, |_| {}).ok()?;
        Some((crate::item::value_size(value), self.bytes()))
    }
}

fn empty(what: &str, index: &str, key: &str, updates: bool) -> String {
    let (said, at) = match updates {
        true => (
            "The update expression attempted to update a secondary index key to a value that is \
             not supported",
            String::new(),
        ),
        false => (
            "A value specified for a secondary index key is not supported",
            format!(" IndexName: {index}, IndexKey: {key}"),
        ),
    };
    format!(
        "One or more parameter values are not valid. {said}. The AttributeValue for a key attribute \
         cannot contain an empty {what} value.{at}"
    )
}

/// A number as Java's `BigDecimal` prints one that is far from one.
struct Scientific(Number);

impl fmt::Display for Scientific {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{}", self.0.mantissa().unsigned_abs());
        let power = i64::from(self.0.exponent()) + i64::from(self.0.digits()) - 1;
        if self.0.mantissa() < 0 {
            f.write_char('-')?;
        }
        match digits.split_at(1) {
            (first, "") => write!(f, "{first}E{power:+}"),
            (first, rest) => write!(f, "{first}.{rest}E{power:+}"),
        }
    }
}

/// The nearest number of 32 bits; `None` where there is no finite one.
#[must_use]
pub fn to_f32(number: Number) -> Option<f32> {
    Some(computed(number).unwrap_or_else(|| parsed(number))).filter(|it| it.is_finite())
}

/// By arithmetic of 64 bits, where that is certain to round to the same 32: vectors have thousands
/// of numbers, and reading digits takes ten times as long.
fn computed(number: Number) -> Option<f32> {
    /// Powers of ten that 64 bits have exactly.
    const TENS: [f64; 23] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
        1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
    ];
    /// The bits behind those of a 32-bit number, and what they are halfway between two.
    const BEHIND: u64 = (1 << 29) - 1;
    const HALFWAY: u64 = 1 << 28;
    /// How far off halfway is certain: each of three steps is wrong by half a bit at most, of which
    /// two may be lost to the size of what follows.
    const CERTAIN: u64 = 8;
    let places = usize::from(number.exponent().unsigned_abs());
    let most = TENS.len() - 1;
    let (first, rest) = (TENS[places.min(most)], *TENS.get(places.saturating_sub(most))?);
    #[expect(clippy::cast_precision_loss, reason = "it rounds, which is accounted for")]
    let mantissa = match i64::try_from(number.mantissa()) {
        Ok(narrow) => narrow as f64,
        Err(_) => number.mantissa() as f64,
    };
    let wide = match (number.exponent() < 0, places > most) {
        (true, false) => mantissa / first,
        (true, true) => mantissa / first / rest,
        (false, _) => mantissa * first * rest,
    };
    let is_normal = wide == 0.0 || wide.abs() >= 2.0 * f64::from(f32::MIN_POSITIVE);
    let is_certain = (wide.to_bits() & BEHIND).abs_diff(HALFWAY) > CERTAIN;
    #[expect(clippy::cast_possible_truncation, reason = "it rounds")]
    (is_normal && is_certain).then_some(wide as f32)
}

/// By the digits.
fn parsed(number: Number) -> f32 {
    let digits = format!("{}e{}", number.mantissa(), number.exponent());
    digits.parse().unwrap_or(f32::INFINITY)
}

/// The square root, which `core` does not have: correctly rounded, of what is not negative.
fn root(square: f64) -> f64 {
    /// Bits of a mantissa behind its first one, and what is added to the exponents.
    const FRACTION: u32 = 52;
    const BIAS: i64 = 1023;
    if square <= 0.0 || !square.is_finite() || square < f64::MIN_POSITIVE {
        return if square.is_finite() { 0.0 } else { square };
    }
    let bits = square.to_bits();
    let exponent = i64::try_from(bits >> FRACTION).unwrap_or_default() - BIAS - i64::from(FRACTION);
    let mantissa = u128::from(bits & ((1 << FRACTION) - 1) | 1 << FRACTION);
    // An even power, and a root of more bits than are kept.
    let shift = if exponent.rem_euclid(2) == 0 { 56 } else { 57 };
    let shifted = mantissa << shift;
    let root = shifted.isqrt();
    let sticky = u128::from(root * root != shifted);
    #[expect(clippy::cast_precision_loss, reason = "it rounds, once")]
    let rounded = (root << 1 | sticky) as f64;
    let power = (exponent - i64::from(shift)) / 2 - 1;
    rounded * f64::from_bits(u64::try_from(power + BIAS).unwrap_or_default() << FRACTION)
}

/// What a search looks for, and the nearest that it has met.
#[derive(Debug)]
pub struct Nearest<T> {
    query: Vec<f32>,
    /// The sum of the squares of the query's numbers.
    square: f64,
    distance: Distance,
    count: usize,
    met: u64,
    /// The farthest of them is the greatest.
    found: BinaryHeap<Candidate<T>>,
}

#[derive(Debug)]
struct Candidate<T> {
    /// The less the nearer.
    rank: f64,
    /// Of those that are equally near, the first stay.
    at: u64,
    what: T,
}

impl<T> Candidate<T> {
    fn place(&self, other: &Self) -> Ordering {
        self.rank.total_cmp(&other.rank).then(self.at.cmp(&other.at))
    }
}

impl<T> PartialEq for Candidate<T> {
    fn eq(&self, other: &Self) -> bool {
        self.place(other).is_eq()
    }
}

impl<T> Eq for Candidate<T> {}

impl<T> PartialOrd for Candidate<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Candidate<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place(other)
    }
}

impl<T> Nearest<T> {
    /// A search for the `count` nearest.
    #[must_use]
    pub fn new(query: Vec<f32>, distance: Distance, count: usize) -> Self {
        let square = dot(&query, &query);
        Self { query, square, distance, count, met: 0, found: BinaryHeap::new() }
    }

    /// Meets a vector of as many dimensions; `what` is asked for if it is among the nearest.
    pub fn meet(&mut self, vector: &[f32], what: impl FnOnce() -> T) {
        let (rank, at) = (self.rank(vector), self.met);
        self.met += 1;
        if self.found.len() >= self.count {
            let is_nearer = self.found.peek().is_some_and(|it| rank.total_cmp(&it.rank).is_lt());
            if !is_nearer {
                return;
            }
            self.found.pop();
        }
        self.found.push(Candidate { rank, at, what: what() });
    }

    /// How near a vector is: the less the nearer.
    fn rank(&self, vector: &[f32]) -> f64 {
        match self.distance {
            Distance::DotProduct => -dot(&self.query, vector),
            Distance::Euclidean => {
                let pairs = self.query.iter().zip(vector);
                pairs
                    .map(|(one, other)| f64::from(*one) - f64::from(*other))
                    .map(|it| it * it)
                    .sum()
            }
            Distance::Cosine => {
                let square = dot(vector, vector);
                // A vector of zeros has no direction (measured by dynoxide's authors).
                if self.square == 0.0 || square == 0.0 {
                    return 1.0;
                }
                // The same has a distance of nothing, whatever rounding makes of it.
                if self.query == vector {
                    return 0.0;
                }
                let norms = root(self.square) * root(square);
                (1.0 - dot(&self.query, vector) / norms).clamp(0.0, 2.0)
            }
        }
    }

    /// The nearest with their scores, the nearest first.
    #[must_use]
    pub fn finish(self) -> Vec<(f64, T)> {
        let distance = self.distance;
        let score = move |rank: f64| match distance {
            Distance::DotProduct => -rank,
            Distance::Euclidean => root(rank),
            Distance::Cosine => rank,
        };
        let found = self.found.into_sorted_vec().into_iter();
        found.map(|it| (narrow(score(it.rank)), it.what)).collect()
    }
}

/// As a number of 32 bits, of which the greatest stands for what is beyond (measured on the service
/// by dynoxide's authors).
fn narrow(score: f64) -> f64 {
    let most = f64::from(f32::MAX);
    #[expect(clippy::cast_possible_truncation, reason = "it rounds")]
    let narrow = score.clamp(-most, most) as f32;
    // Minus nothing is nothing.
    f64::from(narrow) + 0.0
}

fn dot(one: &[f32], other: &[f32]) -> f64 {
    one.iter().zip(other).map(|(one, other)| f64::from(*one) * f64::from(*other)).sum()
}
