//! Rust source: width, length, leftovers, what the core may name.

use super::scrub::scrub;
use super::{File, Problem};

const WIDTH_MAX: usize = 100;
/// A string this wide may make its line too wide; one that is shorter fits when the line is broken.
const TEXT_COLUMNS_MIN: usize = 60;
const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 800;

/// Functions that were longer when the rule came: `path::name`. It only ever gets shorter.
const LONG_FUNCTIONS: &[&str] = &[];
/// Files that were longer when the rule came. It only ever gets shorter.
const LONG_FILES: &[&str] = &[];

/// Macros that do not belong in finished code.
const LEFTOVERS: [&str; 3] = ["dbg!", "todo!", "unimplemented!"];

pub(super) fn check(file: &File) -> Vec<Problem> {
    let code = scrub(&file.text);
    let mut problems = width(file, &code);
    problems.extend(leftovers(file, &code));
    problems.extend(core_without_std(file, &code));
    let too_long = long_functions(&code).into_iter();
    problems.extend(too_long.filter(|f| !LONG_FUNCTIONS.contains(&f.key(file).as_str())).map(
        |f| {
            let Function { name, line, lines } = f;
            file.problem(line, format!("`{name}` has {lines} lines, {FUNCTION_LINES_MAX} at most"))
        },
    ));
    let lines = file.text.lines().count();
    if lines > FILE_LINES_MAX && !LONG_FILES.contains(&file.path.as_str()) {
        problems.push(file.problem(1, format!("{lines} lines, {FILE_LINES_MAX} at most: split")));
    }
    problems
}

/// Exceptions that are no longer needed must go.
pub(super) fn ratchet(files: &[File]) -> Vec<Problem> {
    stale(files, LONG_FUNCTIONS, LONG_FILES)
}

fn stale(files: &[File], functions: &[&str], long_files: &[&str]) -> Vec<Problem> {
    let rust = || files.iter().filter(|file| file.is("rs"));
    let still: Vec<String> = rust()
        .flat_map(|file| long_functions(&scrub(&file.text)).into_iter().map(|f| f.key(file)))
        .chain(rust().filter(|f| f.text.lines().count() > FILE_LINES_MAX).map(|f| f.path.clone()))
        .collect();
    let listed = functions.iter().chain(long_files);
    let gone = listed.filter(|name| !still.iter().any(|known| known == *name));
    gone.map(|name| Problem {
        path: "xtask/src/tidy/code.rs".to_owned(),
        line: 1,
        message: format!("`{name}` is short enough now: take it off the list"),
    })
    .collect()
}

fn width(file: &File, code: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, (text, code)) in file.text.lines().zip(code.lines()).enumerate() {
        let width = text.chars().count();
        if width > WIDTH_MAX && !holds_long_text(code) {
            let message = format!("{width} columns, {WIDTH_MAX} at most");
            problems.push(file.problem(index + 1, message));
        }
    }
    problems
}

/// Whether a line is wide for a string's sake: a message is kept whole, so that it can be found.
fn holds_long_text(code: &str) -> bool {
    code.split(|c| c != '"').any(|literal| literal.len() >= TEXT_COLUMNS_MIN)
}

fn leftovers(file: &File, code: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, line) in code.lines().enumerate() {
        for leftover in LEFTOVERS {
            if words(line, leftover) {
                problems.push(file.problem(index + 1, format!("leftover `{leftover}`")));
            }
        }
    }
    problems
}

/// Whether `word` stands in `line` and is not the end of a longer word.
fn words(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| !line[..at].ends_with(is_word))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// `extern crate std` opens the back door of `no_std`: in the core, for tests only.
fn core_without_std(file: &File, code: &str) -> Vec<Problem> {
    if !file.path.starts_with("crates/core/src/") {
        return Vec::new();
    }
    let mut problems = Vec::new();
    let mut before = "";
    for (index, line) in code.lines().enumerate() {
        if line.contains("extern crate std") && !format!("{before}{line}").contains("#[cfg(test)]")
        {
            problems.push(file.problem(index + 1, "`extern crate std` outside `#[cfg(test)]`"));
        }
        if !line.trim().is_empty() {
            before = line;
        }
    }
    if file.path == "crates/core/src/lib.rs" && !code.contains("#![no_std]") {
        problems.push(file.problem(1, "the core is `#![no_std]`"));
    }
    problems
}

#[derive(Debug, PartialEq, Eq)]
struct Function {
    name: String,
    line: usize,
    lines: usize,
}

impl Function {
    fn key(&self, file: &File) -> String {
        format!("{}::{}", file.path, self.name)
    }
}

fn long_functions(code: &str) -> Vec<Function> {
    functions(code).into_iter().filter(|f| f.lines > FUNCTION_LINES_MAX).collect()
}

/// Every function with a body, from `fn` to its last brace.
fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let name: String = code[at + 3..].chars().take_while(|c| is_word(*c)).collect();
        if code[..at].ends_with(is_word) || name.is_empty() {
            continue;
        }
        let Some(length) = body_end(&code[at..]) else { continue };
        let line = code[..at].matches('\n').count() + 1;
        let lines = code[at..at + length].matches('\n').count() + 1;
        found.push(Function { name, line, lines });
    }
    found
}

/// Where the body of the function at the start of `code` ends; `None` if it has none.
fn body_end(code: &str) -> Option<usize> {
    // `;` ends a declaration, but not inside `[u8; 4]`.
    let (mut nested, mut braces) = (0_usize, 0_usize);
    for (index, c) in code.char_indices() {
        match c {
            '(' | '[' => nested += 1,
            ')' | ']' => nested = nested.saturating_sub(1),
            ';' if braces == 0 && nested == 0 => return None,
            '{' => braces += 1,
            '}' if braces == 1 => return Some(index),
            '}' => braces = braces.saturating_sub(1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: impl Into<String>) -> File {
        File { path: path.to_owned(), text: text.into() }
    }

    fn messages(file: &File) -> Vec<String> {
        check(file).into_iter().map(|p| format!("{}: {}", p.line, p.message)).collect()
    }

    #[test]
    fn a_wide_line_is_found() {
        let text = format!("// {}\n// {}", "x".repeat(97), "é".repeat(98));
        assert_eq!(messages(&file("a.rs", text)), ["2: 101 columns, 100 at most"]);
        let text = |n| format!("let a = \"{}\"; f({});", "x".repeat(n), "y".repeat(100 - n));
        assert_eq!(messages(&file("a.rs", text(40))), ["1: 116 columns, 100 at most"]);
        assert_eq!(messages(&file("a.rs", text(60))), [""; 0]);
    }

    #[test]
    fn a_long_function_is_found() {
        let fit = format!("fn fit() {{{}\n}}", "\n    f(\"}\");".repeat(68));
        let long = format!("\n\nfn long(x: [u8; 4]) {{{}\n}}", "\n    if x {}".repeat(69));
        assert_eq!(messages(&file("a.rs", fit.clone())), [""; 0]);
        let found = messages(&file("a.rs", fit + &long));
        assert_eq!(found, ["72: `long` has 71 lines, 70 at most"]);
    }

    #[test]
    fn declarations_and_types_are_no_functions() {
        assert_eq!(functions("trait T { fn f(&self) -> [u8; 4]; } type F = fn (u8);"), []);
        let [one] = functions("fn f() { g(|| {}) }\nfn t();").try_into().expect("one");
        assert_eq!((one.name.as_str(), one.line, one.lines), ("f", 1, 1));
    }

    #[test]
    fn a_long_file_is_found() {
        let text = "//\n".repeat(801);
        assert_eq!(messages(&file("a.rs", text)), ["1: 801 lines, 800 at most: split"]);
    }

    #[test]
    fn leftovers_are_found_in_code_only() {
        let text = "f(dbg!(1));\n// todo! in words\nlet x = \"dbg!\"; not_todo!();\n\ntodo!();";
        let found = messages(&file("a.rs", text));
        assert_eq!(found, ["1: leftover `dbg!`", "5: leftover `todo!`"]);
    }

    #[test]
    fn std_in_the_core_is_for_tests() {
        let path = "crates/core/src/lib.rs";
        let good = "#![no_std]\nextern crate alloc;\n#[cfg(test)]\nextern crate std;";
        assert_eq!(messages(&file(path, good)), [""; 0]);
        let bad = good.replace("#[cfg(test)]", "");
        assert_eq!(messages(&file(path, bad)), ["4: `extern crate std` outside `#[cfg(test)]`"]);
        let hosted = good.replace("#![no_std]", "");
        assert_eq!(messages(&file(path, hosted)), ["1: the core is `#![no_std]`"]);
        assert_eq!(messages(&file("crates/sim/src/lib.rs", "extern crate std;")), [""; 0]);
    }

    #[test]
    fn an_exception_that_is_not_needed_is_found() {
        let long = file("a.rs", format!("fn long() {{{}}}", "\n".repeat(80)));
        assert_eq!(stale(std::slice::from_ref(&long), &["a.rs::long"], &[]), []);
        assert_eq!(stale(std::slice::from_ref(&long), &["a.rs::gone"], &[]).len(), 1);
        assert_eq!(stale(&[long], &[], &["a.rs"]).len(), 1);
    }
}
