//! `cargo xtask fuzz`: mutations of what clients send, for a time.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::say;
use crate::shell::{self, Failure};

const USAGE: &str = "usage: cargo xtask fuzz [--seconds N] [--seed N]";

/// Runs every target for so many seconds; whether none failed.
pub(crate) fn run(words: &[&str]) -> Result<bool, Failure> {
    let (mut seconds, mut seed) = (60, None);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let number = words.next().and_then(|text| text.parse::<u64>().ok());
        let number = number.ok_or_else(|| Failure::new(USAGE))?;
        match *word {
            "--seconds" => seconds = number,
            "--seed" => seed = Some(number),
            _ => return Err(Failure::new(USAGE)),
        }
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seed = seed.unwrap_or(now.as_secs());
    say::step(&format!("fuzz: each target for {seconds} s; again with --seed {seed}"));
    let mut command = shell::cargo(&["test", "-p", "pangea-codec", "--test", "fuzz"]);
    command.args(["--", "--nocapture", "--test-threads", "4"]);
    command.env("PANGEA_FUZZ_SECONDS", seconds.to_string());
    command.env("PANGEA_FUZZ_SEED", seed.to_string());
    shell::succeeds(&mut command)
}
