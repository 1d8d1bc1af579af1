//! What every engine must do, as tests that take an engine and do not know whose it is.
//!
//! [`suite`] is about a sound disk. The others run a [`Script`] of real rows on a disk that fails
//! its calls one by one ([`fail_each_call`]), loses its power ([`cut_power`]) or its bits
//! ([`flip_bits`]); each gives the counts of what was tried.

mod cutting;
mod failing;
mod flipping;
mod script;

use std::ops::{Bound, ControlFlow};

pub use cutting::{Cuts, RecordedDisk, check_recovered, cut_power};
pub use failing::{Failed, FailingDisk, fail_each_call};
pub use flipping::{Flips, Verdict, check_flipped, flip_bits};
pub use script::{Random, Rows, Script, read_all};

use super::{Bounds, Change, Condition, Engine, Outcome, Place, Space, View, partition_of};

type Row = (Vec<u8>, Vec<u8>);

const ALL: Bounds<'static> = (Bound::Unbounded, Bound::Unbounded);

/// A key of the form of row keys: table, hash of the partition key, and no sort key.
const PARTITION: &[u8] = b"table-idenhash-of-the-part";

/// A key of that partition.
fn key_in_partition(sort: u8) -> Vec<u8> {
    [PARTITION, &[sort]].concat()
}

/// Runs the suite on engines from `make`, each empty and its own; `reopen` ends an engine and gives
/// what a process finds that begins anew.
///
/// An engine that commits inside one partition alone is given one commit a partition.
///
/// # Panics
///
/// The engine does not do what it must.
pub fn suite<E: Engine>(make: impl Fn() -> E, reopen: impl Fn(E) -> E) {
    rows_are_put_replaced_and_removed(&make());
    if make().capabilities().whole_node_batches {
        spaces_are_apart(&make());
    }
    scans_are_in_byte_order(&make());
    ranges_have_exact_ends(&make());
    visitors_stop_when_they_like(&make());
    views_do_not_change(&make());
    conditions_hold_or_nothing_happens(&make());
    conditions_see_the_commit_before(&make());
    one_of_many_writers_wins_each_round(&make());
    big_values_and_empty_ones(&make());
    commits_outlive_the_process(make(), &reopen);
    one_that_is_closed_takes_nothing_and_loses_nothing(make(), &reopen);
    many_commits_agree_with_a_map(make(), &reopen);
}

fn put(space: Space, key: &[u8], value: &[u8]) -> Change {
    (space, key.to_vec(), Some(value.to_vec()))
}

/// All at once, or a partition at a time where the engine can do no more.
fn commit(engine: &impl Engine, mut ops: Vec<Change>) {
    ops.sort();
    if engine.capabilities().whole_node_batches {
        return engine.commit(&ops).expect("a sound engine commits");
    }
    let same = |a: &Change, b: &Change| partition_of(a.0, &a.1) == partition_of(b.0, &b.1);
    for ops in ops.chunk_by(same) {
        engine.commit(ops).expect("a sound engine commits");
    }
}

fn rows(view: &dyn View, space: Space, range: Bounds<'_>, reverse: bool) -> Vec<Row> {
    let mut rows = Vec::new();
    let visited = view.scan(space, range, reverse, &mut |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    });
    visited.expect("a sound engine reads");
    rows
}

fn get(engine: &impl Engine, space: Space, key: &[u8]) -> Option<Vec<u8>> {
    let view = engine.view().expect("a sound engine gives views");
    view.get(space, key).expect("a sound engine reads")
}

fn rows_are_put_replaced_and_removed(engine: &impl Engine) {
    assert_eq!(get(engine, Space::Items, b"a"), None);
    commit(engine, vec![put(Space::Items, b"a", b"1"), put(Space::Items, b"b", b"2")]);
    assert_eq!(get(engine, Space::Items, b"a"), Some(b"1".to_vec()));
    let remove = |key: &[u8]| (Space::Items, key.to_vec(), None);
    commit(engine, vec![put(Space::Items, b"a", b"3"), remove(b"b"), remove(b"never")]);
    assert_eq!(get(engine, Space::Items, b"a"), Some(b"3".to_vec()));
    assert_eq!(get(engine, Space::Items, b"b"), None);
    commit(engine, Vec::new());
}

fn spaces_are_apart(engine: &impl Engine) {
    let ops = Space::ALL.map(|space| put(space, b"k", format!("{space:?}").as_bytes()));
    commit(engine, ops.to_vec());
    for space in Space::ALL {
        assert_eq!(get(engine, space, b"k"), Some(format!("{space:?}").into_bytes()));
    }
}

fn scans_are_in_byte_order(engine: &impl Engine) {
    let keys: [&[u8]; 6] = [b"", b"\0", b"a", b"a\0", b"ab", b"\xff\xff"];
    commit(engine, keys.iter().map(|key| put(Space::Items, key, key)).collect());
    let view = engine.view().expect("a sound engine gives views");
    let mut expected: Vec<Row> = keys.iter().map(|key| (key.to_vec(), key.to_vec())).collect();
    assert_eq!(rows(&*view, Space::Items, ALL, false), expected);
    expected.reverse();
    assert_eq!(rows(&*view, Space::Items, ALL, true), expected);
    assert_eq!(rows(&*view, Space::Meta, ALL, false), []);
}

fn ranges_have_exact_ends(engine: &impl Engine) {
    let keys: Vec<Vec<u8>> = (1..6u8).map(|key| vec![key]).collect();
    commit(engine, keys.iter().map(|key| put(Space::Changelog, key, b"v")).collect());
    let view = engine.view().expect("a sound engine gives views");
    let mut ends = vec![Bound::Unbounded];
    let probes: Vec<Vec<u8>> = (0..8u8).flat_map(|key| [vec![key], vec![key, 0]]).collect();
    ends.extend(probes.iter().map(|key| Bound::Included(key.as_slice())));
    ends.extend(probes.iter().map(|key| Bound::Excluded(key.as_slice())));
    for &from in &ends {
        for &to in &ends {
            let is_in = |key: &&Vec<u8>| {
                let above = match from {
                    Bound::Unbounded => true,
                    Bound::Included(from) => key.as_slice() >= from,
                    Bound::Excluded(from) => key.as_slice() > from,
                };
                above
                    && match to {
                        Bound::Unbounded => true,
                        Bound::Included(to) => key.as_slice() <= to,
                        Bound::Excluded(to) => key.as_slice() < to,
                    }
            };
            let expected: Vec<&Vec<u8>> = keys.iter().filter(is_in).collect();
            let found = rows(&*view, Space::Changelog, (from, to), false);
            let found: Vec<&Vec<u8>> = found.iter().map(|row| &row.0).collect();
            assert_eq!(found, expected, "{from:?} {to:?}");
        }
    }
}

fn visitors_stop_when_they_like(engine: &impl Engine) {
    commit(engine, (0..9u8).map(|key| put(Space::Items, &[key], b"v")).collect());
    let view = engine.view().expect("a sound engine gives views");
    for (reverse, expected) in [(false, [0, 1]), (true, [8, 7])] {
        let mut seen = Vec::new();
        let visited = view.scan(Space::Items, ALL, reverse, &mut |key, _| {
            seen.extend_from_slice(key);
            if seen.len() < 2 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        visited.expect("a sound engine reads");
        assert_eq!(seen, expected);
    }
}

fn views_do_not_change(engine: &impl Engine) {
    commit(engine, vec![put(Space::Items, b"a", b"old"), put(Space::Items, b"b", b"old")]);
    let before = engine.view().expect("a sound engine gives views");
    let gone = (Space::Items, b"b".to_vec(), None);
    commit(engine, vec![put(Space::Items, b"a", b"new"), gone, put(Space::Items, b"c", b"new")]);
    let old = |key: &[u8]| (key.to_vec(), b"old".to_vec());
    assert_eq!(rows(&*before, Space::Items, ALL, false), [old(b"a"), old(b"b")]);
    assert_eq!(get(engine, Space::Items, b"a"), Some(b"new".to_vec()));
    assert_eq!(get(engine, Space::Items, b"b"), None);
    assert_eq!(before.get(Space::Items, b"c").expect("a sound engine reads"), None);
}

fn conditions_hold_or_nothing_happens(engine: &impl Engine) {
    let place = |key: &[u8]| Place::new(Space::Items, key);
    let is =
        |key: &[u8], value: &[u8]| Condition { place: place(key), expected: Some(value.to_vec()) };
    let is_not = |key: &[u8]| Condition { place: place(key), expected: None };
    commit(engine, vec![put(Space::Items, PARTITION, b"1")]);
    let (one, two) = (key_in_partition(1), key_in_partition(2));
    let changes = [put(Space::Items, PARTITION, b"2"), put(Space::Items, &one, b"new")];
    for (conditions, refused) in [
        (vec![is(PARTITION, b"2")], PARTITION),
        (vec![is_not(PARTITION)], PARTITION),
        (vec![is(PARTITION, b"1"), is(&one, b"")], &one),
        (vec![is_not(&one), is_not(&two), is(PARTITION, b"1"), is(&two, b"x")], &two),
        // The first that does not hold is named.
        (vec![is(&two, b"x"), is(PARTITION, b"0")], &two),
    ] {
        let outcome = engine.commit_if(&conditions, &changes).expect("a sound engine decides");
        assert_eq!(outcome, Outcome::Refused(place(refused)), "{conditions:?}");
        assert_eq!(get(engine, Space::Items, PARTITION), Some(b"1".to_vec()));
        assert_eq!(get(engine, Space::Items, &one), None, "a refused commit changed a row");
        engine.health().expect("a refusal is no fault");
    }
    let conditions = [is(PARTITION, b"1"), is_not(&one)];
    let outcome = engine.commit_if(&conditions, &changes).expect("a sound engine commits");
    assert_eq!(outcome, Outcome::Committed);
    assert_eq!(get(engine, Space::Items, PARTITION), Some(b"2".to_vec()));
    assert_eq!(get(engine, Space::Items, &one), Some(b"new".to_vec()));
}

fn conditions_see_the_commit_before(engine: &impl Engine) {
    let before = engine.view().expect("a sound engine gives views");
    for round in 0..20_u8 {
        let expected = round.checked_sub(1).map(|before| vec![before]);
        let condition = Condition { place: Place::new(Space::Items, PARTITION), expected };
        let changes = [put(Space::Items, PARTITION, &[round])];
        let outcome = engine.commit_if(std::slice::from_ref(&condition), &changes);
        assert_eq!(outcome.expect("a sound engine commits"), Outcome::Committed);
        let again = engine.commit_if(&[condition], &changes).expect("a sound engine decides");
        assert_eq!(again, Outcome::Refused(Place::new(Space::Items, PARTITION)));
    }
    let seen = before.get(Space::Items, PARTITION).expect("a sound engine reads");
    assert_eq!(seen, None, "a condition changed a view");
}

/// Threads that each add one to a number, by its value before: none is lost.
fn one_of_many_writers_wins_each_round(engine: &impl Engine) {
    const WRITERS: u64 = 4;
    const ROUNDS: u64 = 8;
    let add = || {
        for _ in 0..ROUNDS {
            loop {
                let expected = get(engine, Space::Items, PARTITION);
                let number = expected.as_deref().map_or(0, number);
                let change = put(Space::Items, PARTITION, &(number + 1).to_be_bytes());
                let place = Place::new(Space::Items, PARTITION);
                let outcome = engine.commit_if(&[Condition { place, expected }], &[change]);
                if outcome.expect("a sound engine decides") == Outcome::Committed {
                    break;
                }
            }
        }
    };
    std::thread::scope(|scope| (0..WRITERS).for_each(|_| drop(scope.spawn(add))));
    let found = get(engine, Space::Items, PARTITION).map(|bytes| number(&bytes));
    assert_eq!(found, Some(WRITERS * ROUNDS));
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().expect("eight bytes"))
}

fn big_values_and_empty_ones(engine: &impl Engine) {
    let big: Vec<u8> = (0..3_000_000u32).map(|at| at.to_le_bytes()[at as usize % 4]).collect();
    let key = vec![7; 3000];
    commit(engine, vec![put(Space::Items, b"", b""), put(Space::Items, &key, &big)]);
    assert_eq!(get(engine, Space::Items, b""), Some(Vec::new()));
    assert_eq!(get(engine, Space::Items, &key), Some(big));
}

fn commits_outlive_the_process<E: Engine>(engine: E, reopen: impl Fn(E) -> E) {
    commit(&engine, vec![put(Space::Items, b"a", b"1"), put(Space::Meta, b"m", b"2")]);
    let engine = reopen(engine);
    assert_eq!(get(&engine, Space::Items, b"a"), Some(b"1".to_vec()));
    commit(&engine, vec![put(Space::Items, b"a", b"3")]);
    let engine = reopen(engine);
    assert_eq!(get(&engine, Space::Items, b"a"), Some(b"3".to_vec()));
    assert_eq!(get(&engine, Space::Meta, b"m"), Some(b"2".to_vec()));
}

fn one_that_is_closed_takes_nothing_and_loses_nothing<E: Engine>(
    engine: E,
    reopen: impl Fn(E) -> E,
) {
    commit(&engine, vec![put(Space::Items, b"a", b"1")]);
    engine.close();
    let fault = engine.commit(&[put(Space::Items, b"a", b"2")]).expect_err("it is closed");
    assert!(fault.nothing_written() && !fault.is_passing(), "{fault}");
    assert!(engine.health().is_err());
    engine.close();
    let engine = reopen(engine);
    engine.health().expect("a new process");
    assert_eq!(get(&engine, Space::Items, b"a"), Some(b"1".to_vec()));
}

/// Commits of random puts and removals, a view now and then, against a plain map.
fn many_commits_agree_with_a_map<E: Engine>(mut engine: E, reopen: impl Fn(E) -> E) {
    let mut model = std::collections::BTreeMap::new();
    let mut seed = 1u64;
    let mut next = |bound: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % bound
    };
    for round in 0..60 {
        let mut ops = std::collections::BTreeMap::new();
        for _ in 0..next(50) {
            let key = next(200).to_be_bytes().to_vec();
            let value = (next(3) > 0).then(|| vec![1; usize::try_from(next(900)).expect("small")]);
            ops.insert(key, value);
        }
        for (key, value) in &ops {
            match value {
                Some(value) => model.insert(key.clone(), value.clone()),
                None => model.remove(key),
            };
        }
        let op = |(key, value)| (Space::Items, key, value);
        commit(&engine, ops.into_iter().map(op).collect());
        if round % 20 == 19 {
            engine = reopen(engine);
        }
        let view = engine.view().expect("a sound engine gives views");
        let expected: Vec<Row> = model.clone().into_iter().collect();
        assert_eq!(rows(&*view, Space::Items, ALL, false), expected);
    }
}
