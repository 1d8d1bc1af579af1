//! What merging costs a write: `cargo run --release -p pangea-codec --example bench_crdt`.
//!
//! An item of 1 KB in 10 attributes is cloned, updated and encoded: as plain attributes, and as a
//! CRDT state that two earlier versions wrote. Hypothesis: a state is a stamp more for each
//! attribute in memory and a byte on the wire, and an update touches one of them, so at most 1.3
//! times the plain form's time. Of 2,001 rounds of a hundred, taking turns, the fastest counts, for
//! what is slower was disturbed.

use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

use pangea_codec::binary::{Reader, Writer};
use pangea_core::crdt::{Options, State};
use pangea_core::expr::{Placeholders, Update};
use pangea_core::id::Origin;
use pangea_core::item::{AttributeValue, Attributes, Number};
use pangea_core::time::{Hlc, Stamp};

const ROUNDS: usize = 2_001;
const TURNS: u32 = 100;

fn stamp(ms: u64) -> Stamp {
    Stamp { hlc: Hlc::from_parts(ms, 0), origin: Origin::from_bits(1) }
}

fn item() -> Attributes {
    let text = |at: usize| AttributeValue::S("x".repeat(108 + at));
    let texts = (0..8).map(|at| (format!("attribute{at}"), text(at)));
    let mut item: Attributes = texts.collect();
    item.insert("id".to_owned(), AttributeValue::S("user#4711".to_owned()));
    item.insert("visits".to_owned(), AttributeValue::N(Number::from(42)));
    item
}

fn update(text: &str) -> Update {
    let value = if text.starts_with("ADD") {
        AttributeValue::N(Number::from(1))
    } else {
        AttributeValue::S("y".repeat(110))
    };
    let values = Attributes::from([(":v".to_owned(), value)]);
    let mut placeholders = Placeholders::new(None, Some(values)).expect("right placeholders");
    Update::parse(text, &mut placeholders).expect("a right update")
}

fn encoded(write: impl FnOnce(&mut Writer)) -> usize {
    let mut writer = Writer::from(Vec::with_capacity(2048));
    write(&mut writer);
    black_box(writer).len()
}

/// Nanoseconds of each of the things, of the fastest round.
fn measure(things: &[(&str, &dyn Fn())]) -> Vec<f64> {
    let mut times = vec![Vec::new(); things.len()];
    for _ in 0..ROUNDS {
        for (at, (_, thing)) in things.iter().enumerate() {
            let started = Instant::now();
            (0..TURNS).for_each(|_| thing());
            times[at].push(started.elapsed().as_secs_f64() * 1e9 / f64::from(TURNS));
        }
    }
    let least = |times: Vec<f64>| times.into_iter().fold(f64::INFINITY, f64::min);
    times.into_iter().map(least).collect()
}

fn main() -> std::io::Result<()> {
    let (item, options) = (item(), Options::default());
    let key = Attributes::from([("id".to_owned(), item["id"].clone())]);
    let (add, set) = (update("ADD visits :v"), update("SET attribute3 = :v"));
    let mut state = State::default();
    state.put(stamp(1), &["id"], &item, &options);
    state.update(stamp(2), &key, &add, &options).expect("a right update");
    let mut plain = Writer::new();
    plain.attributes(&item);
    let plain = plain.into_bytes();
    let mut merging = Writer::new();
    merging.crdt_state(&state, stamp(2));
    let merging = merging.into_bytes();
    let updated = |update: &Update| {
        let mut state = black_box(&state).clone();
        state.update(stamp(3), &key, update, &options).expect("a right update");
        encoded(|out| out.crdt_state(&state, stamp(3)));
    };
    let applied = |update: &Update| {
        let item = update.apply(black_box(&item)).expect("a right update");
        encoded(|out| out.attributes(&item));
    };
    let times = measure(&[
        ("plain", &|| {
            let item = black_box(&item).clone();
            encoded(|out| out.attributes(&item));
        }),
        ("plain clone", &|| _ = black_box(black_box(&item).clone())),
        ("plain ADD", &|| applied(&add)),
        ("plain SET", &|| applied(&set)),
        ("plain read", &|| _ = black_box(Reader::new(black_box(&plain)).attributes())),
        ("clone", &|| _ = black_box(black_box(&state).clone())),
        ("ADD", &|| updated(&add)),
        ("SET", &|| updated(&set)),
        ("put", &|| {
            let mut state = State::default();
            state.put(stamp(3), &["id"], black_box(&item), &options);
            encoded(|out| out.crdt_state(&state, stamp(3)));
        }),
        ("read", &|| _ = black_box(Reader::new(black_box(&merging)).crdt_state(stamp(2)))),
        ("validate", &|| _ = black_box(black_box(&state).validate())),
        ("view", &|| _ = black_box(black_box(&state).view())),
    ]);
    let [base, _, plain_add, plain_set, plain_read, clone, added, set, put, read, validate, view] =
        times[..]
    else {
        unreachable!("as many times as things")
    };
    let mut out = std::io::stdout().lock();
    for (name, time, beside) in [
        ("attributes: clone, encode", base, base),
        ("attributes: apply ADD, encode", plain_add, base),
        ("attributes: apply SET, encode", plain_set, base),
        ("attributes: read", plain_read, plain_read),
        ("state: ADD in place, encode", added - clone, base),
        ("state: SET in place, encode", set - clone, base),
        ("state: clone, ADD, encode", added, base),
        ("state: clone, SET, encode", set, base),
        ("state: put, encode", put, base),
        ("state: read", read, plain_read),
        ("state: validate", validate, base),
        ("state: view", view, base),
    ] {
        writeln!(out, "{name}\t{time:.0}\tns\t{:.2}", time / beside)?;
    }
    writeln!(out, "attributes\t{}\tbytes", plain.len())?;
    writeln!(out, "state\t{}\tbytes", merging.len())
}
