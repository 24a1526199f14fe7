"""Paths of the parameters in some runs, which are trained again: a sweep stores none, and a run takes a millisecond."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sgdbench.analysis.basin import AFFORDABLE_VISITS, INEXACT_SLOWDOWN, SLOWDOWN
from sgdbench.data.table import Dataset
from sgdbench.kernels.base.run import STATUSES, Floats, Integers
from sgdbench.kernels.compile.kinds import TOLERANCE, is_exact
from sgdbench.kernels.data.checkpoints import thin_checkpoints
from sgdbench.kernels.data.samples import check_samples
from sgdbench.kernels.data.validation import Split, hold_out
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.train.block import Runs
from sgdbench.store.results import StoredSweep
from sgdbench.study.run_settings import train_again
from sgdbench.study.schema import RunTable
from sgdbench.tables.costs import choice_columns
from sgdbench.tables.outcomes import typical_runs

# The page allots a megabyte to paths: this many 4-byte numbers, plus a third for base64. Each checkpoint has the
# parameters, the loss and the samples seen.
MAX_NUMBERS = 185_000
# The numbers of checkpoints that show how a run went: the minimum, and the maximum that is visible.
MIN_CHECKPOINTS, MAX_CHECKPOINTS = 16, 101
# Runs that agree in these are trained together.
SHARED_COLUMNS = ["optimizer", "batch_size", "shuffle", "seed"]


class ReplayError(Exception):
    """A repeated run ends elsewhere than in the sweep; the message says where."""


def recorded_paths(
    result: StoredSweep, settings: RunTable, data: Dataset, best: pd.Series | None = None
) -> pd.DataFrame:
    """Train one run of each choice from each start again, with the kernel of the sweep, and record its path.

    It is the run of the first seed. If all together take too much time or space, later starts are omitted, and for a
    single start every second choice, or every third, ..., but never the `best`, a row of a ranking.

    Returns
    -------
    DataFrame
        `config_id` (categorical), `samples`, and as float32 `loss` and `param_<name>`: a row per checkpoint, with the
        rows of a run adjacent. The checkpoints are a selection of the sweep's, from the start to the end of the run
        or, with patience, to its lowest loss on held-out samples. A run that ends elsewhere than in the sweep, because
        the kernel is not exact, is omitted.

    Raises
    ------
    ReplayError
        If a run ends elsewhere than in the sweep, although the kernel is exact.
    """
    return _record(result, settings, data, _choose_runs(result, settings, best))


def typical_paths(result: StoredSweep, settings: RunTable, data: Dataset) -> pd.DataFrame:
    """Record the path of a typical run from each start, as `recorded_paths` does, with its start as `init`."""
    rows = typical_runs(result.frame)
    paths = _record(result, settings, data, rows)
    place = pd.Index(rows["config_id"]).get_indexer(paths["config_id"])
    paths = paths.assign(init=rows["init"].astype(str).to_numpy()[place])
    return paths.iloc[np.argsort(place, kind="stable")].reset_index(drop=True)


def _record(result: StoredSweep, settings: RunTable, data: Dataset, rows: pd.DataFrame) -> pd.DataFrame:
    if result.model.vectors:
        rows = rows.iloc[:0]  # paths of vectors are not recorded
    most = MAX_NUMBERS // (max(1, len(rows)) * (len(result.model.params) + 2))
    checked = check_samples(result.model, data.x, data.y)
    samples = hold_out(result.model, make_loss(settings.loss), *checked, data.validation)
    shared = [*SHARED_COLUMNS, "dtype"] if "dtype" in rows else SHARED_COLUMNS
    parts = [
        _record_group(result, settings, samples, group, min(most, MAX_CHECKPOINTS))
        for _, group in rows.groupby(shared, sort=False, observed=True)
    ]
    parts = parts or [_to_frame(result, [], np.empty(0), np.empty(0), np.empty((0, len(result.model.params))))]
    paths = pd.concat(parts, ignore_index=True)
    return paths.assign(config_id=paths["config_id"].astype("category"))


def _choose_runs(result: StoredSweep, settings: RunTable, best: pd.Series | None) -> pd.DataFrame:
    """Return the rows of `result.frame` to train again, with those of similar length adjacent."""
    rows = result.frame.drop_duplicates([*choice_columns(result.frame), "init"])
    room = max(1, MAX_NUMBERS // (MIN_CHECKPOINTS * (len(result.model.params) + 2)))
    cost = SLOWDOWN.get(settings.kernel, 1) * (1 if result.model.program.is_exact else INEXACT_SLOWDOWN)
    work = cost * (rows["samples_seen"] + result.clock.n * (rows["epochs"] + MIN_CHECKPOINTS))
    # The starts in the grid's order, which puts random ones last.
    start = pd.Series(pd.factorize(rows["init"])[0], rows.index)
    sums = pd.DataFrame({"runs": 1, "work": work}).groupby(start).sum().cumsum()
    fits = (sums["runs"] <= room) & (sums["work"] <= AFFORDABLE_VISITS)
    if fits.any():
        rows = rows[start < fits.sum()]
    else:
        rows = rows[start == 0]
        every = max(-(-len(rows) // room), int(np.ceil(work[rows.index].sum() / AFFORDABLE_VISITS))) if len(rows) else 1
        is_shown = np.arange(1, len(rows) + 1) % every == 0
        if best is not None:
            choice = choice_columns(rows)
            is_shown |= (rows[choice] == best[choice]).all(axis=1) & (work[rows.index] <= AFFORDABLE_VISITS)
        rows = rows[is_shown]
    return rows.sort_values("samples_seen", kind="stable")


def _record_group(
    result: StoredSweep,
    settings: RunTable,
    samples: Split,
    group: pd.DataFrame,
    most: int,
) -> pd.DataFrame:
    """Return the paths of runs that visit the same batches in the same order."""
    first, model = group.iloc[0], result.model
    checkpoints = result.clock.checkpoints(int(first["batch_size"]), settings.epochs)
    over = np.searchsorted(checkpoints, group["samples_seen"].to_numpy(np.int64))
    if (beyond := over >= checkpoints.size).any():
        longest = group["config_id"].iloc[int(np.argmax(beyond))]
        raise ReplayError(f"configuration {longest} is longer than its settings say: they must be those of the sweep")
    ends = over if settings.patience is None else np.searchsorted(checkpoints, group["best_samples"].to_numpy(np.int64))
    thinned = thin_checkpoints(checkpoints[: over.max() + 1], max(3, most - 1))
    at = np.union1d(np.union1d(thinned, ends), over)
    kernel = "fused" if settings.kernel == "reference" else settings.kernel
    starts = result.starts[group.index.to_numpy()]
    runs = train_again(kernel, model, samples, group, starts, settings, checkpoints[: at[-1] + 1], at)
    exact = is_exact(model, settings.kernel, settings.loss, first["optimizer"])
    end_params = runs.path[np.searchsorted(at, ends), np.arange(len(group))]
    same = _agree(end_params, runs, group, over, exact, model.params)
    shown = (np.isin(at, thinned)[:, np.newaxis] & (at[:, np.newaxis] < ends)) | (at[:, np.newaxis] == ends)
    run, place = np.nonzero((shown & same).T)
    ids = group["config_id"].to_numpy()[run]
    losses = runs.losses[np.minimum(at[place], runs.checkpoints[run]), run]
    return _to_frame(result, ids, checkpoints[at[place]], losses, runs.path[place, run])


def _agree(
    end_params: Floats, runs: Runs, group: pd.DataFrame, ends: Integers, exact: bool, params: tuple[str, ...]
) -> Any:
    """Return which runs ended as in the sweep, at the same kept parameters; raise if an exact run did not."""
    expected = group[[f"param_{name}" for name in params]].to_numpy(float)
    near = np.isclose(
        end_params, expected, rtol=0 if exact else TOLERANCE, atol=0 if exact else TOLERANCE, equal_nan=True
    )
    status = np.array(STATUSES)[runs.status] == group["status"].astype(str).to_numpy()
    same = near.all(axis=1) & status & (runs.checkpoints == ends)
    if exact and not same.all():
        wrong = int(np.argmin(same))
        raise ReplayError(
            f"configuration {group['config_id'].iloc[wrong]}, trained once more, ends at {end_params[wrong].tolist()}, "
            f"and in the sweep at {expected[wrong].tolist()}: data and settings must be those of the sweep"
        )
    return same


def _to_frame(result: StoredSweep, ids: Any, samples: Integers | Floats, loss: Floats, params: Floats) -> pd.DataFrame:
    numbers = {"loss": _to_float32(loss)}
    if not result.model.vectors:
        numbers |= {f"param_{name}": _to_float32(params[:, k]) for k, name in enumerate(result.model.params)}
    return pd.DataFrame({"config_id": ids, "samples": samples.astype(np.int64), **numbers})


def _to_float32(values: Floats) -> NDArray[np.float32]:
    """Return the values as float32; finite ones stay finite, because a run may return from far away."""
    most = float(np.finfo(np.float32).max)
    return np.where(np.isfinite(values), np.clip(values, -most, most), values).astype(np.float32)
