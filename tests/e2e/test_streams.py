"""Change streams, read with the unmodified client as consumers of the service read them."""

import time

import pytest
from botocore.exceptions import ClientError

from cluster import Cluster
from support import REGIONS, eventually

HOME, SECOND, _ = REGIONS
# Shards of two seconds, so that parents are closed while a test looks.
CLUSTER = {"shop": False, "extra": ["[streams]", "shard_s = 2"]}


def create(pangea, name, view="NEW_AND_OLD_IMAGES"):
    table = pangea.client(HOME).create_table(
        TableName=name, BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": view})
    return table["TableDescription"]["LatestStreamArn"]


def put(pangea, region, name, key, value):
    pangea.client(region).put_item(TableName=name, Item={"pk": {"S": key}, "v": {"S": value}})


def shards(streams, arn, page=1):
    """All shards, page by page."""
    found, start = [], {}
    while True:
        told = streams.describe_stream(StreamArn=arn, Limit=page, **start)["StreamDescription"]
        assert len(told["Shards"]) <= page
        found += told["Shards"]
        if "LastEvaluatedShardId" not in told:
            return found
        assert told["LastEvaluatedShardId"] == found[-1]["ShardId"]
        start = {"ExclusiveStartShardId": told["LastEvaluatedShardId"]}


def shard_records(streams, arn, shard, limit=1000):
    """What is in a shard now, and whether that was the end of it."""
    iterator = streams.get_shard_iterator(
        StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")
    iterator, found = iterator["ShardIterator"], []
    while iterator:
        page = streams.get_records(ShardIterator=iterator, Limit=limit)
        assert len(page["Records"]) <= limit
        found += page["Records"]
        iterator = page.get("NextShardIterator")
        if not page["Records"]:
            break
    return found, iterator is None


def walk(streams, arn, limit=1000):
    """Every record, as the Kinesis Client Library comes by them: parents before children."""
    found, done = [], set()
    for shard in shards(streams, arn):
        parent = shard.get("ParentShardId")
        assert parent is None or parent in done, "a child comes behind its parent"
        records, over = shard_records(streams, arn, shard, limit)
        assert over == ("EndingSequenceNumber" in shard["SequenceNumberRange"])
        span = shard["SequenceNumberRange"]
        for record in records:
            place = int(record["dynamodb"]["SequenceNumber"])
            assert int(span["StartingSequenceNumber"]) <= place
            assert place <= int(span.get("EndingSequenceNumber", 10 ** 40))
        found += records
        done.add(shard["ShardId"])
    places = [int(record["dynamodb"]["SequenceNumber"]) for record in found]
    assert places == sorted(set(places))
    return found


def told(records):
    value = lambda image: image and image["v"]["S"]
    return [(record["eventName"], record["dynamodb"]["Keys"]["pk"]["S"],
             value(record["dynamodb"].get("OldImage")), value(record["dynamodb"].get("NewImage")))
            for record in records]


def refused(call, **arguments):
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return error.value.response["Error"]["Code"]


def test_every_region_tells_every_change_in_order(own_pangea):
    name = own_pangea.global_table("walked")
    put(own_pangea, HOME, name, "a", "1")
    put(own_pangea, HOME, name, "a", "1")
    put(own_pangea, HOME, name, "a", "2")
    own_pangea.converged(name)
    own_pangea.client(SECOND).delete_item(TableName=name, Key={"pk": {"S": "a"}})
    wanted = [("INSERT", "a", None, "1"), ("MODIFY", "a", "1", "2"), ("REMOVE", "a", "2", None)]
    for region in REGIONS:
        streams = own_pangea.client(region, service="dynamodbstreams")
        arn = own_pangea.client(region).describe_table(TableName=name)["Table"]["LatestStreamArn"]

        def whole():
            records = walk(streams, arn)
            return told(records)[-1:] == wanted[-1:] and records

        records = eventually(whole, f"the last record in {region}")
        # What a frame carries is the newest version: a peer may not see what was overwritten.
        assert region != HOME or told(records) == wanted
        assert {record["awsRegion"] for record in records} == {region}
        assert {record["eventSource"] for record in records} == {"aws:dynamodb"}
        assert len({record["eventID"] for record in records}) == len(records)
        assert all("userIdentity" not in record for record in records)


def test_changes_of_one_request_come_in_its_order(own_pangea):
    client = own_pangea.client(HOME)
    streams = own_pangea.client(HOME, service="dynamodbstreams")
    arn = create(own_pangea, "ordered")
    keys = [f"{31 * i % 25:02}" for i in range(25)]
    items = [{"pk": {"S": key}, "v": {"S": "batch"}} for key in keys]
    client.batch_write_item(RequestItems={"ordered": [{"PutRequest": {"Item": it}} for it in items]})
    items = [{"pk": {"S": key}, "v": {"S": "transaction"}} for key in keys]
    client.transact_write_items(
        TransactItems=[{"Put": {"TableName": "ordered", "Item": it}} for it in items])
    found = walk(streams, arn)
    assert [it["dynamodb"]["Keys"]["pk"]["S"] for it in found] == 2 * keys


def test_shards_follow_each_other_and_end(own_pangea):
    arn, streams = create(own_pangea, "cut"), own_pangea.client(HOME, service="dynamodbstreams")
    written = []

    def several():
        written.append(str(len(written)))
        put(own_pangea, HOME, "cut", "k", written[-1])
        return len(shards(streams, arn)) >= 3 or None

    eventually(several, "three shards", pause=0.2)
    records = walk(streams, arn, limit=2)
    assert [new for _, _, _, new in told(records)] == written
    every = shards(streams, arn, page=100)
    assert every[:3] == shards(streams, arn)[:3]
    assert [shard["ShardId"] for shard in every] == sorted(shard["ShardId"] for shard in every)
    filtered = streams.describe_stream(
        StreamArn=arn, ShardFilter={"Type": "CHILD_SHARDS", "ShardId": every[0]["ShardId"]})
    children = [shard["ShardId"] for shard in filtered["StreamDescription"]["Shards"]]
    assert children == [every[1]["ShardId"]]

    streams_of = lambda: [one["StreamArn"] for one in
                          streams.list_streams(TableName="cut")["Streams"]]
    assert streams_of() == [arn]
    client = own_pangea.client(HOME)
    client.update_table(TableName="cut", StreamSpecification={"StreamEnabled": False})
    put(own_pangea, HOME, "cut", "k", "unseen")
    told_of = streams.describe_stream(StreamArn=arn)["StreamDescription"]
    assert told_of["StreamStatus"] == "DISABLED"
    assert "EndingSequenceNumber" in told_of["Shards"][-1]["SequenceNumberRange"]
    assert [new for _, _, _, new in told(walk(streams, arn))] == written
    eventually(lambda: own_pangea.table_status(HOME, "cut") == "ACTIVE", "the end of the update")
    client.update_table(TableName="cut", StreamSpecification={
        "StreamEnabled": True, "StreamViewType": "KEYS_ONLY"})
    assert len(streams_of()) == 2 and arn in streams_of()
    put(own_pangea, HOME, "cut", "k", "again")
    other = next(one for one in streams_of() if one != arn)
    records = walk(streams, other)
    assert told(records) == [("MODIFY", "k", None, None)]


def follow(streams, arn, iterators, over):
    """What has come since the last look, of shards whose end was not seen: a consumer does not go
    back to others."""
    found = []
    for shard in (it["ShardId"] for it in shards(streams, arn, page=100)):
        if shard in over:
            continue
        if shard not in iterators:
            begun = streams.get_shard_iterator(
                StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
            iterators[shard] = begun["ShardIterator"]
        page = streams.get_records(ShardIterator=iterators[shard])
        found += page["Records"]
        iterators[shard] = page.get("NextShardIterator")
        if iterators[shard] is None:
            over.add(shard)
    return found


def test_a_wall_clock_that_steps_ends_no_shard_before_its_time(own_pangea):
    name = own_pangea.global_table("stepped")
    arn = own_pangea.client(SECOND).describe_table(TableName=name)["Table"]["LatestStreamArn"]
    streams, iterators, over = own_pangea.client(SECOND, service="dynamodbstreams"), {}, set()
    try:
        # No peer confirms it: the region goes by the time that it had, and so do its records.
        own_pangea.cli("clock", "set", SECOND, "--offset-ms", "200000")
        for _ in range(3):
            follow(streams, arn, iterators, over)
        put(own_pangea, SECOND, name, "k", "late")
        come = lambda: [one for one in told(follow(streams, arn, iterators, over)) if one]
        eventually(lambda: ("INSERT", "k", None, "late") in come(), "the record")
    finally:
        own_pangea.cli("clock", "set", SECOND, "--offset-ms", "0")


def test_iterators_begin_where_they_are_told(own_pangea):
    arn, streams = create(own_pangea, "begun", "NEW_IMAGE"), own_pangea.client(
        HOME, service="dynamodbstreams")
    for n in range(3):
        put(own_pangea, HOME, "begun", f"k{n}", "v")
    places, shard = [], None
    for shard in shards(streams, arn):
        records, _ = shard_records(streams, arn, shard)
        places += [(shard["ShardId"], record["dynamodb"]["SequenceNumber"]) for record in records]
    assert len(places) == 3

    def first(kind, shard_id, **more):
        iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard_id,
                                              ShardIteratorType=kind, **more)["ShardIterator"]
        page = streams.get_records(ShardIterator=iterator, Limit=1)["Records"]
        return page[0]["dynamodb"]["SequenceNumber"] if page else None

    shard_id, place = places[0]
    after = places[1][1] if places[1][0] == shard_id else None
    assert first("TRIM_HORIZON", shard_id) == place
    assert first("AT_SEQUENCE_NUMBER", shard_id, SequenceNumber=place) == place
    assert first("AFTER_SEQUENCE_NUMBER", shard_id, SequenceNumber=place) == after
    assert first("LATEST", shard_id) is None
    assert first("AT_TIMESTAMP", shard_id, Timestamp=0) == place
    assert first("AT_TIMESTAMP", shards(streams, arn)[-1]["ShardId"], Timestamp=time.time()) is None

    get, missing = streams.get_shard_iterator, "shardId-00000000000000000000-00000000"
    ask = {"StreamArn": arn, "ShardId": shard_id}
    assert refused(get, **ask, ShardIteratorType="LATEST", SequenceNumber=place) \
        == "ValidationException"
    assert refused(get, **ask, ShardIteratorType="AT_SEQUENCE_NUMBER") == "ValidationException"
    assert refused(get, **ask, ShardIteratorType="AT_TIMESTAMP", Timestamp=time.time() + 60) \
        == "ValidationException"
    assert refused(get, StreamArn=arn, ShardId=missing, ShardIteratorType="LATEST") \
        == "ResourceNotFoundException"
    assert refused(streams.get_records, ShardIterator="x" * 60) == "ValidationException"
    assert refused(streams.describe_stream, StreamArn=arn.replace("begun", "gone")) \
        == "ResourceNotFoundException"


def test_records_go_when_their_time_is_over(tmp_path):
    with Cluster(tmp_path, shop=False, extra=["[streams]", "shard_s = 1", "kept_s = 5"]) as cluster:
        arn, streams = create(cluster, "short"), cluster.client(HOME, service="dynamodbstreams")
        put(cluster, HOME, "short", "old", "1")
        first = shards(streams, arn)[0]["ShardId"]
        written = iter(range(10 ** 6))

        def gone():
            put(cluster, HOME, "short", "new", str(next(written)))
            try:
                keys = {key for _, key, _, _ in told(walk(streams, arn))}
            except ClientError as error:
                # A shard went between two calls.
                assert error.response["Error"]["Code"] in {
                    "ResourceNotFoundException", "TrimmedDataAccessException"}
                return None
            return "old" not in keys and keys

        assert eventually(gone, "the end of the record", pause=0.5) == {"new"}
        # It had room for a second more.
        listed = lambda: [one["ShardId"] for one in shards(streams, arn, page=100)]
        eventually(lambda: first not in listed(), "the end of its shard")
        assert refused(streams.get_shard_iterator, StreamArn=arn, ShardId=first,
                       ShardIteratorType="TRIM_HORIZON") == "ResourceNotFoundException"


def test_a_moment_before_all_that_is_kept_is_the_oldest_that_is(tmp_path):
    kept = ["[streams]", "shard_s = 3600", "kept_s = 6"]
    with Cluster(tmp_path, shop=False, extra=kept) as cluster:
        arn, streams = create(cluster, "kept"), cluster.client(HOME, service="dynamodbstreams")
        put(cluster, HOME, "kept", "old", "1")
        after = time.time()
        time.sleep(6.5)
        [shard] = shards(streams, arn)
        asked = [{"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": after},
                 {"ShardIteratorType": "LATEST"}]
        iterators = [streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], **kind)
                     ["ShardIterator"] for kind in asked]
        put(cluster, HOME, "kept", "new", "2")
        for iterator in iterators:
            records = streams.get_records(ShardIterator=iterator)["Records"]
            assert [key for _, key, _, _ in told(records)] == ["new"]
