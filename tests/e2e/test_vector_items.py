"""Searches of indexes of vectors, and writes of every surface to tables that have them.

The words of refusals and the figures of capacity are those of the service, measured by the Parity
Suite.
"""

import struct

import pytest
from botocore.exceptions import ClientError

from support import REGIONS
from vectors import create, keys, put, refused, schema, search, vector, vix

HOME = REGIONS[0]
# What is charged for at least.
FLOOR = 1024


def narrow(number):
    """As a number of 32 bits."""
    return struct.unpack("f", struct.pack("f", number))[0]


@pytest.fixture(scope="module")
def client(pangea):
    return pangea.plain(HOME)


@pytest.fixture(scope="module")
def near(client):
    """Four vectors that are far apart, by all three distances."""
    table = create(client, vix("cosine"), vix("euclidean", DistanceFunction="EUCLIDEAN"),
                   vix("dot", DistanceFunction="DOT_PRODUCT"))
    for key, numbers in {"a": (1, 0, 0), "b": (0, 1, 0), "c": (-1, 0, 0),
                         "d": (0.6, 0.8, 0)}.items():
        put(client, table, key, numbers, label={"S": f"item-{key}"})
    return table


@pytest.fixture(scope="module")
def tenants(client):
    """Two indexes of one attribute, one of which is partitioned and filtered."""
    narrowed = vix("schema", SearchSchema=schema("tenant", "category"))
    table = create(client, vix("plain"), narrowed, tenant="S", category="S")
    for key, numbers, tenant, category in [
            ("a", (1, 0, 0), "t1", "c1"), ("b", (0, 1, 0), "t1", "c2"), ("z", (1, 0, 0), "t2", "c1")]:
        put(client, table, key, numbers, tenant={"S": tenant}, category={"S": category})
    return table


# --- searches ----------------------------------------------------------------------------------

@pytest.mark.parametrize(("index", "scores"), [
    ("cosine", {"a": 0, "d": 0.4, "b": 1, "c": 2}),
    ("euclidean", {"a": 0, "d": 0.8 ** 0.5, "b": 2 ** 0.5, "c": 2}),
    ("dot", {"a": 1, "d": 0.6, "b": 0, "c": -1}),
])
def test_the_nearest_come_first(client, near, index, scores):
    found = search(client, near, (1, 0, 0), index)
    assert keys(found) == list(scores)
    for result, score in zip(found, scores.values()):
        assert result["Score"] == pytest.approx(score, abs=5e-7)
        assert result["Score"] == narrow(result["Score"])
    assert [it["Score"] for it in found if it["Item"]["pk"]["S"] != "d"] == [
        pytest.approx(score, abs=0 if index != "euclidean" else 1e-7)
        for key, score in scores.items() if key != "d"]
    assert keys(search(client, near, (1, 0, 0), index, count=2)) == list(scores)[:2]
    assert len(search(client, near, (1, 0, 0), index, count=100)) == 4


def test_a_search_returns_what_the_index_projects(client, near):
    [found] = search(client, near, (1, 0, 0), "cosine", count=1)
    assert found["Item"] == {"pk": {"S": "a"}, "label": {"S": "item-a"}}
    [found] = search(client, near, (1, 0, 0), "cosine", count=1,
                     ProjectionExpression="pk, embedding")
    assert found["Item"] == {"pk": {"S": "a"}, "embedding": {"L": vector("1.0", "0.0", "0.0")}}
    some = create(client, vix("keys", Projection={"ProjectionType": "KEYS_ONLY"}),
                  vix("some", Projection={"ProjectionType": "INCLUDE",
                                          "NonKeyAttributes": ["note"]},
                      SearchSchema=schema(None, "category")), category="S")
    put(client, some, "a", (1, 2, 3), note={"S": "n"}, category={"S": "c"}, more={"S": "m"})
    [of_keys], [of_some] = (search(client, some, (1, 2, 3), name) for name in ("keys", "some"))
    assert set(of_keys["Item"]) == {"pk"}
    assert set(of_some["Item"]) == {"pk", "note", "category"}
    [hidden] = search(client, some, (1, 2, 3), "keys", ProjectionExpression="embedding, note")
    assert hidden["Item"] == {}


def test_an_index_has_numbers_of_32_bits(client, near):
    table = create(client, vix())
    precise = ["0.1", "16777217", "1.000000059604644775390625"]
    put(client, table, "f32", precise)
    there = client.get_item(TableName=table, Key={"pk": {"S": "f32"}})["Item"]
    assert [it["N"] for it in there["embedding"]["L"]] == precise
    [found] = search(client, table, precise, ProjectionExpression="embedding[1], embedding[0]")
    assert [it["N"] for it in found["Item"]["embedding"]["L"]] == ["0.1", "16777216.0"]
    assert found["Score"] == 0


def test_a_search_is_of_one_partition_and_filtered(client, tenants):
    assert keys(search(client, tenants, (1, 0, 0), "schema", equal={"tenant": "t1"})) == ["a", "b"]
    assert keys(search(client, tenants, (1, 0, 0), "schema",
                       equal={"tenant": "t1", "category": "c2"})) == ["b"]
    assert search(client, tenants, (1, 0, 0), "schema", equal={"tenant": "none"}) == []
    renamed = search(client, tenants, (1, 0, 0), "schema", ProjectionExpression="#p",
                     SearchConditionExpression="(:t = #t) AND category = :c",
                     ExpressionAttributeNames={"#t": "tenant", "#p": "pk"},
                     ExpressionAttributeValues={":t": {"S": "t2"}, ":c": {"S": "c1"}})
    assert [it["Item"] for it in renamed] == [{"pk": {"S": "z"}}]
    # Without the attribute of the partition an item is in the one index, and not in the other.
    put(client, tenants, "homeless", (0, 0, 1), category={"S": "c1"})
    assert "homeless" in keys(search(client, tenants, (0, 0, 1), "plain"))
    assert "homeless" not in keys(search(client, tenants, (0, 0, 1), "schema",
                                         equal={"tenant": "t1"}))


SEARCH = "Invalid SearchConditionExpression: "


@pytest.mark.parametrize(("members", "message"), [
    ({"TopK": 101},
     "Provided TopK value '101' is out of valid range. The value must be between 1 and 100 "
     "inclusive"),
    ({"TopK": 0}, "1 validation error detected: Value at 'TopK' failed to satisfy constraint: "
                  "Member must have value greater than or equal to 1"),
    ({"IndexName": "no-such-index"},
     "The table does not have the specified index: no-such-index"),
    ({"IndexName": "schema"},
     "SearchConditionExpression must be provided when SearchSchema has a HASH key"),
    ({"SearchVector": vector(1, 0)},
     "Input search vector dimension 2 does not match vector index dimension 3"),
    ({"SearchVector": [{"L": vector(1, 0, 0)}]},
     "Search vector contains invalid values. All values in the search vector must be a 32-bit "
     "floating-point number attribute"),
    ({"SearchVector": vector("1e39", 0, 0)},
     "Search vector contains invalid values. All values in the search vector must be a 32-bit "
     "floating-point number attribute"),
    ({"condition": "tenant < :t"},
     SEARCH + "Invalid comparator used in SearchConditionExpression"),
    ({"condition": "tenant = :t AND category < :c"},
     SEARCH + "Invalid comparator used in SearchConditionExpression"),
    ({"condition": "tenant = :t OR category = :c"},
     SEARCH + "Invalid comparator used in SearchConditionExpression"),
    ({"condition": "tenant = :t AND tenant = :c"},
     SEARCH + "SearchConditionExpression must only contain one condition per attribute"),
    ({"condition": "tenant.x = :t"},
     SEARCH + "SearchConditionExpression cannot have conditions on nested attributes"),
    ({"condition": "bucket = :t"},
     SEARCH + "Attribute name is a reserved keyword; reserved keyword: bucket"),
    ({"condition": "tenant = :t", "IndexName": "plain"},
     "SearchConditionExpression must not contain any attributes that is not in SearchSchema. "
     "Invalid attribute: tenant"),
    ({"condition": "tenant = :n"},
     "Type of 'tenant' attribute in SearchConditionExpression (N) does not match type in search "
     "schema (S)"),
    ({"condition": "tenant = :e"},
     "One or more parameter values are not valid. The AttributeValue for a key attribute cannot "
     "contain an empty string value. Key: tenant"),
    ({"ExpressionAttributeValues": {":t": {"S": "t1"}}},
     "ExpressionAttributeValues can only be specified when using expressions"),
])
def test_a_search_is_refused(pangea, tenants, members, message):
    values = {":t": {"S": "t1"}, ":c": {"S": "c1"}, ":n": {"N": "1"}, ":e": {"S": ""}}
    given = {"TableName": tenants, "IndexName": "plain", "SearchVector": vector(1, 0, 0), "TopK": 1}
    if condition := members.get("condition"):
        used = {key: value for key, value in values.items() if key in condition}
        given |= {"IndexName": "schema", "SearchConditionExpression": condition,
                  "ExpressionAttributeValues": used}
    given |= {key: value for key, value in members.items() if key != "condition"}
    # Else botocore refuses some of it by itself.
    free = pangea.client(HOME, parameter_validation=False)
    assert refused("ValidationException", free.search_vectors, **given) == message


def test_other_reads_cannot_reach_an_index_of_vectors(client, near):
    assert refused("ValidationException", client.scan, TableName=near, IndexName="cosine") == (
        "Scan operation not supported on this index type")
    assert refused("ValidationException", client.query, TableName=near, IndexName="cosine",
                   KeyConditionExpression="pk = :p",
                   ExpressionAttributeValues={":p": {"S": "a"}}) == (
        "Query operation not supported on this index type.")
    assert refused("ValidationException", client.execute_statement,
                   Statement=f'SELECT * FROM "{near}"."cosine"') == (
        "Scan operation not supported on this index type")
    [item] = client.execute_statement(Statement=f"SELECT * FROM {near} WHERE pk = 'a'")["Items"]
    assert item["embedding"] == {"L": vector(1, 0, 0)}


# --- writes ------------------------------------------------------------------------------------

SHAPE = "One or more parameter values were invalid. Invalid "


@pytest.mark.parametrize(("item", "message"), [
    ({"embedding": {"L": vector(1, 0)}},
     SHAPE + "size for parameter embedding, Expected: 3, Actual: 2 IndexName: plain"),
    ({"embedding": {"L": [{"N": "1"}, {"S": "oops"}, {"N": "0"}]}},
     SHAPE + "type for parameter embedding[1], Expected: 32-bit floating point number, Actual: S. "
     "IndexName: plain"),
    ({"embedding": {"S": "not-a-vector"}},
     SHAPE + "type for parameter embedding, Expected: 32-bit floating point number list IndexName: "
     "plain"),
    ({"embedding": {"L": vector("1E+39", 0, 0)}},
     SHAPE + "value for parameter embedding[0], Value: 1E+39 is outside valid range "
     "[-3.4028235E38, 3.4028235E38]. IndexName: plain"),
    ({"tenant": {"S": ""}, "embedding": {"L": vector(0, 0, 1)}},
     "One or more parameter values are not valid. A value specified for a secondary index key is "
     "not supported. The AttributeValue for a key attribute cannot contain an empty string value. "
     "IndexName: schema, IndexKey: tenant"),
    ({"tenant": {"N": "1"}},
     "One or more parameter values were invalid. Attribute 'tenant' type mismatch. Expected: S, "
     "Actual: N. IndexName: schema"),
    ({"category": {"N": "1"}},
     "One or more parameter values were invalid. Attribute 'category' type mismatch. Expected: S, "
     "Actual: N. IndexName: schema"),
])
def test_every_write_is_held_against_indexes_of_vectors(client, tenants, item, message):
    whole = {"pk": {"S": "bad"}, **item}
    put_it = {"Put": {"TableName": tenants, "Item": whole}}
    assert refused("ValidationException", client.put_item, TableName=tenants,
                   Item=whole) == message
    assert refused("ValidationException", client.batch_write_item, RequestItems={
        tenants: [{"PutRequest": {"Item": whole}}]}) == message
    places = ", ".join(f"'{name}': ?" for name in whole)
    assert refused("ValidationException", client.execute_statement,
                   Statement=f"INSERT INTO {tenants} VALUE {{{places}}}",
                   Parameters=list(whole.values())) == message
    with pytest.raises(ClientError) as failure:
        client.transact_write_items(TransactItems=[put_it])
    told = failure.value.response
    reasons = [it["Message"] for it in told.get("CancellationReasons", [])]
    assert message in (told["Error"]["Message"], *reasons)
    [(name, value)] = list(item.items())[:1]
    words = message
    if "empty" in message:
        words = ("One or more parameter values are not valid. The update expression attempted to "
                 "update a secondary index key to a value that is not supported. The "
                 "AttributeValue for a key attribute cannot contain an empty string value.")
    assert refused("ValidationException", client.update_item, TableName=tenants,
                   Key={"pk": {"S": "bad"}}, UpdateExpression="SET #n = :v",
                   ExpressionAttributeNames={"#n": name},
                   ExpressionAttributeValues={":v": value}) == words
    assert "Item" not in client.get_item(TableName=tenants, Key={"pk": {"S": "bad"}})


def test_an_item_follows_its_vector(client):
    table = create(client, vix())
    for key in ("a", "b"):
        put(client, table, key, (1, 0, 0))
    client.update_item(TableName=table, Key={"pk": {"S": "b"}}, UpdateExpression="REMOVE embedding")
    assert keys(search(client, table, (1, 0, 0))) == ["a"]
    client.update_item(TableName=table, Key={"pk": {"S": "b"}}, UpdateExpression="SET embedding = :v",
                       ExpressionAttributeValues={":v": {"L": vector(0, 1, 0)}})
    assert [it["Score"] for it in search(client, table, (1, 0, 0))] == [0, 1]
    client.update_item(TableName=table, Key={"pk": {"S": "b"}},
                       UpdateExpression="SET embedding[1] = :v, embedding[0] = :w",
                       ExpressionAttributeValues={":v": {"N": "0"}, ":w": {"N": "-1"}})
    assert [it["Score"] for it in search(client, table, (1, 0, 0))] == [0, 2]
    client.delete_item(TableName=table, Key={"pk": {"S": "a"}})
    assert keys(search(client, table, (1, 0, 0))) == ["b"]


def test_searches_and_writes_are_charged_for_in_bytes(client):
    keys_only = vix("vkeys", Projection={"ProjectionType": "KEYS_ONLY"})
    six = vix("vdims", VectorAttribute={"AttributeName": "sixdimvec"}, Dimensions=6)
    table = create(client, vix(), keys_only, six)

    def charged(key, numbers, **members):
        told = put(client, table, key, numbers, **members)["ConsumedCapacity"]
        assert told["Table"]["CapacityUnits"] == told["CapacityUnits"]
        return {name: it["VectorWriteRequestBytes"]
                for name, it in told.get("VectorIndexes", {}).items()}

    def searched(**options):
        found = client.search_vectors(TableName=table, IndexName="vix", TopK=1,
                                      SearchVector=vector(1, 0, 0), **options)
        return found.get("ConsumedCapacity")

    assert charged("f0", (0, 1, 0)) == {"vix": FLOOR, "vkeys": FLOOR}
    assert charged("f0", (0, 1, 0)) == {}, "nothing changed"
    assert charged("f0", (0, 1, 0), note={"S": "n"}) == {"vix": FLOOR}, "keys alone did not"
    blob = {"S": "x" * 1500}
    large = charged("3a", (1, 0, 0), blob=blob)
    size = len("pk3a" "embedding" "blob") + 4 * 3 + 1500
    assert large == {"vix": size, "vkeys": FLOOR}
    told = client.put_item(TableName=table, ReturnConsumedCapacity="INDEXES", Item={
        "pk": {"S": "6a"}, "blob": blob, "sixdimvec": {"L": vector(1, 0, 0, 0, 1, 0)}})
    assert told["ConsumedCapacity"]["VectorIndexes"] == {
        "vdims": {"VectorWriteRequestBytes": size + 4 * 3}}
    told = client.put_item(TableName=table, ReturnConsumedCapacity="TOTAL", Item={
        "pk": {"S": "t"}, "embedding": {"L": vector(0, 0, 1)}})["ConsumedCapacity"]
    assert told == {"TableName": table, "CapacityUnits": 1.0}
    told = client.transact_write_items(ReturnConsumedCapacity="INDEXES", TransactItems=[
        {"Delete": {"TableName": table, "Key": {"pk": {"S": "3a"}}}}])["ConsumedCapacity"][0]
    assert told["VectorIndexes"] == {name: {"VectorWriteRequestBytes": bytes}
                                     for name, bytes in large.items()}
    assert searched() is searched(ReturnConsumedCapacity="NONE") is None
    total = searched(ReturnConsumedCapacity="TOTAL")
    assert set(total) == {"VectorSearchRequestBytes"} and total["VectorSearchRequestBytes"] >= FLOOR
    assert searched(ReturnConsumedCapacity="INDEXES") == total


def test_a_vector_is_charged_at_four_bytes_a_number(client):
    """By writes; reads and the limit of an item go by the numbers themselves."""
    table = create(client, vix(Dimensions=6))
    wide = "12345678901234567890123456789012345678"
    stored = 3 + 6 * (1 + 20)

    def written(key, size, of_vector):
        padding = size - len("pk" "embedding" "pad") - len(key) - of_vector
        return client.put_item(TableName=table, ReturnConsumedCapacity="TOTAL", Item={
            "pk": {"S": key}, "embedding": {"L": vector(*[wide] * 6)},
            "pad": {"S": "x" * padding}})["ConsumedCapacity"]["CapacityUnits"]

    assert [written("a6", 1024, 24), written("b6", 1025, 24)] == [1, 2]
    written("r6", 4096, 24)
    read = client.get_item(TableName=table, Key={"pk": {"S": "r6"}}, ConsistentRead=True,
                           ReturnConsumedCapacity="TOTAL")
    assert read["ConsumedCapacity"]["CapacityUnits"] == 2
    written("g0", 400 * 1024, stored)
    assert "maximum allowed size" in refused("ValidationException", written, "g1", 400 * 1024 + 1,
                                             stored)


# --- what the search endpoint alone does --------------------------------------------------------

def test_the_body_of_a_search_is_read_strictly(pangea):
    """A body of the test's own, in place of what the client makes."""
    body, client = {}, pangea.client(HOME, retries={"total_max_attempts": 1})

    def replace(params, **_):
        params["body"] = body["json"]

    def said(code, text):
        body["json"] = text.encode()
        return refused(code, client.search_vectors, TableName="x", IndexName="any",
                       SearchVector=vector(1), TopK=1)

    client.meta.events.register("before-call.dynamodb.SearchVectors", replace)
    whole = '"TableName":"absent","IndexName":"vix","SearchVector":[{"N":"1"}],"TopK":1'
    wrong = "SerializationException"
    for before, after, message in [
            ('"vix"', "null", "invalid type: null, expected a string at line 1 column "),
            ('"absent"', "null", "invalid type: null, expected a string at line 1 column "),
            ('[{"N":"1"}]', "null", "invalid type: null, expected a sequence at line 1 column "),
            (":1", ":null", "invalid type: null, expected i32 at line 1 column "),
            (":1", ":3.5", "invalid type: floating point `3.5`, expected i32 at line 1 column "),
    ]:
        told = said(wrong, "{" + whole.replace(before, after) + "}")
        assert told.startswith(message) and told.removeprefix(message).isdigit()
    for member in ('"IndexName":"vix",', '"IndexName":"ab",'):
        told = said("ValidationException",
                    '{' + member + '"SearchVector":[{"N":"1"}],"TopK":1}')
        assert told.startswith("missing field `TableName` at line 1 column ")
    assert said("ResourceNotFoundException", "{" + whole + "}") == (
        "Requested resource not found")
