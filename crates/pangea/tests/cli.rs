//! The words of the command line: help, usage errors, exit codes.

mod support;

use std::fmt::Write as _;
use std::path::Path;

use support::pangea;

const COMMANDS: [&[&str]; 21] = [
    &["--help"],
    &["up", "--help"],
    &["status", "--help"],
    &["process", "--help"],
    &["conflicts", "list", "--help"],
    &["link", "cut", "--help"],
    &["clock", "set", "--help"],
    &["disk", "--help"],
    &["merge", "check", "--help"],
    &["experiment", "--help"],
    &["experiment", "run", "--help"],
    &["sim", "--help"],
    &["config", "--help"],
    &["region", "--help"],
    &["config", "check"],
    &["config", "check", "-f", "/no/such/file.toml"],
    &["merge", "check", "/no/such/file.wasm"],
    &["merge", "check", "x.wasm", "--attribute", "stock:Z"],
    &["upp"],
    &["status", "--output", "xml"],
    &["status", "--data-dir", "/no/such/directory", "-f", "tests/golden/nobody.toml"],
];

/// `UPDATE_GOLDEN=1 cargo test -p pangea --test cli` rewrites the transcript.
#[test]
fn help_and_usage_errors_are_as_reviewed() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = directory.join("tests/golden/cli.txt");
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    let mut said = String::new();
    for arguments in COMMANDS {
        let output = pangea(arguments);
        let code = output.status.code().expect("it was not killed");
        writeln!(said, "$ pangea {}", arguments.join(" ")).expect("writes to memory");
        said += &String::from_utf8_lossy(&output.stdout);
        said += &String::from_utf8_lossy(&output.stderr);
        write!(said, "[exit code {code}]\n\n").expect("writes to memory");
    }
    let lines: Vec<&str> = said.lines().map(str::trim_end).collect();
    let said = lines.join("\n") + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &said).expect("the golden file is writable");
        return;
    }
    for (number, (said, golden)) in said.lines().zip(golden.lines()).enumerate() {
        let line = number + 1;
        assert_eq!(said, golden, "line {line}: run with UPDATE_GOLDEN=1 and review the difference");
    }
    assert_eq!(said.len(), golden.len(), "run with UPDATE_GOLDEN=1 and review the difference");
}

#[test]
fn the_effective_topology_is_a_topology() {
    let printed = pangea(&["config", "print"]);
    assert!(printed.status.success());
    let file = support::write(&support::directory(), &String::from_utf8_lossy(&printed.stdout));
    let again = pangea(&["config", "print", "-f", &file]);
    assert_eq!(printed.stdout, again.stdout);
    let json = pangea(&["config", "print", "--output", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("it is JSON");
    assert_eq!(json["region"][0]["dynamodb"], "127.0.0.1:8101");
}

#[test]
fn completions_exist_for_the_common_shells() {
    for shell in ["bash", "zsh", "fish"] {
        let output = pangea(&["completions", shell]);
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains("region"), "{shell}");
    }
}
