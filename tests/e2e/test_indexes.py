"""Secondary indexes in every region: made with the table, on a live table, across conflicts."""

import pytest
from botocore.exceptions import ClientError

from support import PATIENCE, REGIONS, eventually
from test_conflicts import Cut

HOME, SECOND, _ = REGIONS
ITEMS = 300


def index(name, *keys, projection="ALL", include=None):
    roles = ["HASH", "RANGE", "RANGE"]
    more = {"NonKeyAttributes": include} if include else {}
    return {"IndexName": name, "Projection": {"ProjectionType": projection, **more},
            "KeySchema": [{"AttributeName": key, "KeyType": role}
                          for key, role in zip(keys, roles)]}


def attributes(**kinds):
    return [{"AttributeName": name, "AttributeType": kind} for name, kind in kinds.items()]


@pytest.fixture(scope="module")
def table(pangea):
    """Orders by customer, in all regions, with a local and a global index from the start."""
    name = "orders"
    pangea.client(HOME).create_table(
        TableName=name, BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=attributes(pk="S", sk="S", total="N", state="S", day="S"),
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"},
                   {"AttributeName": "sk", "KeyType": "RANGE"}],
        LocalSecondaryIndexes=[index("by-total", "pk", "total", projection="KEYS_ONLY")],
        GlobalSecondaryIndexes=[index("by-state", "state", "day", "total")])
    for region in REGIONS[1:]:
        pangea.add_replica(name, region)
    home = pangea.resource(HOME).Table(name)
    with home.batch_writer() as batch:
        for n in range(ITEMS):
            item = {"pk": f"c{n % 10}", "sk": f"o{n:03}", "note": "x" * (n % 7)}
            if n % 3:
                item |= {"total": n - 100, "state": ["new", "paid"][n % 2], "day": f"d{n % 5}"}
            batch.put_item(Item=item)
    return name


def query(pangea, region, table, name, condition, values, **options):
    pages = pangea.plain(region).get_paginator("query").paginate(
        TableName=table, IndexName=name, KeyConditionExpression=condition,
        ExpressionAttributeNames={f"#{at}": at for at in ("state", "day", "total")
                                  if f"#{at}" in condition},
        ExpressionAttributeValues=values, **options)
    return [item for page in pages for item in page["Items"]]


def verified(pangea, table):
    """Every index of every region as `pangea table verify` counts it; it ends with 0."""
    return [(report["region"], one["index"], one["ready"], one["items"],
             one["missing"], one["surplus"])
            for report in pangea.json("table", "verify", table) for one in report["indexes"]]


def test_every_region_reads_through_indexes(pangea, table):
    wanted = [n for n in range(ITEMS) if n % 3 and n % 2]
    for region in REGIONS:
        def found(region=region):
            return query(pangea, region, table, "by-state", "#state = :s", {":s": {"S": "paid"}},
                         PaginationConfig={"PageSize": 17})
        items = eventually(lambda: len(found()) == len(wanted) and found(), f"items in {region}")
        order = [(item["day"]["S"], int(item["total"]["N"])) for item in items]
        assert order == sorted(order)
        assert {item["sk"]["S"] for item in items} == {f"o{n:03}" for n in wanted}
        of_day = query(pangea, region, table, "by-state",
                       "#state = :s AND #day = :d AND #total < :t",
                       {":s": {"S": "paid"}, ":d": {"S": "d1"}, ":t": {"N": "0"}})
        assert {item["sk"]["S"] for item in of_day} == {
            f"o{n:03}" for n in wanted if n % 5 == 1 and n < 100}


def test_a_local_index_is_read_strongly_and_reaches_the_table(pangea, table):
    condition, values = "pk = :p AND #total BETWEEN :a AND :b", {
        ":p": {"S": "c1"}, ":a": {"N": "-50"}, ":b": {"N": "50"}}
    keys = query(pangea, HOME, table, "by-total", condition, values, ConsistentRead=True)
    assert keys and all(set(item) == {"pk", "sk", "total"} for item in keys)
    whole = query(pangea, HOME, table, "by-total", condition, values, Select="ALL_ATTRIBUTES")
    assert [item["sk"] for item in whole] == [item["sk"] for item in keys]
    assert all("note" in item for item in whole)
    with pytest.raises(ClientError, match="Consistent reads are not supported on global"):
        query(pangea, HOME, table, "by-state", "#state = :s", {":s": {"S": "new"}},
              ConsistentRead=True)


def test_pages_of_a_local_index_that_reaches_the_table_count_what_is_read_there(pangea, table):
    client = pangea.plain(HOME)
    for n in range(600, 900):
        client.put_item(TableName=table, Item={
            "pk": {"S": "many"}, "sk": {"S": f"o{n}"}, "total": {"N": str(n)}, "note": {"S": "x"}})
    asked = {"TableName": table, "IndexName": "by-total", "KeyConditionExpression": "pk = :p",
             "ExpressionAttributeValues": {":p": {"S": "many"}}}
    assert client.query(**asked)["Count"] == 300
    page = client.query(**asked, Select="ALL_ATTRIBUTES", ReturnConsumedCapacity="INDEXES")
    # Each item takes 4 KB of the page's 1 MB, and what the index has of them a few more.
    assert (page["Count"], page["ScannedCount"]) == (254, 254)
    assert page["ConsumedCapacity"]["Table"] == {"CapacityUnits": 254 / 2}
    rest = client.query(**asked, Select="ALL_ATTRIBUTES",
                        ExclusiveStartKey=page["LastEvaluatedKey"])
    assert rest["Count"] == 46 and "LastEvaluatedKey" not in rest
    said = client.execute_statement(
        Statement=f'SELECT note FROM "{table}"."by-total" WHERE pk = \'many\'')
    assert len(said["Items"]) == 254 and "NextToken" in said


def test_an_index_of_a_live_table_is_filled_in_every_region(pangea, table):
    pangea.client(HOME).update_table(
        TableName=table, AttributeDefinitions=attributes(sk="S", day="S"),
        GlobalSecondaryIndexUpdates=[{"Create": index(
            "by-day", "day", "sk", projection="INCLUDE", include=["total"])}])
    # Written while it is being filled, or not: nobody can tell afterwards.
    pangea.client(SECOND).put_item(
        TableName=table, Item={"pk": {"S": "c1"}, "sk": {"S": "late"}, "day": {"S": "d1"}})
    expected = sum(1 for n in range(ITEMS) if n % 3 and n % 5 == 1) + 1

    def filled():
        return all(len(query(pangea, region, table, "by-day", "#day = :d", {":d": {"S": "d1"}}))
                   == expected for region in REGIONS)

    eventually(filled, "the index in every region")
    for region in REGIONS:
        shown = pangea.client(region).describe_table(TableName=table)["Table"]
        states = {one["IndexName"]: one["IndexStatus"] for one in shown["GlobalSecondaryIndexes"]}
        assert states == {"by-state": "ACTIVE", "by-day": "ACTIVE"}
    reports = verified(pangea, table)
    assert {report[:2] for report in reports} == {
        (region, name) for region in REGIONS for name in ("by-total", "by-state", "by-day")}
    assert all(report[2] and report[3] and not report[4] and not report[5] for report in reports)
    pangea.client(HOME).update_table(
        TableName=table, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "by-day"}}])

    def gone(region):
        try:
            query(pangea, region, table, "by-day", "#day = :d", {":d": {"S": "d1"}})
        except ClientError as error:
            return "does not have the specified index: by-day" in str(error)
        return False

    eventually(lambda: all(gone(region) for region in REGIONS), "the end of the index")


def test_an_index_shows_what_the_merge_of_a_conflict_shows(pangea, table):
    key = {"pk": {"S": "torn"}, "sk": {"S": "0"}}

    def put(region, state):
        pangea.client(region).put_item(TableName=table, Item={
            **key, "state": {"S": state}, "day": {"S": "d9"}, "total": {"N": "1"}})

    put(HOME, "both")
    eventually(lambda: pangea.client(SECOND).get_item(TableName=table, Key=key).get("Item"),
               "the item in the second region")
    with Cut(pangea):
        put(HOME, "lost")
        put(SECOND, "won")
    for region in REGIONS:
        for state, count in (("both", 0), ("lost", 0), ("won", 1)):
            eventually(lambda region=region, state=state, count=count: len(query(
                pangea, region, table, "by-state", "#state = :s", {":s": {"S": state}})) == count,
                f"{count} {state} in {region}", timeout=PATIENCE)
    assert all(not report[4] and not report[5] for report in verified(pangea, table))


def test_values_that_can_be_no_index_key_are_refused(pangea, table):
    client = pangea.client(HOME)
    for value, message in (
            ({"S": "ten"}, "Type mismatch for Index Key total Expected: N Actual: S"),
            ({"NULL": True}, "Type mismatch for Index Key total Expected: N Actual: NULL")):
        with pytest.raises(ClientError, match=message):
            client.put_item(TableName=table, Item={
                "pk": {"S": "bad"}, "sk": {"S": "0"}, "total": value})
    with pytest.raises(ClientError, match="empty string value. IndexName: by-state, IndexKey: "):
        client.put_item(TableName=table, Item={
            "pk": {"S": "bad"}, "sk": {"S": "0"}, "state": {"S": ""}})
    long = "Size limit exceeded for Index Key {} Actual Size: {} bytes Max Size: {} bytes " \
        "IndexName: by-state"
    for name, most in (("state", 2048), ("day", 1024)):
        with pytest.raises(ClientError, match=long.format(name, most + 1, most)):
            client.put_item(TableName=table, Item={
                "pk": {"S": "bad"}, "sk": {"S": "0"}, name: {"S": "x" * (most + 1)}})
    assert "Item" not in client.get_item(
        TableName=table, Key={"pk": {"S": "bad"}, "sk": {"S": "0"}})


def test_no_index_key_is_compared_with_what_none_can_be(pangea, table):
    for condition, value, message in (
            ("#state = :v", "", "empty string value. IndexName: by-state, IndexKey: state"),
            ("#state = :s AND begins_with(#day, :v)", "",
             "empty string value. IndexName: by-state, IndexKey: day"),
            ("#state = :v", "x" * 2049, "Size of hashkey has exceeded the maximum size limit of")):
        values = {":v": {"S": value}, ":s": {"S": "new"}}
        used = {name: value for name, value in values.items() if name in condition}
        with pytest.raises(ClientError, match=message):
            query(pangea, HOME, table, "by-state", condition, used)


def test_a_wrong_index_key_is_told_before_the_condition(pangea, table):
    item = {"pk": {"S": "wrong"}, "sk": {"S": "0"}, "total": {"S": "ten"}}
    with pytest.raises(ClientError, match="Type mismatch for Index Key total"):
        pangea.client(HOME).put_item(
            TableName=table, Item=item, ConditionExpression="attribute_exists(pk)")


def test_a_query_may_filter_by_what_the_index_has(pangea, table):
    client = pangea.plain(HOME)
    values = {":pk": {"S": "c1"}, ":x": {"S": "x"}}
    by_total = {"TableName": table, "IndexName": "by-total", "FilterExpression": "note = :x"}
    keyed = {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": values}
    statement = f'SELECT pk FROM "{table}"."by-total" WHERE note = \'x\''
    for ask in (lambda: client.query(**by_total, **keyed),
                lambda: client.execute_statement(Statement=f"{statement} AND pk = 'c1'")):
        with pytest.raises(ClientError, match="Secondary index by-total does not project one or "
                                              r"more filter attributes: \[note\]"):
            ask()
    scanned = client.scan(**by_total, ExpressionAttributeValues={":x": {"S": "x"}})
    assert scanned["Count"] == 0 and scanned["ScannedCount"] > 0
    assert client.execute_statement(Statement=statement)["Items"] == []
