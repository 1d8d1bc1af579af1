//! `pangea merge check` from outside, and the committed module of `examples/merge`.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::{directory, pangea};

const TARGET: &str = "wasm32-unknown-unknown";

fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/merge").join(file)
}

/// Writes a module with this `merge` and returns its path.
fn module(merge: &str) -> String {
    let text = format!(
        r#"(module (memory (export "memory") 1)
        (func (export "alloc") (param $length i32) (result i32)
            (global.set $top (i32.add (global.get $top) (local.get $length)))
            (i32.sub (global.get $top) (local.get $length)))
        (global $top (mut i32) (i32.const 1024))
        (func (export "merge") (param $a i32) (param $an i32) (param $b i32) (param $bn i32)
            (result i64) {merge}))"#
    );
    let path = Path::new(&directory()).join("merge.wasm");
    let bytes = wat::parse_str(text).expect("it is a module");
    std::fs::write(&path, bytes).expect("the directory for tests is writable");
    path.display().to_string()
}

/// The exit code and what was printed.
fn check(path: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let output = pangea(&[&["merge", "check", path], more].concat());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_merge_function_is_accepted_with_its_figures() {
    let path = example("cart.wasm").display().to_string();
    let (code, said, remarks) = check(&path, &["--cases", "20"]);
    assert_eq!((code, remarks.as_str()), (Some(0), ""), "{said}");
    let bytes = std::fs::read(&path).expect("it is committed");
    let id = pangea::wasm::ModuleId::of(&bytes);
    for line in [
        format!("module      {id}"),
        "attributes  lines:M coupons:SS".to_owned(),
        "holds       totality, idempotence, commutativity, associativity".to_owned(),
        "tried       20 triples of versions, 340 merges".to_owned(),
    ] {
        assert!(said.lines().any(|said| said == line), "{line}\n{said}");
    }
    let (code, said, _) = check(&path, &["--cases", "20", "--output", "json"]);
    let said = json(&said);
    assert_eq!((code, &said["accepted"], &said["merges"]), (Some(0), &true.into(), &340.into()));
    assert_eq!(said["module"], id.to_string());
}

#[test]
fn a_broken_law_is_shown_by_a_small_counterexample() {
    // The first version, whatever the second is.
    let first = module(
        r"(i64.or (i64.shl (i64.extend_i32_u (local.get $a)) (i64.const 32))
            (i64.extend_i32_u (local.get $an)))",
    );
    let (code, said, remarks) = check(&first, &[]);
    assert_eq!(code, Some(1), "{said}");
    let headline =
        "refused  the merge function breaks commutativity: merge(a, b) should be merge(b, a)";
    assert_eq!(said.lines().next(), Some(headline));
    let names: Vec<&str> = said.lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(names[1..], ["", "a", "", "b", "", "merge(a, b)", "", "merge(b, a)"]);
    assert_eq!(remarks, "");
    let (code, said, _) = check(&first, &["--output", "json"]);
    let said = json(&said);
    assert_eq!((code, said["law"].as_str()), (Some(1), Some("commutativity")));
    let shown = &said["counterexample"];
    assert_eq!(shown["merge(a, b)"]["item"], shown["a"]["item"]);
    assert_ne!(shown["merge(b, a)"]["item"], shown["a"]["item"]);
}

#[test]
fn a_trap_is_shown_by_its_inputs_and_a_wrong_file_is_refused() {
    let (code, said, _) = check(&module("(unreachable)"), &["--output", "json"]);
    let said = json(&said);
    assert_eq!((code, said["trap"]["code"].as_str()), (Some(1), Some("unreachable")));
    assert_eq!(said["counterexample"]["a"]["stamp"]["ms"], 1);
    let manifest = example("Cargo.toml").display().to_string();
    let (code, said, _) = check(&manifest, &[]);
    assert_eq!(code, Some(1));
    assert!(said.starts_with("refused  not a WebAssembly module"), "{said}");
}

/// Needs the target: `rustup target add wasm32-unknown-unknown`.
#[test]
fn the_committed_module_is_what_the_source_builds() {
    let rustc = Path::new(env!("CARGO")).with_file_name("rustc");
    let libraries = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .expect("the compiler runs");
    let libraries = String::from_utf8_lossy(&libraries.stdout).trim().to_owned();
    if !Path::new(&libraries).exists() {
        eprintln!("not compared: the target {TARGET} is not installed");
        return;
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("merge-example");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--offline", "--target", TARGET])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(example(""))
        .env_remove("RUSTFLAGS")
        .output()
        .expect("cargo runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let built = target.join(TARGET).join("release/pangea_merge_cart.wasm");
    let built = std::fs::read(built).expect("it was built");
    let committed = std::fs::read(example("cart.wasm")).expect("it is committed");
    assert!(built == committed, "build it as examples/merge/README.md says, and review the change");
}
