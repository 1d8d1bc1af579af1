//! Secondary indexes that a restored table keeps, as a request names them.

use pangea_core::index::Index;

use super::features::Throughput;
use super::index::Given;
use super::invalid;
use crate::dynamo::ApiError;
use crate::dynamo::request::{Constraints, Members};
use crate::dynamo::table::options;

/// An index of the source that a restored table keeps, with other capacity where it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptIndex(Given);

impl KeptIndex {
    /// The list of a member, if it is there. What the model says of its elements is held against
    /// them elsewhere.
    pub(in crate::dynamo::request) fn list(
        body: &mut Members,
        member: &str,
        local: bool,
    ) -> Result<Option<Vec<Self>>, ApiError> {
        let Some(elements) = body.objects(member)? else { return Ok(None) };
        let mut unread = Constraints::default();
        let kept = elements
            .into_iter()
            .map(|mut element| Given::decode(&mut element, &mut unread, "", local).map(Self));
        kept.collect::<Result<_, ApiError>>().map(Some)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether it is this index of the source: the key and the projection are the same.
    fn is(&self, index: &Index) -> Result<bool, ApiError> {
        let named = |attributes: &[_], role: &'static str| {
            let pair = |attribute: &pangea_core::table::KeyAttribute| {
                (attribute.name.clone(), role.to_owned())
            };
            attributes.iter().map(pair).collect::<Vec<_>>()
        };
        let keys = [named(&index.partition, "HASH"), named(&index.sort, "RANGE")].concat();
        Ok(self.0.keys == keys && self.0.projected()? == index.projected)
    }

    /// Its capacity, if the request names one.
    #[must_use]
    pub const fn throughput(&self) -> Option<Throughput> {
        self.0.throughput()
    }
}

/// Takes away the indexes of a kind that a restored table does not keep, and gives the others the
/// names and the capacity that the request names; without a list all are kept.
///
/// An index is known by its key and its projection, and may be given another name (measured on the
/// service by the ACK project's users, October 2026, as are the words on capacity).
///
/// # Errors
///
/// A `ValidationException` for an index that the source has not like that, a name that is there
/// twice, or capacity that is given and not wanted, or wanted and not given.
pub fn keep(
    indexes: &mut Vec<Index>,
    wanted: Option<&[KeptIndex]>,
    is_of_kind: fn(&Index) -> bool,
    on_demand: bool,
) -> Result<(), ApiError> {
    let Some(wanted) = wanted else { return Ok(()) };
    let (mut sources, others) = std::mem::take(indexes).into_iter().partition(is_of_kind);
    *indexes = others;
    for kept in wanted {
        let name = kept.name();
        if indexes.iter().any(|index| index.name == name) {
            return Err(invalid(&format!("Duplicate index name: {name}")));
        }
        let mut index = take(&mut sources, kept)?.ok_or_else(|| foreign(name))?;
        match kept.throughput() {
            Some(_) if on_demand => {
                return Err(ApiError::validation(format!(
                    "Invalid Request: Cannot override ProvisionedThroughput if BillingMode is \
                     overridden to PAY_PER_REQUEST for index {name}"
                )));
            }
            None if !on_demand && index.is_global() => {
                return Err(ApiError::validation(format!(
                    "Invalid Request: Must specify provisioned throughput for index {name}"
                )));
            }
            Some(throughput) => throughput.write_to(&mut index.options),
            None => {}
        }
        name.clone_into(&mut index.name);
        indexes.push(index);
    }
    Ok(())
}

/// The index of the source that is kept, the one of the same name if there are several like it.
fn take(sources: &mut Vec<Index>, kept: &KeptIndex) -> Result<Option<Index>, ApiError> {
    let mut found = None;
    for (at, index) in sources.iter().enumerate() {
        if kept.is(index)? && (found.is_none() || index.name == kept.name()) {
            found = Some(at);
        }
    }
    Ok(found.map(|at| sources.remove(at)))
}

/// Gives every global index without a capacity that of the table, and takes what capacity there is
/// from all of them where the table is paid for by request.
pub fn fit_capacity(indexes: &mut [Index], of_table: Option<Throughput>) {
    for index in indexes.iter_mut().filter(|index| index.is_global()) {
        let Throughput { read, .. } = Throughput::of(&index.options);
        match of_table {
            None => {
                index.options.remove(options::READ);
                index.options.remove(options::WRITE);
            }
            Some(of_table) if read == 0 => of_table.write_to(&mut index.options),
            Some(_) => {}
        }
    }
}

/// The refusal of an index that the source of a restore has not.
#[must_use]
pub fn foreign(name: &str) -> ApiError {
    ApiError::validation(format!(
        "Invalid Request: Index {name} does not match a secondary index that existed in the source \
         table and cannot be created during the restore operation"
    ))
}
