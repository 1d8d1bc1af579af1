use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Number, Rounded, Sum};

fn number(text: &str) -> Number {
    Number::parse(text).expect("a number of the test's own")
}

fn sum(texts: &[&str]) -> Sum {
    texts.iter().fold(Sum::ZERO, |sum, text| sum.plus(&Sum::from(number(text))))
}

/// Knuth's MMIX constants.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % bound
    }

    /// Any number: 1 to 38 digits, over the whole range.
    fn number(&mut self) -> Number {
        loop {
            let sign = if self.below(2) == 0 { "-" } else { "" };
            let digits = self.below(38) + 1;
            let digits: String =
                (0..digits).map(|_| char::from(b'0' + self.below(10) as u8)).collect();
            let power = self.below(293) as i64 - 167;
            if let Ok(number) = Number::parse(&format!("{sign}{digits}e{power}")) {
                return number;
            }
        }
    }
}

#[test]
fn what_is_added_in_any_order_comes_to_the_same() {
    let mut dice = Dice(1);
    for _ in 0..300 {
        let numbers: Vec<Number> = (0..dice.below(12) + 2).map(|_| dice.number()).collect();
        let add = |sum: Sum, number: &Number| sum.plus(&Sum::from(*number));
        let forward = numbers.iter().fold(Sum::ZERO, add);
        let backward = numbers.iter().rev().fold(Sum::ZERO, add);
        assert_eq!(forward, backward);
        let back = numbers.iter().fold(forward.clone(), |s, n| s.minus(&Sum::from(*n)));
        assert_eq!(back, Sum::ZERO, "nothing is lost in {numbers:?}");
        if let Some((negative, bytes)) = forward.wide() {
            assert_eq!(Sum::from_wide(negative, &bytes), Some(forward));
        }
    }
}

#[test]
fn sums_are_rounded_half_to_even_when_they_are_read() {
    let ones = "1".repeat(38);
    let even = format!("{}2", "1".repeat(37));
    for (parts, shown, exact) in [
        (&["1", "2"][..], "3", true),
        (&["1e100", "1"], "1e100", false),
        (&["1e100", "1", "-1e100"], "1", true),
        (&["1e37", "0.5"], "1e37", false),
        (&[&ones, "0.5"], &even, false),
        (&[&ones, "0.4"], &ones, false),
        (&[&even, "0.5"], &even, false),
        (&[&even, "0.5", "1e-130"], &format!("{}3", "1".repeat(37)), false),
        (&[&"9".repeat(38), "0.5"], "1e38", false),
        (&["9e125", "9e125"], &format!("{}e88", "9".repeat(38)), false),
        (&["-9e125", "-9e125"], &format!("-{}e88", "9".repeat(38)), false),
        (&["9e125", "9e125", "-9e125"], "9e125", true),
        (&["1.1e-130", "-1e-130"], "0", false),
        (&["1.1e-130", "-1e-130", "1e-130"], "1.1e-130", true),
    ] {
        let rounded = Rounded { number: number(shown), exact };
        assert_eq!(sum(parts).round(), rounded, "{parts:?}");
        let negated: Vec<String> = parts.iter().map(|part| negated(part)).collect();
        let negated: Vec<&str> = negated.iter().map(String::as_str).collect();
        assert_eq!(sum(&negated).round().number, number(&self::negated(shown)), "-{parts:?}");
    }
}

fn negated(text: &str) -> String {
    text.strip_prefix('-').map_or_else(|| format!("-{text}"), String::from)
}

#[test]
fn equal_sums_are_equal() {
    assert_eq!(sum(&["9e125", "9e125", "-9e125"]), sum(&["9e125"]));
    assert!(sum(&["9e125", "9e125"]).number().is_none());
}

#[test]
fn only_wide_sums_are_read_as_wide() {
    let (_, bytes) = sum(&["1e100", "1"]).wide().expect("a wide sum");
    assert!(Sum::from_wide(true, &bytes).is_some());
    let narrow = 10_u128.pow(37).to_le_bytes();
    for bytes in [&[][..], &[0], &[1, 0], &[1; 131], &narrow] {
        assert_eq!(Sum::from_wide(false, bytes), None, "{bytes:?}");
    }
    assert!(Sum::from_wide(false, &[255; 130]).is_some());
}
