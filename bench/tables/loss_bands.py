"""The bands of the loss curves of each optimizer, over all starts and from each."""

import pandas as pd

from bench.tables.loss_quantiles import loss_quantiles
from bench.tables.outcomes import starts_and_runs
from kernels.data.marks import thin_marks

# More marks of a line cannot be told apart in a chart, and would make an SVG of several megabytes.
MAX_MARKS = 200


def loss_bands(frame: pd.DataFrame, curves: pd.DataFrame, *, held_out: bool = False) -> pd.DataFrame:
    """Return the bands of each optimizer, over all starts and from each family of starts.

    Frames are those of `loss_quantiles`, whose columns follow on `start`, which is `ALL_STARTS` or a family of starts,
    and `optimizer`; with `held_out` there are the medians of the column `validation_loss` too. A line has at most
    `MAX_MARKS` marks, which are denser at its start.
    """
    parts = []
    for start, runs in starts_and_runs(frame).items():
        bands = loss_quantiles(runs, curves, ["optimizer"]).assign(start=start)
        if held_out:  # at the same marks
            on_them = loss_quantiles(runs, curves.assign(loss=curves["validation_loss"]), ["optimizer"])
            bands["held_out"] = on_them["median"]
        for _, line in bands.groupby("optimizer", observed=True):
            parts.append(line.iloc[thin_marks(line["samples"].to_numpy(), MAX_MARKS)])
    return pd.concat(parts, ignore_index=True) if parts else bands
