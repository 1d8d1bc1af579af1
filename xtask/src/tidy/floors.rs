//! Who may know whom: what `cargo tree` shows against what ARCHITECTURE.md promises.

use std::collections::BTreeSet;

use crate::say;
use crate::shell::{self, Failure, cargo};

/// Everything the core may be made of, itself included. A new name here is a decision.
const CORE_ALLOWED: [&str; 7] =
    ["pangea-core", "proc-macro2", "quote", "syn", "thiserror", "thiserror-impl", "unicode-ident"];

/// What may not be below a package: the neighbours it must not know, and what does IO.
const BANNED: [(&str, &[&str]); 2] = [
    ("pangea-codec", &["pangea", "pangea-sim", "tokio", "hyper", "mio", "redb", "socket2"]),
    ("pangea-sim", &["pangea", "pangea-codec", "tokio", "hyper", "mio", "redb", "socket2"]),
];

/// Whether the floors hold; prints where they do not.
pub(crate) fn run() -> Result<bool, Failure> {
    let mut problems = unexpected(&below("pangea-core")?, &CORE_ALLOWED);
    for (package, banned) in BANNED {
        problems.extend(forbidden(package, &below(package)?, banned));
    }
    let above = ["tree", "--workspace", "-e", "normal,build,dev", "--prefix", "depth", "-i"];
    let above = shell::output(&mut cargo(&[above.as_slice(), &["pangea"]].concat()))?;
    problems.extend(dependents("pangea", &names(&above)));
    for problem in &problems {
        say::problem(problem);
    }
    Ok(problems.is_empty())
}

/// Names of a package and of all that is compiled into it on any target.
fn below(package: &str) -> Result<BTreeSet<String>, Failure> {
    let tree = ["tree", "-e", "normal", "--prefix", "none", "--target", "all", "-p", package];
    Ok(names(&shell::output(&mut cargo(&tree))?))
}

/// The first word of each line, without the depth before it.
fn names(tree: &str) -> BTreeSet<String> {
    let words = tree.lines().filter_map(|line| line.split_whitespace().next());
    let names = words.map(|word| word.trim_start_matches(|c: char| c.is_ascii_digit()));
    names.filter(|name| !name.starts_with('[')).map(str::to_owned).collect()
}

fn unexpected(found: &BTreeSet<String>, allowed: &[&str]) -> Vec<String> {
    let allowed: BTreeSet<String> = allowed.iter().map(|name| (*name).to_owned()).collect();
    let more = found.difference(&allowed).map(|name| format!("pangea-core may not use {name}"));
    let less = allowed.difference(found).map(|name| format!("{name} is allowed in vain"));
    more.chain(less).collect()
}

fn forbidden(package: &str, found: &BTreeSet<String>, banned: &[&str]) -> Vec<String> {
    let broken = banned.iter().filter(|name| found.contains(**name));
    broken.map(|name| format!("{package} may not know {name}")).collect()
}

fn dependents(package: &str, above: &BTreeSet<String>) -> Vec<String> {
    let others = above.iter().filter(|name| *name != package);
    others.map(|name| format!("{name} may not know {package}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "pangea-core v0.1.0 (/x/crates/core)\nthiserror v2.0.21\n\
                        thiserror-impl v2.0.21 (proc-macro)\n[dev-dependencies]\nsyn v3.0.0 (*)\n";

    #[test]
    fn packages_are_read_from_a_tree() {
        let names = names(TREE);
        assert_eq!(names.len(), 4);
        assert!(names.contains("thiserror-impl"));
        assert_eq!(super::names("0pangea v0.1.0 (/x)\n1xtask v0.1.0").len(), 2);
    }

    #[test]
    fn a_new_dependency_of_the_core_is_found() {
        let allowed = ["pangea-core", "thiserror", "thiserror-impl", "syn"];
        assert_eq!(unexpected(&names(TREE), &allowed), [""; 0]);
        assert_eq!(unexpected(&names(TREE), &allowed[..3]), ["pangea-core may not use syn"]);
        let more = [allowed.as_slice(), &["rand"]].concat();
        assert_eq!(unexpected(&names(TREE), &more), ["rand is allowed in vain"]);
    }

    #[test]
    fn a_forbidden_neighbour_is_found() {
        let found = forbidden("pangea-sim", &names(TREE), &["tokio", "syn"]);
        assert_eq!(found, ["pangea-sim may not know syn"]);
    }

    #[test]
    fn whoever_depends_on_the_binary_is_found() {
        assert_eq!(dependents("pangea", &names("0pangea v0.1.0")), [""; 0]);
        let found = dependents("pangea", &names("0pangea v0.1.0\n1pangea-sim v0.1.0"));
        assert_eq!(found, ["pangea-sim may not know pangea"]);
    }
}
