"""A link that is cut and healed: nothing is lost, everything converges."""

from support import REGIONS, eventually
from workload import Writers, audit

HOME, SECOND, THIRD = REGIONS


def test_both_sides_of_a_cut_link_converge(pangea, global_table):
    count = 100
    pangea.cut(HOME, SECOND)
    pangea.cut(SECOND, THIRD)
    for region in REGIONS:
        with pangea.resource(region).Table(global_table).batch_writer() as batch:
            for n in range(count):
                batch.put_item(Item={"pk": f"{region}/{n}", "v": region})
    own = [key for key in pangea.items(SECOND, global_table)]
    assert len(own) == count, "the isolated region has its own writes only"
    pangea.heal(HOME, SECOND)
    pangea.heal(SECOND, THIRD)
    items = pangea.converged(global_table)
    assert {item["pk"]["S"] for item in items.values()} == {
        f"{region}/{n}" for region in REGIONS for n in range(count)}
    assert pangea.conflicts(global_table) == []


def test_one_cut_link_is_gone_around(pangea, global_table):
    """With one of three links cut, the third region relays or the heal delivers; none is lost."""
    pangea.cut(HOME, SECOND)
    pangea.client(HOME).put_item(TableName=global_table, Item={"pk": {"S": "a"}})
    pangea.client(SECOND).put_item(TableName=global_table, Item={"pk": {"S": "b"}})
    pangea.heal(HOME, SECOND)
    assert len(pangea.converged(global_table)) == 2


def test_contended_writes_across_a_cut_are_all_accounted_for(pangea, global_table):
    keys = [f"hot{n}" for n in range(5)]
    with Writers() as writers:
        for region in REGIONS:
            writers.add(pangea.eager(region), global_table, region, keys)
        writers.reach(60)
        pangea.cut(HOME, SECOND)
        pangea.cut(HOME, THIRD)
        writers.reach(writers.count + 150)
        pangea.heal(HOME, SECOND)
        pangea.heal(HOME, THIRD)
        writers.reach(writers.count + 60)
    assert writers.failures == 0, "every region serves whatever its links do"
    audit(pangea, global_table, writers.acknowledged)


def test_a_flood_of_conflicts_of_one_item_names_every_write_that_lost(pangea, global_table):
    """More than 60 conflicts of an item in a minute share entries, which keep no more images."""
    with Writers() as writers:
        for region in REGIONS:
            writers.add(pangea.eager(region), global_table, region, ["hot"])
        eventually(lambda: sum(entry["dropped_images"] for entry in pangea.conflicts(global_table)),
                   "more conflicts in a minute than have entries of their own", pause=1)
    assert writers.failures == 0, "conflicts refuse nobody"
    audit(pangea, global_table, writers.acknowledged)
