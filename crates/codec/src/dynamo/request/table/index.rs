//! Secondary indexes as requests ask for them.

use std::collections::BTreeSet;

use pangea_core::index::{Index, IndexId, Projected};
use pangea_core::item::Attributes;
use pangea_core::table::Schema;

use super::features::{self, Throughput, Units, WARM};
use super::keys::{self, Pairs};
use super::{INVALID, invalid, vector};
use crate::dynamo::ApiError;
use crate::dynamo::request::{Constraints, Members};
use crate::dynamo::table::options;

/// Most global indexes of a table (DynamoDB).
pub(super) const GLOBAL_MAX: usize = 20;
/// Most local indexes of a table (DynamoDB).
const LOCAL_MAX: usize = 5;
/// Most attributes that one index may include (DynamoDB).
const INCLUDED_MAX: usize = 20;
/// Most attributes that all indexes of a table may include (DynamoDB).
const INCLUDED_ALL_MAX: usize = 100;

/// An index as it stands in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) name: String,
    local: bool,
    pub(super) keys: Pairs,
    projection: Projection,
    throughput: Option<Throughput>,
    limits: Option<Units>,
    warm: Option<Units>,
}

/// `Projection` as it stands in a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Projection {
    kind: Option<String>,
    included: Option<Vec<String>>,
}

/// Local indexes and global ones, where there are such lists.
type Lists = (Option<Vec<Given>>, Option<Vec<Given>>);

/// `LocalSecondaryIndexes` and `GlobalSecondaryIndexes`.
pub(super) fn lists(body: &mut Members, constraints: &mut Constraints) -> Result<Lists, ApiError> {
    let mut list = |name: &str, path: &str, local: bool| {
        let Some(elements) = body.objects(name)? else { return Ok(None) };
        let mut given = Vec::new();
        for (at, mut element) in elements.into_iter().enumerate() {
            let path = format!("{path}.{}.member", at + 1);
            given.push(Given::decode(&mut element, constraints, &path, local)?);
        }
        Ok::<_, ApiError>(Some(given))
    };
    // What is wrong with global ones is told first (measured by the Parity Suite).
    let global = list("GlobalSecondaryIndexes", "globalSecondaryIndexes", false)?;
    let local = list("LocalSecondaryIndexes", "localSecondaryIndexes", true)?;
    Ok((local, global))
}

/// The `IndexName` at a path.
pub(super) fn index_name(
    body: &mut Members,
    constraints: &mut Constraints,
    path: &str,
) -> Result<String, ApiError> {
    let name = body.text("IndexName")?;
    let path = format!("{path}.indexName");
    if let Some(name) = &name {
        constraints.identifier(name, &path);
    }
    Ok(constraints.required(name, &path))
}

impl Given {
    /// DynamoDB names what is missing of a local index and of a global one in different orders.
    pub(super) fn decode(
        body: &mut Members,
        constraints: &mut Constraints,
        path: &str,
        local: bool,
    ) -> Result<Self, ApiError> {
        let keys_path = format!("{path}.keySchema");
        let is_named = body.has("IndexName");
        let early =
            if local || is_named { Some(index_name(body, constraints, path)?) } else { None };
        let throughput = features::throughput(body, constraints, &format!("{path}."))?;
        let keys = keys::key_schema(body, constraints, &keys_path)?;
        let projection = projection(body, constraints, &format!("{path}.projection"))?;
        let name = match early {
            Some(name) => name,
            None => index_name(body, constraints, path)?,
        };
        let limits = features::on_demand_limits(body)?.filter(|limits| !limits.is_empty());
        let warm = features::warm(body)?.filter(|warm| !warm.is_empty());
        Ok(Self { name, local, keys, projection, throughput, limits, warm })
    }

    /// The keys that it names, whose order and definitions are checked.
    pub(super) fn check_keys(&self, definitions: &Pairs) -> Result<(), ApiError> {
        keys::defined_for_index(definitions, &self.keys)?;
        if self.local { keys::check_pair(&self.keys) } else { keys::check_global(&self.keys) }
    }

    /// The rules of a local index of a table of this key.
    fn check_local(&self, schema: &Schema) -> Result<(), ApiError> {
        if self.keys.len() < 2 {
            let text =
                format!("Index KeySchema does not have a range key for index: {}", self.name);
            return Err(invalid(&text));
        }
        let hash = &self.keys[0].0;
        if *hash != schema.partition.name {
            return Err(invalid(&format!(
                "Index KeySchema does not have the same leading hash key as table KeySchema for \
                 index: {}. index hash key: {hash}, table hash key: {}",
                self.name, schema.partition.name
            )));
        }
        Ok(())
    }

    fn check_throughput(&self, on_demand: bool) -> Result<(), ApiError> {
        let name = &self.name;
        if self.local {
            return Ok(());
        }
        if let Some(throughput) = self.throughput {
            throughput.check()?;
        }
        if on_demand && self.throughput.is_some() {
            return Err(invalid(&format!(
                "ProvisionedThroughput should not be specified for index: {name} when BillingMode \
                 is PAY_PER_REQUEST"
            )));
        }
        if !on_demand && self.throughput.is_none() {
            let text = format!("ProvisionedThroughput is not specified for index: {name}");
            return Err(invalid(&text));
        }
        let whose = format!("for index: {name} ");
        features::check_limits(self.limits, on_demand, ("table ", &whose, 1))?;
        check_warm(self.warm, on_demand, self.throughput, &format!("for index {name}"))
    }

    /// What it projects.
    pub(super) fn projected(&self) -> Result<Projected, ApiError> {
        self.projection.projected()
    }

    /// Whether it names its throughput.
    pub(super) const fn throughput(&self) -> Option<Throughput> {
        self.throughput
    }

    /// The index, as the catalog has it. Its keys are checked before.
    pub(super) fn index(&self, definitions: &Pairs) -> Result<Index, ApiError> {
        let attributes = keys::defined_for_index(definitions, &self.keys)?;
        let of = |wanted: &str| {
            let roles = self.keys.iter().map(|(_, role)| role == wanted);
            let chosen = attributes.iter().zip(roles).filter(|(_, chosen)| *chosen);
            chosen.map(|(attribute, _)| attribute.clone()).collect()
        };
        let mut options = Attributes::new();
        if let Some(throughput) = self.throughput {
            throughput.write_to(&mut options);
        }
        let (limits, warm) = (self.limits.unwrap_or_default(), self.warm.unwrap_or_default());
        limits.write_to(&mut options, (options::MAX_READ, options::MAX_WRITE));
        warm.write_to(&mut options, (options::WARM_READ, options::WARM_WRITE));
        Ok(Index {
            id: IndexId(0),
            name: self.name.clone(),
            local: self.local,
            partition: of("HASH"),
            sort: of("RANGE"),
            projected: self.projected()?,
            options,
            vector: None,
        })
    }
}

pub(super) fn projection(
    body: &mut Members,
    constraints: &mut Constraints,
    path: &str,
) -> Result<Projection, ApiError> {
    let Some(mut given) = body.object("Projection")? else {
        constraints.violated("null", path, "not be null");
        return Ok(Projection::default());
    };
    let allowed = ["ALL", "INCLUDE", "KEYS_ONLY"];
    let kind_path = format!("{path}.projectionType");
    let kind = constraints.one_of(given.text("ProjectionType")?, &allowed, &kind_path);
    let included = given.text_list("NonKeyAttributes")?;
    if let Some(names) = &included {
        let path = format!("{path}.nonKeyAttributes");
        let shown = format!("'[{}]'", names.join(", "));
        if names.is_empty() {
            constraints.violated(&shown, &path, "have length greater than or equal to 1");
        }
        if names.len() > INCLUDED_MAX {
            let constraint = format!("have length less than or equal to {INCLUDED_MAX}");
            constraints.violated(&shown, &path, &constraint);
        }
        for (at, name) in names.iter().enumerate() {
            constraints.length(name, (1, 255), &format!("{path}.{}.member", at + 1));
        }
    }
    Ok(Projection { kind, included })
}

impl Projection {
    pub(super) fn projected(&self) -> Result<Projected, ApiError> {
        let kind = self.kind.as_deref().unwrap_or("null");
        match (kind, &self.included) {
            ("ALL", None) => Ok(Projected::All),
            ("KEYS_ONLY", None) => Ok(Projected::Keys),
            ("INCLUDE", Some(names)) => {
                // DynamoDB shows them in the order of their names.
                let sorted: BTreeSet<&String> = names.iter().collect();
                if let Some(twice) = first_twice(names) {
                    let text = format!("Duplicate element in NonKeyAttributes: {twice}");
                    return Err(invalid(&text));
                }
                Ok(Projected::Include(sorted.into_iter().cloned().collect()))
            }
            ("INCLUDE", None) => {
                let text = "ProjectionType is INCLUDE, but NonKeyAttributes is not specified";
                Err(invalid(text))
            }
            ("ALL" | "KEYS_ONLY", Some(_)) => Err(invalid(&format!(
                "ProjectionType is {kind}, but NonKeyAttributes is specified"
            ))),
            _ => Err(invalid(&format!("Unknown ProjectionType: {kind}"))),
        }
    }
}

fn first_twice(names: &[String]) -> Option<&String> {
    let mut seen = BTreeSet::new();
    names.iter().find(|name| !seen.insert(*name))
}

/// All indexes of a new table, local ones first, those of vectors last, checked in the service's
/// order.
pub(super) fn checked(
    ((local, global), vectors): (Lists, Option<Vec<vector::Given>>),
    (definitions, keys, schema): (&Pairs, &Pairs, &Schema),
    on_demand: bool,
) -> Result<Vec<Index>, ApiError> {
    for (list, name) in [(&local, "LocalSecondaryIndexes"), (&global, "GlobalSecondaryIndexes")] {
        if list.as_ref().is_some_and(Vec::is_empty) {
            return Err(invalid(&format!("List of {name} is empty")));
        }
    }
    if vectors.as_ref().is_some_and(Vec::is_empty) {
        return Err(invalid("List of VectorIndexes is empty"));
    }
    let (local, global) = (local.unwrap_or_default(), global.unwrap_or_default());
    let vectors = vectors.unwrap_or_default();
    if !local.is_empty() && schema.sort.is_none() {
        return Err(invalid(
            "Table KeySchema does not have a range key, which is required when specifying a \
             LocalSecondaryIndex",
        ));
    }
    for (at, index) in local.iter().enumerate() {
        let path = format!("localSecondaryIndexes.{}.member.keySchema", at + 1);
        keys::check_length(&index.keys, &path)?;
    }
    let all: Vec<&Given> = local.iter().chain(&global).collect();
    for index in &all {
        index.check_keys(definitions)?;
    }
    let of_vectors = vector::checked(&vectors, definitions, on_demand)?;
    let of_indexes = all.iter().flat_map(|index| index.keys.iter().map(|(name, _)| name.as_str()));
    let of_indexes = of_indexes.chain(vectors.iter().flat_map(vector::Given::names));
    keys::check_used(definitions, keys, of_indexes)?;
    let mut names = BTreeSet::new();
    let mut indexes = Vec::new();
    for index in &all {
        if index.local {
            index.check_local(schema)?;
        }
        indexes.push(index.index(definitions)?);
        index.check_throughput(on_demand)?;
        if !names.insert(&index.name) {
            return Err(invalid(&format!("Duplicate index name: {}", index.name)));
        }
    }
    for index in of_vectors {
        if names.contains(&index.name) {
            return Err(invalid(&format!("Duplicate index name: {}", index.name)));
        }
        indexes.push(index);
    }
    if local.len() > LOCAL_MAX {
        return Err(ApiError::validation(format!(
            "{INVALID}: Number of LocalSecondaryIndexes exceeds per-table limit of {LOCAL_MAX}"
        )));
    }
    if global.len() > GLOBAL_MAX {
        return Err(ApiError::validation(format!(
            "{INVALID}: GlobalSecondaryIndex count exceeds the per-table limit of {GLOBAL_MAX}"
        )));
    }
    check_included(&indexes)?;
    Ok(indexes)
}

/// Refuses indexes that include more attributes than a table may have in all.
pub(super) fn check_included(indexes: &[Index]) -> Result<(), ApiError> {
    let included = indexes.iter().map(|index| match &index.projected {
        Projected::Include(names) => names.len(),
        Projected::All | Projected::Keys => 0,
    });
    // A vector counts as one, and so does what it is filtered by (the service's model).
    let vectors = indexes.iter().filter_map(|index| index.vector.as_ref());
    let included = included.chain(vectors.map(|vector| 1 + vector.filters().count()));
    if included.sum::<usize>() <= INCLUDED_ALL_MAX {
        return Ok(());
    }
    Err(invalid(&format!(
        "Total number of NonKeyAttributes of all secondary indexes exceeds the per-table limit of \
         {INCLUDED_ALL_MAX}"
    )))
}

/// Refuses warm throughput below what a table has from the beginning.
pub(super) fn check_warm(
    warm: Option<Units>,
    on_demand: bool,
    throughput: Option<Throughput>,
    of: &str,
) -> Result<(), ApiError> {
    let Some(warm) = warm else { return Ok(()) };
    let has = throughput.map_or(WARM, |throughput| (throughput.read, throughput.write));
    let (has_read, has_write) = if on_demand { WARM } else { has };
    for (name, capacity, units, has) in [
        ("ReadUnitsPerSecond", "ReadCapacityUnits", warm.read, has_read),
        ("WriteUnitsPerSecond", "WriteCapacityUnits", warm.write, has_write),
    ] {
        let Some(units) = units else { continue };
        if u64::try_from(units).is_ok_and(|units| units >= has) {
            continue;
        }
        let than = if on_demand {
            "initial throughput for OnDemand. See: https://docs.aws.amazon.com/amazondynamodb/\
             latest/developerguide/on-demand-capacity-mode.html#on-demand-capacity-mode-initial"
                .to_owned()
        } else {
            format!("{capacity} of ProvisionedThroughput")
        };
        return Err(invalid(&format!(
            "Requested {name} for WarmThroughput {of} is lower than {than}"
        )));
    }
    Ok(())
}
