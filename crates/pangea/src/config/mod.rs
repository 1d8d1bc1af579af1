//! The topology file: what runs where, at which addresses, and what is promised of it.
//!
//! One TOML document. [`Topology`] is its effective form: every default filled in, every check
//! passed, so that no other module looks at a file, a span or a missing key. [`Topology::to_toml`]
//! writes it back as a document that parses to the same value; `pangea up` leaves that document in
//! its data directory, where every other command finds the addresses.
//!
//! Always true of a [`Topology`]: region names, slots and addresses are unique; every name that is
//! referred to exists; there is one link for every pair of regions; numbers are within
//! their bounds. Nothing here opens a socket or looks at the state of the machine: that is
//! `supervise::preflight`.

mod check;
mod credential;
mod file;
mod limits;
mod network;
mod problem;
mod replication;
mod streams;
mod topology;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use credential::{Allow, Credential};
pub use limits::Limits;
pub use network::Cidr;
pub use problem::{Error, Problem};
pub use replication::{Compression, Replication};
pub use streams::Streams;
pub use topology::{
    Clock, Edge, Expiry, Faults, Health, Ledger, Link, Network, Objectives, Record, Region,
    Restart, Routing, Service, Storage, Table, Topology, Zone,
};

/// The document behind `pangea up` without a file.
pub const BUILTIN: &str = include_str!("builtin.toml");

/// What a problem in the built-in document calls its file.
pub const BUILTIN_NAME: &str = "built-in";

/// Reads and checks the topology at `path`.
///
/// Relative `directory` keys of services are taken from the directory of the file.
///
/// # Errors
/// The file cannot be read, is not TOML, or breaks a rule; every problem names its line.
pub fn load(path: &Path) -> Result<Topology, Error> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let base = path.parent().map_or_else(PathBuf::new, Path::to_owned);
    let base = std::path::absolute(if base.as_os_str().is_empty() { ".".into() } else { base })
        .map_err(|source| Error::Read { path: path.to_owned(), source })?;
    parse(&path.display().to_string(), &text, &[base])
}

/// The topology that runs when no file is given: three regions and the sample shop.
///
/// The shop's source is looked for below the working directory, then below the directory that
/// this binary was built from.
///
/// # Errors
/// Never, unless the embedded document is broken: a test parses it.
pub fn builtin() -> Result<Topology, Error> {
    let mut bases = Vec::new();
    if let Ok(here) = std::env::current_dir() {
        bases.push(here);
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    bases.extend(source.ancestors().nth(2).map(Path::to_owned));
    parse(BUILTIN_NAME, BUILTIN, &bases)
}

/// Checks the document `text`, called `file` in problems.
///
/// `bases` are the directories from which a service's relative `directory` is resolved: the
/// first below which it exists, else the first of all.
///
/// # Errors
/// The text is not TOML or breaks a rule; every problem names its line.
pub fn parse(file: &str, text: &str, bases: &[PathBuf]) -> Result<Topology, Error> {
    let source = problem::Source { file, text };
    let document =
        toml::from_str(text).map_err(|error| Error::Invalid(vec![source.syntax(&error)]))?;
    check::Checker::new(source, bases).check(document)
}
