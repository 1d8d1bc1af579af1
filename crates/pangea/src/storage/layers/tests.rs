//! Views over a log, a table that moves, and a database, against a map.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use crate::storage::conformance::Random;
use crate::storage::tests::Scratch;
use crate::storage::{Bounds, Change, Engine, Space, View, redb};

type Model = BTreeMap<(Space, Vec<u8>), Vec<u8>>;

fn key(random: &mut Random) -> Vec<u8> {
    // Few enough that commits meet each other's rows, more than a cursor takes at a time.
    let number = random.below(400);
    if random.below(20) == 0 { Vec::new() } else { format!("{number:03}").into_bytes() }
}

fn changes(random: &mut Random) -> Vec<Change> {
    // A commit is within what the log takes, or goes past it.
    let rows = if random.below(12) == 0 { 120 } else { random.below(24) };
    let mut changes = BTreeMap::new();
    for _ in 0..rows {
        let space = Space::ALL[usize::try_from(random.below(3)).expect("small")];
        let value = (random.below(3) > 0).then(|| vec![b'v'; random.below(40) as usize]);
        let value = value.map(|mut value| {
            value.extend(random.below(u64::MAX).to_be_bytes());
            value
        });
        changes.insert((space, key(random)), value);
    }
    changes.into_iter().map(|((space, key), value)| (space, key, value)).collect()
}

fn bound(random: &mut Random, key: &[u8]) -> Bound<Vec<u8>> {
    match random.below(4) {
        0 => Bound::Unbounded,
        1 => Bound::Excluded(key.to_vec()),
        _ => Bound::Included(key.to_vec()),
    }
}

/// Every space whole, and some ranges of one, either way and some not to their end.
fn check(view: &dyn View, model: &Model, random: &mut Random, what: &str) {
    for round in 0..8 {
        let space = Space::ALL[round % 3];
        let (one, other) = (key(random), key(random));
        let (lower, upper) = if one <= other { (one, other) } else { (other, one) };
        let (lower, upper) = if round < 3 {
            (Bound::Unbounded, Bound::Unbounded)
        } else {
            (bound(random, &lower), bound(random, &upper))
        };
        let bounds: Bounds<'_> =
            (lower.as_ref().map(Vec::as_slice), upper.as_ref().map(Vec::as_slice));
        let (reverse, limit) = (random.below(2) == 0, random.below(500) as usize);
        let inside = |key: &[u8]| std::ops::RangeBounds::<[u8]>::contains(&bounds, key);
        let rows = model.iter().filter(|((of, key), _)| *of == space && inside(key));
        let mut expected: Vec<_> = rows.map(|((_, key), value)| (&key[..], &value[..])).collect();
        if reverse {
            expected.reverse();
        }
        expected.truncate(limit + 1);
        let mut found = Vec::new();
        let scanned = view.scan(space, bounds, reverse, &mut |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            // A visitor may read, too.
            let again = view.get(space, key).expect("a sound disk");
            assert_eq!(again.as_deref(), Some(value), "{what}");
            if found.len() > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        scanned.expect("a sound disk");
        let found: Vec<_> = found.iter().map(|(key, value)| (&key[..], &value[..])).collect();
        assert_eq!(found, expected, "{what}: {space:?}, {bounds:?}, reverse {reverse}");
        let absent = key(random);
        let expected = model.get(&(space, absent.clone()));
        assert_eq!(view.get(space, &absent).expect("a sound disk").as_ref(), expected, "{what}");
    }
}

/// The engine of a directory, opened again now and then, and views that were taken of it.
fn check_ages<E: Engine>(seed: u64, open: impl Fn(&Scratch) -> E) {
    let (directory, mut random) = (Scratch::new(), Random(seed));
    let mut model = Model::new();
    let mut kept: Vec<(u64, Arc<dyn View>, Model)> = Vec::new();
    let mut engine = open(&directory);
    for step in 0..80 {
        let changes = changes(&mut random);
        engine.commit(&changes).expect("a sound disk");
        for (space, key, value) in changes {
            match value {
                Some(value) => drop(model.insert((space, key), value)),
                None => drop(model.remove(&(space, key))),
            }
        }
        if random.below(30) == 0 {
            kept.clear();
            drop(engine);
            engine = open(&directory);
        }
        kept.push((step, engine.view().expect("a sound disk"), model.clone()));
        if kept.len() > 6 {
            kept.swap_remove(random.below(6) as usize);
        }
        for (since, view, model) in &kept {
            let what = format!("seed {seed}, step {step}, view of {since}");
            check(&**view, model, &mut random, &what);
        }
    }
}

#[test]
fn views_of_every_age_agree_with_maps() {
    for (seed, in_background) in (0..4).flat_map(|seed| [(seed, false), (seed, true)]) {
        let options = redb::Options {
            cache_bytes: 1 << 20,
            log_bytes: 24 << 10,
            long_bytes: 1 << 10,
            reserve_bytes: 0,
            checkpoint_in_background: in_background,
            ..redb::Options::default()
        };
        check_ages(seed, |directory| {
            redb::Redb::open_directory(&directory.0, options).expect("it opens")
        });
    }
}

#[cfg(feature = "rocksdb")]
#[test]
fn views_of_rocksdb_of_every_age_agree_with_maps() {
    use crate::storage::rocksdb::{Options, RocksDb};
    for seed in 0..4 {
        let options = Options { cache_bytes: 4 << 20, log_bytes: 12 << 10, reserve_bytes: 0 };
        check_ages(seed, |directory| {
            RocksDb::open_directory(&directory.0, options).expect("it opens")
        });
    }
}
