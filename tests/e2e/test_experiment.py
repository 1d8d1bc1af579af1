"""`pangea experiment run region-loss`: a real region dies, real clients tell how long it took.

How long it may take is a matter of the machine: here the bounds are a minute, but for one that no
machine can meet.
"""

import json

from support import REGIONS, eventually

# As far apart as regions are. A begun millisecond counts: nothing recovers in none.
CLUSTER = {"rtt_ms": 80, "objectives": {
    "rto_accelerator_ms": 60_000, "rto_dns_ms": 0, "rpo_ms": 60_000, "convergence_s": 120}}
REGION_LOSS = ("experiment", "run", "region-loss", "--before-s", "1", "--during-s", "2",
               "--after-s", "1", "--output", "json")
FIELDS = {"verdict", "acknowledged", "lost", "in_ledger", "unreplicated_at_loss",
          "rto_accelerator_ms", "rto_dns_ms", "failed_requests", "events"}


def test_the_loss_of_a_region_is_survived_and_measured(own_pangea):
    done = own_pangea.cli(*REGION_LOSS, "--objective", "rto_dns_ms=60000", timeout=240)
    report = json.loads(done.stdout)
    assert FIELDS <= set(report)
    assert report["verdict"] == "pass"
    assert report["acknowledged"] > 0
    assert report["lost"] == 0
    assert report["unreplicated_at_loss"] >= 0
    assert report["rto_accelerator_ms"] >= 0 and report["rto_dns_ms"] >= 0
    assert report["events"]
    # It leaves the topology as it found it.
    eventually(lambda: all(region["state"] == "ACTIVE" and region["healthy"]
                           for region in own_pangea.status()["regions"]), "all regions again")


def test_an_objective_that_is_missed_is_exit_code_1(own_pangea):
    done = own_pangea.cli(*REGION_LOSS, check=False, timeout=240)
    assert done.returncode == 1, done
    report = json.loads(done.stdout)
    assert report["verdict"] == "fail"
    assert report["lost"] == 0
    missed = [one["objective"] for one in report["objectives"] if not one["met"]]
    assert missed == ["rto_dns_ms"]


def test_an_unknown_experiment_is_refused(own_pangea):
    done = own_pangea.cli("experiment", "run", "no-such-experiment", check=False)
    assert done.returncode == 2
    assert "no-such-experiment" in done.stderr
    assert "region-loss" in done.stderr
    assert all(region["pid"] for region in own_pangea.status()["regions"])
    assert len(own_pangea.status()["regions"]) == len(REGIONS)
