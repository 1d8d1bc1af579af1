"""Indexes of vectors: made with a table and on a live one, backed up, in every region.

The words of refusals are those of the service, measured by the Parity Suite.
"""

import random
import time

import pytest
from botocore.exceptions import ClientError

from sessions import Session
from support import PATIENCE, REGIONS, eventually, unhurried
from test_conflicts import Cut
from test_indexes import attributes, verified
from vectors import (INVALID, add, create, described, drop, keys, put, refused, schema, search,
                     vector, vix)
from wire import cbor

HOME, SECOND, _ = REGIONS
CLUSTER = {"shop": False}


@pytest.fixture(scope="module")
def client(pangea):
    return pangea.plain(HOME)


def test_a_table_is_made_with_indexes_of_vectors(client):
    asked = vix(SearchSchema=schema("tenant", "category"), Dimensions=4096,
                Projection={"ProjectionType": "INCLUDE", "NonKeyAttributes": ["note"]})
    other = vix("other", VectorAttribute={"AttributeName": "other"})
    table = create(client, asked, other, tenant="S", category="N")
    shown, index = described(client, table)
    assert {key: index[key] for key in asked} == asked
    assert index["IndexStatus"] == "ACTIVE" and "Backfilling" not in index
    assert index["IndexArn"] == shown["TableArn"] + "/index/vix"
    assert index["ItemCount"] == index["IndexSizeBytes"] == 0
    assert "SearchSchema" not in described(client, table, "other")[1]
    assert "GlobalSecondaryIndexes" not in shown
    assert {it["AttributeName"] for it in shown["AttributeDefinitions"]} == {
        "pk", "tenant", "category"}
    client.delete_table(TableName=table)


@pytest.mark.parametrize(("more", "message"), [
    ({"VectorIndexes": [vix(SearchSchema=schema("tenant"))]},
     "One element in SearchSchema is not defined in attribute definitions"),
    ({"VectorIndexes": [vix(Dimensions=4097)]},
     "Number of dimensions must be between 1 and 4096 inclusive."),
    ({"VectorIndexes": [vix(f"vix-{n}") for n in range(6)]},
     "VectorIndex count exceeds the per-table limit of 5"),
    ({"VectorIndexes": [vix(), vix("vix2", Dimensions=4)]},
     "Conflicting attribute definition for 'embedding'. All VectorIndexes on the same vector "
     "attribute must use the same dimensions."),
    ({"VectorIndexes": [vix(), vix()]}, "Duplicate index name: vix"),
    ({"VectorIndexes": []}, "List of VectorIndexes is empty"),
    ({"VectorIndexes": [vix(VectorAttribute={"AttributeName": "pk"})]},
     "Conflicting attribute definition for 'pk'. An attribute cannot be defined in "
     "AttributeDefinitions when used as a VectorAttribute."),
    ({"VectorIndexes": [vix(SearchSchema=schema("pk") * 2)]},
     "Value '2' at 'SearchSchema' failed to satisfy constraint: Member must have HASH count less "
     "than or equal to 1"),
    ({"VectorIndexes": [vix(SearchSchema=schema("pk", "pk"))]},
     "SearchSchema contains a duplicate AttributeName"),
    ({"VectorIndexes": [vix()], "BillingMode": "PROVISIONED",
      "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}},
     "Vector indexes are only supported for PAY_PER_REQUEST tables"),
])
def test_a_table_is_refused_for_its_indexes_of_vectors(client, table_name, more, message):
    given = {"BillingMode": "PAY_PER_REQUEST", **more}
    said = refused("ValidationException", client.create_table, TableName=table_name,
                   AttributeDefinitions=attributes(pk="S"),
                   KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}], **given)
    assert said == f"{INVALID}: {message}"


WAIT = "Cannot search backfilling vector index: vix"
LIMIT = ("Subscriber limit exceeded: Only 1 online index can be created or deleted "
         "simultaneously per table")


def settled(client, table):
    eventually(lambda: described(client, table)[0]["TableStatus"] == "ACTIVE", "the table")


def being_allocated(client):
    """A table with some items whose index is in its first phase, which takes 2 s."""
    table = create(client)
    for n in range(5):
        put(client, table, f"item-{n}", (n, 1, 0))
    client.put_item(TableName=table, Item={"pk": {"S": "odd"}, "embedding": {"S": "no vector"}})
    shown = client.update_table(TableName=table, **add())["TableDescription"]
    assert shown["TableStatus"] == "UPDATING"
    shown, index = described(client, table)
    assert shown["TableStatus"] == "UPDATING"
    assert (index["IndexStatus"], index["Backfilling"]) == ("CREATING", False)
    update = dict(call=client.update_table, TableName=table)
    assert refused("ResourceInUseException", **update, **drop()) == (
        "Attempt to change a resource which is still in use: Index creation is in resource "
        "allocation phase. Retry deletion during backfilling phase or when the index is active. "
        f"Table: {table} Index: vix")
    assert refused("LimitExceededException", **update, **add("vix2")) == LIMIT
    assert refused("ValidationException", search, client, table, (1, 1, 0)) == WAIT
    return table


def test_an_index_is_added_to_a_live_table_in_two_phases(client):
    table = unhurried(1.5, being_allocated, client)
    update = dict(call=client.update_table, TableName=table)
    # As clients of the service are told to wait, but more often: the second phase takes 6 s.
    states, found, begun = set(), None, time.monotonic()
    while found is None and time.monotonic() < begun + PATIENCE:
        shown, index = described(client, table)
        states.add((shown["TableStatus"], index["IndexStatus"], index.get("Backfilling")))
        try:
            found = search(client, table, (1, 1, 0))
        except ClientError as error:
            assert error.response["Error"]["Message"] == WAIT
            time.sleep(1)
    assert ("ACTIVE", "CREATING", True) in states
    assert states <= {("UPDATING", "CREATING", False), ("ACTIVE", "CREATING", True),
                      ("ACTIVE", "ACTIVE", None)}
    assert len(found) == 5, "all that can be in it, and nothing else"

    two = {"VectorIndexUpdates": add("vix2")["VectorIndexUpdates"] * 2}
    assert refused("LimitExceededException", **update, **two) == LIMIT
    # What was there before the index may stay, and is not to be written again.
    client.update_item(TableName=table, Key={"pk": {"S": "odd"}}, UpdateExpression="SET n = :n",
                       ExpressionAttributeValues={":n": {"N": "1"}})
    assert refused("ValidationException", client.put_item, TableName=table, Item={
        "pk": {"S": "odd"}, "embedding": {"S": "no vector"}}).endswith("IndexName: vix")
    gone = client.update_table(TableName=table, **drop())["TableDescription"]
    assert [it["IndexStatus"] for it in gone["VectorIndexes"]] == ["DELETING"]
    assert described(client, table)[1] is None
    assert "does not have the specified index: vix" in refused(
        "ValidationException", search, client, table, (1, 1, 0))
    settled(client, table)
    client.delete_table(TableName=table)


def test_an_index_that_is_being_filled_is_cancelled(client):
    unhurried(6, cancelled, client)


def cancelled(client):
    table = create(client)
    client.update_table(TableName=table, **add())
    settled(client, table)
    assert described(client, table)[1]["Backfilling"] is True
    assert refused("ResourceInUseException", client.delete_table, TableName=table) == (
        "Attempt to change a resource which is still in use: Cannot delete table while indexes are "
        "being created, updated, or deleted.")
    client.update_table(TableName=table, **drop())
    assert described(client, table)[1] is None
    settled(client, table)
    client.delete_table(TableName=table)


def test_an_update_is_refused_for_indexes_of_vectors(client):
    gsi = {"IndexName": "gsi", "Projection": {"ProjectionType": "ALL"}, "KeySchema": [
        {"AttributeName": "pk", "KeyType": "HASH"}]}
    table = create(client, vix())
    client.update_table(TableName=table, AttributeDefinitions=attributes(pk="S"),
                        GlobalSecondaryIndexUpdates=[{"Create": gsi}])
    eventually(lambda: described(client, table)[0]["GlobalSecondaryIndexes"][0]["IndexStatus"]
               == "ACTIVE", "the global index")

    def said(**update):
        return refused("ValidationException", client.update_table, TableName=table, **update)

    there = "Attempting to create an index which already exists"
    assert said(**add()) == said(**add("gsi")) == there
    assert said(AttributeDefinitions=attributes(pk="S"), GlobalSecondaryIndexUpdates=[
        {"Create": {**gsi, "IndexName": "vix"}}]) == there
    assert said(**add("two", Dimensions=4)).startswith(f"{INVALID}: Conflicting attribute")
    assert said(**add("two", VectorAttribute={"AttributeName": "pk"})).endswith(
        "when used as a VectorAttribute.")
    assert said(VectorIndexUpdates=[{}]) == (
        f"{INVALID}: One of VectorIndexUpdate.Create, VectorIndexUpdate.Delete must not be null")
    both = {**add("two")["VectorIndexUpdates"][0], "Delete": {"IndexName": "vix"}}
    assert said(VectorIndexUpdates=[both]) == (
        f"{INVALID}: Only one vector index action is allowed per VectorIndexUpdate object")
    assert refused("ResourceNotFoundException", client.update_table, TableName=table,
                   **drop("none")) == (
        f"Requested resource not found: Index none for table {table}")
    units = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
    assert said(BillingMode="PROVISIONED", ProvisionedThroughput=units) == (
        f"{INVALID}: Tables with vector indexes must be in PAY_PER_REQUEST mode")
    redefined = {"IndexName": "gsi2", "Projection": {"ProjectionType": "ALL"}, "KeySchema": [
        {"AttributeName": "embedding", "KeyType": "HASH"}]}
    assert said(AttributeDefinitions=attributes(embedding="S"),
                GlobalSecondaryIndexUpdates=[{"Create": redefined}]) == (
        f"{INVALID}: Attributes cannot be redefined. Please check that your attribute has the same "
        "type as previously defined. Existing schema: VectorIndexSchema:[VectorAttribute: "
        "key{embedding:L:3}] New schema: Schema:[SchemaElement: key{embedding:S:HASH}]")
    client.delete_table(TableName=table)


# --- backups -----------------------------------------------------------------------------------

def test_a_backup_has_its_indexes_of_vectors(client):
    table = create(client)
    put(client, table, "a", (1, 0, 0))
    client.put_item(TableName=table, Item={"pk": {"S": "odd"}, "embedding": {"S": "no vector"}})
    client.update_table(TableName=table, **add())
    eventually(lambda: described(client, table)[1]["IndexStatus"] == "ACTIVE", "the index")
    client.update_table(TableName=table, **add("other"))
    eventually(lambda: described(client, table, "other")[1]["IndexStatus"] == "ACTIVE", "the index")
    arn = client.create_backup(TableName=table, BackupName="kept")["BackupDetails"]["BackupArn"]

    def backup():
        return client.describe_backup(BackupArn=arn)["BackupDescription"]

    eventually(lambda: backup()["BackupDetails"]["BackupStatus"] == "AVAILABLE", "the backup")
    assert backup()["SourceTableFeatureDetails"]["VectorIndexes"] == [vix(), vix("other")]
    for target, override, names in [(f"{table}-all", {}, ["vix", "other"]),
                                    (f"{table}-some", {"VectorIndexOverride": [vix()]}, ["vix"]),
                                    (f"{table}-none", {"VectorIndexOverride": []}, [])]:
        client.restore_table_from_backup(TargetTableName=target, BackupArn=arn, **override)
        eventually(lambda: described(client, target)[0]["TableStatus"] == "ACTIVE", "the table")
        shown = described(client, target)[0].get("VectorIndexes", [])
        assert [it["IndexName"] for it in shown] == names
        assert all(it["IndexStatus"] == "ACTIVE" for it in shown)
        # Also what cannot be in an index was there, and is again.
        assert client.scan(TableName=target, Select="COUNT")["Count"] == 2
        if names:
            assert keys(search(client, target, (1, 0, 0))) == ["a"]
    unknown = refused("ValidationException", client.restore_table_from_backup, BackupArn=arn,
                      TargetTableName="x-y-z", VectorIndexOverride=[vix("none")])
    assert "none" in unknown


# --- regions -----------------------------------------------------------------------------------

def global_table(cluster, name, *indexes, **kinds):
    create(cluster.client(HOME), *indexes, name=name, **kinds)
    for region in REGIONS[1:]:
        cluster.add_replica(name, region)
    return name


def test_regions_search_alike_after_conflicts(pangea, table_name):
    table = global_table(pangea, table_name, vix(SearchSchema=schema("tenant")), tenant="S")
    chance = random.Random(20260811)
    for n in range(60):
        numbers = [chance.uniform(-1, 1) for _ in range(3)]
        put(pangea.client(REGIONS[n % 3]), table, f"k{n}", numbers, tenant={"S": f"t{n % 2}"})
    with Cut(pangea):
        # Of each item one region's word will stand: another vector, another tenant, or no vector.
        for n in range(0, 60, 5):
            put(pangea.client(HOME), table, f"k{n}", (1, 1, 1), tenant={"S": "t0"})
        for n in range(0, 60, 10):
            pangea.client(SECOND).put_item(TableName=table, Item={"pk": {"S": f"k{n}"}})
    eventually(lambda: pangea.converged(table), "all regions to agree")
    items = pangea.items(HOME, table)
    for tenant in ("t0", "t1"):
        found = [search(pangea.plain(region), table, (1, 0.5, 0), count=100,
                        equal={"tenant": tenant}) for region in REGIONS]
        assert found[0] == found[1] == found[2]
        assert sorted(keys(found[0])) == sorted(
            item["pk"]["S"] for item in pangea.plain(HOME).scan(TableName=table)["Items"]
            if item.get("tenant") == {"S": tenant} and "embedding" in item)
    assert items
    eventually(lambda: all(report[2:] == (True, report[3], 0, 0)
                           for report in verified(pangea, table)), "indexes without a fault")
    assert {report[:2] for report in verified(pangea, table)} == {
        (region, "vix") for region in REGIONS}


def test_a_search_in_cbor_finds_what_one_in_json_does(pangea, client):
    table = create(client, vix())
    for key, numbers in (("a", (1, 0, 0)), ("b", (0.5, 0.5, 0)), ("c", (0, 0, 1))):
        put(client, table, key, numbers, data={"B": b"\0\xff"})
    asked = {"TableName": table, "IndexName": "vix", "SearchVector": vector(1, 0.25, 0), "TopK": 2,
             "ProjectionExpression": "pk, #d", "ExpressionAttributeNames": {"#d": "data"},
             "ReturnConsumedCapacity": "TOTAL"}
    port = pangea.dynamodb[HOME]
    found, wanted = cbor(port, "SearchVectors", asked), client.search_vectors(**asked)
    assert keys(found["SearchResults"]) == ["a", "b"]
    for one in (found, wanted):
        one.pop("ResponseMetadata")
    assert found == wanted and found["SearchResults"][0]["Item"]["data"] == {"B": b"\0\xff"}
    error = cbor(port, "SearchVectors", {**asked, "TopK": 101})["Error"]
    assert error["Code"].endswith("ValidationException") and "TopK" in error["Message"]
    client.delete_table(TableName=table)


def test_a_search_sees_what_its_session_has_written(pangea, table_name):
    table = global_table(pangea, table_name, vix())
    session = Session(session_mode="fail")
    home, second = (session.attach(pangea.eager(region)) for region in (HOME, SECOND))

    def is_behind():
        with pytest.raises(ClientError) as refused:
            search(second, table, (1, 0, 0))
        return refused.value.response["Error"]["Code"] == "SessionBehindException"

    def found():
        try:
            return keys(search(second, table, (1, 0, 0)))
        except ClientError as error:
            assert error.response["Error"]["Code"] == "SessionBehindException", error
            return None

    put(home, table, "a", (1, 0, 0))
    eventually(lambda: found() == ["a"], "the first write")
    with Cut(pangea):
        put(home, table, "b", (0, 1, 0))
        assert is_behind()
        # Who has no token is told what the region has.
        assert keys(search(pangea.eager(SECOND), table, (1, 0, 0))) == ["a"]
    eventually(lambda: found() == ["a", "b"], "the second write after the cut")
    # What a search has shown, its session has seen: no region answers with less.
    session.headers["x-pangea-session-mode"] = "wait 5000"
    third = session.attach(pangea.eager(REGIONS[2]))
    assert keys(search(third, table, (1, 0, 0))) == ["a", "b"]


def test_an_index_outlives_a_kill(own_pangea, table_name):
    table = global_table(own_pangea, table_name, vix())
    home = own_pangea.plain(HOME)
    for n in range(50):
        put(home, table, f"k{n}", (n - 25, 1, 0))
    wanted = search(home, table, (1, 0, 0), count=100)
    home.update_table(TableName=table, **add("late", DistanceFunction="DOT_PRODUCT"))
    own_pangea.kill(HOME)
    own_pangea.revive(HOME)
    assert search(home, table, (1, 0, 0), count=100) == wanted and len(wanted) == 50
    for region in REGIONS:
        client = own_pangea.plain(region)
        eventually(lambda: search(client, table, (1, 0, 0), count=100) == wanted, "the same there")
        best = eventually(lambda: search(client, table, (1, 0, 0), "late", count=1),
                          "the index that was being made")
        assert (keys(best), best[0]["Score"]) == (["k49"], 24)
    eventually(lambda: all(report[2:] == (True, 50, 0, 0) for report in
                           verified(own_pangea, table)), "indexes without a fault")
