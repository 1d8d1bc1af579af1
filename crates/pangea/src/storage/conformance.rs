//! What every engine must do, as tests that take an engine.

use std::ops::{Bound, ControlFlow};

use super::{Bounds, Change, Engine, Space, View};

type Row = (Vec<u8>, Vec<u8>);

const ALL: Bounds<'static> = (Bound::Unbounded, Bound::Unbounded);

/// Runs the suite on engines from `make`, each empty and its own; `reopen` ends an engine and gives
/// what a process finds that begins anew.
///
/// # Panics
///
/// The engine does not do what it must.
pub fn suite<E: Engine>(make: impl Fn() -> E, reopen: impl Fn(E) -> E) {
    rows_are_put_replaced_and_removed(&make());
    spaces_are_apart(&make());
    scans_are_in_byte_order(&make());
    ranges_have_exact_ends(&make());
    visitors_stop_when_they_like(&make());
    views_do_not_change(&make());
    big_values_and_empty_ones(&make());
    commits_outlive_the_process(make(), &reopen);
    many_commits_agree_with_a_map(make(), &reopen);
}

fn put(space: Space, key: &[u8], value: &[u8]) -> Change {
    (space, key.to_vec(), Some(value.to_vec()))
}

fn commit(engine: &impl Engine, mut ops: Vec<Change>) {
    ops.sort();
    engine.commit(&ops).expect("a sound engine commits");
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
