//! What happens: the Pangea binary. Drives the machines of `pangea-core` with real IO.

pub mod clock;
pub mod http;
pub mod http_client;
//! What happens: the Pangea binary.

pub mod peer;
//! What happens: the Pangea binary as a library.

pub mod config;
