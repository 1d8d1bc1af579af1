//! What happens: the Pangea binary as a library. Drives the machines of `pangea-core` with real IO.

pub mod cli;
pub mod clock;
pub mod config;
pub mod conflicts;
pub mod dns;
pub mod edge;
pub mod experiment;
pub mod guard;
pub mod http;
pub mod http_client;
pub mod inject;
pub mod l4;
pub mod metrics;
pub mod peer;
pub mod probe;
pub mod process;
mod query;
pub mod region;
pub mod regions;
pub mod repair;
pub mod status;
pub mod storage;
pub mod supervise;
pub mod tables;
pub mod traffic;
pub mod versions;
pub mod wasm;
