"""Runs of a sweep once more, epoch by epoch: a sweep keeps no trajectories, and a run takes a millisecond."""

import numpy as np
import pandas as pd

from bench.data import Dataset
from bench.results import SweepResult
from bench.study import RunTable
from kernels import FitResult, fit

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


def replay(result: SweepResult, chosen: pd.DataFrame, budget: RunTable, data: Dataset) -> dict[str, FitResult]:
    """Train some runs once more.

    Parameters
    ----------
    result : SweepResult
    chosen : DataFrame
        Rows of `result.frame`, with its index, each from another start.
    budget : RunTable
        As in the sweep.
    data : Dataset
        What was trained.

    Returns
    -------
    dict
        From the name of the start to the run.
    """
    return {
        str(row["init"]): fit(
            result.model,
            data.x,
            data.y,
            init=result.starts[place],
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
        for place, row in zip(chosen.index.to_numpy(), chosen.to_dict("records"), strict=True)
    }
