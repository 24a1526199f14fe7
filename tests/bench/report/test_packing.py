"""How data travel in the page."""

import json

from sgdbench.report.packing import pool


def test_equal_lists_axes_and_legends_stand_once_and_come_back_as_they_were():
    long, other = [1.0, None, *range(6)], list("abcdefg")
    axis, keys = {"range": [0, 1], "ticks": [{"values": long}]}, [{"name": "sgd"}]
    data = {"a": {"x": long, "y": other}, "b": [{"x": list(long), "short": [1, 2]}], "of lists": [[other], []]}
    data |= {"panels": [{"x": axis, "y": dict(axis)}, {"x": axis}], "c": {"keys": keys}, "d": {"keys": list(keys)}}
    pooled, parts = pool(data)
    assert parts == [long, other, {"range": [0, 1], "ticks": [{"values": {"part": 0}}]}, keys]

    def restored(part):
        if isinstance(part, dict):
            return (
                restored(parts[part["part"]]) if "part" in part else {name: restored(one) for name, one in part.items()}
            )
        return [restored(one) for one in part] if isinstance(part, list) else part

    assert restored(json.loads(json.dumps(pooled))) == data
