//! Bits change on the disk.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Bound, ControlFlow};

use pangea_codec::disk;

use super::Rows;
use crate::storage::{Engine, Fault, Space, View};

/// What became of a flipped bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Every row is right: nobody reads that bit.
    Harmless,
    /// The engine refuses the file, or a part of it, by its name.
    FileNamed,
    /// Rows are refused by their keys, and all others are right.
    RowNamed,
}

/// What was tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flips {
    /// How often each verdict was given.
    pub verdicts: BTreeMap<Verdict, u64>,
}

impl Flips {
    /// How often a verdict was given.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> u64 {
        self.verdicts.get(&verdict).copied().unwrap_or(0)
    }

    /// Adds one.
    pub fn add(&mut self, verdict: Verdict) {
        *self.verdicts.entry(verdict).or_default() += 1;
    }
}

impl fmt::Display for Flips {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [harmless, files, rows] =
            [Verdict::Harmless, Verdict::FileNamed, Verdict::RowNamed].map(|it| self.count(it));
        let all = harmless + files + rows;
        write!(
            f,
            "{all} bits flipped, 0 silent ({files} named by file, {rows} by row, {harmless} harmless)"
        )
    }
}

/// Flips each of `bits` in a copy that `open` opens, and demands that nothing is silently wrong.
///
/// # Panics
///
/// A row is missing or wrong, and nobody was told.
pub fn flip_bits<E: Engine>(
    bits: impl IntoIterator<Item = u64>,
    expected: &Rows,
    mut open: impl FnMut(u64) -> Result<E, Fault>,
) -> Flips {
    let mut flips = Flips::default();
    for bit in bits {
        flips.add(check_flipped(open(bit), expected, &format!("bit {bit}")));
    }
    flips
}

/// Judges an engine on a disk with a flipped bit.
///
/// # Panics
///
/// A row is missing or wrong, and nobody was told.
pub fn check_flipped<E: Engine>(opened: Result<E, Fault>, expected: &Rows, why: &str) -> Verdict {
    let engine = match opened {
        Ok(engine) => engine,
        // An engine's own words about a file that is none of its.
        Err(Fault::Read(text)) if text.contains('/') => return Verdict::FileNamed,
        Err(fault) => return named(&fault, why),
    };
    let view = match engine.view() {
        Ok(view) => view,
        Err(fault) => return named(&fault, why),
    };
    let mut verdict = Verdict::Harmless;
    for ((space, key), value) in expected {
        verdict = verdict.max(match view.get(*space, key) {
            Ok(found) => of_row(*space, key, found.as_deref(), value, why),
            Err(fault) => named(&fault, why),
        });
    }
    for space in Space::ALL {
        verdict = verdict.max(of_scan(&*view, space, expected, why));
    }
    verdict
}

/// A scan shows every row, or says that it cannot.
fn of_scan(view: &dyn View, space: Space, expected: &Rows, why: &str) -> Verdict {
    let mut verdict = Verdict::Harmless;
    let mut wanted = expected.iter().filter(|row| row.0.0 == space);
    let all = (Bound::Unbounded, Bound::Unbounded);
    let scanned = view.scan(space, all, false, &mut |key, found| {
        let (place, value) = wanted.next().unwrap_or_else(|| panic!("{why}: a row too many"));
        assert!(place.1 == key, "{why}: a scan passes over a row of {space:?}");
        verdict = verdict.max(of_row(space, key, Some(found), value, why));
        ControlFlow::Continue(())
    });
    match scanned {
        Ok(()) => {
            assert!(wanted.next().is_none(), "{why}: a scan of {space:?} ends early");
            verdict
        }
        Err(fault) => named(&fault, why),
    }
}

/// A wrong row is one whose checksum says so.
fn of_row(space: Space, key: &[u8], found: Option<&[u8]>, value: &[u8], why: &str) -> Verdict {
    if found == Some(value) {
        return Verdict::Harmless;
    }
    let row = found.unwrap_or_else(|| panic!("{why}: a row of {space:?} is gone"));
    let told = space == Space::Items && disk::decode_at(key, row).is_err();
    assert!(told, "{why}: a wrong row of {space:?}, silently");
    Verdict::RowNamed
}

fn named(fault: &Fault, why: &str) -> Verdict {
    match fault {
        Fault::Damaged { file, .. } if !file.is_empty() => Verdict::FileNamed,
        Fault::Corrupt { .. } => Verdict::RowNamed,
        other => panic!("{why}: a fault that names nothing: {other}"),
    }
}
