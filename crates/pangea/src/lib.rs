//! What happens: the Pangea binary. Drives the machines of `pangea-core` with real IO.

pub mod clock;
pub mod http;
pub mod http_client;
