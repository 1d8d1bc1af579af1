//! How it is spelled: wire and disk formats of Pangea.
//!
//! Every format carries a version marker and has golden files under `tests/golden`: no byte changes
//! unnoticed. Nothing here performs IO.

pub mod disk;
