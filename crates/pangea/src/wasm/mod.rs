//! Merge functions that users bring, for tables with the policy `wasm`.
//!
//! State: [`Modules`], a cache of compiled modules by the hash of their bytes. What is always true:
//! a merge is a function of the module and the versions alone, the same in every region. There are
//! no imports, so there is no clock and no randomness; floats are refused; inputs have one spelling
//! and one order; fuel, memory and stack end every call, at the same place everywhere; and the
//! interpreter is one exact release.
//!
//! A region keeps the concurrent versions and computes from them what readers see. It never keeps
//! the result alone: results of different subsets would not add up. So even a module that breaks a
//! law after all, on inputs that the checks did not find, shows the same in regions that hold the
//! same versions.
//!
//! Deliberately absent: what happens on a [`Trap`]. The core falls back to the last writer, and
//! gives the losers a ledger entry.

mod declared;
mod document;
mod error;
mod function;
mod laws;
pub mod limits;
mod scan;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use pangea_core::catalog::function::{Functions, Input, Module};
use pangea_core::item::Attributes;
use pangea_core::time::Stamp;

pub use declared::{Declaration, Kind};
pub use error::{Fault, ModuleError, Trap};
pub use laws::{Checks, Counterexample, Law, Report, check};

use function::{Function, Spent};

#[cfg(test)]
mod tests;

/// A module's identity: BLAKE3 of its bytes. Its text is 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleId(pub [u8; 32]);

impl ModuleId {
    /// The identity of these bytes, whatever they are.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl fmt::Display for ModuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ModuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ModuleId {
    type Err = ModuleIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = blake3::Hash::from_hex(text).map_err(|_| ModuleIdError)?;
        Ok(Self(*digits.as_bytes()))
    }
}

/// The text is not a [`ModuleId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a module's identity has 64 hexadecimal digits")]
pub struct ModuleIdError;

/// What merge functions did since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Items resolved from two or more versions.
    pub resolved: u64,
    /// Those that had no result.
    pub trapped: u64,
    /// Fuel used by all of them.
    pub fuel: u64,
}

/// The compiled modules of a process, for any number of threads.
#[derive(Debug, Default)]
pub struct Modules {
    functions: RwLock<BTreeMap<ModuleId, Arc<Function>>>,
    resolved: AtomicU64,
    trapped: AtomicU64,
    fuel: AtomicU64,
}

impl Modules {
    /// Whether these bytes are a merge function: compiles them and checks the laws on generated
    /// items. For the moment of upload; takes up to some seconds of one core.
    ///
    /// # Errors
    ///
    /// [`ModuleError`], always the same for the same bytes.
    pub fn check(bytes: &[u8]) -> Result<ModuleId, ModuleError> {
        check(bytes, &Checks::default()).map(|report| report.module)
    }

    /// Compiles a module that some region has checked, and keeps it.
    ///
    /// # Errors
    ///
    /// [`ModuleError::OtherModule`] if `bytes` are not what `id` names; [`ModuleError::Full`]; any
    /// other if the bytes are no merge function. Nothing is kept then.
    pub fn add(&self, id: ModuleId, bytes: &[u8]) -> Result<(), ModuleError> {
        let found = ModuleId::of(bytes);
        if found != id {
            return Err(ModuleError::OtherModule { expected: id, found });
        }
        if self.holds(id) {
            return Ok(());
        }
        let function = Arc::new(Function::compile(bytes)?);
        let mut functions = self.functions.write().unwrap_or_else(PoisonError::into_inner);
        if functions.len() >= limits::MODULES_MAX {
            return Err(ModuleError::Full { max: limits::MODULES_MAX });
        }
        functions.insert(id, function);
        Ok(())
    }

    /// Whether a module is here.
    #[must_use]
    pub fn holds(&self, id: ModuleId) -> bool {
        self.functions.read().unwrap_or_else(PoisonError::into_inner).contains_key(&id)
    }

    /// A module as the catalog has it.
    #[must_use]
    pub fn module(bytes: &[u8]) -> Arc<Module> {
        Arc::new(Module { id: ModuleId::of(bytes).0, bytes: Arc::from(bytes) })
    }

    /// Drops the modules that no table needs any more. Calls under way end undisturbed.
    pub fn retain(&self, mut needed: impl FnMut(ModuleId) -> bool) {
        let mut functions = self.functions.write().unwrap_or_else(PoisonError::into_inner);
        functions.retain(|id, _| needed(*id));
    }

    /// What readers see of an item with these key attributes and these concurrent versions, each a
    /// stamp and attributes, or none if it is a deletion. `None` if the item is deleted.
    ///
    /// Folds from the oldest stamp to the newest; what lies in between carries the greater stamp of
    /// its two inputs. The order in which `versions` stand is of no consequence. A single version
    /// is what readers see, without a call.
    ///
    /// # Errors
    ///
    /// [`Trap`]: the caller falls back to the last writer if it [is final](Trap::is_final), and
    /// holds the merge if not.
    pub fn resolve(
        &self,
        id: ModuleId,
        key: &Attributes,
        versions: &[(Stamp, Option<&Attributes>)],
    ) -> Result<Option<Attributes>, Trap> {
        self.resolve_with_fuel(id, key, versions).0
    }

    /// [`Modules::resolve`], and the fuel that it took, which is the same everywhere, too.
    pub fn resolve_with_fuel(
        &self,
        id: ModuleId,
        key: &Attributes,
        versions: &[(Stamp, Option<&Attributes>)],
    ) -> (Result<Option<Attributes>, Trap>, u64) {
        let mut versions = versions.to_vec();
        versions.sort_by_key(|(stamp, _)| *stamp);
        versions.dedup_by_key(|(stamp, _)| *stamp);
        let [oldest, newer @ ..] = versions.as_slice() else { return (Ok(None), 0) };
        if newer.is_empty() {
            return (Ok(oldest.1.cloned()), 0);
        }
        let function = {
            let functions = self.functions.read().unwrap_or_else(PoisonError::into_inner);
            functions.get(&id).map(Arc::clone)
        };
        let Some(function) = function else { return (Err(Trap::NotLoaded(id)), 0) };
        let (result, fuel) = fold(&function, key, *oldest, newer);
        self.resolved.fetch_add(1, Ordering::Relaxed);
        self.trapped.fetch_add(u64::from(result.is_err()), Ordering::Relaxed);
        self.fuel.fetch_add(fuel, Ordering::Relaxed);
        (result, fuel)
    }

    /// What was done since the process started; each figure is exact, together they may be of
    /// different moments.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            resolved: self.resolved.load(Ordering::Relaxed),
            trapped: self.trapped.load(Ordering::Relaxed),
            fuel: self.fuel.load(Ordering::Relaxed),
        }
    }
}

/// Compiles what it has not met before: a table's settings bring the module with them.
impl Functions for Modules {
    fn resolve(
        &self,
        module: &Module,
        key: &Attributes,
        versions: &[Input<'_>],
    ) -> Result<Option<Attributes>, String> {
        let id = ModuleId(module.id);
        if !self.holds(id) {
            let added = self.add(id, &module.bytes).or_else(|error| match error {
                // Tables bring more than are kept compiled: that must not decide what readers see.
                ModuleError::Full { .. } => {
                    self.retain(|_| false);
                    self.add(id, &module.bytes)
                }
                error => Err(error),
            });
            added.map_err(|error| error.to_string())?;
        }
        let result = self.resolve(id, key, versions);
        result.map_err(|trap| {
            tracing::debug!(%id, %trap, "a merge function has no result");
            trap.to_string()
        })
    }
}

/// Merges `newer` versions, sorted by stamp, into the oldest one after the other.
fn fold(
    function: &Function,
    key: &Attributes,
    oldest: function::Input<'_>,
    newer: &[function::Input<'_>],
) -> (Result<Option<Attributes>, Trap>, u64) {
    let mut all = 0;
    let mut stamp = oldest.0;
    let mut merged = oldest.1.cloned();
    for next in newer {
        let Spent { result, fuel, limit: _ } = function.merge(key, (stamp, merged.as_ref()), *next);
        all += fuel;
        merged = match result {
            Ok(item) => item,
            Err(trap) => return (Err(trap), all),
        };
        stamp = stamp.max(next.0);
    }
    (Ok(merged), all)
}
