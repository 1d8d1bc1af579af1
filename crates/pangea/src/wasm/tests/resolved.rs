use std::thread;

use pangea_core::item::Attributes;
use pangea_core::time::Stamp;

use super::{CART, greater, greatest_score, item, key, loaded, merging, module, stamp};
use crate::wasm::laws::{Generator, Version};
use crate::wasm::{Counts, ModuleId, ModuleIdError};

type Versions<'a> = Vec<(Stamp, Option<&'a Attributes>)>;

#[test]
fn the_greatest_score_wins_whole() {
    let (modules, id) = loaded(&greatest_score());
    let [low, high, none] = [
        r#"{"id":{"S":"k"},"score":{"N":"9"},"who":{"S":"zoe"}}"#,
        r#"{"id":{"S":"k"},"score":{"N":"10"},"who":{"S":"ann"}}"#,
        r#"{"id":{"S":"k"}}"#,
    ]
    .map(item);
    let versions = [(stamp(3), Some(&low)), (stamp(1), Some(&high)), (stamp(2), Some(&none))];
    assert_eq!(modules.resolve(id, &key(), &versions), Ok(Some(high.clone())));
    let versions = [(stamp(1), Some(&high)), (stamp(2), None)];
    assert_eq!(modules.resolve(id, &key(), &versions), Ok(Some(high.clone())));
    assert_eq!(modules.resolve(id, &key(), &[(stamp(1), None), (stamp(2), None)]), Ok(None));
    let Counts { resolved, trapped, fuel } = modules.counts();
    assert!((resolved, trapped) == (3, 0) && fuel > 0);
}

#[test]
fn carts_unite_and_stay_checked_out() {
    let (modules, id) = loaded(CART);
    let [a, b, c] = [
        r#"{"id":{"S":"k"},"coupons":{"SS":["spring"]},"lines":{"M":{"pen":{"N":"3"}}}}"#,
        r#"{"id":{"S":"k"},"lines":{"M":{"pen":{"N":"12"},"cup":{"N":"1"}}},"note":{"S":"older"}}"#,
        r#"{"id":{"S":"k"},"coupons":{"SS":["vip"]},"note":{"S":"newest"}}"#,
    ]
    .map(item);
    let united = item(
        r#"{"id":{"S":"k"},"coupons":{"SS":["spring","vip"]},
        "lines":{"M":{"cup":{"N":"1"},"pen":{"N":"12"}}},"note":{"S":"newest"}}"#,
    );
    let versions = [(stamp(1), Some(&a)), (stamp(2), Some(&b)), (stamp(3), Some(&c))];
    assert_eq!(modules.resolve(id, &key(), &versions), Ok(Some(united)));
    let versions = [(stamp(1), Some(&a)), (stamp(2), None), (stamp(3), Some(&c))];
    assert_eq!(modules.resolve(id, &key(), &versions), Ok(None));
}

#[test]
fn few_versions_need_no_call() {
    let (modules, id) = loaded(&merging("(unreachable)"));
    let a = item(r#"{"id":{"S":"k"}}"#);
    assert_eq!(modules.resolve(id, &key(), &[]), Ok(None));
    assert_eq!(modules.resolve(id, &key(), &[(stamp(1), Some(&a))]), Ok(Some(a.clone())));
    assert_eq!(modules.resolve(id, &key(), &[(stamp(1), None)]), Ok(None));
    let twice = [(stamp(1), Some(&a)), (stamp(1), Some(&a))];
    assert_eq!(modules.resolve(id, &key(), &twice), Ok(Some(a.clone())));
    assert_eq!(modules.counts(), Counts::default());
}

#[test]
fn the_oldest_two_come_first_and_carry_the_greater_stamp() {
    // Returns the older item, and traps unless the stamps are of neighbouring milliseconds, 1 to 9.
    let strict = module(
        r#"(func $ms (param $at i32) (param $length i32) (result i32)
            ;; ... "ms":1,"region":1}} : 14 bytes from the end.
            (i32.load8_u (i32.sub (i32.add (local.get $at) (local.get $length)) (i32.const 14))))
        (func (export "merge") (param $a i32) (param $an i32) (param $b i32) (param $bn i32)
            (result i64)
            (if (i32.ne (i32.const 1) (i32.sub (call $ms (local.get $b) (local.get $bn))
                    (call $ms (local.get $a) (local.get $an)))) (then (unreachable)))
            (i64.or (i64.shl (i64.extend_i32_u (local.get $a)) (i64.const 32))
                (i64.extend_i32_u (local.get $an))))"#,
    );
    let (modules, id) = loaded(&strict);
    let items = [1, 2, 3, 4].map(|n| item(&format!(r#"{{"id":{{"S":"k"}},"n":{{"N":"{n}"}}}}"#)));
    let mut versions: Versions<'_> = (1..).map(stamp).zip(items.iter().map(Some)).collect();
    let mut seen = Vec::new();
    for _ in 0..4 {
        versions.rotate_left(1);
        seen.push(modules.resolve_with_fuel(id, &key(), &versions));
    }
    assert_eq!(seen[0].0, Ok(Some(items[0].clone())));
    assert!(seen.iter().all(|it| *it == seen[0]), "{seen:?}");
}

#[test]
fn nothing_is_carried_from_one_merge_to_the_next() {
    // Counts its calls in a global and in memory, and returns the first version on the first call.
    let counting = module(
        r#"(global $calls (mut i32) (i32.const 0))
        (func (export "merge") (param $a i32) (param $an i32) (param $b i32) (param $bn i32)
            (result i64)
            (if (i32.or (global.get $calls) (i32.load (i32.const 8))) (then (unreachable)))
            (global.set $calls (i32.const 1))
            (i32.store (i32.const 8) (i32.const 1))
            (i64.or (i64.shl (i64.extend_i32_u (local.get $a)) (i64.const 32))
                (i64.extend_i32_u (local.get $an))))"#,
    );
    let (modules, id) = loaded(&counting);
    let a = item(r#"{"id":{"S":"k"}}"#);
    let versions = [(stamp(1), Some(&a)), (stamp(2), None), (stamp(3), None)];
    for _ in 0..3 {
        assert_eq!(modules.resolve(id, &key(), &versions), Ok(Some(a.clone())));
    }
}

#[test]
fn every_thread_and_every_order_sees_the_same() {
    for bytes in [greater(), CART.to_vec()] {
        let (modules, id) = loaded(&bytes);
        let mut generator = Generator::new(7, &["lines:M".parse().expect("it is one")]);
        let triples: Vec<_> = (0..20).map(|_| generator.triple()).collect();
        let resolve = |turn: usize| -> Vec<_> {
            let resolve = |triple: &[Version; 3]| {
                let mut versions: Versions<'_> =
                    triple.iter().map(|v| (v.stamp, v.item.as_ref())).collect();
                versions.rotate_left(turn);
                modules.resolve_with_fuel(id, &key(), &versions)
            };
            triples.iter().map(resolve).collect()
        };
        let expected = resolve(0);
        thread::scope(|scope| {
            for turn in 0..3 {
                let (resolve, expected) = (&resolve, &expected);
                scope.spawn(move || assert_eq!(resolve(turn), *expected));
            }
        });
        assert_eq!(modules.counts().resolved, 80);
    }
}

#[test]
fn identities_have_a_text() {
    let id = ModuleId::of(b"");
    let text = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
    assert_eq!(id.to_string(), text);
    assert_eq!(text.parse(), Ok(id));
    for wrong in
        ["", "af13", &text[1..], "zf1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"]
    {
        assert_eq!(wrong.parse::<ModuleId>(), Err(ModuleIdError), "{wrong}");
    }
}
