"""A region whose data directory is gone: it must not go on as if nothing had happened."""

import shutil

import pytest
from botocore.exceptions import ClientError

from cluster import Cluster
from support import REGIONS, eventually

HOME, VICTIM = REGIONS[0], REGIONS[2]
# More than fits one frame of a feed, so that the region serves while it still catches up.
ROWS = 1500


@pytest.fixture
def cluster(tmp_path):
    cluster = Cluster(tmp_path, shop=False)
    try:
        yield cluster.start()
    finally:
        cluster.stop()


def fill(cluster, region, table, prefix):
    with cluster.resource(region).Table(table).batch_writer() as batch:
        for n in range(ROWS):
            batch.put_item(Item={"pk": f"{prefix}-{n}", "v": "x" * 200})


def test_a_region_on_an_empty_directory_refuses_writes_and_says_why(cluster):
    table = "lostdata"
    cluster.global_table(table)
    fill(cluster, HOME, table, "home")
    fill(cluster, VICTIM, table, "victim")
    cluster.converged(table)
    cluster.kill(VICTIM)
    shutil.rmtree(cluster.data / VICTIM)
    cluster.wait_state(VICTIM, "DEAD")
    cluster.control_socket("start", f"region {VICTIM}")
    eventually(lambda: cluster.region(VICTIM)["state"] == "DEGRADED", "the region notices")
    eventually(lambda: "was lost" in (cluster.region(VICTIM)["reason"] or ""), "and says why")
    with pytest.raises(ClientError) as refused:
        cluster.eager(VICTIM).create_table(
            TableName="anything",
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
    assert refused.value.response["Error"]["Code"] == "InternalServerError"
    # The others have everything that the region had acknowledged and sent.
    assert len(cluster.items(HOME, table)) == 2 * ROWS
