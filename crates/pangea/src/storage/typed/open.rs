//! Opening: whose directory this is, and what was durable in it.

use std::fmt;
use std::ops::Bound;

use pangea_codec::disk::{self, Corrupt, meta};
use pangea_core::catalog::Catalog;
use pangea_core::id::{RegionSlot, TableId};
use pangea_core::replica::{Applied, Durable};
use pangea_core::time::Hlc;

use super::{StoreView, corrupt};
use crate::storage::{Engine, Fault, Op, Space, View};

/// Whose a directory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster.
    pub cluster: String,
    /// The region's name.
    pub region: String,
    /// The region's place in the topology.
    pub slot: RegionSlot,
    /// The life to begin if the directory is new; an old directory knows its own.
    pub incarnation: u16,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "region {} (slot {}) of cluster {}", self.region, self.slot.get(), self.cluster)
    }
}

/// Checks that the directory is `identity`'s, or makes it so if it is new.
pub(super) fn claim(engine: &dyn Engine, identity: &Identity) -> Result<(), Fault> {
    let view = engine.view()?;
    let Some(layout) = get(&*view, meta::FORMAT, meta::decode_number)? else {
        return engine.commit(&first_records(identity));
    };
    if layout != meta::FORMAT_VERSION {
        return Err(Fault::Layout { found: layout, known: meta::FORMAT_VERSION });
    }
    let cluster = expect(&*view, meta::CLUSTER, meta::decode_text)?;
    let (slot, region) = expect(&*view, meta::REGION, meta::decode_region)?;
    let found = Identity { cluster, region, slot, incarnation: identity.incarnation };
    if found == *identity {
        return Ok(());
    }
    Err(Fault::Foreign { found: found.to_string(), wanted: identity.to_string() })
}

fn first_records(identity: &Identity) -> Vec<Op> {
    let mut ops = vec![
        (meta::FORMAT, meta::encode_number(meta::FORMAT_VERSION)),
        (meta::CLUSTER, meta::encode_text(&identity.cluster)),
        (meta::REGION, meta::encode_region(identity.slot, &identity.region)),
        (meta::INCARNATION, meta::encode_number(identity.incarnation)),
    ];
    ops.sort();
    let op =
        |(key, value): (&[u8], _)| Op { space: Space::Meta, key: key.into(), value: Some(value) };
    ops.into_iter().map(op).collect()
}

/// Reads what a node begins with.
pub(super) fn recover(store: &StoreView) -> Result<Durable, Fault> {
    let view = store.view();
    Ok(Durable {
        incarnation: expect(view, meta::INCARNATION, meta::decode_number)?,
        last: get(view, meta::LAST, meta::decode_reading)?.unwrap_or(Hlc::ZERO),
        applied: recover_applied(view)?,
        catalog: recover_catalog(store)?,
    })
}

fn recover_applied(view: &dyn View) -> Result<Applied, Fault> {
    let mut applied = Applied::new();
    let mut fault = None;
    let range = (Bound::Included(meta::APPLIED_PREFIX), Bound::Unbounded);
    view.scan(Space::Meta, range, false, &mut |key, value| {
        if !key.starts_with(meta::APPLIED_PREFIX) {
            return std::ops::ControlFlow::Break(());
        }
        let entry = meta::read_applied_key(key)
            .and_then(|origin| Ok((origin, meta::decode_reading(value)?)));
        match entry {
            Ok((origin, hlc)) => {
                applied.insert(origin, hlc);
            }
            Err(reason) => fault = Some(corrupt(Space::Meta, key, reason)),
        }
        std::ops::ControlFlow::Continue(())
    })?;
    fault.map_or(Ok(applied), Err)
}

fn recover_catalog(store: &StoreView) -> Result<Catalog, Fault> {
    let mut catalog = Catalog::default();
    let prefix = disk::table_prefix(TableId::CATALOG);
    store.visit(Bound::Included(prefix.into()), &prefix, &mut |key, item| {
        if !catalog.observe(&item.key, item.attributes.as_ref()) {
            // A peer of another build may write what this one does not know; the row stays.
            tracing::warn!(row = ?key, "a row of the catalog is not understood and ignored");
        }
        std::ops::ControlFlow::Continue(())
    })?;
    Ok(catalog)
}

fn get<T>(
    view: &dyn View,
    key: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, Corrupt>,
) -> Result<Option<T>, Fault> {
    let value = view.get(Space::Meta, key)?;
    let value = value.map(|value| decode(&value)).transpose();
    value.map_err(|reason| corrupt(Space::Meta, key, reason))
}

fn expect<T>(
    view: &dyn View,
    key: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, Corrupt>,
) -> Result<T, Fault> {
    get(view, key, decode)?.ok_or_else(|| corrupt(Space::Meta, key, Corrupt("it is missing")))
}
