"""Sends the same requests to two servers of the DynamoDB API, and compares what they answer."""

import collections
import http.client
import json
import re
import urllib.parse

from random_requests import TABLES, tables

AUTHORIZATION = ("AWS4-HMAC-SHA256 Credential=pangea/20260101/us-east-1/dynamodb/aws4_request, "
                 "SignedHeaders=host;x-amz-date, Signature=" + "0" * 64)


CONNECTIONS = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
# Of how many differences of a kind a report tells.
EXAMPLES = 3
# A difference of these kinds is none of what was done.
WORDING = {"message"}


class Server:
    """One of them, over a connection that stays."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in CONNECTIONS or not parts.hostname or parts.path.strip("/"):
            raise ValueError(f"{url!r} is no endpoint: write http://host:port")
        self.connection = CONNECTIONS[parts.scheme](parts.hostname, parts.port, timeout=30)

    def ask(self, operation, body):
        headers = {"Content-Type": "application/x-amz-json-1.0", "Authorization": AUTHORIZATION,
                   "X-Amz-Date": "20260101T000000Z",
                   "X-Amz-Target": f"DynamoDB_20120810.{operation}"}
        try:
            self.connection.request("POST", "/", json.dumps(body), headers)
            response = self.connection.getresponse()
            status, text = response.status, response.read()
        except (http.client.HTTPException, ConnectionError) as error:
            # The next request is asked over a new connection.
            self.connection.close()
            return Answer(0, {"__type": "NoAnswer", "message": repr(error)})
        try:
            return Answer(status, json.loads(text or b"{}"))
        except ValueError:
            return Answer(status, {"__type": "NoJson", "message": text.decode(errors="replace")})

    def make_tables(self):
        for body in tables():
            answer = self.ask("CreateTable", body)
            assert answer.status == 200, answer.body

    def present(self):
        """Those of the tables that are there."""
        return [name for name in TABLES
                if self.ask("DescribeTable", {"TableName": name}).status == 200]

    def drop_tables(self):
        for name in TABLES:
            self.ask("DeleteTable", {"TableName": name})

    def are_tables_active(self):
        described = [self.ask("DescribeTable", {"TableName": name}).body for name in TABLES]
        return all(one["Table"]["TableStatus"] == "ACTIVE" for one in described)

    def items(self, table):
        return self.ask("Scan", {"TableName": table, "ConsistentRead": True}).body["Items"]

    def empty(self):
        for table, sort in TABLES.items():
            names = ["pk", "sk"] if sort else ["pk"]
            for item in self.items(table):
                key = {name: item[name] for name in names}
                self.ask("DeleteItem", {"TableName": table, "Key": key})


class Answer:
    """A status, and a body in which nothing is left that may differ."""

    def __init__(self, status, body):
        self.status, self.body = status, normal(body)

    def error(self):
        kind = self.body.get("__type", "").split("#")[-1]
        return kind, self.body.get("message", self.body.get("Message", ""))

    def __eq__(self, other):
        if self.status != 200 or other.status != 200:
            reasons = [answer.body.get("CancellationReasons") for answer in (self, other)]
            return self.status == other.status and self.error() == other.error() \
                and reasons[0] == reasons[1]
        return self.body == other.body

    def __str__(self):
        return json.dumps(self.body, sort_keys=True, ensure_ascii=False)


def normal(value, name=""):
    """Sets have no order, nor has what a scan finds or a batch reads."""
    if isinstance(value, dict):
        return {key: normal(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        inner = [normal(each) for each in value]
        if name in ("SS", "NS", "BS", "Items", "ConsumedCapacity", *TABLES):
            inner.sort(key=lambda each: json.dumps(each, sort_keys=True))
        return inner
    return value


def wording(answer):
    """The message of a refusal without what is the request's own in it."""
    text = answer.error()[1]
    for pattern, kept in ((r'"[^"]*"', '""'), (r"\[.*?\]+", "[]"), (r"\{.*?\}+", "{}"),
                          (r"'[^']*'", "''"), (r"\b\d+\b", "0"), (r": [:#]?[\w.:-]+(?=;|$)", ": x"),
                          (r"(Key|Actual:|Expected:|IndexName:) \w+", r"\1 x")):
        text = re.sub(pattern, kept, text)
    return text


class Difference:
    """A request that two servers answered differently."""

    def __init__(self, operation, body, ours, theirs, kind=None):
        self.operation, self.body, self.ours, self.theirs = operation, body, ours, theirs
        # Whether both use our wording, of another request: set when all were compared.
        self.is_agreed = False
        if kind:
            self.kind = kind
        elif (ours.status == 200) != (theirs.status == 200):
            self.kind = "verdict"
        elif ours.status == 200:
            self.kind = "answer"
        else:
            self.kind = "type" if ours.error()[0] != theirs.error()[0] else "message"

    def __str__(self):
        body = json.dumps(self.body, ensure_ascii=False)
        return (f"{self.operation} ({self.kind}) {body}\n  ours   {self.ours.status} {self.ours}\n"
                f"  theirs {self.theirs.status} {self.theirs}")


class Explained:
    """A known difference: how it is told, and why it is."""

    def __init__(self, name, why, ours=".*", theirs=".*", when=None):
        self.name, self.why, self.when = name, why, when
        self.ours, self.theirs = re.compile(ours), re.compile(theirs)

    def explains(self, difference):
        texts = (str(difference.ours), str(difference.theirs))
        return bool(self.ours.search(texts[0]) and self.theirs.search(texts[1])
                    and (self.when is None or self.when(difference)))


class Run:
    """What a run has found."""

    def __init__(self, ours, theirs, known=()):
        self.ours, self.theirs, self.known = ours, theirs, known
        self.asked, self.refused = collections.Counter(), collections.Counter()
        self.explained, self.unexplained = collections.Counter(), []
        self.differences, self.agreed = [], set()

    def compare(self, requests):
        """Asks both, and looks at what each write has left."""
        for operation, body in requests:
            answers = [server.ask(operation, body) for server in (self.ours, self.theirs)]
            self.asked[operation] += 1
            self.refused[operation] += answers[0].status != 200
            well = answers[0] == answers[1]
            if not well:
                self.differences.append(Difference(operation, body, *answers))
            elif answers[0].status != 200:
                self.agreed.add(wording(answers[0]))
            for table, key in written(operation, body):
                get = {"TableName": table, "Key": key, "ConsistentRead": True}
                items = [server.ask("GetItem", get) for server in (self.ours, self.theirs)]
                if items[0] != items[1]:
                    if well:
                        self.differences.append(
                            Difference(operation, body, *items, kind="state"))
                    self.forget(table, key)

    def judge(self):
        """Explains what can be explained, once all requests were compared."""
        for difference in self.differences:
            difference.is_agreed = wording(difference.ours) in self.agreed
            known = next((one for one in self.known if one.explains(difference)), None)
            if known:
                self.explained[known.name] += 1
            else:
                self.unexplained.append(difference)

    def lines(self):
        """What was asked, by operation."""
        for operation, count in sorted(self.asked.items()):
            yield f"{operation}: {count} asked, {self.refused[operation]} of them refused"

    def report(self, peer):
        """What differs from a peer of this name and is not explained, by kind, with the first of
        each."""
        kinds = collections.defaultdict(list)
        for difference in self.unexplained:
            kinds[difference.kind].append(difference)
        asked, explained = sum(self.asked.values()), sum(self.explained.values())
        yield (f"{peer}: {asked} requests, {len(self.differences)} answered differently, "
               f"{explained} of them for a known reason")
        for kind, found in sorted(kinds.items()):
            yield f"{peer}: {len(found)} differ in their {kind}; the first of them:"
            yield from (str(difference) for difference in found[:EXAMPLES])

    def beyond_wording(self):
        """The differences without an explanation in what is done and answered."""
        return [one for one in self.unexplained if one.kind not in WORDING]

    def table(self, version):
        """What COMPAT.md says of it."""
        asked, refused = sum(self.asked.values()), sum(self.refused.values())
        differed = sum(self.explained.values()) + len(self.unexplained)
        return {"version": version, "asked": asked, "refused": refused, "differed": differed,
                "operations": dict(sorted(self.asked.items())),
                "known": [[one.name, self.explained[one.name], one.why] for one in self.known],
                "unexplained": len(self.unexplained)}

    def forget(self, table, key):
        """What follows shall not differ for the same reason."""
        for server in (self.ours, self.theirs):
            server.ask("DeleteItem", {"TableName": table, "Key": key})


def written(operation, body):
    """The keys that a request writes, if it is well formed."""
    found = []
    if operation in ("PutItem", "UpdateItem", "DeleteItem"):
        found = [(body.get("TableName"), body.get("Key") or body.get("Item"))]
    elif operation == "TransactWriteItems":
        actions = body.get("TransactItems")
        found = [(one.get("TableName"), one.get("Key") or one.get("Item"))
                 for action in (actions if isinstance(actions, list) else ())
                 for one in action.values()]
    elif operation == "BatchWriteItem":
        tables = body.get("RequestItems")
        found = [(table, one.get("Key") or one.get("Item"))
                 for table, requests in (tables.items() if isinstance(tables, dict) else ())
                 for request in requests for one in request.values()]
    elif operation == "ExecuteStatement":
        text, parameters = str(body.get("Statement")), body.get("Parameters")
        for table, sort in TABLES.items():
            if f'"{table}"' in text and isinstance(parameters, list):
                if text.startswith("INSERT"):
                    found = [(table, {"pk": parameters[0]} | ({"sk": parameters[1]} if sort else {}))]
                else:
                    at = text.split("WHERE")[0].count("?")
                    names = ["pk", "sk"] if sort else ["pk"]
                    found = [(table, dict(zip(names, parameters[at:])))]
    for table, item in found:
        if not isinstance(table, str) or table not in TABLES:
            continue
        names = ["pk", "sk"] if TABLES[table] else ["pk"]
        if isinstance(item, dict) and all(name in item for name in names):
            yield table, {name: item[name] for name in names}
