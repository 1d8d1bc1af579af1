"""Waiting, free ports, and processes: what every test needs and no product defines."""

import os
import socket
import time

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


class Ports:
    """Hands out ports that the kernel lets us bind now.

    They lie below the range from which the kernel takes the local ports of outgoing connections:
    a region that is dead for a while must find its ports free when it returns.
    """

    def __init__(self):
        # Two runs on one machine start apart.
        self._next = 20000 + (os.getpid() * 97) % 10000

    def take(self, hosts=("127.0.0.1",)):
        for _ in range(12000):
            port = self._next
            self._next = 20000 + (self._next - 19999) % 12000
            if all(_free(host, port) for host in hosts):
                return port
        raise RuntimeError("no free port between 20000 and 32000")


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
