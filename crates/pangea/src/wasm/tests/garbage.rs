//! Bytes that nobody meant: whatever they are, an answer comes, and no panic.

use super::{CART, greater, greatest_score, item, key, stamp};
use crate::wasm::{ModuleId, Modules};

struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        usize::try_from(self.0 >> 33).expect("31 bits") % bound
    }
}

/// Compiles, and merges if that was possible; how far it came.
fn treat(bytes: &[u8]) -> usize {
    let (modules, id) = (Modules::default(), ModuleId::of(bytes));
    if modules.add(id, bytes).is_err() {
        return 0;
    }
    let a = item(r#"{"id":{"S":"k"},"lines":{"M":{"a":{"N":"1"}}},"score":{"N":"1"}}"#);
    let b = item(r#"{"id":{"S":"k"},"lines":{"M":{"a":{"N":"2"}}},"score":{"N":"2"}}"#);
    let versions = [(stamp(1), Some(&a)), (stamp(2), Some(&b))];
    let (first, again) = (
        modules.resolve_with_fuel(id, &key(), &versions),
        modules.resolve_with_fuel(id, &key(), &versions),
    );
    assert_eq!(first, again, "damaged or not, it is a function of its inputs");
    1 + usize::from(first.0.is_ok())
}

#[test]
fn damaged_modules_are_refused_or_run_within_bounds() {
    let mut dice = Dice(3);
    let mut ends = [0; 3];
    let originals = [greater(), greatest_score(), CART.to_vec()];
    for round in 0..900 {
        let mut bytes = originals[round % 3].clone();
        for _ in 0..=dice.below(2) {
            let at = dice.below(bytes.len());
            match dice.below(16) {
                0 => bytes.truncate(at.max(1)),
                1..14 => bytes[at] ^= 1 << dice.below(8),
                14 => bytes[at] = u8::try_from(dice.below(256)).expect("it is a byte"),
                _ => bytes.insert(at, u8::try_from(dice.below(256)).expect("it is a byte")),
            }
        }
        ends[treat(&bytes)] += 1;
    }
    assert!(ends.iter().all(|count| *count > 3), "each end should be met: {ends:?}");
}
