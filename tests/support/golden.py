"""Charts held against their content as it was looked at, in JSON files beside the tests.

`SGDBENCH_GOLDEN=write pytest tests/bench/charts` writes these anew; look at the difference before it is committed.
"""

import json
from pathlib import Path
from textwrap import fill

from sgdbench.charts.chart import to_data
from sgdbench.plots.draw import draw_chart
from tests.support.constants import ROOT
from tests.support.written import WRITE

GOLDEN = ROOT / "tests" / "bench" / "charts" / "golden"
WIDTH = 120


def hold(chart, name):
    """Hold a chart against golden/`name`.json, draw it, and return the figure."""
    path, content = Path(GOLDEN / f"{name}.json"), to_data(chart)
    if WRITE:
        path.parent.mkdir(exist_ok=True)
        path.write_text(_pretty(content) + "\n", encoding="utf-8")
    assert content == json.loads(path.read_text(encoding="utf-8"))
    figure = draw_chart(chart)
    figure.draw_without_rendering()
    return figure


def _pretty(value, depth=0):
    """Return JSON with one entry per line, except for what fits in a line as a whole, and for lists of numbers."""
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or len(line) + depth <= WIDTH:
        return line
    indent = "\n" + " " * (depth + 1)
    if isinstance(value, dict):
        entries = [f"{json.dumps(key, ensure_ascii=False)}: {_pretty(one, depth + 1)}" for key, one in value.items()]
        return "{" + ",".join(indent + entry for entry in entries) + indent[:-1] + "}"
    if all(isinstance(one, int | float | None) for one in value):
        filled = fill(line[1:-1], WIDTH, initial_indent=indent[1:], subsequent_indent=indent[1:])
        return f"[\n{filled}{indent[:-1]}]"
    return "[" + ",".join(indent + _pretty(one, depth + 1) for one in value) + indent[:-1] + "]"
