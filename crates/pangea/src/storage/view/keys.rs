//! Row keys of the items of a group: each has a hash in it, and is asked for several times.

use std::collections::BTreeMap;

use pangea_codec::disk::key;
use pangea_core::item::ItemKey;

/// The row keys that were asked for so far.
#[derive(Debug, Default)]
pub struct RowKeys {
    keys: Vec<Vec<u8>>,
    /// Which of them is that of an item.
    places: BTreeMap<ItemKey, usize>,
}

impl RowKeys {
    /// That of an item.
    pub(in crate::storage) fn of(&mut self, item: &ItemKey) -> &[u8] {
        let found = self.places.get(item).copied();
        let place = found.unwrap_or_else(|| {
            self.places.insert(item.clone(), self.keys.len());
            self.keys.push(key::row(item));
            self.keys.len() - 1
        });
        &self.keys[place]
    }
}
