"""Everything between the socket and the operation: raw HTTP as any client could send it."""

import datetime
import gzip
import hashlib
import http.client
import json
import re
import socket
import ssl
import subprocess
import urllib.request
import zlib

import boto3
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from cluster import schema
from support import REGIONS, eventually
from wire import JSON, Answer, call, cbor, chunked, send, signed

HOME, SECOND = REGIONS[:2]
CORAL = "com.amazon.coral.service#"
CBOR_1_1 = "application/x-amz-cbor-1.1"

# A cluster of its own knows the key that all other tests use, and one that may do little.
CLUSTER = {"shop": False, "tls": True, "extra": ["""
[[credential]]
access_key = "pangea"
secret = "pangea"

[[credential]]
access_key = "reader"
secret = "sesame"
allow = [{ tables = ["table*"], actions = ["Get*", "Describe*"] }]

[[credential]]
access_key = "former"
secret = "sesame"
expires = "20200101T000000Z"
"""]}


@pytest.fixture
def port(pangea):
    return pangea.dynamodb[HOME]


# --- what every answer has ----------------------------------------------------------------------


def test_every_answer_has_an_id_a_checksum_and_a_server(port):
    answers = [send(port, "GET"), send(port, "PUT"), send(port, "POST"),
               call(port, "ListTables", {}), call(port, "DescribeTable", {"TableName": "nobody"})]
    assert [answer.status for answer in answers] == [200, 404, 400, 200, 400]
    for answer in answers:
        assert re.fullmatch("[0-9A-Z]{52}", answer.headers["x-amzn-RequestId"])
        assert int(answer.headers["x-amz-crc32"]) == zlib.crc32(answer.body)
        assert int(answer.headers["Content-Length"]) == len(answer.body)
        assert answer.headers["Server"] and answer.headers["Date"]
    assert len({answer.headers["x-amzn-RequestId"] for answer in answers}) == len(answers)


def test_health_is_of_the_host_that_was_asked(port):
    assert send(port, "GET").body.decode() == f"healthy: 127.0.0.1:{port} "
    assert send(port, "GET", "/ping").status == 200
    for path in ("/abc", "/index.htm", "/health"):
        assert send(port, "GET", path).status == 404


def test_connections_are_kept_open(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    opened = set()
    for _ in range(3):
        _, headers = signed(port, "ListTables", b"{}")
        connection.request("POST", "/", b"{}", headers)
        opened.add(connection.sock)
        assert Answer(connection.getresponse()).status == 200
    assert len(opened) == 1


# --- refusals that never reach an operation -----------------------------------------------------


@pytest.mark.strict
@pytest.mark.parametrize("method, headers, body", [
    ("PUT", {}, b""),
    ("DELETE", {}, b""),
    ("OPTIONS", {}, b""),
    ("POST", {}, b"hi"),
    ("POST", {"Content-Type": "whatever"}, b"hi"),
    ("POST", {"Content-Type": "application/x-amz-json-1.1"}, b"{}"),
    ("POST", {"Content-Type": "application/jsonasdf"}, b"{}"),
])
def test_what_is_no_request_of_the_protocol(port, method, headers, body):
    answer = send(port, method, headers=headers, body=body)
    assert (answer.status, answer.body) == (404, b"<UnknownOperationException/>\n")


@pytest.mark.strict
@pytest.mark.parametrize("content_type, told", [
    ("application/json", "application/json"), (JSON, JSON), (JSON + ";blah", JSON),
    ("  application/json  ;   asfd", "application/json"),
])
def test_a_body_that_is_no_json_goes_before_all_else(port, content_type, told):
    for target in ({}, {"X-Amz-Target": "DynamoDB_20120810.ListTables"}):
        answer = send(port, headers={"Content-Type": content_type, **target}, body=b"hi")
        assert (answer.status, answer.json()) == (400, {"__type": f"{CORAL}SerializationException"})
        assert answer.headers["Content-Type"] == told
    for target in ({}, {"X-Amz-Target": "whatever"}, {"X-Amz-Target": "DynamoDB_20120810.Get"}):
        answer = send(port, headers={"Content-Type": content_type, **target}, body=b"{}")
        kind = f"{CORAL}UnknownOperationException"
        assert (answer.status, answer.json()) == (400, {"__type": kind})


LIST = {"X-Amz-Target": "DynamoDB_20120810.ListTables"}
MISSING = (f"{CORAL}MissingAuthenticationTokenException", "Request is missing Authentication Token")
INCOMPLETE = f"{CORAL}IncompleteSignatureException"


def lacks(*names):
    return "".join(f"Authorization header requires '{name}' parameter. " for name in names)


@pytest.mark.strict
@pytest.mark.parametrize("path, headers, error", [
    ("/", {}, MISSING),
    ("/", {"Authorization": "AWS4"}, MISSING),
    ("/?X-Amz-Algorith", {"Authorization": "X"}, MISSING),
    ("/?X-Amz-Credential=a&X-Amz-Signature=b&X-Amz-SignedHeaders=c&X-Amz-Date=d", {}, MISSING),
    ("/?X-Amz-Algorithm", {"Authorization": "X"}, (
        f"{CORAL}InvalidSignatureException", "Found both 'X-Amz-Algorithm' as a query-string "
        "param and 'Authorization' as HTTP header.")),
    ("/", {"Authorization": "AWS4-"}, (INCOMPLETE, lacks(
        "Credential", "Signature", "SignedHeaders") + "Authorization header requires existence "
        "of either a 'X-Amz-Date' or a 'Date' header. Authorization=AWS4-")),
    ("/", {"Authorization": "AWS4- Signature=b,Credential=a", "Date": "a"}, (
        INCOMPLETE, lacks("SignedHeaders") + "Authorization=AWS4- Signature=b,Credential=a")),
    ("/?X-Amz-Algorithm=a&X-Amz-Credential=b&X-Amz-Signature=c&X-Amz-Date=d", {}, (
        INCOMPLETE, "AWS query-string parameters must include 'X-Amz-SignedHeaders'. "
        "Re-examine the query-string parameters.")),
])
def test_what_a_signature_lacks(port, path, headers, error):
    answer = send(port, path=path, headers={**LIST, **headers})
    assert (answer.status, answer.error()) == (400, error)


@pytest.mark.strict
@pytest.mark.parametrize("minutes, text", [(-6, "Signature expired: "),
                                           (6, "Signature not yet current: ")])
def test_clocks_may_be_five_minutes_apart(port, minutes, text):
    now = datetime.datetime.now(datetime.timezone.utc)
    answer = call(port, "ListTables", {}, at=now + datetime.timedelta(minutes=minutes))
    kind, message = answer.error()
    assert kind == f"{CORAL}InvalidSignatureException" and message.startswith(text), message
    assert "5 min.)" in message
    near = datetime.timedelta(minutes=minutes * 2 / 3)
    assert call(port, "ListTables", {}, at=now + near).status == 200


@pytest.mark.strict
@pytest.mark.parametrize("operation, body, message", [
    ("GetItem", '{"TableName":23}', "NUMBER_VALUE cannot be converted to String"),
    ("GetItem", '{"TableName":[]}', "Unrecognized collection type class java.lang.String"),
    ("GetItem", '{"Key":"x"}', "Unexpected field type"),
    ("GetItem", '{"Key":{"a":7}}', "Unexpected value type in payload"),
    ("GetItem", '{"ConsistentRead":"maybe"}', "Unexpected token received from parser"),
    ("Scan", '{"Limit":"23"}', "STRING_VALUE cannot be converted to Integer"),
    ("PutItem", '{"Item":{"a":{"B":"23456"}}}',
     "Base64 encoded length is expected a multiple of 4 bytes but found: 5"),
])
def test_values_of_a_wrong_type(port, operation, body, message):
    answer = call(port, operation, body.encode())
    error = {"__type": f"{CORAL}SerializationException", "Message": message}
    assert (answer.status, answer.json()) == (400, error)


@pytest.mark.strict
def test_browsers_of_every_origin_are_let_in(port):
    asked = {"Origin": "http://example.com", "Access-Control-Request-Method": "dog",
             "Access-Control-Request-Headers": "cat, mouse"}
    preflight = send(port, "OPTIONS", headers=asked)
    assert (preflight.status, preflight.body) == (200, b"")
    assert preflight.headers["Access-Control-Max-Age"] == "172800"
    assert preflight.headers["Access-Control-Allow-Methods"] == "dog"
    assert preflight.headers["Access-Control-Allow-Headers"] == "cat, mouse"
    for method in ("OPTIONS", "GET", "POST"):
        headers = send(port, method, headers=asked).headers
        assert headers["Access-Control-Allow-Origin"] == "*"
        assert headers["Access-Control-Expose-Headers"]
        assert method == "OPTIONS" or "Access-Control-Max-Age" not in headers
        others = send(port, method).headers
        assert not any(name.startswith("Access-Control-") for name in map(str.title, others))


# --- sizes ------------------------------------------------------------------------------------


@pytest.mark.strict
def test_what_is_too_large_is_refused_and_told(port):
    spaces = b" " * (17 << 20)
    body = b'{"Limit":' + spaces + b"1}"
    assert call(port, "ListTables", body).status == 413
    pieces = send(port, headers=signed(port, "ListTables", body)[1], body=iter([body]))
    assert pieces.status == 413
    packed = call(port, "ListTables", gzip.compress(body), unsigned={"Content-Encoding": "gzip"})
    assert packed.status == 413
    _, headers = signed(port, "ListTables", b"{}")
    for more, status in ((100, 200), (16 << 10, 400)):
        answer = send(port, headers={**headers, "Extra": "x" * more}, body=b"{}")
        assert answer.status == status
    for path, more in (("/" + "x" * (17 << 10), {}), ("/", {"Host": "one", "host": "other"})):
        answer = send(port, path=path, headers={**headers, **more}, body=b"{}")
        assert answer.status == 400 and b"Signature" not in answer.body


def test_slow_and_broken_clients_harm_nobody(port):
    head = (f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: {JSON}\r\n"
            "Content-Length: 1000000\r\n\r\n").encode()
    idle = []
    for piece in (head, b"PRI", b"P", b""):
        stream = socket.create_connection(("127.0.0.1", port), timeout=10)
        stream.sendall(piece)
        idle.append(stream)
    assert call(port, "ListTables", {}).status == 200
    for stream in idle:
        stream.close()


# --- encodings --------------------------------------------------------------------------------


@pytest.mark.strict
def test_answers_are_compressed_where_that_is_asked_for(pangea, port, global_table):
    client = pangea.client(HOME)
    for name, length in (("large", 4096), ("small", 4000)):
        client.put_item(TableName=global_table,
                        Item={"pk": {"S": name}, "x": {"S": "x" * length}})

    def get(name, accept):
        body = {"TableName": global_table, "Key": {"pk": {"S": name}}}
        return call(port, "GetItem", body, unsigned={"Accept-Encoding": accept})

    for accept, encoding in (("gzip", "gzip"), ("deflate", "deflate"), ("br, GZIP", "gzip"),
                             ("*, gzip;q=0.5", "deflate"), ("identity", None), ("br", None)):
        answer = get("large", accept)
        assert answer.headers["Content-Encoding"] == encoding, accept
        # The checksum is of what was sent.
        assert int(answer.headers["x-amz-crc32"]) == zlib.crc32(answer.body)
        unpack = {"gzip": gzip.decompress, "deflate": zlib.decompress, None: bytes}[encoding]
        assert json.loads(unpack(answer.body))["Item"]["x"]["S"] == "x" * 4096
    assert get("small", "gzip").headers["Content-Encoding"] is None


@pytest.mark.strict
def test_requests_may_be_compressed(port):
    body = b'{"Limit":1}'

    def ask(data, encoding):
        return call(port, "ListTables", data, unsigned={"Content-Encoding": encoding}).status

    assert ask(gzip.compress(body), "gzip") == 200
    assert ask(gzip.compress(body[:5]) + gzip.compress(body[5:]), "gzip") == 200
    assert ask(zlib.compress(body), "deflate") == 200
    for data, encoding in ((body, "gzip"), (b"", "gzip"), (gzip.compress(body)[:-1], "gzip"),
                           (body, "deflate"), (body, "garbage")):
        assert ask(data, encoding) == 500, (data, encoding)


@pytest.mark.strict
def test_requests_may_come_in_signed_chunks(port):
    assert chunked(port, "ListTables", b'{"Limit":1}').status == 200
    assert chunked(port, "ListTables", b'{"Limit":0}').json()["__type"].endswith(
        "ValidationException")


def test_cbor_is_spoken_to_those_who_ask(pangea, port, global_table):
    item = {"pk": {"S": "k"}, "b": {"B": b"\0\xff"}, "bs": {"BS": [b"1"]},
            "m": {"M": {"B": {"N": "1"}, "l": {"L": [{"NULL": True}]}}}}

    def ask(operation, **parameters):
        return cbor(port, operation, parameters)

    ask("PutItem", TableName=global_table, Item=item)
    assert ask("GetItem", TableName=global_table, Key={"pk": item["pk"]})["Item"] == item
    table = ask("DescribeTable", TableName=global_table)["Table"]
    assert table["CreationDateTime"] == pangea.client(HOME).describe_table(
        TableName=global_table)["Table"]["CreationDateTime"]
    error = ask("DescribeTable", TableName="nobody")["Error"]
    assert error["Code"].endswith("ResourceNotFoundException")
    strange = send(port, path="/service/DynamoDB_20120810/operation/ListTables",
                   headers={"smithy-protocol": "rpc-v2-cbor", "Content-Type": "application/cbor"},
                   body=b"\xa0")
    assert b"MissingAuthenticationTokenException" in strange.body


def test_the_older_cbor_is_spoken_too(pangea, port, global_table):
    """Maps, text, byte strings and times as tagged milliseconds (RFC 8949)."""
    def text(value):
        return bytes([0x60 | len(value)]) + value.encode()

    def ask(operation, body):
        answer = call(port, operation, body, headers={"Content-Type": CBOR_1_1})
        assert answer.headers["Content-Type"] == CBOR_1_1
        return answer

    named = text("TableName") + text(global_table)
    key = b"\xa1" + text("pk") + b"\xa1" + text("S") + text("k")
    item = b"\xa2" + key[1:] + text("b") + b"\xa1" + text("B") + b"\x42\x00\xff"
    assert ask("PutItem", b"\xa2" + named + text("Item") + item).status == 200
    got = ask("GetItem", b"\xa2" + named + text("Key") + key)
    assert got.status == 200 and b"\x42\x00\xff" in got.body
    stored = pangea.client(HOME).get_item(TableName=global_table, Key={"pk": {"S": "k"}})["Item"]
    assert stored["b"] == {"B": b"\0\xff"}
    table = ask("DescribeTable", b"\xa1" + named).body
    assert re.search(rb"\x70CreationDateTime\xc1[\x1b\xfb]", table), "a time has a tag"
    missing = ask("DescribeTable", b"\xa1" + text("TableName") + text("nobody"))
    assert missing.status == 400 and b"ResourceNotFoundException" in missing.body


def test_http2_is_spoken_to_those_who_begin_with_it(port):
    """The preface, empty settings, and the server's settings come back."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as stream:
        stream.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
        assert stream.recv(9, socket.MSG_WAITALL)[3] == 4


def test_bodies_under_way_are_bounded(own_pangea):
    """More than 32 clients that never end their bodies of 16 MB: memory does not follow."""
    region, size = REGIONS[2], 16 << 20
    port, pid = own_pangea.dynamodb[region], own_pangea.region(region)["pid"]
    head = (f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: {JSON}\r\n"
            f"Content-Length: {size}\r\n\r\n").encode()

    def peak():
        status = open(f"/proc/{pid}/status", encoding="ascii").read()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) >> 10

    before, held = peak(), []
    for _ in range(36):
        stream = socket.create_connection(("127.0.0.1", port), timeout=30)
        stream.sendall(head)
        stream.sendall(bytes(size - 1))
        held.append(stream)
    throttled = eventually(lambda: [answer for answer in [call(port, "ListTables", {})]
                                    if answer.status == 400], "a refusal")[0]
    assert throttled.json()["__type"].endswith("ThrottlingException")
    assert peak() - before < 1024
    for stream in held:
        stream.close()
    eventually(lambda: call(port, "ListTables", {}).status == 200, "room")


# --- a defect ---------------------------------------------------------------------------------


def admin(pangea, path, body=None):
    url = f"http://127.0.0.1:{pangea.admin[HOME]}{path}"
    with urllib.request.urlopen(url, body and json.dumps(body).encode(), timeout=10) as answer:
        return answer.read().decode()


def test_a_panic_ends_one_request_and_is_counted(own_pangea):
    port = own_pangea.dynamodb[HOME]
    panics = lambda: int(re.search(r"^pangea_data_panics_total\S* (\d+)",
                                   admin(own_pangea, "/metrics"), re.M)[1])
    before, process = panics(), own_pangea.region(HOME)["pid"]
    admin(own_pangea, "/v1/faults", {"action": "panic", "requests": 2})
    statuses = [call(port, "ListTables", {}) for _ in range(3)]
    assert [answer.status for answer in statuses] == [500, 500, 200]
    kind, text = statuses[0].error()
    assert kind.endswith("#InternalServerError") and "defect" in text
    assert panics() == before + 2
    assert own_pangea.region(HOME)["pid"] == process


# --- with keys ----------------------------------------------------------------------------------


def test_signatures_are_checked_against_the_topology(own_pangea):
    port = own_pangea.dynamodb[HOME]
    assert call(port, "ListTables", {}).status == 200
    assert call(port, "ListTables", b"", headers={}, query=True).json()["__type"].endswith(
        "SerializationException"), "the query form passes too, and an empty body does not"
    for key, kind in ((("pangea", "guess"), "InvalidSignatureException"),
                      (("nobody", "pangea"), "UnrecognizedClientException"),
                      (("pangea", "pangea", "token"), "UnrecognizedClientException"),
                      (("former", "sesame"), "ExpiredTokenException")):
        answer = call(port, "ListTables", {}, key=key)
        assert (answer.status, answer.json()["__type"]) == (400, CORAL + kind)
    _, headers = signed(port, "ListTables", b"{}", headers={"Meerkat": "a b"})
    assert send(port, headers={**headers, "Meerkat": "a   b "}, body=b"{}").status == 200
    assert send(port, headers=headers, body=b'{"Limit":1}').status == 400


def test_a_presigned_request_is_sent_by_anybody(own_pangea):
    port, body = own_pangea.dynamodb[HOME], b'{"Limit": 1}'
    # botocore moves bodies into queries when it presigns; what it signs is told here.
    class Presigned(SigV4QueryAuth):
        def payload(self, request):
            return hashlib.sha256(body).hexdigest()

    headers = {"X-Amz-Target": "DynamoDB_20120810.ListTables", "Content-Type": JSON}
    request = AWSRequest("POST", f"http://127.0.0.1:{port}/", headers)
    Presigned(Credentials("pangea", "pangea"), "dynamodb", HOME).add_auth(request)
    path = request.url.split(f":{port}", 1)[1]
    words = ["curl", "--silent", "--fail-with-body", "--data-binary", "@-"]
    for name, value in headers.items():
        words += ["--header", f"{name}: {value}"]

    def sent(path):
        done = subprocess.run([*words, f"http://127.0.0.1:{port}{path}"], input=body,
                              capture_output=True, timeout=30)
        return json.loads(done.stdout)

    assert "TableNames" in sent(path)
    assert sent(path[:-1] + ("0" if path[-1] != "0" else "1"))["__type"].endswith(
        "InvalidSignatureException")


def test_chunks_are_signed(own_pangea):
    port, body = own_pangea.dynamodb[HOME], b'{"Limit": 1}'
    assert chunked(port, "ListTables", body).status == 200
    assert chunked(port, "ListTables", body, broken=True).json()["__type"].endswith(
        "InvalidSignatureException")


def test_keys_may_do_what_their_rules_say(own_pangea):
    own_pangea.client(HOME).create_table(TableName="tabled", **schema(),
                                         BillingMode="PAY_PER_REQUEST")
    options = {"region_name": HOME, "endpoint_url": own_pangea.endpoint(HOME)}
    reader = boto3.Session("reader", "sesame").client("dynamodb", **options)
    assert reader.describe_table(TableName="tabled")["Table"]["TableStatus"] == "ACTIVE"
    assert "Item" not in reader.get_item(TableName="tabled", Key={"pk": {"S": "k"}})
    for attempt in (lambda: reader.put_item(TableName="tabled", Item={"pk": {"S": "k"}}),
                    lambda: reader.describe_table(TableName="other"), reader.list_tables,
                    lambda: reader.search_vectors(TableName="tabled", IndexName="vix", TopK=1,
                                                  SearchVector=[{"N": "1"}])):
        with pytest.raises(ClientError, match="is not authorized to perform: dynamodb:") as denied:
            attempt()
        assert denied.value.response["Error"]["Code"] == "AccessDeniedException"


def test_what_another_region_forwards_needs_no_second_signature(own_pangea):
    """The signature is for the first region's address; nobody but a region can vouch for it."""
    tags = {"pangea:merge": "owner", "pangea:owner": f"eu-={SECOND}"}
    own_pangea.client(HOME).create_table(
        TableName="owned", BillingMode="PAY_PER_REQUEST", **schema(),
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
    own_pangea.add_replica("owned", SECOND)
    answer = call(own_pangea.dynamodb[HOME], "PutItem",
                  {"TableName": "owned", "Item": {"pk": {"S": "eu-1"}}})
    assert (answer.status, answer.headers["x-pangea-answered-by"]) == (200, SECOND)
    forged = {**LIST, "Content-Type": JSON, "x-pangea-forwarded-by": SECOND,
              "x-pangea-forwarded-seal": "1." + "0" * 64}
    answer = send(own_pangea.dynamodb[HOME], headers=forged, body=b"{}")
    assert answer.error() == MISSING


def test_tls_is_served_with_a_certificate_of_the_deployment(own_pangea):
    authority = own_pangea.data / "pki" / "ca.pem"
    endpoint = f"https://localhost:{own_pangea.tls[HOME]}"
    client = boto3.Session().client("dynamodb", region_name=HOME, endpoint_url=endpoint,
                                    verify=str(authority), config=Config(retries={
                                        "total_max_attempts": 1}))
    assert "TableNames" in client.list_tables()
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context(cafile=authority)
        context.minimum_version = context.maximum_version = version
        context.set_alpn_protocols(["h2", "http/1.1"])
        with socket.create_connection(("127.0.0.1", own_pangea.tls[HOME]), timeout=10) as stream:
            with context.wrap_socket(stream, server_hostname="localhost") as secured:
                assert secured.selected_alpn_protocol() == "h2"
    plain = http.client.HTTPConnection("127.0.0.1", own_pangea.tls[HOME], timeout=10)
    with pytest.raises((http.client.HTTPException, OSError)):
        plain.request("GET", "/")
        plain.getresponse()


def test_secrets_are_not_shown(own_pangea):
    operator = own_pangea.status()["edge"]["operator"].rsplit(":", 1)[1]
    shown = send(int(operator), "GET", "/v1/topology").body
    assert b"reader" in shown and b"sesame" not in shown
    assert (own_pangea.data / "topology.toml").stat().st_mode & 0o77 == 0
