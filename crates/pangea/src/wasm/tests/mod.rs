//! Modules as text, and what becomes of them.

mod document;
mod garbage;
mod laws;
mod refused;
mod resolved;
mod trapped;

use std::collections::BTreeMap;

use pangea_codec::dynamo::decode_attributes;
use pangea_core::id::{Origin, RegionSlot};
use pangea_core::item::{AttributeValue, Attributes};
use pangea_core::time::{Hlc, Stamp};

use super::{Checks, ModuleId, Modules, Trap};

/// The module of `examples/merge`.
const CART: &[u8] = include_bytes!("../../../../../examples/merge/cart.wasm");

fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A module with a memory and an `alloc` that hands out what comes next, from 4,096 on.
fn module(rest: &str) -> Vec<u8> {
    wasm(&format!(
        r#"(module
            (memory (export "memory") 1)
            (global $top (mut i32) (i32.const 4096))
            (func (export "alloc") (param $length i32) (result i32)
                (local $place i32)
                (local.set $place (global.get $top))
                (global.set $top (i32.add (global.get $top) (local.get $length)))
                (local.get $place))
            {rest})"#
    ))
}

/// A module whose `merge` has this body; `$a`, `$an`, `$b`, `$bn` are its parameters.
fn merging(body: &str) -> Vec<u8> {
    module(&format!(
        r#"(func $pack (param $pointer i32) (param $length i32) (result i64)
                (i64.or (i64.shl (i64.extend_i32_u (local.get $pointer)) (i64.const 32))
                    (i64.extend_i32_u (local.get $length))))
            (func (export "merge")
                (param $a i32) (param $an i32) (param $b i32) (param $bn i32) (result i64)
                {body})"#
    ))
}

/// A module that returns this text, whatever its inputs.
fn saying(text: &str) -> Vec<u8> {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    module(&format!(
        r#"(data (i32.const 16) "{escaped}")
            (func (export "merge") (param i32 i32 i32 i32) (result i64)
                (i64.const {}))"#,
        (16u64 << 32) | text.len() as u64
    ))
}

/// A comparison of two texts, byte by byte: negative, zero or positive.
const COMPARE: &str = r#"
    (func $compare (param $a i32) (param $an i32) (param $b i32) (param $bn i32) (result i32)
        (local $at i32) (local $difference i32)
        (loop $next
            (if (i32.and (i32.lt_u (local.get $at) (local.get $an))
                         (i32.lt_u (local.get $at) (local.get $bn)))
                (then
                    (local.set $difference
                        (i32.sub (i32.load8_u (i32.add (local.get $a) (local.get $at)))
                                 (i32.load8_u (i32.add (local.get $b) (local.get $at)))))
                    (local.set $at (i32.add (local.get $at) (i32.const 1)))
                    (br_if $next (i32.eqz (local.get $difference)))
                    (return (local.get $difference)))))
        (i32.sub (local.get $an) (local.get $bn)))
    (func $pack (param $pointer i32) (param $length i32) (result i64)
        (i64.or (i64.shl (i64.extend_i32_u (local.get $pointer)) (i64.const 32))
            (i64.extend_i32_u (local.get $length))))"#;

/// The version that is greater as text. Items come before stamps there, so items decide.
fn greater() -> Vec<u8> {
    module(&format!(
        r#"{COMPARE}
        (func (export "merge") (param $a i32) (param $an i32) (param $b i32) (param $bn i32)
            (result i64)
            (if (result i64)
                (i32.lt_s (call $compare (local.get $a) (local.get $an) (local.get $b)
                    (local.get $bn)) (i32.const 0))
                (then (call $pack (local.get $b) (local.get $bn)))
                (else (call $pack (local.get $a) (local.get $an)))))"#
    ))
}

/// The version with the greater `score`, a whole number; without one it is the least of all. Where
/// scores are equal, the version that is greater as text.
fn greatest_score() -> Vec<u8> {
    module(&format!(
        r#"{COMPARE}
        (@custom "pangea.attributes" "score:N")
        (data (i32.const 16) "\"score\":{{\"N\":\"")
        ;; Where the digits of the score begin, or the end of the text.
        (func $score (param $at i32) (param $length i32) (result i32)
            (local $end i32)
            (local.set $end (i32.add (local.get $at) (local.get $length)))
            (loop $next
                (if (i32.lt_u (i32.add (local.get $at) (i32.const 14)) (local.get $end))
                    (then
                        (if (i32.eqz (call $compare (local.get $at) (i32.const 14)
                                (i32.const 16) (i32.const 14)))
                            (then (return (i32.add (local.get $at) (i32.const 14)))))
                        (local.set $at (i32.add (local.get $at) (i32.const 1)))
                        (br $next))))
            (local.get $end))
        ;; How many bytes there are from there to the next quote.
        (func $digits (param $at i32) (param $end i32) (result i32)
            (local $count i32)
            (loop $next
                (if (i32.lt_u (i32.add (local.get $at) (local.get $count)) (local.get $end))
                    (then (if (i32.ne (i32.const 34)
                            (i32.load8_u (i32.add (local.get $at) (local.get $count))))
                        (then
                            (local.set $count (i32.add (local.get $count) (i32.const 1)))
                            (br $next))))))
            (local.get $count))
        (func (export "merge") (param $a i32) (param $an i32) (param $b i32) (param $bn i32)
            (result i64)
            (local $sa i32) (local $sb i32) (local $da i32) (local $db i32) (local $order i32)
            (local.set $sa (call $score (local.get $a) (local.get $an)))
            (local.set $sb (call $score (local.get $b) (local.get $bn)))
            (local.set $da (call $digits (local.get $sa) (i32.add (local.get $a) (local.get $an))))
            (local.set $db (call $digits (local.get $sb) (i32.add (local.get $b) (local.get $bn))))
            ;; More digits, then greater digits, then the greater text.
            (local.set $order (i32.sub (local.get $da) (local.get $db)))
            (if (i32.eqz (local.get $order)) (then (local.set $order
                (call $compare (local.get $sa) (local.get $da) (local.get $sb) (local.get $db)))))
            (if (i32.eqz (local.get $order)) (then (local.set $order
                (call $compare (local.get $a) (local.get $an) (local.get $b) (local.get $bn)))))
            (if (result i64) (i32.lt_s (local.get $order) (i32.const 0))
                (then (call $pack (local.get $b) (local.get $bn)))
                (else (call $pack (local.get $a) (local.get $an)))))"#
    ))
}

fn item(json: &str) -> Attributes {
    decode_attributes(json.as_bytes()).expect("it is an item")
}

fn stamp(ms: u64) -> Stamp {
    let slot = RegionSlot::new(1).expect("there is a second region");
    Stamp { hlc: Hlc::from_parts(ms, 0), origin: Origin::new(slot, 0) }
}

fn key() -> Attributes {
    BTreeMap::from([("id".to_owned(), AttributeValue::S("k".to_owned()))])
}

fn loaded(bytes: &[u8]) -> (Modules, ModuleId) {
    let (modules, id) = (Modules::default(), ModuleId::of(bytes));
    modules.add(id, bytes).unwrap_or_else(|error| panic!("{error}"));
    (modules, id)
}

/// Merges two small versions: what becomes of it, and its fuel.
fn merge(bytes: &[u8]) -> (Result<Option<Attributes>, Trap>, u64) {
    let (modules, id) = loaded(bytes);
    let a = item(r#"{"id":{"S":"k"},"x":{"N":"1"}}"#);
    let b = item(r#"{"id":{"S":"k"},"x":{"N":"2"}}"#);
    modules.resolve_with_fuel(id, &key(), &[(stamp(1), Some(&a)), (stamp(2), Some(&b))])
}

/// Fewer cases than an upload gets, for the unoptimised build.
fn quick() -> Checks {
    Checks { cases: 64, ..Checks::default() }
}
