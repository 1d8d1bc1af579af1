use pangea_core::catalog::{ReplicaSpec, StreamView as View, TableEntry};
use pangea_core::id::RegionSlot;
use pangea_core::item::Attributes;
use pangea_core::node::TableUpdate;
use pangea_core::table::KeyKind;
use pangea_core::time::Hlc;

use super::tables::{
    ALL, HASH, ID, PAY, RANGE, SEQ, UNITS, WRONG, attribute, create, entry, index,
};
use crate::dynamo::request::{Operation, ReplicaAction, Request, UpdateTable, decode};
use crate::dynamo::table::options;
use crate::dynamo::{ApiError, ErrorKind};

fn update(members: &str) -> Result<UpdateTable, ApiError> {
    let body = format!(r#"{{"TableName":"music",{members}}}"#);
    match decode(Operation::UpdateTable, body.as_bytes())? {
        Request::UpdateTable(update) => Ok(update),
        other => panic!("{other:?}"),
    }
}

/// A provisioned table with the index `by-seq`, on demand where asked for.
pub(super) fn table(on_demand: bool) -> TableEntry {
    let (units, of_index) =
        if on_demand { (PAY, ALL.to_owned()) } else { (UNITS, format!("{ALL}{UNITS}")) };
    let by_seq = index("by-seq", &[("seq", "HASH")], &of_index);
    let rest = format!(r#"{units},"GlobalSecondaryIndexes":[{by_seq}]"#);
    entry(create(&format!("{ID},{SEQ}"), &format!("{HASH},{RANGE}"), &rest).expect("right"))
}

fn changed(entry: &TableEntry, members: &str) -> Result<TableUpdate, ApiError> {
    update(members)?.change(entry, 5)
}

const WARM: &str = r#"{"ReadUnitsPerSecond":13000}"#;

#[test]
fn updates_are_one_at_a_time() {
    let none = "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, \
        GlobalSecondaryIndexUpdates, SSESpecification, ReplicaUpdates, MultiAccountReplicaReady, \
        ReplicaTransitRoleArn, MultiRegionConsistency, DeletionProtectionEnabled, \
        OnDemandThroughput, WarmThroughput or TableClass is required";
    let body = r#""GlobalSecondaryIndexUpdates":[]"#;
    assert_eq!(update(body).map_err(|error| error.message), Err(none.to_owned()));
    let delete = r#"{"Delete":{"IndexName":"one"}}"#;
    for (members, message) in [
        (
            r#""SSESpecification":{"Enabled":true},"DeletionProtectionEnabled":true"#.to_owned(),
            "Server-Side Encryption modification must be the only operation in the request",
        ),
        (
            r#""TableClass":"STANDARD","DeletionProtectionEnabled":true"#.to_owned(),
            "TableClass modification must be the only operation in the request",
        ),
        (
            r#""DeletionProtectionEnabled":true,"ReplicaUpdates":[{"Create":{"RegionName":"eu"}}]"#
                .to_owned(),
            "Requests that modify replicas or witnesses must not also modify other fields",
        ),
        (
            format!(r#""GlobalSecondaryIndexUpdates":[{delete},{delete}]"#),
            "Only one global secondary index update per index is allowed simultaneously. Index: one",
        ),
        (
            r#""GlobalSecondaryIndexUpdates":[{}]"#.to_owned(),
            "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, \
             GlobalSecondaryIndexUpdate.Delete must not be null",
        ),
        (
            format!(r#""GlobalSecondaryIndexUpdates":[{delete}]{UNITS}"#),
            "You cannot create or delete index while updating table IOPS",
        ),
        (
            format!(
                r#""WarmThroughput":{WARM},"GlobalSecondaryIndexUpdates":[{{"Create":{}}}]"#,
                index("two", &[("seq", "HASH")], ALL)
            ),
            "Create global secondary index cannot be specified when updating WarmThroughput",
        ),
        (
            format!(r#""WarmThroughput":{WARM},"BillingMode":"PAY_PER_REQUEST""#),
            "WarmThroughput must be the only operation in the request",
        ),
        (
            format!(r#""WarmThroughput":{WARM},"OnDemandThroughput":{{"MaxReadRequestUnits":9}}"#),
            "OnDemandThroughput can only be combined with BillingMode in an UpdateTable request",
        ),
        (
            format!(r#""BillingMode":"PAY_PER_REQUEST"{UNITS}"#),
            "ProvisionedThroughput cannot be specified when BillingMode is PAY_PER_REQUEST",
        ),
        (
            r#""StreamSpecification":{"StreamEnabled":true}"#.to_owned(),
            "If stream is being enabled then UpdateViewType is required",
        ),
    ] {
        let refused = update(&members).map_err(|error| error.message);
        assert_eq!(refused, Err(format!("{WRONG}{message}")), "{members}");
    }
}

#[test]
fn capacity_changes_as_it_may() {
    let (provisioned, on_demand) = (table(false), table(true));
    let same = UNITS.trim_start_matches(',');
    let unchanged = "The provisioned throughput for the table will not change. The requested value \
        equals the current value. Current ReadCapacityUnits provisioned for the table: 5. \
        Requested ReadCapacityUnits: 5. Current WriteCapacityUnits provisioned for the table: 6. \
        Requested WriteCapacityUnits: 6. Refer to the Amazon DynamoDB Developer Guide for current \
        limits and how to request higher limits.";
    let neither = format!(
        "{WRONG}Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode \
         is PAY_PER_REQUEST"
    );
    let mode = r#""BillingMode":"PROVISIONED""#;
    for (entry, members, message) in [
        (&provisioned, same.to_owned(), unchanged.to_owned()),
        (&provisioned, format!("{mode}{UNITS}"), unchanged.to_owned()),
        (&on_demand, same.to_owned(), neither),
        (
            &on_demand,
            mode.to_owned(),
            format!(
                "{WRONG}ProvisionedThroughput must be specified when BillingMode is PROVISIONED"
            ),
        ),
        (
            &on_demand,
            format!("{mode}{UNITS}"),
            format!("{WRONG}ProvisionedThroughput must be specified for index: by-seq"),
        ),
    ] {
        let refused = changed(entry, &members).map_err(|error| error.message);
        assert_eq!(refused.map(|_| ()), Err(message), "{members}");
    }
    let more = r#""ProvisionedThroughput":{"ReadCapacityUnits":9,"WriteCapacityUnits":6}"#;
    let change = changed(&provisioned, more).expect("a right change");
    assert_eq!(change.options[options::READ], Some(options::of_number(9)));
    assert_eq!(change.options[options::INCREASED_MS], Some(options::of_number(5)));
    let less = r#""ProvisionedThroughput":{"ReadCapacityUnits":1,"WriteCapacityUnits":6}"#;
    let day_ms = 24 * 60 * 60 * 1000;
    let mut entry = provisioned.clone();
    for (decreased_ms, decreases) in [(None, 1), (Some(4), 3), (Some(5 + day_ms), 1)] {
        entry.options.insert(options::DECREASES.into(), options::of_number(2));
        if let Some(ms) = decreased_ms {
            entry.options.insert(options::DECREASED_MS.into(), options::of_number(ms));
        }
        let change = changed(&entry, less).expect("a right change");
        assert_eq!(change.options[options::DECREASED_MS], Some(options::of_number(5)));
        assert_eq!(change.options[options::DECREASES], Some(options::of_number(decreases)));
    }
    let change = changed(&provisioned, r#""BillingMode":"PAY_PER_REQUEST""#).expect("right");
    assert_eq!((change.on_demand, &change.options[options::READ]), (Some(true), &None));
    assert_eq!(change.index_options["by-seq"][options::READ], options::of_number(0));
}

/// The message is one that a user of the service was told.
#[test]
fn capacity_goes_down_four_times_a_day_and_then_once_an_hour() {
    let last_ms = 1_665_406_819_000;
    let mut entry = table(false);
    entry.options.insert(options::DECREASED_MS.into(), options::of_number(last_ms));
    let less = r#""ProvisionedThroughput":{"ReadCapacityUnits":1,"WriteCapacityUnits":6}"#;
    let hour_ms = 3_600_000;
    for (decreases, after_ms, is_refused) in
        [(3, 0, false), (4, 0, true), (8, hour_ms - 1, true), (8, hour_ms, false), (9, 0, true)]
    {
        entry.options.insert(options::DECREASES.into(), options::of_number(decreases));
        let changed = update(less).expect("right").change(&entry, last_ms + after_ms);
        let Err(error) = changed else {
            assert!(!is_refused, "{decreases} {after_ms}");
            continue;
        };
        assert!(is_refused, "{decreases} {after_ms}");
        assert_eq!(error.kind, ErrorKind::LimitExceeded);
        let wanted = format!(
            "Subscriber limit exceeded: Provisioned throughput decreases are limited within a \
             given UTC day. After the first 4 decreases, each subsequent decrease in the same UTC \
             day can be performed at most once every 3600 seconds. Number of decreases today: \
             {decreases}. Last decrease at Monday, October 10, 2022 at 1:00:19 PM Coordinated \
             Universal Time. Next decrease can be made at Monday, October 10, 2022 at 2:00:19 PM \
             Coordinated Universal Time"
        );
        assert_eq!(error.message, wanted);
    }
}

#[test]
fn indexes_and_streams_change_as_they_may() {
    let mut entry = table(true);
    let create = |name: &str, rest: &str| {
        let create = index(name, &[("new", "HASH")], ALL);
        format!(r#""GlobalSecondaryIndexUpdates":[{{"Create":{create}}}]{rest}"#)
    };
    let new = r#","AttributeDefinitions":[{"AttributeName":"new","AttributeType":"N"}]"#;
    let change = changed(&entry, &create("by-new", new)).expect("a right index");
    assert_eq!(change.add_indexes[0].partition, [attribute("new", KeyKind::N)]);
    let missing = r#""GlobalSecondaryIndexUpdates":[{"Delete":{"IndexName":"gone"}}]"#;
    let two = r#""GlobalSecondaryIndexUpdates":[{"Delete":{"IndexName":"one"}},
        {"Delete":{"IndexName":"two"}}]"#;
    let by_seq = index("again", &[("seq", "HASH")], ALL);
    let retyped = format!(
        r#""GlobalSecondaryIndexUpdates":[{{"Create":{by_seq}}}],
            "AttributeDefinitions":[{{"AttributeName":"seq","AttributeType":"S"}}]"#
    );
    for (members, kind, message) in [
        (
            create("by-seq", new),
            ErrorKind::Validation,
            "Attempting to create an index which already exists",
        ),
        (
            create("by-new", ""),
            ErrorKind::Validation,
            "One or more parameter values were invalid: AttributeDefinitions is not specified for \
             index: by-new",
        ),
        (
            missing.to_owned(),
            ErrorKind::ResourceNotFound,
            "Requested resource not found: Index gone for table music",
        ),
        (
            two.to_owned(),
            ErrorKind::LimitExceeded,
            "Subscriber limit exceeded: Only 1 online index can be created or deleted \
             simultaneously per table",
        ),
        (
            retyped,
            ErrorKind::Validation,
            "One or more parameter values were invalid: Attributes cannot be redefined. Please \
             check that your attribute has the same type as previously defined. Existing schema: \
             Schema:[SchemaElement: key{seq:N:RANGE}] New schema: Schema:[SchemaElement: \
             key{seq:S:HASH}]",
        ),
        (
            r#""StreamSpecification":{"StreamEnabled":false}"#.to_owned(),
            ErrorKind::Validation,
            "Table has no stream to disable: TableName: music",
        ),
        (
            r#""SSESpecification":{"Enabled":false}"#.to_owned(),
            ErrorKind::Validation,
            "One or more parameter values were invalid: Table is already encrypted by default",
        ),
    ] {
        let refused = changed(&entry, &members).map_err(|error| (error.kind, error.message));
        assert_eq!(refused.map(|_| ()), Err((kind, message.to_owned())), "{members}");
    }
    entry.stream = Some(View::NewImage);
    let again = r#""StreamSpecification":{"StreamEnabled":true,"StreamViewType":"NEW_IMAGE"}"#;
    let refused = changed(&entry, again).map_err(|error| error.message).map(|_| ());
    assert_eq!(refused, Err("Table already has an enabled stream: TableName: music".to_owned()));
}

#[test]
fn replicas_are_updated() {
    let body = r#""ReplicaUpdates":[{"Create":{"RegionName":"eu",
        "ProvisionedThroughputOverride":{"ReadCapacityUnits":7}}},
        {"Update":{"RegionName":"us","TableClassOverride":"STANDARD"}}]"#;
    let replicas = update(body).expect("a right update").replicas;
    let regions: Vec<_> = replicas.iter().map(|it| (it.action, it.region.as_str())).collect();
    assert_eq!(regions, [(ReplicaAction::Create, "eu"), (ReplicaAction::Update, "us")]);
    let entry = table(true);
    let options = changed(&entry, body).expect("a right change").options;
    let overrides = options[options::OVERRIDES].clone().expect("overrides");
    let shown = Attributes::from([(options::OVERRIDES.to_owned(), overrides)]);
    let all = options::map(&shown, options::OVERRIDES).expect("a map");
    let of_eu = options::map(all, "eu").expect("one for the replica");
    assert_eq!(options::number(of_eu, options::READ), Some(7));
    for body in [
        r#""ReplicaUpdates":[]"#,
        r#""ReplicaUpdates":[{}]"#,
        r#""ReplicaUpdates":[{"Create":{}}]"#,
        r#""ReplicaUpdates":[{"Create":{"RegionName":"eu"},"Delete":{"RegionName":"eu"}}]"#,
        r#""MultiRegionConsistency":"SOMEHOW","DeletionProtectionEnabled":true"#,
    ] {
        let error = update(body).map_err(|error| error.kind);
        assert_eq!(error, Err(ErrorKind::Validation), "{body}");
    }
    let of = |action: &str| format!(r#"{{"{action}":{{"RegionName":"{action}"}}}}"#);
    let two = format!(r#""ReplicaUpdates":[{},{}]"#, of("Create"), of("Delete"));
    let message = "Update table operation with more than one create or delete replica actions not \
        allowed";
    let refused = changed(&entry, &two).map(|_| ()).map_err(|error| error.message);
    assert_eq!(refused, Err(message.to_owned()));
    let added = r#""ReplicaUpdates":[{"Create":{"RegionName":"a"}},{"Create":{"RegionName":"b"}}]"#;
    assert_eq!(update(added).map(|update| update.replicas.len()), Ok(2));
    let mode = r#""GlobalTableSettingsReplicationMode":"ENABLED_WITH_OVERRIDES""#;
    let refused = update(mode).map_err(|error| error.message).expect_err("refused");
    assert!(refused.ends_with("supported for a Regional Table."), "{refused}");
    let nothing = r#""ReplicaUpdates":[{"Update":{"RegionName":"eu"}}]"#;
    let message = "There are no actions specified in the Replica Update Action of the request.";
    assert_eq!(update(nothing).map_err(|error| error.message), Err(message.to_owned()));
    for (on_demand, given, word) in [
        (true, r#""ProvisionedThroughputOverride":{"ReadCapacityUnits":7}"#, "PAY_PER_REQUEST"),
        (false, r#""OnDemandThroughputOverride":{"MaxReadRequestUnits":7}"#, "PROVISIONED"),
    ] {
        let of = |action: &str| {
            format!(r#""ReplicaUpdates":[{{"{action}":{{"RegionName":"eu",{given}}}}}]"#)
        };
        let entry = table(on_demand);
        let refused = changed(&entry, &of("Update")).expect_err("not of such a table").message;
        assert!(refused.ends_with(&format!("BillingMode is {word}")), "{refused}");
        assert!(changed(&table(!on_demand), &of("Update")).is_ok());
        assert!(changed(&entry, &of("Create")).is_ok());
    }
    let Ok(Request::ListTables(list)) = decode(Operation::ListTables, b"{}") else {
        panic!("refused")
    };
    assert_eq!((list.start, list.limit), (None, 100));
}

#[test]
fn a_witness_is_of_a_table_that_is_consistent_in_several_regions() {
    let witness = |action: &str, region: &str| {
        format!(r#""GlobalTableWitnessUpdates":[{{"{action}":{{"RegionName":"{region}"}}}}]"#)
    };
    let strong = r#""MultiRegionConsistency":"STRONG","#;
    let replica = r#","ReplicaUpdates":[{"Create":{"RegionName":"eu"}}]"#;
    let alone = table(true);
    let create = witness("Create", "ap");
    let refused = |entry: &TableEntry, members: &str| {
        changed(entry, members).map(|_| ()).map_err(|error| error.message)
    };
    let only = format!(
        "{WRONG}A witness can be added to a global table of MultiRegionConsistency STRONG alone"
    );
    assert_eq!(refused(&alone, &create), Err(only.clone()));
    assert_eq!(refused(&alone, &format!("{create}{replica}")), Err(only));
    let made = changed(&alone, &format!("{strong}{create}{replica}")).expect("right");
    assert_eq!(made.options[options::WITNESS], Some(options::of_text("ap")));
    let mut consistent = alone.clone();
    for name in [options::CONSISTENCY, options::WITNESS] {
        let value = made.options[name].clone().expect("set");
        consistent.options.insert(name.to_owned(), value);
    }
    let none = format!("{WRONG}The global table has no witness in eu");
    assert_eq!(refused(&consistent, &witness("Delete", "eu")), Err(none));
    let one = format!("{WRONG}A global table has one witness at most");
    assert_eq!(refused(&consistent, &create), Err(one));
    assert_eq!(refused(&consistent, &witness("Delete", "ap")), Ok(()));
}

#[test]
fn a_table_that_is_consistent_in_several_regions_is_in_three() {
    let replicas = |action: &str, regions: &[&str]| {
        let all = regions.iter().map(|it| format!(r#"{{"{action}":{{"RegionName":"{it}"}}}}"#));
        format!(r#""ReplicaUpdates":[{}]"#, all.collect::<Vec<_>>().join(","))
    };
    let with = |mode: &str, more: &str| format!(r#""MultiRegionConsistency":"{mode}",{more}"#);
    let refused = |entry: &TableEntry, members: &str| {
        changed(entry, members).map(|_| ()).map_err(|error| error.message)
    };
    let alone = table(true);
    let mut strong = alone.clone();
    for regions in [&["eu"][..], &["eu", "ap", "sa"]] {
        let error = refused(&alone, &with("STRONG", &replicas("Create", regions)));
        assert!(error.is_err_and(|error| error.contains("exactly three Regions")));
    }
    let made = changed(&alone, &with("STRONG", &replicas("Create", &["eu", "ap"])));
    let consistency = made.expect("right").options[options::CONSISTENCY].clone();
    strong.options.insert(options::CONSISTENCY.to_owned(), consistency.expect("set"));
    strong.replicas = (1..=2)
        .filter_map(RegionSlot::new)
        .map(|slot| ReplicaSpec { slot, since: Hlc::ZERO })
        .collect();
    for members in [
        replicas("Create", &["sa"]),
        replicas("Delete", &["eu"]),
        with("STRONG", &replicas("Create", &["eu", "ap"])),
        with("EVENTUAL", &replicas("Create", &["sa"])),
    ] {
        assert!(refused(&strong, &members).is_err(), "{members}");
    }
    let left = changed(&strong, &replicas("Delete", &["eu", "ap"])).expect("both at once");
    assert_eq!(left.options[options::CONSISTENCY], None);
    let mut expiring = alone;
    expiring.ttl = Some("ends".to_owned());
    let members = with("STRONG", &replicas("Create", &["eu", "ap"]));
    assert!(refused(&expiring, &members).is_err_and(|error| error.contains("no Time to Live")));
}
