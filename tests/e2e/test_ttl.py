"""Items that expire: who deletes them, and what streams tell of it."""

import time

from support import REGIONS, eventually

HOME, SECOND, _ = REGIONS
CLUSTER = {"shop": False, "extra": ["[ttl]", "scan_s = 1", "grace_s = 2"]}


def put(pangea, region, name, key, **attributes):
    item = {"pk": {"S": key}, **attributes}
    pangea.client(region).put_item(TableName=name, Item=item)


def expire_by(pangea, name, attribute):
    pangea.client(HOME).update_time_to_live(
        TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": attribute})


def removals(pangea, region, name):
    streams = pangea.client(region, service="dynamodbstreams")
    arn = pangea.client(region).describe_table(TableName=name)["Table"]["LatestStreamArn"]
    found = []
    for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        iterator = streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")
        found += streams.get_records(ShardIterator=iterator["ShardIterator"])["Records"]
    return {record["dynamodb"]["Keys"]["pk"]["S"]: record.get("userIdentity")
            for record in found if record["eventName"] == "REMOVE"}


def test_expired_items_go_everywhere_and_streams_say_why(own_pangea):
    name = own_pangea.global_table("expiring")
    now = int(time.time())
    put(own_pangea, HOME, name, "past", ttl={"N": str(now - 10)})
    put(own_pangea, SECOND, name, "elsewhere", ttl={"N": str(now - 10)})
    put(own_pangea, HOME, name, "later", ttl={"N": str(now + 3600)})
    put(own_pangea, HOME, name, "ancient", ttl={"N": "5"})
    put(own_pangea, HOME, name, "text", ttl={"S": str(now - 10)})
    put(own_pangea, HOME, name, "deleted")
    own_pangea.client(HOME).delete_item(TableName=name, Key={"pk": {"S": "deleted"}})
    assert own_pangea.client(HOME).get_item(
        TableName=name, Key={"pk": {"S": "past"}}, ConsistentRead=True)["Item"]
    expire_by(own_pangea, name, "ttl")
    eventually(lambda: len(own_pangea.items(HOME, name)) == 3, "expired items to go")
    left = {item["pk"]["S"] for item in own_pangea.converged(name).values()}
    assert left == {"later", "ancient", "text"}
    service = {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}
    for region in REGIONS:
        told = eventually(lambda: len(removals(own_pangea, region, name)) >= 2
                          and removals(own_pangea, region, name), f"records in {region}")
        assert told["past"] == told["elsewhere"] == service
        assert told.get("deleted") is None


def test_a_region_that_is_gone_is_stood_in_for(own_pangea):
    name = own_pangea.global_table("orphaned")
    put(own_pangea, SECOND, name, "orphan", ttl={"N": str(int(time.time()))})
    own_pangea.converged(name)
    own_pangea.kill(SECOND)
    expire_by(own_pangea, name, "ttl")
    eventually(lambda: not own_pangea.items(HOME, name), "the item to go without its region")
    own_pangea.revive(SECOND)
    assert own_pangea.converged(name) == {}
