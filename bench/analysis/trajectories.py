"""Runs of a sweep once more, epoch by epoch: a sweep keeps no trajectories, and a run takes a millisecond."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pandas as pd

from bench.data.table import Dataset
from bench.store.results import SweepResult
from bench.study.load import RunTable
from kernels import FitResult, fit
from kernels.run import Floats

MOST = 5  # starts that a figure can tell apart


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
    """
    parts = []
    for role, chosen in (("best", best_runs(result.frame)), ("typical", typical_runs(result.frame))):
        for place, row in zip(chosen.index.to_numpy(), chosen.to_dict("records"), strict=True):
            path = replay(result, cast(dict[str, Any], row), result.starts[place], budget, data).to_frame()
            parts.append(path.assign(role=role, init=str(row["init"]), config_id=row["config_id"]))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"role": [], "init": [], "config_id": []})


def replay(result: SweepResult, row: Mapping[str, Any], start: Floats, budget: RunTable, data: Dataset) -> FitResult:
    """Train a row of `result.frame` once more, from its start."""
    return fit(
        result.model,
        data.x,
        data.y,
        init=start,
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
    )
