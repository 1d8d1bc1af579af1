"""What the API says of tables: indexes, updates, tags, expiry and what is only kept and shown."""

import json
import uuid

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from support import REGIONS, eventually

HOME, OTHER = REGIONS[:2]
KEYS = {
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"},
                             {"AttributeName": "sk", "AttributeType": "N"},
                             {"AttributeName": "by", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"},
                  {"AttributeName": "sk", "KeyType": "RANGE"}],
}
GLOBAL = {"IndexName": "by-by", "KeySchema": [{"AttributeName": "by", "KeyType": "HASH"}],
          "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["z", "a"]}}
LOCAL = {"IndexName": "local", "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"},
                                             {"AttributeName": "by", "KeyType": "RANGE"}],
         "Projection": {"ProjectionType": "KEYS_ONLY"}}


@pytest.fixture(scope="module")
def client(pangea):
    config = Config(retries={"total_max_attempts": 1}, parameter_validation=False)
    return boto3.client("dynamodb", region_name=HOME, endpoint_url=pangea.endpoint(HOME),
                        config=config)


@pytest.fixture
def table(client, table_name):
    """An on-demand table with both kinds of index."""
    made = client.create_table(TableName=table_name, **KEYS, BillingMode="PAY_PER_REQUEST",
                               GlobalSecondaryIndexes=[GLOBAL], LocalSecondaryIndexes=[LOCAL],
                               Tags=[{"Key": "team", "Value": "one"}])["TableDescription"]
    assert made["TableStatus"] == "CREATING"
    assert made["GlobalSecondaryIndexes"][0]["IndexStatus"] == "CREATING"
    ready(client, table_name)
    return table_name


def shown(client, table):
    return client.describe_table(TableName=table)["Table"]


def ready(client, table):
    def is_ready():
        now = shown(client, table)
        indexes = now.get("GlobalSecondaryIndexes", [])
        return now["TableStatus"] == "ACTIVE" and all(
            index["IndexStatus"] == "ACTIVE" for index in indexes)
    eventually(is_ready, f"{table} and its indexes")


def refused(call, **arguments):
    with pytest.raises(ClientError) as info:
        call(**arguments)
    error = info.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_table_shows_what_it_was_made_with(client, table):
    now = shown(client, table)
    arn = now["TableArn"]
    by = now["GlobalSecondaryIndexes"][0]
    assert [one["AttributeName"] for one in now["AttributeDefinitions"]] == ["by", "pk", "sk"]
    assert by["Projection"] == {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a", "z"]}
    assert by["IndexArn"] == f"{arn}/index/by-by"
    assert uuid.UUID(now["TableId"]).version == 4
    assert now["LocalSecondaryIndexes"][0]["KeySchema"] == LOCAL["KeySchema"]
    assert now["ProvisionedThroughput"]["ReadCapacityUnits"] == 0
    assert now["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert client.describe_table(TableName=arn)["Table"]["TableName"] == table
    gone = client.delete_table(TableName=arn)["TableDescription"]
    assert gone["TableStatus"] == "DELETING" and "KeySchema" not in gone
    code, message = refused(client.describe_table, TableName=table)
    assert code == "ResourceNotFoundException"
    assert message == f"Requested resource not found: Table: {table} not found"


def test_a_table_is_updated_one_thing_at_a_time(client, table):
    index = {"IndexName": "new", "KeySchema": [{"AttributeName": "sk", "KeyType": "HASH"}],
             "Projection": {"ProjectionType": "ALL"}}
    definitions = [{"AttributeName": "sk", "AttributeType": "N"}]
    answer = client.update_table(TableName=table, AttributeDefinitions=definitions,
                                 GlobalSecondaryIndexUpdates=[{"Create": index}])
    assert answer["TableDescription"]["TableStatus"] == "UPDATING"
    ready(client, table)
    client.update_table(TableName=table,
                        GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "new"}}])
    assert len(shown(client, table)["GlobalSecondaryIndexes"]) == 1
    ready(client, table)

    stream = {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}
    client.update_table(TableName=table, StreamSpecification=stream)
    ready(client, table)
    label = shown(client, table)["LatestStreamLabel"]
    code, message = refused(client.update_table, TableName=table, StreamSpecification=stream)
    assert message == f"Table already has an enabled stream: TableName: {table}"
    client.update_table(TableName=table, StreamSpecification={"StreamEnabled": False})
    ready(client, table)
    now = shown(client, table)
    assert "StreamSpecification" not in now and now["LatestStreamLabel"] == label

    client.update_table(TableName=table, TableClass="STANDARD_INFREQUENT_ACCESS")
    ready(client, table)
    client.update_table(TableName=table, SSESpecification={"Enabled": True})
    client.update_table(TableName=table, OnDemandThroughput={"MaxReadRequestUnits": 7})
    client.update_table(TableName=table, DeletionProtectionEnabled=True)
    now = shown(client, table)
    assert now["TableClassSummary"]["TableClass"] == "STANDARD_INFREQUENT_ACCESS"
    assert now["SSEDescription"]["SSEType"] == "KMS"
    assert now["OnDemandThroughput"] == {"MaxReadRequestUnits": 7}
    none = {"MaxReadRequestUnits": -1, "MaxWriteRequestUnits": -1}
    told = client.update_table(TableName=table, OnDemandThroughput=none)["TableDescription"]
    assert told["OnDemandThroughput"] == none
    assert "OnDemandThroughput" not in shown(client, table)
    code, message = refused(client.delete_table, TableName=table)
    assert code == "ValidationException" and "protected against deletion" in message
    client.update_table(TableName=table, DeletionProtectionEnabled=False)


def test_a_batch_with_an_item_that_fits_no_index_is_not_begun(client, table):
    def put(key, by):
        return {"PutRequest": {"Item": {"pk": {"S": key}, "sk": {"N": "1"}, "by": by}}}

    code, message = refused(client.batch_write_item, RequestItems={
        table: [put("right", {"S": "x"}), put("wrong", {"N": "1"})]})
    assert code == "ValidationException" and "Type mismatch for Index Key by" in message
    empty = {"pk": {"S": "a"}, "sk": {"N": "1"}, "by": {"S": ""}}
    code, message = refused(client.transact_write_items,
                            TransactItems=[{"Put": {"TableName": table, "Item": empty}}])
    assert code == "ValidationException" and message.endswith("IndexName: by-by, IndexKey: by")
    assert client.scan(TableName=table)["Count"] == 0


def test_tags_and_expiry(client, table):
    arn = shown(client, table)["TableArn"]
    client.tag_resource(ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}])
    client.untag_resource(ResourceArn=arn, TagKeys=["team", "never"])
    assert client.list_tags_of_resource(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "1"}]
    code, _ = refused(client.tag_resource, ResourceArn=arn + "x", Tags=[{"Key": "a", "Value": ""}])
    assert code == "ResourceNotFoundException"
    for nobodys, error in (("arn:aws:s3:::bucket", "AccessDeniedException"),
                           (arn.replace(HOME, "mars-north-1"), "ValidationException")):
        tagged = {"ResourceArn": nobodys, "Tags": [{"Key": "a", "Value": ""}]}
        assert refused(client.tag_resource, **tagged)[0] == error
    many = [{"Key": str(n), "Value": ""} for n in range(50)]
    code, message = refused(client.tag_resource, ResourceArn=arn, Tags=many)
    assert message == "Number of Tags exceed the current limit for the provided ResourceArn"

    ends = {"Enabled": True, "AttributeName": "ends"}
    client.update_time_to_live(TableName=table, TimeToLiveSpecification=ends)
    described = client.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    assert described == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ends"}
    _, message = refused(client.update_time_to_live, TableName=table, TimeToLiveSpecification=ends)
    assert message == "TimeToLive is already enabled"
    other = {"Enabled": False, "AttributeName": "other"}
    _, message = refused(client.update_time_to_live, TableName=table, TimeToLiveSpecification=other)
    assert message.endswith("current AttributeName is ends")
    never = {"Enabled": False, "AttributeName": "ends"}
    assert refused(client.update_time_to_live, TableName=table, TimeToLiveSpecification=never) \
        == ("ValidationException",
            "Time to live has been modified multiple times within a fixed interval")


def kinds(insights):
    """Of the rules of contributor insights, whose names end in a time."""
    rules = [rule.split("-") for rule in insights["ContributorInsightsRuleList"]]
    assert all(rule[0] == "DynamoDBContributorInsights" and int(rule[-1]) > 0 for rule in rules)
    return [rule[1] for rule in rules]


def test_what_is_only_kept_is_shown(client, table):
    arn = shown(client, table)["TableArn"]
    assert refused(client.get_resource_policy, ResourceArn=arn)[0] == "PolicyNotFoundException"
    policy = json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "dynamodb:GetItem", "Resource": arn}]})
    _, message = refused(client.create_table, TableName=f"{table}-2", **KEYS, ResourcePolicy="{",
                         BillingMode="PAY_PER_REQUEST", LocalSecondaryIndexes=[LOCAL])
    assert message.endswith("Invalid policy document: This policy contains invalid Json")
    _, message = refused(client.put_resource_policy, ResourceArn=arn,
                         Policy='{"Version":"2012-10-17","Statement":[]}')
    assert message.endswith("Could not parse the policy: Statement is empty!")
    elsewhere = arn.replace(HOME, "xx-nowhere-9")
    _, message = refused(client.put_resource_policy, ResourceArn=elsewhere, Policy=policy)
    assert message.endswith(f"Invalid resource Arn: {elsewhere}")
    revision = client.put_resource_policy(ResourceArn=arn, Policy=policy)["RevisionId"]
    assert client.get_resource_policy(ResourceArn=arn)["RevisionId"] == revision
    same = json.dumps(json.loads(policy), indent=2)
    assert client.put_resource_policy(ResourceArn=arn, Policy=same)["RevisionId"] == revision
    kept = client.get_resource_policy(ResourceArn=arn)["Policy"]
    assert kept == json.dumps(json.loads(policy), separators=(",", ":"))
    code, _ = refused(client.delete_resource_policy, ResourceArn=arn, ExpectedRevisionId="1")
    assert code == "PolicyNotFoundException"
    assert client.delete_resource_policy(ResourceArn=arn)["RevisionId"] == revision
    never = f"{arn}/stream/2020-01-01T00:00:00.000"
    for call, more in (client.put_resource_policy, {"Policy": policy}), \
            (client.get_resource_policy, {}), (client.delete_resource_policy, {}):
        code, message = refused(call, ResourceArn=never, **more)
        assert code == "ResourceNotFoundException"
        assert message.endswith(f"Stream: 2020-01-01T00:00:00.000 not found for Table: {table}")

    watch = client.update_contributor_insights
    code, message = refused(watch, TableName=table, IndexName="local",
                            ContributorInsightsAction="ENABLE")
    assert code == "ResourceNotFoundException"
    assert message.endswith(f"Index: local not found for table: {table}")
    never = watch(TableName=table, ContributorInsightsAction="DISABLE")
    assert never["ContributorInsightsStatus"] == "DISABLED", "nothing begins"
    for status in "ENABLING", "ENABLED":
        told = watch(TableName=table, IndexName="by-by", ContributorInsightsAction="ENABLE")
        assert told["ContributorInsightsStatus"] == status
    status = client.describe_contributor_insights(TableName=table, IndexName="by-by")
    assert status["ContributorInsightsStatus"] == "ENABLED"
    assert kinds(status) == ["PKC", "PKT"]
    client.update_contributor_insights(TableName=table, ContributorInsightsAction="ENABLE")
    status = client.describe_contributor_insights(TableName=table)
    assert kinds(status) == ["PKC", "SKC", "PKT", "SKT"]
    client.update_contributor_insights(TableName=table, ContributorInsightsAction="ENABLE",
                                       ContributorInsightsMode="THROTTLED_KEYS")
    status = client.describe_contributor_insights(TableName=table)
    assert kinds(status) == ["PKT", "SKT"]
    listed, more = [], {}
    while more is not None:
        page = client.list_contributor_insights(TableName=table, MaxResults=1, **more)
        listed += [one.get("IndexName") for one in page["ContributorInsightsSummaries"]]
        more = {"NextToken": page["NextToken"]} if "NextToken" in page else None
    assert listed == [None, "by-by"]
    watch(TableName=table, ContributorInsightsAction="DISABLE")
    listed = client.list_contributor_insights(TableName=table)["ContributorInsightsSummaries"]
    assert [one.get("IndexName") for one in listed] == ["by-by"], "what is off is in no list"

    stream = "arn:aws:kinesis:us-east-1:000000000000:stream/changes"
    client.enable_kinesis_streaming_destination(TableName=table, StreamArn=stream)
    [sent] = client.describe_kinesis_streaming_destination(
        TableName=table)["KinesisDataStreamDestinations"]
    assert (sent["StreamArn"], sent["DestinationStatus"]) == (stream, "ACTIVE")

    past = {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 3}
    client.update_continuous_backups(TableName=table, PointInTimeRecoverySpecification=past)
    kept = client.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    assert kept["PointInTimeRecoveryDescription"]["RecoveryPeriodInDays"] == 3
    code, _ = refused(client.describe_continuous_backups, TableName=table + "x")
    assert code == "TableNotFoundException"

    assert client.describe_limits()["TableMaxReadCapacityUnits"] == 40_000
    assert client.describe_endpoints()["Endpoints"][0]["CachePeriodInMinutes"] > 0
    export = f"{arn}/export/01695097218000-d6299cbd"
    assert refused(client.describe_export, ExportArn=export)[0] == "ExportNotFoundException"


def test_the_home_region_changes_a_table_for_another(pangea, client, global_table):
    other = pangea.client(OTHER)
    other.update_table(TableName=global_table, DeletionProtectionEnabled=True)
    assert shown(client, global_table)["DeletionProtectionEnabled"] is True
    other.update_table(TableName=global_table, DeletionProtectionEnabled=False)


def test_replicas_are_changed_where_they_are(client, table):
    change = {"Update": {"RegionName": OTHER, "TableClassOverride": "STANDARD"}}
    for update in change, {"Delete": {"RegionName": OTHER}}:
        code, message = refused(client.update_table, TableName=table, ReplicaUpdates=[update])
        assert code == "ValidationException" and message.endswith(f"these replicas: [{OTHER}].")
    two = [{"Delete": {"RegionName": region}} for region in REGIONS[1:]]
    code, message = refused(client.update_table, TableName=table, ReplicaUpdates=two)
    assert code == "ValidationException" and "more than one create or delete" in message
    client.update_table(TableName=table, ReplicaUpdates=[{"Create": {"RegionName": OTHER}}])
    code, message = refused(client.update_table, TableName=table,
                            ReplicaUpdates=[{"Create": {"RegionName": OTHER}}])
    assert code == "ValidationException" and "already existed as tables" in message
    client.update_table(TableName=table, ReplicaUpdates=[change])


def test_a_replica_is_deleted_where_it_is(pangea, client, table):
    pangea.add_replica(table, OTHER)
    other = pangea.client(OTHER)
    client.update_table(TableName=table, DeletionProtectionEnabled=True)
    eventually(lambda: shown(other, table)["DeletionProtectionEnabled"], "the protection")
    assert refused(other.delete_table, TableName=table)[0] == "ValidationException"
    client.update_table(TableName=table, DeletionProtectionEnabled=False)
    eventually(lambda: not shown(other, table)["DeletionProtectionEnabled"], "its end")
    told = other.delete_table(TableName=table)["TableDescription"]
    assert (told["TableStatus"], told["TableArn"].split(":")[3]) == ("DELETING", OTHER)
    other.get_waiter("table_not_exists").wait(TableName=table, WaiterConfig={"Delay": 1})
    eventually(lambda: not shown(client, table).get("Replicas"), "a table of one region")


def test_a_global_table_is_one_of_2017_too(pangea, client, global_table):
    group = client.describe_global_table(
        GlobalTableName=global_table)["GlobalTableDescription"]["ReplicationGroup"]
    assert {one["RegionName"] for one in group} == set(REGIONS)
    listed = client.list_global_tables(RegionName=OTHER)["GlobalTables"]
    assert global_table in [one["GlobalTableName"] for one in listed]
    code, _ = refused(client.create_global_table, GlobalTableName=global_table,
                      ReplicationGroup=[{"RegionName": OTHER}])
    assert code == "GlobalTableAlreadyExistsException"
    code, _ = refused(client.describe_global_table, GlobalTableName="nothing")
    assert code == "GlobalTableNotFoundException"


def test_transfers_fail_for_want_of_a_bucket(client, table):
    arn = shown(client, table)["TableArn"]
    export = {"TableArn": arn, "S3Bucket": "nowhere", "ClientToken": table}
    code, _ = refused(client.export_table_to_point_in_time, **export)
    assert code == "PointInTimeRecoveryUnavailableException"
    past = {"PointInTimeRecoveryEnabled": True}
    client.update_continuous_backups(TableName=table, PointInTimeRecoverySpecification=past)
    began = client.export_table_to_point_in_time(**export)["ExportDescription"]
    assert (began["ExportStatus"], began["ExportFormat"]) == ("IN_PROGRESS", "DYNAMODB_JSON")
    told = client.describe_export(ExportArn=began["ExportArn"])["ExportDescription"]
    assert (told["ExportStatus"], told["FailureCode"]) == ("FAILED", "S3NoSuchBucket")
    code, _ = refused(client.export_table_to_point_in_time, **{**export, "S3Bucket": "else"})
    assert code == "ExportConflictException"
    again = client.export_table_to_point_in_time(**export)["ExportDescription"]
    assert again["ExportArn"] == began["ExportArn"]
    for more in {"ExportTime": 1}, {"ExportTime": 4_000_000_000}, {
            "ExportType": "INCREMENTAL_EXPORT",
            "IncrementalExportSpecification": {"ExportFromTime": 1}}:
        code, _ = refused(client.export_table_to_point_in_time, TableArn=arn, S3Bucket="nowhere",
                          **more)
        assert code == "InvalidExportTimeException"
    [summary] = client.list_exports(TableArn=arn)["ExportSummaries"]
    assert (summary["ExportArn"], summary["ExportType"]) == (began["ExportArn"], "FULL_EXPORT")
    assert "ExportType" not in told, "only lists tell of a type that was not asked for"

    new = {"TableName": f"{table}-2", **KEYS, "BillingMode": "PAY_PER_REQUEST"}
    new["AttributeDefinitions"] = KEYS["AttributeDefinitions"][:2]
    imported = {"S3BucketSource": {"S3Bucket": "nowhere"}, "InputFormat": "ION",
                "TableCreationParameters": new}
    began = client.import_table(**imported)["ImportTableDescription"]
    told = client.describe_import(ImportArn=began["ImportArn"])["ImportTableDescription"]
    assert (told["ImportStatus"], told["FailureCode"]) == ("FAILED", "S3NoSuchBucket")
    assert told["TableCreationParameters"] == new
    client.import_table(**imported)
    page = client.list_imports(PageSize=1)
    assert len(page["ImportSummaryList"]) == 1 and len(page["NextToken"]) >= 112
    assert client.list_imports(NextToken=page["NextToken"])["ImportSummaryList"]
    new["TableName"] = table
    assert refused(client.import_table, **imported)[0] == "ResourceInUseException"


def test_a_table_is_not_made_from_another_one(client, table):
    code, message = refused(client.create_table, TableName=f"{table}-2", **KEYS,
                            GlobalTableSourceArn=shown(client, table)["TableArn"])
    assert code == "ValidationException" and "GlobalTableSourceArn" in message


def test_bulk_writes_fail_for_want_of_a_bucket(client, table):
    assert client.list_bulk_operations()["BulkOperationsSummaryList"] == []
    began = client.start_bulk_put_items(
        TableName=table, OutputS3Configuration={"S3Bucket": "nowhere", "OutputType": ["ERROR"]},
        InputS3Configuration={"S3Bucket": "nowhere", "InputFormat": "ION"})
    bulk = {"BulkOperationArn": began["BulkOperationDescription"]["BulkOperationArn"]}
    told = client.describe_bulk_operation(**bulk)["BulkOperationDescription"]
    assert (told["BulkOperationStatus"], told["PerformanceTier"]) == ("FAILED", "STANDARD")
    assert client.cancel_bulk_operation(**bulk)["BulkOperationStatus"] == "FAILED"
    [listed] = client.list_bulk_operations()["BulkOperationsSummaryList"]
    assert listed["BulkOperationArn"] == bulk["BulkOperationArn"]
    code, _ = refused(client.describe_bulk_operation, BulkOperationArn=f"{HOME:x<40}")
    assert code == "ValidationException"


def test_a_table_is_named_by_the_arn_of_a_region_that_there_is(client, table):
    arn = shown(client, table)["TableArn"]
    asks = [client.describe_table, client.describe_time_to_live,
            client.describe_continuous_backups, client.describe_contributor_insights]
    for ask in asks:
        ask(TableName=arn)
        ask(TableName=arn.replace(REGIONS[0], OTHER))
        wrong = arn.replace(REGIONS[0], "xx-nowhere-9")
        assert refused(ask, TableName=wrong) == (
            "ValidationException",
            f"1 validation error detected: Invalid AWS region in '{wrong}'")


def test_an_answer_names_a_table_as_the_request_did(client, table):
    arn = shown(client, table)["TableArn"]
    key = {"pk": {"S": "k"}, "sk": {"N": "1"}}
    told = client.put_item(TableName=arn, Item=key, ReturnConsumedCapacity="TOTAL")
    assert told["ConsumedCapacity"]["TableName"] == arn
    told = client.batch_get_item(RequestItems={arn: {"Keys": [key]}}, ReturnConsumedCapacity="TOTAL")
    assert told["Responses"] == {arn: [key]} and told["ConsumedCapacity"][0]["TableName"] == arn


def test_an_answer_shows_what_is_being_done(client, table, table_name):
    made = client.create_table(
        TableName=f"{table_name}-2", **KEYS, BillingMode="PAY_PER_REQUEST",
        GlobalSecondaryIndexes=[GLOBAL], SSESpecification={"Enabled": True})["TableDescription"]
    [index] = made["GlobalSecondaryIndexes"]
    assert "WarmThroughput" not in made and not {"Backfilling", "WarmThroughput"} & set(index)
    changed = client.update_table(TableName=made["TableName"], SSESpecification={"Enabled": False})
    assert changed["TableDescription"]["SSEDescription"]["Status"] == "UPDATING"
    assert "SSEDescription" not in shown(client, made["TableName"])
    gone = client.delete_table(TableName=made["TableName"])["TableDescription"]
    assert "WarmThroughput" not in gone
    code, message = refused(client.enable_kinesis_streaming_destination, TableName=table,
                            StreamArn="arn:aws:dynamodb:us-east-1:000000000000:stream/changes")
    assert (code, message[:26]) == ("ValidationException", "Invalid Kinesis stream ARN")


def test_decreases_of_capacity_are_counted(client, table_name):
    def capacity(read, write):
        return {"ReadCapacityUnits": read, "WriteCapacityUnits": write}

    client.create_table(TableName=table_name, **KEYS, ProvisionedThroughput=capacity(5, 5),
                        GlobalSecondaryIndexes=[{**GLOBAL, "ProvisionedThroughput": capacity(5, 5)}])
    for read, decreases in ((4, 1), (3, 2), (8, 2)):
        index = {"IndexName": GLOBAL["IndexName"], "ProvisionedThroughput": capacity(read, 5)}
        client.update_table(TableName=table_name, ProvisionedThroughput=capacity(read, 5),
                            GlobalSecondaryIndexUpdates=[{"Update": index}])
        ready(client, table_name)
        now = shown(client, table_name)
        for one in (now, now["GlobalSecondaryIndexes"][0]):
            told = one["ProvisionedThroughput"]
            assert told["NumberOfDecreasesToday"] == decreases and "LastDecreaseDateTime" in told
            assert ("LastIncreaseDateTime" in told) == (read == 8)
    for read in (7, 6):
        client.update_table(TableName=table_name, ProvisionedThroughput=capacity(read, 5))
        ready(client, table_name)
    code, message = refused(client.update_table, TableName=table_name,
                            ProvisionedThroughput=capacity(5, 5))
    assert code == "LimitExceededException"
    assert "After the first 4 decreases" in message
    assert "Number of decreases today: 4. Last decrease at " in message
    assert message.endswith("Coordinated Universal Time")
    assert shown(client, table_name)["ProvisionedThroughput"]["ReadCapacityUnits"] == 6
    client.update_table(TableName=table_name, ProvisionedThroughput=capacity(9, 5))
    ready(client, table_name)
    client.delete_table(TableName=table_name)


def test_what_is_warm_stays_warm(client, table_name):
    def capacity(units):
        return {"ReadCapacityUnits": units, "WriteCapacityUnits": units}

    def warm():
        ready(client, table_name)
        told = shown(client, table_name)["WarmThroughput"]
        return told["ReadUnitsPerSecond"], told["WriteUnitsPerSecond"]

    client.create_table(TableName=table_name, **KEYS, ProvisionedThroughput=capacity(3),
                        LocalSecondaryIndexes=[LOCAL])
    assert warm() == (3, 3)
    client.update_table(TableName=table_name, ProvisionedThroughput=capacity(2))
    assert warm() == (3, 3)
    client.update_table(TableName=table_name, BillingMode="PAY_PER_REQUEST")
    assert warm() == (12_000, 4_000)
    client.update_table(TableName=table_name, BillingMode="PROVISIONED",
                        ProvisionedThroughput=capacity(1))
    assert warm() == (12_000, 4_000)
    client.delete_table(TableName=table_name)


def test_scaling_is_kept_and_shown(client, table_name):
    units = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
    client.create_table(TableName=table_name, **KEYS, ProvisionedThroughput=units,
                        GlobalSecondaryIndexes=[{**GLOBAL, "ProvisionedThroughput": units}])
    index = GLOBAL["IndexName"]
    for name in table_name, "nobody":
        assert refused(client.describe_table_replica_auto_scaling, TableName=name) == (
            "ResourceNotFoundException", f"Global table with name: '{name}' does not exist.")
    client.create_global_table(GlobalTableName=table_name,
                               ReplicationGroup=[{"RegionName": HOME}])
    off = {"AutoScalingDisabled": True, "ScalingPolicies": []}

    def scaling(call=client.describe_table_replica_auto_scaling, **arguments):
        told = call(TableName=table_name, **arguments)["TableAutoScalingDescription"]
        [replica] = told["Replicas"]
        [of_index] = replica["GlobalSecondaryIndexes"]
        table = "ReplicaProvisioned{}CapacityAutoScalingSettings"
        of = "Provisioned{}CapacityAutoScalingSettings"
        return [shown[name.format(what)] for shown, name in ((replica, table), (of_index, of))
                for what in ("Read", "Write")]

    assert scaling() == [off] * 4
    policy = {"TargetTrackingScalingPolicyConfiguration": {"TargetValue": 70.0}}
    set_them = {
        "ProvisionedWriteCapacityAutoScalingUpdate": {
            "MinimumUnits": 1, "MaximumUnits": 10, "ScalingPolicyUpdate": policy},
        "ReplicaUpdates": [{"RegionName": HOME, "ReplicaGlobalSecondaryIndexUpdates": [{
            "IndexName": index, "ProvisionedReadCapacityAutoScalingUpdate": {
                "MinimumUnits": 2, "MaximumUnits": 20}}]}]}
    told = scaling(client.update_table_replica_auto_scaling, **set_them)
    assert told == scaling()
    assert (told[0], told[3]) == (off, off)
    [shown_policy] = told[1].pop("ScalingPolicies")
    assert told[1].pop("AutoScalingRoleArn").endswith("ApplicationAutoScaling_DynamoDBTable")
    assert told[1] == {"MinimumUnits": 1, "MaximumUnits": 10}
    assert shown_policy == {
        "PolicyName": f"DynamoDBWriteCapacityUtilization:table/{table_name}", **policy}
    assert (told[2]["MinimumUnits"], told[2]["ScalingPolicies"]) == (2, [])

    # What is not named stays.
    more = {"ProvisionedWriteCapacityAutoScalingUpdate": {"MaximumUnits": 30}}
    told = scaling(client.update_table_replica_auto_scaling, **more)
    assert (told[1]["MinimumUnits"], told[1]["MaximumUnits"]) == (1, 30)
    assert told[1]["ScalingPolicies"] == [shown_policy]
    change = client.update_table_replica_auto_scaling
    nothing = {"IndexName": "nothing",
               "ProvisionedWriteCapacityAutoScalingUpdate": {"MaximumUnits": 30}}
    assert refused(change, TableName=table_name, GlobalSecondaryIndexUpdates=[nothing])[0] \
        == "ResourceNotFoundException"
    elsewhere = {"RegionName": OTHER, "ReplicaProvisionedReadCapacityAutoScalingUpdate": {}}
    assert refused(change, TableName=table_name, ReplicaUpdates=[elsewhere])[0] \
        == "ValidationException"
    client.delete_table(TableName=table_name)


def test_settings_of_a_global_table_are_those_of_its_table(client, table_name):
    client.create_table(TableName=table_name, **KEYS, BillingMode="PAY_PER_REQUEST",
                        GlobalSecondaryIndexes=[GLOBAL])
    client.create_global_table(GlobalTableName=table_name,
                               ReplicationGroup=[{"RegionName": HOME}])
    change = client.update_global_table_settings
    units = {"GlobalTableProvisionedWriteCapacityUnits": 7}
    code, message = refused(change, GlobalTableName=table_name, **units)
    assert code == "ValidationException" and message.endswith("is PAY_PER_REQUEST")
    code, message = refused(change, GlobalTableName=table_name,
                            GlobalTableBillingMode="PROVISIONED")
    assert code == "ValidationException" and message.endswith("is PROVISIONED")
    told = change(GlobalTableName=table_name, GlobalTableBillingMode="PROVISIONED", **units)
    assert told["ReplicaSettings"][0]["ReplicaProvisionedWriteCapacityUnits"] == 7
    table = shown(client, table_name)
    assert table["BillingModeSummary"]["BillingMode"] == "PROVISIONED"
    for one in table, table["GlobalSecondaryIndexes"][0]:
        assert one["ProvisionedThroughput"]["WriteCapacityUnits"] == 7
    change(GlobalTableName=table_name, GlobalTableBillingMode="PAY_PER_REQUEST")
    table = shown(client, table_name)
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert table["ProvisionedThroughput"]["WriteCapacityUnits"] == 0
    client.delete_table(TableName=table_name)


def test_capacity_ends_at_the_quota(client, table_name):
    most = client.describe_limits()["TableMaxReadCapacityUnits"]
    limits = {"MaxReadRequestUnits": most + 1, "MaxWriteRequestUnits": 1}
    on_demand = {"TableName": table_name, **KEYS, "BillingMode": "PAY_PER_REQUEST",
                 "GlobalSecondaryIndexes": [GLOBAL]}
    told = ("LimitExceededException",
            "Subscriber limit exceeded: Requested MaxReadRequestUnits for OnDemandThroughput for "
            f"table exceeds TableMaxReadCapacityUnits of the account in region {HOME}")
    assert refused(client.create_table, **on_demand, OnDemandThroughput=limits) == told
    limits["MaxReadRequestUnits"] = most
    client.create_table(**on_demand, OnDemandThroughput=limits)
    limits["MaxReadRequestUnits"] = most + 1
    assert refused(client.update_table, TableName=table_name, OnDemandThroughput=limits) == told
    units = {"ReadCapacityUnits": 1, "WriteCapacityUnits": most + 1}
    code, message = refused(client.create_table, TableName=f"{table_name}-2", **KEYS,
                            ProvisionedThroughput={**units, "WriteCapacityUnits": 1},
                            GlobalSecondaryIndexes=[{**GLOBAL, "ProvisionedThroughput": units}])
    assert code == "LimitExceededException" and f"index: {GLOBAL['IndexName']} " in message
    client.delete_table(TableName=table_name)
