//! A merge function as a table's owner might bring one: it keeps the greater text, and has no
//! result for some versions.

use std::sync::Arc;

use pangea_core::catalog::function::{Functions, Input, Module};
use pangea_core::item::Attributes;

/// The only module that there is.
pub(crate) fn module() -> Arc<Module> {
    Arc::new(Module { id: [7; 32], bytes: Arc::from([1, 2, 3].as_slice()) })
}

/// Runs it.
#[derive(Debug)]
pub(crate) struct Greater;

impl Functions for Greater {
    fn resolve(
        &self,
        module: &Module,
        key: &Attributes,
        versions: &[Input<'_>],
    ) -> Result<Option<Attributes>, String> {
        assert_eq!(*module, *self::module(), "modules arrive as they were sent");
        assert!(!key.is_empty(), "an item has its key");
        let sum = versions.iter().fold(0, |sum: u64, it| sum.wrapping_add(it.0.hlc.to_bits()));
        if sum % 3 == 0 {
            return Err("this function has no result for these versions".to_string());
        }
        let items =
            versions.iter().filter_map(|(stamp, item)| Some(((*item)?.get("v"), stamp, item)));
        let greatest = items.max_by_key(|(value, stamp, _)| (format!("{value:?}"), **stamp));
        Ok(greatest.and_then(|(_, _, item)| item.cloned()))
    }
}
