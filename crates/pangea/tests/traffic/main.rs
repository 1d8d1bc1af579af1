//! The traffic plane on real sockets: DNS, accelerator, probes and the driver together.
//!
//! Every port is the system's choice, every region has a loopback address of its own, and every
//! wait is for a condition with a generous bound.

mod dns;
mod failover;
mod l4;
mod probe;
mod world;
