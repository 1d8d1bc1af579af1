//! How it is spelled: the wire and disk formats of Pangea.
//!
//! Nothing here performs IO. Every byte that leaves a process is fixed by a golden file or golden
//! bytes beside its format, so that a change of format cannot happen unnoticed.

pub mod binary;
pub mod cbor;
pub mod disk;
pub mod dynamo;
pub mod peer;
pub mod session;
pub mod sigv4;
pub mod versions;
