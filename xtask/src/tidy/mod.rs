//! House rules that a program can check.
//!
//! Each check is a pure function from a file's path and text to its problems, so that a test can
//! show that it is able to fail. The files are those that git would commit.

mod code;
pub(crate) mod floors;
mod manifest;
mod prose;
mod scrub;

use std::fs;

use crate::say;
use crate::shell::{self, Failure};

/// A file as git has it: the path from the root, with `/`, and the text.
#[derive(Debug)]
struct File {
    path: String,
    text: String,
}

/// One thing to put right.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    path: String,
    line: usize,
    message: String,
}

impl File {
    fn problem(&self, line: usize, message: impl Into<String>) -> Problem {
        Problem { path: self.path.clone(), line, message: message.into() }
    }

    fn is(&self, extension: &str) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, end)| end == extension)
    }
}

/// Whether the repository is tidy; prints what is not.
pub(crate) fn run() -> Result<bool, Failure> {
    let problems = problems(&files()?);
    for Problem { path, line, message } in &problems {
        say::problem(&format!("{path}:{line}: {message}"));
    }
    Ok(problems.is_empty())
}

fn problems(files: &[File]) -> Vec<Problem> {
    let exists = |path: &str| {
        let below = format!("{path}/");
        files.iter().any(|file| file.path == path || file.path.starts_with(&below))
    };
    let mut problems = Vec::new();
    for file in files {
        if file.is("rs") {
            problems.extend(code::check(file));
        }
        if file.path.ends_with("Cargo.toml") {
            problems.extend(manifest::check(file));
        }
        if file.is("md") {
            problems.extend(prose::links(file, exists));
        }
        problems.extend(prose::portable(file));
        problems.extend(prose::finished(file));
    }
    problems.extend(code::ratchet(files));
    problems
}

/// Everything that is committed or would be by `git add --all`, if it is text.
fn files() -> Result<Vec<File>, Failure> {
    let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let list = shell::output(shell::program_in_root("git").args(list))?;
    let mut files = Vec::new();
    for path in list.split('\0').filter(|path| !path.is_empty()) {
        // A file that is deleted but still in the index, or is not text, has nothing to check.
        if let Ok(text) = fs::read_to_string(shell::root().join(path)) {
            files.push(File { path: path.to_owned(), text });
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        let problems = problems(&files().expect("this is a git work tree"));
        let lines: Vec<String> =
            problems.iter().map(|p| format!("{}:{}: {}", p.path, p.line, p.message)).collect();
        assert!(lines.is_empty(), "\n{}", lines.join("\n"));
    }
}
