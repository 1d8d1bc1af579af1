//! `cargo xtask bench merge`: merge functions, by the module of `examples/merge`.
//!
//! Hypothesis: the interpreter runs an operator in 1 ns. The module takes 160 a byte of JSON, so
//! carts of 0.2 KB cost 60 us and those of 2.8 KB 0.9 ms, and all that is around it (an instance,
//! its memory, JSON both ways) 20 us. A hostile module ends when its fuel does, after 1 to 3 ms for
//! small items.

mod support;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use pangea::wasm::{Checks, ModuleId, Modules, Trap, check};
use pangea_core::id::{Origin, RegionSlot};
use pangea_core::item::{AttributeValue, Attributes, Number};
use pangea_core::time::{Hlc, Stamp};

use support::{figure, median, option};

const CART: &[u8] = include_bytes!("../../../examples/merge/cart.wasm");

fn key() -> Attributes {
    BTreeMap::from([("id".to_owned(), AttributeValue::S("k".to_owned()))])
}

/// A cart with so many lines, the first of which is for product `from`.
fn cart(lines: u32, from: u32) -> Attributes {
    let line = |number: u32| {
        let quantity = Number::from(i64::from(number % 12));
        (format!("sku-{number}"), AttributeValue::N(quantity))
    };
    let coupons = (0..lines.min(50)).map(|number| format!("coupon {number} {from}"));
    let mut cart = key();
    cart.insert("lines".to_owned(), AttributeValue::M((from..from + lines).map(line).collect()));
    cart.insert("coupons".to_owned(), AttributeValue::Ss(coupons.collect()));
    cart.insert("note".to_owned(), AttributeValue::S("x".repeat(100)));
    cart
}

fn stamp(ms: u64) -> Stamp {
    let slot = RegionSlot::new(0).expect("there is a first region");
    Stamp { hlc: Hlc::from_parts(ms, 0), origin: Origin::new(slot, 0) }
}

/// Microseconds of one merge, and its fuel, in rounds of half a second.
fn merges(bytes: &[u8], lines: u32, rounds: usize) -> anyhow::Result<(f64, u64, Option<Trap>)> {
    let (modules, id, key) = (Modules::default(), ModuleId::of(bytes), key());
    modules.add(id, bytes)?;
    let (a, b) = (cart(lines, 0), cart(lines, lines / 2));
    let versions = [(stamp(1), Some(&a)), (stamp(2), Some(&b))];
    let mut micros = Vec::new();
    let mut last = (None, 0);
    for _ in 0..rounds {
        let (began, mut count) = (Instant::now(), 0_u32);
        while began.elapsed() < Duration::from_millis(500) {
            let (result, fuel) = modules.resolve_with_fuel(id, &key, &versions);
            last = (result.err(), fuel);
            count += 1;
        }
        micros.push(began.elapsed().as_secs_f64() * 1e6 / f64::from(count));
    }
    Ok((median(micros), last.1, last.0))
}

fn benchmark(arguments: &[String]) -> anyhow::Result<()> {
    let rounds: usize = option(arguments, "--rounds", 5)?;
    for (lines, size, hypothesis) in
        [(1, "0.2 KB", "80 us"), (100, "2.8 KB", "0.9 ms"), (5_000, "119 KB", "36 ms")]
    {
        let (micros, fuel, trap) = merges(CART, lines, rounds)?;
        anyhow::ensure!(trap.is_none(), "the cart module traps: {trap:?}");
        let name = format!("merge of two carts of {size} of JSON");
        figure(&name, micros, "us", hypothesis);
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        figure(&format!("fuel of it, {size}"), fuel as f64, "units", "160 a byte");
    }
    let spin = wat::parse_str(
        r#"(module (memory (export "memory") 1)
            (func (export "alloc") (param i32) (result i32) (i32.const 0))
            (func (export "merge") (param i32 i32 i32 i32) (result i64)
                (loop $again (br $again)) (i64.const 0)))"#,
    )?;
    let (micros, _, trap) = merges(&spin, 1, rounds)?;
    anyhow::ensure!(matches!(trap, Some(Trap::OutOfFuel { .. })), "it ended: {trap:?}");
    figure("endless loop, until it is stopped", micros / 1000.0, "ms", "1 to 6 ms");
    let began = Instant::now();
    check(CART, &Checks::default())?;
    figure("check of the module", began.elapsed().as_secs_f64(), "s", "0.3 to 0.5 s");
    Ok(())
}

fn main() -> ExitCode {
    support::main(benchmark)
}
