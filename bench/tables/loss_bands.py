"""The loss curves of each optimizer, reduced to their median and the range from 10 to 90 %."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.data.checkpoints import thin_checkpoints
from sgdbench.tables.outcomes import starts_and_runs

# More checkpoints are indistinguishable in a chart, and would make an SVG of several megabytes.
MAX_CHECKPOINTS = 200
_DIVERGED_LOSS = 1e300


def loss_bands(frame: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """Return the bands of each optimizer, over all starts and from each family of starts.

    Columns are those of `loss_quantiles`, `start`, which is `ALL_STARTS` or a family of starts, and `held_out`, the
    medians of `validation_loss` if the curves have it. A line has at most `MAX_CHECKPOINTS` checkpoints, which are
    denser at its start.
    """
    parts = []
    for start, runs in starts_and_runs(frame).items():
        bands = loss_quantiles(runs, curves).assign(start=start)
        if "validation_loss" in curves:  # at the same checkpoints
            on_them = loss_quantiles(runs, curves.assign(loss=curves["validation_loss"]))
            bands["held_out"] = on_them["median"]
        for _, line in bands.groupby("optimizer", observed=True):
            parts.append(line.iloc[thin_checkpoints(line["samples"].to_numpy(), MAX_CHECKPOINTS)])
    return pd.concat(parts, ignore_index=True)


def loss_quantiles(frame: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """Reduce the loss curves of each optimizer to three: 10 %, median and 90 % of its runs at each checkpoint.

    A run that stopped early keeps its last loss; one that diverged has an infinite loss from there on. An optimizer
    ends with its longest run. Between its own checkpoints a run has the loss of the last one.

    Curves of configurations that are not in `frame` are ignored. The result has one row per optimizer and checkpoint:
    `optimizer`, `samples`, `updates`, `runs`, `low`, `median` and `high`. If the batch sizes of its runs differ,
    updates are those of one of them.
    """
    ids = pd.Categorical(curves["config_id"])  # unchanged if it is categorical
    runs = frame.set_index("config_id")
    group_of_run = runs.groupby("optimizer", observed=True).ngroup()
    # Look up categories, of which there are thousands, instead of hundreds of thousands of checkpoints.
    group_of_id = group_of_run.reindex(ids.categories, fill_value=-1).to_numpy()
    diverged = runs["status"].eq("diverged").reindex(ids.categories, fill_value=False).to_numpy(dtype=bool)
    groups = group_of_id[ids.codes]
    columns = [curves[name].to_numpy() for name in ("samples", "updates", "loss")]
    order = np.argsort(groups, kind="stable")
    order = order[np.searchsorted(groups[order], 0) :]
    parts = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    bands = []
    for part in parts:
        one = np.argmax(group_of_run.to_numpy() == groups[part[0]])
        band = _quantiles(ids.codes[part], diverged, *(column[part] for column in columns))
        bands.append(pd.DataFrame({"optimizer": runs["optimizer"].iloc[one]} | band))
    return pd.concat(bands, ignore_index=True)


def _quantiles(
    codes: NDArray[np.integer],
    diverged: NDArray[np.bool_],
    samples: NDArray[np.integer],
    updates: NDArray[np.integer],
    loss: Floats,
) -> dict[str, object]:
    """Return the columns of `loss_quantiles` for one optimizer; `diverged` is by code, the others are by checkpoint."""
    ids, row = np.unique(codes, return_inverse=True)
    checkpoints, first, column = np.unique(samples, return_index=True, return_inverse=True)
    place = np.full((len(ids), len(checkpoints)), -1)
    place[row, column] = np.arange(len(loss))
    if np.count_nonzero(place >= 0) < len(loss):
        raise ValueError("the losses of a configuration have duplicate checkpoints")
    last = np.maximum.accumulate(np.where(place >= 0, np.arange(len(checkpoints)), -1), axis=1)
    # Before its first checkpoint a run has no loss.
    losses = np.where(
        last >= 0, np.where(np.isnan(loss), np.inf, loss)[np.take_along_axis(place, last, axis=1)], np.nan
    )
    ended = np.arange(len(checkpoints)) > last[:, -1:]
    losses[ended & diverged[ids][:, np.newaxis]] = np.inf
    # Quantiles are interpolated, which fails for infinity.
    quantiles = np.quantile(losses.clip(max=_DIVERGED_LOSS), [0.1, 0.5, 0.9], axis=0)
    low, median, high = np.where(quantiles < _DIVERGED_LOSS / 1e9, quantiles, np.inf)
    clock = {"samples": checkpoints, "updates": updates[first]}
    return clock | {"runs": len(ids), "low": low, "median": median, "high": high}
