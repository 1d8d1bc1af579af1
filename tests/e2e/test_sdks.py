"""Clients in other languages than Python: a tour by each, a line for each step of it."""

from cluster import REGIONS
from programs import GO, Program, java, needs_go, needs_java, programs

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
