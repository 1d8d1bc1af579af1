//! Looks for items that have expired, and has them deleted.
//!
//! State: counts. A pass goes over every table whose items expire, in chunks read from a durable
//! snapshot on a thread of its own; the writer looks again at what a chunk names. The pace is
//! bounded, so that a table that expires at once does not crowd out clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use pangea_core::catalog::{Catalog, TableEntry};
use pangea_core::expiry;
use pangea_core::item::PrimaryKey;
use pangea_core::node::{Expire, Outcome};
use pangea_core::replica::Snapshot as _;
use tokio::time::sleep;

use super::Region;
use crate::metrics::Scrape;
use crate::storage::Fault;

/// Rows of one chunk, and the pause behind it: 50,000 rows a second at most.
const CHUNK_ROWS: usize = 512;
const CHUNK_PAUSE: Duration = Duration::from_millis(10);
/// Items of one write.
const DELETES_MAX: usize = 100;

/// Since the process began.
#[derive(Debug, Default)]
pub(super) struct Expiries {
    passes: AtomicU64,
    rows: AtomicU64,
    deleted: AtomicU64,
}

impl Expiries {
    /// Items deleted for their age.
    pub(super) fn deleted(&self) -> u64 {
        self.deleted.load(Relaxed)
    }

    pub(super) fn scrape(&self, scrape: &mut Scrape) {
        let all = [
            ("pangea_ttl_passes", "Passes over tables whose items expire", &self.passes),
            ("pangea_ttl_rows", "Rows looked at in these passes", &self.rows),
            ("pangea_ttl_deletes", "Items deleted because they had expired", &self.deleted),
        ];
        for (name, help, count) in all {
            scrape.counter(name, help, [(Vec::new(), count.load(Relaxed))]);
        }
    }
}

/// Goes over the tables again and again, as long as the process lives.
pub(super) async fn keep(region: Arc<Region>) {
    let pause = Duration::from_secs(region.topology.ttl.scan_s);
    loop {
        sleep(pause).await;
        let catalog = region.catalog();
        let expiring = catalog
            .held_by(region.slot)
            .filter(|entry| entry.ttl.is_some() && catalog.is_serving(entry, region.slot));
        for entry in expiring {
            if let Err(fault) = pass(&region, &catalog, entry).await {
                region.repairs.suspicion().of(&fault);
                let table = &entry.name;
                tracing::warn!(error = %fault, table, "a pass for expired items failed");
            }
        }
    }
}

async fn pass(
    region: &Arc<Region>,
    catalog: &Arc<Catalog>,
    entry: &TableEntry,
) -> Result<(), Fault> {
    let counts = &region.expiries;
    let mut after = None;
    loop {
        let chunk = chunk(region, (catalog, entry), after).await?;
        counts.rows.fetch_add(chunk.rows as u64, Relaxed);
        for keys in chunk.due.chunks(DELETES_MAX) {
            delete(region, entry, keys).await;
        }
        if chunk.rows < CHUNK_ROWS {
            counts.passes.fetch_add(1, Relaxed);
            return Ok(());
        }
        after = chunk.last;
        sleep(CHUNK_PAUSE).await;
    }
}

struct Chunk {
    rows: usize,
    last: Option<PrimaryKey>,
    /// Items that this region shall delete.
    due: Vec<PrimaryKey>,
}

async fn chunk(
    region: &Arc<Region>,
    (catalog, entry): (&Arc<Catalog>, &TableEntry),
    after: Option<PrimaryKey>,
) -> Result<Chunk, Fault> {
    let (region, catalog, entry) = (Arc::clone(region), Arc::clone(catalog), entry.clone());
    let read = move || {
        let view = region.store.snapshot()?;
        let rows = view.rows(entry.id, after.as_ref(), CHUNK_ROWS);
        view.check()?;
        let (now_ms, grace_ms) = (region.clock.now().wall_ms, grace_ms(&region));
        let mut chunk = Chunk { rows: rows.len(), last: None, due: Vec::new() };
        for (key, stored) in rows {
            chunk.last = Some(key.primary.clone());
            let item = (&key.primary, &stored);
            if expiry::is_due((&catalog, &entry), item, region.slot, now_ms, grace_ms) {
                chunk.due.push(key.primary);
            }
        }
        Ok(chunk)
    };
    let read = tokio::task::spawn_blocking(read).await;
    read.unwrap_or_else(|_| Err(Fault::Read("the region is stopping".to_string())))
}

/// Deletes items, and takes as long as the pace wants.
async fn delete(region: &Region, entry: &TableEntry, keys: &[PrimaryKey]) {
    let pace = region.topology.ttl.deletes_per_s.max(1);
    let expire = Expire { table: entry.id, keys: keys.to_vec(), grace_ms: grace_ms(region) };
    match region.writer.expire(expire).await {
        Ok(Outcome::Expired { deleted }) => {
            region.expiries.deleted.fetch_add(deleted as u64, Relaxed);
        }
        Ok(_) => {}
        // The next pass tries again.
        Err(fault) => tracing::debug!(%fault, table = entry.name, "expired items stay for now"),
    }
    sleep(Duration::from_millis(keys.len() as u64 * 1000 / pace)).await;
}

fn grace_ms(region: &Region) -> u64 {
    region.topology.ttl.grace_s.saturating_mul(1000)
}
