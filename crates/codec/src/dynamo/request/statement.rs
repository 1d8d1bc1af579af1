//! PartiQL: one statement, some, or a transaction of them.

use pangea_core::item::{AttributeValue, Attributes};
use pangea_core::limits::{BATCH_STATEMENTS_MAX, TRANSACTION_ITEMS_MAX};
use pangea_core::partiql::{self, STATEMENT_CHARS_MAX, Statement};

use super::expressions::{return_capacity, return_on_failure};
use super::transact::check_token;
use super::{Constraints, Members};
use crate::dynamo::ApiError;
use crate::dynamo::capacity::ReturnCapacity;
use crate::dynamo::error::{CancellationReason, ErrorKind};

/// Characters of a `NextToken` (DynamoDB).
const TOKEN_CHARS_MAX: usize = 32_768;
/// The message of an `INSERT` of what is there.
const DUPLICATE: &str = "Duplicate primary key exists in table";

impl From<partiql::Error> for ApiError {
    fn from(error: partiql::Error) -> Self {
        Self::validation(error.to_string())
    }
}

/// `ExecuteStatement`.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecuteStatement {
    /// The statement.
    pub statement: Statement,
    /// How many items a `SELECT` reads at most.
    pub limit: Option<usize>,
    /// Where the page before ended, in the words of that response.
    pub next_token: Option<String>,
    /// Whether the read must see every write acknowledged before it.
    pub consistent: bool,
    /// Whether a failed condition returns the item.
    pub return_on_condition_failure: bool,
    /// What to tell of consumed capacity.
    pub capacity: ReturnCapacity,
}

/// What `ExecuteStatement` and the members of batches and transactions have in common.
struct Common {
    text: String,
    parameters: Vec<AttributeValue>,
    return_on_condition_failure: bool,
}

impl Common {
    fn take(body: &mut Members, constraints: &mut Constraints) -> Result<Self, ApiError> {
        let text = text(body, constraints)?;
        let parameters = parameters(body, constraints)?;
        let return_on_condition_failure = return_on_failure(body, constraints)?;
        Ok(Self { text, parameters, return_on_condition_failure })
    }

    fn parse(self) -> Result<Statement, ApiError> {
        Ok(partiql::parse(&self.text, self.parameters)?)
    }
}

fn text(body: &mut Members, constraints: &mut Constraints) -> Result<String, ApiError> {
    let text = body.text("Statement")?;
    if let Some(text) = &text {
        constraints.length(text, (1, STATEMENT_CHARS_MAX), "statement");
    }
    Ok(constraints.required(text, "statement"))
}

fn parameters(
    body: &mut Members,
    constraints: &mut Constraints,
) -> Result<Vec<AttributeValue>, ApiError> {
    let parameters = body.values("Parameters")?;
    if parameters.as_ref().is_some_and(Vec::is_empty) {
        constraints.violated("'[]'", "parameters", "have length greater than or equal to 1");
    }
    Ok(parameters.unwrap_or_default())
}

impl ExecuteStatement {
    /// In the order in which DynamoDB tells what is wrong.
    pub(super) fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let mut constraints = Constraints::default();
        let return_on_condition_failure = return_on_failure(body, &mut constraints)?;
        let limit = constraints.at_least(body.integer("Limit")?, 1, "limit");
        let text = text(body, &mut constraints)?;
        let capacity = return_capacity(body, &mut constraints)?;
        let parameters = parameters(body, &mut constraints)?;
        let consistent = body.boolean("ConsistentRead")?.unwrap_or(false);
        let next_token = body.text("NextToken")?;
        if let Some(token) = &next_token {
            let shown = format!("'{token}'");
            if token.is_empty() {
                let least = "have length greater than or equal to 1";
                constraints.violated(&shown, "nextToken", least);
            } else if token.len() > TOKEN_CHARS_MAX {
                let most = format!("have length less than or equal to {TOKEN_CHARS_MAX}");
                constraints.violated(&shown, "nextToken", &most);
            }
        }
        constraints.finish()?;
        body.check_values()?;
        let statement = partiql::parse(&text, parameters)?;
        if next_token.is_some() && !statement.is_read() {
            let text = "NextToken is only valid on a SELECT statement";
            return Err(ApiError::validation(text));
        }
        let limit = limit.and_then(|limit| usize::try_from(limit).ok());
        Ok(Self { statement, limit, next_token, consistent, return_on_condition_failure, capacity })
    }
}

/// `BatchExecuteStatement`.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchExecuteStatement {
    /// The statements: all read, or none does.
    pub statements: Vec<BatchStatement>,
    /// What to tell of consumed capacity.
    pub capacity: ReturnCapacity,
}

/// One of the statements of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchStatement {
    /// The statement, or why it is refused: the others are done all the same.
    pub statement: Result<Statement, ApiError>,
    /// Whether the read must see every write acknowledged before it.
    pub consistent: bool,
    /// Whether a failed condition returns the item.
    pub return_on_condition_failure: bool,
}

impl BatchExecuteStatement {
    pub(super) fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let mut constraints = Constraints::default();
        let entries = entries(body, &mut constraints, ("Statements", BATCH_STATEMENTS_MAX))?;
        let mut taken = Vec::with_capacity(entries.len());
        for (at, entry) in entries.into_iter().enumerate() {
            let mut entry = entry.at(format!("statements.{}.member.", at + 1));
            constraints.move_to(&entry);
            let common = Common::take(&mut entry, &mut constraints)?;
            let consistent = entry.boolean("ConsistentRead")?.unwrap_or(false);
            taken.push((common, consistent, entry.check_values()));
        }
        constraints.move_to(body);
        let capacity = return_capacity(body, &mut constraints)?;
        constraints.finish()?;
        let statement = |(common, consistent, values): (Common, bool, Result<(), ApiError>)| {
            let return_on_condition_failure = common.return_on_condition_failure;
            let statement = values.and_then(|()| common.parse());
            BatchStatement { statement, consistent, return_on_condition_failure }
        };
        let statements: Vec<BatchStatement> = taken.into_iter().map(statement).collect();
        let parsed = || statements.iter().filter_map(|it| it.statement.as_ref().ok());
        if parsed().any(Statement::is_read) && !parsed().all(Statement::is_read) {
            return Err(ApiError::validation(
                "Read and write requests together in the same batch is not supported.",
            ));
        }
        Ok(Self { statements, capacity })
    }
}

/// `ExecuteTransaction`.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecuteTransaction {
    /// The statements, and whether a failed condition of each returns the item: all read, or none
    /// does.
    pub statements: Vec<(Statement, bool)>,
    /// Names the request, so that it is done once however often it is sent.
    pub token: Option<String>,
    /// What to tell of consumed capacity.
    pub capacity: ReturnCapacity,
}

impl ExecuteTransaction {
    pub(super) fn decode(body: &mut Members) -> Result<Self, ApiError> {
        let mut constraints = Constraints::default();
        let members = ("TransactStatements", TRANSACTION_ITEMS_MAX);
        let entries = entries(body, &mut constraints, members)?;
        let mut taken = Vec::with_capacity(entries.len());
        for (at, entry) in entries.into_iter().enumerate() {
            let mut entry = entry.at(format!("transactStatements.{}.member.", at + 1));
            constraints.move_to(&entry);
            let common = Common::take(&mut entry, &mut constraints)?;
            taken.push((common, entry.check_values()));
        }
        constraints.move_to(body);
        let token = body.text("ClientRequestToken")?;
        if let Some(token) = &token {
            check_token(token, &mut constraints);
        }
        let capacity = return_capacity(body, &mut constraints)?;
        constraints.finish()?;
        let mut statements = Vec::with_capacity(taken.len());
        for (at, (common, values)) in taken.into_iter().enumerate() {
            values?;
            let return_on_condition_failure = common.return_on_condition_failure;
            let statement = common.parse().map_err(|error| Self::refused(at, &error))?;
            check(&statement).map_err(|text| Self::refused(at, &ApiError::validation(text)))?;
            statements.push((statement, return_on_condition_failure));
        }
        let mut reads = statements.iter().map(|(statement, _)| statement.is_read());
        if reads.clone().any(|read| read) && !reads.all(|read| read) {
            return Err(ApiError::validation(
                "ExecuteTransaction API does not support both read and write operations in the \
                 same request.",
            ));
        }
        Ok(Self { statements, token, capacity })
    }

    /// Whether its statements read.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.statements.iter().all(|(statement, _)| statement.is_read())
    }

    /// Why the statement at a place, from 0, keeps the transaction from being tried.
    #[must_use]
    pub fn refused(at: usize, error: &ApiError) -> ApiError {
        let message = &error.message;
        ApiError::validation(format!("Validation failed in TransactStatements[{at}]: {message}"))
    }
}

/// What a transaction does not do.
fn check(statement: &Statement) -> Result<(), &'static str> {
    if statement.returning().is_some() {
        return Err("RETURNING clause is not supported in ExecuteTransaction.");
    }
    if statement.is_read() && statement.target().index.is_some() {
        return Err("Reads on indices are not supported within transactions.");
    }
    Ok(())
}

/// A statement of too many, in the manner of Java.
fn shown(entry: &Members, list: &str) -> String {
    let entry = entry.to_json();
    let member = |name: &str| match entry.get(name) {
        None => "null".to_owned(),
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let statement = member("Statement");
    let (parameters, failure) =
        (member("Parameters"), member("ReturnValuesOnConditionCheckFailure"));
    match list {
        "Statements" => format!(
            "BatchStatementRequest(statement={statement}, parameters={parameters}, \
             consistentRead={}, returnValuesOnConditionCheckFailure={failure})",
            member("ConsistentRead")
        ),
        _ => format!(
            "ParameterizedStatement(statement={statement}, parameters={parameters}, \
             returnValuesOnConditionCheckFailure={failure})"
        ),
    }
}

fn entries(
    body: &mut Members,
    constraints: &mut Constraints,
    (name, most): (&str, usize),
) -> Result<Vec<Members>, ApiError> {
    let (first, rest) = name.split_at(1);
    let path = format!("{}{rest}", first.to_ascii_lowercase());
    let Some(entries) = body.objects(name)? else { return Ok(constraints.required(None, &path)) };
    if entries.is_empty() {
        constraints.violated("'[]'", &path, "have length greater than or equal to 1");
    } else if entries.len() > most {
        let limit = format!("have length less than or equal to {most}");
        let each: Vec<String> = entries.iter().map(|entry| shown(entry, name)).collect();
        constraints.violated(format_args!("'[{}]'", each.join(", ")), &path, &limit);
    }
    Ok(entries)
}

/// What an `INSERT` is refused for, if its condition failed: there is such an item.
#[must_use]
pub fn duplicate(error: ApiError) -> ApiError {
    match error.kind {
        ErrorKind::ConditionalCheckFailed => {
            ApiError { item: error.item, ..ApiError::new(ErrorKind::DuplicateItem, DUPLICATE) }
        }
        _ => error,
    }
}

/// What became of one statement of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct StatementAnswer {
    /// The table, unless the statement was refused before it was tried.
    pub table: Option<String>,
    /// What was read or returned.
    pub result: Result<Option<Attributes>, ApiError>,
}

impl StatementAnswer {
    /// The code of an error in a batch: its public name without what all names end in.
    #[must_use]
    pub fn code(error: &ApiError) -> String {
        let reason = CancellationReason::from(error.clone());
        match error.kind {
            ErrorKind::InternalServer => "InternalServerError".to_owned(),
            ErrorKind::AccessDenied => "AccessDenied".to_owned(),
            ErrorKind::Throttling => "ThrottlingError".to_owned(),
            ErrorKind::ProvisionedThroughputExceeded => "ProvisionedThroughputExceeded".to_owned(),
            ErrorKind::RequestLimitExceeded => "RequestLimitExceeded".to_owned(),
            ErrorKind::ItemCollectionSizeLimitExceeded => {
                "ItemCollectionSizeLimitExceeded".to_owned()
            }
            _ => reason.code,
        }
    }
}
