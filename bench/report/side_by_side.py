"""Several runs side by side, as one page: what is best in each, how its loss falls, how fast, and where they differ."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex

from bench.plots.style import colors_of
from bench.report.page import LIBRARY, assemble_page, to_script_data
from bench.report.run_data import RunData
from bench.system.atomic import replace_atomically
from bench.tables.formatting import MISSING, text
from bench.tables.ranking import best_choices, loss_quantiles
from bench.tables.readable import Column, TextTable, readable_table, text_table
from bench.tables.verdict import best_choice_runs, describe_choice

COMPARISON_SCRIPTS = [LIBRARY, "data.js", "look.js", "comparison.js"]
MAX_EPOCHS = 400
MEDIANS = ["epochs_to_target", "final_loss", "seconds"]


def write_comparison(runs_data: list[RunData], path: Path) -> Path:
    """Write the page of several runs, whose own pages it links to.

    Parameters
    ----------
    runs_data : list of RunData
    path : pathlib.Path

    Returns
    -------
    pathlib.Path
        The page.
    """
    names = run_names(runs_data)
    runs = dict(zip(names, runs_data, strict=True))
    trained = {name: run_data for name, run_data in runs.items() if len(run_data.frame)}
    curves = [_curve_data(name, run_data) for name, run_data in trained.items()]
    colors = colors_of(names)
    made = assemble_page(
        "comparison.html.j2",
        COMPARISON_SCRIPTS,
        to_script_data(
            {"runs": [curve | {"color": to_hex(colors[curve["name"]])} for curve in curves if curve["epochs"]]}
        ),
        title=f"{len(runs)} runs side by side",
        best=_transpose(
            text_table(pd.DataFrame([_best_choice_row(name, run_data) for name, run_data in runs.items()]))
        ),
        runs=[_describe_run(name, run_data, path) for name, run_data in runs.items()],
        speed=_speed_table(runs),
        **_compare_environments(runs),
    )
    with replace_atomically(path) as temporary:
        temporary.write_text(made, encoding="utf-8")
    return path


def run_names(runs_data: list[RunData]) -> list[str]:
    """What each run is called: its title, and its folder where that tells them apart."""
    titles = [text(run_data.title) for run_data in runs_data]
    folders = [text(str(run_data.result.run.folder)) for run_data in runs_data]
    return [
        title if titles.count(title) == 1 else f"{title} ({folder})"
        for title, folder in zip(titles, folders, strict=True)
    ]


def _best_choice_row(name: str, run_data: RunData) -> dict[str, Any]:
    """A line of the table of best choices."""
    row: dict[str, Any] = {
        "run": name,
        "model": run_data.result.model.expression,
        "data": run_data.source[4:] or MISSING,
    }
    if run_data.frame.empty:
        return row | {"best_choice": "nothing is trained yet"}
    ranked = best_choices(run_data.frame)
    top, winner = ranked.iloc[0], best_choice_runs(run_data.frame, ranked)
    return row | {
        "best_choice": describe_choice(winner.iloc[0]),
        "runs": top["runs"],
        "converged": top["converged"],
        **{name: top[name] for name in MEDIANS},
        "target": run_data.target,
    }


def _transpose(table: TextTable) -> TextTable:
    """The table with a column for each of its rows, which are few and have much to tell."""
    names, *lines = [list(cells) for cells in zip(*table.rows, strict=True)]
    rows = [[column.title, *cells] for column, cells in zip(table.columns[1:], lines, strict=True)]
    return TextTable([Column("", False), *(Column(name, False) for name in names)], rows)


def _describe_run(name: str, run_data: RunData, page: Path) -> dict[str, Any]:
    """A run in words, and where its own page is."""
    folder = run_data.result.run.folder
    own = os.path.relpath(folder / "report.html", page.parent)
    said = [(about, text(sentence)) for about, sentence in run_data.verdict.items()]
    facts = [("Configurations", text(len(run_data.frame))), *said]
    return {"name": name, "link": quote(own.replace(os.sep, "/")), "facts": facts}


def _curve_data(name: str, run_data: RunData) -> dict[str, Any]:
    """The median of the best choice with its band, as the chart wants it."""
    winner = best_choice_runs(run_data.frame, best_choices(run_data.frame))
    bands = loss_quantiles(winner, run_data.result.run.curves(winner["config_id"].tolist()), ["optimizer"])
    bands = bands.iloc[:: -(-len(bands) // MAX_EPOCHS) or 1]
    finite = {
        column: [value if np.isfinite(value) else None for value in bands[column].tolist()]
        for column in ("low", "median", "high")
    }
    return {"name": name, "target": run_data.target, "epochs": bands["epoch"].tolist(), **finite}


def _speed_table(runs: dict[str, RunData]) -> TextTable | None:
    """The speeds of every variant in every run that has measured them, one beside the other."""
    joined: pd.DataFrame | None = None
    for name, run_data in runs.items():
        if "speed" not in run_data.evidence:
            continue
        shown = readable_table("speed", run_data.evidence["speed"])
        kept = [column for column in ("verified", "ns per sample-update", "x C") if column in shown]
        own = shown[["variant", *kept]].rename(columns={column: f"{name}: {column}" for column in kept})
        joined = own if joined is None else joined.merge(own, on="variant", how="outer", sort=False)
    return None if joined is None else text_table(joined)


def _compare_environments(runs: dict[str, RunData]) -> dict[str, Any]:
    """Where the machines differ, as a table, and what is the same, in a sentence."""
    environments = {name: run_data.result.run.environment for name, run_data in runs.items()}
    facts = dict.fromkeys(fact for environment in environments.values() for fact in environment)
    told = {fact: [text(environment.get(fact)) for environment in environments.values()] for fact in facts}
    same = ", ".join(f"{fact} {values[0]}" for fact, values in told.items() if len(set(values)) == 1)
    rows = [[fact, *values] for fact, values in told.items() if len(set(values)) > 1]
    return {"differing": text_table(pd.DataFrame(rows, columns=["", *runs])) if rows else None, "same": same}
