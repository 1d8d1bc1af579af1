//! Names of requests, in logs and in responses.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::Context as _;
use data_encoding::BASE32HEX_NOPAD;

/// Bytes whose digits differ from one name to the next: 16 digits, nothing left over.
const HEAD_BYTES: usize = 10;
/// The bytes of the count in them.
const COUNT_BYTES: usize = 8;

/// Makes them: 52 characters of base 32, as the service's are, that no other process makes.
#[derive(Debug)]
pub(super) struct Ids {
    /// Which process: what goes behind the count, and the digits of the rest.
    process: [u8; HEAD_BYTES - COUNT_BYTES],
    tail: String,
    count: AtomicU64,
}

impl Ids {
    /// # Errors
    /// The kernel has no randomness.
    pub(super) fn new() -> anyhow::Result<Self> {
        let (mut process, mut rest) = ([0; HEAD_BYTES - COUNT_BYTES], [0; 32 - HEAD_BYTES]);
        for random in [&mut process[..], &mut rest[..]] {
            getrandom::fill(random).context("the kernel has no randomness")?;
        }
        Ok(Self { process, tail: BASE32HEX_NOPAD.encode(&rest), count: AtomicU64::new(1) })
    }

    pub(super) fn next(&self) -> String {
        let count = self.count.fetch_add(1, Relaxed);
        let mut head = [0; HEAD_BYTES];
        // Spread over all digits, so that the beginning tells ids apart; odd, so a bijection.
        let spread = count.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        head[..COUNT_BYTES].copy_from_slice(&spread.to_be_bytes());
        head[COUNT_BYTES..].copy_from_slice(&self.process);
        let mut id = String::with_capacity(52);
        BASE32HEX_NOPAD.encode_append(&head, &mut id);
        id.push_str(&self.tail);
        id
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
