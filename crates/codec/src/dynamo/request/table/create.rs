//! `CreateTable`.

use std::collections::BTreeMap;

use pangea_core::index::Index;
use pangea_core::item::{AttributeValue, Attributes};
use pangea_core::table::Schema;

use super::features::{self, Encryption, Throughput, Units};
use super::{
    CAPACITY_NEEDED, NO_CAPACITY, StreamSpecification, checked_policy, index, invalid, keys, vector,
};
use crate::dynamo::ApiError;
use crate::dynamo::request::{Constraints, Members};
use crate::dynamo::table::options;

/// `CreateTable`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTable {
    /// The new table's name.
    pub table: String,
    /// Its key.
    pub schema: Schema,
    /// Whether it is paid for by the request.
    pub on_demand: bool,
    /// Its secondary indexes, local ones first, those of vectors last; their identities are to be
    /// given.
    pub indexes: Vec<Index>,
    /// Its stream, if the request says anything of one.
    pub stream: Option<StreamSpecification>,
    /// Whether it may not be deleted.
    pub deletion_protection: bool,
    /// Tags by key.
    pub tags: BTreeMap<String, String>,
    /// What is only shown of it, by the names of [`options`].
    pub options: Attributes,
}

impl CreateTable {
    pub(in crate::dynamo::request) fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let mut constraints = Constraints::of(body);
        let definitions = keys::definitions(body, &mut constraints)?;
        let definitions = constraints.required(definitions, "attributeDefinitions");
        // Of an import it is one of the members of a member.
        let table = match body.path() {
            "" => constraints.named_table(body)?,
            _ => constraints.table_name(body)?,
        };
        let mode = features::billing_mode(body, &mut constraints)?;
        let throughput = features::throughput(body, &mut constraints, "")?;
        let keys = keys::key_schema(body, &mut constraints, "keySchema")?;
        let indexes = index::lists(body, &mut constraints)?;
        let vectors = vector::list(body, &mut constraints)?;
        let stream = features::stream(body, &mut constraints)?;
        let sse = features::encryption(body, &mut constraints)?;
        let class = body.text("TableClass")?;
        let limits = features::on_demand_limits(body)?;
        let warm = features::warm(body)?;
        let deletion_protection = body.boolean("DeletionProtectionEnabled")?.unwrap_or(false);
        let tags = features::tags(body)?.unwrap_or_default();
        let policy = body.text("ResourcePolicy")?;
        constraints.finish()?;
        refuse_source(body)?;
        let on_demand = mode == Some(true);
        check_billing(on_demand, throughput)?;
        features::check_class(class.as_deref())?;
        keys::check_definitions(&definitions)?;
        let schema = keys::schema(&definitions, &keys)?;
        let of = (&definitions, &keys, &schema);
        let indexes = index::checked((indexes, vectors), of, on_demand)?;
        let needed = "Table is being created with a stream enabled, UpdateViewType is required";
        let unwanted =
            "Table is being created with a stream disabled, UpdateViewType should not be specified";
        let stream = features::stream_of(stream, (needed, unwanted))?;
        features::check_limits(limits, on_demand, ("table ", "", 1))?;
        index::check_warm(warm, on_demand, throughput, "for table")?;
        let sse = sse.map(features::Sse::meaning).transpose()?;
        let tags = features::checked_tags(tags)?;
        let policy = policy.map(|policy| checked_policy(&policy, false)).transpose()?;
        let shown = Shown { throughput, limits, warm, class, sse, policy };
        let options = shown.options();
        Ok(Self { table, schema, on_demand, indexes, stream, deletion_protection, tags, options })
    }
}

/// Refuses to make a replica of another account's table, rather than make a table that is none.
fn refuse_source(body: &Members) -> Result<(), ApiError> {
    if !body.has("GlobalTableSourceArn") {
        return Ok(());
    }
    Err(invalid("GlobalTableSourceArn: replicas are made by UpdateTable, within one account"))
}

/// What of a request is kept to be shown.
struct Shown {
    throughput: Option<Throughput>,
    limits: Option<Units>,
    warm: Option<Units>,
    class: Option<String>,
    sse: Option<Encryption>,
    policy: Option<String>,
}

impl Shown {
    fn options(self) -> Attributes {
        let mut options = Attributes::new();
        if let Some(throughput) = self.throughput {
            throughput.write_to(&mut options);
        }
        let (limits, warm) = (self.limits.unwrap_or_default(), self.warm.unwrap_or_default());
        limits.write_to(&mut options, (options::MAX_READ, options::MAX_WRITE));
        warm.write_to(&mut options, (options::WARM_READ, options::WARM_WRITE));
        let key = match self.sse {
            Some(Encryption::Kms(key)) => Some(key),
            Some(Encryption::Default) | None => None,
        };
        let texts =
            [(options::CLASS, self.class), (options::SSE_KEY, key), (options::POLICY, self.policy)];
        for (name, text) in texts {
            if let Some(text) = text {
                options.insert(name.to_owned(), AttributeValue::S(text));
            }
        }
        options
    }
}

/// That capacity is given exactly where it is paid for in advance.
fn check_billing(on_demand: bool, throughput: Option<Throughput>) -> Result<(), ApiError> {
    match throughput {
        Some(_) if on_demand => Err(invalid(NO_CAPACITY)),
        None if !on_demand => Err(invalid(CAPACITY_NEEDED)),
        Some(throughput) => throughput.check(),
        None => Ok(()),
    }
}
