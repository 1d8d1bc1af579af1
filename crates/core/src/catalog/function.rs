//! Merge functions that table owners bring, as far as a machine knows them: bytes with an identity,
//! and somebody who can run them.
//!
//! A table's row of the catalog carries the module itself, so that a region that knows the settings
//! has the function, too. Versions are kept as they were written, and what readers see is computed
//! from them: the function is the same everywhere, a pure function of what it is given.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::item::Attributes;
use crate::time::Stamp;

/// A merge function's code.
#[derive(Clone, PartialEq, Eq)]
pub struct Module {
    /// Its identity: a cryptographic hash of the bytes, made by whoever accepted them.
    pub id: [u8; 32],
    /// What [`Functions`] can run.
    pub bytes: Arc<[u8]>,
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, bytes } = self;
        write!(f, "module of {} bytes ", bytes.len())?;
        id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One of the concurrent versions: its stamp, and what it shows; nothing if it is a deletion.
pub type Input<'a> = (Stamp, Option<&'a Attributes>);

/// Runs merge functions.
pub trait Functions: fmt::Debug + Send + Sync {
    /// What readers see of an item with these key attributes in place of concurrent `versions`;
    /// `None` if it is deleted.
    ///
    /// # Errors
    /// Why there is no result. The same everywhere, for the same module and versions.
    fn resolve(
        &self,
        module: &Module,
        key: &Attributes,
        versions: &[Input<'_>],
    ) -> Result<Option<Attributes>, String>;
}

/// How the items of a table with the policy `wasm` merge.
#[derive(Clone, Debug, Default)]
pub struct Function {
    /// What to run; nothing until it is known.
    pub module: Option<Arc<Module>>,
    /// The key attributes, which never change.
    pub key_names: Vec<String>,
    /// Who runs it here; nobody in tools that only list settings.
    pub functions: Option<Arc<dyn Functions>>,
}

/// Two that run the same code are the same.
impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.module == other.module && self.key_names == other.key_names
    }
}

impl Eq for Function {}

impl Function {
    /// What readers see in place of these versions, and why there is no result if there is none.
    pub(crate) fn resolve(&self, versions: &[Input<'_>]) -> Result<Option<Attributes>, String> {
        let Some(live) = versions.iter().find_map(|(_, item)| *item) else { return Ok(None) };
        let (Some(module), Some(functions)) = (&self.module, &self.functions) else {
            return Err(String::from("the merge function is not here"));
        };
        let names = self.key_names.iter();
        let key = names.filter_map(|name| Some((name.clone(), live.get(name)?.clone()))).collect();
        functions.resolve(module, &key, versions)
    }
}
