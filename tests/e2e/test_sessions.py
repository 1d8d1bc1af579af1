"""Sessions: a client that carries its token sees its own writes, and never goes back in time."""

import base64
import itertools
import threading
import time
import urllib.request

import pytest
from botocore.exceptions import ClientError

from sessions import Session
from support import REGIONS, eventually

# Round trips; one way takes half of it, so that a read that follows a write at once is too early.
RTT_MS = 120
# Without relays: what a cut holds up must not come around it while a test looks.
CLUSTER = {"rtt_ms": RTT_MS, "shop": False,
           "extra": ["[replication]", "relay_after_ms = 600000"]}
HOME, SECOND, THIRD = REGIONS


@pytest.fixture(scope="module")
def table(own_pangea):
    return own_pangea.global_table("sessions")


def put(client, table, key, value):
    client.put_item(TableName=table, Item={"pk": {"S": key}, "v": {"N": str(value)}})


def get(client, table, key):
    found = client.get_item(TableName=table, Key={"pk": {"S": key}})
    return int(found["Item"]["v"]["N"]) if "Item" in found else None


def sees(client, table, key, value):
    """Of a session that fails where it is behind."""
    try:
        return get(client, table, key) == value
    except ClientError as error:
        assert error.response["Error"]["Code"] == "SessionBehindException", error
        return False


def attached(pangea, *regions, **headers):
    """A session, and a client of it in each of the regions."""
    session = Session(**headers)
    return session, *(session.attach(pangea.eager(region)) for region in regions)


def error_of(call, *arguments):
    with pytest.raises(ClientError) as refused:
        call(*arguments)
    response = refused.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"], str(
        refused.value)


def metric(pangea, region, line):
    url = f"http://127.0.0.1:{pangea.admin[region]}/metrics"
    with urllib.request.urlopen(url, timeout=10) as response:
        lines = response.read().decode().splitlines()
    values = [float(found.rsplit(" ", 1)[1]) for found in lines if found.startswith(line + " ")]
    return values[0] if values else 0.0


def test_every_response_has_a_short_token(own_pangea, table):
    session, home = attached(own_pangea, HOME)
    home.describe_table(TableName=table)
    assert session.token
    for region in REGIONS:
        other = session.attach(own_pangea.client(region))
        put(other, table, f"token/{region}", 1)
    assert 40 < len(session.token) < 80, session.token
    code, _, _ = error_of(lambda: home.get_item(TableName="no-such-table",
                                                Key={"pk": {"S": "x"}}))
    assert code == "ResourceNotFoundException"
    assert session.said("session"), "errors carry it as well"


def test_a_read_without_a_token_is_too_early(own_pangea, table):
    """What the others are about: if this fails, they prove nothing."""
    home, second = own_pangea.eager(HOME), own_pangea.eager(SECOND)
    keys = (f"plain {n}" for n in itertools.count())

    def too_early():
        key = next(keys)
        put(home, table, key, 1)
        return get(second, table, key) is None

    eventually(too_early, "a read before the write has arrived")


@pytest.mark.parametrize("mode", [None, "wait 5000", "forward", "forward 0", "stale 5000",
                                  "forward stale"])
def test_a_session_reads_its_own_writes_at_once(own_pangea, table, mode):
    headers = {"session_mode": mode} if mode else {}
    session, home, second = attached(own_pangea, HOME, SECOND, **headers)
    numbers, answered = itertools.count(), set()

    def at_once():
        n = next(numbers)
        put(home, table, f"own {mode}", n)
        assert get(second, table, f"own {mode}") == n
        assert session.said("stale") is None
        answered.add(session.said("answered-by"))
        # And on the way back: what was written there.
        put(second, table, f"own {mode}", n + 1000)
        assert get(home, table, f"own {mode}") == n + 1000

    for _ in range(4):
        at_once()
    while mode == "forward 0" and HOME not in answered:
        # On a machine that is slow the write may have been faster than the read.
        assert next(numbers) < 100, answered
        at_once()


def test_pages_and_batches_are_reads_of_the_session(own_pangea, table):
    session, home, second = attached(own_pangea, HOME, SECOND)
    reads = {
        "query": lambda key: second.query(
            TableName=table, KeyConditionExpression="pk = :k",
            ExpressionAttributeValues={":k": {"S": key}})["Items"],
        "scan": lambda key: [item for item in second.scan(TableName=table)["Items"]
                             if item["pk"]["S"] == key],
        "batch": lambda key: second.batch_get_item(RequestItems={
            table: {"Keys": [{"pk": {"S": key}}]}})["Responses"][table],
    }
    for name, read in reads.items():
        home.batch_write_item(RequestItems={table: [
            {"PutRequest": {"Item": {"pk": {"S": f"page {name}"}}}}]})
        assert read(f"page {name}"), name
    # What a page has shown is seen: the third region must have it, too.
    session, second, third = attached(own_pangea, SECOND, THIRD)
    put(own_pangea.eager(HOME), table, "shown", 1)
    eventually(lambda: second.query(
        TableName=table, KeyConditionExpression="pk = :k",
        ExpressionAttributeValues={":k": {"S": "shown"}})["Items"], "the item in a page")
    assert get(third, table, "shown") == 1


def test_conditions_are_checked_against_what_the_session_has_seen(own_pangea, table):
    session, home, second = attached(own_pangea, HOME, SECOND)
    put(home, table, "taken", 1)

    def take(client):
        client.put_item(TableName=table, Item={"pk": {"S": "taken"}},
                        ConditionExpression="attribute_not_exists(pk)")

    assert error_of(take, second)[0] == "ConditionalCheckFailedException"
    # A refusal lets the client see the item: a region that lacks it is behind.
    session, second, third = attached(own_pangea, SECOND, THIRD, session_mode="fail")
    own_pangea.cut(SECOND, THIRD)
    try:
        put(own_pangea.eager(SECOND), table, "taken", 2)
        assert error_of(take, second)[0] == "ConditionalCheckFailedException"
        assert error_of(get, third, table, "taken")[0] == "SessionBehindException"
    finally:
        own_pangea.heal(SECOND, THIRD)
    eventually(lambda: sees(third, table, "taken", 2), "the item in the third region")


def test_reads_of_a_hopping_client_never_go_back(own_pangea, table):
    stop = threading.Event()

    def count():
        home, n = own_pangea.eager(HOME), 0
        while not stop.is_set():
            n += 1
            put(home, table, "clock", n)

    def hop(mode):
        headers = {"session_mode": mode}
        session, *clients = attached(own_pangea, HOME, SECOND, THIRD, **headers)
        seen = 0
        for n in range(24):
            value = get(clients[n % len(clients)], table, "clock") or 0
            assert session.said("stale") is None
            assert value >= seen, f"{mode}: {value} after {seen}"
            seen = value
        return seen

    def goes_back(clients):
        plain = [get(client, table, "clock") for client in clients]
        return plain != sorted(plain)

    writer = threading.Thread(target=count)
    writer.start()
    try:
        eventually(lambda: get(own_pangea.eager(THIRD), table, "clock"), "the clock to start")
        # Without a token it does go back.
        clients = [own_pangea.eager(region) for region in REGIONS]
        eventually(lambda: goes_back(clients), "reads that go back in time")
        for mode in ("wait 5000", "forward", "stale 5000"):
            assert hop(mode) > 0
    finally:
        stop.set()
        writer.join()


def test_an_sdk_that_tries_again_gets_there(own_pangea, table):
    session = Session(session_mode="fail")
    home = session.attach(own_pangea.client(HOME))
    second = session.attach(own_pangea.client(
        SECOND, retries={"total_max_attempts": 10, "mode": "standard"}))
    put(home, table, "again", 3)
    assert get(second, table, "again") == 3


def test_across_a_cut_a_session_is_not_told_lies(own_pangea, table):
    pangea = own_pangea
    sessions = {}
    for mode in ("wait", "forward", "fail", "stale", "stale 0", "forward stale"):
        session, home, second = attached(pangea, HOME, SECOND, session_mode=mode)
        put(home, table, f"cut {mode}", 1)
        eventually(lambda: sees(second, table, f"cut {mode}", 1), "the first write")
        sessions[mode] = session, home, second
    pangea.cut(HOME, SECOND)
    try:
        for mode, (session, home, second) in sessions.items():
            put(home, table, f"cut {mode}", 2)
            if "stale" in mode:
                assert get(second, table, f"cut {mode}") == 1
                assert session.said("stale") == HOME
            else:
                code, status, text = error_of(get, second, table, f"cut {mode}")
                # A status that SDKs try again.
                assert (code, status) == ("SessionBehindException", 503)
                assert HOME in text and "x-pangea-session-mode" in text
    finally:
        pangea.heal(HOME, SECOND)
    for mode, (session, _, second) in sessions.items():
        eventually(lambda: sees(second, table, f"cut {mode}", 2), f"{mode} after the cut")
        assert session.said("stale") is None


def test_a_table_chooses_for_its_requests(own_pangea):
    name, home = "patient", own_pangea.client(HOME)
    own_pangea.global_table(name)
    own_pangea.cli("table", "set", name, "session=stale 0")
    eventually(lambda: "stale 0" in own_pangea.cli("table", "list").stdout, "the setting")
    session, home, second = attached(own_pangea, HOME, SECOND)
    put(home, name, "x", 1)

    def stale():
        # The setting has its way to the second region, too.
        put(home, name, "x", 1)
        get(second, name, "x")
        return session.said("stale") == HOME

    eventually(stale, "an answer by the table's mode")
    session.headers = {"x-pangea-session-mode": "wait 5000"}
    put(home, name, "x", 2)
    assert get(second, name, "x") == 2
    refused = own_pangea.cli("table", "set", name, "session=sometimes", check=False)
    assert refused.returncode != 0 and "forward" in refused.stderr + refused.stdout


def broken(token):
    """Tokens that are none, by the kind that they are."""
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))

    def spelled(raw):
        return base64.urlsafe_b64encode(bytes(raw)).decode().rstrip("=")

    def changed(at):
        return spelled(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1:])

    yield "malformed", "certainly not a token"
    yield "malformed", "A" * 2000
    yield "version", changed(0)
    yield "cluster", changed(2)
    yield "truncated", spelled(raw[:-3])
    yield "truncated", spelled(raw[:8])
    yield "forged", changed(9)
    yield "forged", changed(len(raw) - 1)


def test_tokens_that_are_none_are_refused_counted_and_logged(own_pangea, table):
    session, home = attached(own_pangea, HOME)
    put(home, table, "good", 1)
    good = session.token
    for kind, token in broken(good):
        line = f'pangea_session_tokens_refused_total{{kind="{kind}"}}'
        before = metric(own_pangea, HOME, line)
        session.token = token
        code, status, text = error_of(get, home, table, "good")
        assert (code, status) == ("ValidationException", 400), (kind, token)
        assert "x-pangea-session" in text
        assert metric(own_pangea, HOME, line) == before + 1, kind
        assert any(f'kind="{kind}"' in log and "session token refused" in log
                   for log in own_pangea.logs(lines=400).values()), kind
    session.token = good
    assert get(home, table, "good") == 1


def test_modes_that_are_none_are_refused(own_pangea, table):
    for headers in ({"session_mode": "often"}, {"session_mode": "wait -5"},
                    {"durability": "two"}, {"on_shortfall": "maybe"}, {"read": "most"},
                    {"durability_wait_ms": "soon"}):
        _, home = attached(own_pangea, HOME, **headers)
        code, _, text = error_of(get, home, table, "x")
        assert code == "ValidationException", headers
        assert next(iter(headers)).replace("_", "-") in text


def test_waits_are_counted(own_pangea, table):
    _, home, second = attached(own_pangea, HOME, SECOND, session_mode="wait 5000")
    line = 'pangea_session_waits_total{end="served"}'
    before, values = metric(own_pangea, SECOND, line), itertools.count()

    def counted():
        value = next(values)
        put(home, table, "counted", value)
        assert get(second, table, "counted") == value
        return metric(own_pangea, SECOND, line) > before

    eventually(counted, "a read that waits")
    assert metric(own_pangea, SECOND, "pangea_session_wait_seconds_count") > 0
