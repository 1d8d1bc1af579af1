"""Clients in other languages than Python: a tour by each, a line for each step of it.

The mappers of objects are a tour each, too, as applications use them.
"""

import pytest

from cluster import REGIONS
from programs import (
    GO, Program, java, javascript, needs_go, needs_java, needs_javascript, programs)

__all__ = ["programs"]

# What a tour takes on a busy machine.
PATIENCE = 180


def tour(program, *wanted):
    """Every step passed, and none was left out."""
    program.close(PATIENCE)
    assert not program.told("failed"), program.ending()
    assert program.told("passed") == [[step] for step in wanted], program.ending()


@needs_java
def test_the_sdk_for_java(pangea, table_name, tmp_path, programs):
    argv = java("Tour", pangea.endpoint(REGIONS[0]), REGIONS[0], table_name)
    program = Program("AWS SDK for Java", argv, tmp_path / "java.log")
    tour(program, "items", "many", "concurrently", "beans", "locks")


@needs_go
def test_the_sdk_for_go(pangea, table_name, tmp_path, programs):
    argv = [GO, pangea.endpoint(REGIONS[0]), REGIONS[0], table_name]
    program = Program("AWS SDK for Go", argv, tmp_path / "go.log")
    tour(program, "create", "write", "read", "query", "update", "refusals", "records", "delete")


@needs_javascript
def test_the_sdk_for_javascript(pangea, table_name, tmp_path, programs):
    regions = [word for name in REGIONS[:2] for word in (pangea.endpoint(name), name)]
    argv = javascript("tour", *regions, table_name)
    program = Program("AWS SDK for JavaScript", argv, tmp_path / "javascript.log")
    tour(program, "create", "types", "update", "batches", "pages", "transactions", "statements",
         "refusals", "retries", "protocols", "settings", "indexes", "replicas", "changes", "remove")


@needs_javascript
@pytest.mark.parametrize("client, name, wanted", [
    ("ElectroDB", "electrodb", ("entities", "batches", "pages", "collections", "transactions")),
    ("Dynamoose", "dynamoose",
     ("table_is_made", "table_is_changed", "items", "queries", "transactions")),
    ("DynamoDB-Toolbox", "toolbox", ("items", "batches", "queries", "transactions")),
])
def test_mappers_in_javascript(client, name, wanted, pangea, table_name, tmp_path, programs):
    argv = javascript(name, pangea.endpoint(REGIONS[0]), REGIONS[0], table_name)
    tour(Program(client, argv, tmp_path / f"{name}.log"), *wanted)
