"""Durability by choice: what is acknowledged to be in two regions is in two regions."""

import functools
import threading
import time
import urllib.request

import pytest
from botocore.exceptions import ClientError

from sessions import Session
from support import REGIONS, eventually

RTT_MS = 80
# Without relays: what a cut holds up must not come around it while a test looks.
CLUSTER = {"rtt_ms": RTT_MS, "shop": False,
           "extra": ["[replication]", "relay_after_ms = 600000"]}
HOME, SECOND, THIRD = REGIONS


@pytest.fixture(scope="module")
def table(own_pangea):
    return own_pangea.global_table("durable")


def attached(pangea, region, **headers):
    # The second that is waited by default may be too short for a machine that does much else.
    session = Session(**{"durability_wait_ms": 20_000, **headers})
    return session, session.attach(pangea.eager(region))


def put(client, table, key, value="v"):
    client.put_item(TableName=table, Item={"pk": {"S": key}, "v": {"S": value}})


@functools.cache
def plain(pangea, region):
    """A client without a session; making one takes longer than many requests."""
    return pangea.eager(region)


def has(pangea, region, table, key):
    found = plain(pangea, region).get_item(TableName=table, Key={"pk": {"S": key}})
    return "Item" in found


def refused(call, *arguments):
    with pytest.raises(ClientError) as error:
        call(*arguments)
    response = error.value.response
    return (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"],
            str(error.value))


def metric(pangea, region, line):
    url = f"http://127.0.0.1:{pangea.admin[region]}/metrics"
    with urllib.request.urlopen(url, timeout=10) as response:
        lines = response.read().decode().splitlines()
    values = [float(found.rsplit(" ", 1)[1]) for found in lines if found.startswith(line + " ")]
    return values[0] if values else 0.0


def median_ms(call, count=9):
    took = []
    for n in range(count):
        started = time.monotonic()
        call(n)
        took.append((time.monotonic() - started) * 1000)
    return sorted(took)[count // 2]


class Alone:
    """The first region without its links to the others."""

    def __init__(self, pangea):
        self.pangea = pangea

    def __enter__(self):
        self.pangea.cut(HOME, SECOND)
        self.pangea.cut(HOME, THIRD)

    def __exit__(self, *_):
        self.pangea.heal(HOME, SECOND)
        self.pangea.heal(HOME, THIRD)


def test_one_more_region_costs_a_round_trip_and_local_writes_nothing(own_pangea, table):
    session, two = attached(own_pangea, HOME, durability="+1")
    put(two, table, "warm")
    waits = functools.partial(metric, own_pangea, HOME, "pangea_durability_wait_seconds_count")
    before = waits()
    local = median_ms(lambda n: put(plain(own_pangea, HOME), table, f"local {n}"))
    assert waits() == before, "nothing was waited for"
    more = median_ms(lambda n: put(two, table, f"more {n}"))
    assert waits() > before
    assert session.said("durability") == "+1"
    print(f"local {local:.1f} ms, +1 {more:.1f} ms, round trip {RTT_MS} ms")
    assert more >= RTT_MS, more


@pytest.mark.parametrize("level", ["local", "+1", "majority", "all"])
def test_each_level_is_reached_and_told(own_pangea, table, level):
    session, home = attached(own_pangea, HOME, durability=level)
    put(home, table, f"level {level}")
    assert session.said("durability") == level
    assert session.said("shortfall") is None
    others = [has(own_pangea, region, table, f"level {level}") for region in (SECOND, THIRD)]
    assert sum(others) >= {"local": 0, "+1": 1, "majority": 1, "all": 2}[level], others


def test_updates_deletes_and_batches_wait_too(own_pangea, table):
    session, home = attached(own_pangea, HOME, durability="all")
    key = {"pk": {"S": "each"}}
    home.update_item(TableName=table, Key=key, UpdateExpression="SET v = :v",
                     ExpressionAttributeValues={":v": {"S": "x"}})
    assert all(has(own_pangea, region, table, "each") for region in (SECOND, THIRD))
    home.delete_item(TableName=table, Key=key)
    assert not any(has(own_pangea, region, table, "each") for region in (SECOND, THIRD))
    keys = [f"batch {n}" for n in range(25)]
    home.batch_write_item(RequestItems={table: [
        {"PutRequest": {"Item": {"pk": {"S": key}}}} for key in keys]})
    assert session.said("durability") == "all"
    assert all(has(own_pangea, region, table, key) for region in (SECOND, THIRD) for key in keys)


def test_an_overwritten_write_is_there_as_what_overwrote_it(own_pangea, table):
    """Writers of one key, each waiting: none is told of more than there is."""
    wrong = []

    def write(writer):
        _, home = attached(own_pangea, HOME, durability="all")
        for n in range(10):
            mark = f"{writer}/{n}"
            home.update_item(
                TableName=table, Key={"pk": {"S": "hot"}},
                UpdateExpression="SET marks = list_append(if_not_exists(marks, :none), :mark)",
                ExpressionAttributeValues={":none": {"L": []}, ":mark": {"L": [{"S": mark}]}})
            for region in (SECOND, THIRD):
                item = plain(own_pangea, region).get_item(
                    TableName=table, Key={"pk": {"S": "hot"}})["Item"]
                if {"S": mark} not in item["marks"]["L"]:
                    wrong.append((mark, region))

    writers = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    [writer.start() for writer in writers]
    [writer.join() for writer in writers]
    assert wrong == []


def test_a_table_asks_for_more_than_a_request_may_refuse(own_pangea):
    name, home = "precious", own_pangea.client(HOME)
    schema = {"KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
              "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}]}
    home.create_table(TableName=name, **schema, BillingMode="PAY_PER_REQUEST",
                      Tags=[{"Key": "pangea:durability", "Value": "majority refuse"}])
    # One region alone is its own majority; one more it is not.
    put(plain(own_pangea, HOME), name, "alone")
    session, two = attached(own_pangea, HOME, durability="+1")
    code, status, text = refused(put, two, name, "two")
    assert (code, status) == ("TooFewRegionsException", 503)
    assert "only region" in text
    for region in (SECOND, THIRD):
        own_pangea.add_replica(name, region)
    session, lax = attached(own_pangea, HOME, durability="local", on_shortfall="degrade")
    put(lax, name, "lax")
    assert session.said("durability") == "majority", "the stronger of both holds"
    with Alone(own_pangea):
        assert refused(put, lax, name, "refused")[0] == "TooFewRegionsException"
    assert not has(own_pangea, HOME, name, "refused")


def test_without_a_majority_a_write_is_refused_or_says_so(own_pangea, table):
    session, strict = attached(own_pangea, HOME, durability="majority")
    degrading, lax = attached(own_pangea, HOME, durability="majority", on_shortfall="degrade")
    ends = 'pangea_durability_shortfalls_total{level="majority",end="%s"}'
    before = {end: metric(own_pangea, HOME, ends % end) for end in ("refused", "degraded")}
    with Alone(own_pangea):
        code, status, text = refused(put, strict, table, "refused")
        assert (code, status) == ("TooFewRegionsException", 503)
        assert SECOND in text and THIRD in text and "nothing was done" in text
        put(lax, table, "degraded")
        assert degrading.said("durability") == "local"
        assert set(degrading.said("shortfall").split(",")) == {SECOND, THIRD}
        assert not has(own_pangea, HOME, table, "refused"), "nothing is written"
        assert has(own_pangea, HOME, table, "degraded")
    for end in ("refused", "degraded"):
        assert metric(own_pangea, HOME, ends % end) == before[end] + 1
    put(strict, table, "refused")
    assert session.said("durability") == "majority"
    eventually(lambda: has(own_pangea, THIRD, table, "degraded"), "what was written alone")


def test_one_cut_link_leaves_a_majority(own_pangea, table):
    session, home = attached(own_pangea, HOME, durability="majority")
    own_pangea.cut(HOME, SECOND)
    try:
        put(home, table, "one cut")
        assert session.said("durability") == "majority"
        assert has(own_pangea, THIRD, table, "one cut")
        _, every = attached(own_pangea, HOME, durability="all")
        assert refused(put, every, table, "all cut")[0] == "TooFewRegionsException"
        session, lax = attached(own_pangea, HOME, durability="all", on_shortfall="degrade")
        put(lax, table, "all but one")
        assert session.said("durability") == "majority", "those that are reached count"
        assert session.said("shortfall") == SECOND
        assert has(own_pangea, THIRD, table, "all but one")
    finally:
        own_pangea.heal(HOME, SECOND)


def test_when_the_wait_runs_out_the_write_is_there(own_pangea, table):
    session, hasty = attached(own_pangea, HOME, durability="+1", durability_wait_ms=0)
    code, status, text = refused(put, hasty, table, "hasty")
    assert (code, status) == ("DurabilityTimeoutException", 504)
    assert "in place in" in text and session.said("version") in text
    assert has(own_pangea, HOME, table, "hasty")
    eventually(lambda: has(own_pangea, SECOND, table, "hasty"), "what was on its way")
    session, lax = attached(own_pangea, HOME, durability="+1", durability_wait_ms=0,
                            on_shortfall="degrade")
    put(lax, table, "lax")
    assert session.said("durability") == "local"
    assert set(session.said("shortfall").split(",")) == {SECOND, THIRD}


def test_a_quorum_reads_what_has_not_arrived(own_pangea, table):
    """The second region is cut off from the writer; the third one has what was written."""
    pangea = own_pangea
    _, home = attached(pangea, HOME, durability="majority")
    pangea.cut(HOME, SECOND)
    try:
        put(home, table, "quorum", "new")
        session, local = attached(pangea, SECOND, read="local")
        key = {"pk": {"S": "quorum"}}
        assert "Item" not in local.get_item(TableName=table, Key=key)
        assert session.said("read") == "local"
        session, quorum = attached(pangea, SECOND, read="quorum")
        assert quorum.get_item(TableName=table, Key=key)["Item"]["v"]["S"] == "new"
        assert session.said("read") == "quorum"
        found = quorum.batch_get_item(RequestItems={table: {"Keys": [key, {"pk": {"S": "no"}}]}})
        assert [item["v"]["S"] for item in found["Responses"][table]] == ["new"]
        # The session is ahead of its region now: others may answer it, the region alone does not.
        assert quorum.get_item(TableName=table, Key=key)["Item"]["v"]["S"] == "new"
        session.headers = {"x-pangea-session-mode": "wait 0"}
        assert refused(lambda: quorum.get_item(TableName=table, Key=key))[0] == (
            "SessionBehindException")
        session, every = attached(pangea, SECOND, read="all")
        assert refused(lambda: every.get_item(TableName=table, Key=key))[0] == (
            "TooFewRegionsException")
        session, lax = attached(pangea, SECOND, read="all", on_shortfall="degrade")
        assert lax.get_item(TableName=table, Key=key).get("Item", {}).get("v") in (
            None, {"S": "new"})
        assert session.said("read") == "quorum" and session.said("shortfall") == HOME
    finally:
        pangea.heal(HOME, SECOND)
    session, every = attached(pangea, SECOND, read="all")
    assert refused(lambda: every.scan(TableName=table))[0] == "ValidationException"
    assert every.get_item(TableName=table, Key=key)["Item"]["v"]["S"] == "new"
    assert session.said("read") == "all"


def test_a_quorum_read_merges_newer_and_deleted(own_pangea, table):
    pangea = own_pangea
    home = plain(pangea, HOME)
    _, quorum = attached(pangea, SECOND, read="quorum")
    for key in ("newer", "deleted"):
        put(home, table, key, "old")
        eventually(lambda key=key: has(pangea, SECOND, table, key), key)
    pangea.cut(HOME, SECOND)
    try:
        _, sure = attached(pangea, HOME, durability="majority")
        put(sure, table, "newer", "new")
        sure.delete_item(TableName=table, Key={"pk": {"S": "deleted"}})
        got = quorum.get_item(TableName=table, Key={"pk": {"S": "newer"}})
        assert got["Item"]["v"]["S"] == "new"
        assert "Item" not in quorum.get_item(TableName=table, Key={"pk": {"S": "deleted"}})
        assert has(pangea, SECOND, table, "deleted"), "nothing is written back"
    finally:
        pangea.heal(HOME, SECOND)


def test_what_one_more_region_has_survives_the_loss_of_the_writer(own_pangea, table):
    """`kill -9` right behind the acknowledgement, again and again."""
    pangea = own_pangea
    acknowledged = []
    for n in range(3):
        _, home = attached(pangea, HOME, durability="+1")
        for nth in range(3):
            key = f"killed {n}/{nth}"
            put(home, table, key)
            acknowledged.append(key)
        pangea.kill(HOME)
        for key in acknowledged:
            assert any(has(pangea, region, table, key) for region in (SECOND, THIRD)), key
        pangea.revive(HOME)
        eventually(lambda: attached(pangea, HOME, durability="all")[1].put_item(
            TableName=table, Item={"pk": {"S": f"back {n}"}}), "all three regions")


def test_a_transaction_that_is_sent_again_is_not_told_to_be_undone(own_pangea, table):
    session, home = attached(own_pangea, HOME, durability="+1", durability_wait_ms=1)
    item = {"pk": {"S": "sent again"}}

    def transact():
        home.transact_write_items(ClientRequestToken="sent again", TransactItems=[
            {"Put": {"TableName": table, "Item": item}}])

    code, _, text = refused(transact)
    assert code == "DurabilityTimeoutException" and "in place in us-east-1" in text
    eventually(lambda: has(own_pangea, SECOND, table, "sent again"), "the other region to have it")
    with Alone(own_pangea):
        # Nothing is to be written, so that it does not matter whom a write would reach.
        transact()
        assert session.said("durability") == "+1"
        new = functools.partial(put, home, table, "another")
        assert refused(new)[0] == "TooFewRegionsException"
