//! The links between regions: who the peers are, what flows, and what faults do to it.

pub mod identity;
