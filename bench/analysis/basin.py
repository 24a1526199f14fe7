"""The basin of attraction: where runs end that start anywhere in a plane of two parameters."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from sgdbench.analysis.surface import MAX_SAMPLES
from sgdbench.data.table import Dataset
from sgdbench.kernels import Model
from sgdbench.kernels.base.columns import stack_columns
from sgdbench.kernels.base.run import CONVERGED, STATUSES, Floats, Integers
from sgdbench.kernels.data.samples import check_samples
from sgdbench.kernels.data.validation import hold_out
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.model.evaluate import evaluate
from sgdbench.kernels.train.block import Runs
from sgdbench.store.results import StoredSweep
from sgdbench.study.run_settings import train_again
from sgdbench.study.schema import RunTable
from sgdbench.tables.costs import choice_columns
from sgdbench.tables.outcomes import ended_runs, judged_loss
from sgdbench.tables.rank import leaders

# Starts along each side of the plane: the number if affordable, and the minimum.
STARTS_PER_SIDE, MIN_STARTS_PER_SIDE = 41, 11
MAX_PLANES = 3
# Samples visited by all runs of a plane, which take at most 0.1 s; functions such as exp take four times as long. An
# epoch of few samples counts as one of a hundred, because of the loss that is stored after it.
AFFORDABLE_VISITS, INEXACT_SLOWDOWN, MIN_EPOCH_SAMPLES = 150_000_000, 4, 100
# The time of other kernels relative to lanes.
SLOWDOWN = {"fused": 16, "fused-fma": 16, "reference": 50_000}
# Starts beyond this many times the median distance are not in the plane.
OUTLIER_FACTOR = 10.0
OUTCOME_COLUMNS = ["status", "samples_seen", "samples_to_target", "final_loss"]


def basin(result: StoredSweep, settings: RunTable, data: Dataset, ranked: pd.DataFrame) -> pd.DataFrame:
    """Train from a plane of starts in two parameters, with the choices of `best_run_of_each_optimizer`.

    The plane goes through the end of the first of these runs. It varies two parameters: first those in which the model
    is nonlinear, then those that start farthest from the end. It covers the starts of the sweep except distant ones.
    The other parameters start where that run ended. With many samples, or a kernel in `settings` slower than lanes, the
    plane has fewer starts and the runs have fewer epochs.

    Returns
    -------
    DataFrame
        For each of the runs one row per start, up to 41 by 41: `config_id` and the choices of the run; its start,
        `param_<name>`, of which two vary; `status`, `samples_seen`, `samples_to_target` (missing if not reached) and
        `final_loss`, at the parameters that the run keeps. Empty for a model of one parameter, if no run was completed,
        or if there are too many samples.
    """
    model, names = result.model, [f"param_{name}" for name in result.model.params]
    if model.vectors:
        # Two of many weights tell little about where runs end.
        return pd.DataFrame(columns=["config_id", *choice_columns(result.frame), *OUTCOME_COLUMNS])
    rows = best_run_of_each_optimizer(result.frame, ranked)
    ended = rows.iloc[np.flatnonzero(np.isfinite(rows[names].to_numpy(float)).all(axis=1))]
    # Held-out samples affect a run only with patience, where they decide which parameters are kept.
    validation = None if settings.patience is None else data.validation
    samples = hold_out(model, make_loss(settings.loss), *check_samples(model, data.x, data.y), validation)
    columns, y = samples.train
    cost = SLOWDOWN.get(settings.kernel, 1) * (1 if model.program.is_exact else INEXACT_SLOWDOWN)
    size, epochs = _affordable_plane(y.size, settings.epochs, cost)
    about = ["config_id", *choice_columns(ended)]
    if ended.empty or len(names) < 2 or not epochs:
        return pd.DataFrame(columns=[*about, *names, *OUTCOME_COLUMNS])
    end = ended[names].iloc[0].to_numpy(float)
    pair = _choose_parameters(model, end, result.starts, columns)
    starts = _plane_starts(pair, end, _plane_extent(end, result.starts), size)
    planes = []
    for place in range(len(ended)):
        row = ended.iloc[[place]]
        checkpoints = result.clock.checkpoints(int(row["batch_size"].iloc[0]), epochs)
        runs = train_again(settings.kernel, model, samples, row, starts, settings, checkpoints)
        plane = dict(zip(names, starts.T, strict=True)) | _outcome(runs, checkpoints[runs.checkpoints])
        planes.append(pd.DataFrame(plane).assign(**row[about].iloc[0]))
    return pd.concat(planes, ignore_index=True)[[*about, *names, *OUTCOME_COLUMNS]]


def _outcome(runs: Runs, samples_seen: Integers) -> dict[str, Any]:
    """Return the outcome of runs that have seen these numbers of samples."""
    return {
        "status": np.array(STATUSES)[runs.status],
        "samples_seen": samples_seen,
        "samples_to_target": pd.Series(samples_seen, dtype="Int64").where(runs.status == CONVERGED),
        "final_loss": runs.kept_results().losses,
    }


def best_run_of_each_optimizer(frame: pd.DataFrame, ranked: pd.DataFrame) -> pd.DataFrame:
    """Return, for each of the three best optimizers in order, the run of its best choice with the lowest final loss."""
    ended = ended_runs(frame)
    chosen = leaders(ranked)
    shared = choice_columns(chosen)
    lowest = chosen[shared].merge(ended.sort_values(judged_loss(ended), kind="stable"), on=shared)
    return lowest.drop_duplicates("optimizer", ignore_index=True).head(MAX_PLANES)


def _affordable_plane(n: int, epochs: int, cost: int) -> tuple[int, int]:
    """Return the number of starts per side, which is odd, and the epochs; zeros if even one takes too long."""
    visits = AFFORDABLE_VISITS // cost // max(n, MIN_EPOCH_SAMPLES)
    size = min(STARTS_PER_SIDE, max(MIN_STARTS_PER_SIDE, int((visits / epochs) ** 0.5)))
    size -= 1 - size % 2
    return size, min(epochs, visits // (size * size))


def _choose_parameters(model: Model, end: Floats, starts: Floats, columns: tuple[Floats, ...]) -> tuple[int, int]:
    """Return the indices of the two parameters that vary, in the model's order."""
    few = [column[:: max(1, column.size // MAX_SAMPLES)] for column in columns]
    distance = np.median(np.abs(starts - end), axis=0)

    def derivatives(theta: Floats) -> Sequence[Floats]:
        with np.errstate(all="ignore"):
            return evaluate(model.program, theta, stack_columns(few, few[0].size if few else 1), np.zeros(()))[1]

    here = derivatives(end)
    curved = []
    for k, step in enumerate(0.1 * np.abs(end) + 0.1):
        there = derivatives(end + step * (np.arange(end.size) == k))
        curved.append(not np.array_equal(here[k], there[k], equal_nan=True))
    ranked = sorted(range(end.size), key=lambda k: (not curved[k], -distance[k]))
    first, second = sorted(ranked[:2])
    return first, second


def _plane_extent(end: Floats, starts: Floats) -> Floats:
    """Return how far the plane extends from the end, per parameter: to the farthest start that is not distant."""
    distance = np.abs(starts - end)
    middle = np.median(distance, axis=0)
    extent = np.where(distance <= OUTLIER_FACTOR * middle, distance, 0).max(axis=0)
    return 1.25 * np.where(extent > 0, extent, np.maximum(np.abs(end), 1))


def _plane_starts(pair: tuple[int, int], end: Floats, extent: Floats, size: int) -> Floats:
    """Return the starts, shape (size * size, P), in which the second parameter varies fastest."""
    starts = np.tile(end, (size * size, 1))
    offsets = np.meshgrid(np.linspace(-1, 1, size), np.linspace(-1, 1, size), indexing="ij")
    for k, offset in zip(pair, offsets, strict=True):
        starts[:, k] += extent[k] * offset.ravel()
    return starts
