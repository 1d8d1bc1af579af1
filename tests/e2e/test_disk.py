"""A disk that is full, or that turned read-only: writes are refused, reads go on.

One region's data lies on a small file system of its own, in a file that is mounted as a loop
device; that needs root.
"""

import glob
import os
import shutil

import pytest
from botocore.exceptions import ClientError

from cluster import ENGINE, Cluster, run
from support import PATIENCE, REGIONS, eventually

VICTIM, OTHER = REGIONS[1], REGIONS[0]
# RocksDB keeps 256 MiB free, beside its log of 128.
DISK_MIB = 640 if ENGINE == "rocksdb" else 96


class Disk:
    """A file system of its own at a directory that exists, with the contents it had."""

    def __init__(self, image, place):
        self.image, self.place = image, place

    def attach(self):
        with open(self.image, "wb") as file:
            file.truncate(DISK_MIB << 20)
        # Without journal and reserved blocks: full means full.
        run(["mkfs.ext4", "-q", "-F", "-m", "0", self.image])
        kept = self.place.with_name(self.place.name + ".before")
        self.place.rename(kept)
        self.place.mkdir()
        self.mount()
        shutil.copytree(kept, self.place, dirs_exist_ok=True)
        # A region syncs what it writes, and would count on what it found.
        os.sync()
        shutil.rmtree(kept)

    def mount(self):
        # An error of the file system turns it read-only, as a disk that fails does.
        run(["mount", "-o", "loop,errors=remount-ro", self.image, self.place])

    def unmount(self):
        run(["umount", self.place])

    def fill(self):
        """Writes until no byte fits."""
        with open(self.place / "filler", "wb", buffering=0) as file:
            for size in (1 << 20, 4096):
                try:
                    while True:
                        file.write(b"\0" * size)
                except OSError:
                    continue
        os.sync()

    def free(self):
        (self.place / "filler").unlink()

    def break_down(self):
        """Makes the kernel see an error: the file system is read-only from then on."""
        with open("/proc/mounts", encoding="ascii") as mounts:
            device = next(line.split()[0] for line in mounts if line.split()[1] == str(self.place))
        [trigger] = glob.glob(f"/sys/fs/ext4/{os.path.basename(device)}/trigger_fs_error")
        with open(trigger, "w", encoding="ascii") as file:
            file.write("test\n")

    def repair(self):
        # 1: errors were corrected.
        assert run(["e2fsck", "-fy", self.image], check=False).returncode in (0, 1)


@pytest.fixture
def small_disk(tmp_path):
    """A cluster whose second region has a small disk of its own."""
    if os.geteuid() != 0:
        pytest.fail("this test mounts a file system: run `cargo xtask test --only e2e` as root, "
                    "for example with `sudo -E env PATH=$PATH`")
    cluster = Cluster(tmp_path / "cluster", shop=False).start()
    cluster.stop()
    disk = Disk(tmp_path / "disk.img", region_directory(cluster.data, VICTIM))
    disk.attach()
    try:
        yield cluster.start(), disk
    finally:
        cluster.stop()
        run(["umount", "--lazy", disk.place], check=False)


def region_directory(data, region):
    """Where a region keeps its rows: the directory called like it."""
    found = [path for path in data.rglob(region) if path.is_dir()]
    assert len(found) == 1, f"expected one directory called {region} below {data}: {found}"
    return found[0]


def put(cluster, region, key, size=10):
    cluster.eager(region).put_item(TableName="items", Item={
        "pk": {"S": key}, "v": {"S": key + "." * size}})


def refused(cluster, key, size=10):
    """Whether a write was refused in the words of DynamoDB."""
    try:
        put(cluster, VICTIM, key, size)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "InternalServerError", error
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 500
        return True
    return False


def check_reads(cluster, acknowledged):
    client = cluster.eager(VICTIM)
    for key in sorted(acknowledged):
        found = client.get_item(TableName="items", Key={"pk": {"S": key}}, ConsistentRead=True)
        assert found["Item"]["v"]["S"].startswith(key + "."), key


def check_after_return(cluster, acknowledged):
    check_reads(cluster, acknowledged)
    put(cluster, VICTIM, "after")
    items = cluster.converged("items")
    found = {item["pk"]["S"] for item in items.values()}
    # A refused write may be there: nobody was told that it is not.
    assert acknowledged | {"after"} <= found


def test_a_full_disk_refuses_writes_and_serves_reads(small_disk):
    cluster, disk = small_disk
    cluster.global_table("items")
    acknowledged = {f"before{n}" for n in range(20)}
    for key in acknowledged:
        put(cluster, VICTIM, key)
    pid = cluster.region(VICTIM)["pid"]
    disk.fill()

    # What the engine has in hand may still take some.
    for n in range(400):
        if refused(cluster, f"large{n}", 300_000):
            break
        acknowledged.add(f"large{n}")
    else:
        pytest.fail("a full disk took 120 MB of writes")
    check_reads(cluster, acknowledged)
    assert cluster.region(VICTIM)["pid"] == pid, "the process lives"
    # Nobody is sent there, and the others do not notice.
    eventually(lambda: not cluster.region(VICTIM)["healthy"], f"{VICTIM} to be unhealthy")
    put(cluster, OTHER, "elsewhere")
    acknowledged.add("elsewhere")

    disk.free()
    cluster.kill(VICTIM)
    cluster.revive(VICTIM)
    eventually(lambda: cluster.region(VICTIM)["healthy"], f"{VICTIM} to be healthy")
    eventually(lambda: cluster.items(VICTIM, "items").get(('{"S": "elsewhere"}',)),
               "what was written elsewhere")
    check_after_return(cluster, acknowledged)


def test_a_disk_that_turns_read_only(small_disk):
    cluster, disk = small_disk
    cluster.global_table("items")
    acknowledged = {f"before{n}" for n in range(20)}
    for key in acknowledged:
        put(cluster, VICTIM, key)
    pid = cluster.region(VICTIM)["pid"]
    disk.break_down()
    assert refused(cluster, "refused")
    assert refused(cluster, "refused again")
    check_reads(cluster, acknowledged)
    assert cluster.region(VICTIM)["pid"] == pid, "the process lives"
    eventually(lambda: not cluster.region(VICTIM)["healthy"], f"{VICTIM} to be unhealthy")
    put(cluster, OTHER, "elsewhere")

    cluster.kill(VICTIM)
    eventually(lambda: _unmounted(disk), "the disk to be free", timeout=PATIENCE)
    disk.repair()
    disk.mount()
    cluster.revive(VICTIM)
    eventually(lambda: cluster.items(VICTIM, "items").get(('{"S": "elsewhere"}',)),
               "what was written elsewhere")
    check_after_return(cluster, acknowledged | {"elsewhere"})


def _unmounted(disk):
    disk.unmount()
    return True
