//! A store of any kind behind one pointer: what machines read is compiled once for all of them.

use alloc::vec::Vec;

use super::{Applied, Entry, Outline, Snapshot};
use crate::id::{Origin, TableId};
use crate::index::IndexId;
use crate::item::{ItemKey, PrimaryKey};
use crate::merge::Stored;
use crate::time::{Hlc, Stamp};

impl Snapshot for &dyn Snapshot {
    fn item(&self, key: &ItemKey) -> Option<Stored> {
        (**self).item(key)
    }

    fn outline(&self, key: &ItemKey) -> Option<Outline> {
        (**self).outline(key)
    }

    fn changes(&self, origin: Origin, after: Hlc, through: Hlc, limit: usize) -> Vec<Entry> {
        (**self).changes(origin, after, through, limit)
    }

    fn applied(&self) -> Option<Applied> {
        (**self).applied()
    }

    fn tombstones(
        &self,
        table: TableId,
        after: Option<Stamp>,
        limit: usize,
    ) -> Vec<(Stamp, ItemKey)> {
        (**self).tombstones(table, after, limit)
    }

    fn newest(&self, origin: Origin) -> Hlc {
        (**self).newest(origin)
    }

    fn rows(
        &self,
        table: TableId,
        after: Option<&PrimaryKey>,
        limit: usize,
    ) -> Vec<(ItemKey, Stored)> {
        (**self).rows(table, after, limit)
    }

    fn has_entries(&self, table: TableId, index: IndexId) -> bool {
        (**self).has_entries(table, index)
    }

    fn first_record(&self, table: TableId) -> Option<u64> {
        (**self).first_record(table)
    }

    fn bucket(&self, key: &ItemKey) -> u8 {
        (**self).bucket(key)
    }

    fn place(&self, key: &ItemKey) -> Vec<u8> {
        (**self).place(key)
    }

    fn bucket_rows(
        &self,
        bucket: (TableId, u8),
        after: Option<&PrimaryKey>,
        limit: usize,
    ) -> Vec<(ItemKey, Stored)> {
        (**self).bucket_rows(bucket, after, limit)
    }

    fn damaged(&self, me: Origin, bucket: (TableId, u8)) -> Vec<Vec<u8>> {
        (**self).damaged(me, bucket)
    }

    fn fingerprints(&self, table: TableId) -> Vec<u128> {
        (**self).fingerprints(table)
    }
}
