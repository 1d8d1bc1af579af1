//! Backups: names, and requests held against the model.

use crate::dynamo::backup::BackupArn;
use crate::dynamo::request::{
    BackupOperation, BackupRequest, Encryption, Operation, Overrides, Request, Units, decode,
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
        "LocalSecondaryIndexOverride":[]}"#;
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
        global: Some(vec!["ggg".to_string()]),
        local: Some(Vec::new()),
    };
    assert_eq!(restore.overrides, overrides);
    for body in [
        r#"{"SourceTableName":"table","TargetTableName":"other"}"#,
        r#"{"TargetTableName":"other","UseLatestRestorableTime":true}"#,
        r#"{"SourceTableName":"table","TargetTableName":"other","UseLatestRestorableTime":true,
            "RestoreDateTime":1}"#,
    ] {
        assert!(read(BackupOperation::RestoreTableToPointInTime, body).is_err(), "{body}");
    }
    let body = format!(r#"{{"TargetTableName":"other","BackupArn":"{ARN}"}}"#);
    let Ok(BackupRequest::RestoreTableFromBackup(restore)) =
        read(BackupOperation::RestoreTableFromBackup, &body)
    else {
        panic!("refused")
    };
    assert_eq!((restore.backup.text.as_str(), restore.target.as_str()), (ARN, "other"));
}
