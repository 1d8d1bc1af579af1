//! What a request changes of a table as it is: `UpdateTable`, held against the table's entry.

use pangea_core::catalog::TableEntry;
use pangea_core::index::Index;
use pangea_core::item::{AttributeValue, Attributes};
use pangea_core::node::TableUpdate;
use pangea_core::table::KeyAttribute;

use super::features::{self, Encryption, Throughput, Units, warm_of};
use super::index::{self, GLOBAL_MAX, Given};
use super::keys;
use super::update::{IndexUpdate, STANDARD, UpdateTable};
use super::{NO_CAPACITY, StreamSpecification, capacity, invalid, vector};
use crate::dynamo::table::options::{self, Changes};
use crate::dynamo::{ApiError, ErrorKind};

impl UpdateTable {
    /// The change of the catalog, without the regions to add and to take away: those have names
    /// here, and numbers there.
    ///
    /// # Errors
    ///
    /// [`ApiError`], in DynamoDB's words, where the table cannot be changed like that.
    pub fn change(&self, entry: &TableEntry, now_ms: u64) -> Result<TableUpdate, ApiError> {
        let mut update = TableUpdate { name: entry.name.clone(), ..TableUpdate::default() };
        let has_vectors = entry.indexes.iter().any(|index| index.vector.is_some());
        if has_vectors && self.on_demand == Some(false) && self.throughput.is_some() {
            return Err(invalid("Tables with vector indexes must be in PAY_PER_REQUEST mode"));
        }
        self.change_indexes(entry, now_ms, &mut update)?;
        self.change_capacity(entry, now_ms, &mut update)?;
        self.change_stream(entry, &mut update)?;
        self.change_encryption(entry, &mut update)?;
        self.change_limits(entry, &mut update)?;
        if let Some(class) = &self.class {
            let is_default = options::text(&entry.options, options::CLASS).is_none();
            if !(is_default && class == STANDARD) {
                set(&mut update.options, options::CLASS, options::of_text(class));
                set(&mut update.options, options::CLASS_MS, options::of_number(now_ms));
            }
        }
        update.deletion_protection = self.deletion_protection;
        self.change_replicas(entry, &mut update)?;
        let is_less = !update.remove_indexes.is_empty();
        for (name, is_begun) in
            [(options::UPDATED_MS, self.begins(entry)), (options::INDEX_GONE_MS, is_less)]
        {
            if is_begun {
                set(&mut update.options, name, options::of_number(now_ms));
            }
        }
        Ok(update)
    }

    pub(super) fn will_be_on_demand(&self, entry: &TableEntry) -> bool {
        self.on_demand.unwrap_or(entry.on_demand)
    }

    fn change_capacity(
        &self,
        entry: &TableEntry,
        now_ms: u64,
        update: &mut TableUpdate,
    ) -> Result<(), ApiError> {
        let on_demand = self.will_be_on_demand(entry);
        if on_demand && self.throughput.is_some() {
            return Err(invalid(NO_CAPACITY));
        }
        if self.on_demand == Some(false) && self.throughput.is_none() {
            return Err(invalid(
                "ProvisionedThroughput must be specified when BillingMode is PROVISIONED",
            ));
        }
        if let Some(throughput) = self.throughput {
            let now = Throughput::of(&entry.options);
            if !entry.on_demand && now == throughput {
                return Err(capacity::unchanged("the table", "the table", now));
            }
            for (name, units) in capacity::options_of(&entry.options, throughput, now_ms)? {
                set(&mut update.options, name, units);
            }
        }
        if self.throughput.is_some() || on_demand != entry.on_demand {
            keep_warm(entry, update);
        }
        if on_demand == entry.on_demand {
            update.on_demand = self.on_demand;
            return Ok(());
        }
        update.on_demand = Some(on_demand);
        let since = if on_demand { now_ms } else { entry.created_ms };
        let known = options::number(&entry.options, options::ON_DEMAND_SINCE_MS);
        if on_demand || known.is_none() {
            set(&mut update.options, options::ON_DEMAND_SINCE_MS, options::of_number(since));
        }
        let gone = if on_demand {
            [options::READ, options::WRITE]
        } else {
            [options::MAX_READ, options::MAX_WRITE]
        };
        for name in gone {
            update.options.entry(name.to_owned()).or_insert(None);
        }
        for index in entry.indexes.iter().filter(|index| index.is_global()) {
            let of_index = update.index_options.entry(index.name.clone()).or_default();
            for name in gone {
                of_index.insert(name.to_owned(), options::of_number(0));
            }
        }
        update.index_options.retain(|name, _| !update.remove_indexes.contains(name));
        Ok(())
    }

    fn change_stream(&self, entry: &TableEntry, update: &mut TableUpdate) -> Result<(), ApiError> {
        let table = &entry.name;
        match (self.stream, entry.stream) {
            (None, _) => {}
            (Some(StreamSpecification::Enabled(_)), Some(_)) => {
                let text = format!("Table already has an enabled stream: TableName: {table}");
                return Err(ApiError::validation(text));
            }
            (Some(StreamSpecification::Disabled), None) => {
                let text = format!("Table has no stream to disable: TableName: {table}");
                return Err(ApiError::validation(text));
            }
            (Some(StreamSpecification::Disabled), Some(_)) if !entry.replicas.is_empty() => {
                return Err(invalid("Disabling Stream is not allowed for a Global Table replica."));
            }
            (Some(StreamSpecification::Enabled(view)), None) => {
                update.stream = Some(Some(view.into()));
                update.options.insert(options::STREAM_BEFORE_MS.to_owned(), None);
            }
            (Some(StreamSpecification::Disabled), Some(_)) => {
                update.stream = Some(None);
                let since = options::of_number(entry.stream_since_ms);
                set(&mut update.options, options::STREAM_BEFORE_MS, since);
            }
        }
        Ok(())
    }

    fn change_encryption(
        &self,
        entry: &TableEntry,
        update: &mut TableUpdate,
    ) -> Result<(), ApiError> {
        let now = options::text(&entry.options, options::SSE_KEY);
        match (&self.encryption, now) {
            (None, _) => Ok(()),
            (Some(Encryption::Default), None) => {
                Err(invalid("Table is already encrypted by default"))
            }
            (Some(Encryption::Default), Some(_)) => {
                update.options.insert(options::SSE_KEY.to_owned(), None);
                Ok(())
            }
            (Some(Encryption::Kms(key)), Some(now)) if key == now && key.starts_with("arn:") => {
                Err(invalid(
                    "Table is already encrypted with given KMSMasterKeyId. Use KMSMasterKeyId \
                     parameter if you want to change Master Key",
                ))
            }
            (Some(Encryption::Kms(key)), _) => {
                set(&mut update.options, options::SSE_KEY, options::of_text(key));
                Ok(())
            }
        }
    }

    fn change_limits(&self, entry: &TableEntry, update: &mut TableUpdate) -> Result<(), ApiError> {
        let on_demand = self.will_be_on_demand(entry);
        features::check_limits(self.limits, on_demand, ("the table ", "", -1))?;
        let limits = self.limits.unwrap_or_default();
        for (name, units) in [(options::MAX_READ, limits.read), (options::MAX_WRITE, limits.write)]
        {
            let Some(units) = units else { continue };
            let value = u64::try_from(units).ok().map(options::of_number);
            update.options.insert(name.to_owned(), value);
        }
        check_warmer(self.warm, &entry.options, entry.on_demand, "table")?;
        let warm = self.warm.unwrap_or_default();
        for (name, units) in [(options::WARM_READ, warm.read), (options::WARM_WRITE, warm.write)] {
            if let Some(units) = units.and_then(|units| u64::try_from(units).ok()) {
                set(&mut update.options, name, options::of_number(units));
            }
        }
        Ok(())
    }

    fn change_indexes(
        &self,
        entry: &TableEntry,
        now_ms: u64,
        update: &mut TableUpdate,
    ) -> Result<(), ApiError> {
        if self.indexes.iter().filter(|index| !index.is_update()).count() > 1 {
            return Err(busy());
        }
        for index in &self.indexes {
            self.change_index(entry, (index, now_ms), update)?;
        }
        let switches =
            entry.on_demand && self.on_demand == Some(false) && self.throughput.is_some();
        let left_out = entry.indexes.iter().filter(|index| {
            index.is_global() && !self.indexes.iter().any(|update| update.name() == index.name)
        });
        let left_out: Vec<&str> = left_out.map(|index| index.name.as_str()).collect();
        if switches && !left_out.is_empty() {
            let names = left_out.join(",");
            let text = format!("ProvisionedThroughput must be specified for index: {names}");
            return Err(invalid(&text));
        }
        Ok(())
    }

    fn change_index(
        &self,
        entry: &TableEntry,
        (index, now_ms): (&IndexUpdate, u64),
        update: &mut TableUpdate,
    ) -> Result<(), ApiError> {
        let known = entry.index(index.name());
        let verb = if index.is_update() { "update" } else { "delete" };
        match (index, known) {
            (IndexUpdate::Create(_) | IndexUpdate::CreateVector(_), Some(_)) => {
                Err(ApiError::validation("Attempting to create an index which already exists"))
            }
            (IndexUpdate::Create(given), None) => {
                let mut new = self.new_index(entry, given)?;
                new.options.insert(options::SINCE_MS.to_owned(), options::of_number(now_ms));
                update.add_indexes.push(new);
                Ok(())
            }
            (IndexUpdate::CreateVector(given), None) => {
                let mut new = self.new_vectors(entry, given)?;
                new.options.insert(options::SINCE_MS.to_owned(), options::of_number(now_ms));
                update.add_indexes.push(new);
                Ok(())
            }
            (IndexUpdate::DeleteVector(name), Some(known)) if known.vector.is_some() => {
                update.remove_indexes.push(name.clone());
                Ok(())
            }
            (_, None) | (IndexUpdate::DeleteVector(_), Some(_)) => Err(ApiError::new(
                ErrorKind::ResourceNotFound,
                format!(
                    "Requested resource not found: Index {} for table {}",
                    index.name(),
                    entry.name
                ),
            )),
            (_, Some(known)) if !known.is_global() => Err(ApiError::validation(format!(
                "Cannot {verb} an index that is not a GlobalSecondaryIndex: {}",
                known.name
            ))),
            (IndexUpdate::Delete(name), Some(_)) => {
                update.remove_indexes.push(name.clone());
                Ok(())
            }
            (IndexUpdate::Update { throughput, limits, warm, .. }, Some(known)) => {
                let options =
                    self.updated(entry, (known, now_ms), (*throughput, *limits, *warm))?;
                update.index_options.insert(known.name.clone(), options);
                Ok(())
            }
        }
    }

    fn updated(
        &self,
        entry: &TableEntry,
        (index, now_ms): (&Index, u64),
        (throughput, limits, warm): (Option<Throughput>, Option<Units>, Option<Units>),
    ) -> Result<Attributes, ApiError> {
        let (name, on_demand) = (&index.name, self.will_be_on_demand(entry));
        let says_nothing = limits.is_none_or(|limits| limits.is_empty()) && warm.is_none();
        if on_demand && (throughput.is_some() || says_nothing) {
            return Err(invalid(&format!(
                "The only Updates for index: {name} when TableThroughputMode is PAY_PER_REQUEST \
                 can be to OnDemandThroughput, WarmThroughput"
            )));
        }
        let mut options = Attributes::new();
        if let Some(throughput) = throughput {
            throughput.check()?;
            let now = Throughput::of(&index.options);
            if now == throughput && !entry.on_demand {
                return Err(capacity::unchanged(&format!("the index {name}"), "the index", now));
            }
            let changes = capacity::options_of(&index.options, throughput, now_ms)?;
            options.extend(changes.into_iter().map(|(name, value)| (name.to_owned(), value)));
        }
        let of_index = format!("for index: {name} ");
        features::check_limits(limits, on_demand, ("the table ", &of_index, -1))?;
        let limits = limits.unwrap_or_default();
        for (option, units) in
            [(options::MAX_READ, limits.read), (options::MAX_WRITE, limits.write)]
        {
            // Options of an index are never taken away: 0 is none.
            let Some(units) = units else { continue };
            let units = u64::try_from(units).unwrap_or_default();
            options.insert(option.to_owned(), options::of_number(units));
        }
        check_warmer(warm, &index.options, entry.on_demand, &format!("index {name}"))?;
        let warm = warm.unwrap_or_default();
        warm.write_to(&mut options, (options::WARM_READ, options::WARM_WRITE));
        Ok(options)
    }

    fn new_index(&self, entry: &TableEntry, given: &Given) -> Result<Index, ApiError> {
        let (name, on_demand) = (&given.name, self.will_be_on_demand(entry));
        let Some(definitions) = self.definitions.as_ref().filter(|it| !it.is_empty()) else {
            let text = format!("AttributeDefinitions is not specified for index: {name}");
            return Err(invalid(&text));
        };
        vector::check_key(entry, &given.keys, definitions)?;
        given.check_keys(definitions)?;
        let index = given.index(definitions)?;
        check_types(entry, &index)?;
        match given.throughput() {
            Some(_) if on_demand => {
                return Err(invalid(&format!(
                    "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified for index: \
                     {name} when BillingMode is PAY_PER_REQUEST"
                )));
            }
            None if !on_demand => {
                return Err(invalid(&format!(
                    "Both ReadCapacityUnits and WriteCapacityUnits must be specified for index: \
                     {name}"
                )));
            }
            Some(throughput) => throughput.check()?,
            None => {}
        }
        if entry.indexes.iter().filter(|index| index.is_global()).count() >= GLOBAL_MAX {
            return Err(ApiError::new(
                ErrorKind::LimitExceeded,
                format!(
                    "Subscriber limit exceeded: GlobalSecondaryIndex count exceeds the per-table \
                     limit of {GLOBAL_MAX}"
                ),
            ));
        }
        let mut all = entry.indexes.clone();
        all.push(index.clone());
        index::check_included(&all)?;
        Ok(index)
    }

    fn new_vectors(&self, entry: &TableEntry, given: &vector::Given) -> Result<Index, ApiError> {
        vector::check_billing(self.will_be_on_demand(entry))?;
        let nothing = Vec::new();
        let definitions = self.definitions.as_ref().unwrap_or(&nothing);
        let index = given.index(definitions)?;
        let known: Vec<&Index> =
            entry.indexes.iter().filter(|index| index.vector.is_some()).collect();
        if known.len() >= vector::VECTORS_MAX {
            return Err(vector::too_many());
        }
        vector::check_beside(&index, &known)?;
        let mut all = definitions.clone();
        all.extend(keys::of_entry(entry).into_iter().map(|key| (key.name, key.kind.to_string())));
        vector::check_undefined(&index, &all)?;
        check_types(entry, &index)?;
        let mut all = entry.indexes.clone();
        all.push(index.clone());
        index::check_included(&all)?;
        Ok(index)
    }
}

/// The refusal of a second index that is made or taken away at a time.
#[must_use]
pub fn busy() -> ApiError {
    ApiError::new(
        ErrorKind::LimitExceeded,
        "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously \
         per table",
    )
}

/// Refuses an index by an attribute that is of another type in a key that is there already.
fn check_types(entry: &TableEntry, index: &Index) -> Result<(), ApiError> {
    let is_sort = |name: &str| {
        let of_table = entry.schema.sort.as_ref().is_some_and(|sort| sort.name == name);
        let mut sorts = entry.indexes.iter().flat_map(|index| &index.sort);
        of_table || sorts.any(|sort| sort.name == name)
    };
    for known in keys::of_entry(entry) {
        let conflicting = |new: &&KeyAttribute| new.name == known.name && new.kind != known.kind;
        let Some(new) = index.attributes().find(conflicting) else { continue };
        let role = |is_sort: bool| if is_sort { "RANGE" } else { "HASH" };
        let new_role = role(index.sort.iter().any(|sort| sort.name == new.name));
        let (name, old_role) = (&known.name, role(is_sort(&known.name)));
        return Err(invalid(&format!(
            "Attributes cannot be redefined. Please check that your attribute has the same type as \
             previously defined. Existing schema: Schema:[SchemaElement: \
             key{{{name}:{}:{old_role}}}] New schema: Schema:[SchemaElement: \
             key{{{name}:{}:{new_role}}}]",
            known.kind, new.kind
        )));
    }
    Ok(())
}

pub(super) fn set(changes: &mut Changes, name: &str, value: AttributeValue) {
    changes.insert(name.to_owned(), Some(value));
}

/// What is warm stays so, whatever capacity the table has later (measured on the service by the ACK
/// project's users, October 2026).
fn keep_warm(entry: &TableEntry, update: &mut TableUpdate) {
    let (read, write) = warm_of(&entry.options, entry.on_demand);
    for (name, units) in [(options::WARM_READ, read), (options::WARM_WRITE, write)] {
        set(&mut update.options, name, options::of_number(units));
    }
}

/// Refuses warm throughput below what is there.
fn check_warmer(
    warm: Option<Units>,
    options: &Attributes,
    on_demand: bool,
    of: &str,
) -> Result<(), ApiError> {
    let Some(warm) = warm else { return Ok(()) };
    let (read, write) = warm_of(options, on_demand);
    for (name, units, now) in
        [("ReadUnitsPerSecond", warm.read, read), ("WriteUnitsPerSecond", warm.write, write)]
    {
        let Some(units) = units else { continue };
        if u64::try_from(units).is_ok_and(|units| units >= now) {
            continue;
        }
        return Err(invalid(&format!(
            "Requested {name} for WarmThroughput for {of} is lower than current WarmThroughput, \
             decreasing WarmThroughput is not supported"
        )));
    }
    Ok(())
}
