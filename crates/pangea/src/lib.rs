//! What happens: the Pangea binary as a library. Drives the machines of `pangea-core` with real IO.

pub mod clock;
pub mod config;
pub mod dns;
pub mod http;
pub mod http_client;
pub mod l4;
pub mod peer;
pub mod probe;
pub mod traffic;
