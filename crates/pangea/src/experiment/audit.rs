//! Where every acknowledged write is, in every region.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use pangea_core::experiment::{Fate, Seen, concurrent, fate};
use pangea_core::time::Stamp;
use serde::Serialize;

use super::load::{Kind, Record, Write, Written};
use super::place::Kept;
use super::view::{ORDERS, View};
use super::writer;

/// Examples of what is wrong that are kept of each kind.
const EXAMPLES_MAX: usize = 5;

/// Acknowledged writes, each with the phase in which it was sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Acknowledged {
    /// Identities of orders.
    pub(super) orders: Vec<(&'static str, String)>,
    /// Versions of items, each with the region that took it.
    pub(super) writes: Vec<(&'static str, String, Write)>,
    /// Items that someone may have deleted without being told: a region was killed between the
    /// disk and the answer. A delete that was collected leaves nothing to be judged by.
    pub(super) perhaps_deleted: BTreeSet<(String, String)>,
}

impl Acknowledged {
    pub(super) fn collect<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut all = Self::default();
        for record in records {
            let region = record.served_by.clone().unwrap_or_default();
            let perhaps = record.perhaps_deleted.iter();
            all.perhaps_deleted
                .extend(perhaps.map(|(table, key)| (table.to_string(), key.clone())));
            match &record.written {
                Some(Written::Order(id)) => all.orders.push((record.phase, id.clone())),
                Some(Written::Version(write)) => {
                    all.writes.push((record.phase, region, write.clone()));
                }
                None => {}
            }
        }
        all
    }

    pub(super) fn len(&self) -> usize {
        self.orders.len() + self.writes.len()
    }

    /// Every item that was written, each once.
    pub(super) fn items(&self) -> Vec<(String, String)> {
        let item = |write: &Write| (write.table.to_string(), write.key.clone());
        let items: BTreeSet<_> = self.writes.iter().map(|(_, _, write)| item(write)).collect();
        items.into_iter().collect()
    }
}

/// Where the acknowledged writes are, as one region tells.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct RegionAudit {
    /// The region.
    pub(super) region: String,
    /// Readable as written.
    pub(super) present: u64,
    /// Replaced by a write that had seen them.
    pub(super) overwritten: u64,
    /// Kept beside what a reader sees first.
    pub(super) merged: u64,
    /// Lost a conflict; the ledger has them.
    pub(super) in_ledger: u64,
    /// None of these.
    pub(super) lost: u64,
    /// The first few of those.
    pub(super) examples: Vec<String>,
}

impl RegionAudit {
    fn count(&mut self, fate: Fate, what: impl FnOnce() -> String) {
        *match fate {
            Fate::Present => &mut self.present,
            Fate::Overwritten => &mut self.overwritten,
            Fate::Merged => &mut self.merged,
            Fate::InLedger => &mut self.in_ledger,
            Fate::Lost => {
                note(&mut self.examples, what);
                &mut self.lost
            }
        } += 1;
    }
}

/// One row of the account: of the acknowledged writes of a group, how many are in the causal past
/// of what is shown (or are it), merged into it, in the ledger, or lost; by the worst of the
/// regions.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Account {
    /// What the group has in common: `all`, `phase`, `kind` or `table`.
    pub(super) by: &'static str,
    /// Which phase, kind or table.
    pub(super) name: String,
    pub(super) acknowledged: u64,
    pub(super) causal: u64,
    pub(super) merged: u64,
    pub(super) in_ledger: u64,
    pub(super) lost: u64,
}

impl Account {
    fn count(&mut self, fate: Fate) {
        self.acknowledged += 1;
        *match fate {
            Fate::Present | Fate::Overwritten => &mut self.causal,
            Fate::Merged => &mut self.merged,
            Fate::InLedger => &mut self.in_ledger,
            Fate::Lost => &mut self.lost,
        } += 1;
    }
}

/// Everything that the audit found.
#[derive(Clone, Debug, Default)]
pub(super) struct Audit {
    pub(super) regions: Vec<RegionAudit>,
    pub(super) accounts: Vec<Account>,
    pub(super) wrong: Wrong,
}

/// What must not be, counted, with examples.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Wrong {
    /// Items that do not read as the write reads that won.
    pub(super) values: u64,
    /// Entries of the ledger whose sides were not concurrent.
    pub(super) false_conflicts: u64,
    /// Conditional writes that lost without being called grave, and plain ones that are.
    pub(super) severity: u64,
    /// Keys that one region gave to two who asked to be the first.
    pub(super) double_claims: u64,
    /// The first few of each.
    pub(super) examples: Vec<String>,
}

fn note(examples: &mut Vec<String>, what: impl FnOnce() -> String) {
    if examples.len() < EXAMPLES_MAX {
        examples.push(what());
    }
}

/// Judges what the regions showed once they had everything; `run` names the keys of this run.
pub(super) fn audit(views: &[View], all: &Acknowledged, run: &str) -> Audit {
    let mut audit = Audit::default();
    let mut worst_orders = vec![Fate::Present; all.orders.len()];
    let mut worst = vec![Fate::Present; all.writes.len()];
    let (deletes, nothing) = (newest_deletes(all), Kept::default());
    for view in views {
        let mut region = RegionAudit { region: view.region.clone(), ..RegionAudit::default() };
        for ((_, id), worst) in all.orders.iter().zip(&mut worst_orders) {
            let found = if view.orders.contains(id) { Fate::Present } else { Fate::Lost };
            region.count(found, || format!("order {id}"));
            *worst = found.max(*worst);
        }
        let losers = losers_by_item(view);
        for ((_, by, write), worst) in all.writes.iter().zip(&mut worst) {
            let item = (write.table.to_string(), write.key.clone());
            let kept = view.kept.get(&item).unwrap_or(&nothing);
            let losers = losers.get(&(&*write.table, &write.key)).map_or(&[][..], Vec::as_slice);
            let deleted = deletes.get(&(&*write.table, write.key.as_str())).copied();
            let found = match fate(write.stamp, &kept.versions, losers) {
                Fate::Lost if all.perhaps_deleted.contains(&item) && is_forgotten(write, kept) => {
                    Fate::Overwritten
                }
                Fate::Lost => collected(write.stamp, kept, deleted),
                found => found,
            };
            region.count(found, || {
                format!("{} of {} by {by}: version {}", write.kind.as_str(), write.key, write.stamp)
            });
            *worst = found.max(*worst);
        }
        audit.regions.push(region);
        check_values(view, all, &mut audit.wrong);
    }
    audit.accounts = accounts(all, &worst_orders, &worst);
    check_ledger(views, all, run, &mut audit.wrong);
    check_claims(all, run, &mut audit.wrong);
    audit
}

/// The newest acknowledged deletion of each item.
fn newest_deletes(all: &Acknowledged) -> BTreeMap<(&str, &str), Stamp> {
    let mut newest = BTreeMap::new();
    for (_, _, write) in all.writes.iter().filter(|(_, _, write)| write.kind == Kind::Delete) {
        let stamp = newest.entry((&*write.table, write.key.as_str())).or_insert(write.stamp);
        *stamp = write.stamp.max(*stamp);
    }
    newest
}

/// Where a write is whose item has no row: deleted knowingly, if a deletion that came after it is
/// known to the region, which then has collected the tombstone.
fn collected(stamp: Stamp, kept: &Kept, deleted: Option<Stamp>) -> Fate {
    match deleted {
        Some(deleted) if kept.versions.is_empty() && kept.seen.covers(deleted) => {
            match stamp.cmp(&deleted) {
                Ordering::Equal => Fate::Present,
                Ordering::Less if kept.seen.covers(stamp) => Fate::Overwritten,
                Ordering::Less | Ordering::Greater => Fate::Lost,
            }
        }
        _ => Fate::Lost,
    }
}

/// Whether a write is among what the region knows of items whose rows it has collected. Nobody was
/// told of the deletion that came after it, so there is no stamp to hold it against.
fn is_forgotten(write: &Write, kept: &Kept) -> bool {
    kept.versions.is_empty() && kept.seen.covers(write.stamp)
}

fn losers_by_item(view: &View) -> BTreeMap<(&str, &str), Vec<Seen>> {
    let mut losers: BTreeMap<(&str, &str), Vec<Seen>> = BTreeMap::new();
    for entry in &view.conflicts {
        losers.entry((&entry.table, &entry.key)).or_default().extend(entry.losers());
    }
    losers
}

fn accounts(all: &Acknowledged, orders: &[Fate], writes: &[Fate]) -> Vec<Account> {
    let mut total = Account { by: "all", name: "all".to_string(), ..Account::default() };
    let (mut phases, mut kinds, mut tables) = (Vec::new(), Vec::new(), Vec::new());
    let mut count = |phase, kind, table, fate| {
        total.count(fate);
        group(&mut phases, "phase", phase).count(fate);
        group(&mut kinds, "kind", kind).count(fate);
        group(&mut tables, "table", table).count(fate);
    };
    for ((phase, _), fate) in all.orders.iter().zip(orders) {
        count(phase, "order", ORDERS.0, *fate);
    }
    for ((phase, _, write), fate) in all.writes.iter().zip(writes) {
        count(phase, write.kind.as_str(), &write.table, *fate);
    }
    let order = |account: &Account| Kind::ALL.iter().position(|kind| kind.as_str() == account.name);
    kinds.sort_by_key(order);
    phases.into_iter().chain(kinds).chain(tables).chain([total]).collect()
}

fn group<'a>(accounts: &'a mut Vec<Account>, by: &'static str, name: &str) -> &'a mut Account {
    let at = accounts.iter().position(|account| account.name == name).unwrap_or(accounts.len());
    if at == accounts.len() {
        accounts.push(Account { by, name: name.to_string(), ..Account::default() });
    }
    &mut accounts[at]
}

/// What a reader is shown is what was written by the write that won, where one of ours did and
/// nothing is merged into it.
fn check_values(view: &View, all: &Acknowledged, wrong: &mut Wrong) {
    let by_stamp: BTreeMap<Stamp, &Write> =
        all.writes.iter().map(|(_, _, write)| (write.stamp, write)).collect();
    for ((table, key), kept) in &view.kept {
        let [only] = kept.versions.as_slice() else { continue };
        let Some(write) = by_stamp.get(&only.stamp) else { continue };
        let item = view.contents.get(table).and_then(|items| items.get(key));
        let shown = item.and_then(|item| item["v"]["S"].as_str());
        if item.is_some() != write.value.is_some() || shown != write.value.as_deref() {
            wrong.values += 1;
            note(&mut wrong.examples, || {
                let [shown, written] =
                    [shown, write.value.as_deref()].map(|it| it.unwrap_or("nothing"));
                format!("{key} in {}: {shown}, written was {written}", view.region)
            });
        }
    }
}

fn check_ledger(views: &[View], all: &Acknowledged, run: &str, wrong: &mut Wrong) {
    let by_stamp: BTreeMap<Stamp, Kind> =
        all.writes.iter().map(|(_, _, write)| (write.stamp, write.kind)).collect();
    let entries = views.iter().flat_map(|view| &view.conflicts);
    let entries: BTreeMap<&str, _> = entries.map(|entry| (entry.id.as_str(), entry)).collect();
    for entry in entries.into_values().filter(|entry| entry.key.starts_with(run)) {
        let shared = entry.sharing.len() > 1;
        if !shared && !concurrent(&entry.loser, &entry.winner) {
            wrong.false_conflicts += 1;
            note(&mut wrong.examples, || format!("conflict {} was none", entry.id));
        }
        let kinds: Vec<_> = entry.losers().iter().map(|loser| by_stamp.get(&loser.stamp)).collect();
        // A loser that nobody was told of may be anything.
        let (grave, unknown) = (kinds.contains(&Some(&Kind::Conditional)), kinds.contains(&None));
        let high = entry.severity == "high";
        // A value that is not shown does not say under which condition it was written.
        if !entry.attribute && grave != high && !(high && unknown) {
            wrong.severity += 1;
            note(&mut wrong.examples, || {
                let name = |kind: &Option<&Kind>| kind.map_or("unknown", |kind| kind.as_str());
                let kinds = kinds.iter().map(name).collect::<Vec<_>>().join(", ");
                format!("conflict {} of {kinds} is {}", entry.id, entry.severity)
            });
        }
    }
}

fn check_claims(all: &Acknowledged, run: &str, wrong: &mut Wrong) {
    let mut given = BTreeSet::new();
    for (_, region, write) in &all.writes {
        let claim = (region, &write.table, &write.key);
        if writer::is_claim(run, &write.key) && !given.insert(claim) {
            wrong.double_claims += 1;
            note(&mut wrong.examples, || format!("{region} gave {} twice", write.key));
        }
    }
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
