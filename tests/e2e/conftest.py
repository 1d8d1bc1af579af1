"""Clusters for the tests, and their logs where a test fails."""

import itertools

import pytest

from cluster import Cluster

# Writes COMPAT.md where PANGEA_COMPAT=1 asks for it.
pytest_plugins = ["compat"]

_names = itertools.count()


@pytest.fixture(scope="session")
def pangea(tmp_path_factory):
    """Three regions with no latency between them, shared by the tests that leave them whole."""
    yield from _run(Cluster(tmp_path_factory.mktemp("shared")))


@pytest.fixture(scope="module")
def own_pangea(tmp_path_factory, request):
    """Three regions for one file of tests that kill, or that measure."""
    options = getattr(request.module, "CLUSTER", {})
    yield from _run(Cluster(tmp_path_factory.mktemp("own"), **options))


@pytest.fixture
def table_name():
    """A name that no other test uses."""
    return f"table{next(_names)}"


@pytest.fixture
def global_table(pangea, table_name):
    """A fresh table in all three regions of the shared cluster."""
    return pangea.global_table(table_name)


def _run(cluster):
    with cluster:
        yield cluster


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for cluster in Cluster.running:
            for name, tail in cluster.logs().items():
                report.sections.append((name, tail))
