"""Tables in a group, through boto3 and real links: other regions show whole transactions, and no
effect before its cause."""

import secrets
import time

import pytest

from support import PATIENCE, REGIONS
from test_merging import make, tables

HOME, SECOND, THIRD = REGIONS

# Rows of a state that comes in several frames, of 512 rows or 256 KB each.
FILLER = 700


@pytest.fixture(scope="module")
def group(pangea):
    """Two tables of one group, in all regions."""
    return [make(pangea, name, group="shop") for name in ("group-orders", "group-stock")]


def put(table, key, value):
    return {"Put": {"TableName": table, "Item": {"pk": {"S": key}, "v": {"N": str(value)}}}}


def values(client, keys):
    """The numbers of items at one moment of one region; 0 of one that is not there."""
    gets = [{"Get": {"TableName": table, "Key": {"pk": {"S": key}}}} for table, key in keys]
    found = client.transact_get_items(TransactItems=gets)["Responses"]
    return [int(one.get("Item", {"v": {"N": "0"}})["v"]["N"]) for one in found]


def watch(read, last):
    """Everything that `read` shows, up to what `last` accepts."""
    seen, deadline = [], time.monotonic() + PATIENCE
    while not seen or not last(seen[-1]):
        assert time.monotonic() < deadline, f"waited in vain; last: {seen[-1:]}"
        seen.append(read())
    return seen


def fill(client, table, value):
    for start in range(0, FILLER, 25):
        items = [put(table, f"filler-{n}", value)["Put"]["Item"] | {"pad": {"S": secrets.token_hex(200)}}
                 for n in range(start, min(start + 25, FILLER))]
        client.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": it}} for it in items]})


def test_a_transaction_is_seen_whole_while_a_backlog_comes(pangea, group):
    """Half of it was written again, so that its rows are frames apart in the feed."""
    orders, stock = group
    home, second = pangea.client(HOME), pangea.client(SECOND)
    keys = [(orders, "one"), (stock, "one"), (orders, "two")]
    pangea.cut(HOME, SECOND)
    pangea.cut(SECOND, THIRD)
    try:
        home.transact_write_items(TransactItems=[put(orders, "one", 1), put(stock, "one", 1)])
        fill(home, stock, 1)
        home.transact_write_items(TransactItems=[put(orders, "one", 2), put(orders, "two", 2)])
        pangea.cli("link", "heal", HOME, SECOND)
        pangea.cli("link", "slow", HOME, SECOND, "--delay-ms", "20", "--kbytes-per-s", "200")
        seen = watch(lambda: values(second, keys), lambda last: last == [2, 1, 2])
    finally:
        pangea.heal(HOME, SECOND)
        pangea.heal(SECOND, THIRD)
    # With the first transaction both tables, with the second both items.
    whole = ([0, 0, 0], [1, 1, 0], [2, 1, 2])
    assert all(tuple(one) in {tuple(state) for state in whole} for one in seen), seen


def test_a_reply_is_not_seen_before_its_question(pangea, group):
    """The question comes to the third region only by way of the one that replied."""
    messages = group[0]
    home, second, third = (pangea.client(region) for region in REGIONS)
    pangea.cut(HOME, THIRD)
    try:
        home.put_item(**put(messages, "question", 1)["Put"])
        watch(lambda: values(second, [(messages, "question")]), lambda last: last == [1])
        second.put_item(**put(messages, "reply", 1)["Put"])
        both = [(messages, "reply"), (messages, "question")]
        seen = watch(lambda: values(third, both), lambda last: last[0] == 1)
    finally:
        pangea.heal(HOME, THIRD)
    assert [1, 0] not in seen, seen


def test_a_table_tells_its_group_and_joins_none_later(pangea, group, global_table):
    settings = {table["name"]: table for table in tables(pangea, THIRD)}
    assert "shop" in str(settings[group[0]]) and "shop" not in str(settings[global_table])
    done = pangea.cli("table", "set", global_table, "group=shop", check=False)
    assert done.returncode != 0 and "has no replicas" in done.stdout + done.stderr, done
    arn = pangea.client(HOME).describe_table(TableName=group[0])["Table"]["TableArn"]
    tags = pangea.client(HOME).list_tags_of_resource(ResourceArn=arn)["Tags"]
    assert {"Key": "pangea:group", "Value": "shop"} in tags
    pangea.cli("table", "set", group[1], "group=")
    tags = pangea.client(HOME).list_tags_of_resource(
        ResourceArn=arn.replace(group[0], group[1]))["Tags"]
    assert tags == []
