"""Anti-entropy: rotten rows are named and healed, and nothing else is ever found."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from botocore.exceptions import ClientError

from cluster import Cluster
from support import REGIONS, eventually
from test_conflicts import Cut
from test_merging import agreed, make

HOME, VICTIM, OTHER = REGIONS
ROWS = 40


def fill(pangea, table, region, prefix, count=ROWS):
    client = pangea.eager(region)
    for n in range(count):
        client.put_item(TableName=table, Item={
            "pk": {"S": f"{prefix}{n}"}, "v": {"S": f"value of {n}"}})


def repair(pangea, *options, code=0):
    """The reports of all regions, by name."""
    done = pangea.cli("repair", "--verify", "--output", "json", *options, check=False)
    assert done.returncode == code, done
    return json.loads(done.stdout)["regions"]


def findings(reports):
    return [(region, found) for region, report in reports.items() for found in report["findings"]]


def stop(pangea, region):
    pangea.cli("process", "stop", f"region {region}")
    pangea.wait_state(region, "DEAD")


def start(pangea, region):
    pangea.cli("process", "start", f"region {region}")
    pangea.wait_state(region, "ACTIVE")


def rot(pangea, region, table, key, *options):
    pangea.cli("disk", "rot", region, "--table", table, "--partition", key, *options)


def filled(pangea, name, prefix, count=ROWS):
    """A table that all regions have alike."""
    table = pangea.global_table(name)
    fill(pangea, table, HOME, prefix, count)
    pangea.converged(table)
    return table


@contextmanager
def cut_off(pangea):
    """The victim reaches nobody."""
    for other in (HOME, OTHER):
        pangea.cut(VICTIM, other)
    try:
        yield
    finally:
        for other in (HOME, OTHER):
            pangea.heal(VICTIM, other)


def lost(pangea, table, key):
    """What the regions' logs say is lost of an item. Whoever meets the row may set off its repair
    before one is asked for."""
    pangea.cli("repair", "--verify", "--table", table, check=False)
    logs = pangea.data.rglob("*.log")
    lines = [line for log in logs for line in log.read_text(errors="replace").splitlines()]
    return [line for line in lines if "LOST" in line and table in line and f'key="{key}"' in line]


def test_regions_that_are_equal_have_no_differences(own_pangea):
    table = own_pangea.global_table("equal")
    for region in REGIONS:
        fill(own_pangea, table, region, f"{region}-")
    own_pangea.client(HOME).delete_item(TableName=table, Key={"pk": {"S": f"{VICTIM}-3"}})
    own_pangea.converged(table)
    reports = repair(own_pangea, "--table", table)
    assert set(reports) == set(REGIONS)
    for report in reports.values():
        assert report["rows"] >= len(REGIONS) * ROWS - 1
        assert report["buckets_equal"] == 256 * 2 and report["skipped"] == [], report


def test_nothing_is_found_while_regions_write(own_pangea):
    table = own_pangea.global_table("busy")
    ended = threading.Event()

    def write(region):
        client, n = own_pangea.eager(region), 0
        while not ended.is_set():
            # Few keys, so that writes overwrite each other and meet.
            client.put_item(TableName=table, Item={
                "pk": {"S": f"k{n % 30}"}, "v": {"S": f"{region} {n}"}})
            if n % 7 == 0:
                client.delete_item(TableName=table, Key={"pk": {"S": f"k{n % 30}"}})
            n += 1

    writers = [threading.Thread(target=write, args=(region,)) for region in REGIONS]
    for writer in writers:
        writer.start()
    try:
        runs = []
        while len(runs) < 3 or not sum(runs):
            reports = repair(own_pangea, "--table", table)
            assert findings(reports) == []
            runs.append(sum(report["versions_compared"] for report in reports.values()))
            assert len(runs) < 60, "at least one bucket is looked at row by row"
    finally:
        ended.set()
        for writer in writers:
            writer.join()
    own_pangea.converged(table)


def test_what_lost_to_what_a_region_may_not_see_is_no_difference(tmp_path):
    """The region keeps what it has, and the others forget that they have seen it."""
    cold = ["[replication]", "cold_after_s = 1"]
    with Cluster(tmp_path, shop=False, extra=cold) as pangea:
        table = make(pangea, "hidden", placement=f"@res:EU={VICTIM}+{OTHER}")
        open_ones = {HOME: "of-the-blind", VICTIM: "of-another"}
        with Cut(pangea):
            for region, key in open_ones.items():
                pangea.client(region).put_item(TableName=table, Item={"pk": {"S": key}})
            for key in open_ones.values():
                pangea.client(OTHER).put_item(TableName=table, Item={
                    "pk": {"S": key}, "res": {"S": "EU"}})
        # What is here when that is everywhere, is everywhere.
        for region in REGIONS:
            pangea.client(region).put_item(TableName=table, Item={"pk": {"S": region}})
            agreed(pangea, table, region, {"pk": {"S": region}})
        until = time.monotonic() + 10
        while time.monotonic() < until:
            assert findings(repair(pangea, "--table", table)) == []
            time.sleep(1)
        for key in open_ones.values():
            shown = [pangea.client(region).get_item(TableName=table, Key={"pk": {"S": key}})["Item"]
                     for region in REGIONS]
            assert ["res" in item for item in shown] == [region != HOME for region in REGIONS]


def test_a_row_that_rots_is_named_and_healed(own_pangea):
    table = own_pangea.global_table("rotten")
    for region in REGIONS:
        fill(own_pangea, table, region, f"{region}-")
    before = own_pangea.converged(table)
    rotten = f"{OTHER}-5"
    rot(own_pangea, VICTIM, table, rotten)
    rot(own_pangea, VICTIM, table, f"{HOME}-6", "--gone")
    stop(own_pangea, VICTIM)
    start(own_pangea, VICTIM)
    reports = repair(own_pangea, code=1)
    found = {report["key"]: (region, report["table"]) for region, report in findings(reports)}
    assert found == {rotten: (VICTIM, table), f"{HOME}-6": (VICTIM, table)}, reports
    for _, report in findings(reports):
        assert "damaged row" in report["what"] and report["fate"] == "repaired", report
    assert reports[VICTIM]["damaged"] == reports[VICTIM]["repaired"] == 2
    assert own_pangea.converged(table) == before
    assert findings(repair(own_pangea)) == []
    done = own_pangea.cli("repair", "--region", VICTIM, "--table", table)
    assert VICTIM in done.stdout and "REPAIRED" in done.stdout, done


def test_damage_that_a_read_meets_is_healed_at_once(own_pangea):
    table = own_pangea.global_table("met")
    fill(own_pangea, table, HOME, "met-", 10)
    own_pangea.converged(table)
    rot(own_pangea, VICTIM, table, "met-7")
    # A write has to read the row before it: it fails, and what it met is looked after, although
    # its clients give it no rest.
    def written(_):
        writer = own_pangea.eager(VICTIM)

        def put():
            writer.put_item(TableName=table, Item={"pk": {"S": "met-7"}, "v": {"S": "again"}})
            return True

        return eventually(put, "the damaged row to be healed", pause=0)

    with ThreadPoolExecutor() as clients:
        assert all(clients.map(written, range(4)))
    assert own_pangea.converged(table)[('{"S": "met-7"}',)]["v"] == {"S": "again"}
    assert findings(repair(own_pangea, "--table", table)) == []


def test_damage_keeps_nobody_else_from_writing_and_is_healed_once_links_are_back(own_pangea):
    """Clients of the row give no rest, and nobody who has it is reached at first."""
    table = filled(own_pangea, "hammered", "h-")

    def written(_):
        writer, refused = own_pangea.eager(VICTIM), []

        def put():
            try:
                writer.put_item(TableName=table, Item={"pk": {"S": "h-7"}, "v": {"S": "again"}})
            except ClientError as error:
                refused.append(error.response["Error"])
                raise
            return True

        eventually(put, "the damaged row to be healed", pause=0)
        return refused

    with ThreadPoolExecutor() as clients:
        with cut_off(own_pangea):
            rot(own_pangea, VICTIM, table, "h-7")
            hammering = [clients.submit(written, n) for n in range(4)]
            # The first group of writes that meets the row fails as a whole, and none after it.
            writer, failed = own_pangea.eager(VICTIM), 0
            for n in range(500):
                try:
                    writer.put_item(TableName=table, Item={"pk": {"S": f"other-{n}"}})
                except ClientError:
                    failed += 1
            assert failed <= 1
        refused = [error for client in hammering for error in client.result()]
    assert {error["Code"] for error in refused} == {"InternalServerError"}
    assert all("is being healed from the other regions" in error["Message"] for error in refused)
    assert own_pangea.converged(table)[('{"S": "h-7"}',)]["v"] == {"S": "again"}
    assert findings(repair(own_pangea, "--table", table)) == []


def test_damage_that_could_not_be_healed_is_tried_again(own_pangea):
    """It is met once, while nobody who has the row is reached, and nobody asks for it any more."""
    table = filled(own_pangea, "later", "later-")
    log = own_pangea.data / "logs" / f"region-{VICTIM}.log"

    def told(words):
        lines = log.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if words in line and 'key="later-3"' in line]

    with cut_off(own_pangea):
        rot(own_pangea, VICTIM, table, "later-3")
        with pytest.raises(ClientError, match="is being healed from the other regions"):
            own_pangea.eager(VICTIM).get_item(TableName=table, Key={"pk": {"S": "later-3"}})
        eventually(lambda: told("not repaired"), "a repair in vain")
        assert not told("repaired from a peer")
    # Nine times what the first run took, with the pause behind it.
    eventually(lambda: told("repaired from a peer"), "the next repair", timeout=180)
    got = own_pangea.eager(VICTIM).get_item(TableName=table, Key={"pk": {"S": "later-3"}})
    assert got["Item"]["v"] == {"S": "value of 3"}


def test_what_was_nowhere_else_is_named(own_pangea):
    table = filled(own_pangea, "alone", "alone-", 3)
    with cut_off(own_pangea):
        own_pangea.eager(VICTIM).put_item(TableName=table, Item={
            "pk": {"S": "unsent"}, "v": {"S": "nowhere else"}})
        rot(own_pangea, VICTIM, table, "unsent")
    [_] = eventually(lambda: lost(own_pangea, table, "unsent"), "the loss to be named")
    assert len(own_pangea.converged(table)) == 3
    assert findings(repair(own_pangea, "--table", table)) == []


def test_what_rotted_in_every_region_is_named_and_can_be_written_again(own_pangea):
    table = filled(own_pangea, "everywhere", "all-", 3)
    for region in REGIONS:
        rot(own_pangea, region, table, "all-1")
    eventually(lambda: lost(own_pangea, table, "all-1"), "the loss to be named")
    eventually(lambda: findings(repair(own_pangea, "--table", table)) == [], "all to be put right")
    assert len(own_pangea.converged(table)) == 2
    own_pangea.eager(VICTIM).put_item(TableName=table, Item={
        "pk": {"S": "all-1"}, "v": {"S": "again"}})
    assert len(own_pangea.converged(table)) == 3


def test_a_replica_is_copied_from_a_table_with_a_rotten_row(own_pangea):
    """The only sound copy there could be is the one that waits for the row: it is lost, and told."""
    client = own_pangea.client(HOME)
    client.create_table(
        TableName="rotten-copy", BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}])
    fill(own_pangea, "rotten-copy", HOME, "k")
    rot(own_pangea, HOME, "rotten-copy", "k7")
    own_pangea.add_replica("rotten-copy", VICTIM)
    copied = own_pangea.client(VICTIM).scan(TableName="rotten-copy")["Items"]
    assert {item["pk"]["S"] for item in copied} == {f"k{n}" for n in range(ROWS) if n != 7}
    log = (own_pangea.data / "logs" / f"region-{HOME}.log").read_text(encoding="utf-8")
    assert "nowhere else: LOST" in log and 'key="k7"' in log
    client.put_item(TableName="rotten-copy", Item={"pk": {"S": "k7"}, "v": {"S": "again"}})


def test_a_row_that_is_rotten_in_two_regions_leaves_the_links_alone(own_pangea):
    table = own_pangea.global_table("twice")
    fill(own_pangea, table, HOME, "k")
    own_pangea.converged(table)

    def hung_up():
        logs = (own_pangea.data / "logs" / f"region-{region}.log" for region in REGIONS)
        return sum(log.read_text(encoding="utf-8").count("no longer feeding") for log in logs)

    before = hung_up()
    for region in (HOME, VICTIM):
        rot(own_pangea, region, table, "k7")
    repair(own_pangea, "--table", table, code=1)
    # The third region has it: both get it back, one of them perhaps from the other.
    assert findings(repair(own_pangea, "--table", table)) == []
    assert hung_up() == before, "whoever could not answer said so"
