//! How many tests passed and failed, summed over runners that each report in their own words.

use std::fmt;

/// The closing line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

impl Tally {
    /// A check that is not made of tests: one more passed or failed.
    pub(crate) const fn check(ok: bool) -> Self {
        if ok { Self { passed: 1, failed: 0 } } else { Self { passed: 0, failed: 1 } }
    }

    /// Whether nothing failed.
    pub(crate) const fn clean(&self) -> bool {
        self.failed == 0
    }

    pub(crate) const fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    /// What a runner said, and how it ended: one that failed without naming a failed test (it did
    /// not compile, it crashed) counts as one failure, and so does one that ran nothing at all.
    pub(crate) fn settle(mut self, exited_well: bool) -> Self {
        if self.failed == 0 && (!exited_well || self.passed == 0) {
            self.failed = 1;
        }
        self
    }

    /// Adds a line of `cargo test` if it is a result:
    /// `test result: ok. 3 passed; 0 failed; 0 ignored; ...`.
    pub(crate) fn read_cargo(&mut self, line: &str) {
        if let Some(counts) = line.trim().strip_prefix("test result: ") {
            self.add(counted(counts, ';', &["failed"]));
        }
    }

    /// Adds a line of pytest if it is the summary: `== 1 failed, 2 passed, 1 error in 3.21s ==`.
    pub(crate) fn read_pytest(&mut self, line: &str) {
        let line = line.trim_matches(|c: char| c == '=' || c.is_whitespace());
        let Some((counts, time)) = line.rsplit_once(" in ") else { return };
        let seconds = time.split_whitespace().next().unwrap_or("");
        let timed = seconds.strip_suffix('s').is_some_and(|number| number.parse::<f64>().is_ok());
        if timed && counts.starts_with(|c: char| c.is_ascii_digit()) {
            self.add(counted(counts, ',', &["failed", "error", "errors"]));
        }
    }
}

/// Sums `N word` pairs between `separator`s.
fn counted(text: &str, separator: char, failures: &[&str]) -> Tally {
    let mut tally = Tally::default();
    for part in text.split(separator) {
        let mut words = part.split_whitespace().rev();
        let (Some(noun), Some(number)) = (words.next(), words.next()) else { continue };
        let Ok(number) = number.parse::<u64>() else { continue };
        if noun == "passed" {
            tally.passed += number;
        } else if failures.contains(&noun) {
            tally.failed += number;
        }
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cargo(line: &str) -> (u64, u64) {
        let mut tally = Tally::default();
        tally.read_cargo(line);
        (tally.passed, tally.failed)
    }

    fn pytest(line: &str) -> (u64, u64) {
        let mut tally = Tally::default();
        tally.read_pytest(line);
        (tally.passed, tally.failed)
    }

    #[test]
    fn cargo_results_are_counted() {
        let tail = "0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(cargo(&format!("test result: ok. 12 passed; 0 failed; {tail}")), (12, 0));
        assert_eq!(cargo(&format!("test result: FAILED. 3 passed; 2 failed; {tail}")), (3, 2));
        assert_eq!(cargo("test tally::tests::x ... ok"), (0, 0));
    }

    #[test]
    fn pytest_summaries_are_counted() {
        assert_eq!(pytest("===== 3 passed in 0.12s ====="), (3, 0));
        assert_eq!(pytest("1 failed, 2 passed, 1 error in 61.02s (0:01:01)"), (2, 2));
        assert_eq!(pytest("2 errors in 0.10s"), (0, 2));
        assert_eq!(pytest("2 skipped, 1 passed, 3 warnings in 1.00s"), (1, 0));
        assert_eq!(pytest("tests/e2e/test_up.py::test_x took 3 in 1.0s"), (0, 0));
        assert_eq!(pytest("waited in vain"), (0, 0));
    }

    #[test]
    fn a_runner_that_ended_badly_without_a_failed_test_is_a_failure() {
        let five = Tally { passed: 5, failed: 0 };
        assert_eq!(five.settle(true), five);
        assert_eq!(five.settle(false), Tally { passed: 5, failed: 1 });
        assert_eq!(Tally { passed: 5, failed: 2 }.settle(false), Tally { passed: 5, failed: 2 });
        assert!(!Tally::default().settle(true).clean(), "nothing ran");
    }
}
