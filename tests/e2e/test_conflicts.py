"""Races between regions: both sides are kept, and only true races are told."""

from support import REGIONS, eventually, strings

HOME, SECOND, THIRD = REGIONS


def put(client, table, key, value, **options):
    client.put_item(TableName=table, Item={"pk": {"S": key}, "v": {"S": value}}, **options)


def value(pangea, region, table, key):
    found = pangea.plain(region).get_item(
        TableName=table, Key={"pk": {"S": key}}, ConsistentRead=True)
    return found.get("Item", {}).get("v", {}).get("S")


def everywhere(pangea, table, key, expected):
    for region in REGIONS:
        eventually(lambda region=region: value(pangea, region, table, key) == expected,
                   f"{expected!r} in {region}")


class Cut:
    """Every link cut inside, every link healed after."""

    PAIRS = [(HOME, SECOND), (HOME, THIRD), (SECOND, THIRD)]

    def __init__(self, pangea):
        self.pangea = pangea

    def __enter__(self):
        for pair in self.PAIRS:
            self.pangea.cut(*pair)

    def __exit__(self, *_):
        for pair in self.PAIRS:
            self.pangea.heal(*pair)


def test_the_loser_of_a_race_is_in_the_ledger(pangea, global_table):
    with Cut(pangea):
        put(pangea.client(HOME), global_table, "raced", "of home")
        put(pangea.client(SECOND), global_table, "raced", "of second")
        assert value(pangea, HOME, global_table, "raced") == "of home"
        assert value(pangea, SECOND, global_table, "raced") == "of second"
        assert value(pangea, THIRD, global_table, "raced") is None
    # The later one wins in every region.
    everywhere(pangea, global_table, "raced", "of second")
    entries = eventually(lambda: pangea.conflicts(global_table), "the loser in the ledger")
    assert len(entries) == 1, entries
    [entry] = entries
    assert entry["table"] == global_table
    assert entry["severity"] == "normal"
    shown = pangea.conflict(entry)
    assert {"of home", "of second", "raced"} <= strings(shown), shown
    # For people, too: a list may shorten an id, and `show` takes it as it was listed.
    [header, line] = pangea.cli("conflicts", "list", "--table", global_table).stdout.splitlines()
    assert "SEVERITY" in header and "normal" in line
    text = pangea.cli("conflicts", "show", line.split()[0]).stdout
    assert entry["id"] in text and "of home" in text and "of second" in text


def test_three_regions_race(pangea, global_table):
    with Cut(pangea):
        for region in REGIONS:
            put(pangea.client(region), global_table, "raced", region)
    items = pangea.converged(global_table)
    [winner] = [item["v"]["S"] for item in items.values()]

    def kept():
        entries = pangea.conflicts(global_table)
        return set().union(*(strings(pangea.conflict(entry)) for entry in entries))

    eventually(lambda: set(REGIONS) <= kept() | {winner}, "both losers in the ledger")


def test_a_conditional_write_that_lost_is_of_high_severity(pangea, global_table):
    condition = {"ConditionExpression": "attribute_not_exists(pk)"}
    with Cut(pangea):
        put(pangea.client(HOME), global_table, "name", "first owner", **condition)
        put(pangea.client(SECOND), global_table, "name", "second owner", **condition)
    everywhere(pangea, global_table, "name", "second owner")
    [entry] = eventually(lambda: pangea.conflicts(global_table), "the loser in the ledger")
    assert entry["severity"] == "high"
    assert "first owner" in strings(pangea.conflict(entry))


def test_a_delete_that_races_an_update_is_kept(pangea, global_table):
    put(pangea.client(HOME), global_table, "k", "old")
    everywhere(pangea, global_table, "k", "old")
    with Cut(pangea):
        put(pangea.client(SECOND), global_table, "k", "updated")
        pangea.client(HOME).delete_item(TableName=global_table, Key={"pk": {"S": "k"}})
    everywhere(pangea, global_table, "k", None)
    [entry] = eventually(lambda: pangea.conflicts(global_table), "the loser in the ledger")
    assert "updated" in strings(pangea.conflict(entry))


def test_what_was_seen_is_overwritten_without_an_entry(pangea, global_table):
    for turn in range(12):
        region = REGIONS[turn % len(REGIONS)]
        put(pangea.client(region), global_table, "k", f"turn {turn}")
        everywhere(pangea, global_table, "k", f"turn {turn}")
    for turn in range(20):
        put(pangea.client(HOME), global_table, "own", f"turn {turn}")
    everywhere(pangea, global_table, "own", "turn 19")
    assert pangea.conflicts(global_table) == []


def test_an_unknown_conflict_is_an_error(pangea):
    done = pangea.cli("conflicts", "show", "no-such-conflict", check=False)
    assert done.returncode != 0
    assert "no-such-conflict" in done.stderr
