"""Counts in several regions at once, with the AWS SDK and nothing else.

    python counter.py --table visits --add 500 http://127.0.0.1:8101 http://127.0.0.1:8102 ...

Each endpoint is a region's DynamoDB API. The program makes the table in the first region, asks for a
replica in every other, lets all of them add 1 to one item at the same time, waits until they show the
same number, and compares it with what it added. Nothing in it knows how concurrent writes merge: on
DynamoDB, and on a table with last-writer-wins, additions are lost; on a table tagged
`pangea:merge = crdt` none is.
"""

import argparse
import sys
import threading
import time

import boto3
from botocore.config import Config

KEY = {"page": {"S": "home"}}


def client(endpoint):
    config = Config(region_name="us-east-1", retries={"max_attempts": 3},
                    connect_timeout=5, read_timeout=10)
    return boto3.client("dynamodb", endpoint_url=endpoint, config=config,
                        aws_access_key_id="pangea", aws_secret_access_key="pangea")


def make_table(clients, regions, table, tags):
    home = clients[0]
    home.create_table(
        TableName=table, BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "page", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "page", "KeyType": "HASH"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        Tags=tags)
    for region in regions[1:]:
        home.update_table(TableName=table,
                          ReplicaUpdates=[{"Create": {"RegionName": region}}])
    for each in clients:
        each.get_waiter("table_exists").wait(TableName=table,
                                             WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def add(each, table, times):
    for _ in range(times):
        each.update_item(TableName=table, Key=KEY, UpdateExpression="ADD visits :one",
                         ExpressionAttributeValues={":one": {"N": "1"}})


def visits(each, table):
    item = each.get_item(TableName=table, Key=KEY, ConsistentRead=True).get("Item", {})
    return int(item.get("visits", {"N": "0"})["N"])


def settled(clients, table, patience=60):
    """The number that every region shows, once it has not changed for a second."""
    deadline, last, since = time.monotonic() + patience, None, time.monotonic()
    while time.monotonic() < deadline:
        shown = [visits(each, table) for each in clients]
        if shown != last:
            last, since = shown, time.monotonic()
        elif len(set(shown)) == 1 and time.monotonic() - since > 1:
            return shown[0]
        time.sleep(0.05)
    raise SystemExit(f"the regions do not agree: {last}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("endpoints", nargs="+", help="DynamoDB endpoints, one a region")
    parser.add_argument("--regions", default="us-east-1,eu-west-1,ap-northeast-1",
                        help="their names, in the same order")
    parser.add_argument("--table", default="visits")
    parser.add_argument("--merge", help="the tag pangea:merge; none for DynamoDB's behaviour")
    parser.add_argument("--add", type=int, default=500, help="additions in each region")
    options = parser.parse_args()
    regions = options.regions.split(",")[:len(options.endpoints)]
    clients = [client(endpoint) for endpoint in options.endpoints]
    tags = [{"Key": "pangea:merge", "Value": options.merge}] if options.merge else []
    make_table(clients, regions, options.table, tags)
    threads = [threading.Thread(target=add, args=(each, options.table, options.add))
               for each in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    added, shown = options.add * len(clients), settled(clients, options.table)
    print(f"{options.table} ({options.merge or 'lww'}): added {added}, shown {shown}, "
          f"lost {added - shown}")
    sys.exit(0 if added == shown else 1)


if __name__ == "__main__":
    main()
