"""What takes a while on the service, whose a table is, and in which regions it may be."""

import threading
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from botocore.config import Config

from support import REGIONS, eventually, unhurried
from test_table_api import KEYS, LOCAL, ready, refused, shown

HOME, OTHER, THIRD = REGIONS
UNITS = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
ONE = {"AttributeDefinitions": KEYS["AttributeDefinitions"][:1], "KeySchema": KEYS["KeySchema"][:1]}
IN_USE = "Attempt to change a resource which is still in use: "
# Less than a table is being updated at least.
MOMENT_S = 0.4


def made(pangea, service):
    config = Config(retries={"total_max_attempts": 1}, parameter_validation=False)
    return boto3.client(service, region_name=HOME, endpoint_url=pangea.endpoint(HOME),
                        config=config)


@pytest.fixture(scope="module")
def client(pangea):
    return made(pangea, "dynamodb")


@pytest.fixture
def table(client, table_name):
    client.create_table(TableName=table_name, **ONE, BillingMode="PAY_PER_REQUEST")
    return table_name


def index(action="Create", name="new"):
    """Arguments that make an index, or take it away."""
    given = {"IndexName": name}
    if action == "Create":
        given |= {"KeySchema": [{"AttributeName": "by", "KeyType": "HASH"}],
                  "Projection": {"ProjectionType": "ALL"}}
    return {"AttributeDefinitions": [{"AttributeName": "by", "AttributeType": "S"}],
            "GlobalSecondaryIndexUpdates": [{action: given}]}


def test_a_table_that_is_being_updated_is_not_changed(client, table):
    busy = ("ResourceInUseException", f"{IN_USE}Table is being updated: {table}")
    read = 5

    def look():
        nonlocal read
        ready(client, table)
        read += 1
        client.update_table(TableName=table, BillingMode="PROVISIONED",
                            ProvisionedThroughput={**UNITS, "ReadCapacityUnits": read})
        assert shown(client, table)["TableStatus"] == "UPDATING"
        more = {"ProvisionedThroughput": {**UNITS, "ReadCapacityUnits": 99}}
        assert refused(client.update_table, TableName=table, **more) == busy
        assert refused(client.update_table, TableName=table, **index()) == busy
        assert refused(client.delete_table, TableName=table) == busy
        client.update_table(TableName=table, DeletionProtectionEnabled=False)

    unhurried(MOMENT_S, look)
    client.put_item(TableName=table, Item={"pk": {"S": "while it is being updated"}})
    ready(client, table)
    assert shown(client, table)["ProvisionedThroughput"]["ReadCapacityUnits"] == read
    stream = {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}
    client.update_table(TableName=table, StreamSpecification=stream)
    ready(client, table)
    client.delete_table(TableName=table)


def test_of_changes_at_one_instant_one_is_made(pangea, client, table):
    """Each is checked against what the one before made of the table."""
    stock = [made(pangea, "dynamodb") for _ in range(8)]
    units = 0

    def look():
        nonlocal units
        ready(client, table)
        start = threading.Barrier(len(stock))

        def change(read, client):
            start.wait()
            try:
                client.update_table(TableName=table, BillingMode="PROVISIONED",
                                    ProvisionedThroughput={**UNITS, "ReadCapacityUnits": read})
            except client.exceptions.ResourceInUseException:
                return None
            return read

        asked = range(units + 1, units + 1 + len(stock))
        units = asked[-1]
        with ThreadPoolExecutor(len(stock)) as pool:
            done = [it for it in pool.map(change, asked, stock) if it]
        assert done == [shown(client, table)["ProvisionedThroughput"]["ReadCapacityUnits"]]

    for _ in range(10):
        unhurried(MOMENT_S, look)


def test_what_a_table_is_already_begins_nothing(client, table):
    ready(client, table)
    for change in {"BillingMode": "PAY_PER_REQUEST"}, {"TableClass": "STANDARD"}:
        told = client.update_table(TableName=table, **change)["TableDescription"]
        assert told["TableStatus"] == "UPDATING"
        assert shown(client, table)["TableStatus"] == "ACTIVE"


def test_one_index_is_made_or_taken_away_at_a_time(client, table):
    limit = ("LimitExceededException",
             "Subscriber limit exceeded: Only 1 online index can be created or deleted "
             "simultaneously per table")

    def shows(count):
        now = shown(client, table)
        indexes = now.get("GlobalSecondaryIndexes", [])
        assert len(indexes) == count
        return now["TableStatus"], [(it["IndexStatus"], it.get("Backfilling")) for it in indexes]

    def alone(wanted):
        """Takes away what a look on a busy machine left, or makes the one that is wanted."""
        ready(client, table)
        names = [it["IndexName"] for it in shown(client, table).get("GlobalSecondaryIndexes", [])]
        for name in names:
            if name not in wanted:
                client.update_table(TableName=table, **index("Delete", name))
                ready(client, table)
        for name in wanted:
            if name not in names:
                client.update_table(TableName=table, **index(name=name))
                ready(client, table)

    def look():
        alone([])
        client.update_table(TableName=table, **index())
        assert shows(1) == ("UPDATING", [("CREATING", False)])
        assert refused(client.update_table, TableName=table, **index(name="other")) == limit
        assert refused(client.update_table, TableName=table, **index("Delete")) == (
            "ResourceInUseException", f"{IN_USE}Index creation is in resource allocation phase. "
            "Retry deletion during backfilling phase or when the index is active. "
            f"Table: {table} Index: new")
        assert refused(client.delete_table, TableName=table)[0] == "ResourceInUseException"
        code, message = refused(
            client.query, TableName=table, IndexName="new", KeyConditionExpression="#b = :b",
            ExpressionAttributeNames={"#b": "by"}, ExpressionAttributeValues={":b": {"S": "x"}})
        assert (code, message) == ("ValidationException",
                                   "Cannot read from backfilling global secondary index: new")
        code, message = refused(client.execute_statement,
                                Statement=f"""SELECT * FROM "{table}"."new" WHERE "by" = 'x'""")
        assert (code, message) == ("ValidationException",
                                   "Cannot read from backfilling global secondary index: new")

    unhurried(MOMENT_S, look)
    ready(client, table)
    assert shows(1) == ("ACTIVE", [("ACTIVE", None)])

    def gone():
        alone(["new"])
        client.update_table(TableName=table, **index("Delete"))
        assert shows(0) == ("UPDATING", [])
        assert refused(client.update_table, TableName=table, **index(name="other")) == limit

    unhurried(MOMENT_S, gone)
    alone(["other"])
    client.delete_table(TableName=table)


def test_what_belongs_to_another_account_is_not_for_everybody(client, table):
    arn = shown(client, table)["TableArn"]
    foreign = arn.replace("000000000000", "123456789012")

    def denied(operation, **arguments):
        call = getattr(client, operation)
        code, message = refused(call, **arguments)
        assert code == "AccessDeniedException"
        name = client.meta.method_to_api_mapping[operation]
        assert message.endswith(f" is not authorized to perform: dynamodb:{name} on resource: "
                                f"{foreign} because no resource-based policy allows the "
                                f"dynamodb:{name} action")

    denied("tag_resource", ResourceArn=foreign, Tags=[{"Key": "a", "Value": ""}])
    denied("untag_resource", ResourceArn=foreign, TagKeys=["a"])
    for operation in "list_tags_of_resource", "get_resource_policy", "delete_resource_policy":
        denied(operation, ResourceArn=foreign)
    for operation in ("describe_table", "delete_table", "describe_time_to_live",
                      "describe_continuous_backups", "describe_contributor_insights"):
        denied(operation, TableName=foreign)
    denied("update_table", TableName=foreign, DeletionProtectionEnabled=True)
    denied("create_backup", TableName=foreign, BackupName="kept")
    denied("export_table_to_point_in_time", TableArn=foreign, S3Bucket="nowhere")
    denied("restore_table_to_point_in_time", SourceTableArn=foreign, TargetTableName="restored",
           UseLatestRestorableTime=True)
    assert shown(client, table)["DeletionProtectionEnabled"] is False
    assert client.list_tags_of_resource(ResourceArn=arn)["Tags"] == []


def test_pages_begin_where_a_page_ended(client, pangea):
    code, message = refused(client.list_contributor_insights, NextToken="nothing")
    assert code == "ValidationException" and message.endswith("nextToken is invalid: nothing")
    streams = made(pangea, "dynamodbstreams")
    arn = f"arn:aws:dynamodb:{HOME}:000000000000:table/music"
    code, message = refused(streams.list_streams, TableName=arn)
    assert code == "ValidationException" and "regular expression pattern" in message


def change(table, action="Create", witness=None, replicas=(), **more):
    """Arguments that add regions, or take them away."""
    given = {"TableName": table, **more}
    if witness:
        given["GlobalTableWitnessUpdates"] = [{action: {"RegionName": witness}}]
    if replicas:
        given["ReplicaUpdates"] = [{action: {"RegionName": name}} for name in replicas]
    return given


STRONG = {"MultiRegionConsistency": "STRONG"}


def test_a_witness_is_where_no_replica_is(client, table):
    for arguments in (
            change(table, witness=THIRD), change(table, witness=THIRD, replicas=[OTHER]),
            change(table, "Delete", THIRD), change(table, witness=HOME, replicas=[OTHER], **STRONG),
            change(table, witness=OTHER, replicas=[OTHER], **STRONG),
            change(table, witness="xx-nowhere-9", replicas=[OTHER], **STRONG)):
        assert refused(client.update_table, **arguments)[0] == "ValidationException"
    assert "Replicas" not in shown(client, table)
    client.update_table(**change(table, witness=THIRD, replicas=[OTHER], **STRONG))
    told = shown(client, table)
    assert [one["RegionName"] for one in told["GlobalTableWitnesses"]] == [THIRD]
    assert told["MultiRegionConsistency"] == "STRONG"


def test_a_table_that_is_consistent_in_several_regions_is_in_three(pangea, client, table):
    code, message = refused(client.update_table, **change(table, replicas=[OTHER], **STRONG))
    assert code == "ValidationException" and "exactly three Regions" in message
    for consistency in "STRONG", "EVENTUAL":
        code, _ = refused(client.update_table, TableName=table, MultiRegionConsistency=consistency)
        assert code == "ValidationException"
    assert "Replicas" not in shown(client, table)
    client.update_table(**change(table, replicas=[OTHER, THIRD], **STRONG))
    eventually(lambda: pangea.replicas(HOME, table) == {OTHER: "ACTIVE", THIRD: "ACTIVE"},
               "both replicas")
    code, message = refused(client.update_table, **change(table, "Delete", replicas=[OTHER]))
    assert code == "ValidationException" and "both are taken away at once" in message

    def both_taken():
        # Refused as long as one of them has not heard that the other has copied all.
        return client.update_table(**change(table, "Delete", replicas=[OTHER, THIRD]))

    eventually(both_taken, "the replicas' end")
    eventually(lambda: "Replicas" not in shown(client, table), "a table of one region")
    assert "MultiRegionConsistency" not in shown(client, table)


def test_a_table_with_local_indexes_is_not_consistent_in_several_regions(client, table_name):
    client.create_table(TableName=table_name, **KEYS, BillingMode="PAY_PER_REQUEST",
                        LocalSecondaryIndexes=[LOCAL])
    code, message = refused(client.update_table,
                            **change(table_name, replicas=[OTHER, THIRD], **STRONG))
    assert code == "ValidationException" and "no local secondary indexes" in message
    client.delete_table(TableName=table_name)


def test_how_settings_are_replicated_is_shown(client, table):
    mode = "GlobalTableSettingsReplicationMode"
    assert mode not in shown(client, table)
    client.update_table(TableName=table, **{mode: "ENABLED"})
    assert shown(client, table)[mode] == "ENABLED"
    client.update_table(**change(table, replicas=[OTHER]))
    told = shown(client, table)
    assert [told[mode], told["Replicas"][0][mode]] == ["ENABLED_WITH_OVERRIDES"] * 2
    assert refused(client.update_table, TableName=table, **{mode: "DISABLED"})[0] \
        == "ValidationException"
