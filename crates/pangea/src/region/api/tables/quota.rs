//! What the account's quotas let a table have, which is what `DescribeLimits` tells.

use pangea_codec::dynamo::table::options;
use pangea_codec::dynamo::{ApiError, ErrorKind};
use pangea_core::item::Attributes;
use pangea_core::node::{NewTable, TableUpdate};

/// Read or write units of one table or index (DynamoDB's default quota).
pub(in crate::region::api) const TABLE_UNITS_MAX: u64 = 40_000;

/// Refuses capacity above the quota, and limits that would never be reached.
pub(super) fn check_new(region: &str, new: &NewTable) -> Result<(), ApiError> {
    check(region, &new.options, "table")?;
    check_indexes(region, new.indexes.iter().map(|index| (&index.name, &index.options)))
}

/// As [`check_new`], of what a change sets.
pub(super) fn check_change(region: &str, change: &TableUpdate) -> Result<(), ApiError> {
    let set = change.options.iter();
    let set: Attributes =
        set.filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect();
    check(region, &set, "table")?;
    check_indexes(region, &change.index_options)?;
    check_indexes(region, change.add_indexes.iter().map(|index| (&index.name, &index.options)))
}

fn check_indexes<'o>(
    region: &str,
    indexes: impl IntoIterator<Item = (&'o String, &'o Attributes)>,
) -> Result<(), ApiError> {
    let mut indexes = indexes.into_iter();
    indexes.try_for_each(|(name, options)| check(region, options, &format!("index: {name}")))
}

fn check(region: &str, options: &Attributes, of: &str) -> Result<(), ApiError> {
    for (option, member, quota) in [
        (options::READ, "ReadCapacityUnits for ProvisionedThroughput", "Read"),
        (options::WRITE, "WriteCapacityUnits for ProvisionedThroughput", "Write"),
        (options::MAX_READ, "MaxReadRequestUnits for OnDemandThroughput", "Read"),
        (options::MAX_WRITE, "MaxWriteRequestUnits for OnDemandThroughput", "Write"),
    ] {
        let units = options::number(options, option).unwrap_or_default();
        if units > TABLE_UNITS_MAX {
            let text = format!(
                "Subscriber limit exceeded: Requested {member} for {of} exceeds \
                 TableMax{quota}CapacityUnits of the account in region {region}"
            );
            return Err(ApiError::new(ErrorKind::LimitExceeded, text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(option: &str, units: u64, of_index: bool) -> Option<String> {
        let set = Attributes::from([(option.to_owned(), options::of_number(units))]);
        let mut change = TableUpdate::default();
        if of_index {
            change.index_options.insert("one".to_owned(), set);
        } else {
            change.options = set.into_iter().map(|(name, value)| (name, Some(value))).collect();
        }
        check_change("eu-west-1", &change).err().map(|error| error.message)
    }

    /// The message on limits of a table on demand is one that a user of the service was told.
    #[test]
    fn capacity_ends_at_the_quota() {
        let told = |what: &str, of: &str, quota: &str| {
            format!(
                "Subscriber limit exceeded: Requested {what} for {of} exceeds \
                 TableMax{quota}CapacityUnits of the account in region eu-west-1"
            )
        };
        let limit = "MaxReadRequestUnits for OnDemandThroughput";
        assert_eq!(refused(options::MAX_READ, 40_001, false), Some(told(limit, "table", "Read")));
        let writes = "WriteCapacityUnits for ProvisionedThroughput";
        assert_eq!(
            refused(options::WRITE, 40_001, true),
            Some(told(writes, "index: one", "Write"))
        );
        for option in [options::READ, options::WRITE, options::MAX_READ, options::MAX_WRITE] {
            assert_eq!(refused(option, 40_000, false), None);
            assert!(refused(option, 40_001, false).is_some());
        }
        // What a table is warmed for is no capacity that it has.
        assert_eq!(refused(options::WARM_READ, 40_001, false), None);
    }
}
