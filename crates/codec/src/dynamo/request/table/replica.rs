//! Changes of the regions that hold a table, and what differs from region to region.

use pangea_core::item::{AttributeValue, Attributes};

use super::{INVALID, NO_CAPACITY, features};
use crate::dynamo::ApiError;
use crate::dynamo::request::{Constraints, Members};
use crate::dynamo::table::options;

/// What to do with a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaAction {
    /// Add it.
    Create,
    /// Change what is set apart for it.
    Update,
    /// Take it away.
    Delete,
}

/// One change to the set of regions that hold a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaUpdate {
    /// What to do.
    pub action: ReplicaAction,
    /// The region in question.
    pub region: String,
    /// What is set apart for it, by the names of [`options`]; it is only shown.
    pub overrides: Attributes,
}

impl ReplicaUpdate {
    /// Refuses, for a replica that is there, what goes with the other way of paying. That of one
    /// that is being added is not looked at (measured on the service in October 2026).
    pub(super) fn check_overrides(&self, on_demand: bool) -> Result<(), ApiError> {
        let has = |name| self.overrides.contains_key(name);
        let why = match self.action {
            ReplicaAction::Update if on_demand && has(options::READ) => NO_CAPACITY,
            ReplicaAction::Update if !on_demand && has(options::MAX_READ) => {
                "MaxReadRequestUnits for OnDemandThroughput cannot be specified when the table \
                 BillingMode is PROVISIONED"
            }
            ReplicaAction::Create | ReplicaAction::Update | ReplicaAction::Delete => return Ok(()),
        };
        Err(ApiError::validation(why))
    }
}

/// A change of the region that only votes, of a table that is consistent in several regions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WitnessUpdate {
    /// Adds it.
    Create(String),
    /// Takes it away.
    Delete(String),
}

/// `ReplicaUpdates`, where they are there.
pub(super) fn updates(
    body: &mut Members,
    constraints: &mut Constraints,
) -> Result<Vec<ReplicaUpdate>, ApiError> {
    let elements = body.objects("ReplicaUpdates")?;
    if elements.as_ref().is_some_and(Vec::is_empty) {
        let constraint = "have length greater than or equal to 1";
        constraints.violated("'[]'", "replicaUpdates", constraint);
    }
    let mut updates: Vec<ReplicaUpdate> = Vec::new();
    for (at, mut element) in elements.unwrap_or_default().into_iter().enumerate() {
        let path = format!("replicaUpdates.{}.member", at + 1);
        let update = update(&mut element, constraints, &path)?;
        if updates.iter().any(|other| other.region == update.region) {
            return Err(ApiError::validation(format!(
                "{INVALID}: Only one ReplicaUpdate is allowed for each region"
            )));
        }
        updates.push(update);
    }
    Ok(updates)
}

/// Refuses to take a replica away beside another one that is added or taken away. That several are
/// added at once the service refuses, too; here a table may be made global in one request.
pub(super) fn check_alone(updates: &[ReplicaUpdate]) -> Result<(), ApiError> {
    let count = |action| updates.iter().filter(|update| update.action == action).count();
    let (added, taken) = (count(ReplicaAction::Create), count(ReplicaAction::Delete));
    if taken == 0 || added + taken == 1 {
        return Ok(());
    }
    let text = "Update table operation with more than one create or delete replica actions not \
                allowed";
    Err(ApiError::validation(text))
}

fn update(
    element: &mut Members,
    constraints: &mut Constraints,
    path: &str,
) -> Result<ReplicaUpdate, ApiError> {
    let named = [
        ("Create", ReplicaAction::Create),
        ("Update", ReplicaAction::Update),
        ("Delete", ReplicaAction::Delete),
    ];
    let mut found = Vec::new();
    for (name, action) in named {
        let Some(mut given) = element.object(name)? else { continue };
        let path = format!("{path}.{}.regionName", name.to_ascii_lowercase());
        let region = constraints.required(given.text("RegionName")?, &path);
        found.push(ReplicaUpdate { action, region, overrides: overrides(&mut given)? });
    }
    match (found.pop(), found.is_empty()) {
        // The name of a region alone changes nothing of the replica there.
        (Some(update), true)
            if update.action != ReplicaAction::Update || !update.overrides.is_empty() =>
        {
            Ok(update)
        }
        (None, _) | (Some(_), true) => Err(ApiError::validation(
            "There are no actions specified in the Replica Update Action of the request.",
        )),
        (Some(_), false) => Err(ApiError::validation(
            "Update table operation with more than one type of replica actions not allowed.",
        )),
    }
}

fn overrides(given: &mut Members) -> Result<Attributes, ApiError> {
    let mut overrides = Attributes::new();
    let mut texts = |given: &mut Members, name: &str, option: &str| -> Result<(), ApiError> {
        if let Some(text) = given.text(name)? {
            overrides.insert(option.to_owned(), AttributeValue::S(text));
        }
        Ok(())
    };
    texts(given, "KMSMasterKeyId", options::SSE_KEY)?;
    texts(given, "TableClassOverride", options::CLASS)?;
    features::check_class(options::text(&overrides, options::CLASS))?;
    units(given, &mut overrides)?;
    let mut indexes = Attributes::new();
    for mut index in given.objects("GlobalSecondaryIndexes")?.unwrap_or_default() {
        let Some(name) = index.text("IndexName")? else { continue };
        let mut of_index = Attributes::new();
        units(&mut index, &mut of_index)?;
        indexes.insert(name, AttributeValue::M(of_index));
    }
    if !indexes.is_empty() {
        overrides.insert(options::INDEXES.to_owned(), AttributeValue::M(indexes));
    }
    Ok(overrides)
}

fn units(given: &mut Members, overrides: &mut Attributes) -> Result<(), ApiError> {
    for (name, member, option) in [
        ("ProvisionedThroughputOverride", "ReadCapacityUnits", options::READ),
        ("OnDemandThroughputOverride", "MaxReadRequestUnits", options::MAX_READ),
    ] {
        let Some(mut given) = given.object(name)? else { continue };
        let units = given.integer(member)?.and_then(|units| u64::try_from(units).ok());
        if let Some(units) = units {
            overrides.insert(option.to_owned(), options::of_number(units));
        }
    }
    Ok(())
}

/// `GlobalTableWitnessUpdates`, of which there is at most one.
pub(super) fn witness(
    body: &mut Members,
    constraints: &mut Constraints,
) -> Result<Option<WitnessUpdate>, ApiError> {
    let path = "globalTableWitnessUpdates";
    let Some(elements) = body.objects("GlobalTableWitnessUpdates")? else { return Ok(None) };
    let mut found = None;
    for (at, mut element) in elements.into_iter().enumerate() {
        let makers = [WitnessUpdate::Create, WitnessUpdate::Delete];
        for (name, make) in ["Create", "Delete"].into_iter().zip(makers) {
            let Some(mut given) = element.object(name)? else { continue };
            let action = name.to_ascii_lowercase();
            let path = format!("{path}.{}.member.{action}.regionName", at + 1);
            let region = constraints.required(given.text("RegionName")?, &path);
            found = Some(make(region));
        }
    }
    Ok(found)
}
