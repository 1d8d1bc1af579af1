"""Regions come and go on a running system: evicted, taken back, suspended, let go, added."""

import contextlib
import os
import shutil
import signal
import subprocess
import urllib.request
from json import loads

import pytest
from botocore.exceptions import ClientError

from cluster import BIN, PORTS
from support import REGIONS, eventually
from workload import Writers, audit

HOME, SECOND, VICTIM = REGIONS
SURVIVORS = (HOME, SECOND)
TABLE, OWN = "lifecycle", "of-the-victim"
CLUSTER = {"shop": False, "faults": True}


def members(cluster, by=HOME):
    """State by region, as one region knows it."""
    with urllib.request.urlopen(f"http://127.0.0.1:{cluster.admin[by]}/v1/regions") as answer:
        return {one["name"]: one for one in loads(answer.read())["regions"]}


def wait_member(cluster, name, state, by=REGIONS):
    def known():
        return all(members(cluster, region)[name]["state"] == state for region in by)

    eventually(known, f"{name} to be {state} for {by}")


def metric(cluster, region, name):
    with urllib.request.urlopen(f"http://127.0.0.1:{cluster.admin[region]}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines
               if line.startswith((name + " ", name + "{", name + "_total", name + "}")))


def put(cluster, region, key, value, **more):
    cluster.client(region).put_item(
        TableName=TABLE, Item={"pk": {"S": key}, "v": {"S": value}}, **more)


def equal(cluster, regions):
    def same():
        views = [cluster.items(region, TABLE) for region in regions]
        return (views[0],) if all(view == views[0] for view in views) else None

    return eventually(same, f"{TABLE} to be the same in {regions}", pause=0.2)[0]


def value(items, key):
    found = [item.get("v", {}).get("S") for item in items.values() if item["pk"]["S"] == key]
    return found[0] if found else None


def test_survivors_of_an_eviction_level_collect_and_go_on(own_pangea):
    cluster = own_pangea
    cluster.global_table(TABLE)
    for region in REGIONS:
        put(cluster, region, f"of/{region}", "kept")
    put(cluster, VICTIM, "shared", "before")
    put(cluster, HOME, "doomed", "before")
    cluster.converged(TABLE)
    cluster.global_table(OWN, home=VICTIM)
    # What reaches one survivor reaches both; what reaches none is the victim's alone.
    cluster.cut(HOME, VICTIM)
    put(cluster, VICTIM, "half", "reached one")
    eventually(lambda: value(cluster.items(SECOND, TABLE), "half"), "the second region to have it")
    cluster.cut(SECOND, VICTIM)
    put(cluster, VICTIM, "alone", "reached none")
    put(cluster, VICTIM, "shared", "reached none")
    arn = f"arn:aws:dynamodb:{VICTIM}:000000000000:table/{OWN}"
    cluster.client(VICTIM).tag_resource(
        ResourceArn=arn, Tags=[{"Key": "colour", "Value": "reached none"}])
    cluster.kill(VICTIM)
    cluster.client(HOME).delete_item(TableName=TABLE, Key={"pk": {"S": "doomed"}})
    eventually(lambda: metric(cluster, HOME, "pangea_data_tombstones_pending") > 0,
               "the delete to wait for the dead region")
    done = cluster.cli("region", "evict", VICTIM)
    assert "EVICTED" in done.stderr
    wait_member(cluster, VICTIM, "EVICTED", SURVIVORS)
    items = equal(cluster, SURVIVORS)
    assert value(items, "half") == "reached one"
    assert value(items, "alone") is None and value(items, "doomed") is None
    assert value(items, "shared") == "before"
    for region in SURVIVORS:
        put(cluster, region, f"after/{region}", "kept")
        eventually(lambda: metric(cluster, region, "pangea_data_tombstones_pending") == 0,
                   f"{region} to collect the delete")
        eventually(lambda: all(over["levelled"] for over in members(cluster, region)[VICTIM]["over"]),
                   f"{region} to level")
    equal(cluster, SURVIVORS)
    assert VICTIM in cluster.cli("region", "list").stdout


def test_an_evicted_region_is_fenced_and_its_orphans_go_to_the_ledger(own_pangea):
    cluster = own_pangea
    for region in SURVIVORS:
        cluster.cli("link", "heal", region, VICTIM, check=False)
    cluster.control_socket("start", f"region {VICTIM}")
    wait_member(cluster, VICTIM, "EVICTED")
    with pytest.raises(ClientError, match="evicted"):
        cluster.eager(VICTIM).put_item(TableName=TABLE, Item={"pk": {"S": "x"}})
    assert value(equal(cluster, SURVIVORS), "alone") is None, "nothing of it is taken"
    cluster.cli("region", "rejoin", VICTIM)
    wait_member(cluster, VICTIM, "ACTIVE")
    eventually(lambda: cluster.table_status(VICTIM, TABLE) == "ACTIVE", "its replica to serve")
    items = cluster.converged(TABLE)
    assert value(items, "alone") is None and value(items, "doomed") is None
    assert value(items, "shared") == "before" and value(items, "half") == "reached one"

    def orphans(region):
        with urllib.request.urlopen(
                f"http://127.0.0.1:{cluster.admin[region]}/v1/conflicts?table={TABLE}") as answer:
            listed = loads(answer.read())["conflicts"]
        return {one["loser"]["image"]["pk"]["S"]: one["loser"]["image"]["v"]["S"]
                for one in listed if one["class"] == "orphaned"}

    lost = {"alone": "reached none", "shared": "reached none"}
    for region in REGIONS:
        eventually(lambda: orphans(region) == lost, f"the orphaned writes in {region}'s ledger")
    assert any(one["class"] == "orphaned" for one in cluster.conflicts(TABLE))
    an_undone_change_of_a_table_is_told(cluster)
    put(cluster, VICTIM, "again", "kept")
    assert value(cluster.converged(TABLE), "again") == "kept"


def an_undone_change_of_a_table_is_told(cluster):
    def told(region):
        return cluster.json("conflicts", "list", "--table", OWN, "--region", region)

    for region in REGIONS:
        eventually(lambda: len(told(region)) == 1, f"the lost tag to be in {region}'s ledger")
        assert not tags(cluster, region), "the table is as the others know it"
    [entry] = told(HOME)
    assert (entry["class"], entry["key"], entry["severity"]) == ("orphaned", [], "high")
    assert "reached none" in str(entry["loser"]["image"])
    shown = cluster.cli("conflicts", "show", entry["id"]).stdout
    assert "(the table itself)" in shown and f"nothing won: {VICTIM} was given up" in shown
    assert "no policy" in cluster.cli("conflicts", "report", "--table", OWN).stdout
    refused = cluster.cli("conflicts", "resolve", entry["id"], "--keep", "loser", check=False)
    assert refused.returncode == 1 and "make the change again with UpdateTable" in refused.stderr
    cluster.cli("conflicts", "resolve", entry["id"], "--keep", "winner", "--note", "not needed")
    assert cluster.json("conflicts", "show", entry["id"])["resolved"] == "winner"


def tags(cluster, region):
    arn = f"arn:aws:dynamodb:{region}:000000000000:table/{OWN}"
    listed = cluster.client(region).list_tags_of_resource(ResourceArn=arn)["Tags"]
    return {tag["Key"]: tag["Value"] for tag in listed if not tag["Key"].startswith("pangea:")}


def test_a_suspended_region_serves_nothing_and_misses_nothing(own_pangea):
    cluster = own_pangea
    cluster.cli("region", "suspend", VICTIM)
    wait_member(cluster, VICTIM, "SUSPENDED")

    def refuses():
        with contextlib.suppress(ClientError):
            cluster.eager(VICTIM).get_item(TableName=TABLE, Key={"pk": {"S": "shared"}})
            return False
        return True

    eventually(refuses, "reads to be refused")
    with pytest.raises(ClientError, match=f"{VICTIM} is suspended"):
        cluster.eager(VICTIM).put_item(TableName=TABLE, Item={"pk": {"S": "x"}})
    decided = cluster.cli("conflicts", "resolve", cluster.conflicts(TABLE)[0]["id"], "--keep",
                          "winner", "--region", VICTIM, check=False)
    assert decided.returncode == 1 and "suspended" in decided.stderr, "a decision is a write"
    eventually(lambda: not cluster.region(VICTIM)["healthy"], "nobody is sent there")
    put(cluster, HOME, "meanwhile", "kept")
    cluster.cli("region", "resume", VICTIM)
    wait_member(cluster, VICTIM, "ACTIVE")
    cluster.wait_state(VICTIM, "ACTIVE")
    assert value(cluster.converged(TABLE), "meanwhile") == "kept"


def test_a_region_leaves_in_order_and_comes_back_to_an_empty_directory(own_pangea):
    cluster = own_pangea
    put(cluster, VICTIM, "parting", "kept")
    cluster.cli("region", "remove", VICTIM)
    wait_member(cluster, VICTIM, "REMOVED", SURVIVORS)
    assert value(equal(cluster, SURVIVORS), "parting") == "kept", "it handed over what it wrote"
    cluster.client(HOME).delete_item(TableName=TABLE, Key={"pk": {"S": "parting"}})
    cluster.kill(VICTIM)
    cluster.wait_state(VICTIM, "DEAD")
    shutil.rmtree(cluster.data / VICTIM)
    (cluster.data / VICTIM).mkdir()
    cluster.control_socket("start", f"region {VICTIM}")
    cluster.cli("region", "rejoin", VICTIM)
    wait_member(cluster, VICTIM, "ACTIVE")
    eventually(lambda: cluster.table_status(VICTIM, TABLE) == "ACTIVE", "its replica to serve")
    items = cluster.converged(TABLE)
    assert value(items, "parting") is None and value(items, "shared") == "before"


class Fourth:
    """A region that is no part of the topology that `up` runs."""

    name = "sa-east-1"

    def __init__(self, cluster, home):
        self.cluster, self.log, self.file = cluster, home / "added.log", home / "grown.toml"
        ports = {key: PORTS.take() for key in ("dynamodb", "admin", "peer")}
        lines = ["[[region]]", f'name = "{self.name}"', "id = 7", "joins = true"]
        lines += [f'{key} = "127.0.0.1:{port}"' for key, port in ports.items()]
        self.file.write_text(
            cluster.topology().replace("[[link]]", "\n".join([*lines, "[[link]]"]), 1))
        cluster.dynamodb[self.name] = ports["dynamodb"]
        cluster.admin[self.name] = ports["admin"]

    def start(self):
        argv = [BIN, "region", "--name", self.name, "-f", self.file,
                "--data-dir", self.cluster.data]
        with open(self.log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen([str(word) for word in argv], stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, start_new_session=True)

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def fourth(own_pangea, tmp_path_factory):
    region = Fourth(own_pangea, tmp_path_factory.mktemp("fourth"))
    region.start()
    yield region
    region.kill()


def test_a_region_is_added_under_live_writes(own_pangea, fourth):
    cluster, name = own_pangea, fourth.name
    with Writers() as writers:
        for region in REGIONS:
            keys = [f"hot{n}" for n in range(3)]
            writers.add(cluster.eager(region), TABLE, region, keys)
        writers.reach(30)
        cluster.cli("region", "add", name, "-f", str(fourth.file))
        wait_member(cluster, name, "ACTIVE", (*REGIONS, name))
        cluster.add_replica(TABLE, name)
        writers.reach(writers.count + 60)
    assert writers.failures == 0, "every region serves while another comes"
    equal(cluster, (*REGIONS, name))
    put(cluster, name, "from the new one", "kept")
    assert value(equal(cluster, (*REGIONS, name)), "from the new one") == "kept"
    audit(cluster, TABLE, writers.acknowledged)


def test_what_a_returned_region_alone_had_is_shown_while_it_waits(own_pangea, fourth):
    """One region cannot be asked whether it has the write."""
    cluster = own_pangea
    for region in SURVIVORS:
        cluster.cut(region, VICTIM)
    fourth.kill()
    put(cluster, VICTIM, "stranded", "reached none")
    cluster.kill(VICTIM)
    fourth.start()
    done = cluster.cli("region", "evict", VICTIM, "-f", str(fourth.file))
    assert "EVICTED" in done.stderr
    wait_member(cluster, VICTIM, "EVICTED", SURVIVORS)
    fourth.kill()
    for region in SURVIVORS:
        cluster.cli("link", "heal", region, VICTIM, check=False)
    cluster.control_socket("start", f"region {VICTIM}")
    cluster.cli("region", "rejoin", VICTIM)
    wait_member(cluster, VICTIM, "ACTIVE", SURVIVORS)

    def stranded(word):
        listed = cluster.json("conflicts", "list", "--table", TABLE)
        found = [one for one in listed if one["class"] == word
                 and one["loser"]["image"]["pk"]["S"] == "stranded"]
        return found[0]["id"] if found else None

    entry = eventually(lambda: stranded("waiting"), "the write to be shown")
    assert f"(waiting in {VICTIM})" in cluster.cli("conflicts", "list").stdout
    assert "give up those that cannot be reached" in cluster.cli("conflicts", "show", entry).stdout
    refused = cluster.cli("conflicts", "resolve", entry, "--keep", "loser", check=False)
    assert refused.returncode == 1 and "not known yet" in refused.stderr
    assert metric(cluster, VICTIM, 'pangea_data_writes_waiting{kind="alone"') == 1
    cluster.cli("region", "evict", fourth.name, "-f", str(fourth.file))
    assert eventually(lambda: stranded("orphaned"), "the write to be in the ledger") == entry
    eventually(lambda: metric(cluster, VICTIM, "pangea_data_writes_waiting") == 0,
               "nothing to wait any more")
    cluster.cli("conflicts", "resolve", entry, "--keep", "loser")
    assert value(equal(cluster, REGIONS), "stranded") == "reached none"
