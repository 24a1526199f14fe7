"""The loss curves of groups of runs, reduced to their median and the range from 10 to 90 %."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kernels.base.run import Floats

_DIVERGED_LOSS = 1e300


def loss_quantiles(frame: pd.DataFrame, curves: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Reduce the loss curves of each group to three: 10 %, median and 90 % of its runs at each mark.

    A run that stopped early keeps its last loss; one that diverged has an infinite loss from there on. A group ends
    with its longest run. Between its own marks a run has the loss of the last one.

    `by` are columns of `frame` that name a group; curves of configurations that are not in `frame` are ignored. The
    result has one row per group and mark: the columns `by`, then `epoch`, `samples`, `updates`, `runs`, `low`, `median`
    and `high`. Where the batch sizes of a group differ, epochs and updates are those of one of its runs.
    """
    ids = pd.Categorical(curves["config_id"])  # as it stands where it is categorical
    runs = frame.set_index("config_id")
    group_of_run = runs.groupby(list(by), observed=True).ngroup()
    # Categories are looked up, which are thousands where there are hundreds of thousands of marks.
    group_of_id = group_of_run.reindex(ids.categories, fill_value=-1).to_numpy()
    diverged = runs["status"].eq("diverged").reindex(ids.categories, fill_value=False).to_numpy(dtype=bool)
    groups = group_of_id[ids.codes]
    columns = [curves[name].to_numpy() for name in ("samples", "epoch", "updates", "loss")]
    order = np.argsort(groups, kind="stable")
    order = order[np.searchsorted(groups[order], 0) :]
    parts = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1) if order.size else []
    bands = []
    for part in parts:
        one = np.argmax(group_of_run.to_numpy() == groups[part[0]])
        band = _quantiles(ids.codes[part], diverged, *(column[part] for column in columns))
        bands.append(pd.DataFrame({name: runs[name].iloc[one] for name in by} | band))
    if not bands:
        return pd.DataFrame(columns=[*by, "epoch", "samples", "updates", "runs", "low", "median", "high"], dtype=float)
    return pd.concat(bands, ignore_index=True)


def _quantiles(
    codes: NDArray[np.integer],
    diverged: NDArray[np.bool_],
    samples: NDArray[np.integer],
    epoch: Floats,
    updates: NDArray[np.integer],
    loss: Floats,
) -> dict[str, object]:
    """Return the columns of `loss_quantiles` for one group; `diverged` is by code, the others have a value per mark."""
    ids, row = np.unique(codes, return_inverse=True)
    marks, first, column = np.unique(samples, return_index=True, return_inverse=True)
    place = np.full((len(ids), len(marks)), -1)
    place[row, column] = np.arange(len(loss))
    if np.count_nonzero(place >= 0) < len(loss):
        raise ValueError("the losses of a configuration have duplicate marks")
    last = np.maximum.accumulate(np.where(place >= 0, np.arange(len(marks)), -1), axis=1)
    # Before its first mark a run has no loss.
    losses = np.where(
        last >= 0, np.where(np.isnan(loss), np.inf, loss)[np.take_along_axis(place, last, axis=1)], np.nan
    )
    ended = np.arange(len(marks)) > last[:, -1:]
    losses[ended & diverged[ids][:, np.newaxis]] = np.inf
    # Quantiles are interpolated, which infinity does not survive.
    quantiles = np.quantile(losses.clip(max=_DIVERGED_LOSS), [0.1, 0.5, 0.9], axis=0)
    low, median, high = np.where(quantiles < _DIVERGED_LOSS / 1e9, quantiles, np.inf)
    clock = {"epoch": epoch[first], "samples": marks, "updates": updates[first]}
    return clock | {"runs": len(ids), "low": low, "median": median, "high": high}
