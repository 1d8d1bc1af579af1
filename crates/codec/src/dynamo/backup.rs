//! Backups as clients see them.

use data_encoding::HEXLOWER;
use pangea_core::catalog::TableEntry;
use pangea_core::index::Index;
use pangea_core::item::Attributes;

use super::json::{Array, Object};
use super::request::Throughput;
use super::table::{
    ACCOUNT, epoch_seconds, parse_part_arn, table_arn, write_key_schema, write_projection,
    write_vector,
};
use super::{ApiError, ErrorKind};

/// Characters of the moment in a backup's identity, and of what follows it.
const MOMENT_CHARS: usize = 14;
const TAIL_CHARS: usize = 8;

/// The name of a backup.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BackupArn {
    /// When and which: sorts by the time that it was made.
    pub id: String,
    /// The table that it was made of.
    pub table: String,
    /// As it was spelled.
    pub text: String,
}

impl BackupArn {
    /// The name of a backup that is made at a moment; `salt` tells it from others of it.
    #[must_use]
    pub fn new(region: &str, table: &str, made_ms: u64, salt: u64) -> Self {
        let hash = blake3::hash(format!("{region}/{table}/{made_ms}/{salt}").as_bytes());
        let tail = HEXLOWER.encode(&hash.as_bytes()[..TAIL_CHARS / 2]);
        let id = format!("{made_ms:0MOMENT_CHARS$}-{tail}");
        let text = format!("{}/backup/{id}", table_arn(region, table));
        Self { id, table: table.to_owned(), text }
    }

    /// Reads a name.
    ///
    /// # Errors
    /// A `ValidationException` where it is none, and `AccessDeniedException` for another account's
    /// (the words of both were measured on the service by the ACK project's users, October 2026).
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        let mut parts = text.split(':');
        let begins = [parts.next(), parts.next(), parts.next()];
        let account = parts.nth(1);
        let is_here = begins == [Some("arn"), Some("aws"), Some("dynamodb")];
        if !is_here && begins[0] == Some("arn") && text.contains("/backup/") {
            return Err(ApiError::validation("BackupArn is not valid"));
        }
        let (table, id) = parse_part_arn(text, "/backup/")
            .ok_or_else(|| ApiError::validation("Invalid Backup ARN"))?;
        if account != Some(ACCOUNT) {
            return Err(ApiError::new(ErrorKind::AccessDenied, "Access is denied"));
        }
        Ok(Self { id: id.into(), table: table.into(), text: text.into() })
    }

    /// There is no such backup.
    #[must_use]
    pub fn missing(&self) -> ApiError {
        ApiError::new(ErrorKind::BackupNotFound, format!("Backup not found: {}", self.text))
    }
}

/// Where a backup is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackupStatus {
    /// Items are being copied.
    Creating,
    /// It can be restored from.
    Available,
    /// It is gone.
    Deleted,
}

impl BackupStatus {
    const fn name(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::Available => "AVAILABLE",
            Self::Deleted => "DELETED",
        }
    }
}

/// A backup, as descriptions show it.
#[derive(Clone, Debug, PartialEq)]
pub struct BackupView {
    /// Its name.
    pub arn: BackupArn,
    /// What the user calls it.
    pub name: String,
    /// Where it is in its life.
    pub status: BackupStatus,
    /// When it was made, ms since 1970.
    pub made_ms: u64,
    /// When it goes by itself, ms since 1970: one that was made because its table was deleted.
    pub expires_ms: Option<u64>,
    /// Bytes of its items.
    pub bytes: u64,
    /// How many items it has.
    pub items: u64,
    /// The region that has it.
    pub region: String,
    /// The table as it was.
    pub entry: TableEntry,
    /// The table's identity, as the text of a UUID.
    pub table_id: String,
}

/// The body for `CreateBackup`.
#[must_use]
pub fn created(view: &BackupView) -> Vec<u8> {
    let mut out = Vec::new();
    let mut body = Object::new(&mut out);
    write_details(body.member("BackupDetails"), view);
    body.end();
    out
}

/// The body for `DescribeBackup` and `DeleteBackup`.
#[must_use]
pub fn described(view: &BackupView) -> Vec<u8> {
    let mut out = Vec::new();
    let mut body = Object::new(&mut out);
    let mut description = Object::new(body.member("BackupDescription"));
    write_details(description.member("BackupDetails"), view);
    write_source(description.member("SourceTableDetails"), view);
    write_features(description.member("SourceTableFeatureDetails"), &view.entry);
    description.end();
    body.end();
    out
}

/// The body for `ListBackups`.
#[must_use]
pub fn list(views: &[BackupView], more: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut body = Object::new(&mut out);
    let mut list = Array::new(body.member("BackupSummaries"));
    for view in views {
        let mut summary = Object::new(list.element());
        summary.text("TableName", &view.entry.name);
        summary.text("TableId", &view.table_id);
        summary.text("TableArn", &table_arn(&view.region, &view.entry.name));
        members(&mut summary, view);
        summary.end();
    }
    list.end();
    if let Some(last) = views.last().filter(|_| more) {
        body.text("LastEvaluatedBackupArn", &last.arn.text);
    }
    body.end();
    out
}

fn write_details(out: &mut Vec<u8>, view: &BackupView) {
    let mut details = Object::new(out);
    members(&mut details, view);
    details.end();
}

fn members(object: &mut Object<'_>, view: &BackupView) {
    object.text("BackupArn", &view.arn.text);
    object.text("BackupName", &view.name);
    object.value("BackupSizeBytes", &view.bytes);
    object.text("BackupStatus", view.status.name());
    object.text("BackupType", if view.expires_ms.is_some() { "SYSTEM" } else { "USER" });
    let made = epoch_seconds(view.made_ms);
    object.member("BackupCreationDateTime").extend_from_slice(made.as_bytes());
    if let Some(expires_ms) = view.expires_ms {
        let expires = epoch_seconds(expires_ms);
        object.member("BackupExpiryDateTime").extend_from_slice(expires.as_bytes());
    }
}

fn write_source(out: &mut Vec<u8>, view: &BackupView) {
    let entry = &view.entry;
    let mut source = Object::new(out);
    source.text("TableName", &entry.name);
    source.text("TableId", &view.table_id);
    source.text("TableArn", &table_arn(&view.region, &entry.name));
    source.value("TableSizeBytes", &view.bytes);
    let keys = entry.schema.key_names().zip(["HASH", "RANGE"]);
    write_key_schema(source.member("KeySchema"), keys);
    let created = epoch_seconds(entry.created_ms);
    source.member("TableCreationDateTime").extend_from_slice(created.as_bytes());
    write_units(source.member("ProvisionedThroughput"), &entry.options);
    source.value("ItemCount", &view.items);
    let billing = if entry.on_demand { "PAY_PER_REQUEST" } else { "PROVISIONED" };
    source.text("BillingMode", billing);
    source.end();
}

fn write_units(out: &mut Vec<u8>, options: &Attributes) {
    let Throughput { read, write } = Throughput::of(options);
    let mut units = Object::new(out);
    units.value("ReadCapacityUnits", &read);
    units.value("WriteCapacityUnits", &write);
    units.end();
}

fn write_features(out: &mut Vec<u8>, entry: &TableEntry) {
    let mut features = Object::new(out);
    for (member, local) in [("LocalSecondaryIndexes", true), ("GlobalSecondaryIndexes", false)] {
        let of_kind = |index: &&Index| if local { index.local } else { index.is_global() };
        let indexes: Vec<&Index> = entry.indexes.iter().filter(of_kind).collect();
        if indexes.is_empty() {
            continue;
        }
        let mut list = Array::new(features.member(member));
        for index in indexes {
            write_index(list.element(), index);
        }
        list.end();
    }
    let vectors = entry.indexes.iter().filter(|it| it.vector.is_some());
    let vectors: Vec<&Index> = vectors.collect();
    if !vectors.is_empty() {
        let mut list = Array::new(features.member("VectorIndexes"));
        for index in vectors {
            let mut object = Object::new(list.element());
            write_vector(&mut object, index);
            object.end();
        }
        list.end();
    }
    if let Some(view) = entry.stream {
        let mut stream = Object::new(features.member("StreamDescription"));
        stream.value("StreamEnabled", &true);
        stream.text("StreamViewType", view.as_str());
        stream.end();
    }
    let mut ttl = Object::new(features.member("TimeToLiveDescription"));
    ttl.text("TimeToLiveStatus", if entry.ttl.is_some() { "ENABLED" } else { "DISABLED" });
    if let Some(attribute) = &entry.ttl {
        ttl.text("AttributeName", attribute);
    }
    ttl.end();
    features.end();
}

fn write_index(out: &mut Vec<u8>, index: &Index) {
    let mut object = Object::new(out);
    object.text("IndexName", &index.name);
    let roles = index.partition.iter().map(|_| "HASH").chain(index.sort.iter().map(|_| "RANGE"));
    let names = index.attributes().map(|attribute| attribute.name.as_str());
    write_key_schema(object.member("KeySchema"), names.zip(roles));
    write_projection(object.member("Projection"), &index.projected);
    if !index.local {
        write_units(object.member("ProvisionedThroughput"), &index.options);
    }
    object.end();
}
