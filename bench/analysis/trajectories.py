"""Trajectories of some runs, trained once more: a sweep stores none, and a run takes a millisecond."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd

from bench.data.table import Dataset
from bench.store.results import SweepResult
from bench.study.run_settings import fit_settings
from bench.study.schema import RunTable
from kernels import FitResult, fit
from kernels.base.run import Floats
from kernels.compile.kinds import KERNELS, NUDGE, TOLERANCE, is_exact, largest_error

MAX_STARTS = 5  # a figure with more paths cannot be read


class ReplayError(Exception):
    """A run that ends elsewhere than in the sweep when it is trained once more; the message says where."""


def best_runs(frame: pd.DataFrame) -> pd.DataFrame:
    """Return, for each of the five best starts, the run that reached the target first, or else has the lowest loss."""
    return _rank_runs(frame).drop_duplicates("init").head(MAX_STARTS).sort_values("init")


def typical_runs(frame: pd.DataFrame) -> pd.DataFrame:
    """Return, for each of the first five starts, the median run of those that reached the target.

    The fastest run has hardly a path to show. Where no run of a start reached the target, it is the one with the lowest
    loss.
    """
    chosen = []
    for _, runs in _rank_runs(frame).groupby("init", observed=True):
        converged = runs[runs["status"] == "converged"]
        chosen.append(converged.iloc[[len(converged) // 2]] if len(converged) else runs.head(1))
    return pd.concat(chosen[:MAX_STARTS]) if chosen else frame.head(0)


def _rank_runs(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the runs with a finite loss, the one that reached the target first in front."""
    ended = frame[np.isfinite(frame["final_loss"])]
    ranked: pd.DataFrame = ended.sort_values(["samples_to_target", "final_loss"], kind="stable")
    return ranked


def trajectories(result: SweepResult, settings: RunTable, data: Dataset) -> pd.DataFrame:
    """Train the best and the typical run from each start once more.

    A run that amplifies rounding errors ends elsewhere with another kernel, and is left out.

    Parameters
    ----------
    result : SweepResult
    settings : RunTable
        As in the sweep.
    data : Dataset
        The data that were trained on.

    Returns
    -------
    DataFrame
        `role` ("best" or "typical"), `init` (the start), `config_id`, and the columns of `FitResult.to_frame`, up to
        the mark whose parameters the run keeps.

    Raises
    ------
    ReplayError
        As from `replay`.
    """
    parts = []
    for role, chosen in (("best", best_runs(result.frame)), ("typical", typical_runs(result.frame))):
        for place, row in zip(chosen.index.to_numpy(), chosen.to_dict("records"), strict=True):
            named = cast(dict[str, Any], row)
            again = replay(result, named, result.starts[place], settings, data)
            if again is not None:
                path = again.to_frame().iloc[: 1 + _kept_mark(again, named, settings)]
                parts.append(path.assign(role=role, init=str(row["init"]), config_id=row["config_id"]))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"role": [], "init": [], "config_id": []})


def replay(
    result: SweepResult, row: Mapping[str, Any], start: Floats, settings: RunTable, data: Dataset
) -> FitResult | None:
    """Train a row of `result.frame` once more, from its start.

    Returns
    -------
    FitResult or None
        It ends where the row says, to the bit where the kernel promises that, and else within a tolerance; None where
        it does not because training amplifies rounding errors.

    Raises
    ------
    ReplayError
        If it ends elsewhere for another reason: these are not the data or the settings of the sweep, or a kernel is
        wrong.
    """
    params = np.array([row[f"param_{name}"] for name in result.model.params])
    stored = _End(row["status"], int(row["samples_seen"]), np.array([row["final_loss"], *params]))
    again = _train(result, row, start, settings, data)
    found = _end_of(again, row, settings)
    exact = is_exact(result.model, settings.kernel, settings.loss, row["optimizer"])
    tolerance = 0.0 if exact else TOLERANCE
    if _ends_agree(found, stored, tolerance):
        return again
    if tolerance:
        nudged = _train(result, row, start + NUDGE * np.maximum(np.abs(start), 1), settings, data)
        if not _ends_agree(_end_of(nudged, row, settings), found, tolerance):
            return None
    raise ReplayError(
        f"configuration {row['config_id']}, trained once more, ends as {found}, and in the sweep as {stored}: data and "
        "settings must be those of the sweep"
    )


def _train(result: SweepResult, row: Mapping[str, Any], start: Floats, settings: RunTable, data: Dataset) -> FitResult:
    """Train with the choices of a row and the settings of the sweep."""
    return fit(
        result.model,
        data.x,
        data.y,
        init=start,
        kernel="fused-fma" if KERNELS[settings.kernel].fma else "fused",
        validation=data.validation,
        **fit_settings(row, settings, result.clock),
    )


@dataclass(frozen=True, eq=False)
class _End:
    """Where a run ended, with the loss and the parameters that it keeps in one row."""

    status: str
    samples: int
    values: Floats

    def __str__(self) -> str:
        loss, *params = self.values.tolist()
        return f"{self.status} after {self.samples} samples with the loss {loss!r} at {params}"


def _end_of(run: FitResult, row: Mapping[str, Any], settings: RunTable) -> _End:
    """Return where a run ended, at the mark whose parameters the row of the sweep has."""
    mark = _kept_mark(run, row, settings)
    return _End(run.status, int(run.samples_seen[-1]), np.array([run.loss[mark], *run.trajectory[mark]]))


def _kept_mark(run: FitResult, row: Mapping[str, Any], settings: RunTable) -> int:
    """Return the mark whose parameters a row of the sweep has: between equally good marks a rounding decides."""
    last = run.loss.size - 1
    return last if settings.patience is None else min(last, int(np.searchsorted(run.samples_seen, row["best_samples"])))


def _ends_agree(found: _End, expected: _End, tolerance: float) -> bool:
    """Return whether two runs ended alike: to the bit without a tolerance."""
    if tolerance and found.status == expected.status == "diverged":
        return True  # near the end of the range a rounding decides at which mark, and between inf and nan
    if (found.status, found.samples) != (expected.status, expected.samples):
        return False
    if not tolerance:
        return np.array_equal(found.values, expected.values, equal_nan=True)
    return largest_error(found.values, expected.values) <= tolerance
