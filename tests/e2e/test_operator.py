"""What a process has too little of, and what is done to it from outside: descriptors, keys, signals."""

import os
import resource
import select
import signal
import socket
import subprocess
import time
import urllib.request

import pytest

import cluster as clusters
from cluster import BIN, Cluster, run
from support import PATIENCE, REGIONS, alive, eventually, unhurried

HOME, OTHER = REGIONS[0], REGIONS[1]


@pytest.fixture
def cluster(tmp_path):
    """A topology that does not run yet, without a service."""
    yield from stopped(Cluster(tmp_path, shop=False))


@pytest.fixture
def shop(tmp_path):
    """The same with one."""
    yield from stopped(Cluster(tmp_path))


def stopped(cluster):
    try:
        yield cluster
    finally:
        cluster.stop()


def start_with(monkeypatch, cluster, soft, hard):
    """Starts `up` as a shell would after `ulimit -Sn` and `ulimit -Hn`."""
    popen = subprocess.Popen

    def limited(argv, **options):
        def before():
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

        return popen(argv, **options, preexec_fn=before if argv[1] == "up" else None)

    with monkeypatch.context() as patch:
        patch.setattr(clusters.subprocess, "Popen", limited)
        return cluster.start()


def process(cluster, name):
    listed = cluster.json("process", "list")
    return next(one["pid"] for one in listed if one["process"] == name)


def crowd(port, count):
    """Clients that connect and say nothing; some wait in the kernel's queue, or are turned away."""
    clients = []
    for _ in range(count):
        clients.append(socket.socket())
        clients[-1].setblocking(False)
        clients[-1].connect_ex(("127.0.0.1", port))
    return clients


def log_of(cluster, name):
    return (cluster.data / "logs" / f"{name}.log").read_text()


def test_processes_take_all_descriptors_that_they_may_have(monkeypatch, shop):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    start_with(monkeypatch, shop, 128, hard)
    for name in (f"region {HOME}", "edge"):
        assert resource.prlimit(process(shop, name), resource.RLIMIT_NOFILE) == (hard, hard)
    # Programs of others have what they were given.
    service = process(shop, f"service shop {HOME}")
    assert resource.prlimit(service, resource.RLIMIT_NOFILE) == (128, hard)


def test_idle_clients_take_no_descriptors_from_peers(monkeypatch, cluster):
    start_with(monkeypatch, cluster, 256, 256)
    pid = process(cluster, f"region {HOME}")
    before = len(os.listdir(f"/proc/{pid}/fd"))
    idle = crowd(cluster.dynamodb[HOME], 400)
    eventually(lambda: len(os.listdir(f"/proc/{pid}/fd")) > before + 30, "the crowd's arrival")
    # A link needs new connections in both directions.
    cluster.cut(HOME, OTHER)
    cluster.heal(HOME, OTHER)
    for client in idle:
        client.close()
    table = cluster.global_table("items")
    cluster.client(HOME).put_item(TableName=table, Item={"pk": {"S": "a"}})
    cluster.converged(table)
    log = log_of(cluster, f"region-{HOME}")
    assert "few file descriptors" in log and "cannot accept" not in log


def test_clients_that_come_all_at_once_do_not_wait(shop):
    shop.start()
    # A second is what a client waits that the kernel found no room for.
    for port in (shop.accelerator, shop.operator, shop.dns):
        unhurried(0.9, burst, port)


def burst(port, count=400):
    """All connect before the first is waited for."""
    begun, waiting = time.monotonic(), select.epoll()
    clients = crowd(port, count)
    for client in clients:
        waiting.register(client, select.EPOLLOUT)
    while count and time.monotonic() < begun + 0.9:
        for file, _ in waiting.poll(0.1):
            waiting.unregister(file)
            count -= 1
    for client in clients:
        client.close()
    assert count == 0, f"{count} clients of port {port} have to wait"


def test_idle_clients_of_the_edge_are_no_lost_region(monkeypatch, shop):
    start_with(monkeypatch, shop, 256, 256)
    before = log_of(shop, "edge")
    ports = (shop.accelerator, shop.dns, shop.operator, shop.control)
    idle = [client for port in ports for client in crowd(port, 300)]
    # Longer than it takes to find a region that is gone.
    until = time.monotonic() + 5
    while time.monotonic() < until:
        assert "to=unhealthy" not in log_of(shop, "edge").removeprefix(before)
        time.sleep(0.2)
    for client in idle:
        client.close()


def test_up_listens_again_when_descriptors_are_back(cluster):
    cluster.start()
    up, limit = cluster.process.pid, resource.prlimit(cluster.process.pid, resource.RLIMIT_NOFILE)
    few = len(os.listdir(f"/proc/{up}/fd")) + 2
    resource.prlimit(up, resource.RLIMIT_NOFILE, (few, limit[1]))
    asking = []
    for _ in range(8):
        asking.append(socket.socket(socket.AF_UNIX))
        asking[-1].connect(str(cluster.data / "up.sock"))
    eventually(lambda: len(os.listdir(f"/proc/{up}/fd")) >= few, "all descriptors to be taken")
    time.sleep(0.2)
    for one in asking:
        one.close()
    resource.prlimit(up, resource.RLIMIT_NOFILE, limit)
    assert len(cluster.json("process", "list")) == len(REGIONS) + 1


def test_a_topology_that_is_there_is_not_written(cluster):
    cluster.start()
    cluster.stop()
    # No room for it, as on a full disk: reads go on there, and shall after a restart.
    (cluster.data / "topology.toml.new").mkdir()
    cluster.start()


def test_a_region_without_the_key_of_its_authority_stays_what_it_is(cluster):
    cluster.start()
    pki = cluster.data / "pki"
    authority = (pki / "ca.pem").read_bytes()
    # Kept elsewhere, as what can make any region should be.
    (pki / "ca.key").rename(pki / "session.key")
    cluster.cli("process", "stop", "region", OTHER)
    cluster.control_socket("start", f"region {OTHER}")
    eventually(lambda: cluster.region(OTHER)["healthy"], f"{OTHER} to be back")
    assert (pki / "ca.pem").read_bytes() == authority
    cluster.wait_link(HOME, OTHER, lambda state: state == "UP")


@pytest.mark.parametrize("ending", [signal.SIGHUP, signal.SIGTERM])
def test_a_region_whose_terminal_ends_closes_its_store(cluster, ending):
    if signal.getsignal(ending) is signal.SIG_IGN:
        pytest.skip("these tests run under nohup, and so does the region, which goes on")
    cluster.start()
    pid = cluster.region(HOME)["pid"]
    os.kill(pid, ending)
    eventually(lambda: not alive(pid), "its end")
    assert "region has stopped" in log_of(cluster, f"region-{HOME}")


def test_nohup_is_heeded(monkeypatch, cluster):
    popen = subprocess.Popen
    with monkeypatch.context() as patch:
        patch.setattr(clusters.subprocess, "Popen",
                      lambda argv, **options: popen(["nohup", *argv], **options))
        cluster.start()
    os.killpg(cluster.process.pid, signal.SIGHUP)
    time.sleep(1)
    assert cluster.process.poll() is None
    assert all(region["state"] == "ACTIVE" for region in cluster.status()["regions"])


def test_an_output_that_nobody_reads_does_not_hold_up(cluster):
    cluster.start()
    cluster.stop()
    argv = [BIN, "up", "-f", cluster.file, "--data-dir", cluster.data]
    # A socket, because what a pipe holds is not the same on all kernels.
    reader, writer = socket.socketpair()
    writer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    cluster.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=writer,
                                       stderr=subprocess.STDOUT, start_new_session=True)
    writer.close()
    with reader:
        cluster.wait_ready()
        for _ in range(40):
            cluster.cli("process", "kill", "region", OTHER)
            cluster.cli("process", "start", "region", OTHER)
        assert cluster.stop() == 0


def test_up_that_is_suspended_is_named(cluster):
    cluster.start()
    cluster.process.send_signal(signal.SIGSTOP)
    try:
        listed = cluster.cli("process", "list", check=False)
        assert listed.returncode == 2
        assert "has not answered" in listed.stderr and "os error" not in listed.stderr
        seen = cluster.cli("status", check=False)
        assert seen.returncode == 0 and HOME in seen.stdout and "has not answered" in seen.stderr
    finally:
        cluster.process.send_signal(signal.SIGCONT)


def test_an_edge_that_hangs_is_not_up(cluster):
    cluster.start()
    edge = process(cluster, "edge")
    os.kill(edge, signal.SIGSTOP)
    try:
        seen = eventually(lambda: (seen := cluster.cli("status", check=False)).returncode and seen,
                          "status to say that something is wrong")
        assert seen.returncode == 1 and f"it does not answer, pid {edge}" in seen.stdout
    finally:
        os.kill(edge, signal.SIGCONT)
    eventually(lambda: cluster.cli("status", check=False).returncode == 0, "the edge to be back")


def test_a_region_that_is_out_of_the_file_and_not_removed_is_named(monkeypatch, cluster):
    table = cluster.start().global_table("items")
    cluster.client(HOME).put_item(TableName=table, Item={"pk": {"S": "a"}})
    cluster.converged(table)
    cluster.stop()
    monkeypatch.setattr(clusters, "REGIONS", REGIONS[:2])
    cluster.file.write_text(cluster.topology())
    cluster.start()
    cluster.client(HOME).delete_item(TableName=table, Key={"pk": {"S": "a"}})
    assert "in a region that is not in the topology" in log_of(cluster, f"region-{HOME}")
    with urllib.request.urlopen(f"http://127.0.0.1:{cluster.admin[HOME]}/metrics") as answer:
        lag = 'pangea_replication_stability_lag_seconds{blocking="r2"} '
        seconds = [line for line in answer.read().decode().splitlines() if line.startswith(lag)]
    assert len(seconds) == 1 and float(seconds[0].removeprefix(lag)) > 0


def test_output_that_is_lost_is_an_error():
    for command in (["config", "print"], ["experiment", "list", "--output", "json"]):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([BIN, *command], stdout=full, stderr=subprocess.PIPE, text=True,
                                  timeout=PATIENCE, check=False)
        assert done.returncode == 2 and "cannot write to stdout: No space left" in done.stderr
    # Whoever closes a pipe has seen enough.
    done = run(["/bin/sh", "-c", f"{{ {BIN} config print; echo $? >&2; }} | true"])
    assert done.stderr == "0\n"


def test_what_is_no_database_is_damage(cluster):
    cluster.start()
    cluster.stop()
    if clusters.ENGINE == "rocksdb":
        pytest.skip("redb's file")
    (cluster.data / HOME / "region.redb").write_bytes(os.urandom(65536))
    done = run([BIN, "region", "--name", HOME, "-f", cluster.file, "--data-dir", cluster.data],
               check=False)
    assert done.returncode == 2 and "damaged file" in done.stderr and "sound copy" in done.stderr
