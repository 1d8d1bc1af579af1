//! Every text: links that lead somewhere, nothing of one machine, nothing left unfinished.

use super::{File, Problem};

/// Roots that exist on one machine only. Spelled in halves, or this file would break its rule.
const FOREIGN_ROOTS: [&str; 2] = [concat!("/wo", "rk"), concat!("/ro", "ot")];

/// Package hosts: what is installed comes through the clients' own settings.
const HOSTS: [&str; 7] = [
    concat!("py", "pi.org"),
    concat!("python", "hosted.org"),
    concat!("deb.", "debian.org"),
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("registry.", "npmjs.org"),
    concat!("proxy.", "golang.org"),
];

const UNFINISHED: [&str; 3] =
    [concat!("FIX", "ME"), concat!("<<<<", "<<<"), concat!(">>>>", ">>>")];

/// Relative links of a Markdown file lead to something in the repository.
pub(super) fn links(file: &File, exists: impl Fn(&str) -> bool) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut fenced = false;
    for (index, line) in file.text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for target in targets(line) {
            let there = resolve(&file.path, target).is_some_and(|path| exists(&path));
            if !there {
                problems.push(file.problem(index + 1, format!("link to nothing: {target}")));
            }
        }
    }
    problems
}

/// Link targets in a line that stay in the repository, without their anchors.
fn targets(line: &str) -> Vec<&str> {
    let starts = line.match_indices("](").map(|(at, _)| &line[at + 2..]);
    let inside = starts.filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    inside
        .map(|target| target.split_once('#').map_or(target, |(path, _)| path).trim())
        .filter(|target| !target.is_empty() && !target.contains(':'))
        .collect()
}

/// `target` seen from `from`, as a path from the root; `None` if it leaves the repository.
fn resolve(from: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// No path or host that only some machines have.
pub(super) fn portable(file: &File) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let root = FOREIGN_ROOTS.into_iter().find(|root| is_rooted(line, root));
        let host = HOSTS.into_iter().find(|host| line.contains(host));
        if let Some(found) = root.or(host) {
            problems.push(file.problem(index + 1, format!("of one machine only: {found}")));
        }
    }
    problems
}

/// Whether an absolute path below `root` stands in `line`.
fn is_rooted(line: &str, root: &str) -> bool {
    line.match_indices(root).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + root.len()..].chars().next();
        let starts = !before.is_some_and(|c| c.is_alphanumeric() || "._-/}{)]*".contains(c));
        starts && after.is_none_or(|c| !c.is_alphanumeric() && !"._-".contains(c))
    })
}

/// Nothing that was to be put right before the commit.
pub(super) fn finished(file: &File) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        if let Some(found) = UNFINISHED.into_iter().find(|word| line.contains(word)) {
            problems.push(file.problem(index + 1, format!("leftover `{found}`")));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: impl Into<String>) -> File {
        File { path: path.to_owned(), text: text.into() }
    }

    #[test]
    fn a_link_to_nothing_is_found() {
        let text = "[a](b.md#x) [c](../README.md) ![d](gone.png) [e](https://x.y/z) [f](#g)\n\
                    ```\n[h](not-a-link)\n```\n[i](../../outside.md)";
        let known = ["docs/b.md", "README.md"];
        let problems = links(&file("docs/a.md", text), |path| known.contains(&path));
        let found: Vec<_> = problems.iter().map(|p| (p.line, p.message.as_str())).collect();
        let expected = [(1, "link to nothing: gone.png"), (5, "link to nothing: ../../outside.md")];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_path_of_one_machine_is_found() {
        let found = |text: String| portable(&file("a.sh", text)).len();
        for root in FOREIGN_ROOTS {
            assert_eq!(found(format!("cd {root}/shared")), 1);
            assert_eq!(found(format!("dir = \"{root}\"")), 1);
            assert_eq!(found(format!("see frame{root}/x and {root}s and ..{root}")), 0);
        }
        for host in HOSTS {
            assert_eq!(found(format!("pip install --index-url https://{host}/simple")), 1);
        }
    }

    #[test]
    fn leftovers_are_found_everywhere() {
        for word in UNFINISHED {
            assert_eq!(finished(&file("a.py", format!("# {word} later"))).len(), 1);
        }
        assert_eq!(finished(&file("a.py", "# later")), []);
    }
}
