"""Charts held against their content as it was looked at, in JSON files beside the tests.

`SGDBENCH_GOLDEN=write pytest tests/bench/charts` writes these anew; look at the difference before it is committed.
"""

import json
from pathlib import Path

from bench.charts.chart import to_data
from bench.plots.draw import draw_chart
from tests.support.constants import ROOT
from tests.support.written import WRITE

GOLDEN = ROOT / "tests" / "bench" / "charts" / "golden"


def hold(chart, name):
    """Hold a chart against golden/`name`.json, draw it, and return the figure."""
    path, content = Path(GOLDEN / f"{name}.json"), to_data(chart)
    if WRITE:
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    assert content == json.loads(path.read_text(encoding="utf-8"))
    figure = draw_chart(chart)
    figure.draw_without_rendering()
    return figure
