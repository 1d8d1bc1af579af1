//! Searches of vectors: of each row no more is read than what ranks it.

use std::ops::Bound;

use pangea_codec::binary::{DecodeError, Reader};
use pangea_codec::disk::{self, key};
use pangea_core::catalog::TableEntry;
use pangea_core::expr::SortRange;
use pangea_core::index::{Index, IndexEntry, Vector, to_f32};
use pangea_core::item::{Attributes, KeyValue, PrimaryKey};

use super::{StoreView, corrupt, shown};
use crate::storage::Fault;

/// What ranks an item: its vector, and beside it the attributes of the search schema.
#[derive(Debug, Default)]
struct Lean {
    attributes: Attributes,
    numbers: Vec<f32>,
}

impl StoreView {
    /// Visits the vectors of a partition of an index of vectors, with the attributes of its search
    /// schema; what else an item has may be missing.
    ///
    /// # Errors
    /// [`Fault::Read`], [`Fault::Corrupt`].
    pub fn query_vectors(
        &self,
        (table, index, vector): (&TableEntry, &Index, &Vector),
        partition: &[KeyValue],
        mut visit: impl FnMut(&PrimaryKey, &Attributes, &[f32]),
    ) -> Result<(), Fault> {
        let whole = key::index_partition(table.id, index.id, partition);
        let (mut lower, upper) = key::index_range(&whole, &[], &SortRange::All);
        // Numbers of one item after another: there are thousands of each.
        let mut lean = Lean::default();
        loop {
            let (entries, more) = self.index_page((&lower, &upper), false)?;
            if let Some((last, _)) = entries.last() {
                lower = Bound::Excluded(last.clone());
            }
            for (name, value) in entries {
                let Some(row_key) = key::indexed_row(&name, &value) else { continue };
                let found = self.row(&row_key, |row| {
                    let read = self.read_lean((table, vector), row, &mut lean);
                    read.map_err(corrupt(&row_key))
                })?;
                let Some(Some(primary)) = found.transpose()? else { continue };
                let Some(key) = index.key_beside_vector(&lean.attributes) else { continue };
                if !vector.fits(&lean.attributes) || key.partition != partition {
                    continue;
                }
                let entry = IndexEntry { table: table.id, index: index.id, key, primary };
                if key::index_entry(&entry).0 == name {
                    visit(&entry.primary, &lean.attributes, &lean.numbers);
                }
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// The key of a row whose item has a vector of the index, which is then in `lean`.
    fn read_lean(
        &self,
        (table, vector): (&TableEntry, &Vector),
        row: &[u8],
        lean: &mut Lean,
    ) -> Result<Option<PrimaryKey>, disk::RowError> {
        if let Some(plain) = disk::plain_row(row)? {
            self.rest_on(&plain.seen);
            let Some(reader) = plain.attributes else { return Ok(None) };
            return Ok(lean.read(vector, reader)?.then_some(plain.key));
        }
        // More versions than one, or a state that an item is made of: the item is made.
        let (primary, stored) = disk::decode_row(row)?;
        self.rest_on(&stored.seen);
        let Some(item) = shown(&table.settings.policy, stored) else { return Ok(None) };
        let Some(numbers) = vector.of(&item) else { return Ok(None) };
        *lean = Lean { attributes: item, numbers };
        Ok(Some(primary))
    }
}

impl Lean {
    /// Reads attributes where they stand; whether there is a vector of the index among them.
    fn read(&mut self, vector: &Vector, mut reader: Reader<'_>) -> Result<bool, DecodeError> {
        self.attributes.clear();
        self.numbers.clear();
        let (mut is_list, mut count, numbers) = (false, 0_usize, &mut self.numbers);
        reader.visit_attributes(|name, value| {
            if name == vector.attribute.as_bytes() {
                is_list = value.numbers(|number| {
                    count += 1;
                    numbers.extend(to_f32(number));
                })?;
            } else if let Some(it) = vector.schema.iter().find(|it| it.key.name.as_bytes() == name)
            {
                self.attributes.insert(it.key.name.clone(), value.value()?);
            } else {
                value.skip_value()?;
            }
            Ok(())
        })?;
        // One that is out of the range of 32 bits is none of the numbers.
        let all = is_list && numbers.len() == count;
        Ok(all && u32::try_from(count) == Ok(vector.dimensions))
    }
}
