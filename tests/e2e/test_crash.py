"""SIGKILL at random instants under load: a restart loses no acknowledged write."""

import random

import pytest

from cluster import ENGINE, Cluster, schema
from support import REGIONS, eventually
from workload import Writers, audit, missing

CLUSTER = {"shop": False}
SEED = 20120810
KILLS = 10


def test_no_acknowledged_write_is_lost_by_kills_at_random_instants(own_pangea, table_name):
    pangea, chance = own_pangea, random.Random(SEED)
    pangea.global_table(table_name)
    victim = REGIONS[0]
    with Writers() as writers:
        for n in range(4):
            keys = [f"{victim}/{n}/{key}" for key in range(25)]
            writers.add(pangea.eager(victim), table_name, f"{victim}.{n}", keys)
        for region in REGIONS[1:]:
            keys = [f"{region}/{key}" for key in range(25)]
            writers.add(pangea.eager(region), table_name, region, keys)
        for kill in range(KILLS):
            writers.reach(writers.count + 50)
            writers.pause(chance.uniform(0.0, 0.5))
            pangea.kill(victim)
            acknowledged = writers.snapshot()
            pangea.revive(victim)
            # Its own writes are there at once; the others' come when they come.
            own = {key: seen for key, seen in acknowledged.items() if key.startswith(victim)}
            lost = missing(own, pangea.items(victim, table_name))
            assert not lost, f"kill {kill}: acknowledged and gone: {lost}"
    assert writers.failures, "no writer noticed the kills: there was no load"
    audit(pangea, table_name, writers.acknowledged)


def test_all_regions_die_at_once(own_pangea, table_name):
    pangea = own_pangea
    pangea.global_table(table_name)
    with Writers() as writers:
        for region in REGIONS:
            keys = [f"{region}/{key}" for key in range(10)]
            writers.add(pangea.eager(region), table_name, region, keys)
        writers.reach(150)
        for region in REGIONS:
            pangea.kill(region)
    for region in REGIONS:
        pangea.revive(region)
    audit(pangea, table_name, writers.acknowledged)


def test_a_restore_goes_on_after_a_kill(own_pangea, table_name):
    pangea, home = own_pangea, REGIONS[0]
    client, target = pangea.client(home), f"{table_name}-restored"
    client.create_table(TableName=table_name, BillingMode="PAY_PER_REQUEST", **schema())
    client.get_waiter("table_exists").wait(TableName=table_name, WaiterConfig={"Delay": 1})
    with pangea.resource(home).Table(table_name).batch_writer() as batch:
        for key in range(1500):
            batch.put_item({"pk": str(key), "v": "x" * 500})
    made = client.create_backup(TableName=table_name, BackupName="kept")
    arn = made["BackupDetails"]["BackupArn"]
    eventually(lambda: client.describe_backup(BackupArn=arn)["BackupDescription"]["BackupDetails"]
               ["BackupStatus"] == "AVAILABLE", "the backup")
    client.restore_table_from_backup(TargetTableName=target, BackupArn=arn)
    pangea.kill(home)
    pangea.revive(home)
    eventually(lambda: pangea.table_status(home, target) == "ACTIVE", "the restored table")
    assert pangea.items(home, target) == pangea.items(home, table_name)


def test_what_was_stopped_in_order_has_nothing_to_repair(own_pangea, table_name):
    pangea, victim = own_pangea, REGIONS[0]
    pangea.global_table(table_name)
    table = pangea.resource(victim).Table(table_name)
    for key in range(20):
        table.put_item(Item={"pk": f"{key}"})
    log, = pangea.data.rglob(f"*{victim}.log")
    before = len(log.read_text())
    pangea.control_socket("stop", f"region {victim}")
    stopping = log.read_text()[before:]
    assert "region has stopped" in stopping and "ERROR" not in stopping, stopping
    pangea.control_socket("start", f"region {victim}")
    pangea.wait_state(victim, "ACTIVE", "DEGRADED")
    said = log.read_text()[before:]
    for repaired in ("repairing after a crash", "reading what the log has"):
        assert repaired not in said, said
    assert len(pangea.items(victim, table_name)) == 20


@pytest.mark.skipif(bool(ENGINE), reason="it is about the file of the engine that is the default")
def test_a_start_without_verification_reads_no_file_after_a_kill(tmp_path):
    victim = REGIONS[0]
    storage = ["[storage]", "verify = false", "log_mb = 1"]
    with Cluster(tmp_path, shop=False, extra=storage) as pangea:
        table = pangea.resource(victim).create_table(
            TableName="large", BillingMode="PAY_PER_REQUEST", **schema())
        # More than the log takes: what the kill leaves is a file that was being written.
        for key in range(40):
            table.put_item(Item={"pk": f"{key}", "text": "x" * 100_000})
        log, = pangea.data.rglob(f"*{victim}.log")
        before = len(log.read_text())
        pangea.kill(victim)
        pangea.revive(victim)
        said = log.read_text()[before:]
        assert "region serves" in said, said
        for read in ("repairing after a crash", "comparing the file"):
            assert read not in said, said
        assert len(pangea.items(victim, "large")) == 40
