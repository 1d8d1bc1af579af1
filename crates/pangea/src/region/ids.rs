//! Names of requests, in logs and in responses.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::Context as _;
use data_encoding::BASE32HEX_NOPAD;

/// Makes them: 52 characters of base 32, as the service's are, that no other process makes.
#[derive(Debug)]
pub(super) struct Ids {
    /// Which process.
    process: [u8; 24],
    count: AtomicU64,
}

impl Ids {
    /// # Errors
    /// The kernel has no randomness.
    pub(super) fn new() -> anyhow::Result<Self> {
        let mut process = [0; 24];
        getrandom::fill(&mut process).context("the kernel has no randomness")?;
        Ok(Self { process, count: AtomicU64::new(1) })
    }

    pub(super) fn next(&self) -> String {
        let count = self.count.fetch_add(1, Relaxed);
        let mut bytes = [0; 32];
        // Spread over all digits, so that the beginning tells ids apart; odd, so a bijection.
        let spread = count.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bytes[..8].copy_from_slice(&spread.to_be_bytes());
        bytes[8..].copy_from_slice(&self.process);
        BASE32HEX_NOPAD.encode(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_unique_and_look_like_the_services() {
        let ids = Ids::new().expect("a kernel with randomness");
        let made: BTreeSet<String> = (0..1000).map(|_| ids.next()).collect();
        assert_eq!(made.len(), 1000);
        for id in made {
            let known = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
            assert!(id.len() == 52 && id.bytes().all(known), "{id}");
        }
    }
}
