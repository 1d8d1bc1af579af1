//! Everything that is printed: data on stdout, people's words on stderr.
//!
//! A closed pipe is no error: whoever closed it has seen enough.

use std::io::Write as _;

use serde::Serialize;

/// Prints `text` and a line end to stdout.
pub fn line(text: &str) {
    raw(&format!("{text}\n"));
}

/// Prints `text` as it is to stdout.
pub fn raw(text: &str) {
    let mut stdout = std::io::stdout().lock();
    drop(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()));
}

/// Prints `value` as one indented JSON document to stdout.
///
/// # Errors
/// The value has no JSON form.
pub fn json<T: Serialize>(value: &T) -> serde_json::Result<()> {
    line(&serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Prints a remark for people to stderr.
pub fn note(text: &str) {
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// Prints an error with all its causes to stderr.
pub fn error(error: &anyhow::Error) {
    note(&format!("error: {error:#}"));
}
