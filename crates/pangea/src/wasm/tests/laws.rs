use super::{CART, COMPARE, greater, greatest_score, merging, module, quick, saying};
use crate::wasm::{Checks, Counterexample, Declaration, Law, ModuleError, Modules, check};

/// The counterexample of a module that breaks a law.
fn broken(bytes: &[u8], law: Law) -> Counterexample {
    let error = check(bytes, &Checks::default()).expect_err("it breaks a law");
    assert_eq!(error.code(), law.as_str(), "{error}");
    let ModuleError::Law(example) = error else { panic!("{error}") };
    assert_eq!(example.law, law);
    *example
}

#[test]
fn selecting_the_greater_of_two_holds_all_laws() {
    for bytes in [greater(), greatest_score()] {
        let report = check(&bytes, &quick()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(report.calls, 17 * u64::from(report.cases));
        assert!(report.fuel_max > 0 && report.fuel >= report.fuel_max);
        assert_eq!(check(&bytes, &quick()), Ok(report), "the same bytes, the same answer");
    }
}

#[test]
fn the_example_is_accepted_as_an_upload_is() {
    let report = check(CART, &Checks::default()).unwrap_or_else(|error| panic!("{error}"));
    let declared: Vec<String> = report.attributes.iter().map(Declaration::to_string).collect();
    assert_eq!(declared, ["lines:M", "coupons:SS"]);
    assert!(report.cases >= 200);
    assert_eq!(Modules::check(CART), Ok(report.module));
    // Frozen: another figure is another interpreter or another meter, and regions must not differ.
    assert_eq!((report.calls, report.fuel), (4352, 240_817_422));
}

#[test]
fn returning_the_first_breaks_commutativity() {
    let first = merging("(call $pack (local.get $a) (local.get $an))");
    let example = broken(&first, Law::Commutativity);
    // As small as can be: a version with the key alone and one with a single plain attribute.
    let json = example.to_json();
    let items = [&json["a"]["item"], &json["b"]["item"]];
    let sizes = items.map(|item| item.as_object().map(serde_json::Map::len));
    assert!(
        sizes == [Some(1), Some(2)] || sizes == [Some(2), Some(1)] || sizes.contains(&Some(0)),
        "{json}"
    );
    assert_eq!(json["merge(a, b)"]["item"], json["a"]["item"]);
    assert_eq!(json["merge(b, a)"]["item"], json["b"]["item"]);
}

#[test]
fn rock_paper_scissors_breaks_associativity() {
    // The one whose length is greater by one, in a circle of three; else the greater text.
    let circle = module(&format!(
        r#"{COMPARE}
        (func (export "merge") (param $a i32) (param $an i32) (param $b i32) (param $bn i32)
            (result i64) (local $step i32)
            (local.set $step (i32.rem_u
                (i32.add (i32.const 30000) (i32.sub (local.get $an) (local.get $bn)))
                (i32.const 3)))
            (if (i32.eqz (local.get $step)) (then (local.set $step
                (select (i32.const 2) (i32.const 1)
                    (i32.lt_s (call $compare (local.get $a) (local.get $an) (local.get $b)
                        (local.get $bn)) (i32.const 0))))))
            (if (result i64) (i32.eq (local.get $step) (i32.const 2))
                (then (call $pack (local.get $b) (local.get $bn)))
                (else (call $pack (local.get $a) (local.get $an)))))"#
    ));
    let example = broken(&circle, Law::Associativity);
    let json = example.to_json();
    assert_ne!(json["merge(merge(a, b), c)"]["item"], json["merge(a, merge(b, c))"]["item"]);
    assert!(json["c"]["stamp"]["ms"].is_u64(), "{json}");
}

#[test]
fn deleting_whatever_comes_breaks_idempotence() {
    let example = broken(&saying(r#"{"deleted":true,"item":{}}"#), Law::Idempotence);
    let json = example.to_json();
    assert_eq!(json["a"]["item"].to_string(), r#"{"id":{"S":"k"}}"#);
    assert_eq!(json["merge(a, a)"]["deleted"], true);
    let text = example.to_string();
    assert!(!text.contains("\"b\""), "one version is enough: {text}");
}

#[test]
fn a_law_that_only_one_attribute_breaks_is_found_if_it_is_declared() {
    // The greater text, but the first version if it has `stock`.
    let needle = "\"stock\":";
    let partial = |declared: &str| {
        module(&format!(
            r#"{COMPARE} {declared}
        (data (i32.const 16) "\"stock\":")
        (func $has (param $at i32) (param $length i32) (result i32) (local $end i32)
            (local.set $end (i32.add (local.get $at) (local.get $length)))
            (loop $next
                (if (i32.lt_u (i32.add (local.get $at) (i32.const {0})) (local.get $end))
                    (then
                        (if (i32.eqz (call $compare (local.get $at) (i32.const {0})
                                (i32.const 16) (i32.const {0}))) (then (return (i32.const 1))))
                        (local.set $at (i32.add (local.get $at) (i32.const 1)))
                        (br $next))))
            (i32.const 0))
        (func (export "merge") (param $a i32) (param $an i32) (param $b i32) (param $bn i32)
            (result i64)
            (if (call $has (local.get $a) (local.get $an))
                (then (return (call $pack (local.get $a) (local.get $an)))))
            (if (result i64) (i32.lt_s (call $compare (local.get $a) (local.get $an)
                    (local.get $b) (local.get $bn)) (i32.const 0))
                (then (call $pack (local.get $b) (local.get $bn)))
                (else (call $pack (local.get $a) (local.get $an)))))"#,
            needle.len()
        ))
    };
    check(&partial(""), &quick()).expect("nothing generated has such an attribute");
    let section = r#"(@custom "pangea.attributes" "stock:N")"#;
    broken(&partial(section), Law::Commutativity);
    let asked = Checks { attributes: vec!["stock:N".parse().expect("it is one")], ..quick() };
    assert_eq!(check(&partial(""), &asked).expect_err("it is found").code(), "commutativity");
}

#[test]
fn what_takes_too_long_to_check_is_refused() {
    let slow = merging(
        r#"(local $left i32) (local.set $left (i32.const 100000))
        (loop $again
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br_if $again (local.get $left)))
        (call $pack (local.get $a) (local.get $an))"#,
    );
    let budget = Checks { fuel: 2_000_000, ..Checks::default() };
    let error = check(&slow, &budget).expect_err("it is slow");
    let ModuleError::TooSlow { fuel, calls } = error else { panic!("{error}") };
    assert_eq!((fuel.div_ceil(calls) / 100_000, calls), (7, 3));
}
