//! What a region has to show, and whether all regions show the same.

use std::collections::{BTreeMap, BTreeSet};

use pangea_core::time::Stamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::audit::Acknowledged;
use super::dynamo::{self, Error};
use super::place::{Entry, Kept, Place};
use crate::versions::format_stamp;

/// The sample application's table of orders, and its key.
pub(super) const ORDERS: (&str, &str) = ("shop-orders", "order_id");
/// Examples of differences that are kept.
const EXAMPLES_MAX: usize = 10;

/// What one region shows.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) region: String,
    /// Items by table and key, as Scan gives them.
    pub(super) contents: BTreeMap<String, BTreeMap<String, Value>>,
    /// Descriptions of all tables that the region holds, without what is the region's own.
    pub(super) catalog: BTreeMap<String, Value>,
    /// Versions kept of every item that was written, by table and key.
    pub(super) kept: BTreeMap<(String, String), Kept>,
    /// The conflicts of the experiment's tables.
    pub(super) conflicts: Vec<Entry>,
    /// Which orders are there.
    pub(super) orders: BTreeSet<String>,
}

/// Asks a region for everything about `tables` and what was acknowledged.
pub(super) async fn view(
    place: &Place,
    tables: &[String],
    all: &Acknowledged,
) -> Result<View, Error> {
    let mut store = place.store();
    let mut view = View { region: place.name.clone(), ..View::default() };
    for table in tables {
        view.contents.insert(table.clone(), dynamo::scan(&mut store, table).await?);
        view.conflicts.extend(place.conflicts(table).await?);
    }
    for (table, report) in place.tables().await? {
        let described = dynamo::describe(&mut store, &table).await?;
        view.catalog.insert(table, json!([impersonal(&place.name, &described), report]));
    }
    view.kept = place.kept(all.items()).await?;
    if !all.orders.is_empty() {
        let ids: Vec<String> = all.orders.iter().map(|(_, id)| id.clone()).collect();
        view.orders = dynamo::present(&mut store, ORDERS.0, ORDERS.1, &ids).await?;
    }
    Ok(view)
}

/// A description as every region would give it: a region's own state is one of the replicas'.
fn impersonal(region: &str, described: &Value) -> Value {
    let mut states = BTreeMap::from([(region, described["TableStatus"].as_str())]);
    for replica in described["Replicas"].as_array().into_iter().flatten() {
        let name = replica["RegionName"].as_str().unwrap_or_default();
        states.insert(name, replica["ReplicaStatus"].as_str());
    }
    let kept = ["TableId", "KeySchema", "AttributeDefinitions", "StreamSpecification"];
    let mut plain: Value = kept.map(|name| described[name].clone()).into_iter().collect();
    if let Some(parts) = plain.as_array_mut() {
        parts.push(described["BillingModeSummary"]["BillingMode"].clone());
        parts.push(described["DeletionProtectionEnabled"].clone());
        parts.push(json!(states));
    }
    plain
}

/// Whether the regions show the same.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Comparison {
    /// Items of the experiment's tables in the first region.
    pub(super) items: u64,
    /// Tables described.
    pub(super) tables: u64,
    /// Conflicts of the experiment's tables in the first region's ledger.
    pub(super) conflicts: u64,
    /// Items, descriptions and conflicts that are not the same in all regions.
    pub(super) differences: u64,
    /// The first few of those.
    pub(super) examples: Vec<String>,
}

/// Compares every region with the first.
pub(super) fn compare(views: &[View]) -> Comparison {
    let mut found = Comparison::default();
    let Some((first, others)) = views.split_first() else { return found };
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    found.items = count(first.contents.values().map(BTreeMap::len).sum());
    found.tables = count(first.catalog.len());
    let ids = |view: &View| -> BTreeMap<String, Vec<String>> {
        let stamps = |stamps: &[Stamp]| stamps.iter().copied().map(format_stamp).collect();
        view.conflicts.iter().map(|entry| (entry.id.clone(), stamps(&entry.sharing))).collect()
    };
    let first_ids = ids(first);
    found.conflicts = count(first_ids.len());
    for other in others {
        let between = format!("{} and {}", first.region, other.region);
        for (table, items) in &first.contents {
            let none = BTreeMap::new();
            let theirs = other.contents.get(table).unwrap_or(&none);
            differ(&mut found, items, theirs, &format!("{between}, {table}"));
        }
        // A table that only some regions hold is no difference.
        let shared = |one: &View, other: &View| -> BTreeMap<String, Value> {
            let held = one.catalog.iter().filter(|(name, _)| other.catalog.contains_key(*name));
            held.map(|(name, described)| (name.clone(), described.clone())).collect()
        };
        let (ours, theirs) = (shared(first, other), shared(other, first));
        differ(&mut found, &ours, &theirs, &format!("{between}, catalog"));
        differ(&mut found, &first_ids, &ids(other), &format!("{between}, ledger"));
    }
    found
}

fn differ<T: PartialEq + Serialize>(
    found: &mut Comparison,
    ours: &BTreeMap<String, T>,
    theirs: &BTreeMap<String, T>,
    between: &str,
) {
    let keys: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    for key in keys {
        let (one, other) = (ours.get(key), theirs.get(key));
        if one != other {
            found.differences += 1;
            if found.examples.len() < EXAMPLES_MAX {
                let [one, other] = [one, other].map(shown);
                found.examples.push(format!("{between}: {key}: {one} is not {other}"));
            }
        }
    }
}

/// What one region has, in JSON.
fn shown<T: Serialize>(it: Option<&T>) -> String {
    let json = it.and_then(|it| serde_json::to_string(it).ok());
    json.unwrap_or_else(|| "nothing".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(region: &str, items: &[(&str, &str)]) -> View {
        let item = |&(key, value): &(&str, &str)| (key.to_string(), json!({"v": {"S": value}}));
        let contents = BTreeMap::from([("t".to_string(), items.iter().map(item).collect())]);
        View { region: region.to_string(), contents, ..View::default() }
    }

    #[test]
    fn regions_that_show_the_same_do_not_differ() {
        let views = ["a", "b", "c"].map(|region| view(region, &[("k", "1"), ("l", "2")]));
        let found = compare(&views);
        assert_eq!((found.items, found.differences), (2, 0));
        assert_eq!(compare(&[]).differences, 0);
    }

    #[test]
    fn what_is_missing_extra_or_other_is_a_difference() {
        let first = view("a", &[("k", "1"), ("l", "2")]);
        let others = [view("b", &[("k", "1")]), view("c", &[("k", "1"), ("l", "3"), ("m", "4")])];
        let found = compare(&[vec![first], others.to_vec()].concat());
        assert_eq!(found.differences, 3, "{:?}", found.examples);
        assert!(found.examples[0].contains("a and b, t: l"), "{:?}", found.examples);
        let ugly = |text: &String| text.contains("Some(") || text.contains("None");
        assert!(!found.examples.iter().any(ugly), "{:?}", found.examples);
    }

    #[test]
    fn a_description_does_not_depend_on_who_gives_it() {
        let of = |status: &str, other: &str, replica: &str| {
            json!({"TableStatus": status, "TableId": "1", "ItemCount": 7,
                   "Replicas": [{"RegionName": other, "ReplicaStatus": replica}]})
        };
        let (a, b) = (of("ACTIVE", "b", "CREATING"), of("CREATING", "a", "ACTIVE"));
        assert_eq!(impersonal("a", &a), impersonal("b", &b));
        assert_ne!(impersonal("a", &a), impersonal("b", &of("ACTIVE", "a", "ACTIVE")));
    }
}
