//! What is true: the pure machines of Pangea.
//!
//! Nothing in this crate performs IO, reads a clock, starts a thread or draws randomness: it is
//! `no_std`, so most of that does not compile. A machine takes `(now, event, snapshot)` and returns
//! effects; the binary drives it with real sockets and disks, the simulator with faults.
#![no_std]

extern crate alloc;

#[cfg(test)]
extern crate std;

pub mod catalog;
pub mod clock;
pub mod crdt;
pub mod durability;
pub mod experiment;
pub mod expiry;
pub mod expr;
pub mod fingerprint;
pub mod health;
pub mod id;
pub mod index;
pub mod item;
pub mod journal;
pub mod ledger;
pub mod limits;
pub mod membership;
pub mod merge;
pub mod node;
pub mod partiql;
pub mod repair;
pub mod replica;
pub mod routing;
pub mod session;
pub mod table;
pub mod time;
pub mod view;
