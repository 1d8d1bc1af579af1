"""The same random requests to a region and to another server of the DynamoDB API.

That is dynoxide, where PANGEA_DIFFERENTIAL=1 has built it from its sources, which takes minutes. Its
makers hold it against AWS with a public suite, so what it answers is a second opinion, no more: each
difference is explained in KNOWN, and one that is not fails. The run that writes COMPAT.md has it.

Or it is an endpoint of the user's own: PANGEA_DIFFERENTIAL_PEER=http://host:port, or
NAME=http://host:port for one that KNOWN explains. Of one that it does not know, the test tells what
differs, and fails for what is done and answered otherwise, not for words.
"""

import itertools
import os
import re
import subprocess

import pytest

from cluster import PORTS, REGIONS
from differential import Explained, Run, Server
from random_requests import TABLES, Requests
from support import eventually

BUILT = os.environ.get("PANGEA_DYNOXIDE")
OWN = os.environ.get("PANGEA_DIFFERENTIAL_PEER")

SEEDS, REQUESTS = range(1, 5), 2500


def only_removes(difference):
    """Whether an update takes away and does nothing else."""
    texts = [difference.body.get("UpdateExpression", "")] + [
        action["Update"].get("UpdateExpression", "")
        for action in difference.body.get("TransactItems", ()) if "Update" in action]
    return any(text and not {"SET", "ADD"} & set(text.upper().split()) for text in texts)


def is_first(difference):
    """Whether an update makes an item, and asks for the one before."""
    update = difference.operation == "UpdateItem" and difference.kind == "answer"
    return (update and "Attributes" not in difference.ours.body
            and difference.body.get("ReturnValues") == "ALL_OLD")


DYNOXIDE = [
    Explained(
        "an update that only removes, where no item is",
        "dynoxide makes an item of the key alone, or refuses the path; the service leaves nothing "
        "(scylladb/scylladb#5862)",
        when=lambda it: it.ours.status == 200 and only_removes(it)),
    Explained(
        "`ALL_OLD` of an update that makes the item",
        "dynoxide returns the key as if it had been there; what was there before is nothing",
        when=is_first),
    Explained(
        "operands of comparisons that cannot be ordered",
        "the service refuses them before it reads (dynalite's tests, which were recorded there); "
        "dynoxide compares, and the condition does not hold",
        ours="Incorrect operand type for operator or function; operator or function:"),
    Explained(
        "an attribute compared with itself",
        "as above",
        ours="The first operand must be distinct from the remaining operands"),
    Explained(
        "bounds of `BETWEEN`, and types for `attribute_type`, in filters and transactions",
        "dynoxide looks at them where it meets an item, the service before",
        ours="The BETWEEN operator requires|Invalid attribute type name found"),
    Explained(
        "operands of `ADD` and `DELETE` in transactions",
        "as above",
        ours="Incorrect operand type for operator or function; operator: (ADD|DELETE)",
        theirs="TransactionCanceledException"),
    Explained(
        "`ProjectionExpression` of `TransactGetItems`",
        "dynoxide adds the key; the service's documentation says that it returns what is named",
        when=lambda it: it.operation == "TransactGetItems" and it.kind == "answer"),
    Explained(
        "attributes that a local index does not project",
        "the service reads them from the table where they are asked for (developer guide, local "
        "secondary indexes); dynoxide leaves them out",
        when=lambda it: it.kind == "answer" and it.body.get("IndexName") == "by-a"),
    Explained(
        "filters by what an index does not project",
        "the service refuses them (dynalite's tests); dynoxide finds nothing",
        ours="does not project one or more filter attributes"),
    Explained(
        "placeholders of an expression that is missing",
        "the service refuses what no expression uses; dynoxide does not look where there is none",
        ours="unused in expressions",
        when=lambda it: "UpdateExpression" not in it.body and it.kind != "message"),
    Explained(
        "keys of indexes in an update's text, before its condition",
        "dynoxide evaluates the condition, or the value, first",
        ours="Type mismatch for Index Key"),
    Explained(
        "a member that is missing",
        "dynoxide says so in the words of its parser; the service in those of its model",
        theirs="missing field"),
    Explained(
        "empty values of keys in a key condition",
        "the service refuses them with every operator, as users have pasted (praetorian-inc/chariot-ui "
        "353 and 484); dynoxide with equality alone",
        ours="AttributeValue for a key attribute cannot contain an empty (string|binary) value",
        when=lambda it: it.operation == "Query" and it.kind == "verdict"),
    Explained(
        "`<>` in a key condition",
        "dynoxide's words name no parameter; the service's are those of its other operators",
        ours="Invalid operator used in KeyConditionExpression: <>",
        when=lambda it: it.kind == "message"),
    Explained(
        "placeholders that a key condition lacks",
        "dynoxide does not say that it is the key condition",
        ours="Invalid KeyConditionExpression: An expression attribute (name|value) used",
        when=lambda it: it.kind == "message"),
    Explained(
        "values that no expression takes, as there is none",
        "the service says which expressions are null (dynalite's tests); dynoxide joins them "
        "otherwise, or takes a projection for one",
        ours="ExpressionAttributeValues can only be specified when using expressions: ",
        when=lambda it: it.kind == "message"),
    Explained(
        "types of the operands of `ADD` and `DELETE`",
        "`BINARY` and `BOOLEAN` at the service; dynoxide writes `Binary` and `BOOL`",
        theirs="operand type: (Binary|BOOL), typeSet", when=lambda it: it.kind == "message"),
    Explained(
        "a key of an index that an update's expression computes",
        "the service says that the update attempted it; dynoxide says what a put would be told",
        ours="attempted to update the secondary index key to unsupported type",
        theirs="Type mismatch for Index Key"),
    Explained(
        "a projection that does not begin with a name",
        "dynoxide says it in words of its parser's own",
        ours="Invalid ProjectionExpression: Syntax error", theirs="Expected attribute name"),
    Explained(
        "statements that are no PartiQL",
        "how they go on is each parser's own; that they are not well formed is the same",
        ours="Statement wasn't well formed", when=lambda it: it.kind == "message"),
    Explained(
        "both refuse, and tell of another of several faults",
        "neither this run nor dynoxide knows which the service tells first; ours is in words that "
        "both use of other requests",
        when=lambda it: it.kind == "message" and it.is_agreed),
]


# By the name of a peer, why it differs.
KNOWN = {"dynoxide": DYNOXIDE}

PEERS = [name for name, there in (("dynoxide", BUILT), ("own", OWN)) if there]
NOBODY = pytest.param(None, id="nobody", marks=pytest.mark.skip(
    reason="there is nobody to compare with: PANGEA_DIFFERENTIAL=1 cargo xtask test builds dynoxide, "
           "PANGEA_DIFFERENTIAL_PEER=http://host:port names an endpoint of your own"))


@pytest.fixture
def peer(request):
    """The name of the peer, and its address."""
    if request.param == "own":
        yield from own_peer()
        return
    port = PORTS.take()
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen([BUILT, "-p", str(port), "--log", "quiet"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: Server(url).ask("ListTables", {}).status == 200, "dynoxide to answer")
        yield "dynoxide", url
    finally:
        process.kill()
        process.wait()


def own_peer():
    """The user's endpoint, which is left as it was."""
    name, _, url = OWN.rpartition("=")
    assert not name or name in KNOWN, f"{name} is no peer that is known: {', '.join(KNOWN)}"
    server = Server(url)
    answer = server.ask("ListTables", {})
    assert answer.status == 200, f"{url} does not answer ListTables: {answer.status} {answer}"
    present = server.present()
    assert not present, (f"{url} has the tables {present} already: this run makes, empties and "
                         f"deletes {list(TABLES)}. Delete them there, or start another server")
    try:
        yield name or url, url
    finally:
        server.drop_tables()


@pytest.mark.parametrize("peer", PEERS or [NOBODY], indirect=bool(PEERS))
def test_random_requests_are_answered_alike_or_the_difference_is_known(
        pangea, peer, record_property, capsys):
    name, url = peer
    servers = [Server(f"http://127.0.0.1:{pangea.dynamodb[REGIONS[0]]}"), Server(url)]
    try:
        run = compared(servers, KNOWN.get(name, []))
    finally:
        servers[0].drop_tables()
    for line in run.lines():
        print(line)
    report = "\n".join(run.report(name))
    with capsys.disabled():
        print(f"\n{report}")
    if name not in KNOWN:
        count = len(run.beyond_wording())
        assert not count, f"{count} requests do something else at {name}: see the report above"
        return
    if BUILT:
        record_property("differential", run.table(version()))
    count = len(run.unexplained)
    assert not count, f"{count} differences have no explanation: see the report above"
    # What never differs any more is no explanation.
    idle = [known.name for known in KNOWN[name] if not run.explained[known.name]]
    assert not idle, f"no request showed: {idle}"


def compared(servers, known):
    for server in servers:
        server.make_tables()
        eventually(server.are_tables_active, "the tables to be active")
    run = Run(*servers, known)
    for seed in SEEDS:
        run.compare(itertools.islice(Requests(seed), REQUESTS))
        for server in servers:
            server.empty()
    run.judge()
    return run


def version():
    said = subprocess.run([BUILT, "--version"], capture_output=True, text=True, check=True).stdout
    return re.search(r"\d[\w.]*", said).group(0)
