//! What is wrong with a topology, where, and what to do about it.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

/// Why there is no topology.
#[derive(Debug)]
pub enum Error {
    /// The file could not be read.
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The document is wrong; at least one problem, in the order of the file.
    Invalid(Vec<Problem>),
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, source } => {
                write!(f, "{}: cannot be read: {source}\n  help: ", path.display())?;
                f.write_str("name a topology with -f FILE, or none for the built-in one")
            }
            Self::Invalid(problems) => {
                for (index, problem) in problems.iter().enumerate() {
                    let before = if index == 0 { "" } else { "\nerror: " };
                    write!(f, "{before}{problem}")?;
                }
                Ok(())
            }
        }
    }
}

/// One thing that is wrong in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The document.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
    snippet: String,
    width: usize,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, message, remedy, snippet, width } = self;
        writeln!(f, "{file}:{line}:{column}: {message}")?;
        let gutter = line.to_string().len();
        let (before, marks) = (" ".repeat(column - 1), "^".repeat(*width));
        writeln!(f, "  {line} | {snippet}")?;
        writeln!(f, "  {:gutter$} | {before}{marks}", "")?;
        write!(f, "  help: {remedy}")
    }
}

/// A document under check: turns places in it into lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// The line that `place` starts on, from 1.
    pub(super) fn line(&self, place: &Range<usize>) -> usize {
        self.text[..self.clamp(place.start)].matches('\n').count() + 1
    }

    /// The largest character boundary that is not behind `at`.
    fn clamp(&self, at: usize) -> usize {
        (0..=at.min(self.text.len())).rev().find(|&i| self.text.is_char_boundary(i)).unwrap_or(0)
    }

    /// A problem with what stands at `place`.
    pub(super) fn problem(
        &self,
        place: &Range<usize>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Problem {
        let (start, end) = (self.clamp(place.start), self.clamp(place.end));
        let line_start = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
        let snippet = self.text[line_start..].lines().next().unwrap_or("");
        let line_end = line_start + snippet.len();
        let shown = &self.text[start..end.clamp(start, line_end.max(start))];
        Problem {
            file: self.file.to_owned(),
            line: self.line(place),
            column: self.text[line_start..start].chars().count() + 1,
            message: message.into(),
            remedy: remedy.into(),
            snippet: snippet.replace('\t', " "),
            width: shown.chars().count().max(1),
        }
    }

    /// The problem behind an error of the TOML parser or of a key's type.
    pub(super) fn syntax(&self, error: &toml::de::Error) -> Problem {
        let place = error.span().unwrap_or(0..0);
        let message = error.message();
        let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        if message.starts_with("unknown field")
            && let [unknown, known @ ..] = quoted.as_slice()
        {
            return self.problem(
                &place,
                format!("unknown key `{unknown}`"),
                meant(unknown, known.iter().copied(), "key"),
            );
        }
        if message.starts_with("missing field")
            && let [missing] = quoted.as_slice()
        {
            let remedy = format!("add `{missing} = …` below this line");
            return self.problem(&place, format!("key `{missing}` is missing"), remedy);
        }
        if let Some((found, wanted)) = type_mismatch(message) {
            return self.problem(&place, format!("found {found}"), format!("write {wanted}"));
        }
        let remedy = match message {
            "duplicate key" => "keep one of the two",
            _ => "the file must be TOML 1.0: see https://toml.io/en/v1.0.0",
        };
        self.problem(&place, message.lines().next().unwrap_or(message), remedy)
    }
}

/// serde's "invalid type: string \"a\", expected i64" in words for people.
fn type_mismatch(message: &str) -> Option<(String, String)> {
    let (found, wanted) = message.strip_prefix("invalid ")?.split_once(", expected ")?;
    let found = match found.split_once(": ") {
        Some(("type", found)) => found,
        _ if found.starts_with("length") => "a list",
        _ => return None,
    };
    let wanted = match wanted {
        "i64" => "a whole number",
        "a string" | "a borrowed string" => "a text in quotes",
        "a boolean" => "true or false",
        "a sequence" => "a list: [ … ]",
        "a map" => "a table of keys",
        other if other.starts_with("struct") => "a table of keys",
        other => other,
    };
    Some((found.to_owned(), wanted.to_owned()))
}

/// "did you mean" if one of `known` is close to `word`, else all of them.
pub(super) fn meant<'a>(
    word: &str,
    known: impl Iterator<Item = &'a str> + Clone,
    noun: &str,
) -> String {
    let close = known.clone().map(|name| (distance(word, name), name)).min();
    match close {
        Some((far, name)) if far <= 1 + word.len() / 4 && far < word.len() => {
            format!("did you mean `{name}`?")
        }
        Some(_) => {
            let names: Vec<String> = known.map(|name| format!("`{name}`")).collect();
            format!("the {noun}s here are {}", names.join(", "))
        }
        None => format!("there is no {noun} here: take it out"),
    }
}

/// Edits (insert, delete, replace, swap neighbours) between two words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
