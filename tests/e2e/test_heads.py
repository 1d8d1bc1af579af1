"""Requests whose heads are too large: refused as all else is, whatever the library would say."""

import re
import socket
import struct
import zlib

import pytest

from support import REGIONS
from wire import JSON, send, signed


@pytest.fixture(scope="module")
def port(pangea):
    return pangea.dynamodb[REGIONS[0]]


@pytest.mark.parametrize("path, more", [
    ("/", {"X-Amz-Security-Token": "x" * (16 << 10)}),
    ("/", {"X-Amz-Security-Token": "x" * (100 << 10)}),
    ("/", {"X-Amz-Security-Token": "x" * (900 << 10)}),
    ("/", {f"X-{n}": "x" for n in range(101)}),
    ("/" + "x" * (70 << 10), {}),
], ids=["16 KB", "100 KB", "900 KB", "101 headers", "path"])
def test_a_head_that_is_too_large_is_refused_as_all_else(port, path, more):
    _, headers = signed(port, "ListTables", b"{}")
    answer = send(port, path=path, headers={**headers, **more}, body=b"{}")
    kind, message = answer.error()
    assert (answer.status, kind) == (400, "com.amazon.coral.validate#ValidationException")
    assert "16384 bytes" in message and "shorter" in message
    assert answer.headers["Content-Type"] == JSON and answer.headers["Server"]
    assert re.fullmatch("[0-9A-Z]{52}", answer.headers["x-amzn-RequestId"])
    assert int(answer.headers["x-amz-crc32"]) == zlib.crc32(answer.body)


def test_a_head_that_is_too_large_is_refused_over_http2_too(port):
    def frame(kind, flags, stream, payload):
        return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload

    def literal(name, value):
        # Never indexed, not compressed; lengths of 127 and more go on in groups of seven bits.
        parts = [b"\x10"]
        for text in (name.encode(), value.encode()):
            count, length = len(text), b""
            if count < 127:
                length = bytes([count])
            else:
                length, count = b"\x7f", count - 127
                while count >= 128:
                    length, count = length + bytes([count % 128 + 128]), count // 128
                length += bytes([count])
            parts += [length, text]
        return b"".join(parts)

    head = {":method": "POST", ":scheme": "http", ":authority": "a", ":path": "/",
            "x-amz-security-token": "x" * (100 << 10)}
    block = b"".join(literal(name, value) for name, value in head.items())
    pieces = [block[at:at + (16 << 10)] for at in range(0, len(block), 16 << 10)]
    with socket.create_connection(("127.0.0.1", port), timeout=30) as stream:
        stream.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b""))
        for at, piece in enumerate(pieces):
            # END_STREAM stands on the head itself, END_HEADERS on its last continuation.
            flags = (1 if at == 0 else 0) | (4 if at == len(pieces) - 1 else 0)
            stream.sendall(frame(1 if at == 0 else 9, flags, 1, piece))
        answer = b""
        while b"ValidationException" not in answer:
            got = stream.recv(1 << 16)
            assert got, answer
            answer += got
    assert b"16384 bytes" in answer


def test_a_head_that_is_too_large_answers_nothing_that_was_asked_before(port):
    # A client that asks on without waiting takes the first answer for its first request's.
    _, headers = signed(port, "ListTables", b"{}")
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    good = f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{lines}Content-Length: 2\r\n\r\n{{}}"
    big = "POST / HTTP/1.1\r\nHost: a\r\n" + "".join(f"X-{n}: x\r\n" for n in range(101)) + "\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as stream:
        stream.sendall((good + big).encode())
        answers = b"".join(iter(lambda: stream.recv(1 << 16), b""))
    assert not answers or answers.startswith(b"HTTP/1.1 200 ")
    with socket.create_connection(("127.0.0.1", port), timeout=30) as stream:
        stream.sendall(big.encode())
        answers = b"".join(iter(lambda: stream.recv(1 << 16), b""))
    assert answers.count(b"HTTP/1.1") == 1 and b"connection: close" in answers.lower()
