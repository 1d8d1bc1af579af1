//! What happens: the Pangea binary as a library. Drives the machines of `pangea-core` with real IO.

pub mod cli;
pub mod clock;
pub mod config;
pub mod dns;
#[path = "standin/edge.rs"]
pub mod edge;
pub mod http;
pub mod http_client;
pub mod l4;
pub mod peer;
pub mod probe;
pub mod storage;
pub mod process;
#[path = "standin/region.rs"]
pub mod region;
pub mod status;
pub mod supervise;
pub mod traffic;
