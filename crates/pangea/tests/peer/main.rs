//! Links between regions, over real sockets and TLS.

mod bounds;
mod faults;
mod garbage;
mod membership;
mod replicate;
mod streams;
mod support;
mod tools;
