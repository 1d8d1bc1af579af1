"""A region dies by `kill -9` under load: the others go on, and nothing acknowledged is lost."""

import json
import os
import signal

from cluster import NAME, NETWORKS, run
from support import REGIONS, alive, eventually
from workload import Writers, audit

CLUSTER = {"rtt_ms": 40}
HOME, SECOND, THIRD = REGIONS


def dig(pangea, region, *options):
    """What a client in the network near `region` is told."""
    subnet = NETWORKS[region].replace(".0/", ".9/").split("/")[0] + "/24"
    done = run(["dig", "+short", "+tries=1", "+time=10", f"+subnet={subnet}", *options,
                "@127.0.0.1", "-p", pangea.dns, NAME, "A"], check=False)
    return done.stdout.split()


def curl(pangea, path="/health"):
    """The region that serves a request through the accelerator; None if it fails."""
    done = run(["curl", "--silent", "--max-time", "20", "--dump-header", "-", "--output",
                os.devnull, f"http://127.0.0.1:{pangea.accelerator}{path}"], check=False)
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines or lines[0].split()[1] != "200":
        return None
    headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
    return headers.get("x-served-by")


def test_each_network_is_sent_to_the_nearest_region(own_pangea):
    for region in REGIONS:
        eventually(lambda region=region: dig(own_pangea, region) == [own_pangea.hosts[region]],
                   f"{region}'s own address")
        eventually(lambda region=region: dig(own_pangea, region, "+tcp")
                   == [own_pangea.hosts[region]], f"{region}'s own address over TCP")
    eventually(lambda: curl(own_pangea) == HOME, "the nearest region through the accelerator")


def test_a_region_dies_under_load(own_pangea, table_name):
    pangea = own_pangea
    pangea.global_table(table_name)
    hot = [f"hot{n}" for n in range(4)]
    with Writers() as writers:
        for region in REGIONS:
            for n in range(2):
                own = [f"{region}/{n}/{key}" for key in range(20)]
                writers.add(pangea.eager(region), table_name, f"{region}.{n}", own)
            writers.add(pangea.eager(region), table_name, f"{region}.hot", hot)
        writers.reach(200)

        pangea.kill(HOME)
        eventually(lambda: curl(pangea) in (SECOND, THIRD), "another region behind the accelerator")
        survivors = [[pangea.hosts[SECOND]], [pangea.hosts[THIRD]]]
        eventually(lambda: dig(pangea, HOME) in survivors, "another region's address")
        pangea.wait_state(HOME, "DEAD")
        for region in (SECOND, THIRD):
            pangea.wait_state(region, "ACTIVE")
            eventually(lambda region=region: dig(pangea, region) == [pangea.hosts[region]],
                       f"{region}'s own address")
        # New requests are served, every one, and so are writes in both survivors.
        assert all(curl(pangea) in (SECOND, THIRD) for _ in range(20))
        before = writers.count
        writers.reach(before + 200)

        pangea.revive(HOME)
        eventually(lambda: dig(pangea, HOME) == [pangea.hosts[HOME]], "the old address")
        eventually(lambda: curl(pangea) == HOME, "the nearest region again")
        writers.reach(writers.count + 200)
    audit(pangea, table_name, writers.acknowledged)


def test_an_order_survives_the_region_that_took_it(own_pangea):
    """The sample application, as a user sees it: placed in one region, read in the others."""
    pangea = own_pangea
    body = json.dumps({"customer": "ada", "cart": [{"sku": "tea", "qty": 2}]})
    url = f"http://127.0.0.1:{pangea.accelerator}"

    def place():
        done = run(["curl", "--silent", "--max-time", "5", "--fail-with-body", "--header",
                    "content-type: application/json", "--data", body, f"{url}/orders"],
                   check=False)
        assert done.returncode == 0, done.stdout
        return json.loads(done.stdout)

    order = eventually(place, "an order that is taken")
    taken_by = order["region"]

    def readable(region):
        done = run(["curl", "--silent", "--max-time", "5", "--fail",
                    f"http://{pangea.hosts[region]}:{pangea.shop_port}/orders/{order['order_id']}"])
        return json.loads(done.stdout)["order_id"] == order["order_id"]

    for region in REGIONS:
        eventually(lambda region=region: readable(region), f"the order in {region}")
    pangea.kill(taken_by)
    for region in set(REGIONS) - {taken_by}:
        eventually(lambda region=region: readable(region), f"the order without {taken_by}")
    pangea.revive(taken_by)
    eventually(lambda: readable(taken_by), "the order where it was taken")


def test_regions_serve_without_the_edge(own_pangea, table_name):
    pangea = own_pangea
    pangea.global_table(table_name)
    edge = pangea.status()["edge"]["pid"]
    pangea.control_socket("kill", "edge")
    assert not alive(edge)
    try:
        for region in REGIONS:
            key = {"pk": {"S": region}}
            pangea.client(region).put_item(TableName=table_name, Item=key)
        assert len(pangea.converged(table_name)) == len(REGIONS)
    finally:
        pangea.control_socket("start", "edge")
    eventually(lambda: dig(pangea, HOME) == [pangea.hosts[HOME]], "an answer from DNS")
    eventually(lambda: curl(pangea) == HOME, "an answer through the accelerator")


def test_a_frozen_region_is_left_alone(own_pangea):
    """SIGSTOP: connections are still accepted by the kernel, answers never come."""
    pangea = own_pangea
    pid = pangea.region(HOME)["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        eventually(lambda: curl(pangea) in (SECOND, THIRD), "another region behind the accelerator")
        eventually(lambda: dig(pangea, HOME) != [pangea.hosts[HOME]], "another region's address")
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: dig(pangea, HOME) == [pangea.hosts[HOME]], "the old address")
