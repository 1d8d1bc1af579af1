"""Tables and their replicas, made and unmade with the AWS CLI."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from cluster import CommandFailed
from support import REGIONS, eventually

HOME, SECOND, THIRD = REGIONS

CREATE = ("--attribute-definitions", "AttributeName=pk,AttributeType=S",
          "--key-schema", "AttributeName=pk,KeyType=HASH", "--billing-mode", "PAY_PER_REQUEST",
          "--stream-specification", "StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES")


def create(pangea, region, name):
    pangea.aws(region, "create-table", "--table-name", name, *CREATE)
    eventually(lambda: pangea.table_status(region, name) == "ACTIVE", f"{name} to be ACTIVE")


def replica(pangea, name, action, region, check=True):
    updates = json.dumps([{action: {"RegionName": region}}])
    return pangea.aws(HOME, "update-table", "--table-name", name,
                      "--replica-updates", updates, check=check)


def put(pangea, region, name, key, value):
    pangea.plain(region).put_item(
        TableName=name, Item={"pk": {"S": key}, "v": {"S": value}})


def got(pangea, region, name, key):
    answer = pangea.plain(region).get_item(
        TableName=name, Key={"pk": {"S": key}}, ConsistentRead=True)
    return answer.get("Item", {}).get("v", {}).get("S")


def error_code(error):
    assert isinstance(error, CommandFailed)
    # The CLI's exit code for an error that the service answered.
    assert error.returncode in (254, 255), error
    return error.stderr.split("(", 1)[1].split(")", 1)[0]


def test_a_table_becomes_global_and_serves_everywhere(pangea, table_name):
    create(pangea, HOME, table_name)
    for n in range(3):
        put(pangea, HOME, table_name, f"before{n}", "copied")

    table = pangea.aws(HOME, "describe-table", "--table-name", table_name)["Table"]
    assert table["TableStatus"] == "ACTIVE"
    assert table["StreamSpecification"] == {
        "StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert table["TableArn"].endswith(f":table/{table_name}") and HOME in table["TableArn"]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert not table.get("Replicas")

    for region in (SECOND, THIRD):
        answer = replica(pangea, table_name, "Create", region)["TableDescription"]
        shown = {one["RegionName"]: one["ReplicaStatus"] for one in answer["Replicas"]}
        assert shown[region] == "CREATING"
        eventually(lambda region=region: pangea.replicas(HOME, table_name).get(region) == "ACTIVE"
                   and pangea.table_status(region, table_name) == "ACTIVE",
                   f"the replica in {region}")
        # Only now: where the table is not there yet, the CLI looks again in 20 s.
        pangea.aws(region, "wait", "table-exists", "--table-name", table_name, timeout=120)

    table = pangea.aws(HOME, "describe-table", "--table-name", table_name)["Table"]
    assert table["GlobalTableVersion"] == "2019.11.21"
    assert table["TableStatus"] == "ACTIVE"
    for region in REGIONS:
        # Each region shows the others as its replicas.
        eventually(lambda region=region: {
            other: pangea.replicas(region, table_name).get(other)
            for other in REGIONS if other != region
        } == {other: "ACTIVE" for other in REGIONS if other != region},
            f"{region} to show both others ACTIVE")
        for n in range(3):
            assert got(pangea, region, table_name, f"before{n}") == "copied"

    for region in REGIONS:
        item = json.dumps({"pk": {"S": f"from {region}"}, "v": {"S": region}})
        pangea.aws(region, "put-item", "--table-name", table_name, "--item", item)
    for reader in REGIONS:
        for writer in REGIONS:
            eventually(lambda r=reader, w=writer:
                       got(pangea, r, table_name, f"from {w}") == w,
                       f"{writer}'s write in {reader}")
    # The CLI takes a second to start: one look by it is enough.
    answer = pangea.aws(THIRD, "get-item", "--table-name", table_name, "--consistent-read",
                        "--key", json.dumps({"pk": {"S": f"from {HOME}"}}))
    assert answer["Item"]["v"] == {"S": HOME}


def test_a_replica_is_creating_before_it_is_active(pangea, table_name):
    """While its source cannot be heard, a new replica stays CREATING, in both regions."""
    create(pangea, HOME, table_name)
    put(pangea, HOME, table_name, "a", "b")
    replica(pangea, table_name, "Create", SECOND)
    eventually(lambda: pangea.replicas(HOME, table_name).get(SECOND) == "ACTIVE", "the second")
    pangea.cut(HOME, THIRD)
    pangea.cut(SECOND, THIRD)
    try:
        replica(pangea, table_name, "Create", THIRD)
        assert pangea.replicas(HOME, table_name) == {SECOND: "ACTIVE", THIRD: "CREATING"}
        with pytest.raises(ClientError) as raised:
            pangea.client(THIRD).get_item(TableName=table_name, Key={"pk": {"S": "a"}})
        assert raised.value.response["Error"]["Code"] == "ResourceNotFoundException"
    finally:
        pangea.heal(HOME, THIRD)
        pangea.heal(SECOND, THIRD)
    eventually(lambda: pangea.replicas(HOME, table_name).get(THIRD) == "ACTIVE", "the third")
    assert got(pangea, THIRD, table_name, "a") == "b"


def test_writes_during_the_copy_are_not_lost(pangea, table_name):
    create(pangea, HOME, table_name)
    table = pangea.resource(HOME).Table(table_name)
    with table.batch_writer() as batch:
        for n in range(1000):
            batch.put_item(Item={"pk": f"old{n}", "v": "x" * 500})
    acknowledged, stop = set(), threading.Event()

    def write():
        client, n = pangea.client(HOME), 0
        while not stop.is_set():
            client.put_item(TableName=table_name, Item={"pk": {"S": f"live{n}"}})
            client.update_item(TableName=table_name, Key={"pk": {"S": f"old{n % 1000}"}},
                               UpdateExpression="SET seen = :n",
                               ExpressionAttributeValues={":n": {"N": str(n)}})
            acknowledged.add(f"live{n}")
            n += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        pangea.add_replica(table_name, SECOND)
        pangea.add_replica(table_name, THIRD)
    finally:
        stop.set()
        writer.join()
    assert acknowledged
    items = pangea.converged(table_name)
    keys = {item["pk"]["S"] for item in items.values()}
    assert keys == acknowledged | {f"old{n}" for n in range(1000)}


def test_tables_of_one_name_are_strangers_until_joined(pangea, table_name):
    for region in (HOME, SECOND):
        create(pangea, region, table_name)
        put(pangea, region, table_name, "k", region)
    assert got(pangea, HOME, table_name, "k") == HOME
    assert got(pangea, SECOND, table_name, "k") == SECOND
    # Where there is one of that name, no replica can be made: refused, or tried in vain.
    done = replica(pangea, table_name, "Create", SECOND, check=False)
    if done.returncode != 0:
        assert "ValidationException" in done.stderr or "ResourceInUseException" in done.stderr
    else:
        eventually(lambda: pangea.replicas(HOME, table_name).get(SECOND) == "CREATION_FAILED",
                   "the replica to fail")
    put(pangea, HOME, table_name, "marker", "x")
    assert got(pangea, SECOND, table_name, "marker") is None
    assert got(pangea, SECOND, table_name, "k") == SECOND


def test_empty_tables_of_one_name_become_one_by_the_api_of_2017(pangea, table_name):
    for region in REGIONS:
        create(pangea, region, table_name)
    put(pangea, THIRD, table_name, "k", THIRD)
    home = pangea.plain(HOME)
    home.create_global_table(GlobalTableName=table_name, ReplicationGroup=[
        {"RegionName": region} for region in (HOME, SECOND)])

    def replicas(region):
        told = pangea.plain(region).describe_global_table(GlobalTableName=table_name)
        group = told["GlobalTableDescription"]["ReplicationGroup"]
        return {one["RegionName"]: one["ReplicaStatus"] for one in group}

    both = {HOME: "ACTIVE", SECOND: "ACTIVE"}
    eventually(lambda: replicas(HOME) == both, "a global table")
    assert replicas(SECOND) == both
    put(pangea, SECOND, table_name, "a", "1")
    eventually(lambda: got(pangea, HOME, table_name, "a") == "1", "the write at home")
    # One that has items does not give way.
    home.update_global_table(GlobalTableName=table_name, ReplicaUpdates=[
        {"Create": {"RegionName": THIRD}}])
    eventually(lambda: replicas(HOME).get(THIRD) == "CREATION_FAILED", "the third to fail")
    assert got(pangea, THIRD, table_name, "k") == THIRD


def test_a_replica_is_deleted_and_made_again(pangea, global_table):
    put(pangea, HOME, global_table, "a", "1")
    eventually(lambda: got(pangea, THIRD, global_table, "a") == "1", "the write in the third")
    replica(pangea, global_table, "Delete", THIRD)
    eventually(lambda: THIRD not in pangea.replicas(HOME, global_table), "the replica to go")

    def gone():
        done = pangea.aws(THIRD, "describe-table", "--table-name", global_table, check=False)
        return done.returncode != 0 and "ResourceNotFoundException" in done.stderr

    eventually(gone, "the table to go from the third region")
    put(pangea, HOME, global_table, "a", "2")
    assert got(pangea, HOME, global_table, "a") == "2"
    eventually(lambda: got(pangea, SECOND, global_table, "a") == "2", "the write in the second")

    pangea.add_replica(global_table, THIRD)
    assert got(pangea, THIRD, global_table, "a") == "2"


def test_a_table_is_deleted(pangea, table_name):
    create(pangea, HOME, table_name)
    put(pangea, HOME, table_name, "a", "1")
    answer = pangea.aws(HOME, "delete-table", "--table-name", table_name)
    assert answer["TableDescription"]["TableStatus"] == "DELETING"
    eventually(lambda: table_name not in pangea.plain(HOME).list_tables()["TableNames"], "the end")
    pangea.aws(HOME, "wait", "table-not-exists", "--table-name", table_name, timeout=120)
    assert table_name not in pangea.aws(HOME, "list-tables")["TableNames"]
    # The name is free again, and nothing of the old table shows in the new.
    create(pangea, HOME, table_name)
    assert got(pangea, HOME, table_name, "a") is None


def test_a_global_table_is_deleted_after_its_replicas(pangea, global_table):
    for region in (SECOND, THIRD):
        replica(pangea, global_table, "Delete", region)
        eventually(lambda region=region: region not in pangea.replicas(HOME, global_table),
                   f"the replica in {region} to go")
    pangea.aws(HOME, "delete-table", "--table-name", global_table)
    for region in REGIONS:
        eventually(lambda region=region: global_table not in
                   pangea.aws(region, "list-tables")["TableNames"], f"the end in {region}")


@pytest.mark.parametrize("region", ["mars-north-1", HOME])
def test_a_replica_where_none_can_be(pangea, table_name, region):
    create(pangea, HOME, table_name)
    with pytest.raises(CommandFailed) as raised:
        replica(pangea, table_name, "Create", region)
    assert error_code(raised.value) == "ValidationException"
    assert pangea.table_status(HOME, table_name) == "ACTIVE"


def test_errors_reach_the_cli_by_name(pangea, table_name):
    with pytest.raises(CommandFailed) as raised:
        pangea.aws(HOME, "describe-table", "--table-name", table_name)
    assert error_code(raised.value) == "ResourceNotFoundException"
    create(pangea, HOME, table_name)
    with pytest.raises(CommandFailed) as raised:
        pangea.aws(HOME, "create-table", "--table-name", table_name, *CREATE)
    assert error_code(raised.value) == "ResourceInUseException"
    with pytest.raises(CommandFailed) as raised:
        pangea.aws(HOME, "put-item", "--table-name", table_name, "--item",
                   json.dumps({"pk": {"N": "1"}}))
    assert error_code(raised.value) == "ValidationException"


def test_the_endpoint_may_come_from_the_environment(pangea, global_table):
    """As the README says: export one variable, keep the commands."""
    environment = {**os.environ, "AWS_ENDPOINT_URL_DYNAMODB": pangea.endpoint(SECOND),
                   "AWS_DEFAULT_REGION": SECOND}
    aws = Path(sys.executable).with_name("aws")
    done = subprocess.run([aws, "dynamodb", "list-tables", "--output", "json"],
                          env=environment, capture_output=True, text=True, check=True)
    assert global_table in json.loads(done.stdout)["TableNames"]
