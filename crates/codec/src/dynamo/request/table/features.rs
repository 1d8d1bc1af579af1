//! What a table may have beside its keys: throughput, stream, encryption, class, tags.

use std::collections::BTreeMap;

use pangea_core::catalog::PREFIX;
use pangea_core::item::Attributes;

use super::{StreamSpecification, StreamView, invalid};
use crate::dynamo::ApiError;
use crate::dynamo::request::{Constraints, Members};
use crate::dynamo::table::options;

/// Most capacity units that a request may name (DynamoDB).
const UNITS_MAX: i64 = 1_000_000_000_000;
/// What on-demand tables are prepared for at once (DynamoDB): reads and writes a second.
pub(crate) const WARM: (u64, u64) = (12_000, 4_000);

/// What a table or an index is prepared for, reads and writes a second: what it was told to be, or
/// what it has where that is more.
pub(crate) fn warm_of(options: &Attributes, on_demand: bool) -> (u64, u64) {
    let has = Throughput::of(options);
    let (read, write) = if on_demand { WARM } else { (has.read, has.write) };
    let warm = |name, least: u64| options::number(options, name).unwrap_or_default().max(least);
    (warm(options::WARM_READ, read), warm(options::WARM_WRITE, write))
}

/// Provisioned capacity units per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throughput {
    /// Reads.
    pub read: u64,
    /// Writes.
    pub write: u64,
}

impl Throughput {
    /// As the options of a table or an index keep it.
    #[must_use]
    pub fn of(options: &Attributes) -> Self {
        let units = |name| options::number(options, name).unwrap_or_default();
        Self { read: units(options::READ), write: units(options::WRITE) }
    }

    /// Refuses what no table can have.
    pub(super) fn check(self) -> Result<(), ApiError> {
        for (units, name) in [(self.read, "ReadCapacityUnits"), (self.write, "WriteCapacityUnits")]
        {
            if i64::try_from(units).is_ok_and(|units| units > UNITS_MAX) {
                let text = format!("Given value {units} for {name} is out of bounds");
                return Err(ApiError::validation(text));
            }
        }
        Ok(())
    }

    pub(super) fn write_to(self, options: &mut Attributes) {
        options.insert(options::READ.to_owned(), options::of_number(self.read));
        options.insert(options::WRITE.to_owned(), options::of_number(self.write));
    }
}

/// Two numbers of which each may be left out: limits on demand, or warm throughput.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Units {
    /// For reads.
    pub read: Option<i64>,
    /// For writes.
    pub write: Option<i64>,
}

impl Units {
    /// Whether it says nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.read.is_none() && self.write.is_none()
    }

    pub(super) fn write_to(self, options: &mut Attributes, (read, write): (&str, &str)) {
        for (name, units) in [(read, self.read), (write, self.write)] {
            if let Some(units) = units.and_then(|units| u64::try_from(units).ok()) {
                options.insert(name.to_owned(), options::of_number(units));
            }
        }
    }
}

/// `SSESpecification`: the KMS key to encrypt with, if any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// The default, by a key of the service.
    Default,
    /// By this KMS key; empty for the one that the service keeps for the account.
    Kms(String),
}

/// `BillingMode`: whether a table is on demand, where the request says so.
pub(super) fn billing_mode(
    body: &mut Members,
    constraints: &mut Constraints,
) -> Result<Option<bool>, ApiError> {
    let allowed = ["PROVISIONED", "PAY_PER_REQUEST"];
    let mode = constraints.one_of(body.text("BillingMode")?, &allowed, "billingMode");
    Ok(mode.map(|mode| mode == "PAY_PER_REQUEST"))
}

/// `ProvisionedThroughput` below a path, which is empty or ends in a dot.
pub(super) fn throughput(
    body: &mut Members,
    constraints: &mut Constraints,
    path: &str,
) -> Result<Option<Throughput>, ApiError> {
    let Some(mut given) = body.object("ProvisionedThroughput")? else { return Ok(None) };
    let mut units = |name: &str, member: &str| -> Result<u64, ApiError> {
        let path = format!("{path}provisionedThroughput.{member}");
        let units = constraints.at_least(given.integer(name)?, 1, &path);
        Ok(u64::try_from(constraints.required(units, &path)).unwrap_or_default())
    };
    let write = units("WriteCapacityUnits", "writeCapacityUnits")?;
    let read = units("ReadCapacityUnits", "readCapacityUnits")?;
    Ok(Some(Throughput { read, write }))
}

/// `OnDemandThroughput`.
pub(super) fn on_demand_limits(body: &mut Members) -> Result<Option<Units>, ApiError> {
    limits_of(body.object("OnDemandThroughput")?)
}

/// Limits on demand, wherever they stand.
pub(in crate::dynamo::request) fn limits_of(
    given: Option<Members>,
) -> Result<Option<Units>, ApiError> {
    let Some(mut given) = given else { return Ok(None) };
    let read = given.integer("MaxReadRequestUnits")?;
    let write = given.integer("MaxWriteRequestUnits")?;
    Ok(Some(Units { read, write }))
}

/// `WarmThroughput`.
pub(super) fn warm(body: &mut Members) -> Result<Option<Units>, ApiError> {
    let Some(mut given) = body.object("WarmThroughput")? else { return Ok(None) };
    let read = given.integer("ReadUnitsPerSecond")?;
    let write = given.integer("WriteUnitsPerSecond")?;
    Ok(Some(Units { read, write }))
}

/// Refuses limits that no table or index can have; `whose` names it as DynamoDB does.
pub(super) fn check_limits(
    limits: Option<Units>,
    on_demand: bool,
    (whose, of_index, least): (&str, &str, i64),
) -> Result<(), ApiError> {
    let Some(limits) = limits else { return Ok(()) };
    let named = [("MaxReadRequestUnits", limits.read), ("MaxWriteRequestUnits", limits.write)];
    for (name, units) in named {
        let Some(units) = units else { continue };
        if !on_demand {
            return Err(invalid(&format!(
                "{name} for OnDemandThroughput {of_index}cannot be specified when {whose}\
                 BillingMode is PROVISIONED{}",
                if least == 1 { "." } else { "" }
            )));
        }
        if units < 1 && units != least {
            let index = of_index.trim_end().replace("index:", "index :");
            let of = if index.is_empty() { "for table" } else { &index };
            return Err(invalid(&format!(
                "Requested {name} for OnDemandThroughput {of} is outside of valid range"
            )));
        }
    }
    Ok(())
}

/// `StreamSpecification` as it stands there: whether it is enabled, and the view.
pub(super) fn stream(
    body: &mut Members,
    constraints: &mut Constraints,
) -> Result<Option<(bool, Option<StreamView>)>, ApiError> {
    let Some(mut stream) = body.object("StreamSpecification")? else { return Ok(None) };
    let allowed = ["NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES", "KEYS_ONLY"];
    let path = "streamSpecification.streamViewType";
    let view = constraints.one_of(stream.text("StreamViewType")?, &allowed, path);
    let enabled = stream.boolean("StreamEnabled")?;
    let enabled = constraints.required(enabled, "streamSpecification.streamEnabled");
    Ok(Some((enabled, view.as_deref().and_then(StreamView::parse))))
}

/// The stream of a specification; `begins` are the words for a table that is made or changed.
pub(super) fn stream_of(
    given: Option<(bool, Option<StreamView>)>,
    (needed, unwanted): (&str, &str),
) -> Result<Option<StreamSpecification>, ApiError> {
    match given {
        None => Ok(None),
        Some((true, Some(view))) => Ok(Some(StreamSpecification::Enabled(view))),
        Some((false, None)) => Ok(Some(StreamSpecification::Disabled)),
        Some((true, None)) => Err(invalid(needed)),
        Some((false, Some(_))) => Err(invalid(unwanted)),
    }
}

/// `SSESpecification`.
pub(super) fn encryption(
    body: &mut Members,
    constraints: &mut Constraints,
) -> Result<Option<Sse>, ApiError> {
    sse_of(body.object("SSESpecification")?, constraints, "sSESpecification")
}

/// An `SSESpecification`, wherever it stands.
pub(in crate::dynamo::request) fn sse_of(
    given: Option<Members>,
    constraints: &mut Constraints,
    path: &str,
) -> Result<Option<Sse>, ApiError> {
    let Some(mut given) = given else { return Ok(None) };
    let path = format!("{path}.sSEType");
    let kind = constraints.one_of(given.text("SSEType")?, &["AES256", "KMS"], &path);
    let key = given.text("KMSMasterKeyId")?;
    Ok(Some(Sse { enabled: given.boolean("Enabled")?, kind, key }))
}

/// `SSESpecification` as it stands there.
#[derive(Debug)]
pub(in crate::dynamo::request) struct Sse {
    enabled: Option<bool>,
    kind: Option<String>,
    key: Option<String>,
}

impl Sse {
    /// What it asks for; naming a type or a key enables it as well.
    pub(in crate::dynamo::request) fn meaning(self) -> Result<Encryption, ApiError> {
        let Self { enabled, kind, key } = self;
        if enabled == Some(false) {
            for (name, is_there) in [("SSEType", kind.is_some()), ("KMSMasterKeyId", key.is_some())]
            {
                if is_there {
                    let text = format!("{name} can not be specified if Enabled is false");
                    return Err(invalid(&text));
                }
            }
            return Ok(Encryption::Default);
        }
        if kind.as_deref() == Some("AES256") {
            return Err(invalid("SSEType AES256 is not supported"));
        }
        match key {
            Some(_) if kind.is_none() => {
                Err(invalid("SSEType KMS is required if KMSMasterKeyId is specified"))
            }
            Some(key) => Ok(Encryption::Kms(key)),
            None if enabled == Some(true) || kind.is_some() => Ok(Encryption::Kms(String::new())),
            None => Ok(Encryption::Default),
        }
    }
}

/// Refuses a table class that is none.
pub(super) fn check_class(class: Option<&str>) -> Result<(), ApiError> {
    match class {
        None | Some("STANDARD" | "STANDARD_INFREQUENT_ACCESS") => Ok(()),
        Some(_) => Err(ApiError::validation(
            "Invalid table-class parameter provided. Please try again with a valid table-class \
             value: [STANDARD, STANDARD_INFREQUENT_ACCESS].",
        )),
    }
}

/// A request's `Tags`, unchecked: keys and values as they stand there.
pub(in crate::dynamo::request) type GivenTags = Vec<(Option<String>, Option<String>)>;

/// `Tags`, where they are there.
pub(in crate::dynamo::request) fn tags(body: &mut Members) -> Result<Option<GivenTags>, ApiError> {
    let Some(elements) = body.objects("Tags")? else { return Ok(None) };
    let pair = |mut tag: Members| Ok((tag.text("Key")?, tag.text("Value")?));
    elements.into_iter().map(pair).collect::<Result<_, _>>().map(Some)
}

/// Most tags of a table (DynamoDB).
pub const TAGS_MAX: usize = 50;

/// The tags, checked one by one.
pub(in crate::dynamo::request) fn checked_tags(
    given: GivenTags,
) -> Result<BTreeMap<String, String>, ApiError> {
    let mut tags = BTreeMap::new();
    let count = given.len();
    for (key, value) in given {
        let Some(key) = key else {
            return Err(ApiError::validation("The Tag Key provided is invalid, Key: null"));
        };
        check_tag_key(&key)?;
        // Settings of Pangea have a grammar of their own.
        let is_setting = key.starts_with(PREFIX);
        let fits =
            |value: &String| is_setting || (value.chars().count() <= 256 && is_tag_text(value));
        if !value.as_ref().is_some_and(fits) {
            let shown = value.as_deref().unwrap_or("null");
            let text = format!("The Tag Value provided is invalid, Value: {shown}");
            return Err(ApiError::validation(text));
        }
        if tags.insert(key.clone(), value.unwrap_or_default()).is_some() {
            let text =
                format!("Duplicate Tag Keys provided as input: Duplicate Tag Key found {key}");
            return Err(ApiError::validation(text));
        }
    }
    if count > TAGS_MAX { Err(too_many_tags()) } else { Ok(tags) }
}

/// The refusal of more tags than a table may have.
#[must_use]
pub fn too_many_tags() -> ApiError {
    ApiError::validation("Number of Tags exceed the current limit for the provided ResourceArn")
}

/// Refuses a key that no tag can have.
pub(in crate::dynamo::request) fn check_tag_key(key: &str) -> Result<(), ApiError> {
    if key.to_ascii_lowercase().starts_with("aws:") {
        let text = format!("Tag Key cannot be prefixed with aws:, Key: {key}");
        return Err(ApiError::validation(text));
    }
    if key.is_empty() || key.chars().count() > 128 || !is_tag_text(key) {
        return Err(ApiError::validation(format!("The Tag Key provided is invalid, Key: {key}")));
    }
    Ok(())
}

/// Letters, digits and spaces of any script, and what the service's pattern names.
fn is_tag_text(text: &str) -> bool {
    text.chars().all(|character| {
        character.is_alphanumeric() || character.is_whitespace() || "+-=._:/@".contains(character)
    })
}
