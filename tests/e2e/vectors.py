"""Indexes of vectors: what their tests ask for, and how they look at it."""

import itertools

import pytest
from botocore.exceptions import ClientError

from test_indexes import attributes

INVALID = "One or more parameter values were invalid"

_names = itertools.count()


def vector(*numbers):
    return [{"N": str(number)} for number in numbers]


def vix(name="vix", **members):
    given = {"VectorAttribute": {"AttributeName": "embedding"}, "Dimensions": 3,
             "DistanceFunction": "COSINE", "Projection": {"ProjectionType": "ALL"}}
    return {"IndexName": name, **given, **members}


def schema(hash_key=None, *filters):
    keys = [(hash_key, "HASH")] if hash_key else []
    keys += [(name, "INLINE_FILTER") for name in filters]
    return [{"AttributeName": name, "SearchSchemaElementType": role} for name, role in keys]


def create(client, *indexes, name=None, **kinds):
    """A table of them, whose key is `pk`."""
    name = name or f"vectors{next(_names)}"
    more = {"VectorIndexes": list(indexes)} if indexes else {}
    made = client.create_table(
        TableName=name, BillingMode="PAY_PER_REQUEST", **more,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=attributes(pk="S", **kinds))["TableDescription"]
    states = {it["IndexStatus"] for it in made.get("VectorIndexes", [])}
    assert states <= {"CREATING"} and "Backfilling" not in str(made)
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    return name


def described(client, table, name="vix"):
    shown = client.describe_table(TableName=table)["Table"]
    found = [it for it in shown.get("VectorIndexes", []) if it["IndexName"] == name]
    return shown, (found[0] if found else None)


def put(client, table, key, numbers, **members):
    item = {"pk": {"S": key}, "embedding": {"L": vector(*numbers)}, **members}
    return client.put_item(TableName=table, Item=item, ReturnConsumedCapacity="INDEXES")


def search(client, table, numbers, name="vix", count=10, equal=None, **options):
    """The search's results; `equal` are the attributes that are asked to equal texts."""
    if equal:
        options |= {
            "SearchConditionExpression": " AND ".join(f"{key} = :{key}" for key in equal),
            "ExpressionAttributeValues": {f":{key}": {"S": value} for key, value in equal.items()},
        }
    found = client.search_vectors(TableName=table, IndexName=name, SearchVector=vector(*numbers),
                                  TopK=count, **options)
    assert set(found) <= {"SearchResults", "ConsumedCapacity", "ResponseMetadata"}
    return found["SearchResults"]


def keys(results):
    return [it["Item"]["pk"]["S"] for it in results]


def refused(code, call, *arguments, **members):
    with pytest.raises(ClientError) as failure:
        call(*arguments, **members)
    assert failure.value.response["Error"]["Code"] == code
    return failure.value.response["Error"]["Message"]


def add(name="vix", **members):
    return {"VectorIndexUpdates": [{"Create": vix(name, **members)}]}


def drop(name="vix"):
    return {"VectorIndexUpdates": [{"Delete": {"IndexName": name}}]}
