use std::time::{Duration, Instant};

use pangea_core::catalog::function::Functions;

use super::{CART, greater, item, key, module, saying, stamp, wasm};
use crate::wasm::limits::{
    ELEMENTS_MAX, EXPORTS_MAX, FUNCTION_LOCALS_MAX, MODULE_BYTES_MAX, TABLE_ENTRIES_MAX,
};
use crate::wasm::{Fault, ModuleError, ModuleId, Modules, Trap};

/// Far more than any refusal takes, even beside other work.
const BOUND: Duration = Duration::from_secs(30);

/// The error of a module that must not be accepted, by a check nor by loading it.
fn refused(bytes: &[u8]) -> ModuleError {
    let began = Instant::now();
    let error = Modules::check(bytes).expect_err("it must be refused");
    assert!(began.elapsed() < BOUND, "{error}: it took {:?}", began.elapsed());
    let modules = Modules::default();
    assert_eq!(modules.add(ModuleId::of(bytes), bytes).as_ref(), Err(&error));
    assert!(!modules.holds(ModuleId::of(bytes)));
    error
}

const EXPORTS: &str = r#"
    (memory (export "memory") 1)
    (func (export "alloc") (param i32) (result i32) (i32.const 0))
    (func (export "merge") (param i32 i32 i32 i32) (result i64) (i64.const 0))"#;

/// A module that is well, but for what is added.
fn with(rest: &str) -> Vec<u8> {
    wasm(&format!("(module {rest} {EXPORTS})"))
}

#[test]
fn an_import_of_anything() {
    for import in [
        r#"(import "env" "now" (func (result i64)))"#,
        r#"(import "env" "now" (memory 1))"#,
        r#"(import "env" "now" (global i32))"#,
        r#"(import "env" "now" (table 1 funcref))"#,
    ] {
        let error = refused(&wasm(&format!("(module {import})")));
        let (module, name) = ("env".to_owned(), "now".to_owned());
        assert_eq!(error, ModuleError::Import { module, name });
    }
    let random = r#"(import "wasi_snapshot_preview1" "random_get" (func))"#;
    assert_eq!(refused(&with(random)).code(), "import");
}

#[test]
fn floats_anywhere() {
    for floats in [
        "(func (local f64))",
        "(func (param f32))",
        "(func (drop (f64.const 1)))",
        "(func (drop (f32.load (i32.const 0))))",
        "(func (param i32) (drop (f32.reinterpret_i32 (local.get 0))))",
        "(global f64 (f64.const 1))",
        "(type (func (result f64)))",
        "(func (drop (i64.trunc_sat_f64_s (f64.const 1))))",
    ] {
        let error = refused(&with(floats));
        assert!(matches!(error, ModuleError::Floats(_)), "{floats}: {error:?}");
    }
}

#[test]
fn exports_that_are_missing_or_something_else() {
    let alloc = r#"(func (export "alloc") (param i32) (result i32) (i32.const 0))"#;
    let merge = r#"(func (export "merge") (param i32 i32 i32 i32) (result i64) (i64.const 0))"#;
    let memory = r#"(memory (export "memory") 1)"#;
    for (text, code, named) in [
        (format!("{alloc} {merge}"), "missing_export", "memory"),
        (format!("(memory 1) {alloc} {merge}"), "missing_export", "memory"),
        (format!("{memory} {merge}"), "missing_export", "alloc"),
        (format!("{memory} {alloc}"), "missing_export", "merge"),
        (format!("{alloc} {merge} (func (export \"memory\"))"), "wrong_export", "memory"),
        (
            format!("{memory} {merge} (global (export \"alloc\") i32 (i32.const 0))"),
            "wrong_export",
            "alloc",
        ),
        (
            format!(
                "{memory} {merge} (func (export \"alloc\") (param i64) (result i32) (i32.const 0))"
            ),
            "wrong_export",
            "alloc",
        ),
        (
            format!("{memory} {merge} (func (export \"alloc\") (param i32))"),
            "wrong_export",
            "alloc",
        ),
        (
            format!(
                "{memory} {alloc} (func (export \"merge\") (param i32 i32 i32 i32) (result i32) (i32.const 0))"
            ),
            "wrong_export",
            "merge",
        ),
        (
            format!(
                "{memory} {alloc} (func (export \"merge\") (param i32 i32 i32) (result i64) (i64.const 0))"
            ),
            "wrong_export",
            "merge",
        ),
        (format!("{memory} {alloc} (table (export \"merge\") 1 funcref)"), "wrong_export", "merge"),
    ] {
        let error = refused(&wasm(&format!("(module {text})")));
        assert_eq!(error.code(), code, "{text}: {error}");
        assert!(error.to_string().contains(&format!("`{named}`")), "{text}: {error}");
    }
}

#[test]
fn more_than_a_module_may_have() {
    let large = vec![0; MODULE_BYTES_MAX + 1];
    assert_eq!(refused(&large), ModuleError::TooLarge { bytes: large.len() });
    let padding = "x".repeat(MODULE_BYTES_MAX);
    let large = with(&format!(r#"(@custom "padding" "{padding}")"#));
    assert_eq!(refused(&large), ModuleError::TooLarge { bytes: large.len() });

    let locals = format!("(func (local {}))", "i64 ".repeat(513));
    let memory = r#"(module (memory (export "memory") 257)
        (func (export "alloc") (param i32) (result i32) (i32.const 0))
        (func (export "merge") (param i32 i32 i32 i32) (result i64) (i64.const 0)))"#;
    let exports: String = (0..64).map(|n| format!("(func (export \"f{n}\"))")).collect();
    let elements = format!("(func $f) (elem declare func {})", "$f ".repeat(10_001));
    let declared = format!(r#"(@custom "pangea.attributes" "{}")"#, "a ".repeat(65));
    for (bytes, what, count, max) in [
        (with(&locals), "locals in one function", 513, FUNCTION_LOCALS_MAX),
        (wasm(memory), "pages of memory", 257, 256),
        (with(&exports), "exports", 67, u64::from(EXPORTS_MAX)),
        (with("(table 0 funcref) (table 0 funcref) (table 0 funcref)"), "tables", 3, 2),
        (with(&elements), "members of element segments", 10_001, ELEMENTS_MAX),
        (with(&declared), "declared attributes", 65, 64),
    ] {
        assert_eq!(refused(&bytes), ModuleError::TooMany { what, count, max });
    }
}

#[test]
fn what_runs_or_fails_before_the_first_merge() {
    let start = "(func $spin (loop $again (br $again))) (start $spin)";
    assert_eq!(refused(&with(start)), ModuleError::StartFunction);
    let memory = ModuleError::Instantiation(Trap::Fault(Fault::Memory));
    assert_eq!(refused(&with(r#"(data (i32.const 65535) "ab")"#)), memory);
    assert_eq!(refused(&with(r#"(data (i32.const -1) "a")"#)), memory);
    let element = "(table 1 funcref) (func $f) (elem (i32.const 1) $f)";
    let table = ModuleError::Instantiation(Trap::Fault(Fault::Table));
    assert_eq!(refused(&with(element)), table);
    let entries = TABLE_ENTRIES_MAX + 1;
    let large = refused(&with(&format!("(table {entries} funcref)")));
    assert_eq!(large, ModuleError::Instantiation(Trap::OutOfMemory));
}

#[test]
fn what_is_no_module_of_this_kind() {
    let malformed = |bytes: &[u8]| {
        let error = refused(bytes);
        assert!(matches!(error, ModuleError::Malformed(_)), "{error:?}");
    };
    malformed(b"");
    malformed(b"\0asm");
    malformed(b"\0asm\x02\0\0\0");
    malformed(b"{\"a module\": false}");
    malformed(&greater()[..100]);
    malformed(b"\0asm\x0d\0\x01\0"); // A component.
    let merge = r#"(func (export "merge") (param i32 i32 i32 i32) (result i64)"#;
    for text in [
        // Memories of 64 bits, several memories, threads, vectors, tail calls, exceptions.
        r#"(memory (export "memory") i64 1)"#.to_owned(),
        "(memory 1) (memory 1)".to_owned(),
        "(memory 1 1 shared)".to_owned(),
        format!("{merge} (drop (v128.const i64x2 0 0)) (i64.const 0))"),
        format!("(func $f {} (return_call $f))", "(result i64)"),
        "(tag)".to_owned(),
        format!("{merge} (i32.const 0))"),
    ] {
        malformed(&wasm(&format!("(module {text})")));
    }
}

#[test]
fn a_declaration_that_cannot_be_read() {
    for section in ["stock:Z", ":N", r"\ff"] {
        let error = refused(&with(&format!(r#"(@custom "pangea.attributes" "{section}")"#)));
        assert!(matches!(error, ModuleError::Declaration(_)), "{section}: {error:?}");
    }
}

#[test]
fn bytes_under_another_name() {
    let (expected, found) = (ModuleId([7; 32]), ModuleId::of(CART));
    let error = Modules::default().add(expected, CART);
    assert_eq!(error, Err(ModuleError::OtherModule { expected, found }));
}

#[test]
fn more_modules_than_there_is_room_for() {
    let modules = Modules::default();
    let add = |number: usize| {
        let bytes = saying(&number.to_string());
        modules.add(ModuleId::of(&bytes), &bytes).map(|()| ModuleId::of(&bytes))
    };
    let max = crate::wasm::limits::MODULES_MAX;
    let first = add(0).expect("there is room");
    for number in 1..max {
        add(number).expect("there is room");
    }
    assert_eq!(add(max), Err(ModuleError::Full { max }));
    assert_eq!(add(0), Ok(first), "it is there already");
    modules.retain(|id| id != first);
    assert!(!modules.holds(first));
    add(max).expect("there is room again");

    // What tables bring is compiled again when it is needed: room decides nothing that is seen.
    let brought = Modules::module(&greater());
    assert!(!modules.holds(ModuleId(brought.id)));
    let (a, b) = (item(r#"{"id":{"S":"k"},"v":{"S":"a"}}"#), item(r#"{"id":{"S":"k"}}"#));
    let versions = [(stamp(1), Some(&a)), (stamp(2), Some(&b))];
    let made = Functions::resolve(&modules, &brought, &key(), &versions);
    assert!(modules.holds(ModuleId(brought.id)));
    assert_eq!(made, Ok(Some(b)), "the greater of the two as text");
}

#[test]
fn compiling_takes_bounded_time() {
    let deep = 80_000;
    let nested = format!("(func {}{})", "block ".repeat(deep), "end ".repeat(deep));
    let straight = format!("(func {})", "i32.const 1 drop ".repeat(80_000));
    // Functions of more than 40 bytes each: the interpreter refuses many that are smaller.
    let function = format!("(func (local {}) {})", "i64 ".repeat(512), "nop ".repeat(40));
    for text in [nested, straight, function.repeat(4_000)] {
        let bytes = with(&text);
        assert!(bytes.len() < MODULE_BYTES_MAX, "{}", bytes.len());
        let began = Instant::now();
        drop(Modules::default().add(ModuleId::of(&bytes), &bytes));
        assert!(began.elapsed() < BOUND, "it took {:?}", began.elapsed());
    }
}

#[test]
fn a_refusal_says_what_to_do() {
    let import = refused(&wasm(r#"(module (import "env" "now" (func)))"#)).to_string();
    assert!(import.contains("imports `env` `now`") && import.contains("alone"), "{import}");
    let unreachable =
        module(r#"(func (export "merge") (param i32 i32 i32 i32) (result i64) unreachable)"#);
    let text = Modules::check(&unreachable).expect_err("it traps").to_string();
    assert!(text.contains("a panic or a failed assertion") && text.contains("\"a\":"), "{text}");
}
