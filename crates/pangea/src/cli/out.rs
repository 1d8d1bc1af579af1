//! Everything that is printed: data on stdout, people's words on stderr.
//!
//! A closed pipe is no error: whoever closed it has seen enough. Anything else that keeps data from
//! stdout, as a full disk does, is one: the command fails at its end.

use std::io::{self, Write as _};
use std::sync::OnceLock;

use serde::Serialize;

/// The first failure to write to stdout.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// Prints `text` and a line end to stdout.
pub fn line(text: &str) {
    raw(&format!("{text}\n"));
}

/// Prints `text` as it is to stdout.
pub fn raw(text: &str) {
    let mut stdout = io::stdout().lock();
    if let Err(error) = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // The first is the reason of the others.
        let _ = LOST.set(error);
    }
}

/// Why something of stdout was lost, if it was.
pub fn lost() -> Option<&'static io::Error> {
    LOST.get()
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
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// Prints an error with all its causes to stderr.
pub fn error(error: &anyhow::Error) {
    note(&format!("error: {error:#}"));
}

/// Rows as a table: columns as wide as their widest cell, two spaces between.
pub fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_string()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
