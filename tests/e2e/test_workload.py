"""The audit itself: it must be able to find a loss."""

from workload import missing


def item(key, *marks):
    return {(f'{{"S": "{key}"}}',): {"pk": {"S": key}, "h": {"L": [{"S": one} for one in marks]}}}


def test_what_is_in_no_region_and_no_entry_is_missing():
    acknowledged = {"k": {"a#1", "a#2"}, "gone": {"a#3"}}
    assert missing(acknowledged, item("k", "a#1", "a#2") | item("gone", "a#3")) == {}
    assert missing(acknowledged, item("k", "a#1")) == {"k": ["a#2"], "gone": ["a#3"]}
    assert missing(acknowledged, item("k", "a#1"), kept={"a#2", "a#3"}) == {}
