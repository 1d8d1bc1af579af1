"""Raw HTTP to the DynamoDB address, signed by hand where botocore would not sign it so."""

import datetime
import hashlib
import hmac
import http.client
import json

from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.parsers import RpcV2CBORParser
from botocore.serialize import RpcV2CBORSerializer
from botocore.session import get_session

from support import REGIONS

HOME = REGIONS[0]
JSON = "application/x-amz-json-1.0"
STREAMING = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"


class Answer:
    """A response, as its bytes are."""

    def __init__(self, response):
        self.status, self.headers = response.status, response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)

    def error(self):
        body = self.json()
        return body["__type"], body.get("message", body.get("Message"))


def send(port, method="POST", path="/", headers=None, body=b""):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        return Answer(connection.getresponse())
    finally:
        connection.close()


def signed(port, operation, body, key=("pangea", "pangea"), at=None, headers=None, query=False):
    """Path and headers of a request as botocore signs it, at another time than now if asked to."""
    headers = {"X-Amz-Target": f"DynamoDB_20120810.{operation}", "Content-Type": JSON,
               **(headers or {})}
    request = AWSRequest("POST", f"http://127.0.0.1:{port}/", headers, body)
    auth = (SigV4QueryAuth if query else SigV4Auth)(Credentials(*key), "dynamodb", HOME)
    auth.add_auth(request)
    if at:
        request.context["timestamp"] = at.strftime("%Y%m%dT%H%M%SZ")
        request.headers.replace_header("X-Amz-Date", request.context["timestamp"])
        del request.headers["Authorization"]
        text = auth.string_to_sign(request, auth.canonical_request(request))
        auth._inject_signature_to_request(request, auth.signature(text, request))
    path = request.url.split(f":{port}", 1)[1]
    return path, dict(request.headers)


def call(port, operation, body, **options):
    extra = options.pop("unsigned", {})
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    path, headers = signed(port, operation, data, **options)
    return send(port, "POST", path, {**headers, **extra}, data)


def cbor(port, operation, parameters, headers=None):
    """An answer in CBOR to a request in CBOR, both as botocore knows them."""
    shape = get_session().get_service_model("dynamodb").operation_model(operation)
    request = RpcV2CBORSerializer().serialize_to_request(parameters, shape)
    path = f"/service/DynamoDB_20120810/operation/{operation}"
    made = AWSRequest("POST", f"http://127.0.0.1:{port}{path}",
                      {**request["headers"], **(headers or {})}, request["body"])
    SigV4Auth(Credentials("pangea", "pangea"), "dynamodb", HOME).add_auth(made)
    answer = send(port, path=path, headers=dict(made.headers), body=request["body"])
    assert answer.headers["Content-Type"] == "application/cbor"
    assert answer.headers["smithy-protocol"] == "rpc-v2-cbor"
    told = {"status_code": answer.status, "headers": answer.headers, "body": answer.body}
    return RpcV2CBORParser().parse(told, shape.output_shape)


def chunked(port, operation, body, broken=False):
    """A request whose body is signed chunk by chunk."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{now[:8]}/{HOME}/dynamodb/aws4_request"
    named = {"host": f"127.0.0.1:{port}", "x-amz-content-sha256": STREAMING, "x-amz-date": now,
             "x-amz-decoded-content-length": str(len(body)),
             "x-amz-target": f"DynamoDB_20120810.{operation}"}
    key, names = b"AWS4pangea", ";".join(sorted(named))
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    digest = lambda data: hashlib.sha256(data).hexdigest()
    sign = lambda *lines: hmac.new(key, "\n".join(lines).encode(), "sha256").hexdigest()
    lines = [f"{name}:{value}" for name, value in sorted(named.items())]
    canonical = "\n".join(["POST", "/", "", *lines, "", names, STREAMING])
    last = sign("AWS4-HMAC-SHA256", now, scope, digest(canonical.encode()))
    authorization = (f"AWS4-HMAC-SHA256 Credential=pangea/{scope}, SignedHeaders={names}, "
                     f"Signature={last}")
    sent = b""
    for piece in (body[:5], body[5:], b""):
        last = sign("AWS4-HMAC-SHA256-PAYLOAD", now, scope, last, digest(b""), digest(piece))
        sent += b"%x;chunk-signature=%s\r\n%s\r\n" % (len(piece), last.encode(), piece)
    headers = {**named, "Authorization": authorization, "Content-Type": JSON,
               "Content-Encoding": "aws-chunked"}
    return send(port, headers=headers, body=sent.replace(b"1", b"2") if broken else sent)
