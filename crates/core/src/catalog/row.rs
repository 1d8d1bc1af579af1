//! Catalog rows as items: the same replication, the same disk format, the same merge.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::function::Module;
use super::{ReplicaSpec, ReplicaState, ReplicaStatus, Settings, StreamView, TableEntry, Tags};
use crate::id::{Origin, RegionSlot, TableId};
use crate::index::{
    Distance, Index, IndexId, SearchAttribute, Vector, decode_projected, encode_projected,
};
use crate::item::{AttributeValue, Attributes, ItemKey, KeyValue, PrimaryKey};
use crate::table::{KeyAttribute, KeyKind, Schema};
use crate::time::{Hlc, Stamp};

/// The sort key of a table's row; those of its replicas begin otherwise.
const TABLE: &str = "table";

pub(super) enum Row {
    Entry(TableEntry),
    Status(TableId, RegionSlot, ReplicaStatus),
}

/// The catalog row of a table, written by its home region.
#[must_use]
pub fn entry_key(table: TableId) -> ItemKey {
    row_key(table, TABLE.to_string())
}

/// Whether a row of the catalog is a table's.
#[must_use]
pub fn is_entry(row: &PrimaryKey) -> bool {
    matches!(&row.sort, Some(KeyValue::S(sort)) if sort == TABLE)
}

/// The catalog row of a replica, written by the region that holds it.
#[must_use]
pub fn status_key(table: TableId, slot: RegionSlot) -> ItemKey {
    row_key(table, format!("replica/{}", slot.get()))
}

fn row_key(table: TableId, sort: String) -> ItemKey {
    let mut partition = Vec::from(table.0.hlc.to_bits().to_be_bytes());
    partition.extend_from_slice(&table.0.origin.to_bits().to_be_bytes());
    let primary = PrimaryKey { partition: KeyValue::B(partition), sort: Some(KeyValue::S(sort)) };
    ItemKey { table: TableId::CATALOG, primary }
}

/// The table that a row is about, and the region of the replica where it is about one.
pub(super) fn named_by(key: &PrimaryKey) -> Option<(TableId, Option<RegionSlot>)> {
    let KeyValue::B(partition) = &key.partition else { return None };
    let Some(KeyValue::S(sort)) = &key.sort else { return None };
    let hlc = Hlc::from_bits(u64::from_be_bytes(partition.get(..8)?.try_into().ok()?));
    let origin = Origin::from_bits(u16::from_be_bytes(partition.get(8..)?.try_into().ok()?));
    let table = TableId(Stamp { hlc, origin });
    if sort == TABLE {
        return Some((table, None));
    }
    let slot = RegionSlot::new(sort.strip_prefix("replica/")?.parse().ok()?)?;
    Some((table, Some(slot)))
}

pub(super) fn decode(key: &PrimaryKey, attributes: Option<&Attributes>) -> Option<Row> {
    let (named, fields) = (named_by(key)?, Fields(attributes?));
    match named {
        (table, None) => decode_entry(table, &fields).map(Row::Entry),
        (table, Some(slot)) => {
            decode_status(&fields).map(|status| Row::Status(table, slot, status))
        }
    }
}

impl TableEntry {
    /// The row's attributes.
    #[must_use]
    pub fn to_attributes(&self) -> Attributes {
        let replica = |spec: &ReplicaSpec| {
            AttributeValue::L(Vec::from([number(spec.slot.get()), hlc(spec.since)]))
        };
        let mut row = BTreeMap::from([
            named("name", AttributeValue::S(self.name.clone())),
            named("home", number(self.home.get())),
            named("partition", key_attribute(&self.schema.partition)),
            named("created_ms", hlc(Hlc::from_bits(self.created_ms))),
            named("on_demand", AttributeValue::Bool(self.on_demand)),
            named("deletion_protection", AttributeValue::Bool(self.deletion_protection)),
            named("replicas", AttributeValue::L(self.replicas.iter().map(replica).collect())),
            named("deleted", AttributeValue::Bool(self.deleted)),
        ]);
        if self.home_since > 0 {
            row.extend([named("home_since", generation(self.home_since))]);
        }
        row.extend(self.schema.sort.as_ref().map(|sort| named("sort", key_attribute(sort))));
        row.extend(self.stream.map(|view| named("stream", text(view.as_str()))));
        if !self.former.is_empty() {
            let former = self.former.iter().map(replica).collect();
            row.extend([named("former", AttributeValue::L(former))]);
        }
        if !self.tags.is_empty() {
            let tags = self.tags.iter().map(|(tag, value)| (tag.clone(), text(value))).collect();
            row.extend([named("tags", AttributeValue::M(tags))]);
        }
        if let Some(module) = self.settings.policy.module() {
            let parts = [&module.id[..], &*module.bytes].map(|part| AttributeValue::B(part.into()));
            row.extend([named("module", AttributeValue::L(Vec::from(parts)))]);
        }
        self.encode_features(&mut row);
        if self.settings.epoch > 0 {
            let epochs = [self.settings.epoch, self.settings.since];
            let epochs = epochs.map(|epoch| hlc(Hlc::from_bits(u64::from(epoch))));
            row.extend([named("epochs", AttributeValue::L(Vec::from(epochs)))]);
        }
        row
    }
}

impl TableEntry {
    fn encode_features(&self, row: &mut Attributes) {
        if self.next_index > 0 {
            let indexes = self.indexes.iter().filter(|index| index.vector.is_none());
            row.extend([
                named("indexes", AttributeValue::L(indexes.map(encode_index).collect())),
                named("next_index", generation(self.next_index)),
            ]);
        }
        let vectors = self.indexes.iter().filter_map(|index| Some((index, index.vector.as_ref()?)));
        let vectors: Vec<AttributeValue> =
            vectors.map(|(index, vector)| encode_vector(index, vector)).collect();
        // Apart from the others: who knows no such indexes shall not take them for others.
        if !vectors.is_empty() {
            row.extend([named("vectors", AttributeValue::L(vectors))]);
        }
        if self.stream.is_some() {
            row.extend([named("stream_ms", hlc(Hlc::from_bits(self.stream_since_ms)))]);
        }
        row.extend(self.ttl.as_ref().map(|attribute| named("ttl", text(attribute))));
        if self.history {
            row.extend([named("history", AttributeValue::Bool(true))]);
        }
        if self.adopts {
            row.extend([named("adopts", AttributeValue::Bool(true))]);
        }
        if !self.options.is_empty() {
            row.extend([named("options", AttributeValue::M(self.options.clone()))]);
        }
    }
}

fn encode_index(index: &Index) -> AttributeValue {
    let keys = |keys: &[KeyAttribute]| AttributeValue::L(keys.iter().map(key_attribute).collect());
    AttributeValue::M(BTreeMap::from([
        named("id", generation(index.id.0)),
        named("name", text(&index.name)),
        named("local", AttributeValue::Bool(index.local)),
        named("partition", keys(&index.partition)),
        named("sort", keys(&index.sort)),
        named("projected", encode_projected(&index.projected)),
        named("options", AttributeValue::M(index.options.clone())),
    ]))
}

fn decode_index(value: &AttributeValue) -> Option<Index> {
    let AttributeValue::M(members) = value else { return None };
    let fields = Fields(members);
    let keys = |name| fields.list(name)?.iter().map(decode_key_attribute).collect::<Option<_>>();
    Some(Index {
        id: IndexId(fields.generation("id")?),
        name: fields.text("name")?.to_string(),
        local: fields.flag("local")?,
        partition: keys("partition")?,
        sort: keys("sort")?,
        projected: decode_projected(members.get("projected")?)?,
        options: fields.map("options")?,
        vector: None,
    })
}

fn encode_vector(index: &Index, vector: &Vector) -> AttributeValue {
    let element = |it: &SearchAttribute| {
        let role = text(if it.is_hash { "HASH" } else { "INLINE_FILTER" });
        AttributeValue::L(Vec::from([key_attribute(&it.key), role]))
    };
    AttributeValue::M(BTreeMap::from([
        named("id", generation(index.id.0)),
        named("name", text(&index.name)),
        named("projected", encode_projected(&index.projected)),
        named("options", AttributeValue::M(index.options.clone())),
        named("attribute", text(&vector.attribute)),
        named("dimensions", generation(vector.dimensions)),
        named("distance", text(vector.distance.as_str())),
        named("schema", AttributeValue::L(vector.schema.iter().map(element).collect())),
    ]))
}

fn decode_vector(value: &AttributeValue) -> Option<Index> {
    let AttributeValue::M(members) = value else { return None };
    let fields = Fields(members);
    let element = |value: &AttributeValue| {
        let AttributeValue::L(parts) = value else { return None };
        let [key, AttributeValue::S(role)] = parts.as_slice() else { return None };
        Some(SearchAttribute { key: decode_key_attribute(key)?, is_hash: role == "HASH" })
    };
    let schema = fields.list("schema")?.iter().map(element).collect::<Option<Vec<_>>>()?;
    let vector = Vector {
        attribute: fields.text("attribute")?.to_string(),
        dimensions: fields.generation("dimensions")?,
        distance: Distance::parse(fields.text("distance")?)?,
        schema,
    };
    Some(Index {
        id: IndexId(fields.generation("id")?),
        name: fields.text("name")?.to_string(),
        local: false,
        partition: vector.hash().cloned().into_iter().collect(),
        sort: Vec::new(),
        projected: decode_projected(members.get("projected")?)?,
        options: fields.map("options")?,
        vector: Some(vector),
    })
}

/// Those of vectors behind the others.
fn decode_indexes(fields: &Fields<'_>) -> Option<Vec<Index>> {
    let list = |name, decode: fn(&AttributeValue) -> Option<Index>| {
        let list = fields.list(name).unwrap_or_default();
        list.iter().map(decode).collect::<Option<Vec<Index>>>()
    };
    let mut indexes = list("indexes", decode_index)?;
    indexes.extend(list("vectors", decode_vector)?);
    Some(indexes)
}

fn decode_entry(id: TableId, fields: &Fields<'_>) -> Option<TableEntry> {
    let tags = decode_tags(fields)?;
    let schema = Schema {
        partition: decode_key_attribute(fields.0.get("partition")?)?,
        sort: match fields.0.get("sort") {
            Some(sort) => Some(decode_key_attribute(sort)?),
            None => None,
        },
    };
    Some(TableEntry {
        id,
        name: fields.text("name")?.to_string(),
        home: RegionSlot::new(fields.number("home")?)?,
        home_since: fields.generation("home_since")?,
        created_ms: fields.hlc("created_ms")?.to_bits(),
        stream: match fields.text("stream") {
            Some(view) => Some(StreamView::parse(view)?),
            None => None,
        },
        on_demand: fields.flag("on_demand")?,
        deletion_protection: fields.flag("deletion_protection")?,
        replicas: fields.list("replicas")?.iter().map(decode_spec).collect::<Option<_>>()?,
        former: match fields.list("former") {
            Some(former) => former.iter().map(decode_spec).collect::<Option<_>>()?,
            None => Vec::new(),
        },
        deleted: fields.flag("deleted")?,
        indexes: decode_indexes(fields)?,
        next_index: fields.generation("next_index")?,
        stream_since_ms: fields.hlc("stream_ms").map_or(0, Hlc::to_bits),
        ttl: fields.text("ttl").map(ToString::to_string),
        history: fields.flag("history").unwrap_or_default(),
        adopts: fields.flag("adopts").unwrap_or_default(),
        options: fields.map("options")?,
        settings: decode_settings(fields, &tags, &schema)?,
        tags,
        schema,
    })
}

fn decode_tags(fields: &Fields<'_>) -> Option<Tags> {
    let Some(value) = fields.0.get("tags") else { return Some(Tags::new()) };
    let AttributeValue::M(tags) = value else { return None };
    let text = |value: &AttributeValue| match value {
        AttributeValue::S(text) => Some(text.clone()),
        _ => None,
    };
    tags.iter().map(|(tag, value)| Some((tag.clone(), text(value)?))).collect()
}

fn decode_settings(fields: &Fields<'_>, tags: &Tags, schema: &Schema) -> Option<Settings> {
    let mut settings = Settings::parse(tags, schema).ok()?;
    settings.provide(decode_module(fields)?).ok()?;
    if let Some(AttributeValue::L(epochs)) = fields.0.get("epochs") {
        let epoch = |at: usize| u16::try_from(as_hlc(epochs.get(at)?)?.to_bits()).ok();
        (settings.epoch, settings.since) = (epoch(0)?, epoch(1)?);
    }
    Some(settings)
}

/// `None` for a module that is none; nothing in it where the row has none.
#[expect(clippy::option_option, reason = "a row without a module is as good as one with")]
fn decode_module(fields: &Fields<'_>) -> Option<Option<Arc<Module>>> {
    let Some(parts) = fields.list("module") else { return Some(None) };
    let [AttributeValue::B(id), AttributeValue::B(bytes)] = parts else { return None };
    let id = id.as_slice().try_into().ok()?;
    Some(Some(Arc::new(Module { id, bytes: Arc::from(bytes.as_slice()) })))
}

fn decode_spec(value: &AttributeValue) -> Option<ReplicaSpec> {
    let AttributeValue::L(parts) = value else { return None };
    let slot = RegionSlot::new(as_number(parts.first()?)?)?;
    Some(ReplicaSpec { slot, since: as_hlc(parts.get(1)?)? })
}

impl ReplicaStatus {
    /// The row's attributes.
    #[must_use]
    pub fn to_attributes(&self) -> Attributes {
        let mut row = BTreeMap::from([named("since", hlc(self.since))]);
        if self.joined > 0 {
            row.extend([named("joined", generation(self.joined))]);
        }
        let state = match &self.state {
            ReplicaState::Creating => "CREATING",
            ReplicaState::Active { pending } => {
                let pending = pending.iter().map(|slot| number(slot.get())).collect();
                row.extend([named("pending", AttributeValue::L(pending))]);
                "ACTIVE"
            }
            ReplicaState::Behind => "BEHIND",
            ReplicaState::Failed { reason } => {
                row.extend([named("reason", text(reason))]);
                "FAILED"
            }
            ReplicaState::Leaving => "LEAVING",
            ReplicaState::Dropping => "DROPPING",
            ReplicaState::Removed => "REMOVED",
        };
        row.extend([named("state", text(state))]);
        row
    }
}

fn decode_status(fields: &Fields<'_>) -> Option<ReplicaStatus> {
    let state = match fields.text("state")? {
        "CREATING" => ReplicaState::Creating,
        "ACTIVE" => {
            let slots = fields.list("pending")?.iter();
            let pending =
                slots.map(|slot| RegionSlot::new(as_number(slot)?)).collect::<Option<_>>();
            ReplicaState::Active { pending: pending? }
        }
        "BEHIND" => ReplicaState::Behind,
        "FAILED" => ReplicaState::Failed { reason: fields.text("reason")?.to_string() },
        "LEAVING" => ReplicaState::Leaving,
        "DROPPING" => ReplicaState::Dropping,
        "REMOVED" => ReplicaState::Removed,
        _ => return None,
    };
    let (since, joined) = (fields.hlc("since")?, fields.generation("joined")?);
    Some(ReplicaStatus { since, joined, state })
}

impl StreamView {
    /// DynamoDB's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeysOnly => "KEYS_ONLY",
            Self::NewImage => "NEW_IMAGE",
            Self::OldImage => "OLD_IMAGE",
            Self::NewAndOldImages => "NEW_AND_OLD_IMAGES",
        }
    }

    /// From DynamoDB's word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::KeysOnly, Self::NewImage, Self::OldImage, Self::NewAndOldImages]
            .into_iter()
            .find(|view| view.as_str() == word)
    }
}

fn key_attribute(key: &KeyAttribute) -> AttributeValue {
    let kind = match key.kind {
        KeyKind::S => "S",
        KeyKind::N => "N",
        KeyKind::B => "B",
    };
    AttributeValue::L(Vec::from([AttributeValue::S(key.name.clone()), text(kind)]))
}

fn decode_key_attribute(value: &AttributeValue) -> Option<KeyAttribute> {
    let AttributeValue::L(parts) = value else { return None };
    let (AttributeValue::S(name), AttributeValue::S(kind)) = (parts.first()?, parts.get(1)?) else {
        return None;
    };
    let kind = match kind.as_str() {
        "S" => KeyKind::S,
        "N" => KeyKind::N,
        "B" => KeyKind::B,
        _ => return None,
    };
    Some(KeyAttribute { name: name.clone(), kind })
}

fn named(name: &str, value: AttributeValue) -> (String, AttributeValue) {
    (name.to_string(), value)
}

fn text(word: &str) -> AttributeValue {
    AttributeValue::S(word.to_string())
}

fn number(value: u8) -> AttributeValue {
    AttributeValue::B(Vec::from([value]))
}

fn as_number(value: &AttributeValue) -> Option<u8> {
    let AttributeValue::B(bytes) = value else { return None };
    bytes.first().copied()
}

fn generation(value: u32) -> AttributeValue {
    AttributeValue::B(value.to_be_bytes().into())
}

fn hlc(value: Hlc) -> AttributeValue {
    AttributeValue::B(value.to_bits().to_be_bytes().into())
}

fn as_hlc(value: &AttributeValue) -> Option<Hlc> {
    let AttributeValue::B(bytes) = value else { return None };
    Some(Hlc::from_bits(u64::from_be_bytes(bytes.as_slice().try_into().ok()?)))
}

struct Fields<'a>(&'a Attributes);

impl Fields<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        let AttributeValue::S(text) = self.0.get(name)? else { return None };
        Some(text)
    }

    fn flag(&self, name: &str) -> Option<bool> {
        let AttributeValue::Bool(flag) = self.0.get(name)? else { return None };
        Some(*flag)
    }

    fn list(&self, name: &str) -> Option<&[AttributeValue]> {
        let AttributeValue::L(list) = self.0.get(name)? else { return None };
        Some(list)
    }

    /// Empty if it is not there.
    fn map(&self, name: &str) -> Option<Attributes> {
        let Some(value) = self.0.get(name) else { return Some(Attributes::new()) };
        let AttributeValue::M(map) = value else { return None };
        Some(map.clone())
    }

    fn number(&self, name: &str) -> Option<u8> {
        as_number(self.0.get(name)?)
    }

    fn hlc(&self, name: &str) -> Option<Hlc> {
        as_hlc(self.0.get(name)?)
    }

    /// Zero if it is not there.
    fn generation(&self, name: &str) -> Option<u32> {
        let Some(value) = self.0.get(name) else { return Some(0) };
        let AttributeValue::B(bytes) = value else { return None };
        Some(u32::from_be_bytes(bytes.as_slice().try_into().ok()?))
    }
}
