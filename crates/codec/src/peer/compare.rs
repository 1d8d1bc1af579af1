//! Questions and answers of anti-entropy.

use pangea_core::id::TableId;
use pangea_core::repair::{Answer, Ask, Kept, Listed, Subject, Told};

use super::{read_place, write_place};
use crate::binary::{DecodeError, Reader, Writer};

const SUM_BYTES: usize = 16;

pub(super) fn write_ask(out: &mut Writer, ask: &Ask) {
    out.u64(ask.number);
    out.stamp(ask.table.0);
    match &ask.of {
        Subject::Fingerprints => out.u8(0),
        Subject::Versions { bucket, after, foreign } => {
            out.u8(1);
            out.u8(*bucket);
            out.flag(*foreign);
            write_place(out, after.as_ref());
        }
        Subject::Rows { keys } => {
            out.u8(2);
            out.length(keys.len());
            keys.iter().for_each(|key| out.primary_key(key));
        }
        Subject::Damage { bucket } => {
            out.u8(3);
            out.u8(*bucket);
        }
    }
}

pub(super) fn read_ask(reader: &mut Reader<'_>) -> Result<Ask, DecodeError> {
    let (number, table) = (reader.u64()?, TableId(reader.stamp()?));
    let of = match reader.u8()? {
        0 => Subject::Fingerprints,
        1 => {
            let (bucket, foreign) = (reader.u8()?, reader.flag()?);
            Subject::Versions { bucket, after: read_place(reader)?, foreign }
        }
        2 => Subject::Rows { keys: many(reader, Reader::primary_key)? },
        3 => Subject::Damage { bucket: reader.u8()? },
        tag => return Err(DecodeError::Tag { what: "subject", tag }),
    };
    Ok(Ask { number, table, of })
}

pub(super) fn write_answer(out: &mut Writer, answer: &Answer) {
    write_ask(out, &answer.ask);
    out.length(answer.applied.len());
    for &(origin, hlc) in &answer.applied {
        out.origin(origin);
        out.hlc(hlc);
    }
    match &answer.told {
        Told::Nothing => out.u8(0),
        Told::Fingerprints(sums) => {
            out.u8(1);
            out.length(sums.len());
            sums.iter().for_each(|sum| out.raw(&sum.to_be_bytes()));
        }
        Told::Versions { items, next } => {
            out.u8(2);
            out.length(items.len());
            items.iter().for_each(|item| write_listed(out, item));
            write_place(out, next.as_ref());
        }
        Told::Rows(rows) => {
            out.u8(3);
            out.length(rows.len());
            rows.iter().for_each(|kept| write_kept(out, kept.as_ref()));
        }
        Told::Damage(sums) => {
            out.u8(4);
            out.length(sums.len());
            sums.iter().for_each(|sum| out.raw(&sum.to_be_bytes()));
        }
    }
}

pub(super) fn read_answer(reader: &mut Reader<'_>) -> Result<Answer, DecodeError> {
    let ask = read_ask(reader)?;
    let applied = many(reader, |reader| Ok((reader.origin()?, reader.hlc()?)))?;
    let told = match reader.u8()? {
        0 => Told::Nothing,
        1 => Told::Fingerprints(many(reader, read_sum)?),
        2 => Told::Versions { items: many(reader, read_listed)?, next: read_place(reader)? },
        3 => Told::Rows(many(reader, read_kept)?),
        4 => Told::Damage(many(reader, read_sum)?),
        tag => return Err(DecodeError::Tag { what: "answer", tag }),
    };
    Ok(Answer { ask, applied, told })
}

fn write_listed(out: &mut Writer, item: &Listed) {
    out.primary_key(&item.key);
    out.length(item.versions.len());
    for (stamp, sum) in &item.versions {
        out.stamp(*stamp);
        out.raw(&sum.to_be_bytes());
    }
}

fn read_listed(reader: &mut Reader<'_>) -> Result<Listed, DecodeError> {
    let key = reader.primary_key()?;
    let versions = many(reader, |reader| Ok((reader.stamp()?, read_sum(reader)?)))?;
    Ok(Listed { key, versions })
}

fn write_kept(out: &mut Writer, kept: Option<&Kept>) {
    out.flag(kept.is_some());
    if let Some(kept) = kept {
        out.version_vector(&kept.seen);
        out.length(kept.versions.len());
        kept.versions.iter().for_each(|version| out.version(version));
    }
}

fn read_kept(reader: &mut Reader<'_>) -> Result<Option<Kept>, DecodeError> {
    if !reader.flag()? {
        return Ok(None);
    }
    let seen = reader.version_vector()?;
    Ok(Some(Kept { seen, versions: many(reader, Reader::version)? }))
}

fn read_sum(reader: &mut Reader<'_>) -> Result<u128, DecodeError> {
    let mut bytes = [0; SUM_BYTES];
    bytes.copy_from_slice(reader.raw(SUM_BYTES)?);
    Ok(u128::from_be_bytes(bytes))
}

fn many<'a, T>(
    reader: &mut Reader<'a>,
    read: impl Fn(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let mut all = Vec::new();
    for _ in 0..reader.length()? {
        all.push(read(reader)?);
    }
    Ok(all)
}
