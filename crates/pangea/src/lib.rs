//! What happens: the Pangea binary as a library.

pub mod config;
