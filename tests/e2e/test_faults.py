"""Faults on demand: what they do, and that a region which was not told to allow them does none."""

import itertools
import json
import os
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError

from cluster import BIN, PORTS
from support import PATIENCE, REGIONS, eventually

HOME, SECOND, THIRD = REGIONS


def put(pangea, region, table, key):
    return pangea.eager(region).put_item(
        TableName=table, Item={"pk": {"S": key}, "v": {"S": region}})


def has(pangea, region, table, key):
    return (f'{{"S": "{key}"}}',) in pangea.items(region, table)


def stamp_ms(answer):
    """The wall clock in the version that a write became."""
    stamp = answer["ResponseMetadata"]["HTTPHeaders"]["x-pangea-version"]
    return int(stamp[:16], 16) >> 16


def test_a_link_that_is_cut_one_way(pangea, global_table):
    pangea.cli("link", "cut", HOME, SECOND, "--one-way")
    try:
        def state(one, other):
            [found] = [link["state"] for link in pangea.status()["links"]
                       if (link["from"], link["to"]) == (one, other)]
            return found

        eventually(lambda: state(HOME, SECOND) == "CUT", "the cut")
        assert state(SECOND, HOME) == "UP"
        put(pangea, HOME, global_table, "of home")
        put(pangea, SECOND, global_table, "of second")
        eventually(lambda: has(pangea, HOME, global_table, "of second"), "the open direction")
        eventually(lambda: has(pangea, THIRD, global_table, "of home"), "the other link")
        # The third region hears both: it passes on what the second cannot hear.
        eventually(lambda: has(pangea, SECOND, global_table, "of home"), "the way around the cut")
        assert state(HOME, SECOND) == "CUT"
    finally:
        pangea.heal(HOME, SECOND)
    assert len(pangea.converged(global_table)) == 2


def test_a_link_that_is_slow(pangea, global_table):
    pangea.cli("link", "slow", HOME, SECOND, "--delay-ms", "700", "--kbytes-per-s", "50")
    try:
        [link] = [link for link in pangea.json("clock", "list")[HOME]["links"]
                  if link["peer"] == SECOND]
        assert link["delay_ms"] == 700 and link["bytes_per_s"] == 50_000
        home, second, keys = pangea.eager(HOME), pangea.eager(SECOND), itertools.count()

        def late():
            key = {"pk": {"S": f"slow {next(keys)}"}}
            home.put_item(TableName=global_table, Item=key)
            return "Item" not in second.get_item(TableName=global_table, Key=key) and key

        key = eventually(late, "a read before the write has arrived")
        eventually(lambda: "Item" in second.get_item(TableName=global_table, Key=key), "the write")
    finally:
        pangea.heal(HOME, SECOND)
    done = pangea.cli("link", "slow", HOME, SECOND, check=False)
    assert done.returncode == 2, "slow in what?"


def test_a_clock_is_set_off_by_a_step_and_by_a_slew(pangea, global_table):
    try:
        pangea.cli("clock", "set", SECOND, "--offset-ms", "400")
        assert pangea.json("clock", "list")[SECOND]["clock_offset_ms"] == 400
        eventually(lambda: [link.get("clock_offset_ms", 0) < -300
                            for link in pangea.status()["links"] if link["to"] == SECOND]
                   == [True, True], "a clock that stepped is shown")
        ahead = stamp_ms(put(pangea, SECOND, global_table, "stepped")) - time.time() * 1000
        assert ahead < 200, "and not followed, since no peer confirms it"
        pangea.cli("clock", "set", SECOND, "--offset-ms", "0")
        pangea.cli("clock", "set", SECOND, "--offset-ms", "400", "--slew-ms-per-s", "1000")
        eventually(lambda: stamp_ms(put(pangea, SECOND, global_table, "ahead"))
                   >= time.time() * 1000 + 200, "a clock that drifts within the bound is followed")
        pangea.cli("clock", "set", SECOND, "--offset-ms", "-100", "--slew-ms-per-s", "1000")
        eventually(lambda: pangea.json("clock", "list")[SECOND]["clock_offset_ms"] == -100,
                   "the end of the slew")
    finally:
        pangea.cli("clock", "set", SECOND, "--offset-ms", "0")
    assert "OFFSET MS" in pangea.cli("clock", "list").stdout


@pytest.mark.parametrize("words, text", [
    (["link", "slow", HOME, SECOND, "--delay-ms", "999999999"], "0..=60000"),
    (["link", "delay", HOME, SECOND, "--delay-ms", "60001"], "0..=60000"),
    (["link", "delay", HOME, SECOND, "--delay-ms=-1"], "-1"),
    (["link", "slow", HOME, SECOND, "--kbytes-per-s", "0"], "1..=10000000"),
    (["clock", "set", SECOND, "--offset-ms", "90000000"], "-86400000..=86400000"),
    (["clock", "set", SECOND, "--offset-ms", "1", "--slew-ms-per-s", "0"], "1..=86400000"),
    (["disk", "rot", SECOND, "--table", "nothing", "--partition", "x"], "nothing"),
    (["process", "kill", "nothing"], "nothing"),
])
def test_a_fault_out_of_its_range_is_refused_with_the_range(pangea, words, text):
    done = pangea.cli(*words, check=False)
    assert done.returncode and text in done.stderr, done.stderr


@pytest.mark.parametrize("fault, text", [
    ({"action": "delay", "peer": SECOND, "delay_ms": 60_001}, "0 to 60000"),
    ({"action": "delay", "peer": SECOND, "delay_ms": -1}, "-1"),
    ({"action": "limit", "peer": SECOND, "bytes_per_s": 0}, "1000 to 10000000000"),
    ({"action": "clock", "offset_ms": 86_400_001}, "-86400000 to 86400000"),
    ({"action": "clock", "offset_ms": 1, "slew_ms_per_s": 0}, "1 to 86400000"),
    ({"action": "panic", "requests": 10**9}, "0 to 1000000"),
    ({"action": "disk", "full": 2}, "boolean"),
])
def test_a_region_refuses_what_is_out_of_range(pangea, fault, text):
    url = f"http://127.0.0.1:{pangea.admin[HOME]}/v1/faults"
    before = urllib.request.urlopen(url, timeout=PATIENCE).read()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url, json.dumps(fault).encode(), timeout=PATIENCE)
    assert refused.value.code == 400
    assert text in json.loads(refused.value.read())["error"]
    assert urllib.request.urlopen(url, timeout=PATIENCE).read() == before


def test_a_disk_that_was_told_to_be_full(pangea, global_table):
    put(pangea, THIRD, global_table, "before")
    pangea.cli("disk", "fill", THIRD)
    try:
        with pytest.raises(ClientError) as refused:
            put(pangea, THIRD, global_table, "during")
        error = refused.value.response["Error"]
        assert error["Code"] == "InternalServerError"
        assert "the disk is full" in error["Message"]
        assert has(pangea, THIRD, global_table, "before"), "reads go on"
        put(pangea, HOME, global_table, "elsewhere")
        eventually(lambda: not pangea.region(THIRD)["healthy"], "nobody is sent there")
    finally:
        pangea.cli("disk", "free", THIRD)

    def accepted():
        return put(pangea, THIRD, global_table, "after")

    eventually(accepted, "a write that is taken")
    keys = set(pangea.converged(global_table))
    assert {(f'{{"S": "{key}"}}',) for key in ("before", "elsewhere", "after")} <= keys
    eventually(lambda: pangea.region(THIRD)["healthy"], f"{THIRD} to be healthy")


def test_a_region_that_is_run_by_itself_injects_no_faults(tmp_path):
    admin = PORTS.take()
    lines = ['cluster = "alone"', "[[region]]", 'name = "solo"', f'admin = "127.0.0.1:{admin}"',
             f'dynamodb = "127.0.0.1:{PORTS.take()}"', f'peer = "127.0.0.1:{PORTS.take()}"']
    file = tmp_path / "topology.toml"
    file.write_text("\n".join(lines) + "\n")
    common = ["-f", str(file), "--data-dir", str(tmp_path / "data")]
    process = subprocess.Popen([BIN, "region", "--name", "solo", *common],
                               stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{admin}/v1/faults"
        listed = json.load(eventually(lambda: urllib.request.urlopen(url), "the admin API"))
        assert listed["allowed"] is False
        for fault in ({"action": "disk", "full": True}, {"action": "clock", "offset_ms": 5}):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(url, json.dumps(fault).encode())
            assert refused.value.code == 403
        done = subprocess.run([BIN, "disk", "fill", "solo", *common], capture_output=True,
                              text=True, timeout=PATIENCE, env=os.environ)
        assert done.returncode == 2
        assert "`allow = true` under `[faults]`" in done.stderr
        assert json.load(urllib.request.urlopen(url)) == listed
    finally:
        process.kill()
        process.wait()
