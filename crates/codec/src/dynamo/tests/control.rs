use crate::dynamo::request::{Control, ControlOperation as Op, Operation, Request, decode};

fn control(operation: Op, body: &str) -> Result<Control, String> {
    match decode(Operation::Control(operation), body.as_bytes()) {
        Ok(Request::Control(control)) => Ok(control),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.message),
    }
}

#[test]
fn operations_are_found_by_target() {
    for operation in Op::ALL {
        let target = format!("DynamoDB_20120810.{}", operation.name());
        assert_eq!(Operation::from_target(&target), Ok(Operation::Control(operation)));
    }
}

const ARN: &str = "arn:aws:dynamodb:eu:000000000000:table/music";
const WRONG: &str = "One or more parameter values were invalid: ";

fn null(path: &str) -> String {
    format!(
        "1 validation error detected: Value null at '{path}' failed to satisfy constraint: Member \
         must not be null"
    )
}

#[test]
fn wrong_tags_are_refused_in_dynamodb_words() {
    let (arn, wrong) = (ARN, WRONG);
    let long = "x".repeat(129);
    for (operation, members, message) in [
        (Op::TagResource, r#""Tags":[]"#.to_owned(), "Invalid TableArn".to_owned()),
        (Op::TagResource, format!(r#""ResourceArn":"{arn}""#), null("tags")),
        (
            Op::TagResource,
            r#""ResourceArn":"music","Tags":[]"#.to_owned(),
            format!("{wrong}ARNs must start with 'arn:': music"),
        ),
        (
            Op::TagResource,
            format!(r#""ResourceArn":"{arn}","Tags":[]"#),
            "Atleast one Tag needs to be provided as Input.".to_owned(),
        ),
        (
            Op::TagResource,
            r#""ResourceArn":"arn:aws:s3:::bucket","Tags":[]"#.to_owned(),
            "User: arn:aws:iam::000000000000:root is not authorized to perform: \
             dynamodb:TagResource on resource: arn:aws:s3:::bucket"
                .to_owned(),
        ),
        (
            Op::ListTagsOfResource,
            format!(r#""ResourceArn":"{arn}/index/one""#),
            format!(
                "{wrong}Invalid resource arn provided, only table or stream is accepted. Provided \
                 resource arn: {arn}/index/one"
            ),
        ),
        (
            Op::UntagResource,
            format!(r#""ResourceArn":"{arn}","TagKeys":["{long}"]"#),
            format!("The Tag Key provided is invalid, Key: {long}"),
        ),
        (
            Op::TagResource,
            format!(r#""ResourceArn":"{arn}","Tags":[{{"Value":"b"}}]"#),
            "The Tag Key provided is invalid, Key: null".to_owned(),
        ),
    ] {
        let refused = control(operation, &format!("{{{members}}}"));
        assert_eq!(refused, Err(message), "{operation:?} {members}");
    }
}

#[test]
fn what_cannot_be_is_refused_in_dynamodb_words() {
    let (arn, wrong) = (ARN, WRONG);
    for (operation, members, message) in [
        (
            Op::UpdateTimeToLive,
            r#""TableName":"music","TimeToLiveSpecification":{"Enabled":true,"AttributeName":""}"#
                .to_owned(),
            "1 validation error detected: Value '' at 'timeToLiveSpecification.attributeName' \
             failed to satisfy constraint: Member must have length greater than or equal to 1"
                .to_owned(),
        ),
        (
            Op::UpdateTimeToLive,
            r#""TableName":"music""#.to_owned(),
            null("timeToLiveSpecification"),
        ),
        (
            Op::UpdateContinuousBackups,
            r#""TableName":"music""#.to_owned(),
            null("pointInTimeRecoverySpecification"),
        ),
        (
            Op::PutResourcePolicy,
            format!(r#""ResourceArn":"{arn}","Policy":"{{""#),
            format!("{wrong}Invalid policy document: This policy contains invalid Json"),
        ),
        (
            Op::UpdateContributorInsights,
            r#""TableName":"music","ContributorInsightsAction":"LOOK""#.to_owned(),
            "1 validation error detected: Value 'LOOK' at 'contributorInsightsAction' failed to \
             satisfy constraint: Member must satisfy enum value set: [ENABLE, DISABLE]"
                .to_owned(),
        ),
        (
            Op::CreateGlobalTable,
            r#""GlobalTableName":"music""#.to_owned(),
            null("replicationGroup"),
        ),
    ] {
        let refused = control(operation, &format!("{{{members}}}"));
        assert_eq!(refused, Err(message), "{operation:?} {members}");
    }
}

#[test]
fn requests_name_their_tables() {
    let arn = "arn:aws:dynamodb:eu:000000000000:table/music/stream/now";
    let body = format!(r#"{{"ResourceArn":"{arn}"}}"#);
    let policy = control(Op::GetResourcePolicy, &body).expect("a right request");
    let Control::Policy(resource) = &policy else { panic!("{policy:?}") };
    assert!(resource.is_stream && resource.arn == arn);
    assert_eq!((policy.tables(), policy.is_read()), (vec!["music"], true));
    let body = r#"{"TableName":"music","TimeToLiveSpecification":{"Enabled":true,
        "AttributeName":"end"}}"#;
    let expire = control(Op::UpdateTimeToLive, body).expect("a right request");
    assert_eq!((expire.tables(), expire.is_read()), (vec!["music"], false));
}

#[test]
fn transfers_repeat_what_they_were_asked_for() {
    let body = r#"{"S3BucketSource":{"S3Bucket":"songs","S3KeyPrefix":"new/"},"InputFormat":"CSV",
        "InputFormatOptions":{"Csv":{"HeaderList":["id","n"]}},"TableCreationParameters":{
            "TableName":"music","BillingMode":"PAY_PER_REQUEST",
            "AttributeDefinitions":[{"AttributeName":"id","AttributeType":"S"}],
            "KeySchema":[{"AttributeName":"id","KeyType":"HASH"}]}}"#;
    let import = control(Op::ImportTable, body).expect("a right request");
    let Control::Transfer(transfer) = &import else { panic!("{import:?}") };
    assert_eq!((import.tables(), import.is_read()), (vec!["music"], false));
    let asked = serde_json::to_string(&transfer.asked).expect("JSON");
    assert!(asked.contains(r#""HeaderList":["id","n"]"#) && asked.contains("new/"), "{asked}");

    let source = r#""S3BucketSource":{"S3Bucket":"songs"},"InputFormat":"ION""#;
    for (operation, members, message) in [
        (Op::ImportTable, r#""InputFormat":"ION""#.to_owned(), "s3BucketSource"),
        (Op::ImportTable, source.to_owned(), "tableCreationParameters"),
        (Op::ExportTableToPointInTime, format!(r#""TableArn":"{ARN}""#), "s3Bucket"),
        (Op::DescribeBulkOperation, String::new(), "bulkOperationArn"),
    ] {
        let refused = control(operation, &format!("{{{members}}}")).expect_err("refused");
        assert!(refused.contains(&format!("Value null at '{message}' failed")), "{refused}");
    }
    let capacity = source.to_owned()
        + r#","TableCreationParameters":{"TableName":"music","BillingMode":"PROVISIONED",
            "AttributeDefinitions":[{"AttributeName":"id","AttributeType":"S"}],
            "KeySchema":[{"AttributeName":"id","KeyType":"HASH"}]}"#;
    let refused = control(Op::ImportTable, &format!("{{{capacity}}}")).expect_err("refused");
    let wanted = "ReadCapacityUnits and WriteCapacityUnits must both be specified when \
                  BillingMode is PROVISIONED";
    assert_eq!(refused, format!("{WRONG}{wanted}"));
    let bucket = format!(r#"{{"TableArn":"{ARN}","S3Bucket":"-a"}}"#);
    let refused = control(Op::ExportTableToPointInTime, &bucket).expect_err("refused");
    assert!(refused.contains("'s3Bucket' failed to satisfy constraint: Member must satisfy"));
}

#[test]
fn scaling_is_read_for_each_thing_that_scales() {
    let read = |members: &str| {
        let body = format!(r#"{{"TableName":"music",{members}}}"#);
        control(Op::UpdateTableReplicaAutoScaling, &body)
    };
    let policy = r#""ScalingPolicyUpdate":{"PolicyName":"mine",
        "TargetTrackingScalingPolicyConfiguration":{"TargetValue":70.5,"ScaleInCooldown":9}}"#;
    let members = format!(
        r#""ProvisionedWriteCapacityAutoScalingUpdate":{{"MinimumUnits":1,"MaximumUnits":9}},
        "GlobalSecondaryIndexUpdates":[{{"IndexName":"one",
            "ProvisionedWriteCapacityAutoScalingUpdate":{{"AutoScalingDisabled":true}}}}],
        "ReplicaUpdates":[{{"RegionName":"eu","ReplicaGlobalSecondaryIndexUpdates":[
            {{"IndexName":"one","ProvisionedReadCapacityAutoScalingUpdate":{{{policy}}}}}],
            "ReplicaProvisionedReadCapacityAutoScalingUpdate":{{"AutoScalingRoleArn":"arn"}}}}]"#
    );
    let Ok(Control::Scale { table, settings }) = read(&members) else { panic!("{members}") };
    let found: Vec<_> = settings
        .into_iter()
        .map(|it| (it.region, it.index, serde_json::Value::Object(it.set).to_string()))
        .collect();
    let of = |region: &str, index: &str, set: &str| {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        (some(region), some(index), set.to_owned())
    };
    let policies = concat!(
        r#"{"ScalingPolicies":[{"PolicyName":"mine","TargetTrackingScalingPolicyConfiguration":"#,
        r#"{"ScaleInCooldown":9,"TargetValue":70.5}}]}"#
    );
    let wanted = [
        of("", "", r#"{"MaximumUnits":9,"MinimumUnits":1}"#),
        of("", "one", r#"{"AutoScalingDisabled":true}"#),
        of("eu", "", r#"{"AutoScalingRoleArn":"arn"}"#),
        of("eu", "one", policies),
    ];
    assert_eq!((table.as_str(), found), ("music", wanted.to_vec()));
    let backwards =
        r#""ProvisionedWriteCapacityAutoScalingUpdate":{"MinimumUnits":9,"MaximumUnits":1}"#;
    let refused = "Maximum capacity cannot be less than minimum capacity";
    assert_eq!(read(backwards), Err(refused.to_owned()));
}

#[test]
fn settings_of_a_global_table_are_its_billing_and_what_it_may_write() {
    let read = |members: &str| {
        let body = format!(r#"{{"GlobalTableName":"music"{members}}}"#);
        control(Op::UpdateGlobalTableSettings, &body)
    };
    let set = |on_demand, write| Ok(Control::SetGlobal { table: "music".into(), on_demand, write });
    assert_eq!(read(""), set(None, None));
    let units = r#","GlobalTableProvisionedWriteCapacityUnits":5"#;
    assert_eq!(read(units), set(None, Some(5)));
    let mode = r#","GlobalTableBillingMode":"PAY_PER_REQUEST""#;
    assert_eq!(read(mode), set(Some(true), None));
}
