use std::time::{Duration, Instant};

use pangea_core::item::{AttributeValue, ItemError};

use super::{greater, item, key, loaded, merge, merging, module, quick, saying, stamp, wasm};
use crate::wasm::limits::{VERSION_JSON_BYTES_MAX, fuel_limit};
use crate::wasm::{Fault, ModuleError, ModuleId, Modules, Trap, check};

/// Far more than any merge takes, even beside other work.
const BOUND: Duration = Duration::from_secs(30);

/// Bytes of each of those two versions as JSON.
const INPUT_BYTES: usize = 111;

/// The trap of a merge of two small versions; the same on every call, and found by the checks.
fn trapped(bytes: &[u8]) -> Trap {
    let began = Instant::now();
    let (first, fuel) = merge(bytes);
    assert!(began.elapsed() < BOUND, "it took {:?}", began.elapsed());
    let (again, fuel_again) = merge(bytes);
    assert_eq!((&first, fuel), (&again, fuel_again));
    let trap = first.expect_err("it must trap");
    assert!(trap.is_final());
    let error = check(bytes, &quick()).expect_err("the checks must find it");
    let found = error.counterexample().and_then(|example| example.trap.clone());
    assert_eq!(found.map(|found| found.code()), Some(trap.code()), "{error}");
    assert!(matches!(error, ModuleError::Traps(_)));
    trap
}

#[test]
fn loops_without_end() {
    let limit = fuel_limit(2 * INPUT_BYTES);
    let spin = merging("(loop $again (br $again)) (i64.const 0)");
    assert_eq!(trapped(&spin), Trap::OutOfFuel { limit });
    let spin = wasm(
        r#"(module (memory (export "memory") 1)
            (func (export "alloc") (param i32) (result i32) (loop $again (br $again)) (i32.const 0))
            (func (export "merge") (param i32 i32 i32 i32) (result i64) (i64.const 0)))"#,
    );
    assert_eq!(trapped(&spin), Trap::OutOfFuel { limit });
    // Work that is cheap by the operator: filling and copying.
    let fill = "(memory.fill (i32.const 0) (i32.const 1) (i32.const 65536))";
    let spin = merging(&format!("(loop $again {fill} (br $again)) (i64.const 0)"));
    assert_eq!(trapped(&spin), Trap::OutOfFuel { limit });
    let calls =
        "(func $f (local i64)) (func (export \"merge\") (param i32 i32 i32 i32) (result i64)
        (loop $again (call $f) (br $again)) (i64.const 0))";
    assert_eq!(trapped(&module(calls)), Trap::OutOfFuel { limit });
}

#[test]
fn allocates_without_end() {
    let body = "(loop $again (drop (memory.grow (i32.const 1))) (br $again)) (i64.const 0)";
    assert_eq!(trapped(&merging(body)), Trap::OutOfMemory);
    let at_once = "(drop (memory.grow (i32.const 65535))) (i64.const 0)";
    assert_eq!(trapped(&merging(at_once)), Trap::OutOfMemory);
    let table = r#"(table $t 0 funcref)
        (func (export "merge") (param i32 i32 i32 i32) (result i64)
            (loop $again
                (drop (table.grow $t (ref.null func) (i32.const 1000)))
                (br $again))
            (i64.const 0))"#;
    assert_eq!(trapped(&module(table)), Trap::OutOfMemory);
}

#[test]
fn recurses_without_end() {
    let recursion = r#"(func $f (param i32) (result i64)
            (call $f (i32.add (local.get 0) (i32.const 1))))
        (func (export "merge") (param i32 i32 i32 i32) (result i64) (call $f (i32.const 0)))"#;
    assert_eq!(trapped(&module(recursion)), Trap::StackOverflow);
    let locals = "i64 ".repeat(500);
    let wide = format!(
        r#"(func $f (result i64) (local {locals}) (call $f))
        (func (export "merge") (param i32 i32 i32 i32) (result i64) (call $f))"#
    );
    assert_eq!(trapped(&module(&wide)), Trap::StackOverflow);
}

#[test]
fn breaks_the_rules_of_webassembly() {
    for (body, fault) in [
        ("(drop (i32.load (i32.const -1))) (i64.const 0)", Fault::Memory),
        ("(drop (i32.div_u (i32.const 1) (i32.const 0))) (i64.const 0)", Fault::DivisionByZero),
        ("(drop (i32.div_s (i32.const 0x80000000) (i32.const -1))) (i64.const 0)", Fault::Overflow),
    ] {
        assert_eq!(trapped(&merging(body)), Trap::Fault(fault), "{body}");
    }
    assert_eq!(trapped(&merging("(unreachable)")), Trap::Unreachable);
    let through = |place: u32, kind: &str| {
        module(&format!(
            r#"(table 2 funcref) (func $f) (elem (i32.const 0) $f) (type $t (func {kind}))
            (func (export "merge") (param i32 i32 i32 i32) (result i64)
                (call_indirect (type $t) (i32.const {place})) (i64.const 0))"#
        ))
    };
    assert_eq!(trapped(&through(1, "")), Trap::Fault(Fault::CallToNull));
    assert_eq!(trapped(&through(2, "")), Trap::Fault(Fault::Table));
    let wrong = module(
        r#"(table 1 funcref) (func $f (result i64) (i64.const 0)) (elem (i32.const 0) $f)
        (func (export "merge") (param i32 i32 i32 i32) (result i64)
            (call_indirect (i32.const 0)) (i64.const 0))"#,
    );
    assert_eq!(trapped(&wrong), Trap::Fault(Fault::CallSignature));
}

#[test]
fn names_places_outside_of_memory() {
    let allocating = |place: i64| {
        wasm(&format!(
            r#"(module (memory (export "memory") 1)
            (func (export "alloc") (param i32) (result i32) (i32.const {place}))
            (func (export "merge") (param i32 i32 i32 i32) (result i64) (i64.const 0)))"#
        ))
    };
    assert_eq!(trapped(&allocating(-1)), Trap::BadAllocation { pointer: u32::MAX, bytes: 111 });
    assert_eq!(trapped(&allocating(65_500)), Trap::BadAllocation { pointer: 65_500, bytes: 111 });
    for (pointer, bytes) in [(u32::MAX, u32::MAX), (65_536, 1), (0, 65_537), (65_530, 7)] {
        let packed = (u64::from(pointer) << 32) | u64::from(bytes);
        let module = merging(&format!("(i64.const {packed})"));
        assert_eq!(trapped(&module), Trap::BadPointer { pointer, bytes });
    }
}

#[test]
fn returns_what_is_no_version() {
    for text in [
        "",
        "no JSON",
        "null",
        "[]",
        "{}",
        r#"{"deleted":false}"#,
        r#"{"deleted":0,"item":{}}"#,
        r#"{"deleted":false,"item":[]}"#,
        r#"{"deleted":false,"item":{"id":"k"}}"#,
        r#"{"deleted":false,"item":{"id":{"S":"k"}}} and more"#,
        r#"{"deleted":false,"item":{"id":{"S":"k"}},"note":1}"#,
        r#"{"deleted":false,"item":{"id":{"S":"k"},"n":{"N":"one"}}}"#,
        r#"{"deleted":false,"item":{"id":{"S":"k"},"s":{"SS":[]}}}"#,
        r#"{"deleted":false,"deleted":true,"item":{}}"#,
    ] {
        assert_eq!(trapped(&saying(text)).code(), "output", "{text}");
    }
    let deep = format!(
        r#"{{"deleted":false,"item":{{"id":{{"S":"k"}},"l":{}{}}}}}"#,
        r#"{"L":["#.repeat(40),
        "]}".repeat(40)
    );
    assert_eq!(trapped(&saying(&deep)).code(), "output");
    let deeper = "[".repeat(50_000);
    assert_eq!(trapped(&saying(&deeper)).code(), "output");
    let not_text = module(
        r#"(data (i32.const 16) "{\"deleted\":true,\"item\":{\"\ff\":1}}")
        (func (export "merge") (param i32 i32 i32 i32) (result i64) (i64.const 0x1000000021))"#,
    );
    assert_eq!(trapped(&not_text).code(), "output");
}

#[test]
fn returns_another_item() {
    let changed = Trap::KeyChanged("id".to_owned());
    for other in [r#"{"S":"other"}"#, r#"{"B":"aw=="}"#, r#"{"NULL":true}"#] {
        let text = format!(r#"{{"deleted":false,"item":{{"id":{other}}}}}"#);
        assert_eq!(trapped(&saying(&text)), changed, "{text}");
    }
    assert_eq!(trapped(&saying(r#"{"deleted":false,"item":{}}"#)), changed);
}

#[test]
fn returns_too_much() {
    // Within the bounds of a version's text, and beyond those of an item.
    let large = wasm(
        r#"(module (memory (export "memory") 16)
        (data (i32.const 0) "{\"deleted\":false,\"item\":{\"id\":{\"S\":\"k\"},\"x\":{\"S\":\"")
        (data $end "\"}}}")
        (func (export "alloc") (param i32) (result i32) (i32.const 900000))
        (func (export "merge") (param i32 i32 i32 i32) (result i64)
            (memory.fill (i32.const 50) (i32.const 0x78) (i32.const 500000))
            (memory.init $end (i32.const 500050) (i32.const 0) (i32.const 4))
            (i64.const 500054)))"#,
    );
    assert_eq!(trapped(&large), Trap::Illegal(ItemError::TooLarge));
    let larger = wasm(
        r#"(module (memory (export "memory") 64)
        (func (export "alloc") (param i32) (result i32) (i32.const 0))
        (func (export "merge") (param i32 i32 i32 i32) (result i64) (i64.const 4000000)))"#,
    );
    assert_eq!(trapped(&larger), Trap::OutputTooLarge { bytes: 4_000_000 });
}

#[test]
fn versions_that_are_too_large_to_be_handed_over() {
    let (modules, id) = loaded(&greater());
    let mut large = item(r#"{"id":{"S":"k"}}"#);
    // Each of these has 2 bytes in an item and 135 as JSON.
    let number = item(r#"{"n":{"N":"1e125"}}"#).remove("n").expect("it is there");
    large.insert("numbers".to_owned(), AttributeValue::L(vec![number; 20_000]));
    let small = item(r#"{"id":{"S":"k"}}"#);
    let versions = [(stamp(1), Some(&small)), (stamp(2), Some(&large))];
    let trap = modules.resolve(id, &key(), &versions).expect_err("it is too large");
    let Trap::InputTooLarge { bytes } = trap else { panic!("{trap}") };
    assert!(bytes > VERSION_JSON_BYTES_MAX);
    assert_eq!((modules.counts().resolved, modules.counts().trapped), (1, 1));
}

#[test]
fn a_module_that_is_not_here_is_no_reason_to_fall_back() {
    let (modules, id) = (Modules::default(), ModuleId([1; 32]));
    let a = item(r#"{"id":{"S":"k"}}"#);
    let versions = [(stamp(1), Some(&a)), (stamp(2), None)];
    let trap = modules.resolve(id, &key(), &versions).expect_err("there is no module");
    assert_eq!(trap, Trap::NotLoaded(id));
    assert!(!trap.is_final());
    assert_eq!(modules.counts().trapped, 0);
}
