"""The report of a search for settings: report.html, report.md, tables/ and figures/ in its folder."""

from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from sgdbench.charts.tuning import history_chart, slices_chart
from sgdbench.report.answer import find_answer
from sgdbench.report.report import write_run_report
from sgdbench.report.run_data import run_data_of
from sgdbench.report.short_report import Figures, write_short_report
from sgdbench.report.tune_data import TuneData
from sgdbench.store.tuning import GRID_FOLDER
from sgdbench.tables.rank import constant_settings
from sgdbench.tables.render import ratio_title
from sgdbench.tables.search import GRID, grid_in_random_order, search_history
from sgdbench.tables.words import describe_ratio, describe_seeds

# The page lists this many of the best trials; the tables have all of them.
LISTED = 20


def write_tune_report(data: TuneData, *, svg: bool = False) -> Path:
    """Write the report of a search, and that of the grid that it is compared with; return the page of the search."""
    folder = data.result.run.folder
    if data.grid_values is not None and data.tuning.grid is not None:
        write_run_report(run_data_of(data.tuning.grid), svg=svg, figures=False)
    trials = data.tuning.trials
    frames = {
        "trials": trials.drop(columns="params", errors="ignore"),
        "importance": data.tuning.importance,
        "rivals": data.on_fresh_seeds,
    }
    return write_short_report(
        folder,
        "tune.html.j2",
        f"{data.title}: tuned",
        data.verdict,
        frames=frames,
        tables=_readable_tables(data),
        figures=_figures(data) if len(trials) else {},
        svg=svg,
        search=data,
        answer=find_answer(data) if len(data.frame) else None,
        said_by_answer=("Best choice", "Ties"),
        grid=f"{GRID_FOLDER}/report.html" if data.grid_values is not None else None,
        pruned=bool(trials["state"].eq("pruned").any()),
    )


def _figures(data: TuneData) -> Figures:
    """Return what makes each chart, by name."""
    look: dict[str, Any] = {"label": data.value_label, "logarithmic": data.is_logarithmic}
    grid = None if data.grid_values is None else grid_in_random_order(data.grid_values)
    steps = search_history(data.tuning.trials)
    figures = {"search_history": partial(history_chart, steps, grid, data.names, **look)}
    shares = data.tuning.importance.set_index("parameter")
    for number, (family, name) in enumerate(data.names.items(), start=1):
        own = data.tuning.trials[data.tuning.trials["family"] == family]
        params = pd.DataFrame(own["params"].tolist())
        values = params.assign(value=own["value"].to_numpy(), state=own["state"].to_numpy())
        of_family = {str(one): share for one, share in shares[shares["family"] == family]["importance"].items()}
        figures[f"search_slices_{number}"] = partial(slices_chart, values, of_family, **look, name=name)
    return figures


def _readable_tables(data: TuneData) -> dict[str, pd.DataFrame]:
    tables, rivals = {}, data.on_fresh_seeds
    constant = constant_settings(data.frame, ("shuffle", "dtype"))
    if rivals is not None:
        ranked = rivals.assign(recommended=rivals.index == 0)
        shown = data.readable("best", ranked.drop(columns=constant))
        shown.insert(0, "from", rivals["rival"])
        shown[ratio_title(rivals)] = [describe_ratio(row) for _, row in rivals.iterrows()]
        tables[f"The best of each optimizer and of the grid, on {describe_seeds(data.rivals_seeds)}"] = shown
    if len(data.frame):
        # With the verdicts of fresh seeds.
        of_trials = data.ranked[data.ranked["family"] != GRID]
        best = of_trials[data.choices.columns].head(LISTED).drop(columns=constant)
        tables["The best trials, on the seeds of the search"] = data.readable("best", best)
    return tables
