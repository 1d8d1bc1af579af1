//! What happens: the Pangea binary.

pub mod peer;
