"""The runs that stand for a choice or a start: the best one, and a typical one."""

import numpy as np
import pandas as pd

from bench.tables.run_costs import losses_of, settle_cost

MAX_STARTS = 5  # a figure with more paths cannot be read


def judged_loss(frame: pd.DataFrame) -> str:
    """Return the column of the loss that runs are compared by: that on held-out samples where it ranks choices too."""
    reached = bool((frame["status"] == "converged").any())
    cost = settle_cost("samples", reached=reached, held_out="validation_loss" in frame)
    return "final_loss" if reached else cost


def ended_runs(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the runs that did not fail: with patience those that diverged keep the loss of earlier parameters."""
    return frame[np.isfinite(losses_of(frame, "final_loss"))]


def lowest_run(frame: pd.DataFrame) -> pd.Series | None:
    """Return the run that ended with the lowest loss; None if none ended."""
    ended = ended_runs(frame)
    return None if ended.empty else ended.iloc[ended[judged_loss(ended)].fillna(np.inf).argmin()]


def best_runs(frame: pd.DataFrame) -> pd.DataFrame:
    """Return, for each of the five best starts, the run that ended with the lowest loss: see `lowest_run`."""
    ended = ended_runs(frame)
    ranked: pd.DataFrame = ended.sort_values(judged_loss(ended), kind="stable")
    return ranked.drop_duplicates("init").head(MAX_STARTS).sort_values("init")


def typical_runs(frame: pd.DataFrame) -> pd.DataFrame:
    """Return, for each of the first five starts, the median run of those that reached the target.

    The fastest run has hardly a path to show. Where no run of a start reached the target, it is the one with the lowest
    loss.
    """
    ended = ended_runs(frame)
    ranked = ended.sort_values(["samples_to_target", judged_loss(frame)], kind="stable")
    chosen = []
    for _, runs in ranked.groupby("init", observed=True):
        converged = runs[runs["status"] == "converged"]
        chosen.append(converged.iloc[[len(converged) // 2]] if len(converged) else runs.head(1))
    return pd.concat(chosen[:MAX_STARTS]) if chosen else frame.head(0)
