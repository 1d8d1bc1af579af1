//! Manifests: every package is held to the lints of the house.

use super::{File, Problem};

pub(super) fn check(file: &File) -> Vec<Problem> {
    let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
    let has = |header: &str| lines.contains(&header);
    // A package outside the workspace cannot inherit: it repeats the floor of the house.
    let good = !has("[package]")
        || inherits(&lines)
        || (has("[workspace]") && has("[lints.rust]") && has("[lints.clippy]"));
    if good {
        return Vec::new();
    }
    vec![file.problem(1, "package without the house's lints: [lints] workspace = true")]
}

fn inherits(lines: &[&str]) -> bool {
    let section = lines.iter().skip_while(|line| **line != "[lints]").skip(1);
    section.take_while(|line| !line.starts_with('[')).any(|line| *line == "workspace = true")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(text: &str) -> bool {
        check(&File { path: "x/Cargo.toml".to_owned(), text: text.to_owned() }).is_empty()
    }

    #[test]
    fn a_package_inherits_the_lints() {
        assert!(good("[package]\nname = 'a'\n[lints]\nworkspace = true\n[dependencies]"));
        assert!(good("[workspace]\nmembers = []"));
        assert!(!good("[package]\nname = 'a'"));
        assert!(!good("[package]\nname = 'a'\n[lints]\n[dependencies]\nworkspace = true"));
    }

    #[test]
    fn a_package_outside_repeats_them() {
        assert!(good("[package]\n[workspace]\n[lints.rust]\n[lints.clippy]"));
        assert!(!good("[package]\n[workspace]\n[lints.rust]"));
    }
}
