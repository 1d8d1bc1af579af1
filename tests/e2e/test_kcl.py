"""The Kinesis Client Library, with the adapter for DynamoDB's streams, as an application runs it.

Its leases are in tables of the same region. Workers come and go, one is killed; what they were
given must be every change of this region's clients, in the order of each item.
"""

import collections
import os
import random
import threading

import pytest

from cluster import REGIONS
from programs import Program, java, needs_java, programs, until
from support import eventually

# The library balances its workers when it likes to, after a minute or more: no run that decides
# something waits for that.
ASKED = os.environ.get("PANGEA_KCL") or os.environ.get("PANGEA_COMPAT")
pytestmark = [needs_java, pytest.mark.skipif(
    not ASKED, reason="the library balances its workers by its own clocks: PANGEA_KCL=1 runs it")]

HOME, SECOND, _ = REGIONS
# Short, so that several are walked from parent to child; not shorter, because the library takes
# seconds over each new lease.
CLUSTER = {"shop": False, "extra": ["[streams]", "shard_s = 12"]}
# A worker that finds no lease waits up to 30 s for others to begin.
BEGIN = 120
# What a handover ends with; a lease that a worker lost otherwise may be repeated from its last
# checkpoint.
HANDED_OVER = {"ended", "stopped"}

__all__ = ["programs"]


class Writers:
    """Changes of items of their own in two regions, until they are told to stop."""

    def __init__(self, pangea, table):
        self.pangea, self.table, self.stop = pangea, table, threading.Event()
        self.wrote = {region: collections.defaultdict(list) for region in (HOME, SECOND)}
        self.failed = []
        self.threads = [threading.Thread(target=self._write, args=(region,))
                        for region in self.wrote]
        for thread in self.threads:
            thread.start()

    def _write(self, region):
        client, n = self.pangea.client(region), 0
        chance = random.Random(region)
        try:
            while not self.stop.is_set():
                key = f"{region}-{chance.randrange(10)}"
                client.put_item(TableName=self.table, Item={"pk": {"S": key}, "v": {"S": str(n)}})
                self.wrote[region][key].append(str(n))
                n += 1
                self.stop.wait(0.02)
        except Exception as error:
            self.failed.append(error)

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        assert not self.failed, self.failed
        return self.wrote


class Fleet:
    """The workers of one application, those that ended included."""

    def __init__(self, pangea, table, home):
        self.pangea, self.table, self.home, self.all = pangea, table, home, []
        described = pangea.client(HOME).describe_table(TableName=table)
        self.arn = described["Table"]["LatestStreamArn"]

    def start(self, name):
        argv = java("Worker", self.pangea.endpoint(HOME), HOME, self.arn, f"app-{self.table}", name)
        worker = Program("Kinesis Client Library", argv, self.home / f"{name}.log")
        worker.name = name
        self.all.append(worker)
        return worker

    def leader(self):
        """The worker that assigns leases: the library's own lock, in a table of its own."""
        rows = self.pangea.items(HOME, f"app-{self.table}-CoordinatorState", keys=("key",))
        owner = next(row["ownerName"]["S"] for row in rows.values() if "ownerName" in row)
        return next(worker for worker in self.all if worker.name == owner)

    def values(self):
        """Values by key, each record once, in the order of the stream."""
        found = {}
        for worker in self.all:
            for shard, place, _, key, value in worker.told("record"):
                found.setdefault(int(place), (key, value))
        values = collections.defaultdict(list)
        for place in sorted(found):
            key, value = found[place]
            values[key].append(value)
        return values

    def has(self, wrote):
        values = self.values()
        return all(values[key][-1:] == these[-1:] for key, these in wrote.items())


def sessions(worker):
    """What a worker was given of each shard, between its beginning and its end: (shard, places,
    how it ended)."""
    open_, found = {}, []
    for kind, shard, *rest in [words for words in worker.lines if len(words) > 1]:
        if kind == "began":
            open_[shard] = [shard, [], None]
            found.append(open_[shard])
        elif kind == "record":
            open_[shard][1].append((int(rest[0]), *rest[2:]))
        elif kind in {"ended", "stopped", "lost"} and shard in open_:
            open_[shard][2] = open_[shard][2] or kind
    return found


def in_the_middle(worker):
    """A shard that this worker has, has read from and has not read to the end."""
    return [shard for shard, places, end in sessions(worker) if places and end is None]


def check_order(fleet):
    """Nobody is given records out of order, nor again what was handed over in order."""
    told = collections.defaultdict(list)
    for worker in fleet.all:
        for shard, places, end in sessions(worker):
            order = [place for place, _, _ in places]
            assert order == sorted(set(order)), (worker.name, shard)
            told[shard].append((set(order), end))
    for shard, given in told.items():
        done = collections.Counter(
            place for order, end in given if end in HANDED_OVER for place in order)
        assert not done or max(done.values()) == 1, f"{shard}: a record twice"
    return told


@pytest.fixture
def fleet(own_pangea, tmp_path, programs):
    return Fleet(own_pangea, own_pangea.global_table("consumed"), tmp_path)


def test_workers_are_given_every_change_once_and_in_order(own_pangea, fleet):
    writers = Writers(own_pangea, fleet.table)
    try:
        first, second = fleet.start("first"), fleet.start("second")
        for worker in (first, second):
            until(worker, lambda: worker.told("record"), f"records of {worker.name}", BEGIN)
        leader = fleet.leader()
        other = second if leader is first else first

        # A worker that dies in the middle of a shard: another one goes on with it.
        [lost, *_] = until(other, lambda: in_the_middle(other), "a shard that is read", BEGIN)
        other.kill()
        until(leader, lambda: [lost] in leader.told("began"), "the other to take the lease", BEGIN)

        # One that leaves by itself hands over what it has, the lead included, and the next one goes
        # on where it stopped.
        leader.close(BEGIN)
        third = fleet.start("third")
        until(third, lambda: third.told("record"), "records of the third", BEGIN)
    finally:
        wrote = writers.end()
    eventually(lambda: all(fleet.has(these) for these in wrote.values()), "the last changes", BEGIN)
    third.close(BEGIN)

    told, values = check_order(fleet), fleet.values()
    assert len(told) >= 3, "several shards were walked"
    for key, these in wrote[HOME].items():
        assert values[key] == these, key
    for key, these in wrote[SECOND].items():
        # Replication carries the newest version: some may be passed over, none comes late.
        numbers = [int(value) for value in values[key]]
        assert numbers == sorted(set(numbers)) and values[key][-1] == these[-1], key
