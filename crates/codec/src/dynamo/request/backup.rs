//! Requests about backups and restores.

use super::streams::{millis, sized};
use super::table::{Encryption, KeptIndex, Sse, Units, limits_of, sse_of};
use super::{Constraints, Members, table_of};
use crate::dynamo::ApiError;
use crate::dynamo::backup::BackupArn;

/// Backups of one ListBackups page (DynamoDB).
const PAGE_MAX: i64 = 100;
/// Characters of a backup's ARN, and of its name (DynamoDB).
const ARN_CHARS: (usize, usize) = (37, 1024);
const NAME_CHARS: (usize, usize) = (3, 255);

/// A request about backups and restores.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each variant is the public operation name")]
pub enum BackupRequest {
    CreateBackup(CreateBackup),
    DescribeBackup(BackupArn),
    DeleteBackup(BackupArn),
    ListBackups(ListBackups),
    RestoreTableFromBackup(RestoreTableFromBackup),
    RestoreTableToPointInTime(RestoreTableToPointInTime),
}

/// `CreateBackup`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateBackup {
    /// The table's name.
    pub table: String,
    /// The backup's name, which need not be unique.
    pub name: String,
}

/// `ListBackups`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListBackups {
    /// Backups of this table alone.
    pub table: Option<String>,
    /// At most so many.
    pub limit: usize,
    /// Made at this moment or later, ms since 1970.
    pub from_ms: u64,
    /// Made before this moment, ms since 1970.
    pub until_ms: u64,
    /// Behind this one.
    pub start: Option<BackupArn>,
    /// Those that users made.
    pub of_users: bool,
    /// Those that were made because their tables were deleted.
    pub of_deleted: bool,
}

/// `RestoreTableFromBackup`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreTableFromBackup {
    /// The new table's name.
    pub target: String,
    /// What to restore.
    pub backup: BackupArn,
    /// What shall be different.
    pub overrides: Overrides,
}

/// `RestoreTableToPointInTime`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreTableToPointInTime {
    /// The table whose past it is.
    pub source: String,
    /// The new table's name.
    pub target: String,
    /// The moment, ms since 1970; `None` for the latest.
    pub at_ms: Option<u64>,
    /// What shall be different.
    pub overrides: Overrides,
}

/// What a restored table shall have otherwise than its source; `None` leaves it as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Paid for by request, rather than provisioned.
    pub on_demand: Option<bool>,
    /// Read and write units per second.
    pub throughput: Option<(i64, i64)>,
    /// Its encryption.
    pub encryption: Option<Encryption>,
    /// Limits on demand.
    pub limits: Option<Units>,
    /// The global indexes to keep.
    pub global: Option<Vec<KeptIndex>>,
    /// The local indexes to keep.
    pub local: Option<Vec<KeptIndex>>,
    /// The names of the indexes of vectors to keep.
    pub vectors: Option<Vec<String>>,
}

/// The operations on backups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the public operation name")]
pub enum BackupOperation {
    CreateBackup,
    DescribeBackup,
    DeleteBackup,
    ListBackups,
    RestoreTableFromBackup,
    RestoreTableToPointInTime,
}

impl BackupOperation {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::CreateBackup,
        Self::DescribeBackup,
        Self::DeleteBackup,
        Self::ListBackups,
        Self::RestoreTableFromBackup,
        Self::RestoreTableToPointInTime,
    ];

    /// The public name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CreateBackup => "CreateBackup",
            Self::DescribeBackup => "DescribeBackup",
            Self::DeleteBackup => "DeleteBackup",
            Self::ListBackups => "ListBackups",
            Self::RestoreTableFromBackup => "RestoreTableFromBackup",
            Self::RestoreTableToPointInTime => "RestoreTableToPointInTime",
        }
    }
}

impl BackupRequest {
    pub(super) fn decode(operation: BackupOperation, body: &mut Members) -> Result<Self, ApiError> {
        use BackupOperation as Op;
        Ok(match operation {
            Op::CreateBackup => Self::CreateBackup(CreateBackup::decode(body)?),
            Op::DescribeBackup => Self::DescribeBackup(arn_alone(body)?),
            Op::DeleteBackup => Self::DeleteBackup(arn_alone(body)?),
            Op::ListBackups => Self::ListBackups(ListBackups::decode(body)?),
            Op::RestoreTableFromBackup => {
                Self::RestoreTableFromBackup(RestoreTableFromBackup::decode(body)?)
            }
            Op::RestoreTableToPointInTime => {
                Self::RestoreTableToPointInTime(RestoreTableToPointInTime::decode(body)?)
            }
        })
    }

    /// The tables that it names, or ARNs with a table in them.
    #[must_use]
    pub fn tables(&self) -> Vec<&str> {
        match self {
            Self::CreateBackup(create) => vec![&create.table],
            Self::DescribeBackup(arn) | Self::DeleteBackup(arn) => vec![&arn.text],
            Self::ListBackups(list) => list.table.iter().map(String::as_str).collect(),
            Self::RestoreTableFromBackup(restore) => vec![&restore.backup.text, &restore.target],
            Self::RestoreTableToPointInTime(restore) => vec![&restore.source, &restore.target],
        }
    }

    /// Whether it changes nothing.
    #[must_use]
    pub const fn is_read(&self) -> bool {
        matches!(self, Self::DescribeBackup(_) | Self::ListBackups(_))
    }
}

impl CreateBackup {
    fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let mut constraints = Constraints::default();
        let table = constraints.table_name(body)?;
        let name = body.text("BackupName")?;
        let given = name.is_some();
        let name = constraints.required(name, "backupName");
        if given {
            let fits =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
            if !name.bytes().all(fits) || name.is_empty() {
                let constraint = "satisfy regular expression pattern: [a-zA-Z0-9_.-]+";
                constraints.violated(format_args!("'{name}'"), "backupName", constraint);
            }
            sized(name.clone(), &mut constraints, NAME_CHARS, "backupName");
        }
        constraints.finish()?;
        Ok(Self { table, name })
    }
}

impl ListBackups {
    fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let mut constraints = Constraints::default();
        let table = body.text("TableName")?.map(|name| constraints.name(&name));
        let limit = body.integer("Limit")?;
        constraints.at_least(limit, 1, "limit");
        if let Some(limit) = limit.filter(|limit| *limit > PAGE_MAX) {
            let constraint = format!("have value less than or equal to {PAGE_MAX}");
            constraints.violated(format_args!("'{limit}'"), "limit", &constraint);
        }
        let from = body.number("TimeRangeLowerBound")?;
        let until = body.number("TimeRangeUpperBound")?;
        let path = "exclusiveStartBackupArn";
        let start = body.text("ExclusiveStartBackupArn")?;
        let start = start.map(|arn| sized(arn, &mut constraints, ARN_CHARS, path));
        let kinds = ["USER", "SYSTEM", "AWS_BACKUP", "ALL"];
        let kind = constraints.one_of(body.text("BackupType")?, &kinds, "backupType");
        constraints.finish()?;
        if from.zip(until).is_some_and(|(from, until)| from > until) {
            return Err(ApiError::validation(
                "One or more parameter values were invalid: Time range lower bound must be less \
                 than or equal to upper bound",
            ));
        }
        Ok(Self {
            table,
            limit: usize::try_from(limit.unwrap_or(PAGE_MAX)).unwrap_or_default(),
            from_ms: from.map_or(0, millis),
            until_ms: until.map_or(u64::MAX, millis),
            start: start.map(|arn| BackupArn::parse(&arn)).transpose()?,
            of_users: kind.as_ref().is_none_or(|kind| kind == "USER" || kind == "ALL"),
            of_deleted: kind.is_some_and(|kind| kind == "SYSTEM" || kind == "ALL"),
        })
    }
}

impl RestoreTableFromBackup {
    fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let mut constraints = Constraints::default();
        let target = target(body, &mut constraints)?;
        let backup = arn(body, &mut constraints)?;
        let overrides = Overrides::decode(body, &mut constraints)?;
        constraints.finish()?;
        Ok(Self { target, backup: BackupArn::parse(&backup)?, overrides })
    }
}

impl RestoreTableToPointInTime {
    fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let mut constraints = Constraints::default();
        let source = body.text("SourceTableName")?;
        if let Some(source) = &source {
            constraints.identifier(source, "sourceTableName");
        }
        let by_arn = body.text("SourceTableArn")?;
        let is_arn = by_arn.as_ref().is_none_or(|arn| arn.starts_with("arn:"));
        let by_arn = by_arn.map(|arn| table_of(&arn).to_owned());
        let target = target(body, &mut constraints)?;
        let at = body.number("RestoreDateTime")?;
        let latest = body.boolean("UseLatestRestorableTime")?.unwrap_or_default();
        let overrides = Overrides::decode(body, &mut constraints)?;
        constraints.finish()?;
        let source = match (source, by_arn) {
            (Some(_), Some(_)) => {
                let text = "Must provide exactly one of: sourceTableArn, sourceTableName";
                return Err(refused(text));
            }
            (None, Some(_)) if !is_arn => {
                return Err(ApiError::validation(
                    "One or more parameter values were invalid: sourceTableArn is not a valid ARN",
                ));
            }
            (None, None) => {
                let text =
                    "The parameter 'TableName' is required but was not present in the request";
                return Err(ApiError::validation(text));
            }
            (Some(source), None) | (None, Some(source)) => source,
        };
        let wanted = match (at, latest) {
            (Some(_), false) | (None, true) => Ok(()),
            (None, false) => Err(
                "Either one of RestoreDateTime or UseLatestRestorableTime must be specified, but \
                 not both",
            ),
            (Some(_), true) => Err(
                "Both RestoreDateTime and UseLatestRestorableTime cannot be set for point-in-time \
                 restore request. Please specify either RestoreDateTime time or \
                 UseLatestRestorableTime",
            ),
        };
        wanted.map_err(refused)?;
        Ok(Self { source, target, at_ms: at.map(millis), overrides })
    }
}

/// A refusal in the words in which most of those of backups begin.
fn refused(text: &str) -> ApiError {
    ApiError::validation(format!("Invalid Request: {text}"))
}

impl Overrides {
    fn decode(body: &mut Members, constraints: &mut Constraints) -> Result<Self, ApiError> {
        let modes = ["PROVISIONED", "PAY_PER_REQUEST"];
        let mode = body.text("BillingModeOverride")?;
        let mode = constraints.one_of(mode, &modes, "billingModeOverride");
        let throughput = match body.object("ProvisionedThroughputOverride")? {
            Some(mut given) => {
                let mut units = |name: &str, member: &str| -> Result<i64, ApiError> {
                    let path = format!("provisionedThroughputOverride.{member}");
                    let units = constraints.at_least(given.integer(name)?, 1, &path);
                    Ok(constraints.required(units, &path))
                };
                let write = units("WriteCapacityUnits", "writeCapacityUnits")?;
                Some((units("ReadCapacityUnits", "readCapacityUnits")?, write))
            }
            None => None,
        };
        let sse = body.object("SSESpecificationOverride")?;
        let sse = sse_of(sse, constraints, "sSESpecificationOverride")?;
        Ok(Self {
            on_demand: mode.map(|mode| mode == "PAY_PER_REQUEST"),
            throughput,
            encryption: sse.map(Sse::meaning).transpose()?,
            limits: limits_of(body.object("OnDemandThroughputOverride")?)?,
            global: KeptIndex::list(body, "GlobalSecondaryIndexOverride", false)?,
            local: KeptIndex::list(body, "LocalSecondaryIndexOverride", true)?,
            vectors: index_names(body, "VectorIndexOverride")?,
        })
    }
}

impl Overrides {
    /// Whether the new table is paid for by request, where its source is or is not.
    ///
    /// # Errors
    ///
    /// A `ValidationException` where capacity is given and not wanted, or wanted and not given.
    pub fn on_demand(&self, source: bool) -> Result<bool, ApiError> {
        let on_demand = self.on_demand.unwrap_or(source);
        let says_so = self.on_demand.is_some();
        let limits = self.limits.unwrap_or_default();
        for (name, units) in
            [("MaxReadRequestUnits", limits.read), ("MaxWriteRequestUnits", limits.write)]
        {
            let Some(units) = units else { continue };
            if !on_demand {
                return Err(refused(&format!(
                    "Cannot override {name} for OnDemandThroughput unless BillingModeOverride is \
                     PAY_PER_REQUEST"
                )));
            }
            if units < 1 {
                return Err(refused(&format!(
                    "Requested {name} for OnDemandThroughput is outside of valid range"
                )));
            }
        }
        match (on_demand, self.throughput.is_some()) {
            (true, true) if says_so => Err(refused(
                "Cannot override ProvisionedThroughput if BillingMode is overridden to \
                 PAY_PER_REQUEST",
            )),
            (true, true) => Err(refused(
                "Cannot override ProvisionedThroughput unless BillingMode is PROVISIONED",
            )),
            (false, false) if says_so => Err(refused(
                "Must override ProvisionedThroughput if BillingMode is overridden to PROVISIONED",
            )),
            _ => Ok(on_demand),
        }
    }
}

fn index_names(body: &mut Members, member: &str) -> Result<Option<Vec<String>>, ApiError> {
    let Some(indexes) = body.objects(member)? else { return Ok(None) };
    let names = indexes.into_iter().map(|mut it| Ok(it.text("IndexName")?.unwrap_or_default()));
    names.collect::<Result<_, ApiError>>().map(Some)
}

fn target(body: &mut Members, constraints: &mut Constraints) -> Result<String, ApiError> {
    let target = body.text("TargetTableName")?;
    let given = target.is_some();
    let target = constraints.required(target, "targetTableName");
    if given {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if !target.bytes().all(fits) || target.is_empty() {
            let constraint = "satisfy regular expression pattern: [a-zA-Z0-9_.-]+";
            constraints.violated(format_args!("'{target}'"), "targetTableName", constraint);
        }
        sized(target.clone(), constraints, NAME_CHARS, "targetTableName");
    }
    Ok(target)
}

fn arn(body: &mut Members, constraints: &mut Constraints) -> Result<String, ApiError> {
    let arn = body.text("BackupArn")?;
    let given = arn.is_some();
    let arn = constraints.required(arn, "backupArn");
    if given {
        sized(arn.clone(), constraints, ARN_CHARS, "backupArn");
    }
    Ok(arn)
}

fn arn_alone(body: &mut Members) -> Result<BackupArn, ApiError> {
    let mut constraints = Constraints::default();
    let arn = arn(body, &mut constraints)?;
    constraints.finish()?;
    BackupArn::parse(&arn)
}
