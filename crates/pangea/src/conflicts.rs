//! Conflict ledger entries as the admin API and the command line show them.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use pangea_core::item::{AttributeValue, Attributes, KeyValue, PrimaryKey};
use pangea_core::ledger::{
    ORPHANED, TABLE_NAME, flood, is_about_table, is_shared, pairs, read_stamp, stamps_of, table_of,
};
use pangea_core::merge::VersionVector;
use pangea_core::time::Stamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::versions::{VersionReport, format_stamp, format_vector};

/// Bytes of a row's hash in an id: what has to be told apart are rows of one pair of versions.
const ID_ROW_BYTES: usize = 4;

/// One page of a region's ledger.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConflictPage {
    /// In the order of the ledger's rows.
    pub conflicts: Vec<ConflictReport>,
    /// Where the next page begins; none if this is the last.
    pub next: Option<String>,
}

/// One conflict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConflictReport {
    /// Names the conflict in every region: the loser's and the winner's version, and what tells
    /// apart conflicts of the same two.
    pub id: String,
    /// The table's name, or its identity if this region does not know it.
    pub table: String,
    /// The item's key attributes in DynamoDB JSON: partition key, then sort key. Empty if the entry
    /// is about the table itself: a change of it that came to nothing.
    pub key: Vec<Value>,
    /// `high` if the loser was a conditional write, whose caller was told that it held.
    pub severity: String,
    /// The merge policy that decided.
    pub policy: String,
    /// `conflict`, or what else brought the entry here: `orphaned` if the write was lost with its
    /// region, which was evicted and came back; `winner` then says who exported it, and when.
    /// `waiting` if the region that is back does not know yet whether another has the write.
    #[serde(default = "conflict_class")]
    pub class: String,
    /// The attribute that lost, where the policy merges attributes; none if the whole item did.
    #[serde(default)]
    pub path: Option<String>,
    /// Conflicts that share this entry: more than one in a flood; `loser` is then the last of them.
    #[serde(default = "one")]
    pub count: u64,
    /// Every loser and its winner, where conflicts share this entry; else the id names them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<[String; 2]>,
    /// Losing images of a flood that are not kept.
    #[serde(default)]
    pub dropped_images: u64,
    /// What an operator decided about it.
    #[serde(default)]
    pub resolved: Option<String>,
    /// What is not shown.
    pub loser: SideReport,
    /// What was shown instead when the conflict was found.
    pub winner: SideReport,
}

/// One side of a conflict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SideReport {
    /// Identity and context.
    #[serde(flatten)]
    pub version: VersionReport,
    /// The region that wrote it.
    #[serde(default)]
    pub region_name: String,
    /// Whether it was a conditional write.
    pub conditional: bool,
    /// Whether it was a deletion.
    pub deleted: bool,
    /// The item in DynamoDB JSON; none for a deletion, or where it is too large to keep twice.
    pub image: Option<Value>,
}

impl ConflictReport {
    /// From a row of the ledger; `None` if it is not one.
    #[must_use]
    pub fn of(
        row: &PrimaryKey,
        entry: &Attributes,
        decision: Option<&Attributes>,
        names: &Names,
    ) -> Option<Self> {
        let AttributeValue::L(key) = entry.get("key")? else { return None };
        let table = table_of(row)?;
        let pairs = pairs(row, entry);
        let (loser, winner) = if is_shared(row) {
            let (_, winner) = pairs.last()?;
            let mut last = side(entry.get("last")?, names)?;
            // What all of the losers had seen: an auditor asks for no less.
            last.version.context = format_vector(&flood::context(entry));
            (last, SideReport::bare(*winner, names))
        } else {
            // A write that was lost with its region lost to none: there stands when it was
            // exported.
            let winner = match entry.get("winner") {
                Some(winner) => side(winner, names)?,
                None => SideReport::bare(stamps_of(row)?.1, names),
            };
            (side(entry.get("loser")?, names)?, winner)
        };
        let named = names.tables.get(&table).cloned().or_else(|| text(entry, TABLE_NAME));
        Some(Self {
            id: Self::id_of(row)?,
            class: text(entry, "class").unwrap_or_else(conflict_class),
            path: text(entry, "path"),
            count: pairs.len() as u64,
            pairs: if is_shared(row) { pairs.iter().map(spell).collect() } else { Vec::new() },
            dropped_images: number(entry, "dropped_images"),
            resolved: decision.and_then(|decision| text(decision, "kept")),
            table: named.unwrap_or_else(|| table.to_string()),
            key: if is_about_table(row) {
                Vec::new()
            } else {
                key.iter().map(value_json).collect()
            },
            severity: text(entry, "severity")?,
            policy: text(entry, "policy")?,
            loser,
            winner,
        })
    }

    /// Whether the write was lost with its region, and not to another.
    #[must_use]
    pub fn is_orphaned(&self) -> bool {
        self.class == ORPHANED
    }

    /// The same write, of which is not known yet whether others have it.
    #[must_use]
    pub fn waiting(self) -> Self {
        Self { class: WAITING.to_string(), ..self }
    }

    /// Whether that is not known yet.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.class == WAITING
    }

    /// What names the entry of a row: its pair, or the row itself where conflicts share it, and
    /// something of the whole row. The rows of a transaction and the attributes of an item have
    /// the same pair.
    #[must_use]
    pub fn id_of(row: &PrimaryKey) -> Option<String> {
        let Some(KeyValue::B(sort)) = &row.sort else { return None };
        let mut whole = Vec::new();
        row.write_canonical(&mut whole);
        let whole = HEXLOWER.encode(&blake3::hash(&whole).as_bytes()[..ID_ROW_BYTES]);
        if let Some((loser, winner)) = stamps_of(row) {
            return Some(format!("{}-{}-{whole}", format_stamp(loser), format_stamp(winner)));
        }
        is_shared(row).then(|| format!("{}-{whole}", HEXLOWER.encode(sort)))
    }
}

impl SideReport {
    /// A version of which the entry keeps the identity alone.
    fn bare(stamp: Stamp, names: &Names) -> Self {
        let version = VersionReport::from_parts(stamp, &VersionVector::default());
        let region_name = names.regions.get(&version.region).cloned().unwrap_or_default();
        Self { version, region_name, conditional: false, deleted: false, image: None }
    }
}

fn spell((loser, winner): &(Stamp, Stamp)) -> [String; 2] {
    [format_stamp(*loser), format_stamp(*winner)]
}

const WAITING: &str = "waiting";

fn conflict_class() -> String {
    "conflict".to_string()
}

const fn one() -> u64 {
    1
}

fn number(entry: &Attributes, name: &str) -> u64 {
    match entry.get(name) {
        Some(AttributeValue::N(number)) => number.to_string().parse().unwrap_or_default(),
        _ => 0,
    }
}

/// Names for what the ledger knows by identity.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Of tables.
    pub tables: BTreeMap<pangea_core::id::TableId, String>,
    /// Of regions, by slot.
    pub regions: BTreeMap<u8, String>,
}

fn image_json(image: &Attributes) -> Value {
    let bytes = pangea_codec::dynamo::attributes_to_json(image);
    serde_json::from_slice(&bytes).unwrap_or(Value::Null)
}

fn value_json(value: &AttributeValue) -> Value {
    let image = Attributes::from([("v".to_string(), value.clone())]);
    image_json(&image)["v"].take()
}

fn text(entry: &Attributes, name: &str) -> Option<String> {
    let AttributeValue::S(text) = entry.get(name)? else { return None };
    Some(text.clone())
}

fn side(value: &AttributeValue, names: &Names) -> Option<SideReport> {
    let AttributeValue::M(side) = value else { return None };
    let AttributeValue::B(stamp) = side.get("stamp")? else { return None };
    let stamp = read_stamp(stamp)?;
    // A merge of attributes names the write alone: all that it had seen is in what is kept.
    let mut seen = VersionVector::from_entries([(stamp.origin, stamp.hlc)]);
    let context = match side.get("context") {
        Some(AttributeValue::L(context)) => context.as_slice(),
        Some(_) => return None,
        None => &[],
    };
    for entry in context {
        let AttributeValue::B(bytes) = entry else { return None };
        seen.record(read_stamp(bytes)?);
    }
    let flag = |name| matches!(side.get(name), Some(AttributeValue::Bool(true)));
    let image = match side.get("image") {
        Some(AttributeValue::M(image)) => Some(image_json(image)),
        _ => side.get("value").map(value_json),
    };
    let version = VersionReport::from_parts(stamp, &seen);
    let region_name = names.regions.get(&version.region).cloned().unwrap_or_default();
    let (conditional, deleted) = (flag("conditional"), flag("deleted"));
    Some(SideReport { version, region_name, conditional, deleted, image })
}
