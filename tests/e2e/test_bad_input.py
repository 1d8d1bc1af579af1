"""Garbage on every port: dropped, counted, and the same processes go on serving."""

import random
import re
import socket
import struct
import urllib.request

import pytest

from cluster import run
from support import REGIONS, eventually

HOME = REGIONS[0]
SEED = 5300

# What a scanner sends: nothing, noise, another protocol, half a message, a length that lies.
CLIENT_HELLO = bytes.fromhex("16030100050100000100") + b"\0" * 5


def payloads():
    chance = random.Random(SEED)
    yield b""
    yield b"\0" * 1000
    yield b"\xff" * 70_000
    yield from (chance.randbytes(size) for size in (1, 2, 11, 12, 13, 100, 5000))
    yield b"GET / HTTP/1.1\r\n"
    yield b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n"
    yield b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{"
    yield b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n"
    yield b"X" * 100_000 + b"\r\n\r\n"
    yield CLIENT_HELLO
    yield struct.pack(">I", 0xFFFFFFFF) + b"x" * 100
    yield struct.pack(">H", 0xFFFF) + b"x" * 100


def tcp(port, payload):
    """Sends, says that no more comes, and waits for the end or the answer; refusal is fine."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as stream:
        try:
            stream.sendall(payload)
            stream.shutdown(socket.SHUT_WR)
            stream.settimeout(1)
            while stream.recv(65536):
                pass
        except OSError:
            pass


def questions():
    """DNS messages with something wrong in each."""
    name = b"\x04shop\x06pangea\x04test\x00"
    question = name + struct.pack(">HH", 1, 1)

    def header(flags=0x0100, counts=(1, 0, 0, 0)):
        return struct.pack(">HHHHHH", 7, flags, *counts)

    yield b""
    yield b"\0"
    yield header()
    yield header() + name[:9]
    yield header(counts=(65535, 65535, 65535, 65535)) + question
    yield header(flags=0x8180) + question  # an answer
    yield header() + b"\xc0\x0c" + struct.pack(">HH", 1, 1)  # a name that points at itself
    yield header() + b"\xc0\xff" + struct.pack(">HH", 1, 1)  # … behind the end
    yield header() + (b"\x3f" + b"a" * 63) * 5 + b"\0" + struct.pack(">HH", 1, 1)  # too long
    yield header(counts=(0, 0, 0, 0))
    yield header(flags=0x7800) + question  # an opcode of nobody
    yield header(counts=(1, 0, 0, 1)) + question + b"\0" + struct.pack(">HHIH", 41, 0, 0, 500)
    chance = random.Random(SEED)
    yield from (chance.randbytes(chance.randrange(600)) for _ in range(200))


def metrics(url):
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as response:
        return response.read().decode()


def counters(url):
    """The counters of a process that tell of something refused, summed."""
    text = metrics(url)
    wrong = re.compile(r"malformed|garbage|reject|refus|drop|invalid|bad|error|fail")
    total = 0.0
    for line in text.splitlines():
        if not line.startswith("#") and wrong.search(line.rsplit(" ", 1)[0]):
            total += float(line.rsplit(" ", 1)[1])
    return total


def pids(pangea):
    status = pangea.status()
    return {region["name"]: region["pid"] for region in status["regions"]} | {
        "edge": status["edge"]["pid"]}


@pytest.fixture
def unharmed(pangea, global_table):
    """Before and after the test: everything is served, by the same processes."""
    before = pids(pangea)
    yield
    assert pids(pangea) == before
    for region in REGIONS:
        pangea.client(region).put_item(TableName=global_table, Item={"pk": {"S": region}})
    assert len(pangea.converged(global_table)) == len(REGIONS)
    done = run(["dig", "+short", "@127.0.0.1", "-p", pangea.dns, "shop.pangea.test"])
    assert done.stdout.strip()
    run(["curl", "--silent", "--fail", "--max-time", "10", "--output", "/dev/null",
         f"http://127.0.0.1:{pangea.accelerator}/health"])


def test_garbage_on_the_peer_port(pangea, unharmed):
    url = pangea.region(HOME)["admin"]
    before = counters(url)
    for payload in payloads():
        tcp(pangea.peer[HOME], payload)
    eventually(lambda: counters(url) > before, "the garbage to be counted")
    kinds = re.findall(r'^pangea_replication_garbage_total\{.*kind="([^"]*)"', metrics(url), re.M)
    assert kinds and all(re.fullmatch("[a-z_]+", kind) for kind in kinds), kinds


def test_garbage_on_the_dynamodb_port(pangea, unharmed):
    for payload in payloads():
        tcp(pangea.dynamodb[HOME], payload)


def test_garbage_on_the_admin_port(pangea, unharmed):
    for payload in payloads():
        tcp(pangea.admin[HOME], payload)


def test_garbage_through_the_accelerator(pangea, unharmed):
    for payload in payloads():
        tcp(pangea.accelerator, payload)


def test_garbage_on_the_operator_and_control_ports(pangea, unharmed):
    for payload in payloads():
        tcp(pangea.operator, payload)
        tcp(pangea.control, payload)


def test_garbage_on_the_dns_port(pangea, unharmed):
    url = pangea.status()["edge"]["operator"]
    before = counters(url)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for message in questions():
            sender.sendto(message, ("127.0.0.1", pangea.dns))
    for payload in payloads():
        tcp(pangea.dns, payload)
    for message in questions():
        tcp(pangea.dns, struct.pack(">H", len(message)) + message)
    eventually(lambda: counters(url) > before, "the garbage to be counted")


def test_connections_that_say_nothing(pangea, unharmed):
    """Opened and left alone, more than a careless limit would bear."""
    ports = [pangea.peer[HOME], pangea.dynamodb[HOME], pangea.accelerator, pangea.dns]
    idle = []
    try:
        for port in ports:
            idle += [socket.create_connection(("127.0.0.1", port), timeout=10)
                     for _ in range(100)]
        for region in REGIONS:
            assert pangea.client(region).list_tables()["TableNames"]
    finally:
        for stream in idle:
            stream.close()
