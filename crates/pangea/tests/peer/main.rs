//! Links between regions, over real sockets and TLS.

mod faults;
mod garbage;
mod replicate;
mod support;
