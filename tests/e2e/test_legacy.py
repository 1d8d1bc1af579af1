"""The parameters from before expressions, through boto3.

With DYNAMODB_ENDPOINT set, the file tests that endpoint instead: it does not know whom it tests.
"""

import pytest
from botocore.exceptions import ClientError

from cluster import judged

TABLE = "legacy"


@pytest.fixture(scope="module")
def client(request):
    for made in judged(request, TABLE):
        for n in range(5):
            made.put_item(TableName=TABLE, Item={**key("list", f"o{n}"), "n": {"N": str(n)}})
        yield made


def key(pk, sk="s"):
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def test_expected(client):
    absent = {"pk": {"Exists": False}}
    item = {**key("expected"), "state": {"S": "new"}}
    client.put_item(TableName=TABLE, Item=item, Expected=absent)
    with pytest.raises(client.exceptions.ConditionalCheckFailedException):
        client.put_item(TableName=TABLE, Item=item, Expected=absent)
    either = {"state": {"Value": {"S": "old"}}, "none": {"ComparisonOperator": "NULL"}}
    with pytest.raises(client.exceptions.ConditionalCheckFailedException):
        client.delete_item(TableName=TABLE, Key=key("expected"), Expected=either)
    client.delete_item(TableName=TABLE, Key=key("expected"), Expected=either,
                       ConditionalOperator="OR")
    assert "Item" not in client.get_item(TableName=TABLE, Key=key("expected"))


def test_attribute_updates(client):
    client.put_item(TableName=TABLE, Item={**key("up"), "n": {"N": "1"}, "tags": {"SS": ["a", "b"]}})
    answer = client.update_item(
        TableName=TABLE, Key=key("up"), ReturnValues="UPDATED_NEW",
        AttributeUpdates={"n": {"Action": "ADD", "Value": {"N": "2"}},
                          "tags": {"Action": "DELETE", "Value": {"SS": ["a"]}},
                          "s": {"Value": {"S": "x"}}, "gone": {"Action": "DELETE"}})
    assert answer["Attributes"] == {"n": {"N": "3"}, "tags": {"SS": ["b"]}, "s": {"S": "x"}}
    with pytest.raises(ClientError) as refused:
        client.update_item(TableName=TABLE, Key=key("up"),
                           AttributeUpdates={"tags": {"Action": "ADD", "Value": {"N": "1"}}})
    assert refused.value.response["Error"]["Message"] == "Type mismatch for attribute to update"


def test_conditions_and_filters(client):
    conditions = {"pk": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "list"}]},
                  "sk": {"ComparisonOperator": "GE", "AttributeValueList": [{"S": "o1"}]}}
    few = {"n": {"ComparisonOperator": "IN", "AttributeValueList": [{"N": "2"}, {"N": "3"}]}}
    answer = client.query(TableName=TABLE, KeyConditions=conditions, QueryFilter=few,
                          AttributesToGet=["n"])
    assert answer["Items"] == [{"n": {"N": "2"}}, {"n": {"N": "3"}}]
    assert answer["ScannedCount"] == 4
    listed = {"pk": conditions["pk"]}
    scanned = client.scan(TableName=TABLE, ScanFilter={**few, **listed})
    assert scanned["Count"] == 2
    got = client.batch_get_item(RequestItems={
        TABLE: {"Keys": [key("list", "o4")], "AttributesToGet": ["n", "sk"]}})
    assert got["Responses"][TABLE] == [{"n": {"N": "4"}, "sk": {"S": "o4"}}]


def test_mixtures_are_refused(client):
    with pytest.raises(ClientError) as refused:
        client.get_item(TableName=TABLE, Key=key("x"), AttributesToGet=["n"],
                        ProjectionExpression="n")
    assert refused.value.response["Error"]["Message"] == (
        "Can not use both expression and non-expression parameters in the same request: "
        "Non-expression parameters: {AttributesToGet} Expression parameters: "
        "{ProjectionExpression}")
