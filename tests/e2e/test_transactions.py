"""TransactWriteItems and TransactGetItems through boto3: all or none, in one region, once a token."""

import json
import urllib.request

import pytest
from botocore.exceptions import ClientError

from cluster import schema
from sessions import Session
from support import PATIENCE, REGIONS, eventually
from test_merging import make

HOME, SECOND, THIRD = REGIONS


@pytest.fixture(scope="module")
def client(pangea):
    return pangea.client(HOME, retries={"total_max_attempts": 1})


@pytest.fixture(scope="module")
def table(pangea):
    return pangea.global_table("transactions")


@pytest.fixture(scope="module")
def other_table(client):
    name = "transactions_other"
    client.create_table(TableName=name, **schema(), BillingMode="PAY_PER_REQUEST")
    client.get_waiter("table_exists").wait(
        TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": int(PATIENCE)})
    return name


def key(name):
    return {"pk": {"S": name}}


def put(table, name, value="new", **options):
    return {"Put": {"TableName": table, "Item": {**key(name), "v": {"S": value}}, **options}}


def check(table, name, condition, **options):
    return {"ConditionCheck": {"TableName": table, "Key": key(name),
                               "ConditionExpression": condition, **options}}


def read(client, table, name):
    found = client.get_item(TableName=table, Key=key(name), ConsistentRead=True)
    return found.get("Item", {}).get("v", {}).get("S")


def refused(client, items, **options):
    with pytest.raises(ClientError) as error:
        client.transact_write_items(TransactItems=items, **options)
    return error.value.response


def cancelled(client, items, *codes):
    response = refused(client, items)
    assert response["Error"]["Code"] == "TransactionCanceledException"
    assert response["Error"]["Message"] == (
        "Transaction cancelled, please refer cancellation reasons for specific reasons "
        f"[{', '.join(codes)}]")
    reasons = response["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == list(codes)
    return reasons


def version(response):
    return response["ResponseMetadata"]["HTTPHeaders"].get("x-pangea-version")


def test_all_actions_of_two_tables_are_done(client, table, other_table):
    client.transact_write_items(
        TransactItems=[put(table, "all-1", "old"), put(table, "all-2"), put(table, "all-3")])
    done = client.transact_write_items(ReturnConsumedCapacity="TOTAL", TransactItems=[
        {"Update": {"TableName": table, "Key": key("all-1"),
                    "UpdateExpression": "SET v = :new", "ConditionExpression": "v = :old",
                    "ExpressionAttributeValues": {":new": {"S": "new"}, ":old": {"S": "old"}}}},
        {"Delete": {"TableName": table, "Key": key("all-2")}},
        check(table, "all-3", "attribute_exists(pk)"),
        put(other_table, "all-1", "other")])
    units = {used["TableName"]: used["CapacityUnits"] for used in done["ConsumedCapacity"]}
    assert units == {table: 6.0, other_table: 2.0}
    assert len(version(done)) == 20
    got = client.transact_get_items(ReturnConsumedCapacity="TOTAL", TransactItems=[
        {"Get": {"TableName": other_table, "Key": key("all-1")}},
        {"Get": {"TableName": table, "Key": key("all-2")}},
        {"Get": {"TableName": table, "Key": key("all-1"), "ProjectionExpression": "v"}}])
    assert got["Responses"] == [
        {"Item": {**key("all-1"), "v": {"S": "other"}}}, {}, {"Item": {"v": {"S": "new"}}}]
    units = {used["TableName"]: used["CapacityUnits"] for used in got["ConsumedCapacity"]}
    assert units == {table: 4.0, other_table: 2.0}


def test_a_condition_that_fails_leaves_everything_as_it_was(client, table):
    client.transact_write_items(TransactItems=[put(table, "held", "old")])
    absent = "attribute_not_exists(pk)"
    reasons = cancelled(client, [
        put(table, "never-1"),
        put(table, "held", ConditionExpression=absent,
            ReturnValuesOnConditionCheckFailure="ALL_OLD"),
        check(table, "nowhere", "attribute_exists(pk)"),
    ], "None", "ConditionalCheckFailed", "ConditionalCheckFailed")
    assert reasons[1]["Item"] == {**key("held"), "v": {"S": "old"}}
    assert reasons[1]["Message"] == "The conditional request failed"
    assert "Item" not in reasons[2]
    assert read(client, table, "never-1") is None and read(client, table, "held") == "old"


def test_a_check_guards_and_is_not_written(client, table):
    guarded = client.put_item(TableName=table, Item={**key("guard"), "v": {"S": "open"}})
    condition = {"ExpressionAttributeValues": {":v": {"S": "open"}}}
    items = [check(table, "guard", "v = :v", **condition), put(table, "guarded")]
    done = client.transact_write_items(TransactItems=items)
    assert version(done) > version(guarded) and read(client, table, "guarded") == "new"
    client.put_item(TableName=table, Item={**key("guard"), "v": {"S": "shut"}})
    items[1] = put(table, "guarded", "again")
    cancelled(client, items, "ConditionalCheckFailed", "None")
    assert read(client, table, "guarded") == "new" and read(client, table, "guard") == "shut"
    nothing = client.transact_write_items(
        TransactItems=[check(table, "guard", "attribute_exists(pk)")])
    assert version(nothing) is None


def test_wrong_transactions_are_refused(client, table):
    twice = refused(client, [put(table, "wrong"), check(table, "wrong", "attribute_exists(pk)")])
    assert twice["Error"] == {
        "Code": "ValidationException",
        "Message": "Transaction request cannot include multiple operations on one item"}
    many = refused(client, [put(table, f"wrong-{n}") for n in range(101)])["Error"]
    assert many["Code"] == "ValidationException"
    assert many["Message"].endswith("Member must have length less than or equal to 100")
    large = refused(client, [put(table, f"wrong-{n}", "x" * 390_000) for n in range(11)])["Error"]
    assert large["Code"] == "ValidationException" and "4 MB" in large["Message"], large
    keyless = {"Put": {"TableName": table, "Item": {"v": {"S": "new"}}}}
    reasons = cancelled(client, [put(table, "wrong"), keyless], "None", "ValidationError")
    assert "Missing the key pk" in reasons[1]["Message"]
    # Only the first is told of.
    cancelled(client, [keyless, put(table, "wrong"), keyless], "ValidationError", "None", "None")
    nowhere = refused(client, [put(table, "wrong"), put("no-such-table", "wrong")])
    assert nowhere["Error"]["Code"] == "ResourceNotFoundException"
    with pytest.raises(ClientError) as error:
        client.transact_get_items(
            TransactItems=[{"Get": {"TableName": table, "Key": key("wrong")}}] * 2)
    assert "multiple operations on one item" in str(error.value)
    assert read(client, table, "wrong") is None


def test_what_all_members_lack_is_told_together(pangea, table):
    client = pangea.client(HOME, parameter_validation=False)
    update = {"Update": {"TableName": table, "Key": key("wrong")}}
    told = refused(client, [update, put(table, "wrong-1"), update])["Error"]["Message"]
    lack = "Value null at 'transactItems.{}.member.update.updateExpression' failed to satisfy " \
        "constraint: Member must not be null"
    assert told == f"2 validation errors detected: {lack.format(1)}; {lack.format(3)}"


def test_a_token_is_done_once(client, table):
    add = {"Update": {"TableName": table, "Key": key("counter"), "UpdateExpression": "ADD n :n",
                      "ExpressionAttributeValues": {":n": {"N": "1"}}}}
    options = {"ClientRequestToken": "once-and-only-once"}
    first = client.transact_write_items(TransactItems=[add], **options)
    again = client.transact_write_items(TransactItems=[add], **options)
    assert version(first) == version(again) is not None
    found = client.get_item(TableName=table, Key=key("counter"))["Item"]
    assert found["n"] == {"N": "1"}
    mismatch = refused(client, [add, put(table, "other")], **options)
    assert mismatch["Error"]["Code"] == "IdempotentParameterMismatchException"
    assert read(client, table, "other") is None
    # One that was cancelled may be sent again.
    guarded = [check(table, "opened", "attribute_exists(pk)"), put(table, "behind")]
    assert "CancellationReasons" in refused(client, guarded, ClientRequestToken="later")
    client.put_item(TableName=table, Item=key("opened"))
    client.transact_write_items(TransactItems=guarded, ClientRequestToken="later")
    assert read(client, table, "behind") == "new"


def test_all_rows_have_one_stamp_everywhere(pangea, client, table):
    names = [f"row-{n}" for n in range(20)]
    done = client.transact_write_items(TransactItems=[put(table, name) for name in names])

    def stamps(region):
        found = set()
        for name in names:
            url = (f"http://127.0.0.1:{pangea.admin[region]}/v1/item"
                   f"?table={table}&partition={name}")
            with urllib.request.urlopen(url, timeout=10) as answer:
                shown = json.load(answer)["version"]
            found.add(shown and shown["stamp"])
        return found

    for region in REGIONS:
        eventually(lambda region=region: stamps(region) == {version(done)},
                   f"one stamp in {region}")


def test_a_session_and_durability_go_with_a_transaction(pangea, table):
    session = Session(durability="all", durability_wait_ms=20_000)
    session.attach(pangea.client(HOME)).transact_write_items(
        TransactItems=[put(table, "s-1", "seen"), put(table, "s-2", "seen")])
    assert session.said("durability") == "all" and session.token
    got = session.attach(pangea.client(THIRD)).transact_get_items(TransactItems=[
        {"Get": {"TableName": table, "Key": key(name)}} for name in ("s-1", "s-2")])
    assert [one["Item"]["v"]["S"] for one in got["Responses"]] == ["seen", "seen"]


def test_a_transaction_is_done_in_one_region(pangea, table_name):
    owned = make(pangea, table_name, merge="owner", owner=f"eu-={SECOND}")
    here = pangea.client(HOME)
    sent_on = here.transact_write_items(TransactItems=[put(owned, "eu-1"), put(owned, "eu-2")])
    assert sent_on["ResponseMetadata"]["HTTPHeaders"]["x-pangea-answered-by"] == SECOND
    assert read(pangea.client(SECOND), owned, "eu-2") == "new"
    error = refused(here, [put(owned, "eu-3"), put(owned, "us-3")])["Error"]
    assert error["Code"] == "ValidationException"
    assert "no transaction spans regions" in error["Message"] and HOME in error["Message"]
    for region in (HOME, SECOND):
        there = pangea.client(region)
        assert read(there, owned, "eu-3") is None and read(there, owned, "us-3") is None
