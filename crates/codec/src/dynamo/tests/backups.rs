//! Backups: names, and requests held against the model.

use pangea_core::index::Index;

use super::table_updates::table;
use super::tables::{ALL, UNITS};
use crate::dynamo::backup::BackupArn;
use crate::dynamo::request::{
    BackupOperation, BackupRequest, Encryption, KeptIndex, Operation, Overrides, Request,
    Throughput, Units, decode, fit_capacity, keep,
};
use crate::dynamo::{ApiError, ErrorKind};

const ARN: &str = "arn:aws:dynamodb:eu-west-1:000000000000:table/t/backup/01789000000000-0a1b2c3d";

fn read(operation: BackupOperation, body: &str) -> Result<BackupRequest, ApiError> {
    match decode(Operation::Backup(operation), body.as_bytes())? {
        Request::Backup(request) => Ok(request),
        other => panic!("{other:?}"),
    }
}

fn refused(operation: BackupOperation, body: &str) -> String {
    match read(operation, body) {
        Ok(request) => panic!("{request:?}"),
        Err(error) => error.message,
    }
}

#[test]
fn names_are_read_back_and_sort_by_time() {
    let arn = BackupArn::new("eu-west-1", "t", 1_789_000_000_000, 7);
    assert_eq!(BackupArn::parse(&arn.text), Ok(arn.clone()));
    assert_eq!(arn.id.len(), "01789000000000-0a1b2c3d".len());
    assert!(arn.text.starts_with(&ARN[..ARN.len() - 8]), "{}", arn.text);
    assert!(arn.id < BackupArn::new("eu-west-1", "t", 1_789_000_000_001, 0).id);
    assert_ne!(arn.id, BackupArn::new("eu-west-1", "t", 1_789_000_000_000, 8).id);
    let missing = arn.missing();
    assert_eq!(missing.kind, ErrorKind::BackupNotFound);
    assert_eq!(missing.message, format!("Backup not found: {}", arn.text));
    assert!(BackupArn::parse("arn:aws:dynamodb:eu-west-1:000000000000:table/t").is_err());
}

#[test]
fn requests_are_held_against_the_model() {
    let must = "failed to satisfy constraint: Member must";
    assert_eq!(
        refused(BackupOperation::DescribeBackup, "{}"),
        format!("1 validation error detected: Value null at 'backupArn' {must} not be null")
    );
    assert_eq!(
        refused(BackupOperation::DeleteBackup, r#"{"BackupArn":"short"}"#),
        format!(
            "1 validation error detected: Value 'short' at 'backupArn' {must} have length greater \
             than or equal to 37"
        )
    );
    assert_eq!(
        refused(BackupOperation::CreateBackup, r#"{"TableName":"table","BackupName":"a"}"#),
        format!(
            "1 validation error detected: Value 'a' at 'backupName' {must} have length greater \
             than or equal to 3"
        )
    );
    assert_eq!(
        refused(BackupOperation::ListBackups, r#"{"Limit":101}"#),
        format!(
            "1 validation error detected: Value '101' at 'limit' {must} have value less than or \
             equal to 100"
        )
    );
    assert_eq!(
        refused(BackupOperation::ListBackups, r#"{"BackupType":"X"}"#),
        format!(
            "1 validation error detected: Value 'X' at 'backupType' {must} satisfy enum value \
             set: [USER, SYSTEM, AWS_BACKUP, ALL]"
        )
    );
    let backwards = r#"{"TimeRangeLowerBound":2,"TimeRangeUpperBound":1}"#;
    assert_eq!(
        refused(BackupOperation::ListBackups, backwards),
        "One or more parameter values were invalid: Time range lower bound must be less than or \
         equal to upper bound"
    );
    for (what, other, message) in [
        ("/backup/", "/export/", "Invalid Backup ARN"),
        ("arn:", "name:", "Invalid Backup ARN"),
        ("arn:aws", "arn:aws-cn", "BackupArn is not valid"),
        (":dynamodb", ":kinesis", "BackupArn is not valid"),
        ("000000000000", "111122223333", "Access is denied"),
    ] {
        let body = format!(r#"{{"BackupArn":"{}"}}"#, ARN.replace(what, other));
        assert_eq!(refused(BackupOperation::DescribeBackup, &body), message, "{other}");
    }
}

#[test]
fn restores_say_when_and_what_is_different() {
    let body = r#"{"SourceTableName":"table","TargetTableName":"other","RestoreDateTime":1.5,
        "BillingModeOverride":"PROVISIONED",
        "ProvisionedThroughputOverride":{"ReadCapacityUnits":5,"WriteCapacityUnits":6},
        "SSESpecificationOverride":{"Enabled":true},
        "OnDemandThroughputOverride":{"MaxReadRequestUnits":7},
        "GlobalSecondaryIndexOverride":[{"IndexName":"ggg","Projection":{},
            "KeySchema":[{"AttributeName":"a","KeyType":"HASH"}]}],
        "LocalSecondaryIndexOverride":[],"VectorIndexOverride":[{"IndexName":"near",
            "VectorAttribute":{"AttributeName":"e"},"Projection":{"ProjectionType":"ALL"},
            "Dimensions":3,"DistanceFunction":"COSINE"}]}"#;
    let Ok(BackupRequest::RestoreTableToPointInTime(restore)) =
        read(BackupOperation::RestoreTableToPointInTime, body)
    else {
        panic!("refused")
    };
    assert_eq!((restore.at_ms, restore.source.as_str()), (Some(1500), "table"));
    let overrides = Overrides {
        on_demand: Some(false),
        throughput: Some((5, 6)),
        encryption: Some(Encryption::Kms(String::new())),
        limits: Some(Units { read: Some(7), write: None }),
        global: restore.overrides.global.clone(),
        local: Some(Vec::new()),
        vectors: Some(vec!["near".to_string()]),
    };
    assert_eq!(restore.overrides, overrides);
    let global = restore.overrides.global.expect("a list");
    assert_eq!(global.iter().map(KeptIndex::name).collect::<Vec<_>>(), ["ggg"]);
    let latest = r#""UseLatestRestorableTime":true"#;
    let arn = r#""SourceTableArn":"arn:aws:dynamodb:us-east-1:000000000000:table/table""#;
    for (members, message) in [
        (
            r#""SourceTableName":"table""#.to_string(),
            "Invalid Request: Either one of RestoreDateTime or UseLatestRestorableTime must be \
             specified, but not both",
        ),
        (
            latest.to_string(),
            "The parameter 'TableName' is required but was not present in the request",
        ),
        (
            format!(r#""SourceTableName":"table",{arn},{latest}"#),
            "Invalid Request: Must provide exactly one of: sourceTableArn, sourceTableName",
        ),
        (
            format!(r#""SourceTableName":"table",{latest},"RestoreDateTime":1"#),
            "Invalid Request: Both RestoreDateTime and UseLatestRestorableTime cannot be set for \
             point-in-time restore request. Please specify either RestoreDateTime time or \
             UseLatestRestorableTime",
        ),
    ] {
        let body = format!(r#"{{"TargetTableName":"other",{members}}}"#);
        assert_eq!(refused(BackupOperation::RestoreTableToPointInTime, &body), message, "{body}");
    }
    let body = format!(r#"{{"TargetTableName":"other","BackupArn":"{ARN}"}}"#);
    let Ok(BackupRequest::RestoreTableFromBackup(restore)) =
        read(BackupOperation::RestoreTableFromBackup, &body)
    else {
        panic!("refused")
    };
    assert_eq!((restore.backup.text.as_str(), restore.target.as_str()), (ARN, "other"));
}

#[test]
fn a_restored_table_keeps_indexes_as_they_were() {
    let kept = |name: &str, key: &str, rest: &str| {
        let keys = format!(r#""KeySchema":[{{"AttributeName":"{key}","KeyType":"HASH"}}]"#);
        format!(r#"{{"IndexName":"{name}",{keys}{rest}}}"#)
    };
    let list = |elements: &str| {
        let body = format!(
            r#"{{"TargetTableName":"other","BackupArn":"{ARN}",
                "GlobalSecondaryIndexOverride":[{elements}]}}"#
        );
        match read(BackupOperation::RestoreTableFromBackup, &body) {
            Ok(BackupRequest::RestoreTableFromBackup(restore)) => restore.overrides.global,
            other => panic!("{other:?}"),
        }
    };
    let by_seq = kept("by-seq", "seq", ALL);
    let provisioned = kept("by-seq", "seq", &format!("{ALL}{UNITS}"));
    let keys_only = r#","Projection":{"ProjectionType":"KEYS_ONLY"}"#;
    let foreign = |name: &str| {
        format!(
            "Invalid Request: Index {name} does not match a secondary index that existed in the \
             source table and cannot be created during the restore operation"
        )
    };
    let wrong = "One or more parameter values were invalid";
    for (elements, on_demand, wanted) in [
        (String::new(), true, Ok(0)),
        (by_seq.clone(), true, Ok(1)),
        (provisioned.clone(), false, Ok(1)),
        (kept("other", "seq", ALL), true, Ok(1)),
        (
            by_seq.clone(),
            false,
            Err("Invalid Request: Must specify provisioned throughput for index by-seq".into()),
        ),
        (kept("by-seq", "id", ALL), true, Err(foreign("by-seq"))),
        (kept("by-seq", "seq", keys_only), true, Err(foreign("by-seq"))),
        (format!("{by_seq},{by_seq}"), true, Err(format!("{wrong}: Duplicate index name: by-seq"))),
        (
            provisioned.clone(),
            true,
            Err("Invalid Request: Cannot override ProvisionedThroughput if BillingMode is \
                 overridden to PAY_PER_REQUEST for index by-seq"
                .into()),
        ),
    ] {
        let mut indexes = table(on_demand).indexes;
        let kept = keep(&mut indexes, list(&elements).as_deref(), Index::is_global, on_demand);
        let found = kept.map(|()| indexes.len()).map_err(|error| error.message);
        assert_eq!(found, wanted, "{elements}");
    }
    let mut indexes = table(true).indexes;
    let renamed = list(&kept("other", "seq", ALL));
    keep(&mut indexes, renamed.as_deref(), Index::is_global, true).expect("right");
    assert_eq!(indexes[0].name, "other", "an index may have another name");
    let mut indexes = table(true).indexes;
    keep(&mut indexes, list(&provisioned).as_deref(), Index::is_global, false).expect("right");
    let of_table = Throughput { read: 3, write: 4 };
    let before = Throughput::of(&indexes[0].options);
    assert_ne!(before, of_table);
    fit_capacity(&mut indexes, Some(of_table));
    assert_eq!(Throughput::of(&indexes[0].options), before, "it has a capacity of its own");
    fit_capacity(&mut indexes, None);
    assert_eq!(Throughput::of(&indexes[0].options), Throughput { read: 0, write: 0 });
    fit_capacity(&mut indexes, Some(of_table));
    assert_eq!(Throughput::of(&indexes[0].options), of_table);
}

/// Messages as they were measured on the service.
#[test]
fn overrides_fit_what_a_table_is_paid_by() {
    let units = Units { read: Some(1), write: None };
    let nothing = Overrides::default();
    let limited = Overrides { limits: Some(units), ..nothing.clone() };
    let capacity = Overrides { throughput: Some((1, 1)), ..nothing.clone() };
    let mode = |on_demand, of: &Overrides| Overrides { on_demand: Some(on_demand), ..of.clone() };
    for (overrides, source, wanted) in [
        (nothing.clone(), true, Ok(true)),
        (nothing.clone(), false, Ok(false)),
        (mode(false, &capacity), true, Ok(false)),
        (mode(true, &limited), false, Ok(true)),
        (
            capacity.clone(),
            true,
            Err("Cannot override ProvisionedThroughput unless BillingMode is PROVISIONED"),
        ),
        (
            mode(true, &capacity),
            false,
            Err("Cannot override ProvisionedThroughput if BillingMode is overridden to \
                 PAY_PER_REQUEST"),
        ),
        (
            mode(false, &nothing),
            true,
            Err("Must override ProvisionedThroughput if BillingMode is overridden to PROVISIONED"),
        ),
        (
            limited,
            false,
            Err("Cannot override MaxReadRequestUnits for OnDemandThroughput unless \
                 BillingModeOverride is PAY_PER_REQUEST"),
        ),
        (
            Overrides { limits: Some(Units { read: None, write: Some(0) }), ..nothing },
            true,
            Err("Requested MaxWriteRequestUnits for OnDemandThroughput is outside of valid range"),
        ),
    ] {
        let found = overrides.on_demand(source).map_err(|error| error.message);
        let wanted = wanted.map_err(|text| format!("Invalid Request: {text}"));
        assert_eq!(found, wanted, "{overrides:?} {source}");
    }
}
