"""`pangea up`: what it refuses to start, how it stops, what it tells scripts."""

import fcntl
import os
import pty
import signal
import socket
import subprocess
import termios

import pytest

from cluster import BIN, Cluster, run
from support import PATIENCE, REGIONS, alive, descendants, eventually

HOME = REGIONS[0]


def up(cluster):
    """Runs `pangea up` where it must not start; it must end by itself."""
    return run([BIN, "up", "-f", cluster.file, "--data-dir", cluster.data], check=False)


def line_of(cluster, text):
    lines = cluster.file.read_text().splitlines()
    return 1 + next(number for number, line in enumerate(lines) if text in line)


def change(cluster, old, new):
    text = cluster.file.read_text()
    assert old in text
    cluster.file.write_text(text.replace(old, new, 1))


@pytest.fixture
def cluster(tmp_path):
    """A topology that does not run yet."""
    cluster = Cluster(tmp_path, shop=False)
    try:
        yield cluster
    finally:
        cluster.stop()


def nothing_runs(cluster):
    for port in (*cluster.dynamodb.values(), *cluster.admin.values(), cluster.operator):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


def test_a_busy_port_is_named_and_nothing_is_started(cluster):
    with socket.create_server(("127.0.0.1", cluster.admin[REGIONS[2]])):
        done = up(cluster)
        assert done.returncode == 2
        assert f"127.0.0.1:{cluster.admin[REGIONS[2]]}" in done.stderr
        assert REGIONS[2] in done.stderr and "admin" in done.stderr
        # Who holds it, so that the user knows what to stop.
        assert str(os.getpid()) in done.stderr or "taken" in done.stderr
    assert nothing_runs(cluster)


def test_a_busy_udp_port_is_named(cluster):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", cluster.dns))
        done = up(cluster)
    assert done.returncode == 2
    assert f"127.0.0.1:{cluster.dns}" in done.stderr


@pytest.mark.parametrize("old, new, place, words", [
    ("[edge]", "[edge]\nacelerator = 'x'", "acelerator", ["acelerator", "accelerator"]),
    (f'name = "{REGIONS[1]}"', f'name = "{HOME}"', None, [HOME]),
    ('cluster = "e2e"', 'cluster = "e2e', 'cluster = "e2e', []),
    ("rtt_ms = 0", 'rtt_ms = "fast"', "fast", []),
    (f'between = ["{HOME}"', 'between = ["atlantis"', "atlantis", ["atlantis"]),
], ids=["unknown key", "region twice", "not TOML", "wrong type", "unknown region"])
def test_a_broken_topology_names_file_line_and_remedy(cluster, old, new, place, words):
    change(cluster, old, new)
    done = up(cluster)
    assert done.returncode == 2, done
    if place:
        assert f"topology.toml:{line_of(cluster, place)}" in done.stderr
    else:
        second = [n for n, line in enumerate(cluster.file.read_text().splitlines(), 1)
                  if line == f'name = "{HOME}"'][1]
        assert f"topology.toml:{second}" in done.stderr or "topology.toml:" in done.stderr
    for word in words:
        assert word in done.stderr
    assert nothing_runs(cluster)


def test_a_missing_topology_is_an_error(cluster):
    cluster.file.unlink()
    done = up(cluster)
    assert done.returncode == 2
    assert "topology.toml" in done.stderr


def test_wrong_usage_is_an_error():
    assert run([BIN, "upp"], check=False).returncode == 2
    assert run([BIN, "status", "--nonsense"], check=False).returncode == 2


def test_status_of_what_does_not_run(cluster):
    # By its own file: the built-in topology may be running beside the tests.
    done = run([BIN, "-f", cluster.file, "status", "--output", "json", "--data-dir", cluster.data],
               check=False)
    assert done.returncode != 0


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_behind(cluster, ending):
    cluster.start()
    process = cluster.process
    pids = {region["pid"] for region in cluster.status()["regions"]}
    # A look at /proc while processes come and go may miss some.
    eventually(lambda: pids <= set(descendants(process.pid)), "the regions below `up`")
    below = descendants(process.pid)
    process.send_signal(ending)
    assert process.wait(PATIENCE) in (0, 130, 143)
    eventually(lambda: not any(alive(pid) for pid in below), "all processes to be gone")
    assert nothing_runs(cluster)


def test_nothing_is_left_behind_by_a_supervisor_that_was_killed(cluster):
    cluster.start()
    below = descendants(cluster.process.pid)
    cluster.process.kill()
    cluster.process.wait(PATIENCE)
    eventually(lambda: not any(alive(pid) for pid in below), "all processes to be gone")
    # And it can be started again at once.
    cluster.start()


def test_one_data_directory_runs_once(cluster):
    cluster.start()
    done = up(cluster)
    assert done.returncode == 2
    cluster.wait_ready()


def test_data_survives_a_restart(cluster):
    cluster.start().global_table("items")
    for region in REGIONS:
        cluster.client(region).put_item(TableName="items", Item={"pk": {"S": region}})
    before = cluster.converged("items")
    assert len(before) == len(REGIONS)
    cluster.stop()
    cluster.start()
    for region in REGIONS:
        assert cluster.items(region, "items") == before
    assert cluster.replicas(HOME, "items") == {name: "ACTIVE" for name in REGIONS[1:]}
    cluster.client(REGIONS[2]).put_item(TableName="items", Item={"pk": {"S": "again"}})
    eventually(lambda: len(cluster.converged("items")) == 4, "a write after the restart")


def test_status_for_scripts(pangea):
    pangea.wait_ready()
    status = pangea.status()
    assert [region["name"] for region in status["regions"]] == list(REGIONS)
    for region in status["regions"]:
        name = region["name"]
        assert region["state"] == "ACTIVE" and region["healthy"] is True
        assert region["dynamodb"] == f"http://127.0.0.1:{pangea.dynamodb[name]}"
        assert region["admin"] == f"http://127.0.0.1:{pangea.admin[name]}"
        assert alive(region["pid"])
        [shop] = region["services"]
        assert shop["name"] == "shop"
    links = {(link["from"], link["to"]): link for link in status["links"]}
    assert set(links) == {(a, b) for a in REGIONS for b in REGIONS if a != b}
    assert all(link["state"] == "UP" and link["lag_ms"] >= 0 for link in links.values())
    edge = status["edge"]
    assert edge["control"] == f"http://127.0.0.1:{pangea.control}"
    assert edge["dns"] == f"127.0.0.1:{pangea.dns}"
    assert edge["accelerator"] == f"http://127.0.0.1:{pangea.accelerator}"
    assert edge["operator"] == f"http://127.0.0.1:{pangea.operator}"
    assert pangea.cli("status").returncode == 0
    for name in REGIONS:
        assert name in pangea.cli("status").stdout


def test_a_dead_region_is_shown_and_not_restarted(cluster):
    cluster.start()
    cluster.kill(REGIONS[2])
    cluster.wait_state(REGIONS[2], "DEAD")
    done = cluster.cli("status", check=False)
    assert done.returncode == 1 and "DEAD" in done.stdout
    eventually(lambda: [region["state"] for region in cluster.status()["regions"]]
               == ["ACTIVE", "ACTIVE", "DEAD"], "one dead region")
    cluster.cli("process", "start", f"region {REGIONS[2]}")
    cluster.wait_state(REGIONS[2], "ACTIVE")
    cluster.cli("process", "kill", f"region {REGIONS[2]}")
    cluster.wait_state(REGIONS[2], "DEAD")


def test_a_terminal_gets_a_live_table(cluster):
    """Ctrl-C typed at a terminal, with the table in it."""
    leader, follower = pty.openpty()
    argv = [BIN, "up", "-f", cluster.file, "--data-dir", cluster.data]
    process = subprocess.Popen(argv, stdin=follower, stdout=follower, stderr=follower,
                               start_new_session=True,
                               preexec_fn=lambda: _control(follower))
    os.close(follower)
    shown = b""
    try:
        def table():
            nonlocal shown
            shown += os.read(leader, 65536)
            return all(name.encode() in shown for name in REGIONS) and b"ACTIVE" in shown

        eventually(table, "the table", timeout=120, pause=0)
        os.write(leader, b"\x03")
        # A terminal that nobody reads would hold it up.
        eventually(lambda: _drained(leader, process), "the end", pause=0)
        assert process.returncode in (0, 130)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(leader)


def _control(terminal):
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)


def _drained(leader, process):
    try:
        os.read(leader, 65536)
    except OSError:
        process.wait(PATIENCE)
    return process.poll() is not None
