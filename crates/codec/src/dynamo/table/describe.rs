//! The `TableDescription`.

use pangea_core::catalog::TableEntry;
use pangea_core::index::{Index, Projected};
use pangea_core::item::Attributes;

use super::{
    ACCOUNT, GLOBAL_TABLE_VERSION, IndexView, ReplicaView, TableStatus, TableView, epoch_seconds,
    options, stream_of, table_arn,
};
use crate::dynamo::json::{Array, Object, write_text};
use crate::dynamo::request::{OVERRIDES, Throughput, key_attributes, warm_of};

/// How the settings of replicas go together.
const SETTINGS_MODE: &str = "GlobalTableSettingsReplicationMode";
/// The key that the service is said to keep for the account, where a client names none.
const SERVICE_KEY: &str = "00000000-0000-4000-8000-000000000000";

/// Appends the `TableDescription`.
pub fn write_table_description(out: &mut Vec<u8>, view: &TableView<'_>) {
    let entry = view.entry;
    // Of a table that is going away DynamoDB shows neither keys nor indexes nor its age.
    let stays = view.status != TableStatus::Deleting;
    let mut table = Object::new(out);
    table.text("TableName", &entry.name);
    table.text("TableStatus", view.status.name());
    if stays {
        write_definitions(table.member("AttributeDefinitions"), entry);
        let names = entry.schema.key_names();
        write_key_schema(table.member("KeySchema"), names.zip(["HASH", "RANGE"]));
        write_time(&mut table, "CreationDateTime", Some(entry.created_ms));
    }
    write_throughput(table.member("ProvisionedThroughput"), &entry.options, view.now_ms);
    table.value("TableSizeBytes", &view.size_bytes);
    table.value("ItemCount", &view.item_count);
    let arn = table_arn(&view.region, &entry.name);
    table.text("TableArn", &arn);
    table.text("TableId", &view.id);
    write_billing(&mut table, entry, view.status);
    if stays {
        write_indexes(&mut table, view, &arn);
        write_vectors(&mut table, view, &arn);
    }
    write_stream(&mut table, entry, &arn);
    write_global(&mut table, view);
    write_restored(&mut table, &entry.options);
    if let Some(key) = options::text(&entry.options, options::SSE_KEY) {
        let mut sse = Object::new(table.member("SSEDescription"));
        sse.text("Status", if view.encrypting { "UPDATING" } else { "ENABLED" });
        sse.text("SSEType", "KMS");
        sse.text("KMSMasterKeyArn", &kms_arn(&view.region, key));
        sse.end();
    }
    write_class(&mut table, "TableClassSummary", &entry.options);
    table.value("DeletionProtectionEnabled", &entry.deletion_protection);
    write_limits(&mut table, &entry.options);
    write_warm(&mut table, &entry.options, entry.on_demand, view.status);
    table.end();
}

fn write_definitions(out: &mut Vec<u8>, entry: &TableEntry) {
    let mut array = Array::new(out);
    for attribute in key_attributes(entry) {
        let mut object = Object::new(array.element());
        object.text("AttributeName", &attribute.name);
        object.text("AttributeType", &attribute.kind.to_string());
        object.end();
    }
    array.end();
}

pub(in crate::dynamo) fn write_key_schema<'k>(
    out: &mut Vec<u8>,
    keys: impl Iterator<Item = (&'k str, &'k str)>,
) {
    let mut array = Array::new(out);
    for (name, role) in keys {
        let mut object = Object::new(array.element());
        object.text("AttributeName", name);
        object.text("KeyType", role);
        object.end();
    }
    array.end();
}

/// A time, if there is one.
fn write_time(object: &mut Object<'_>, name: &str, ms: Option<u64>) {
    if let Some(ms) = ms {
        object.member(name).extend_from_slice(epoch_seconds(ms).as_bytes());
    }
}

fn write_throughput(out: &mut Vec<u8>, options: &Attributes, now_ms: u64) {
    let Throughput { read, write } = Throughput::of(options);
    let mut object = Object::new(out);
    for (name, option) in [
        ("LastIncreaseDateTime", options::INCREASED_MS),
        ("LastDecreaseDateTime", options::DECREASED_MS),
    ] {
        write_time(&mut object, name, options::number(options, option));
    }
    object.value("NumberOfDecreasesToday", &options::decreases(options, now_ms));
    object.value("ReadCapacityUnits", &read);
    object.value("WriteCapacityUnits", &write);
    object.end();
}

/// Tables that never were on demand show no billing mode.
fn write_billing(table: &mut Object<'_>, entry: &TableEntry, status: TableStatus) {
    let since = options::number(&entry.options, options::ON_DEMAND_SINCE_MS);
    if !entry.on_demand && since.is_none() {
        return;
    }
    let mut billing = Object::new(table.member("BillingModeSummary"));
    billing.text("BillingMode", if entry.on_demand { "PAY_PER_REQUEST" } else { "PROVISIONED" });
    if status != TableStatus::Creating {
        let since = since.unwrap_or(entry.created_ms);
        write_time(&mut billing, "LastUpdateToPayPerRequestDateTime", Some(since));
    }
    billing.end();
}

fn write_indexes(table: &mut Object<'_>, view: &TableView<'_>, arn: &str) {
    for (member, local) in [("LocalSecondaryIndexes", true), ("GlobalSecondaryIndexes", false)] {
        let indexes = view.entry.indexes.iter().zip(&view.indexes);
        let of_kind = |index: &Index| if local { index.local } else { index.is_global() };
        let mut indexes = indexes.filter(|(index, _)| of_kind(index)).peekable();
        if indexes.peek().is_none() {
            continue;
        }
        let mut list = Array::new(table.member(member));
        for (index, shown) in indexes {
            let mut object = Object::new(list.element());
            write_index(&mut object, index, shown, (view.status, arn));
            if !local {
                let on_demand = view.entry.on_demand;
                write_throughput(
                    object.member("ProvisionedThroughput"),
                    &index.options,
                    view.now_ms,
                );
                write_limits(&mut object, &index.options);
                write_warm(&mut object, &index.options, on_demand, view.status);
            }
            object.end();
        }
        list.end();
    }
}

fn write_vectors(table: &mut Object<'_>, view: &TableView<'_>, arn: &str) {
    let indexes = view.entry.indexes.iter().zip(&view.indexes);
    let mut indexes = indexes.filter(|(index, _)| index.vector.is_some()).peekable();
    if indexes.peek().is_none() {
        return;
    }
    let mut list = Array::new(table.member("VectorIndexes"));
    for (index, shown) in indexes {
        let mut object = Object::new(list.element());
        write_vector(&mut object, index);
        write_state(&mut object, index, shown, (view.status, arn));
        object.end();
    }
    list.end();
}

/// What was asked for of an index of vectors.
pub(in crate::dynamo) fn write_vector(object: &mut Object<'_>, index: &Index) {
    let Some(vector) = &index.vector else { return };
    object.text("IndexName", &index.name);
    if !vector.schema.is_empty() {
        let mut schema = Array::new(object.member("SearchSchema"));
        for it in &vector.schema {
            let mut element = Object::new(schema.element());
            element.text("AttributeName", &it.key.name);
            let role = if it.is_hash { "HASH" } else { "INLINE_FILTER" };
            element.text("SearchSchemaElementType", role);
            element.end();
        }
        schema.end();
    }
    write_projection(object.member("Projection"), &index.projected);
    let mut attribute = Object::new(object.member("VectorAttribute"));
    attribute.text("AttributeName", &vector.attribute);
    attribute.end();
    object.value("Dimensions", &vector.dimensions);
    object.text("DistanceFunction", vector.distance.as_str());
}

pub(in crate::dynamo) fn write_projection(out: &mut Vec<u8>, projected: &Projected) {
    let mut projection = Object::new(out);
    match projected {
        Projected::All => projection.text("ProjectionType", "ALL"),
        Projected::Keys => projection.text("ProjectionType", "KEYS_ONLY"),
        Projected::Include(names) => {
            projection.text("ProjectionType", "INCLUDE");
            projection.value("NonKeyAttributes", names);
        }
    }
    projection.end();
}

fn write_index(
    object: &mut Object<'_>,
    index: &Index,
    shown: &IndexView,
    (table, arn): (TableStatus, &str),
) {
    object.text("IndexName", &index.name);
    let roles = index.partition.iter().map(|_| "HASH").chain(index.sort.iter().map(|_| "RANGE"));
    let names = index.attributes().map(|attribute| attribute.name.as_str());
    write_key_schema(object.member("KeySchema"), names.zip(roles));
    write_projection(object.member("Projection"), &index.projected);
    write_state(object, index, shown, (table, arn));
}

/// How far an index is, and how large.
fn write_state(
    object: &mut Object<'_>,
    index: &Index,
    shown: &IndexView,
    (table, arn): (TableStatus, &str),
) {
    if !index.local {
        object.text("IndexStatus", shown.status.name());
        // Of an index that was made with its table nothing is said of filling it (the service's
        // model).
        if shown.status == TableStatus::Creating && table != TableStatus::Creating {
            object.value("Backfilling", &shown.backfilling);
        }
    }
    object.value("IndexSizeBytes", &shown.size_bytes);
    object.value("ItemCount", &shown.item_count);
    object.text("IndexArn", &format!("{arn}/index/{}", index.name));
}

fn write_stream(table: &mut Object<'_>, entry: &TableEntry, arn: &str) {
    let (stream, label) = stream_of(entry);
    if let Some(stream) = stream {
        let mut specification = Object::new(table.member("StreamSpecification"));
        specification.value("StreamEnabled", &true);
        specification.text("StreamViewType", stream.name());
        specification.end();
    }
    if let Some(label) = label {
        table.text("LatestStreamLabel", &label);
        table.text("LatestStreamArn", &format!("{arn}/stream/{label}"));
    }
}

fn write_global(table: &mut Object<'_>, view: &TableView<'_>) {
    let options = &view.entry.options;
    if view.replicas.is_empty() {
        if let Some(mode) = options::text(options, options::SETTINGS_MODE) {
            table.text(SETTINGS_MODE, mode);
        }
        return;
    }
    table.text("GlobalTableVersion", GLOBAL_TABLE_VERSION);
    table.text(SETTINGS_MODE, OVERRIDES);
    let overrides = options::map(options, options::OVERRIDES);
    let mut array = Array::new(table.member("Replicas"));
    for replica in &view.replicas {
        let mut object = Object::new(array.element());
        write_replica(&mut object, view.entry, replica);
        if let Some(overrides) = overrides.and_then(|all| options::map(all, &replica.region)) {
            write_overrides(&mut object, &replica.region, overrides);
        }
        object.end();
    }
    array.end();
    if let Some(region) = options::text(options, options::WITNESS) {
        let mut witnesses = Array::new(table.member("GlobalTableWitnesses"));
        let mut witness = Object::new(witnesses.element());
        witness.text("RegionName", region);
        witness.text("WitnessStatus", "ACTIVE");
        witness.end();
        witnesses.end();
    }
    if let Some(consistency) = options::text(options, options::CONSISTENCY) {
        table.text("MultiRegionConsistency", consistency);
    }
}

fn write_replica(object: &mut Object<'_>, entry: &TableEntry, replica: &ReplicaView) {
    object.text("RegionName", &replica.region);
    object.text("ReplicaStatus", replica.status.name());
    if let Some(description) = &replica.description {
        object.text("ReplicaStatusDescription", description);
    }
    object.text("ReplicaArn", &table_arn(&replica.region, &entry.name));
    object.text(SETTINGS_MODE, OVERRIDES);
}

/// What is set apart for a replica, or for one of its indexes.
fn write_overrides(object: &mut Object<'_>, region: &str, overrides: &Attributes) {
    if let Some(key) = options::text(overrides, options::SSE_KEY) {
        object.text("KMSMasterKeyId", &kms_arn(region, key));
    }
    for (member, name, option) in [
        ("ProvisionedThroughputOverride", "ReadCapacityUnits", options::READ),
        ("OnDemandThroughputOverride", "MaxReadRequestUnits", options::MAX_READ),
    ] {
        let Some(units) = options::number(overrides, option) else { continue };
        let mut throughput = Object::new(object.member(member));
        throughput.value(name, &units);
        throughput.end();
    }
    if let Some(indexes) = options::map(overrides, options::INDEXES) {
        let mut list = Array::new(object.member("GlobalSecondaryIndexes"));
        for name in indexes.keys() {
            let mut index = Object::new(list.element());
            index.text("IndexName", name);
            if let Some(overrides) = options::map(indexes, name) {
                write_overrides(&mut index, region, overrides);
            }
            index.end();
        }
        list.end();
    }
    write_class(object, "ReplicaTableClassSummary", overrides);
}

/// Of a table that is restored nothing is told any more (measured on the service by the ACK
/// project's users, October 2026: in no answer of 181 after it was `ACTIVE`).
fn write_restored(table: &mut Object<'_>, options: &Attributes) {
    if !options::flag(options, options::RESTORING) {
        return;
    }
    let Some(restored) = options::map(options, options::RESTORED) else { return };
    let mut summary = Object::new(table.member("RestoreSummary"));
    for (member, name) in [("SourceBackupArn", "backup"), ("SourceTableArn", "table")] {
        if let Some(arn) = options::text(restored, name) {
            summary.text(member, arn);
        }
    }
    write_time(&mut summary, "RestoreDateTime", options::number(restored, "at_ms"));
    summary.value("RestoreInProgress", &true);
    summary.end();
}

fn write_class(object: &mut Object<'_>, member: &str, options: &Attributes) {
    let Some(class) = options::text(options, options::CLASS) else { return };
    let mut summary = Object::new(object.member(member));
    summary.text("TableClass", class);
    write_time(&mut summary, "LastUpdateDateTime", options::number(options, options::CLASS_MS));
    summary.end();
}

/// 0 is no limit: options of an index are never taken away. -1 is one that is being taken away.
fn write_limits(object: &mut Object<'_>, options: &Attributes) {
    let limit = |name| options::signed(options, name).filter(|units| *units != 0);
    let (read, write) = (limit(options::MAX_READ), limit(options::MAX_WRITE));
    if read.is_none() && write.is_none() {
        return;
    }
    let mut limits = Object::new(object.member("OnDemandThroughput"));
    for (name, units) in [("MaxReadRequestUnits", read), ("MaxWriteRequestUnits", write)] {
        if let Some(units) = units {
            limits.value(name, &units);
        }
    }
    limits.end();
}

/// A table that is being made shows what was asked for, and one that is going away nothing
/// (recorded from the service in localstack's `test_table_crud` and `test_table_warm_throughput`).
fn write_warm(owner: &mut Object<'_>, options: &Attributes, on_demand: bool, status: TableStatus) {
    let asked = [options::WARM_READ, options::WARM_WRITE];
    let status = match status {
        TableStatus::Deleting => return,
        TableStatus::Creating if !asked.iter().any(|name| options.contains_key(*name)) => return,
        TableStatus::Creating => TableStatus::Updating,
        _ => TableStatus::Active,
    };
    let (read, write) = warm_of(options, on_demand);
    let mut object = Object::new(owner.member("WarmThroughput"));
    object.value("ReadUnitsPerSecond", &read);
    object.value("WriteUnitsPerSecond", &write);
    write_text(object.member("Status"), status.name());
    object.end();
}

/// The ARN of the key that a client named by an ARN, an identity or an alias.
fn kms_arn(region: &str, key: &str) -> String {
    match key {
        "" | "alias/aws/dynamodb" => {
            format!("arn:aws:kms:{region}:{ACCOUNT}:key/{SERVICE_KEY}")
        }
        arn if arn.starts_with("arn:") => arn.to_owned(),
        alias if alias.starts_with("alias/") => format!("arn:aws:kms:{region}:{ACCOUNT}:{alias}"),
        id => format!("arn:aws:kms:{region}:{ACCOUNT}:key/{id}"),
    }
}
