"""`pangea experiment run region-loss`: a real region dies, real clients tell how long it took."""

import json

from cluster import Cluster
from support import REGIONS, eventually

# As far apart as regions are.
CLUSTER = {"rtt_ms": 80}
FIELDS = {"verdict", "acknowledged", "lost", "in_ledger", "unreplicated_at_loss",
          "rto_accelerator_ms", "rto_dns_ms", "failed_requests", "events"}


def test_the_loss_of_a_region_is_survived_and_measured(own_pangea):
    done = own_pangea.cli("experiment", "run", "region-loss", "--output", "json", timeout=240)
    report = json.loads(done.stdout)
    assert FIELDS <= set(report)
    assert report["verdict"] == "pass"
    assert report["acknowledged"] > 0
    assert report["lost"] == 0
    assert report["unreplicated_at_loss"] >= 0
    assert 0 <= report["rto_accelerator_ms"] <= 2000
    assert 0 <= report["rto_dns_ms"] <= 3000
    assert report["events"]
    # It leaves the topology as it found it.
    eventually(lambda: all(region["state"] == "ACTIVE" and region["healthy"]
                           for region in own_pangea.status()["regions"]), "all regions again")


def test_an_objective_that_is_missed_is_exit_code_1(tmp_path):
    cluster = Cluster(tmp_path, rtt_ms=80, objectives={"rto_dns_ms": 1})
    try:
        cluster.start()
        done = cluster.cli("experiment", "run", "region-loss", "--output", "json",
                           check=False, timeout=240)
        assert done.returncode == 1, done
        report = json.loads(done.stdout)
        assert report["verdict"] == "fail"
        assert report["lost"] == 0
    finally:
        cluster.stop()


def test_an_unknown_experiment_is_refused(own_pangea):
    done = own_pangea.cli("experiment", "run", "no-such-experiment", check=False)
    assert done.returncode == 2
    assert "no-such-experiment" in done.stderr
    assert "region-loss" in done.stderr
    assert all(region["pid"] for region in own_pangea.status()["regions"])
    assert len(own_pangea.status()["regions"]) == len(REGIONS)
