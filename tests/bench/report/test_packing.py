"""How data travel in the page."""

import json

from bench.report.packing import pool_lists


def test_equal_lists_stand_once_and_come_back_as_they_were():
    long, other = [1.0, None, *range(6)], list("abcdefg")
    data = {"a": {"x": long, "y": other}, "b": [{"x": list(long), "short": [1, 2]}], "of lists": [[other], []]}
    pooled, lists = pool_lists(data)
    assert lists == [long, other]

    def restored(part):
        if isinstance(part, dict):
            return lists[part["list"]] if "list" in part else {name: restored(one) for name, one in part.items()}
        return [restored(one) for one in part] if isinstance(part, list) else part

    assert restored(json.loads(json.dumps(pooled))) == data
