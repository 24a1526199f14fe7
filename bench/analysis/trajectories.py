"""Runs of a sweep once more, epoch by epoch: a sweep keeps no trajectories, and a run takes a millisecond."""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd

from bench.data.table import Dataset
from bench.store.results import SweepResult
from bench.study.schema import RunTable
from kernels import FitResult, fit
from kernels.agreement import NUDGE, TOLERANCE, is_exact, largest_error
from kernels.run import Floats

MOST = 5  # starts that a figure can tell apart


class ReplayError(Exception):
    """A run that is trained once more does not end where the sweep says that it did; the message says where it does."""


def best_runs(frame: pd.DataFrame) -> pd.DataFrame:
    """From each start, the run that reached the target first, or else has the lowest loss; of the five best starts."""
    return _ranked(frame).drop_duplicates("init").head(MOST).sort_values("init")


def typical_runs(frame: pd.DataFrame) -> pd.DataFrame:
    """From each of the first five starts, the run in the middle of those that reached the target, ranked by when.

    The fastest one is often there after an epoch and has no path to show. Where no run of a start reached the target
    it is the one with the lowest loss.
    """
    chosen = []
    for _, runs in _ranked(frame).groupby("init", observed=True):
        converged = runs[runs["status"] == "converged"]
        chosen.append(converged.iloc[[len(converged) // 2]] if len(converged) else runs.head(1))
    return pd.concat(chosen[:MOST]) if chosen else frame.head(0)


def _ranked(frame: pd.DataFrame) -> pd.DataFrame:
    ended = frame[np.isfinite(frame["final_loss"])]
    ranked: pd.DataFrame = ended.sort_values(["epochs_to_target", "final_loss"], kind="stable")
    return ranked


def trajectories(result: SweepResult, budget: RunTable, data: Dataset) -> pd.DataFrame:
    """The best and the typical run from each start, trained once more.

    A run that makes roundings large ends anywhere with another kernel; where that happens it is left out.

    Parameters
    ----------
    result : SweepResult
    budget : RunTable
        As in the sweep.
    data : Dataset
        What was trained.

    Returns
    -------
    DataFrame
        `role` ("best" or "typical"), `init` (the start), `config_id`, and the columns of `FitResult.to_frame`.

    Raises
    ------
    ReplayError
        As from `replay`.
    """
    parts = []
    for role, chosen in (("best", best_runs(result.frame)), ("typical", typical_runs(result.frame))):
        for place, row in zip(chosen.index.to_numpy(), chosen.to_dict("records"), strict=True):
            again = replay(result, cast(dict[str, Any], row), result.starts[place], budget, data)
            if again is not None:
                parts.append(again.to_frame().assign(role=role, init=str(row["init"]), config_id=row["config_id"]))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"role": [], "init": [], "config_id": []})


def replay(
    result: SweepResult, row: Mapping[str, Any], start: Floats, budget: RunTable, data: Dataset
) -> FitResult | None:
    """Train a row of `result.frame` once more, from its start.

    Returns
    -------
    FitResult or None
        It ends where the row says, to the bit where the kernel promises that, and else within a tolerance; None where
        it does not because training makes roundings large.

    Raises
    ------
    ReplayError
        If it ends elsewhere for another reason: these are not the data or the settings of the sweep, or a kernel is
        wrong.
    """

    def train(init: Floats) -> FitResult:
        return fit(
            result.model,
            data.x,
            data.y,
            init=init,
            lr=row["lr"],
            schedule=row["schedule"],
            batch_size=row["batch_size"],
            epochs=budget.epochs,
            shuffle=row["shuffle"],
            seed=row["seed"],
            drop_last=budget.drop_last,
            optimizer=row["optimizer"],
            loss=budget.loss,
            target=budget.target,
            kernel="fused-fma" if budget.kernel.endswith("-fma") else "fused",
        )

    params = np.array([row[f"param_{name}"] for name in result.model.params])
    stored = _End(row["status"], int(row["epochs"]), np.array([row["final_loss"], *params]))
    again = train(start)
    found = _end(again)
    tolerance = 0.0 if is_exact(result.model, budget.kernel, budget.loss) else TOLERANCE
    if _agree(found, stored, tolerance):
        return again
    if tolerance and not _agree(_end(train(start + NUDGE * np.maximum(np.abs(start), 1))), found, tolerance):
        return None
    raise ReplayError(
        f"configuration {row['config_id']}, trained once more, ends as {found}, and in the sweep as {stored}: data and "
        "settings must be those of the sweep"
    )


class _End(NamedTuple):
    """Where a run ended, with its loss and parameters in one row."""

    status: str
    epochs: int
    values: Floats

    def __str__(self) -> str:
        loss, *params = self.values.tolist()
        return f"{self.status} after {self.epochs} epochs with the loss {loss!r} at {params}"


def _end(run: FitResult) -> _End:
    return _End(run.status, run.epochs, np.array([run.loss[-1], *run.params]))


def _agree(found: _End, expected: _End, tolerance: float) -> bool:
    """Whether two runs ended alike: to the bit without a tolerance."""
    if tolerance and found.status == expected.status == "diverged":
        return True  # near the end of the range a rounding decides in which epoch, and between inf and nan
    if (found.status, found.epochs) != (expected.status, expected.epochs):
        return False
    if not tolerance:
        return np.array_equal(found.values, expected.values, equal_nan=True)
    return largest_error(found.values, expected.values) <= tolerance
