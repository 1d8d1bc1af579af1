"""Items through boto3: every operation and kind of expression, and the typed exceptions.

With DYNAMODB_ENDPOINT set, the file tests that endpoint instead: it does not know whom it tests.
Tests marked `strict` ask for what DynamoDB does and looser stand-ins of it do not.
"""

import json
import os
import urllib.error
import urllib.request
from decimal import Decimal

import boto3
import pytest
from boto3.dynamodb.conditions import Attr, Key
from botocore.config import Config
from botocore.exceptions import ClientError

from cluster import schema
from support import REGIONS

HOME = REGIONS[0]
REFERENCE = os.environ.get("DYNAMODB_ENDPOINT")


@pytest.fixture(scope="module")
def endpoint(request):
    return REFERENCE or request.getfixturevalue("pangea").endpoint(HOME)


@pytest.fixture(scope="module")
def client(endpoint):
    config = Config(retries={"total_max_attempts": 1})
    return boto3.client("dynamodb", region_name=HOME, endpoint_url=endpoint, config=config)


@pytest.fixture(scope="module")
def resource(endpoint):
    return boto3.resource("dynamodb", region_name=HOME, endpoint_url=endpoint)


def created(client, name, sort_key):
    client.create_table(TableName=name, **schema(sort_key), BillingMode="PAY_PER_REQUEST")
    client.get_waiter("table_exists").wait(
        TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    return name


@pytest.fixture(scope="module")
def simple(client, resource):
    """A table with a partition key."""
    yield resource.Table(created(client, "items_simple", sort_key=False))
    client.delete_table(TableName="items_simple")


@pytest.fixture(scope="module")
def sorted_table(client, resource):
    """A table with a sort key: in `orders`, sk o00 … o29; one other partition."""
    table = resource.Table(created(client, "items_sorted", sort_key=True))
    with table.batch_writer() as batch:
        for n in range(30):
            batch.put_item(Item={"pk": "orders", "sk": f"o{n:02}", "n": n, "even": n % 2 == 0})
        batch.put_item(Item={"pk": "other", "sk": "o00", "n": 100})
    yield table
    client.delete_table(TableName="items_sorted")


def refused(code, call, *arguments, **options):
    """Asserts that `call` raises boto3's typed exception called `code`."""
    with pytest.raises(ClientError) as raised:
        call(*arguments, **options)
    error = raised.value
    assert error.response["Error"]["Code"] == code, error
    # A typed class, as `except client.exceptions.X` needs it, where the model knows the error.
    if code not in ("ValidationException", "SerializationException"):
        assert type(error).__name__ == code
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    assert status == (500 if code == "InternalServerError" else 400)
    return error.response


# --- put and get ------------------------------------------------------------------------------


def test_every_type_comes_back_as_it_was_put(client, simple):
    item = {
        "pk": {"S": "types"}, "s": {"S": "tea – 茶"}, "empty": {"S": ""}, "n": {"N": "-12.5"},
        "b": {"B": b"\x00\xff"}, "true": {"BOOL": True}, "null": {"NULL": True},
        "l": {"L": [{"N": "1"}, {"L": []}, {"M": {}}]},
        "m": {"M": {"deep": {"M": {"er": {"S": "x"}}}}},
        "ss": {"SS": ["a", "b"]}, "ns": {"NS": ["1", "2"]}, "bs": {"BS": [b"a", b"b"]},
    }
    client.put_item(TableName=simple.name, Item=item)
    found = client.get_item(TableName=simple.name, Key={"pk": {"S": "types"}})["Item"]
    for name, kind in (("ss", "SS"), ("ns", "NS"), ("bs", "BS")):
        assert sorted(found.pop(name)[kind]) == sorted(item.pop(name)[kind])
    assert found == item


@pytest.mark.strict
@pytest.mark.parametrize("written, read", [
    ("1.50", "1.5"), ("007", "7"), ("-0", "0"), ("1e3", "1000"), ("1E-3", "0.001"),
    ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
])
def test_numbers_are_normalised(client, simple, written, read):
    client.put_item(TableName=simple.name, Item={"pk": {"S": "n"}, "n": {"N": written}})
    found = client.get_item(TableName=simple.name, Key={"pk": {"S": "n"}})
    assert found["Item"]["n"] == {"N": read}


def test_a_missing_item_is_no_error(simple):
    assert "Item" not in simple.get_item(Key={"pk": "nobody"}, ConsistentRead=True)


def test_put_replaces_the_whole_item_and_returns_the_old(simple):
    assert "Attributes" not in simple.put_item(Item={"pk": "p", "a": 1}, ReturnValues="ALL_OLD")
    old = simple.put_item(Item={"pk": "p", "b": 2}, ReturnValues="ALL_OLD")["Attributes"]
    assert old == {"pk": "p", "a": 1}
    assert simple.get_item(Key={"pk": "p"})["Item"] == {"pk": "p", "b": 2}


def test_projection(simple):
    simple.put_item(Item={"pk": "proj", "a": {"b": [1, 2, {"c": 3}]}, "size": 4, "x": 5})
    found = simple.get_item(Key={"pk": "proj"}, ProjectionExpression="a.b[2].c, #s, nothing",
                            ExpressionAttributeNames={"#s": "size"})["Item"]
    assert found == {"a": {"b": [{"c": 3}]}, "size": 4}


# --- conditions -------------------------------------------------------------------------------


def test_a_condition_that_fails_is_a_typed_exception(client, simple):
    item = {"pk": {"S": "once"}, "v": {"N": "1"}}
    put = {"TableName": simple.name, "ConditionExpression": "attribute_not_exists(pk)"}
    client.put_item(Item=item, **put)
    with pytest.raises(client.exceptions.ConditionalCheckFailedException) as raised:
        client.put_item(Item=item, ReturnValuesOnConditionCheckFailure="ALL_OLD", **put)
    response = raised.value.response
    assert response["Error"]["Message"] == "The conditional request failed"
    assert response["Item"] == item
    refused("ConditionalCheckFailedException", client.delete_item, TableName=simple.name,
            Key={"pk": {"S": "once"}}, ConditionExpression="v > :n",
            ExpressionAttributeValues={":n": {"N": "1"}})


SAMPLE = {"pk": "cond", "n": 5, "s": "hello", "l": [1, 2, 3], "ss": {"a", "b"}, "m": {"x": 1},
          "flag": True, "nothing": None}


@pytest.mark.parametrize("condition, holds", [
    (Attr("n").eq(5), True), (Attr("n").ne(5), False), (Attr("n").lt(10), True),
    (Attr("n").lte(5), True), (Attr("n").gt(5), False), (Attr("n").gte(Decimal("4.9")), True),
    (Attr("n").between(5, 6), True), (Attr("n").is_in([1, 5]), True),
    (Attr("n").is_in([1, 2]), False), (Attr("n").eq("5"), False), (Attr("gone").eq(1), False),
    (Attr("gone").ne(1), True), (Attr("s").begins_with("he"), True),
    (Attr("s").contains("ell"), True), (Attr("ss").contains("a"), True),
    (Attr("l").contains(2), True), (Attr("l").contains(9), False),
    (Attr("s").size().eq(5), True), (Attr("l").size().gt(3), False),
    (Attr("m.x").exists(), True), (Attr("m.y").not_exists(), True), (Attr("l[0]").eq(1), True),
    (Attr("nothing").attribute_type("NULL"), True), (Attr("flag").attribute_type("S"), False),
    (Attr("flag").eq(True), True), (Attr("m").eq({"x": 1}), True),
    (Attr("n").eq(5) & Attr("s").eq("x"), False), (Attr("n").eq(0) | Attr("s").eq("hello"), True),
    (~Attr("n").eq(5), False), (~(Attr("n").eq(1) & Attr("gone").exists()), True),
])
def test_conditions(client, simple, condition, holds):
    simple.put_item(Item=SAMPLE)
    try:
        simple.put_item(Item=SAMPLE, ConditionExpression=condition)
        held = True
    except client.exceptions.ConditionalCheckFailedException:
        held = False
    assert held == holds


# --- updates ----------------------------------------------------------------------------------

START = {"pk": "up", "n": 10, "l": [1, 2, 3], "m": {"a": 1, "b": 2}, "ss": {"x", "y"}, "gone": 1}


@pytest.mark.parametrize("expression, values, changed", [
    ("SET n = n + :v", {":v": 5}, {"n": 15}),
    ("SET n = n - :v, l[1] = :v", {":v": 3}, {"n": 7, "l": [1, 3, 3]}),
    ("SET a = if_not_exists(a, :v)", {":v": 1}, {"a": 1}),
    ("SET n = if_not_exists(n, :v)", {":v": 1}, {"n": 10}),
    ("SET n = if_not_exists(hits, :z) + :o", {":z": 0, ":o": 1}, {"n": 1}),
    ("SET l = list_append(l, :v)", {":v": [4]}, {"l": [1, 2, 3, 4]}),
    ("SET l = list_append(:v, l)", {":v": [0]}, {"l": [0, 1, 2, 3]}),
    ("SET l[9] = :v", {":v": 9}, {"l": [1, 2, 3, 9]}),
    ("SET m.c = :v, m.a = m.b", {":v": 3}, {"m": {"a": 2, "b": 2, "c": 3}}),
    ("REMOVE gone, l[0], l[2], m.a", {}, {"gone": None, "l": [2], "m": {"b": 2}}),
    ("ADD n :v, hits :v, ss :s", {":v": 2, ":s": {"y", "z"}},
     {"n": 12, "hits": 2, "ss": {"x", "y", "z"}}),
    ("DELETE ss :s", {":s": {"x"}}, {"ss": {"y"}}),
    ("DELETE ss :s", {":s": {"x", "y"}}, {"ss": None}),
    ("SET a = n, n = :v REMOVE gone ADD hits :v DELETE ss :s", {":v": 1, ":s": {"x"}},
     {"a": 10, "n": 1, "gone": None, "hits": 1, "ss": {"y"}}),
])
def test_updates(simple, expression, values, changed):
    simple.put_item(Item=START)
    options = {"ExpressionAttributeValues": values} if values else {}
    new = simple.update_item(Key={"pk": "up"}, UpdateExpression=expression,
                             ReturnValues="ALL_NEW", **options)["Attributes"]
    expected = {name: value for name, value in {**START, **changed}.items() if value is not None}
    assert new == expected
    assert simple.get_item(Key={"pk": "up"})["Item"] == expected


@pytest.mark.parametrize("wanted, answer", [
    ("NONE", None), ("ALL_OLD", {"pk": "rv", "a": 1, "b": 2}), ("UPDATED_OLD", {"a": 1}),
    ("ALL_NEW", {"pk": "rv", "a": 9, "b": 2, "c": 9}), ("UPDATED_NEW", {"a": 9, "c": 9}),
])
def test_what_an_update_returns(simple, wanted, answer):
    simple.put_item(Item={"pk": "rv", "a": 1, "b": 2})
    response = simple.update_item(Key={"pk": "rv"}, UpdateExpression="SET a = :v, c = :v",
                                  ExpressionAttributeValues={":v": 9}, ReturnValues=wanted)
    assert response.get("Attributes") == answer


def test_an_update_makes_the_item_that_is_missing(simple):
    simple.delete_item(Key={"pk": "fresh"})
    simple.update_item(Key={"pk": "fresh"}, UpdateExpression="ADD hits :one",
                       ExpressionAttributeValues={":one": 1})
    assert simple.get_item(Key={"pk": "fresh"})["Item"] == {"pk": "fresh", "hits": 1}


def test_delete_returns_the_old_item(simple):
    simple.put_item(Item={"pk": "d", "a": 1})
    old = simple.delete_item(Key={"pk": "d"}, ReturnValues="ALL_OLD")
    assert old["Attributes"] == {"pk": "d", "a": 1}
    assert "Attributes" not in simple.delete_item(Key={"pk": "d"}, ReturnValues="ALL_OLD")
    assert "Item" not in simple.get_item(Key={"pk": "d"})


# --- query and scan ---------------------------------------------------------------------------


@pytest.mark.parametrize("condition, numbers", [
    (Key("sk").eq("o03"), [3]), (Key("sk").lt("o02"), [0, 1]), (Key("sk").lte("o02"), [0, 1, 2]),
    (Key("sk").gt("o27"), [28, 29]), (Key("sk").gte("o28"), [28, 29]),
    (Key("sk").between("o05", "o07"), [5, 6, 7]),
    (Key("sk").begins_with("o1"), list(range(10, 20))), (Key("sk").eq("nobody"), []),
])
def test_query_by_sort_key(sorted_table, condition, numbers):
    found = sorted_table.query(KeyConditionExpression=Key("pk").eq("orders") & condition)
    assert [item["n"] for item in found["Items"]] == numbers
    assert found["Count"] == found["ScannedCount"] == len(numbers)


def test_query_backwards_by_pages_with_a_filter(sorted_table):
    seen, start, pages = [], {}, 0
    while True:
        page = sorted_table.query(
            KeyConditionExpression=Key("pk").eq("orders"), FilterExpression=Attr("even").eq(True),
            ScanIndexForward=False, Limit=7, ProjectionExpression="sk, n", **start)
        assert page["ScannedCount"] <= 7
        seen += page["Items"]
        pages += 1
        if "LastEvaluatedKey" not in page:
            break
        assert set(page["LastEvaluatedKey"]) == {"pk", "sk"}
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    assert [item["n"] for item in seen] == list(range(28, -1, -2))
    assert all(set(item) == {"sk", "n"} for item in seen)
    assert pages == 5


def test_count_without_items(sorted_table):
    found = sorted_table.query(KeyConditionExpression=Key("pk").eq("orders"), Select="COUNT")
    assert found["Count"] == 30 and not found.get("Items")


@pytest.mark.parametrize("operation", ["query", "scan"])
def test_paginators(client, sorted_table, operation):
    options = {"TableName": sorted_table.name, "PaginationConfig": {"PageSize": 4}}
    if operation == "query":
        options |= {"KeyConditionExpression": "pk = :p",
                    "ExpressionAttributeValues": {":p": {"S": "orders"}}}
    pages = list(client.get_paginator(operation).paginate(**options))
    keys = [item["sk"]["S"] for page in pages for item in page["Items"]]
    expected = [f"o{n:02}" for n in range(30)]
    assert sorted(keys) == (expected if operation == "query" else sorted([*expected, "o00"]))
    assert len(pages) >= 8


def test_scan_filters_and_counts(sorted_table):
    found = sorted_table.scan(FilterExpression=Attr("n").between(10, 12) | Attr("n").eq(100))
    assert sorted(item["n"] for item in found["Items"]) == [10, 11, 12, 100]
    assert (found["Count"], found["ScannedCount"]) == (4, 31)


def test_parallel_scan_segments_are_disjoint(sorted_table):
    seen = [(item["pk"], item["sk"]) for segment in range(4)
            for item in sorted_table.scan(Segment=segment, TotalSegments=4)["Items"]]
    assert len(seen) == len(set(seen)) == 31


# --- batches ----------------------------------------------------------------------------------


def test_batches(client, simple):
    with simple.batch_writer() as batch:
        for n in range(60):
            batch.put_item(Item={"pk": f"batch{n}", "n": n})
    keys = [{"pk": {"S": f"batch{n}"}} for n in range(70)]
    found = client.batch_get_item(RequestItems={simple.name: {
        "Keys": keys, "ConsistentRead": True, "ProjectionExpression": "n"}})
    assert not found.get("UnprocessedKeys")
    numbers = sorted(int(item["n"]["N"]) for item in found["Responses"][simple.name])
    assert numbers == list(range(60))
    deletes = [{"DeleteRequest": {"Key": key}} for key in keys[:24]]
    put = {"PutRequest": {"Item": {"pk": {"S": "batch69"}}}}
    done = client.batch_write_item(RequestItems={simple.name: [*deletes, put]})
    assert not done.get("UnprocessedItems")
    found = client.batch_get_item(RequestItems={simple.name: {"Keys": keys}})
    assert len(found["Responses"][simple.name]) == 60 - 24 + 1


def test_a_batch_gets_no_more_than_16_mb(client, simple):
    keys = [{"pk": {"S": f"big{n:02}"}} for n in range(60)]
    for key in keys:
        # Items of 300 KB, of which the service's documentation says that it returns 52.
        rest = 300 * 1024 - len("pkbig00v")
        client.put_item(TableName=simple.name, Item={**key, "v": {"S": "x" * rest}})
    wanted = {simple.name: {"Keys": keys, "ProjectionExpression": "pk"}}
    found = client.batch_get_item(RequestItems=wanted)
    assert found["Responses"][simple.name] == keys[:52]
    rest = found["UnprocessedKeys"]
    assert rest == {simple.name: {"Keys": keys[52:], "ProjectionExpression": "pk"}}
    assert client.batch_get_item(RequestItems=rest)["Responses"][simple.name] == keys[52:]


@pytest.mark.strict
def test_batches_that_are_refused(client, simple):
    def put(n):
        return {"PutRequest": {"Item": {"pk": {"S": f"b{n}"}}}}

    def write(requests):
        return client.batch_write_item(RequestItems={simple.name: requests})

    refused("ValidationException", write, [put(1), put(1)])
    refused("ValidationException", write, [put(n) for n in range(26)])
    refused("ResourceNotFoundException", client.batch_write_item,
            RequestItems={"nobody": [put(1)]})
    key = {"pk": {"S": "b1"}}
    refused("ValidationException", client.batch_get_item,
            RequestItems={simple.name: {"Keys": [key, key]}})


# --- what is refused --------------------------------------------------------------------------


def test_unknown_tables(client):
    gone = {"TableName": "nobody"}
    key = {"pk": {"S": "a"}}
    refused("ResourceNotFoundException", client.put_item, Item=key, **gone)
    refused("ResourceNotFoundException", client.get_item, Key=key, **gone)
    refused("ResourceNotFoundException", client.update_item, Key=key, **gone)
    refused("ResourceNotFoundException", client.delete_item, Key=key, **gone)
    refused("ResourceNotFoundException", client.scan, **gone)
    refused("ResourceNotFoundException", client.describe_table, **gone)
    refused("ResourceNotFoundException", client.delete_table, **gone)


def test_a_table_is_created_once(client, simple):
    refused("ResourceInUseException", client.create_table, TableName=simple.name, **schema(),
            BillingMode="PAY_PER_REQUEST")


def test_list_tables_by_pages(client, simple, sorted_table):
    assert {simple.name, sorted_table.name} <= set(client.list_tables()["TableNames"])
    pages = list(client.get_paginator("list_tables").paginate(PaginationConfig={"PageSize": 1}))
    names = [name for page in pages for name in page["TableNames"]]
    assert {simple.name, sorted_table.name} <= set(names)
    assert all(len(page["TableNames"]) <= 1 for page in pages)


@pytest.mark.parametrize("item", [
    pytest.param({"pk": {"N": "1"}}, id="key of the wrong type"),
    pytest.param({"a": {"S": "x"}}, id="key missing"),
    pytest.param({"pk": {"S": ""}}, id="empty key"),
    pytest.param({"pk": {"S": "a"}, "v": {"N": "abc"}}, id="not a number",
                 marks=pytest.mark.strict),
    pytest.param({"pk": {"S": "a"}, "v": {"N": "1e200"}}, id="number out of range",
                 marks=pytest.mark.strict),
    pytest.param({"pk": {"S": "a"}, "v": {"N": "1" * 39}}, id="number too precise",
                 marks=pytest.mark.strict),
    pytest.param({"pk": {"S": "a"}, "v": {"SS": []}}, id="empty set"),
    pytest.param({"pk": {"S": "a"}, "v": {"SS": ["x", "x"]}}, id="set with a duplicate",
                 marks=pytest.mark.strict),
    pytest.param({"pk": {"S": "a"}, "v": {"S": "x" * (400 * 1024)}}, id="over 400 KiB"),
    pytest.param({"pk": {"S": "k" * 2049}}, id="key over 2048 bytes"),
])
def test_items_that_are_refused(client, simple, item):
    refused("ValidationException", client.put_item, TableName=simple.name, Item=item)


@pytest.mark.parametrize("size, fits", [(400 * 1024 - 3, True), (400 * 1024 - 2, False)])
@pytest.mark.strict
def test_the_largest_item(client, simple, size, fits):
    # Names count: `pk` and its value have 3 bytes, `v` has 1.
    item = {"pk": {"S": "z"}, "v": {"S": "x" * (size - 1)}}
    if fits:
        client.put_item(TableName=simple.name, Item=item)
        found = client.get_item(TableName=simple.name, Key={"pk": {"S": "z"}})
        assert found["Item"] == item
    else:
        refused("ValidationException", client.put_item, TableName=simple.name, Item=item)


@pytest.mark.parametrize("options", [
    pytest.param({"UpdateExpression": "SET pk = :v", "ExpressionAttributeValues": {":v": 1}},
                 id="key attribute"),
    pytest.param({"UpdateExpression": "SET a ="}, id="syntax"),
    pytest.param({"UpdateExpression": "SET a = :v"}, id="undefined value"),
    pytest.param({"UpdateExpression": "SET #a = :v", "ExpressionAttributeValues": {":v": 1}},
                 id="undefined name", marks=pytest.mark.strict),
    pytest.param({"UpdateExpression": "SET a = :v",
                  "ExpressionAttributeValues": {":v": 1, ":w": 1}}, id="unused value"),
    pytest.param({"UpdateExpression": "SET a = :v, a.b = :v",
                  "ExpressionAttributeValues": {":v": 1}}, id="overlapping paths"),
    pytest.param({"UpdateExpression": "SET a = b", }, id="operand that is not there"),
    pytest.param({"UpdateExpression": "SET s = s + :v", "ExpressionAttributeValues": {":v": 1}},
                 id="sum of a string"),
    pytest.param({"UpdateExpression": "SET x.y = :v", "ExpressionAttributeValues": {":v": 1}},
                 id="path through nothing"),
    pytest.param({"UpdateExpression": "ADD s :v", "ExpressionAttributeValues": {":v": 1}},
                 id="add to a string"),
    pytest.param({"UpdateExpression": "SET size = :v", "ExpressionAttributeValues": {":v": 1}},
                 id="reserved word"),
    pytest.param({"UpdateExpression": "SET a = :v", "ExpressionAttributeValues": {":v": 1},
                  "ConditionExpression": "a = = :v"}, id="condition syntax",
                 marks=pytest.mark.strict),
])
def test_updates_that_are_refused(simple, options):
    before = {"pk": "bad", "s": "text"}
    simple.put_item(Item=before)
    refused("ValidationException", simple.update_item, Key={"pk": "bad"}, **options)
    assert simple.get_item(Key={"pk": "bad"})["Item"] == before


@pytest.mark.parametrize("options", [
    pytest.param({"KeyConditionExpression": "sk = :v"}, id="no partition key"),
    pytest.param({"KeyConditionExpression": "pk > :v"}, id="range of partitions"),
    pytest.param({"KeyConditionExpression": "pk = :v AND n = :v"}, id="not a key"),
    pytest.param({"KeyConditionExpression": "pk = :v", "FilterExpression": "sk = :v"},
                 id="filter on a key", marks=pytest.mark.strict),
])
def test_queries_that_are_refused(sorted_table, options):
    refused("ValidationException", sorted_table.query,
            ExpressionAttributeValues={":v": "orders"}, **options)


@pytest.mark.parametrize("condition, message", [
    (Key("sk").begins_with(""), "cannot contain an empty string value. Key: sk"),
    (Key("sk").between("", "z"), "cannot contain an empty string value. Key: sk"),
    (Key("sk").gt("k" * 1025), "Aggregated size of all range keys has exceeded"),
])
def test_no_sort_key_is_compared_with_what_none_can_be(sorted_table, condition, message):
    told = refused("ValidationException", sorted_table.query,
                   KeyConditionExpression=Key("pk").eq("orders") & condition)
    assert message in told["Error"]["Message"]


# --- raw HTTP ---------------------------------------------------------------------------------


def post(endpoint, target, body):
    headers = {"Content-Type": "application/x-amz-json-1.0", "Authorization":
               "AWS4-HMAC-SHA256 Credential=pangea/20260101/us-east-1/dynamodb/aws4_request, "
               "SignedHeaders=host;x-amz-date;x-amz-target, Signature=" + "0" * 64}
    headers["X-Amz-Date"] = "20260101T000000Z"
    if target:
        headers["X-Amz-Target"] = target
    request = urllib.request.Request(endpoint, data=body, headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.loads(response.read()), response.headers
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read()), error.headers


@pytest.mark.strict
@pytest.mark.parametrize("target, body, code", [
    ("DynamoDB_20120810.PutItem", b'{"TableName": ', "SerializationException"),
    ("DynamoDB_20120810.PutItem", b'{"TableName": 7}', "SerializationException"),
    ("DynamoDB_20120810.PutItem", b"[]", "SerializationException"),
    ("DynamoDB_20120810.PutItem", b"\xff\xfe\x00", "SerializationException"),
    ("DynamoDB_20120810.PutItem", b"{}", "ValidationException"),
    # boto3 checks the lower bound itself; not so on the wire.
    ("DynamoDB_20120810.Scan", b'{"TableName": "nobody", "Limit": 0}', "ValidationException"),
    ("DynamoDB_20120810.Nonsense", b"{}", "UnknownOperationException"),
    ("Nonsense", b"{}", "UnknownOperationException"),
    (None, b"{}", "UnknownOperationException"),
])
def test_malformed_requests(endpoint, target, body, code):
    status, answer, headers = post(endpoint, target, body)
    assert status == 400
    assert answer["__type"].rsplit("#", 1)[1] == code, answer
    assert headers["x-amzn-RequestId"]
    assert headers["Content-Type"] == "application/x-amz-json-1.0"


@pytest.mark.strict
def test_a_body_nested_too_deep_is_refused(endpoint):
    deep = b'{"TableName":"items","Item":{"pk":' + b'{"L":[' * 50000 + b"]}" * 50000 + b"}}"
    status, answer, _ = post(endpoint, "DynamoDB_20120810.PutItem", deep)
    assert status == 400
    assert answer["__type"].rsplit("#", 1)[1] in ("SerializationException", "ValidationException")
