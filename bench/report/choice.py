"""The best choice of a run, with all that is needed to go on with it."""

import json
from typing import Any

import numpy as np
import pandas as pd

from sgdbench.kernels.base.checks import describe
from sgdbench.report.reproduce import HELD_OUT, common_settings, held_out_shares, reproduction, run_table
from sgdbench.report.run_data import RunData
from sgdbench.report.start_text import SEED, start_texts
from sgdbench.store.choice import Choice
from sgdbench.study.grid import DEFAULT_START
from sgdbench.study.run_settings import choice_settings
from sgdbench.tables.costs import choice_columns, losses_of
from sgdbench.tables.facts import FULL
from sgdbench.tables.outcomes import judged_loss
from sgdbench.tables.rank import recommended_choice, runs_of


def find_choice(run_data: RunData, cost: str, optimizer: str | None) -> Choice:
    """Return the recommended choice of a run, or the best one of an optimizer; see `SweepResult.best`."""
    if run_data.frame.empty:
        raise ValueError("nothing has been trained to its end yet: there is no best choice")
    ranked = run_data.ranked if cost == "samples" else run_data.ranked_by(cost)
    row = recommended_choice(ranked)
    if optimizer is not None:
        rivals = ranked[run_data.rivals].astype(str).replace(run_data.names)
        own = ranked[(ranked["optimizer"].astype(str) == str(optimizer)) | (rivals == str(optimizer))]
        if own.empty:
            tried = ", ".join(map(repr, rivals.unique()))
            raise ValueError(f"optimizer must be one trained to the end, {tried}, not {describe(optimizer)}")
        row = own.iloc[0]
    runs = runs_of(run_data.frame, row)
    handed_out = _find_typical_run(runs)
    start = run_data.result.starts[run_data.frame.index.get_loc(handed_out.name)]
    tied = ranked[ranked["tied"] & (ranked.index != row.name)] if row["tied"] else ranked.head(0)
    seeds = [int(seed) for seed in np.unique(runs["seed"])]
    starts = _starts_of(run_data, runs)
    if starts == {}:
        starts, seeds = {"start": start.tolist()}, [int(handed_out["seed"])]
    text = start_texts(run_data).get(str(handed_out["init"]))
    rank = int(np.flatnonzero(ranked.index == row.name)[0]) + 1
    return Choice(
        run_data.result.model,
        _settings_of(row, run_data),
        common_settings(run_data) | _held_out(run_data),
        start,
        int(handed_out["seed"]),
        starts,
        seeds,
        rank,
        row,
        tied[[*choice_columns(ranked), "ratio", "verdict"]].reset_index(drop=True),
        reproduction(run_data),
        None if text is None or text.python is None else text.python.replace(SEED, str(handed_out["seed"])),
    )


def _settings_of(row: pd.Series, run_data: RunData) -> dict[str, Any]:
    """Return the settings of a choice; a batch of all samples is called full, so that it is one of other data too."""
    settings = choice_settings(row, run_table(run_data))
    is_full = settings["batch_size"] == run_data.samples > 1
    return settings | ({"batch_size": FULL} if is_full else {})


def _find_typical_run(runs: pd.DataFrame) -> pd.Series:
    """Return the first of the runs of a choice that reached the target, or that ended no higher than their median.

    The first run of all may be one of few that fail, as from a start in another valley.
    """
    reached = runs[runs["status"] == "converged"]
    if reached.empty:
        losses = pd.Series(losses_of(runs, judged_loss(runs)), runs.index)
        reached = runs[losses <= losses.quantile(0.5, interpolation="lower")]
    return reached.iloc[0]


def _starts_of(run_data: RunData, runs: pd.DataFrame) -> Any:
    """Return the starts of the runs of a choice as the `init` of a grid.

    For a study, these are the starts of its grid; for a sweep in Python, texts for random starts and numbers for the
    others. The result is empty if starts differ between seeds in a folder of 0.2, which does not store how they were
    drawn.
    """
    if run_data.study:
        return run_data.study.grid.init
    drawn: dict[str, str] = json.loads(run_data.recorded.get("drawn", "{}"))
    starts = run_data.result.starts[run_data.frame.index.get_indexer(runs.index)]
    by_name: dict[str, Any] = {}
    for name, start in zip(runs["init"].astype(str), starts.tolist(), strict=True):
        entry = next((entry for entry in (name, name.rpartition("[")[0]) if entry in drawn), None)
        value = drawn[entry] if entry else start
        if by_name.setdefault(entry or name, value) != value:
            return {}
    return None if by_name == {DEFAULT_START: DEFAULT_START} else by_name


def _held_out(run_data: RunData) -> dict[str, Any]:
    """Return the held-out samples as arguments of `fit`, as shares or as arrays, as far as they are known."""
    if run_data.data is None:
        return held_out_shares(run_data)
    held_out = {name: getattr(run_data.data, name) for name in HELD_OUT}
    return {name: samples for name, samples in held_out.items() if samples is not None}
