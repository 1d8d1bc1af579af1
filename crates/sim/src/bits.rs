//! A set of versions of one item, by their place in the item's history.

/// Versions of one item that a history can hold.
pub(crate) const VERSIONS_MAX: usize = 256;

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bits([u64; VERSIONS_MAX / 64]);

impl Bits {
    pub(crate) fn with(mut self, nth: usize) -> Self {
        self.0[nth / 64] |= 1 << (nth % 64);
        self
    }

    pub(crate) fn has(&self, nth: usize) -> bool {
        self.0[nth / 64] & (1 << (nth % 64)) != 0
    }

    pub(crate) fn union(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine |= theirs);
        self
    }

    /// What is in `self` and in `other`.
    pub(crate) fn both(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine &= theirs);
        self
    }

    /// What is in `self` and not in `other`.
    pub(crate) fn without(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine &= !theirs);
        self
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().flat_map(|(at, word)| {
            let mut left = word;
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros() as usize;
                // Takes the lowest one away.
                left &= left.checked_sub(1)?;
                Some(64 * at + bit)
            })
        })
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == [0; VERSIONS_MAX / 64]
    }
}
