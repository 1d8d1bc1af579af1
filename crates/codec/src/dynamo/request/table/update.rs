//! `UpdateTable`, as far as it can be judged without the table.

use pangea_core::catalog::TableEntry;

use super::features::{self, Encryption, Throughput, Units};
use super::index::{self, Given};
use super::keys::{self, Pairs};
use super::replica::{self, ReplicaUpdate, WitnessUpdate};
use super::{StreamSpecification, invalid, vector};
use crate::dynamo::ApiError;
use crate::dynamo::request::{Constraints, Members};
use crate::dynamo::table::options;

pub(super) const EVENTUAL: &str = "EVENTUAL";
pub(super) const STRONG: &str = "STRONG";
/// How the settings of a global table's replicas go together, where it is one of one account.
pub(crate) const OVERRIDES: &str = "ENABLED_WITH_OVERRIDES";
/// The class of a table that says nothing of one.
pub(super) const STANDARD: &str = "STANDARD";
const WARM_ALONE: &str = "WarmThroughput must be the only operation in the request";

/// `UpdateTable`; what is `None` or empty stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpdateTable {
    /// The table's name.
    pub table: String,
    /// Types of the key attributes of a new index.
    pub(super) definitions: Option<Pairs>,
    /// Whether it is to be paid for by the request.
    pub on_demand: Option<bool>,
    /// Provisioned capacity.
    pub throughput: Option<Throughput>,
    /// Its stream.
    pub stream: Option<StreamSpecification>,
    /// Whether it may be deleted.
    pub deletion_protection: Option<bool>,
    /// Its class.
    pub class: Option<String>,
    /// Its encryption.
    pub encryption: Option<Encryption>,
    /// Limits on demand; -1 takes one away.
    pub limits: Option<Units>,
    /// Warm throughput.
    pub warm: Option<Units>,
    /// Regions to add or take away.
    pub replicas: Vec<ReplicaUpdate>,
    /// The region that only votes.
    pub witness: Option<WitnessUpdate>,
    /// `MultiRegionConsistency`.
    pub consistency: Option<String>,
    /// `GlobalTableSettingsReplicationMode`.
    pub(super) settings: Option<String>,
    /// Changes of global indexes, then of those of vectors, in order.
    pub(super) indexes: Vec<IndexUpdate>,
}

/// A change of a global index, or of one of vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum IndexUpdate {
    Create(Given),
    Update {
        name: String,
        throughput: Option<Throughput>,
        limits: Option<Units>,
        warm: Option<Units>,
    },
    Delete(String),
    CreateVector(vector::Given),
    DeleteVector(String),
}

impl IndexUpdate {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Create(given) => &given.name,
            Self::CreateVector(given) => &given.name,
            Self::Update { name, .. } | Self::Delete(name) | Self::DeleteVector(name) => name,
        }
    }

    pub(super) const fn is_update(&self) -> bool {
        matches!(self, Self::Update { .. })
    }
}

impl UpdateTable {
    pub(in crate::dynamo::request) fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let mut constraints = Constraints::default();
        let definitions = keys::definitions(body, &mut constraints)?;
        let table = constraints.named_table(body)?;
        let on_demand = features::billing_mode(body, &mut constraints)?;
        let throughput = features::throughput(body, &mut constraints, "")?;
        let lists_indexes = body.has("GlobalSecondaryIndexUpdates");
        let elements = index_updates(body, &mut constraints)?;
        let vectors = vector_updates(body, &mut constraints)?;
        let stream = features::stream(body, &mut constraints)?;
        let sse = features::encryption(body, &mut constraints)?;
        let replicas = replica::updates(body, &mut constraints)?;
        let class = body.text("TableClass")?;
        let deletion_protection = body.boolean("DeletionProtectionEnabled")?;
        let consistency = body.text("MultiRegionConsistency")?;
        let modes = [EVENTUAL, STRONG];
        let consistency = constraints.one_of(consistency, &modes, "multiRegionConsistency");
        let witness = replica::witness(body, &mut constraints)?;
        let limits = features::on_demand_limits(body)?.filter(|limits| !limits.is_empty());
        let warm = features::warm(body)?.filter(|warm| !warm.is_empty());
        constraints.finish()?;
        features::check_class(class.as_deref())?;
        let settings = body.text("GlobalTableSettingsReplicationMode")?;
        // The model knows the mode, and no table may be given it (measured by the ACK project's
        // users in October 2026, as is that a replica is taken away alone).
        if settings.as_deref() == Some(OVERRIDES) {
            return Err(ApiError::validation(format!(
                "Value '{OVERRIDES}' at 'GlobalTableSettingsReplicationMode' failed to satisfy \
                 constraint: Only ENABLED and DISABLED settings replication are supported for a \
                 Regional Table."
            )));
        }
        if let (Some(true), Some(_)) = (on_demand, throughput) {
            let text = "ProvisionedThroughput cannot be specified when BillingMode is \
                        PAY_PER_REQUEST";
            return Err(invalid(text));
        }
        if let Some(throughput) = throughput {
            throughput.check()?;
        }
        let needed = "If stream is being enabled then UpdateViewType is required";
        let unwanted = "If stream is being disabled, then UpdateViewType must not be specified";
        let stream = features::stream_of(stream, (needed, unwanted))?;
        let encryption = sse.map(features::Sse::meaning).transpose()?;
        let lists_no_index = lists_indexes && elements.is_empty();
        let mut indexes = actions(elements)?;
        indexes.extend(vector_actions(vectors)?);
        let update = Self {
            table,
            definitions,
            on_demand,
            throughput,
            stream,
            deletion_protection,
            class,
            encryption,
            limits,
            warm,
            replicas,
            witness,
            consistency,
            settings,
            indexes,
        };
        update.check(lists_no_index)?;
        Ok(update)
    }

    /// What of a table and its indexes is changed one at a time.
    fn check(&self, lists_no_index: bool) -> Result<(), ApiError> {
        if !self.changes_settings() && self.replicas.is_empty() && self.witness.is_none() {
            let consistency =
                if self.consistency.is_some() { "" } else { "MultiRegionConsistency, " };
            return Err(ApiError::validation(format!(
                "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, \
                 GlobalSecondaryIndexUpdates, SSESpecification, ReplicaUpdates, \
                 MultiAccountReplicaReady, ReplicaTransitRoleArn, {consistency}\
                 DeletionProtectionEnabled, OnDemandThroughput, WarmThroughput or TableClass is \
                 required"
            )));
        }
        if lists_no_index {
            return Err(invalid("List of GlobalSecondaryIndexUpdates is empty"));
        }
        self.check_alone()?;
        let changes_indexes = self.changes_indexes();
        let changes_capacity = self.throughput.is_some() || self.on_demand == Some(false);
        if self.stream.is_some() && changes_capacity {
            return Err(invalid("You cannot modify stream status while updating table IOPS"));
        }
        if changes_indexes && self.throughput.is_some() {
            return Err(invalid("You cannot create or delete index while updating table IOPS"));
        }
        if changes_indexes && self.stream.is_some() {
            return Err(invalid("You cannot create or delete index while changing stream status"));
        }
        Ok(())
    }

    fn check_alone(&self) -> Result<(), ApiError> {
        let groups = [
            self.encryption.is_some(),
            self.class.is_some(),
            self.deletion_protection.is_some(),
            self.warm.is_some(),
            self.limits.is_some(),
            self.throughput.is_some() || self.on_demand.is_some(),
            self.stream.is_some(),
            !self.indexes.is_empty(),
        ];
        let count = groups.iter().filter(|is_there| **is_there).count();
        if count > 0 && !(self.replicas.is_empty() && self.witness.is_none()) {
            return Err(invalid(
                "Requests that modify replicas or witnesses must not also modify other fields",
            ));
        }
        let alone = [
            "Server-Side Encryption modification must be the only operation in the request",
            "TableClass modification must be the only operation in the request",
            "DeletionProtection modification must be the only operation in the request",
            WARM_ALONE,
        ];
        let broken = alone.into_iter().zip(groups).find(|(_, is_there)| *is_there && count > 1);
        let creates = self.indexes.iter().any(|index| matches!(index, IndexUpdate::Create(_)));
        match broken {
            // Of what warm throughput goes with, some is told of in words of its own.
            Some((WARM_ALONE, _)) if self.limits.is_some() => {}
            Some((WARM_ALONE, _)) if creates => {
                return Err(invalid(
                    "Create global secondary index cannot be specified when updating WarmThroughput",
                ));
            }
            Some((text, _)) => return Err(invalid(text)),
            None => {}
        }
        if self.limits.is_some() && count > 1 + usize::from(self.on_demand.is_some()) {
            return Err(invalid(
                "OnDemandThroughput can only be combined with BillingMode in an UpdateTable request",
            ));
        }
        Ok(())
    }

    fn changes_settings(&self) -> bool {
        self.on_demand.is_some()
            || self.throughput.is_some()
            || self.stream.is_some()
            || self.deletion_protection.is_some()
            || self.class.is_some()
            || self.encryption.is_some()
            || self.limits.is_some()
            || self.warm.is_some()
            || self.settings.is_some()
            || !self.indexes.is_empty()
    }

    /// Whether the answer to the request says that the table is being updated.
    #[must_use]
    pub fn takes_time(&self) -> bool {
        self.lasts() || !self.replicas.is_empty() || self.changes_indexes()
    }

    /// Whether it says something of the table itself that takes a while to change.
    const fn lasts(&self) -> bool {
        self.on_demand.is_some()
            || self.throughput.is_some()
            || self.stream.is_some()
            || self.class.is_some()
    }

    /// Whether the table itself is being updated for a while: not by a billing mode or a class that
    /// it has already, though the answer says so of these too (measured on the service by the ACK
    /// project's users, October 2026).
    pub(super) fn begins(&self, entry: &TableEntry) -> bool {
        let class = options::text(&entry.options, options::CLASS).unwrap_or(STANDARD);
        self.throughput.is_some()
            || self.stream.is_some()
            || self.on_demand.is_some_and(|on_demand| on_demand != entry.on_demand)
            || self.class.as_deref().is_some_and(|wanted| wanted != class)
    }

    /// Whether it is taken from a table that is being updated: each of these stands alone in its
    /// request (measured on the service by the ACK project's users, October 2026).
    #[must_use]
    pub const fn is_taken_meanwhile(&self) -> bool {
        self.deletion_protection.is_some() || self.encryption.is_some() || self.warm.is_some()
    }

    /// Whether indexes are made or taken away.
    #[must_use]
    pub fn changes_indexes(&self) -> bool {
        self.indexes.iter().any(|index| !index.is_update())
    }

    /// The names of the indexes to make, to take away, and to change.
    #[must_use]
    pub fn index_names(&self) -> (Vec<&str>, Vec<&str>, Vec<&str>) {
        let (mut made, mut gone, mut changed) = (Vec::new(), Vec::new(), Vec::new());
        for index in &self.indexes {
            match index {
                IndexUpdate::Create(_) | IndexUpdate::CreateVector(_) => made.push(index.name()),
                IndexUpdate::Delete(name) | IndexUpdate::DeleteVector(name) => {
                    gone.push(name.as_str());
                }
                IndexUpdate::Update { name, .. } => changed.push(name.as_str()),
            }
        }
        (made, gone, changed)
    }
}

/// The actions of each element of `GlobalSecondaryIndexUpdates`.
fn index_updates(
    body: &mut Members,
    constraints: &mut Constraints,
) -> Result<Vec<Vec<IndexUpdate>>, ApiError> {
    let mut updates = Vec::new();
    let elements = body.objects("GlobalSecondaryIndexUpdates")?.unwrap_or_default();
    for (at, mut element) in elements.into_iter().enumerate() {
        let path = format!("globalSecondaryIndexUpdates.{}.member", at + 1);
        let mut actions = Vec::new();
        if let Some(mut given) = element.object("Update")? {
            actions.push(throughput_update(&mut given, constraints, &format!("{path}.update"))?);
        }
        if let Some(mut given) = element.object("Create")? {
            let path = format!("{path}.create");
            let given = Given::decode(&mut given, constraints, &path, false)?;
            actions.push(IndexUpdate::Create(given));
        }
        if let Some(mut given) = element.object("Delete")? {
            let name = index::index_name(&mut given, constraints, &format!("{path}.delete"))?;
            actions.push(IndexUpdate::Delete(name));
        }
        updates.push(actions);
    }
    Ok(updates)
}

/// The actions of each element of `VectorIndexUpdates`.
fn vector_updates(
    body: &mut Members,
    constraints: &mut Constraints,
) -> Result<Vec<Vec<IndexUpdate>>, ApiError> {
    let mut updates = Vec::new();
    let elements = body.objects("VectorIndexUpdates")?.unwrap_or_default();
    for (at, mut element) in elements.into_iter().enumerate() {
        let path = format!("vectorIndexUpdates.{}.member", at + 1);
        let mut actions = Vec::new();
        if let Some(mut given) = element.object("Create")? {
            let path = format!("{path}.create");
            let given = vector::Given::decode(&mut given, constraints, &path)?;
            actions.push(IndexUpdate::CreateVector(given));
        }
        if let Some(mut given) = element.object("Delete")? {
            let name = index::index_name(&mut given, constraints, &format!("{path}.delete"))?;
            actions.push(IndexUpdate::DeleteVector(name));
        }
        updates.push(actions);
    }
    Ok(updates)
}

/// One action an element.
fn vector_actions(elements: Vec<Vec<IndexUpdate>>) -> Result<Vec<IndexUpdate>, ApiError> {
    let mut indexes = Vec::new();
    for mut actions in elements {
        let Some(action) = actions.pop() else {
            return Err(invalid(
                "One of VectorIndexUpdate.Create, VectorIndexUpdate.Delete must not be null",
            ));
        };
        if !actions.is_empty() {
            return Err(invalid(
                "Only one vector index action is allowed per VectorIndexUpdate object",
            ));
        }
        indexes.push(action);
    }
    Ok(indexes)
}

fn throughput_update(
    given: &mut Members,
    constraints: &mut Constraints,
    path: &str,
) -> Result<IndexUpdate, ApiError> {
    let name = index::index_name(given, constraints, path)?;
    let throughput = features::throughput(given, constraints, &format!("{path}."))?;
    let limits = features::on_demand_limits(given)?;
    let warm = features::warm(given)?;
    if warm.as_ref().is_some_and(Units::is_empty) {
        return Err(invalid(&format!(
            "WarmThroughput must have at least one of ReadUnitsPerSecond or WriteUnitsPerSecond \
             specified for index: {name}"
        )));
    }
    Ok(IndexUpdate::Update { name, throughput, limits, warm })
}

/// One action an element, and one an index.
fn actions(elements: Vec<Vec<IndexUpdate>>) -> Result<Vec<IndexUpdate>, ApiError> {
    let mut indexes: Vec<IndexUpdate> = Vec::new();
    for mut actions in elements {
        let Some(action) = actions.pop() else {
            return Err(invalid(
                "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, \
                 GlobalSecondaryIndexUpdate.Delete must not be null",
            ));
        };
        if !actions.is_empty() {
            return Err(invalid(
                "Only one global secondary index action is allowed per GlobalSecondaryIndexUpdate \
                 object",
            ));
        }
        if indexes.iter().any(|other| other.name() == action.name()) {
            return Err(invalid(&format!(
                "Only one global secondary index update per index is allowed simultaneously. \
                 Index: {}",
                action.name()
            )));
        }
        indexes.push(action);
    }
    Ok(indexes)
}
