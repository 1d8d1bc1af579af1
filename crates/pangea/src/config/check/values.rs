//! Rules for single values.

use std::ops::RangeInclusive;

use super::super::file::{Text, Whole};
use super::super::problem;
use super::super::topology::Restart;
use super::{Checker, DAY_MS};

/// Longest name: it becomes a label of DNS names and a part of file names.
const NAME_BYTES_MAX: usize = 63;
/// Longest lifetime of a DNS answer, in s: a week, as most resolvers cap it.
const TTL_S_MAX: u64 = 7 * 24 * 60 * 60;
/// As far as a TOML number goes.
pub(super) const UNBOUNDED: u64 = i64::MAX.unsigned_abs();
/// Most probes in a row that a threshold may ask for.
const THRESHOLD_MAX: u64 = 100;

impl Checker<'_> {
    /// A name of a cluster, region or service.
    pub(super) fn name(&mut self, name: &Text) -> String {
        let text = name.get_ref();
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let ends = !text.starts_with('-') && !text.ends_with('-');
        if text.is_empty() || text.len() > NAME_BYTES_MAX || !ends || !text.bytes().all(plain) {
            let remedy = format!(
                "use 1 to {NAME_BYTES_MAX} lower-case letters, digits and inner hyphens: \
                 it is part of file and DNS names"
            );
            self.report(&name.span(), format!("`{text}` is not a name"), remedy);
        }
        text.clone()
    }

    /// A DNS name: lower case, without the final dot.
    pub(super) fn domain(&mut self, name: &Text) -> String {
        let text = name.get_ref().trim_end_matches('.').to_ascii_lowercase();
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if text.len() > 253 || !text.split('.').all(label) {
            let message = format!("`{}` is not a DNS name", name.get_ref());
            self.report(&name.span(), message, "write labels of letters, digits and hyphens");
        }
        text
    }

    pub(super) fn restart(&mut self, written: &Option<Text>, default: Restart) -> Restart {
        self.one_of(written, &Restart::ALL, "restart policy").unwrap_or(default)
    }

    /// One of a few words.
    pub(super) fn one_of<T: Copy>(
        &mut self,
        written: &Option<Text>,
        known: &[(&str, T)],
        noun: &str,
    ) -> Option<T> {
        let word = written.as_ref()?;
        let found = known.iter().find(|(name, _)| name == word.get_ref());
        if found.is_none() {
            let names: Vec<String> = known.iter().map(|(name, _)| format!("`{name}`")).collect();
            let message = format!("unknown {noun} `{}`", word.get_ref());
            self.report(&word.span(), message, format!("write {}", names.join(" or ")));
        }
        found.map(|(_, value)| *value)
    }

    /// A whole number in `bounds`.
    pub(super) fn number(
        &mut self,
        written: Option<&Whole>,
        default: u64,
        bounds: RangeInclusive<u64>,
    ) -> u64 {
        let Some(number) = written else { return default };
        match u64::try_from(*number.get_ref()) {
            Ok(value) if bounds.contains(&value) => value,
            _ => {
                let (low, high) = (bounds.start(), bounds.end());
                let message = format!("{} is out of range", number.get_ref());
                let range = match *high {
                    UNBOUNDED => format!("of at least {low}"),
                    _ => format!("from {low} to {high}"),
                };
                let remedy = format!("write a number {range} (default: {default})");
                self.report(&number.span(), message, remedy);
                default
            }
        }
    }

    /// A number that has no default.
    pub(super) fn bound(&mut self, written: &Option<Whole>, most: u64) -> Option<u64> {
        written.as_ref().map(|number| self.number(Some(number), 0, 0..=most))
    }

    pub(super) fn count(&mut self, written: &Option<Whole>, default: u32) -> u32 {
        let count = self.number(written.as_ref(), u64::from(default), 1..=THRESHOLD_MAX);
        u32::try_from(count).unwrap_or(default)
    }

    pub(super) fn ttl(&mut self, written: &Option<Whole>, default: u32) -> u32 {
        let ttl = self.number(written.as_ref(), u64::from(default), 0..=TTL_S_MAX);
        u32::try_from(ttl).unwrap_or(default)
    }

    /// Clock skew to stage: a day each way covers every time zone mistake.
    pub(super) fn clock_offset(&mut self, written: &Option<Whole>) -> i64 {
        let Some(offset) = written else { return 0 };
        if offset.get_ref().unsigned_abs() > DAY_MS {
            let message = format!("a clock offset of {} ms is more than a day", offset.get_ref());
            let remedy = format!("write a number from -{DAY_MS} to {DAY_MS} (default: 0)");
            self.report(&offset.span(), message, remedy);
            return 0;
        }
        *offset.get_ref()
    }

    /// "did you mean" for words that are not keys.
    pub(super) fn meant(word: &str, known: &[&str], noun: &str) -> String {
        problem::meant(word, known.iter().copied(), noun)
    }
}
