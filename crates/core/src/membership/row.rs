//! A voice as a row of the catalog: `region/<slot>`, written by that region alone.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Ballot, Change, Claim, Membership, Region, RegionState, Voice, What};
use crate::id::{Origin, RegionSlot, TableId};
use crate::item::{AttributeValue, Attributes, ItemKey, KeyValue, PrimaryKey};
use crate::ledger;
use crate::time::Hlc;

const PREFIX: &str = "region/";

/// The row in which a region speaks.
#[must_use]
pub fn key(slot: RegionSlot) -> ItemKey {
    let partition = KeyValue::S(format!("{PREFIX}{}", slot.get()));
    ItemKey { table: TableId::CATALOG, primary: PrimaryKey { partition, sort: None } }
}

/// Whose voice a row of the catalog is, if it is one.
#[must_use]
pub fn slot_of(key: &PrimaryKey) -> Option<RegionSlot> {
    let KeyValue::S(text) = &key.partition else { return None };
    RegionSlot::new(text.strip_prefix(PREFIX)?.parse().ok()?)
}

impl Voice {
    /// The row's attributes.
    #[must_use]
    pub fn to_attributes(&self) -> Attributes {
        let membership = &self.membership;
        let regions = membership.regions.iter().map(|(slot, region)| write_region(*slot, region));
        let mut row = BTreeMap::from([
            named("generation", int(u64::from(membership.generation))),
            named("regions", AttributeValue::L(regions.collect())),
        ]);
        row.extend(membership.last.map(|last| named("last", list(write_change(last)))));
        row.extend(self.promised.map(|ballot| named("promised", list(write_ballot(ballot)))));
        row.extend(self.accepted.map(|(ballot, change)| {
            let change = write_change(change);
            named("accepted", list([write_ballot(ballot), change].concat()))
        }));
        row.extend(self.proposed.map(|(ballot, change)| {
            let change = change.map(write_change).unwrap_or_default();
            named("proposed", list([write_ballot(ballot), change].concat()))
        }));
        let had = self.had.iter().map(|(origin, hlc)| {
            list(Vec::from([int(u64::from(origin.to_bits())), int(hlc.to_bits())]))
        });
        let claims = self.claims.iter().map(|(origin, claim)| {
            let revision = int(u64::from(claim.revision));
            let origin = int(u64::from(origin.to_bits()));
            list(Vec::from([origin, int(claim.newest.to_bits()), revision]))
        });
        let held = self.held.iter().map(|(origin, tables)| {
            let mut parts = Vec::from([int(u64::from(origin.to_bits()))]);
            let stamps = tables.iter().map(|table| ledger::stamp_bytes(table.0));
            parts.extend(stamps.map(|bytes| AttributeValue::B(bytes.into())));
            list(parts)
        });
        let had = had.collect::<Vec<_>>();
        let parts = [("had", had), ("held", held.collect()), ("claims", claims.collect())];
        for (name, entries) in parts {
            if !entries.is_empty() {
                row.extend([named(name, list(entries))]);
            }
        }
        row
    }
}

/// The voice in a row's attributes; `None` if it is none.
#[must_use]
pub fn decode(row: &Attributes) -> Option<Voice> {
    let regions = parts(row.get("regions")?)?.iter().map(read_region).collect::<Option<_>>()?;
    let change = |name: &str| match row.get(name) {
        Some(value) => read_change(parts(value)?).map(Some),
        None => Some(None),
    };
    let generation = u32::try_from(as_int(row.get("generation")?)?).ok()?;
    Some(Voice {
        membership: Membership { generation, last: change("last")?, regions },
        promised: match row.get("promised") {
            Some(value) => Some(read_ballot(parts(value)?)?),
            None => None,
        },
        accepted: match row.get("accepted").map(|value| parts(value)) {
            Some(parts) => Some((read_ballot(parts?)?, read_change(parts?.get(2..)?)?)),
            None => None,
        },
        proposed: match row.get("proposed").map(|value| parts(value)) {
            Some(parts) => {
                let change = parts?.get(2..)?;
                let change = if change.is_empty() { None } else { Some(read_change(change)?) };
                Some((read_ballot(parts?)?, change))
            }
            None => None,
        },
        had: read_entries(row.get("had"), |parts| {
            let [hlc] = parts else { return None };
            Some(Hlc::from_bits(as_int(hlc)?))
        })?,
        held: read_entries(row.get("held"), |parts| {
            let table = |part: &AttributeValue| match part {
                AttributeValue::B(bytes) => ledger::read_stamp(bytes).map(TableId),
                _ => None,
            };
            parts.iter().map(table).collect()
        })?,
        claims: read_entries(row.get("claims"), |parts| {
            let [newest, revision] = parts else { return None };
            let revision = u32::try_from(as_int(revision)?).ok()?;
            Some(Claim { newest: Hlc::from_bits(as_int(newest)?), revision })
        })?,
    })
}

fn write_region(slot: RegionSlot, region: &Region) -> AttributeValue {
    let life = region.life.map_or(AttributeValue::Null, |life| int(u64::from(life)));
    let used = region.used.iter().map(|&life| int(u64::from(life))).collect();
    list(Vec::from([
        int(u64::from(slot.get())),
        text(region.state.as_str()),
        life,
        int(u64::from(region.since)),
        AttributeValue::L(used),
    ]))
}

fn read_region(value: &AttributeValue) -> Option<(RegionSlot, Region)> {
    let [slot, state, life, since, used] = parts(value)? else { return None };
    let AttributeValue::S(state) = state else { return None };
    let region = Region {
        state: RegionState::parse(state)?,
        life: match life {
            AttributeValue::Null => None,
            life => Some(as_life(life)?),
        },
        used: parts(used)?.iter().map(as_life).collect::<Option<_>>()?,
        since: u32::try_from(as_int(since)?).ok()?,
    };
    Some((as_slot(slot)?, region))
}

fn write_change(change: Change) -> Vec<AttributeValue> {
    let mut parts = Vec::from([int(u64::from(change.slot.get())), text(change.what.as_str())]);
    match change.what {
        What::Rejoin { life } => parts.push(int(u64::from(life))),
        What::Suspend { automatic } | What::Evict { automatic } => {
            parts.push(AttributeValue::Bool(automatic));
        }
        What::Add | What::Activate | What::Resume | What::Leave | What::Remove => {}
    }
    parts
}

fn read_change(parts: &[AttributeValue]) -> Option<Change> {
    let AttributeValue::S(word) = parts.get(1)? else { return None };
    let automatic = || match parts.get(2)? {
        AttributeValue::Bool(automatic) => Some(*automatic),
        _ => None,
    };
    let what = match word.as_str() {
        "add" => What::Add,
        "activate" => What::Activate,
        "suspend" => What::Suspend { automatic: automatic()? },
        "resume" => What::Resume,
        "evict" => What::Evict { automatic: automatic()? },
        "leave" => What::Leave,
        "remove" => What::Remove,
        "rejoin" => What::Rejoin { life: as_life(parts.get(2)?)? },
        _ => return None,
    };
    Some(Change { slot: as_slot(parts.first()?)?, what })
}

fn write_ballot(ballot: Ballot) -> Vec<AttributeValue> {
    Vec::from([int(u64::from(ballot.round)), int(u64::from(ballot.slot.get()))])
}

fn read_ballot(parts: &[AttributeValue]) -> Option<Ballot> {
    let round = u32::try_from(as_int(parts.first()?)?).ok()?;
    Some(Ballot { round, slot: as_slot(parts.get(1)?)? })
}

fn read_entries<T>(
    value: Option<&AttributeValue>,
    read: impl Fn(&[AttributeValue]) -> Option<T>,
) -> Option<BTreeMap<Origin, T>> {
    let Some(value) = value else { return Some(BTreeMap::new()) };
    let entry = |value: &AttributeValue| {
        let (origin, rest) = parts(value)?.split_first()?;
        let origin = u16::try_from(as_int(origin)?).ok()?;
        Some((Origin::from_bits(origin), read(rest)?))
    };
    parts(value)?.iter().map(entry).collect()
}

fn named(name: &str, value: AttributeValue) -> (String, AttributeValue) {
    (name.to_string(), value)
}

fn text(word: &str) -> AttributeValue {
    AttributeValue::S(word.to_string())
}

fn list(parts: Vec<AttributeValue>) -> AttributeValue {
    AttributeValue::L(parts)
}

fn parts(value: &AttributeValue) -> Option<&[AttributeValue]> {
    let AttributeValue::L(parts) = value else { return None };
    Some(parts)
}

fn int(value: u64) -> AttributeValue {
    AttributeValue::B(Vec::from(value.to_be_bytes()))
}

fn as_int(value: &AttributeValue) -> Option<u64> {
    let AttributeValue::B(bytes) = value else { return None };
    Some(u64::from_be_bytes(bytes.as_slice().try_into().ok()?))
}

fn as_life(value: &AttributeValue) -> Option<u16> {
    u16::try_from(as_int(value)?).ok()
}

fn as_slot(value: &AttributeValue) -> Option<RegionSlot> {
    RegionSlot::new(u8::try_from(as_int(value)?).ok()?)
}
