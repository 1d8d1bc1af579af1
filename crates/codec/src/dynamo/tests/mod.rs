//! DynamoDB JSON against what clients send and read.

mod attributes;
mod backups;
mod control;
mod garbage;
mod layers;
mod legacy;
mod requests;
mod responses;
mod streams;
mod table_updates;
mod tables;
mod transactions;
mod vectors;

/// A deterministic generator (Knuth's MMIX constants), so that a failure is the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        usize::try_from(self.0 >> 33).expect("31 bits") % bound
    }
}
