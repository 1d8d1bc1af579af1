use alloc::string::{String, ToString};
use alloc::{format, vec};

use super::{Number, NumberError};

/// A deterministic generator (Knuth's MMIX constants), so that a failure is the same everywhere.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 >> 33
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

fn number(text: &str) -> Number {
    Number::parse(text).expect("a number of the test's own")
}

#[test]
fn prints_as_dynamodb() {
    let nines = "9".repeat(38);
    let cases = [
        ("0", "0"),
        ("-0", "0"),
        ("0.000", "0"),
        ("0e125", "0"),
        ("+1", "1"),
        ("001.500", "1.5"),
        (".5", "0.5"),
        ("5.", "5"),
        ("100", "100"),
        ("1e2", "100"),
        ("1E+2", "100"),
        ("-12.34e-4", "-0.001234"),
        ("0.001", "0.001"),
        ("123456789.123456789", "123456789.123456789"),
        (nines.as_str(), nines.as_str()),
    ];
    for (text, printed) in cases {
        assert_eq!(number(text).to_string(), printed, "{text}");
    }
    assert_eq!(number("1e125").to_string(), format!("1{}", "0".repeat(125)));
    assert_eq!(number("1e-130").to_string(), format!("0.{}1", "0".repeat(129)));
}

#[test]
fn refuses_what_dynamodb_refuses() {
    let long = "1".repeat(39);
    let huge = format!("{}e-20", "9".repeat(5000));
    let cases = [
        ("", NumberError::Malformed),
        ("-", NumberError::Malformed),
        (".", NumberError::Malformed),
        ("1e", NumberError::Malformed),
        ("e1", NumberError::Malformed),
        ("1.2.3", NumberError::Malformed),
        (" 1", NumberError::Malformed),
        ("1 ", NumberError::Malformed),
        ("--1", NumberError::Malformed),
        ("0x10", NumberError::Malformed),
        ("NaN", NumberError::Malformed),
        ("Infinity", NumberError::Malformed),
        ("1_000", NumberError::Malformed),
        ("١", NumberError::Malformed),
        (long.as_str(), NumberError::Precision),
        (huge.as_str(), NumberError::Precision),
        ("1e126", NumberError::Overflow),
        ("-1e126", NumberError::Overflow),
        ("1e9999999999999999", NumberError::Overflow),
        ("0e126", NumberError::Overflow),
        ("1e99999999999999999999", NumberError::Malformed),
        ("1e-131", NumberError::Underflow),
        ("1e-9999999999999999", NumberError::Underflow),
        ("0e-131", NumberError::Underflow),
    ];
    for (text, error) in cases {
        assert_eq!(Number::parse(text), Err(error), "{text}");
    }
}

/// What the service was measured to say of parameters and literals of PartiQL.
#[test]
fn narrow_numbers_are_of_32_bits() {
    for (text, error) in [
        ("1e2147483648", NumberError::Malformed),
        ("1e-2147483648", NumberError::Malformed),
        ("0.1e-2147483647", NumberError::Malformed),
        ("-0e-2147483648", NumberError::Malformed),
        ("1e99999999999", NumberError::Malformed),
        ("1e", NumberError::Malformed),
        ("x", NumberError::Malformed),
        ("1E+2147483647", NumberError::Underflow),
        ("0e2147483647", NumberError::Underflow),
        ("-00001e2147483647", NumberError::Underflow),
        ("10e2147483645", NumberError::Underflow),
        ("1.5e2147483646", NumberError::Underflow),
        ("1e-2147483647", NumberError::Underflow),
        ("1e2147483645", NumberError::Overflow),
        ("1e126", NumberError::Overflow),
    ] {
        assert_eq!(Number::parse_narrow(text), Err(error), "{text}");
    }
    for text in ["1", "-1.5e3", ".5", "+7", "1e-130", "0"] {
        assert_eq!(Number::parse_narrow(text), Number::parse(text), "{text}");
    }
}

#[test]
fn zeros_do_not_count_as_digits() {
    let text = format!("{}1{}", "0".repeat(100), "0".repeat(100));
    assert_eq!(number(&text), number("1e100"));
    assert_eq!(number(&format!("0.{}1{}", "0".repeat(50), "0".repeat(500))), number("1e-51"));
}

#[test]
fn sums_are_exact_or_refused() {
    let cases = [
        ("1", "2", Ok("3")),
        ("0.1", "0.2", Ok("0.3")),
        ("1", "-1", Ok("0")),
        ("1e125", "0", Ok("1e125")),
        ("1e38", "-1", Ok("99999999999999999999999999999999999999")),
        (
            "1.8e38",
            "-90000000000000000000000000000000000001",
            Ok("89999999999999999999999999999999999999"),
        ),
        ("1e38", "1", Err(NumberError::Precision)),
        ("1e125", "1", Err(NumberError::Precision)),
        ("9e125", "9e125", Err(NumberError::Overflow)),
        ("1.1e-130", "-1e-130", Err(NumberError::Underflow)),
        ("5e37", "5e37", Ok("1e38")),
        ("99999999999999999999999999999999999999", "1", Ok("1e38")),
        (
            "-99999999999999999999999999999999999999",
            "-99999999999999999999999999999999999998",
            Err(NumberError::Precision),
        ),
    ];
    for (left, right, sum) in cases {
        let expected = sum.map(number);
        assert_eq!(number(left).checked_add(number(right)), expected, "{left} + {right}");
        assert_eq!(number(right).checked_add(number(left)), expected, "{right} + {left}");
    }
    assert_eq!(number("1").checked_sub(number("3")), Ok(number("-2")));
}

/// Every number here is an integer of thousandths, so `i128` is the model.
#[test]
fn agrees_with_scaled_integers() {
    let mut dice = Dice(7);
    for _ in 0..20_000 {
        let mut draw = || {
            let bits = dice.below(60) + 1;
            let raw = (i128::from(dice.next()) << 31 | i128::from(dice.next())) & ((1 << bits) - 1);
            if dice.below(2) == 0 { raw } else { -raw }
        };
        let (a, b) = (draw(), draw());
        let make = |raw: i128| Number::from_parts(raw, -3).expect("within range");
        assert_eq!(make(a).cmp(&make(b)), a.cmp(&b), "{a} against {b}");
        assert_eq!(make(a).checked_add(make(b)), Ok(make(a + b)), "{a} + {b}");
        assert_eq!(make(a).checked_sub(make(b)), Ok(make(a - b)), "{a} - {b}");
    }
}

#[test]
fn what_is_printed_is_read_back() {
    let mut dice = Dice(11);
    for _ in 0..20_000 {
        let digits = dice.below(38) + 1;
        let mut text = String::from(if dice.below(2) == 0 { "-" } else { "" });
        for _ in 0..digits {
            text.push(char::from(b'0' + u8::try_from(dice.below(10)).expect("a digit")));
        }
        let exponent = i64::try_from(dice.below(240)).expect("small") - 130;
        let Ok(first) = Number::parse(&format!("{text}e{exponent}")) else { continue };
        assert_eq!(Number::parse(&first.to_string()), Ok(first), "{text}e{exponent}");
        assert_eq!(Number::from_parts(first.mantissa(), first.exponent()), Ok(first));
    }
}

#[test]
fn orders_numerically() {
    let sorted = vec![
        "-1e125", "-10", "-9", "-0.5", "-1e-130", "0", "1e-130", "0.1", "0.11", "2", "10", "11",
        "1e38", "1e125",
    ];
    for (at, low) in sorted.iter().enumerate() {
        for high in &sorted[at + 1..] {
            assert!(number(low) < number(high), "{low} < {high}");
        }
    }
    assert_eq!(Number::from(-1200), number("-1.2e3"));
    assert_eq!(Number::from(i64::MIN).to_string(), i64::MIN.to_string());
}

#[test]
fn garbage_never_panics() {
    let mut dice = Dice(3);
    let letters = b"0123456789.-+eE x";
    for _ in 0..20_000 {
        let text: String = (0..dice.below(60))
            .map(|_| char::from(letters[usize::try_from(dice.below(17)).expect("small")]))
            .collect();
        let _ = Number::parse(&text).map(|number| number.to_string());
    }
}
