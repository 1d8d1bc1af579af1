//! Records of the journal: marker, CRC-32, wall clock, stream, flags, stamp, key, the item before,
//! the item after.

use pangea_core::id::TableId;
use pangea_core::item::ItemKey;
use pangea_core::journal::Record;

use super::{MARKER, RowError, checked, meta, sealed};
use crate::binary::{Reader, Writer};

/// A record's value; its name is [`meta::record`].
#[must_use]
pub fn encode(record: &Record) -> Vec<u8> {
    let mut writer = Writer::from(vec![MARKER, 0, 0, 0, 0]);
    writer.u64(record.wall_ms);
    writer.u64(record.stream_ms);
    writer.u8(u8::from(record.expired));
    writer.stamp(record.stamp);
    writer.primary_key(&record.key.primary);
    for image in [&record.before, &record.after] {
        writer.u8(u8::from(image.is_some()));
        if let Some(image) = image {
            writer.attributes(image);
        }
    }
    sealed(writer)
}

/// The inverse of [`encode`].
///
/// # Errors
/// See [`RowError`].
pub fn decode(name: &[u8], bytes: &[u8]) -> Result<Record, RowError> {
    let mut named = Reader::new(name.strip_prefix(meta::JOURNAL).unwrap_or_default());
    let table = named.stamp().map(TableId)?;
    let sequence = named.u64()?;
    named.finish()?;
    let mut reader = Reader::new(checked(bytes)?.1);
    let (wall_ms, stream_ms) = (reader.u64()?, reader.u64()?);
    let expired = reader.u8()? == 1;
    let stamp = reader.stamp()?;
    let key = ItemKey { table, primary: reader.primary_key()? };
    let mut image =
        || Ok::<_, RowError>(if reader.u8()? == 1 { Some(reader.attributes()?) } else { None });
    let (before, after) = (image()?, image()?);
    reader.finish()?;
    Ok(Record { sequence, wall_ms, stream_ms, expired, key, stamp, before, after })
}
