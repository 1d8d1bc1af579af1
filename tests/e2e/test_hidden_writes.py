"""What a write, a switch, a batch or a decision would hide or half do without telling."""

import json

import pytest
from botocore.exceptions import ClientError

from cluster import schema
from support import REGIONS, eventually
from test_conflicts import Cut, value
from test_merging import CART, agreed, item, make, update

HOME, SECOND, THIRD = REGIONS


def siblings(pangea, region, table, key):
    """All versions that a region keeps of an item, and the context to replace them."""
    client, body = pangea.client(region), {}

    def ask(request, **_):
        request.headers["x-pangea-siblings"] = "all"

    def answered(http_response, **_):
        body.update(json.loads(http_response.content))

    client.meta.events.register("before-sign.dynamodb.GetItem", ask)
    client.meta.events.register("after-call.dynamodb", answered)
    got = client.get_item(TableName=table, Key={"pk": {"S": key}})
    headers = got["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-pangea-siblings"] == str(len(body["Siblings"]))
    return [one.get("Item") for one in body["Siblings"]], headers["x-pangea-context"]


def put(pangea, region, table, key, text, context=None):
    client = pangea.client(region)
    if context:
        client.meta.events.register(
            "before-sign.dynamodb.PutItem",
            lambda request, **_: request.headers.__setitem__("x-pangea-context", context))
    client.put_item(TableName=table, Item={"pk": {"S": key}, "v": {"S": text}})


def test_counters_stay_counted_where_versions_are_kept_apart_later(pangea, table_name):
    table = make(pangea, table_name, merge="crdt")
    with Cut(pangea):
        for n, region in enumerate(REGIONS):
            update(pangea, region, table, "k", "ADD n :n", n={"N": str(10 ** n)})
    whole = {"pk": {"S": "k"}, "n": {"N": "111"}}
    agreed(pangea, table, "k", whole)
    pangea.cli("table", "set-merge", table, "siblings")
    for region in REGIONS:
        eventually(lambda region=region: "x-pangea-siblings" in pangea.plain(region).get_item(
            TableName=table, Key={"pk": {"S": "k"}})["ResponseMetadata"]["HTTPHeaders"],
            f"the switch in {region}")
        assert siblings(pangea, region, table, "k")[0] == [whole]
    # A write goes by what is shown, so nothing of it is lost with it.
    update(pangea, HOME, table, "k", "SET v = :v", v={"S": "x"})
    agreed(pangea, table, "k", {**whole, "v": {"S": "x"}})


def test_what_a_merge_function_had_shown_is_in_the_ledger_when_it_is_replaced(pangea, table_name):
    table = make(pangea, table_name)
    pangea.cli("table", "set-merge", table, "wasm", str(CART))
    pangea.client(HOME).put_item(TableName=table, Item={"pk": {"S": "k"}, "lines": {"M": {}}})
    agreed(pangea, table, "k", {"pk": {"S": "k"}, "lines": {"M": {}}})
    with Cut(pangea):
        for region in (HOME, SECOND):
            update(pangea, region, table, "k", "SET #n.#r = :n", n={"N": "1"},
                   names={"#n": "lines", "#r": region})
    agreed(pangea, table, "k", {"pk": {"S": "k"}, "lines": {"M": {
        HOME: {"N": "1"}, SECOND: {"N": "1"}}}})
    assert pangea.conflicts(table) == []
    pangea.cli("table", "set-merge", table, "siblings")
    update(pangea, HOME, table, "k", "SET v = :v", v={"S": "x"})
    [entry] = eventually(lambda: pangea.conflicts(table), "the version that is not shown any more")
    assert entry["loser"]["image"]["lines"] == {"M": {HOME: {"N": "1"}}}


def test_a_region_s_own_version_that_a_context_lacks_is_in_the_ledger(pangea, table_name):
    table = make(pangea, table_name, merge="siblings")
    put(pangea, HOME, table, "k", "first")
    _, context = siblings(pangea, HOME, table, "k")
    put(pangea, HOME, table, "k", "second")
    put(pangea, HOME, table, "k", "third", context)
    [entry] = eventually(lambda: pangea.conflicts(table), "the version that nobody had seen")
    assert entry["loser"]["image"]["v"] == {"S": "second"}
    assert entry["winner"]["image"]["v"] == {"S": "third"}
    assert value(pangea, HOME, table, "k") == "third"


def test_a_batch_is_not_half_refused(pangea, table_name):
    owned = make(pangea, table_name + "o", merge="owner", owner=f"eu-={SECOND}")
    placed = make(pangea, table_name + "p", placement=f"eu-={SECOND}+{THIRD}")
    for table in (owned, placed):
        puts = [{"PutRequest": {"Item": {"pk": {"S": key}}}} for key in ("open", "eu-1")]
        with pytest.raises(ClientError, match=SECOND) as refused:
            pangea.client(HOME).batch_write_item(RequestItems={table: puts})
        assert refused.value.response["Error"]["Code"] == "ValidationException"
        assert item(pangea, HOME, table, "open") is None, "half of a refused batch was written"


def test_a_batch_that_would_lead_an_item_elsewhere_is_not_begun(pangea, table_name):
    table = make(pangea, table_name, placement=f"@res:EU={SECOND}+{THIRD}")
    second = pangea.client(SECOND)
    for key in ("open", "gone"):
        put(pangea, SECOND, table, key, "x")
    with Cut(pangea):
        second.delete_item(TableName=table, Key={"pk": {"S": "gone"}})
        for key, why in (("open", "cannot change"), ("gone", "was deleted")):
            puts = [{"PutRequest": {"Item": {"pk": {"S": name}, "res": {"S": "EU"}}}}
                    for name in (f"before-{key}", key, f"after-{key}")]
            with pytest.raises(ClientError, match=why) as refused:
                second.batch_write_item(RequestItems={table: puts})
            assert refused.value.response["Error"]["Code"] == "ValidationException"
            for name in (f"before-{key}", f"after-{key}"):
                assert item(pangea, SECOND, table, name) is None, "half of the batch was written"
    assert value(pangea, SECOND, table, "open") == "x"
    second.batch_write_item(RequestItems={table: [
        {"PutRequest": {"Item": {"pk": {"S": "open"}, "v": {"S": "y"}}}},
        {"PutRequest": {"Item": {"pk": {"S": "new"}, "res": {"S": "EU"}}}}]})
    assert value(pangea, SECOND, table, "open") == "y"


def test_what_a_region_may_not_see_is_no_new_item_to_it(pangea, table_name):
    """An item's attribute keeps it from a region, which cannot tell it from one that is not there."""
    table = make(pangea, table_name, placement=f"@res:EU={SECOND}+{THIRD}")
    for key in ("k", "d", "c"):
        pangea.client(SECOND).put_item(TableName=table, Item={
            "pk": {"S": key}, "res": {"S": "EU"}, "v": {"S": "restricted"}})
    changed = {"pk": {"S": "k"}, "res": {"S": "EU"}, "v": {"S": "changed"}}
    assert update(pangea, HOME, table, "k", "SET v = :v", v={"S": "changed"}) == changed
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        pangea.client(HOME).put_item(TableName=table, Item={"pk": {"S": "c"}},
                                     ConditionExpression="attribute_not_exists(pk)")
    with pytest.raises(ClientError, match=SECOND):
        pangea.client(HOME).batch_write_item(RequestItems={table: [
            {"PutRequest": {"Item": {"pk": {"S": "other"}}}},
            {"DeleteRequest": {"Key": {"pk": {"S": "d"}}}}]})
    pangea.client(HOME).delete_item(TableName=table, Key={"pk": {"S": "d"}})
    for region in (SECOND, THIRD):
        eventually(lambda region=region: item(pangea, region, table, "k") == changed
                   and item(pangea, region, table, "d") is None, f"both changes in {region}")
    for key in ("k", "d", "c", "other"):
        assert item(pangea, HOME, table, key) is None
    update(pangea, HOME, table, "new", "SET v = :v", v={"S": "x"})
    agreed(pangea, table, "new", {"pk": {"S": "new"}, "v": {"S": "x"}})
    assert pangea.conflicts(table) == []


def test_the_entry_of_a_conflict_stays_where_both_of_its_images_may_be(pangea, table_name):
    for merge in ("lww", "crdt", "siblings"):
        table = make(pangea, table_name + merge, merge=merge, placement=f"@res:EU={SECOND}+{THIRD}")
        with Cut(pangea):
            put(pangea, HOME, table, "k", "open")
            pangea.client(SECOND).put_item(TableName=table, Item={
                "pk": {"S": "k"}, "res": {"S": "EU"}, "v": {"S": "restricted"}})
        for region in (SECOND, THIRD):
            eventually(lambda: pangea.json("conflicts", "list", "--table", table, "--region", region),
                       f"the conflict in {region}'s ledger")
        put(pangea, SECOND, table, "after", "x")
        eventually(lambda: value(pangea, HOME, table, "after") == "x", "what came after it")
        assert pangea.json("conflicts", "list", "--table", table, "--region", HOME) == []


def test_a_rule_about_items_that_are_there_is_refused(pangea, table_name):
    home = pangea.client(SECOND)
    home.create_table(TableName=table_name, BillingMode="PAY_PER_REQUEST", **schema())
    for key in ("eu-1", "open"):
        put(pangea, SECOND, table_name, key, "x")
    rule = f"placement=eu-={SECOND}+{THIRD}"
    refused = pangea.cli("table", "set", table_name, rule, check=False)
    assert refused.returncode == 1, "it would go to the next replica"
    assert "eu-1" in refused.stderr and "Delete these items" in refused.stderr, refused.stderr
    arn = home.describe_table(TableName=table_name)["Table"]["TableArn"]
    for text in (f"@v:x={SECOND}", f"eu-={SECOND}"):
        with pytest.raises(ClientError, match="items that are there"):
            home.tag_resource(
                ResourceArn=arn, Tags=[{"Key": "pangea:placement", "Value": text}])
    pangea.cli("table", "set", table_name, f"placement=us-={HOME}")
    home.delete_item(TableName=table_name, Key={"pk": {"S": "eu-1"}})
    pangea.cli("table", "set", table_name, f"placement=us-={HOME} eu-={SECOND}+{THIRD}")


def test_what_is_restored_may_be_no_where_else_than_before(pangea, table_name):
    table = make(pangea, table_name, placement=f"eu-={SECOND}+{THIRD}")
    put(pangea, SECOND, table, "eu-1", "restricted")
    put(pangea, SECOND, table, "open", "x")
    second = pangea.client(SECOND)
    backup = second.create_backup(TableName=table, BackupName="for-a-restore")
    arn = backup["BackupDetails"]["BackupArn"]
    eventually(lambda: second.describe_backup(BackupArn=arn)["BackupDescription"][
        "BackupDetails"]["BackupStatus"] == "AVAILABLE", "the backup")
    restored = table + "-restored"
    second.restore_table_from_backup(TargetTableName=restored, BackupArn=arn)
    eventually(lambda: pangea.table_status(SECOND, restored) == "ACTIVE", "the restored table")
    assert value(pangea, SECOND, restored, "eu-1") == "restricted"
    pangea.add_replica(restored, HOME, SECOND)
    assert value(pangea, HOME, restored, "open") == "x"
    assert item(pangea, HOME, restored, "eu-1") is None, "a restore led it out of its regions"


def test_an_item_that_changed_since_is_not_written_over_unasked(pangea, table_name):
    table = make(pangea, table_name)
    with Cut(pangea):
        for region, text in ((HOME, "lost"), (SECOND, "won")):
            for key in ("changed", "deleted"):
                put(pangea, region, table, key, text)
    entries = eventually(
        lambda: len(found := pangea.conflicts(table)) == 2 and found, "both conflicts")
    ids = {entry["key"][0]["S"]: entry["id"] for entry in entries}
    for key in ids:
        agreed(pangea, table, key, {"pk": {"S": key}, "v": {"S": "won"}})
    put(pangea, HOME, table, "changed", "newer")
    pangea.client(HOME).delete_item(TableName=table, Key={"pk": {"S": "deleted"}})
    for key, entry in ids.items():
        refused = pangea.cli("conflicts", "resolve", entry, "--keep", "loser", check=False)
        assert refused.returncode == 1 and "has changed since" in refused.stderr, refused.stderr
        assert "--anyway" in refused.stderr
    agreed(pangea, table, "changed", {"pk": {"S": "changed"}, "v": {"S": "newer"}})
    pangea.cli("conflicts", "resolve", ids["deleted"], "--keep", "winner")
    pangea.cli("conflicts", "resolve", ids["changed"], "--keep", "loser", "--anyway")
    agreed(pangea, table, "changed", {"pk": {"S": "changed"}, "v": {"S": "lost"}})
