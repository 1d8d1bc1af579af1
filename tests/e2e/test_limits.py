"""What a region takes at once: the topology bounds it, and clients are told."""

import re
import socket
import urllib.request

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from cluster import SESSION
from support import REGIONS, eventually
from wire import JSON, call

HOME = REGIONS[0]
CONNECTIONS, REQUESTS = 12, 6
CLUSTER = {"shop": False, "extra": ["[limits]", f"connections = {CONNECTIONS}",
                                    f"requests = {REQUESTS}", "body_mb = 16",
                                    "[ledger]", "entries_per_minute = 1"]}


def held(port, count, first=b""):
    """Connections that are open, and say no more than `first`."""
    streams = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(count)]
    for stream in streams:
        stream.sendall(first)
    return streams


def unfinished(port, size):
    """A request that never ends its body."""
    return (f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: {JSON}\r\n"
            f"Content-Length: {size}\r\n\r\n").encode() + bytes(size - 1)


def throttled(pangea):
    url = f"http://127.0.0.1:{pangea.admin[HOME]}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    return int(re.search(r"^pangea_data_throttled_total\S* (\d+)", text, re.M)[1])


def refused(port):
    """What an SDK is told that does not try again; None if it is served."""
    client = SESSION.client("dynamodb", endpoint_url=f"http://127.0.0.1:{port}",
                            region_name=HOME, config=Config(retries={"total_max_attempts": 1}))
    try:
        client.list_tables()
        return None
    except ClientError as error:
        return error.response["Error"]
    finally:
        client.close()


@pytest.fixture
def port(own_pangea):
    return own_pangea.dynamodb[HOME]


def test_a_connection_too_many_is_told_so(own_pangea, port):
    before, streams = throttled(own_pangea), held(port, CONNECTIONS)
    error = eventually(lambda: refused(port), "a refusal")
    assert error["Code"] == "ThrottlingException" and "connections" in error["Message"]
    with socket.create_connection(("127.0.0.1", port), timeout=30) as stream:
        stream.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
        answer = b"".join(iter(lambda: stream.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 400") and b"connection: close" in answer.lower()
    assert throttled(own_pangea) >= before + 2
    # Those that ask whether it is there still hear so: it is busy, not ill.
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
        assert answer.status == 200
    for stream in streams:
        stream.close()
    eventually(lambda: refused(port) is None, "room")


def test_connections_beyond_the_bound_do_not_hold_their_place(own_pangea, port):
    # Those that are told so end if they ask nothing, or only begin to; one that waits in the
    # kernel's queue meanwhile has its turn, long before an ordinary connection would end.
    begun = b"GET /healthz HTTP/1.1\r\n"
    # HTTP/2's preface, and a frame of no settings.
    two = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
    streams = held(port, CONNECTIONS) + held(port, 32) + held(port, 32, begun) + held(port, 64, two)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as stream:
        stream.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert stream.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 200"
    for stream in streams:
        stream.close()
    eventually(lambda: refused(port) is None, "room")


def test_requests_under_way_are_bounded(own_pangea, port):
    streams = held(port, REQUESTS, unfinished(port, 64))
    error = eventually(lambda: refused(port), "a refusal")
    assert error["Code"] == "ThrottlingException"
    for stream in streams:
        stream.close()
    eventually(lambda: refused(port) is None, "room")


def test_bodies_in_memory_are_bounded(own_pangea, port):
    # Two of 10 MB have no room in 16 MB: one of them, or who comes after, is refused.
    streams = held(port, 2, unfinished(port, 10 << 20))
    big = {"TableName": "t" * (7 << 20)}
    eventually(lambda: call(port, "DescribeTable", big).error()[0].endswith("ThrottlingException"),
               "a refusal")
    for stream in streams:
        stream.close()
    eventually(lambda: refused(port) is None, "room")


def test_conflicts_above_a_rate_share_entries_that_name_them_all(own_pangea, table_name):
    pangea, there = own_pangea, REGIONS[1]
    table = pangea.global_table(table_name)
    lost = set()
    for n in range(6):
        pangea.cut(HOME, there)
        pangea.cut(HOME, REGIONS[2])
        versions = [pangea.client(region).put_item(
            TableName=table, Item={"pk": {"S": "hot"}, "v": {"S": f"{region} {n}"}},
        )["ResponseMetadata"]["HTTPHeaders"]["x-pangea-version"] for region in (HOME, there)]
        pangea.heal(HOME, there)
        pangea.heal(HOME, REGIONS[2])
        pangea.converged(table)
        lost.add(min(versions))
    entries = pangea.conflicts(table)
    shared = [entry for entry in entries if "pairs" in entry]
    assert shared, "the rate is that of the topology"
    for entry in shared:
        assert entry["dropped_images"] == max(len(entry["pairs"]) - 2, 0)
    named = {loser for entry in shared for loser, _ in entry["pairs"]}
    assert lost == named | {entry["loser"]["stamp"] for entry in entries}, "each of them, no other"
