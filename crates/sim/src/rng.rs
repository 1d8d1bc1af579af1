//! A tree of seeded generators: one per concern, so that drawing more in one shifts no other.

use crate::digest::Digest;

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// `splitmix64`: one word of state, good enough to choose faults (Steele et al., OOPSLA 2014).
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Self(seed);
        // Neighbouring seeds must not give neighbouring states.
        Self(rng.next())
    }

    /// The generator of one concern; the same name gives the same generator.
    pub(crate) fn fork(&self, concern: &str) -> Self {
        let mut name = Digest::default();
        concern.bytes().for_each(|byte| name.add(u64::from(byte)));
        Self::new(self.0 ^ name.value())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// In `0..bound`; zero if `bound` is zero.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(bound);
        (wide >> 64) as u64
    }

    /// In `0..bound`, as an index.
    pub(crate) fn index(&mut self, bound: usize) -> usize {
        self.below(bound as u64) as usize
    }

    /// In `low..=high`.
    pub(crate) fn range(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True so many times in a thousand.
    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// One of `choices`, which must not be empty.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concerns_do_not_shift_each_other() {
        let root = Rng::new(7);
        let (mut net, mut net_again) = (root.fork("net"), root.fork("net"));
        let mut disk = root.fork("disk");
        disk.next();
        assert_eq!(net.next(), net_again.next());
        assert_ne!(root.fork("net").next(), root.fork("disk").next());
    }

    #[test]
    fn a_range_holds_its_ends() {
        let mut rng = Rng::new(1);
        let drawn: Vec<u64> = (0..200).map(|_| rng.range(3, 5)).collect();
        assert!((3..=5).all(|value| drawn.contains(&value)));
        assert!(drawn.iter().all(|value| (3..=5).contains(value)));
    }
}
