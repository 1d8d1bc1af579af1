"""Writers that remember what was acknowledged, and the audit of it."""

import collections
import threading

from botocore.exceptions import BotoCoreError, ClientError

from support import eventually, strings

APPEND = "SET h = list_append(if_not_exists(h, :none), :one)"


class Writers:
    """Threads that append unique marks to lists, one client and a set of keys each.

    Each item carries its own history: a mark that is in the causal past of an item is in its
    list, so what was acknowledged and is nowhere to be seen was lost.
    """

    def __init__(self):
        # By key: what each mark's write became.
        self.acknowledged = collections.defaultdict(dict)
        self.failures = 0
        self._lock, self._stop, self._threads = threading.Lock(), threading.Event(), []

    def add(self, client, table, name, keys):
        """A writer called `name` that goes round `keys`."""
        thread = threading.Thread(target=self._write, args=(client, table, name, list(keys)))
        self._threads.append(thread)
        thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def count(self):
        with self._lock:
            return sum(map(len, self.acknowledged.values()))

    def reach(self, count):
        """Waits until so many writes are acknowledged."""
        eventually(lambda: self.count >= count, f"{count} acknowledged writes")

    def pause(self, seconds):
        """Lets the writers go on for a while."""
        self._stop.wait(seconds)

    def snapshot(self):
        """What is acknowledged by now."""
        with self._lock:
            return {key: dict(seen) for key, seen in self.acknowledged.items()}

    def _write(self, client, table, name, keys):
        number = 0
        while not self._stop.is_set():
            key, mark = keys[number % len(keys)], f"{name}#{number}"
            number += 1
            try:
                answer = client.update_item(
                    TableName=table, Key={"pk": {"S": key}}, UpdateExpression=APPEND,
                    ExpressionAttributeValues={":one": {"L": [{"S": mark}]}, ":none": {"L": []}})
            except (BotoCoreError, ClientError):
                with self._lock:
                    self.failures += 1
                # A dead region refuses at once: leave the processor to the living.
                self._stop.wait(0.02)
            else:
                version = answer["ResponseMetadata"]["HTTPHeaders"]["x-pangea-version"]
                with self._lock:
                    self.acknowledged[key][mark] = version


def marks(item):
    """What an item's list holds."""
    return [one["S"] for one in item.get("h", {}).get("L", [])]


def missing(acknowledged, items, conflicts=()):
    """Acknowledged marks that are neither in `items` nor accounted for by `conflicts`, by key."""
    kept = strings(list(conflicts))
    lost = {}
    for key, versions in acknowledged.items():
        held = set(marks(items.get((f'{{"S": "{key}"}}',), {})))
        told = [entry for entry in conflicts if entry["key"] == [{"S": key}]]
        gone = [mark for mark, version in versions.items() if mark not in held | kept
                and not any(tells_of(entry, version) for entry in told)]
        if gone:
            lost[key] = sorted(gone)
    return lost


def tells_of(entry, version):
    """Whether an entry that many conflicts share names a write, or one that had seen it.

    Above 60 conflicts of an item in one minute entries keep the first and the last image alone
    (`dropped_images` says of how many they do not), and the versions of all.
    """
    if not entry["dropped_images"]:
        return False
    named = {loser for loser, _ in entry["pairs"]} | set(entry["loser"]["context"])
    # A version is a clock's reading, then its origin.
    return any(it[16:] == version[16:] and it >= version for it in named)


def audit(cluster, table, acknowledged):
    """Waits until all regions agree; every acknowledged mark is there or in the ledger."""
    items = cluster.converged(table)
    doubled = {key: marks(item) for key, item in items.items()
               if len(marks(item)) != len(set(marks(item)))}
    assert not doubled, f"applied twice: {doubled}"
    lost = missing(acknowledged, items, cluster.conflicts(table))
    assert not lost, f"acknowledged and gone: {lost}"
    return items
