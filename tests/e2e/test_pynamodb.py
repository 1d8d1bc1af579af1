"""PynamoDB: models with indexes, versions and times of expiry, in batches and transactions."""

from datetime import UTC, datetime, timedelta

import pytest
from pynamodb.attributes import (
    BinaryAttribute, BinarySetAttribute, BooleanAttribute, JSONAttribute, ListAttribute,
    MapAttribute, NullAttribute, NumberAttribute, NumberSetAttribute, TTLAttribute,
    UTCDateTimeAttribute, UnicodeAttribute, UnicodeSetAttribute, VersionAttribute)
from pynamodb.connection import Connection
from pynamodb.exceptions import (
    DeleteError, DoesNotExist, PutError, TransactWriteError, UpdateError)
from pynamodb.indexes import (
    AllProjection, GlobalSecondaryIndex, IncludeProjection, LocalSecondaryIndex)
from pynamodb.models import Model
from pynamodb.transactions import TransactGet, TransactWrite

from cluster import REGIONS
from support import eventually

COUNT = 40


class Point(MapAttribute):
    x, y = NumberAttribute(), NumberAttribute(null=True)


class ByOwner(GlobalSecondaryIndex):
    class Meta:
        index_name, projection = "by-owner", AllProjection()

    owner, at = UnicodeAttribute(hash_key=True), NumberAttribute(range_key=True)


class ByName(LocalSecondaryIndex):
    class Meta:
        index_name, projection = "by-name", IncludeProjection(["owner"])

    id, name = UnicodeAttribute(hash_key=True), UnicodeAttribute(range_key=True)


class Thing(Model):
    """What all models here are: a test has one with a table of its own."""

    id, at = UnicodeAttribute(hash_key=True), NumberAttribute(range_key=True)
    owner, name = UnicodeAttribute(default="ann"), UnicodeAttribute(null=True)
    version, expires = VersionAttribute(), TTLAttribute(null=True)
    point, points = Point(null=True), ListAttribute(of=Point, null=True)
    any, none = ListAttribute(null=True), NullAttribute(null=True)
    labels, numbers = UnicodeSetAttribute(null=True), NumberSetAttribute(null=True)
    bytes = BinaryAttribute(null=True, legacy_encoding=False)
    blobs = BinarySetAttribute(null=True, legacy_encoding=False)
    day, open = UTCDateTimeAttribute(null=True), BooleanAttribute(default=True)
    json, text = JSONAttribute(null=True), UnicodeAttribute(null=True)
    by_owner, by_name = ByOwner(), ByName()


def model(pangea, name, region=REGIONS[0]):
    """The model as an application has it: `Meta` says where."""
    meta = {"table_name": name, "host": pangea.endpoint(region), "region": region,
            "billing_mode": "PAY_PER_REQUEST", "aws_access_key_id": "pangea",
            "aws_secret_access_key": "pangea", "stream_view_type": "NEW_AND_OLD_IMAGES"}
    # An index knows one model, so each has its own.
    return type("Thing", (Thing,), {
        "Meta": type("Meta", (), meta),
        "by_owner": type("ByOwner", (ByOwner,), {})(), "by_name": type("ByName", (ByName,), {})()})


@pytest.fixture
def things(pangea, table_name):
    made = model(pangea, table_name)
    assert not made.exists()
    made.create_table(wait=True)
    yield made
    made.delete_table()
    assert not made.exists()


def full(things):
    return things(
        "a", 1, owner="bob", name="old", text="", point=Point(x=1.5), points=[Point(x=1, y=2), Point(x=3)],
        any=["x", 2, None, {"deep": [True]}], labels={"b", "a"}, numbers={1, 2.5}, bytes=b"\0\xff",
        blobs={b"1", b"2"}, day=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC), json={"k": [1]},
        expires=timedelta(hours=1))


def stored(thing):
    """What a model is on the wire; a set has no order, and Python gives it another in each run."""
    return {name: {kind: sorted(value) if kind in ("SS", "NS", "BS") else value
                   for kind, value in typed.items()}
            for name, typed in thing.to_dynamodb_dict().items()}


def test_models_come_back_as_they_were_saved(pangea, things):
    saved = full(things)
    saved.save(things.id.does_not_exist())
    got = things.get("a", 1, consistent_read=True)
    assert stored(got) == stored(saved)
    assert (got.point.x, got.points[1].y, got.any[3]["deep"], got.version) == (1.5, None, [True], 1)
    with pytest.raises(DoesNotExist):
        things.get("a", 2)
    assert things.get("a", 1, attributes_to_get=["text", "open"]).text == ""
    assert things.describe_table()["LatestStreamArn"]
    ttl = pangea.plain(REGIONS[0]).describe_time_to_live(TableName=things.Meta.table_name)
    assert ttl["TimeToLiveDescription"]["AttributeName"] == "expires"


def test_changes_and_versions(things):
    full(things).save()
    one, other = things.get("a", 1), things.get("a", 1)
    one.update(actions=[
        things.name.set("new"), things.numbers.add({7}), things.labels.delete({"a"}),
        things.points[0].x.set(things.points[0].x + 9), things.any.set(things.any.append([5])),
        things.point.remove(), things.json.set(things.json | {"none": 0})],
        condition=things.owner.startswith("b") & things.labels.contains("a")
        & (things.points[0].x.between(1, 1)) & ~things.owner.is_in("ann", "eve"))
    assert (one.version, one.numbers, one.labels, one.points[0].x, one.any[-1], one.point) == (
        2, {1, 2.5, 7}, {"b"}, 10, 5, None)
    # The other one has seen the version before: none of the ways to write goes.
    with pytest.raises(UpdateError) as failed:
        other.update(actions=[things.name.set("lost")])
    assert failed.value.cause_response_code == "ConditionalCheckFailedException"
    with pytest.raises(PutError):
        other.save()
    with pytest.raises(DeleteError):
        other.delete()
    other.refresh()
    other.delete(things.version == 2)
    with pytest.raises(DoesNotExist):
        other.refresh()


def test_batches_queries_and_scans(things):
    with things.batch_write() as batch:
        for at in range(COUNT):
            batch.save(things("p", at, owner="even" if at % 2 == 0 else "odd", name=f"n{-at % 10}"))
    keys = [("p", at) for at in range(COUNT)]
    assert {thing.at for thing in things.batch_get(keys)} == set(range(COUNT))
    first = things.query("p", limit=15, page_size=4)
    assert [thing.at for thing in first] == list(range(15))
    rest = things.query("p", last_evaluated_key=first.last_evaluated_key, page_size=7)
    assert [thing.at for thing in rest] == list(range(15, COUNT))
    odd = things.by_owner.query("odd", things.at >= 30, scan_index_forward=False, limit=3)
    assert [thing.at for thing in odd] == [39, 37, 35]
    named = things.by_name.query("p", things.name == "n1", things.owner == "odd")
    assert [thing.at for thing in named] == [9, 19, 29, 39]
    assert things.count("p", things.at < 10, filter_condition=things.owner == "even") == 5
    assert things.by_owner.count("even") == COUNT // 2
    assert len(list(things.scan(things.name.startswith("n1") | things.name.does_not_exist()))) == 4
    assert sum(len(list(things.scan(segment=n, total_segments=3))) for n in range(3)) == COUNT
    # Paced by the capacity that answers tell.
    assert len(list(things.scan(page_size=9, rate_limit=1000))) == COUNT
    with things.batch_write(auto_commit=True) as batch:
        for thing in things.query("p", things.at < 30):
            batch.delete(thing)
    assert things.count("p") == 10


def test_transactions(things):
    connection = Connection(REGIONS[0], things.Meta.host)
    things("t", 1).save()
    things("t", 2).save()
    with TransactWrite(connection=connection, client_request_token=things.Meta.table_name) as transaction:
        transaction.save(things("t", 3, name="new"), condition=things.id.does_not_exist())
        transaction.update(things("t", 1, version=1), actions=[things.name.set("one")])
        transaction.delete(things("t", 2, version=1))
        transaction.condition_check(things, "t", 4, condition=things.id.does_not_exist())
    with TransactGet(connection=connection) as transaction:
        got = [transaction.get(things, "t", at) for at in (1, 3, 2)]
    assert [(one.get().name, one.get().version) for one in got[:2]] == [("one", 2), ("new", 1)]
    with pytest.raises(DoesNotExist):
        got[2].get()
    with pytest.raises(TransactWriteError) as failed:
        with TransactWrite(connection=connection) as transaction:
            transaction.save(things("t", 5))
            transaction.update(things("t", 1, version=1), actions=[things.name.set("lost")],
                               return_values="ALL_OLD")
    reasons = failed.value.cancellation_reasons
    assert reasons[0] is None
    assert (reasons[1].code, reasons[1].raw_item["version"]) == (
        "ConditionalCheckFailed", {"N": "2"})


def test_models_of_two_regions(pangea, things):
    pangea.add_replica(things.Meta.table_name, REGIONS[1])
    there = model(pangea, things.Meta.table_name, REGIONS[1])
    full(things).save()
    got = eventually(lambda: there.get("a", 1), "the model in the other region")
    got.update(actions=[there.name.set("there")])
    eventually(lambda: things.get("a", 1).version == 2, "the update in the first region")
    assert next(things.by_name.query("a", things.name == "there")).owner == "bob"
    pangea.plain(REGIONS[0]).update_table(
        TableName=things.Meta.table_name,
        ReplicaUpdates=[{"Delete": {"RegionName": REGIONS[1]}}])
    eventually(lambda: not pangea.replicas(REGIONS[0], things.Meta.table_name),
               "the replica's end")
