"""Waiting, free ports, and processes: what every test needs and no product defines."""

import itertools
import os
import socket
import time
import zlib

import pytest

REGIONS = ("us-east-1", "eu-west-1", "ap-northeast-1")

# Generous: a busy machine with two cores is slow, not wrong.
PATIENCE = 60.0


def eventually(check, what, timeout=PATIENCE, pause=0.05):
    """Calls `check` until it returns something true, and returns that.

    An exception counts as "not yet"; the last one, or the last value, is told at the end.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            last = check()
            if last:
                return last
        except Exception as error:  # whatever is not there yet
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:.0f} s in vain for {what}; last: {last!r}")
        time.sleep(pause)


def unhurried(seconds, look, *arguments):
    """What `look` sees; it looks again where a busy machine took longer than that lasts."""
    for _ in range(5):
        begun = time.monotonic()
        try:
            return look(*arguments)
        # `pytest.raises` has an exception of its own.
        except (AssertionError, pytest.fail.Exception):
            if time.monotonic() < begun + seconds:
                raise
    raise AssertionError(f"the machine is too busy to look for {seconds} s")


class Ports:
    """Hands out ports that the kernel lets us bind now.

    They lie below the range from which the kernel takes the local ports of outgoing connections:
    a region that is dead for a while must find its ports free when it returns. For the same reason
    the workers of one run share none: of N, each has every Nth.
    """

    FIRST, COUNT = 20000, 12000

    def __init__(self, worker=os.environ.get("PYTEST_XDIST_WORKER", "gw0"),
                 workers=os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"),
                 run=os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))):
        # Two runs on one machine start apart.
        start = zlib.crc32(run.encode()) % self.COUNT
        mine = range(int(worker.removeprefix("gw")), self.COUNT, int(workers))
        self._mine = itertools.cycle(self.FIRST + (start + n) % self.COUNT for n in mine)
        self._left = len(mine)

    def take(self, hosts=("127.0.0.1",)):
        for port in itertools.islice(self._mine, self._left):
            if all(_free(host, port) for host in hosts):
                return port
        raise RuntimeError(f"no free port in {self.FIRST} to {self.FIRST + self.COUNT}")


def _free(host, port):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            # As servers do it: a connection of an earlier test that lingers is no obstacle.
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True


def alive(pid):
    """Whether `pid` runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def descendants(pid):
    """Every process below `pid` now."""
    children = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as stat:
                parent = int(stat.read().rsplit(")", 1)[1].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(parent, []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def strings(value):
    """Every text in a JSON value, keys left out: asks whether something is kept, not how."""
    if isinstance(value, str):
        return {value}
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return set()
    return set().union(*map(strings, value))
