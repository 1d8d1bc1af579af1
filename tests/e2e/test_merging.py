"""Merge policies, placement and ownership, as unmodified clients see them."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from cluster import CLIENT_ENV
from support import REGIONS, eventually
from test_conflicts import Cut, value

HOME, SECOND, THIRD = REGIONS
CART = Path(__file__).resolve().parents[2] / "examples" / "merge" / "cart.wasm"
COUNTER = Path(__file__).resolve().parents[2] / "examples" / "counter" / "counter.py"


def make(pangea, name, **settings):
    """A table in all regions with these settings as tags."""
    home = pangea.client(HOME)
    tags = [{"Key": f"pangea:{key}", "Value": text} for key, text in settings.items()]
    home.create_table(
        TableName=name, BillingMode="PAY_PER_REQUEST", Tags=tags,
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}])
    for region in REGIONS[1:]:
        pangea.add_replica(name, region)
    return name


def tables(pangea, region):
    """The tables as the region knows them."""
    url = f"http://127.0.0.1:{pangea.admin[region]}/v1/tables"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def item(pangea, region, table, key):
    found = pangea.plain(region).get_item(
        TableName=table, Key={"pk": {"S": key}}, ConsistentRead=True)
    return found.get("Item")


def update(pangea, region, table, key, expression, names=None, **values):
    more = {"ExpressionAttributeNames": names} if names else {}
    if values:
        more["ExpressionAttributeValues"] = {f":{name}": it for name, it in values.items()}
    if "#l" in expression:
        more["ExpressionAttributeNames"] = {"#l": "lines"}  # a reserved word
    return pangea.client(region).update_item(
        TableName=table, Key={"pk": {"S": key}}, UpdateExpression=expression,
        ReturnValues="ALL_NEW", **more)["Attributes"]


def agreed(pangea, table, key, expected):
    for region in REGIONS:
        eventually(lambda region=region: item(pangea, region, table, key) == expected,
                   f"{expected!r} in {region}")


def count(pangea, table, *options):
    done = subprocess.run(
        [sys.executable, str(COUNTER), "--table", table, "--add", "60", *options,
         *(pangea.endpoint(region) for region in REGIONS)],
        capture_output=True, text=True, timeout=120, env={"PATH": "/usr/bin:/bin", **CLIENT_ENV})
    return done.returncode, done.stdout + done.stderr


def test_the_same_program_loses_increments_on_lww_and_none_on_crdt(pangea, table_name):
    with_lww, told = count(pangea, table_name + "lww")
    assert with_lww == 1 and "lost" in told, told
    with_crdt, told = count(pangea, table_name + "crdt", "--merge", "crdt")
    assert with_crdt == 0 and "lost 0" in told, told


def test_a_condition_that_lost_is_severe_where_attributes_merge(pangea, table_name):
    table = make(pangea, table_name, merge="crdt")
    with Cut(pangea):
        for region in (HOME, SECOND):
            pangea.client(region).put_item(
                TableName=table, Item={"pk": {"S": "taken"}, "by": {"S": region}},
                ConditionExpression="attribute_not_exists(pk)")
        for region in (HOME, SECOND):
            update(pangea, region, table, "plain", "SET #b = :b", b={"S": region}, names={"#b": "by"})
    agreed(pangea, table, "taken", {"pk": {"S": "taken"}, "by": {"S": SECOND}})
    agreed(pangea, table, "plain", {"pk": {"S": "plain"}, "by": {"S": SECOND}})
    told = eventually(lambda: pangea.conflicts(table) if len(pangea.conflicts(table)) == 2 else None,
                      "both losers to be in the ledger")
    found = {entry["key"][0]["S"]: (entry["severity"], entry["loser"]["conditional"])
             for entry in told}
    assert found == {"taken": ("high", True), "plain": ("normal", False)}


def test_numbers_sets_and_attributes_merge_across_a_split(pangea, table_name):
    table = make(pangea, table_name, merge="crdt")
    update(pangea, HOME, table, "k", "ADD n :n, tags :t", n={"N": "1"}, t={"SS": ["a", "b"]})
    agreed(pangea, table, "k", {"pk": {"S": "k"}, "n": {"N": "1"}, "tags": {"SS": ["a", "b"]}})
    with Cut(pangea):
        shown = update(pangea, HOME, table, "k", "ADD n :n SET x = :x DELETE tags :t",
                       n={"N": "10"}, x={"S": "home"}, t={"SS": ["a"]})
        assert shown["n"] == {"N": "11"} and shown["tags"] == {"SS": ["b"]}
        update(pangea, SECOND, table, "k", "SET n = n + :n, y = :y",
               n={"N": "100"}, y={"S": "second"})
        update(pangea, THIRD, table, "k", "ADD tags :t SET x = :x",
               t={"SS": ["c"]}, x={"S": "third"})
    agreed(pangea, table, "k", {"pk": {"S": "k"}, "n": {"N": "111"}, "tags": {"SS": ["b", "c"]},
                                "x": {"S": "third"}, "y": {"S": "second"}})
    # The value of x that is not shown is in the ledger, with its attribute.
    entries = eventually(lambda: pangea.conflicts(table), "the hidden value in the ledger")
    assert {entry["path"] for entry in entries} == {"x"}, entries


def test_a_table_in_use_is_switched_and_unsafe_switches_are_refused(pangea, table_name):
    table = make(pangea, table_name)
    update(pangea, HOME, table, "k", "SET n = :n", n={"N": "5"})
    agreed(pangea, table, "k", {"pk": {"S": "k"}, "n": {"N": "5"}})
    changed = pangea.json("table", "set-merge", table, "crdt")
    assert (changed["merge"], changed["epoch"]) == ("crdt", 1)
    with Cut(pangea):
        for region in REGIONS:
            # A region that has not heard yet would merge the old way.
            eventually(lambda region=region: any(
                known["name"] == table and known["epoch"] == 1
                for known in pangea.json("table", "list")), "the switch is known")
            update(pangea, region, table, "k", "ADD n :n", n={"N": "1"})
    agreed(pangea, table, "k", {"pk": {"S": "k"}, "n": {"N": "8"}})
    refused = pangea.cli("table", "set-merge", table, "lww", check=False)
    assert refused.returncode == 1 and "side by side" in refused.stderr, refused.stderr
    wrong = pangea.cli("table", "set-merge", table, "newest", check=False)
    assert wrong.returncode == 1 and "lww, siblings, crdt, owner" in wrong.stderr, wrong.stderr


def test_a_merge_function_of_the_owner_decides(pangea, table_name, tmp_path):
    table = make(pangea, table_name)
    update(pangea, HOME, table, "k", "SET #l = :l", l={"M": {"tea": {"N": "1"}}})
    changed = pangea.json("table", "set-merge", table, "wasm", str(CART))
    assert changed["merge"] == "wasm" and len(changed["module"]) == 64, changed
    for region in REGIONS:
        eventually(lambda region=region: any(
            known["name"] == table and known.get("module") == changed["module"]
            for known in tables(pangea, region)), f"the function in {region}")
    agreed(pangea, table, "k", {"pk": {"S": "k"}, "lines": {"M": {"tea": {"N": "1"}}}})
    with Cut(pangea):
        update(pangea, HOME, table, "k", "SET #l.tea = :n, note = :t",
               n={"N": "3"}, t={"S": "first"})
        update(pangea, SECOND, table, "k", "SET #l.mug = :n", n={"N": "2"})
        update(pangea, THIRD, table, "k", "SET #l.tea = :n, note = :t",
               n={"N": "2"}, t={"S": "last"})
    agreed(pangea, table, "k", {
        "pk": {"S": "k"}, "note": {"S": "last"},
        "lines": {"M": {"mug": {"N": "2"}, "tea": {"N": "3"}}}})
    # A write goes by what the function shows, and takes the place of all that it was made of.
    shown = update(pangea, SECOND, table, "k", "REMOVE note")
    assert shown["lines"] == {"M": {"mug": {"N": "2"}, "tea": {"N": "3"}}}, shown

    other = tmp_path / "other.wasm"
    other.write_bytes(b"no module")
    refused = pangea.cli("table", "set-merge", table, "wasm", str(other), check=False)
    assert refused.returncode == 1 and "no merge function" in refused.stderr, refused.stderr
    with pytest.raises(ClientError) as error:
        make(pangea, table_name + "2", merge="wasm")
    assert "needs its function" in str(error.value)


def test_siblings_are_kept_until_a_client_that_saw_both_writes(pangea, table_name):
    table = make(pangea, table_name, merge="siblings")
    with Cut(pangea):
        for region in (HOME, SECOND):
            pangea.client(region).put_item(
                TableName=table, Item={"pk": {"S": "k"}, "v": {"S": region}})
    client = pangea.client(THIRD)

    def read():
        got = client.get_item(TableName=table, Key={"pk": {"S": "k"}})
        headers = got["ResponseMetadata"]["HTTPHeaders"]
        return headers if headers.get("x-pangea-siblings") == "2" else None

    headers = eventually(read, "two versions in the third region")

    def send_context(request, **_):
        request.headers["x-pangea-context"] = headers["x-pangea-context"]

    client.meta.events.register("before-sign.dynamodb.PutItem", send_context)
    client.put_item(TableName=table, Item={"pk": {"S": "k"}, "v": {"S": "chosen"}})
    for region in REGIONS:
        eventually(lambda region=region: value(pangea, region, table, "k") == "chosen",
                   f"the choice in {region}")
    got = client.get_item(TableName=table, Key={"pk": {"S": "k"}})
    assert got["ResponseMetadata"]["HTTPHeaders"]["x-pangea-siblings"] == "1"


def test_a_conflict_is_resolved_reported_and_exported(pangea, table_name):
    table = make(pangea, table_name)
    with Cut(pangea):
        for region, text in ((HOME, "lost"), (SECOND, "won")):
            pangea.client(region).put_item(
                TableName=table, Item={"pk": {"S": "k"}, "v": {"S": text}})
    agreed(pangea, table, "k", {"pk": {"S": "k"}, "v": {"S": "won"}})
    [entry] = eventually(lambda: pangea.conflicts(table), "the conflict")
    report = pangea.json("conflicts", "report", "--table", table)
    assert report["tables"][0]["conflicts"] == 1 and report["tables"][0]["advice"] == "siblings"
    pangea.cli("conflicts", "resolve", entry["id"], "--keep", "loser", "--note", "the older is right")
    agreed(pangea, table, "k", {"pk": {"S": "k"}, "v": {"S": "lost"}})
    [entry] = pangea.conflicts(table)
    assert entry["resolved"] == "loser"
    again = pangea.cli("conflicts", "resolve", "ffff", "--keep", "winner", check=False)
    assert again.returncode == 1, again.stderr
    lines = pangea.cli("conflicts", "export").stdout.splitlines()
    assert entry["id"] in {json.loads(line)["id"] for line in lines}


def test_conflicts_of_one_pair_of_writes_are_told_apart(pangea, table_name):
    """The attributes of an update, and the items of a transaction, lose to the same write."""
    table = make(pangea, table_name, merge="crdt")
    with Cut(pangea):
        for region, text in ((HOME, "lost"), (SECOND, "won")):
            update(pangea, region, table, "k", "SET a = :v, b = :v", v={"S": text})
    agreed(pangea, table, "k", {"pk": {"S": "k"}, "a": {"S": "won"}, "b": {"S": "won"}})
    entries = eventually(
        lambda: len(found := pangea.conflicts(table)) == 2 and found, "both attributes")
    assert {entry["path"] for entry in entries} == {"a", "b"}
    [of_a] = [entry["id"] for entry in entries if entry["path"] == "a"]
    assert pangea.json("conflicts", "show", of_a)["path"] == "a"
    listed = pangea.cli("conflicts", "list", "--table", table).stdout
    assert "k (a)" in listed and of_a in listed, "no shorter id would name one of the two"
    pangea.cli("conflicts", "resolve", of_a, "--keep", "loser")
    agreed(pangea, table, "k", {"pk": {"S": "k"}, "a": {"S": "lost"}, "b": {"S": "won"}})

    with Cut(pangea):
        for region, text in ((HOME, "lost"), (SECOND, "won")):
            pangea.client(region).transact_write_items(TransactItems=[
                {"Put": {"TableName": table, "Item": {"pk": {"S": key}, "v": {"S": text}}}}
                for key in ("t1", "t2")])
    for key in ("t1", "t2"):
        agreed(pangea, table, key, {"pk": {"S": key}, "v": {"S": "won"}})
    entries = [entry for entry in pangea.conflicts(table) if entry["key"][0]["S"] != "k"]
    assert len(entries) == 2
    [of_t1] = [entry["id"] for entry in entries if entry["key"] == [{"S": "t1"}]]
    pangea.cli("conflicts", "resolve", of_t1, "--keep", "loser")
    agreed(pangea, table, "t1", {"pk": {"S": "t1"}, "v": {"S": "lost"}})
    assert value(pangea, HOME, table, "t2") == "won"


def test_keeping_the_winner_leaves_no_siblings(pangea, table_name):
    table = make(pangea, table_name, merge="siblings")
    with Cut(pangea):
        for region, text in ((HOME, "lost"), (SECOND, "won")):
            pangea.client(region).put_item(
                TableName=table, Item={"pk": {"S": "k"}, "v": {"S": text}})
    agreed(pangea, table, "k", {"pk": {"S": "k"}, "v": {"S": "won"}})
    [entry] = eventually(lambda: pangea.conflicts(table), "the conflict")
    pangea.cli("conflicts", "resolve", entry["id"], "--keep", "winner")

    def siblings(region):
        got = pangea.client(region).get_item(TableName=table, Key={"pk": {"S": "k"}})
        assert got["Item"]["v"] == {"S": "won"}
        return got["ResponseMetadata"]["HTTPHeaders"]["x-pangea-siblings"]

    for region in REGIONS:
        eventually(lambda region=region: siblings(region) == "1", f"one version in {region}")


def test_one_region_writes_a_key_and_others_send_it_on(pangea, table_name):
    table = make(pangea, table_name, merge="owner", owner=f"eu-={SECOND}")
    put = pangea.client(THIRD).put_item(
        TableName=table, Item={"pk": {"S": "eu-1"}, "v": {"S": "sent on"}})
    assert put["ResponseMetadata"]["HTTPHeaders"]["x-pangea-answered-by"] == SECOND
    assert value(pangea, SECOND, table, "eu-1") == "sent on"
    pangea.cli("table", "set", table, "foreign-writes=refuse")

    def refused():
        try:
            pangea.client(THIRD).put_item(TableName=table, Item={"pk": {"S": "eu-2"}})
        except ClientError as error:
            return error.response["Error"]["Message"]
        return None

    assert SECOND in eventually(refused, "the new setting in the third region")


def test_restricted_items_never_reach_other_regions(pangea, table_name):
    mark = "only-for-two-regions"
    table = make(pangea, table_name, placement=f"secret-={HOME}+{SECOND}")
    pangea.client(THIRD).put_item(
        TableName=table, Item={"pk": {"S": "secret-1"}, "v": {"S": mark}})
    for region in (HOME, SECOND):
        eventually(lambda region=region: value(pangea, region, table, "secret-1") == mark,
                   f"the item in {region}")
    # A conflict about it, which only the two may know of.
    with Cut(pangea):
        for region in (HOME, SECOND):
            pangea.client(region).put_item(
                TableName=table, Item={"pk": {"S": "secret-1"}, "v": {"S": f"{mark}-{region}"}})
    eventually(lambda: pangea.conflicts(table), "the conflict")
    pangea.client(HOME).put_item(TableName=table, Item={"pk": {"S": "open"}, "v": {"S": "x"}})
    eventually(lambda: value(pangea, THIRD, table, "open") == "x", "what came after it")
    assert item(pangea, THIRD, table, "secret-1") is None
    # Not in rows, not in the ledger, not in logs: the region's files do not have the bytes.
    found = [path for path in (pangea.data / THIRD).rglob("*")
             if path.is_file() and mark.encode() in path.read_bytes()]
    assert found == []
    assert any(mark.encode() in path.read_bytes()
               for path in (pangea.data / HOME).rglob("*") if path.is_file())


def test_an_item_does_not_move_while_others_may_have_it(pangea, table_name):
    """What follows a restricted version is not sent on, so an open one would stay elsewhere."""
    table = make(pangea, table_name, placement=f"@country:DE={HOME}")
    home = pangea.client(HOME)
    home.put_item(TableName=table, Item={"pk": {"S": "k"}, "v": {"S": "open"}})
    for region in REGIONS:
        eventually(lambda region=region: value(pangea, region, table, "k") == "open", region)
    german = {"pk": {"S": "k"}, "v": {"S": "secret"}, "country": {"S": "DE"}}
    with pytest.raises(ClientError, match="cannot change"):
        home.put_item(TableName=table, Item=german)
    with pytest.raises(ClientError, match="cannot change"):
        update(pangea, HOME, table, "k", "SET country = :c", c={"S": "DE"})
    with Cut(pangea):
        home.delete_item(TableName=table, Key={"pk": {"S": "k"}})
        with pytest.raises(ClientError, match="try again in a moment"):
            home.put_item(TableName=table, Item=german)

    def moved():
        home.put_item(TableName=table, Item=german)
        return True

    eventually(moved, "the deletion everywhere")
    assert value(pangea, HOME, table, "k") == "secret"
    for region in (SECOND, THIRD):
        assert item(pangea, region, table, "k") is None


@pytest.mark.parametrize("tags, told", [
    ({"merge": "crdt group=a+b group=b+c"}, "in one group once"),
    ({"merge": "crdt group=pk+a"}, "no key attribute"),
    ({"merge": "newest"}, "a policy is one of"),
    ({"merge": "crdt sometimes"}, "options of crdt are"),
    ({"placement": "eu-=atlantis"}, "neither a region nor a jurisdiction"),
    ({"placement": "eu-"}, "PREFIX=REGIONS"),
    ({"colour": "red"}, "there is no setting pangea:colour"),
])
def test_wrong_settings_are_refused_with_what_is_right(pangea, table_name, tags, told):
    with pytest.raises(ClientError) as refused:
        make(pangea, table_name, **tags)
    assert told in refused.value.response["Error"]["Message"]
    with pytest.raises(ClientError):
        pangea.client(HOME).describe_table(TableName=table_name)
