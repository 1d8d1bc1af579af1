"""The audit itself: it must be able to find a loss."""

from workload import missing


def item(key, *marks):
    return {(f'{{"S": "{key}"}}',): {"pk": {"S": key}, "h": {"L": [{"S": one} for one in marks]}}}


def version(reading, origin=1024):
    return f"{reading:016x}{origin:04x}"


def entry(key, lost, **more):
    """An entry that tells of the loss of one image."""
    loser = {"image": {"h": {"L": [{"S": one} for one in lost]}}, "context": []}
    return {"key": [{"S": key}], "dropped_images": 0, "pairs": [], "loser": loser} | more


def test_what_is_in_no_region_and_no_entry_is_missing():
    acknowledged = {"k": {"a#1": version(1), "a#2": version(2)}, "gone": {"a#3": version(3)}}
    assert missing(acknowledged, item("k", "a#1", "a#2") | item("gone", "a#3")) == {}
    assert missing(acknowledged, item("k", "a#1")) == {"k": ["a#2"], "gone": ["a#3"]}
    kept = [entry("k", ["a#1", "a#2"]), entry("gone", ["a#3"])]
    assert missing(acknowledged, item("k", "a#1"), kept) == {}


def test_what_a_shared_entry_does_not_name_is_missing():
    acknowledged = {"k": {f"a#{n}": version(n) for n in range(1, 6)}}
    held = item("k", "a#5")
    pairs = [[version(2), version(9)], [version(3, origin=2048), version(9)]]
    loser = {"image": None, "context": [version(2), version(4, origin=2048)]}
    named = entry("k", [], pairs=pairs, loser=loser)
    # One image alone is kept, if no more were dropped; then its text is what counts.
    assert missing(acknowledged, held, [named]) == {"k": ["a#1", "a#2", "a#3", "a#4"]}
    flood = named | {"dropped_images": 1}
    assert missing(acknowledged, held, [flood]) == {"k": ["a#3", "a#4"]}
    assert missing(acknowledged, held, [flood | {"key": [{"S": "other"}]}]) == {
        "k": ["a#1", "a#2", "a#3", "a#4"]}
