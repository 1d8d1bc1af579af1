"""The same random requests to a region and to dynoxide, another server of the DynamoDB API.

Dynoxide's makers hold it against AWS with a public suite, so what it answers is a second opinion, no
more: each difference is explained in KNOWN, and one that is not fails. It is built from its sources,
which takes minutes, so PANGEA_DIFFERENTIAL=1 runs this, and the run that writes COMPAT.md.
"""

import itertools
import os
import re
import subprocess

import pytest

from cluster import PORTS, REGIONS
from differential import Explained, Run, Server
from random_requests import Requests
from support import eventually

PEER = os.environ.get("PANGEA_DYNOXIDE")
pytestmark = pytest.mark.skipif(
    not PEER, reason="dynoxide is not there: PANGEA_DIFFERENTIAL=1 builds it, and runs this")

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


KNOWN = [
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


@pytest.fixture
def peer():
    port = PORTS.take()
    process = subprocess.Popen([PEER, "-p", str(port), "--log", "quiet"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: Server(port).ask("ListTables", {}).status == 200, "dynoxide to answer")
        yield port
    finally:
        process.kill()
        process.wait()


def test_random_requests_are_answered_alike_or_the_difference_is_known(pangea, peer, record_property):
    servers = [Server(pangea.dynamodb[REGIONS[0]]), Server(peer)]
    for server in servers:
        server.make_tables()
        eventually(server.are_tables_active, "the tables to be active")
    run = Run(*servers, KNOWN)
    for seed in SEEDS:
        run.compare(itertools.islice(Requests(seed), REQUESTS))
        for server in servers:
            server.empty()
    run.judge()
    for line in run.lines():
        print(line)
    record_property("differential", run.table(version()))
    assert not run.unexplained, "\n".join(map(str, run.unexplained[:20]))
    # What never differs any more is no explanation.
    idle = [known.name for known in KNOWN if not run.explained[known.name]]
    assert not idle, f"no request showed: {idle}"


def version():
    said = subprocess.run([PEER, "--version"], capture_output=True, text=True, check=True).stdout
    return re.search(r"\d[\w.]*", said).group(0)
