//! The laws of merging, checked on generated versions.
//!
//! What is checked for each triple: merging a version with itself changes nothing; the order of two
//! versions does not matter; nor does the order in which three are merged; and none of it traps.
//! The seed is fixed, so the same bytes get the same answer in every region and on every laptop.

mod generate;
mod shrink;

use std::fmt;

use pangea_core::item::Attributes;
use pangea_core::time::Stamp;
use serde_json::{Value, json};

use super::ModuleId;
use super::declared::Declaration;
use super::document;
use super::error::{ModuleError, Trap};
use super::function::{Function, Input, Spent};
use super::limits::{CHECK_CASES, CHECK_FUEL_MAX};

pub(super) use generate::Generator;

/// What a merge function must satisfy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// It has a result for all legal versions.
    Totality,
    /// `merge(a, a)` is `a`.
    Idempotence,
    /// `merge(a, b)` is `merge(b, a)`.
    Commutativity,
    /// `merge(merge(a, b), c)` is `merge(a, merge(b, c))`.
    Associativity,
}

impl Law {
    /// All of them, in the order in which they are tried.
    pub const ALL: [Self; 4] =
        [Self::Totality, Self::Idempotence, Self::Commutativity, Self::Associativity];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Totality => "totality",
            Self::Idempotence => "idempotence",
            Self::Commutativity => "commutativity",
            Self::Associativity => "associativity",
        }
    }
}

impl Law {
    /// What it says.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Totality => "every pair of versions has a result",
            Self::Idempotence => "merge(a, a) should be a",
            Self::Commutativity => "merge(a, b) should be merge(b, a)",
            Self::Associativity => "merge(merge(a, b), c) should be merge(a, merge(b, c))",
        }
    }
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How to check a module. The default is what an upload is judged by.
#[derive(Clone, Debug)]
pub struct Checks {
    /// Where the generator begins.
    pub seed: u64,
    /// Triples of versions.
    pub cases: u32,
    /// Attributes to generate beside those that the module declares.
    pub attributes: Vec<Declaration>,
    /// Fuel of all merges together.
    pub fuel: u64,
}

impl Default for Checks {
    fn default() -> Self {
        Self { seed: 1, cases: CHECK_CASES, attributes: Vec::new(), fuel: CHECK_FUEL_MAX }
    }
}

/// What the checks of an accepted module found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its identity.
    pub module: ModuleId,
    /// Its size in bytes.
    pub bytes: usize,
    /// The attributes that it declares, and those asked for.
    pub attributes: Vec<Declaration>,
    /// Triples of versions that were tried.
    pub cases: u32,
    /// Merges.
    pub calls: u64,
    /// Fuel of all merges.
    pub fuel: u64,
    /// The greatest fuel of one merge.
    pub fuel_max: u64,
    /// The greatest part of its limit that one merge used, in percent, rounded up.
    pub fuel_percent_max: u64,
}

/// Compiles a module and checks the laws.
///
/// # Errors
///
/// [`ModuleError`]; with a counterexample that cannot easily be made smaller, where inputs show it.
pub fn check(bytes: &[u8], checks: &Checks) -> Result<Report, ModuleError> {
    let function = Function::compile(bytes)?;
    let attributes = [function.declared.as_slice(), &checks.attributes].concat();
    let mut generator = Generator::new(checks.seed, &attributes);
    let mut runner = Runner::new(&function, checks.fuel);
    for _ in 0..checks.cases {
        let triple = generator.triple();
        let breach = first_breach(&mut runner, &triple);
        let breach = breach
            .map_err(|Spun| ModuleError::TooSlow { fuel: runner.fuel, calls: runner.calls })?;
        if let Some(breach) = breach {
            return Err(refuse(shrink::shrink(&mut runner, breach)));
        }
    }
    let Runner { calls, fuel, fuel_max, fuel_percent_max, .. } = runner;
    let module = ModuleId::of(bytes);
    let cases = checks.cases;
    let bytes = bytes.len();
    Ok(Report { module, bytes, attributes, cases, calls, fuel, fuel_max, fuel_percent_max })
}

fn refuse(breach: Counterexample) -> ModuleError {
    match breach.law {
        Law::Totality => ModuleError::Traps(Box::new(breach)),
        _ => ModuleError::Law(Box::new(breach)),
    }
}

/// A version for the laws: what was written, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) stamp: Stamp,
    pub(super) item: Option<Attributes>,
}

impl Version {
    fn input(&self) -> Input<'_> {
        (self.stamp, self.item.as_ref())
    }

    fn to_json(&self) -> Value {
        let text = document::write(self.stamp, self.item.as_ref());
        serde_json::from_slice(&text).expect("what is written here is JSON")
    }
}

/// Versions on which a law does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counterexample {
    /// Which law.
    pub law: Law,
    /// Why there is no result, if the law is totality.
    pub trap: Option<Trap>,
    versions: Vec<Version>,
    /// Both sides of the law as they are written down, with their results.
    sides: Vec<(&'static str, Version)>,
}

impl Counterexample {
    /// The versions `a`, `b` and `c`, and what came of them, each with its name, for people.
    #[must_use]
    pub fn lines(&self) -> Vec<(&'static str, Value)> {
        let versions = ["a", "b", "c"].into_iter().zip(&self.versions);
        let sides = self.sides.iter().map(|(name, version)| (*name, version));
        // One of the sides of idempotence is `a` itself.
        let sides = sides.filter(|(name, _)| *name != "a");
        let mut all: Vec<_> =
            versions.chain(sides).map(|(name, version)| (name, version.to_json())).collect();
        if let Some(trap) = &self.trap {
            all.push(("merge(a, b)", json!({"trap": trap.code()})));
        }
        all
    }

    /// [`Counterexample::lines`] as one JSON object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let lines = self.lines().into_iter();
        Value::Object(lines.map(|(name, version)| (name.to_owned(), version)).collect())
    }
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_json().fmt(f)
    }
}

/// The fuel for checking a module is used up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spun;

/// Why there is no merged version.
enum Stop {
    Trap(Box<Counterexample>),
    Spun,
}

/// Merges, and keeps account of it.
pub(super) struct Runner<'f> {
    function: &'f Function,
    key: Attributes,
    limit: u64,
    calls: u64,
    fuel: u64,
    fuel_max: u64,
    fuel_percent_max: u64,
}

impl<'f> Runner<'f> {
    fn new(function: &'f Function, limit: u64) -> Self {
        let key = generate::key();
        Self { function, key, limit, calls: 0, fuel: 0, fuel_max: 0, fuel_percent_max: 0 }
    }

    fn merge(&mut self, a: &Version, b: &Version) -> Result<Version, Stop> {
        if self.fuel >= self.limit {
            return Err(Stop::Spun);
        }
        let Spent { result, fuel, limit } = self.function.merge(&self.key, a.input(), b.input());
        self.calls += 1;
        self.fuel += fuel;
        self.fuel_max = self.fuel_max.max(fuel);
        self.fuel_percent_max = self.fuel_percent_max.max((fuel * 100).div_ceil(limit));
        match result {
            Ok(item) => Ok(Version { stamp: a.stamp.max(b.stamp), item }),
            Err(trap) => Err(Stop::Trap(Box::new(Counterexample {
                law: Law::Totality,
                trap: Some(trap),
                versions: vec![a.clone(), b.clone()],
                sides: Vec::new(),
            }))),
        }
    }

    /// Whether `law` holds on `versions`: one for idempotence, three for associativity, else two.
    pub(super) fn test(
        &mut self,
        law: Law,
        versions: &[Version],
    ) -> Result<Option<Counterexample>, Spun> {
        match self.sides(law, versions) {
            Ok(sides) => {
                let broken = sides.windows(2).any(|pair| pair[0].1.item != pair[1].1.item);
                let versions = versions.to_vec();
                Ok(broken.then_some(Counterexample { law, trap: None, versions, sides }))
            }
            Err(Stop::Trap(breach)) => Ok(Some(*breach)),
            Err(Stop::Spun) => Err(Spun),
        }
    }

    /// What should be equal, with the name that each has in the law.
    fn sides(
        &mut self,
        law: Law,
        versions: &[Version],
    ) -> Result<Vec<(&'static str, Version)>, Stop> {
        Ok(match (law, versions) {
            (Law::Idempotence, [a]) => {
                let merged = self.merge(a, a)?;
                vec![("merge(a, a)", merged), ("a", a.clone())]
            }
            (Law::Commutativity, [a, b]) => {
                vec![("merge(a, b)", self.merge(a, b)?), ("merge(b, a)", self.merge(b, a)?)]
            }
            (Law::Associativity, [a, b, c]) => {
                let (ab, bc) = (self.merge(a, b)?, self.merge(b, c)?);
                let (left, right) = (self.merge(&ab, c)?, self.merge(a, &bc)?);
                vec![("merge(merge(a, b), c)", left), ("merge(a, merge(b, c))", right)]
            }
            (_, [a, b, ..]) => vec![("merge(a, b)", self.merge(a, b)?)],
            _ => Vec::new(),
        })
    }
}

/// The first law that does not hold on a triple.
fn first_breach(
    runner: &mut Runner<'_>,
    triple: &[Version; 3],
) -> Result<Option<Counterexample>, Spun> {
    let [a, b, c] = triple.clone();
    let attempts = [
        (Law::Idempotence, vec![a.clone()]),
        (Law::Idempotence, vec![b.clone()]),
        (Law::Idempotence, vec![c.clone()]),
        (Law::Commutativity, vec![a.clone(), b.clone()]),
        (Law::Commutativity, vec![b.clone(), c.clone()]),
        (Law::Commutativity, vec![a.clone(), c.clone()]),
        // With commutativity, these two are all that there is to three versions.
        (Law::Associativity, vec![a.clone(), b.clone(), c.clone()]),
        (Law::Associativity, vec![b, a, c]),
    ];
    for (law, versions) in attempts {
        let breach = runner.test(law, &versions)?;
        if breach.is_some() {
            return Ok(breach);
        }
    }
    Ok(None)
}
