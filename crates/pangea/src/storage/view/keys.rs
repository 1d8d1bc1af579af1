//! Row keys of the items of a group: each has a hash in it, and is asked for several times.

use std::collections::BTreeMap;

use pangea_codec::disk::key;
use pangea_core::item::ItemKey;

/// The row keys that were asked for so far.
#[derive(Debug, Default)]
pub struct RowKeys(BTreeMap<ItemKey, Vec<u8>>);

impl RowKeys {
    /// That of an item.
    pub(in crate::storage) fn of(&mut self, item: &ItemKey) -> &[u8] {
        if !self.0.contains_key(item) {
            self.0.insert(item.clone(), key::row(item));
        }
        &self.0[item]
    }
}
