"""A page that compares several runs: their best choices, loss curves, speeds and machines."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from sgdbench.charts.chart import Key, to_data
from sgdbench.charts.colors import colors_of
from sgdbench.charts.loss_axis import PLAIN, LossAxis
from sgdbench.charts.losses import loss_charts, with_words
from sgdbench.report.answer import sample_of
from sgdbench.report.page import LIBRARY, assemble_page
from sgdbench.report.run_data import RunData
from sgdbench.system.atomic import explain_unwritable, write_text
from sgdbench.tables.chart_words import COMPARED_RUNS_CAPTION
from sgdbench.tables.confirm import is_confirmed
from sgdbench.tables.formatting import MISSING, text
from sgdbench.tables.outcomes import ALL_STARTS
from sgdbench.tables.rank import recommended_choice
from sgdbench.tables.render import Column, TextTable, readable_table, text_table
from sgdbench.tables.words import describe_choice

COMPARISON_SCRIPTS = [LIBRARY, "look.js", "chart.js", "comparison.js"]
SPEED_COLUMNS = ("verified", "ns per sample-update", "speedup over C")
MEDIANS = ["samples", "updates", "seconds", "validation_loss", "final_loss"]


def write_comparison(runs_data: list[RunData], path: Path) -> Path:
    """Write the page that compares several runs and links to their own pages; return its path."""
    names = run_names(runs_data)
    runs = dict(zip(names, runs_data, strict=True))
    best = pd.DataFrame([_best_choice_row(name, run_data) for name, run_data in runs.items()])
    best = best.dropna(axis="columns", how="all")
    if _losses_differ(runs):
        best.insert(3, "loss", list(map(_name_loss, runs_data)))
    # A run reaches its target at one of its checkpoints: with others it needs more samples, or fewer.
    records = [run_data.result.run.identity["record"] for run_data in runs_data]
    if len(set(records)) > 1:
        best.insert(3, "losses_recorded", records)
    html = assemble_page(
        "comparison.html.j2",
        COMPARISON_SCRIPTS,
        _loss_data(runs),
        title=f"Comparison of {len(runs)} runs",
        best=_transpose(text_table(best)),
        runs=[_describe_run(name, run_data, path) for name, run_data in runs.items()],
        speed=_speed_table(runs),
        **_compare_environments(runs),
    )
    with explain_unwritable(path):
        write_text(path, html)
    return path


def run_names(runs_data: list[RunData]) -> list[str]:
    """Return the names of the runs: their titles, followed by the folder where titles are equal."""
    titles = [text(run_data.title) for run_data in runs_data]
    folders = [text(str(run_data.result.run.folder)) for run_data in runs_data]
    return [
        title if titles.count(title) == 1 else f"{title} ({folder})"
        for title, folder in zip(titles, folders, strict=True)
    ]


def _best_choice_row(name: str, run_data: RunData) -> dict[str, Any]:
    row: dict[str, Any] = {
        "run": name,
        "model": run_data.result.model.expression,
        "data": run_data.source[4:] or MISSING,
    }
    if run_data.frame.empty:
        return row | {"best_choice": "nothing has been trained yet"}
    best = recommended_choice(run_data.ranked)
    prefix = "confirmed_" if is_confirmed(best) else ""
    if best[f"{prefix}diverged"] == best[f"{prefix}runs"]:
        return row | {"best_choice": "none: every run diverged", "target": run_data.target}
    converged, runs = (text(int(best[f"{prefix}{name}"])) for name in ("converged", "runs"))
    return row | {
        "best_choice": describe_choice(best, run_data.samples),
        "measured_on": sample_of(run_data, best),
        "converged": None if run_data.target is None else f"{converged}/{runs}",
        **{name: best.get(f"{prefix}{name}", np.nan) for name in MEDIANS},
        "target": run_data.target,
    }


def _losses_differ(runs: dict[str, RunData]) -> bool:
    """Return whether the runs have several losses, whose values cannot be compared."""
    return len(set(map(_name_loss, runs.values()))) > 1


def _name_loss(run_data: RunData) -> str:
    """Return the text of the loss, and the place and the hash of one of the user's own, which another may be called."""
    places = [f", {place}" for name, place, _ in run_data.rules if name.startswith("loss ")]
    return "".join([run_data.criterion.text, *places])


def _transpose(table: TextTable) -> TextTable:
    """Return the table with rows and columns exchanged: there are few runs, with many columns each."""
    names, *lines = [list(cells) for cells in zip(*table.rows, strict=True)]
    rows = [[column.title, *cells] for column, cells in zip(table.columns[1:], lines, strict=True)]
    return TextTable([Column("", False), *(Column(name, False) for name in names)], rows)


def _describe_run(name: str, run_data: RunData, page: Path) -> dict[str, Any]:
    """Return the conclusions of a run and the link to its page."""
    folder = run_data.result.run.folder
    link = os.path.relpath(folder / "report.html", page.parent)
    conclusions = [(about, text(sentence)) for about, sentence in run_data.verdict.items()]
    facts = [("Configurations", text(len(run_data.frame))), *conclusions]
    return {"name": name, "link": quote(link.replace(os.sep, "/")), "facts": facts}


def _loss_data(runs: dict[str, RunData]) -> dict[str, Any]:
    """Return the chart of the loss curves of the best choice of each run; None if no run has one."""
    bands, axes, differ = {}, _loss_axes(runs), _losses_differ(runs)
    for name, run_data in runs.items():
        if len(run_data.frame):
            best, every = recommended_choice(run_data.ranked)["optimizer"], run_data.loss_bands
            own = every[(every["start"] == ALL_STARTS) & (every["optimizer"] == best)]
            # Each run is a line of its own, also where the optimizer is the same.
            own = own.drop(columns="held_out", errors="ignore").assign(optimizer=name)
            bands[name] = axes[name].place_bands(own) if differ else own
    if not bands:
        return {"losses": None}
    targets = {run_data.target for run_data in runs.values()}
    target = targets.pop() if len(targets) == 1 and not differ else None
    shown = PLAIN._replace(called="loss, another one for each run") if differ else next(iter(axes.values()))
    every = with_words(pd.concat(bands.values(), ignore_index=True))
    chart = loss_charts(every, shown=shown, target=target)["samples"]
    keys = [Key(text(name), color) for name, color in colors_of(bands).items()]
    return {"losses": to_data(replace(chart, keys=keys, caption=COMPARED_RUNS_CAPTION))}


def _loss_axes(runs: dict[str, RunData]) -> dict[str, LossAxis]:
    """Return the loss axis of each run.

    Losses that may be negative are shown by their distance from the lowest one, which runs of the same loss share.
    """
    axes = {name: PLAIN if run_data.criterion.nonnegative else run_data.loss_axis for name, run_data in runs.items()}
    return axes if _losses_differ(runs) else dict.fromkeys(runs, min(axes.values(), key=lambda axis: axis.lowest))


def _speed_table(runs: dict[str, RunData]) -> TextTable | None:
    """Return the speeds of all variants in all runs that measured them; None if no run did."""
    joined: pd.DataFrame | None = None
    for name, run_data in runs.items():
        if "speed" not in run_data.evidence:
            continue
        speed = readable_table("speed", run_data.evidence["speed"])
        columns = [column for column in SPEED_COLUMNS if column in speed]
        speed = speed[["variant", *columns]].rename(columns={column: f"{name}: {column}" for column in columns})
        joined = speed if joined is None else joined.merge(speed, on="variant", how="outer", sort=False)
    return None if joined is None else text_table(joined)


def _compare_environments(runs: dict[str, RunData]) -> dict[str, Any]:
    """Return a table of the differences between the machines, and a sentence on what they have in common."""
    facts = pd.DataFrame({name: run_data.result.run.environment for name, run_data in runs.items()}).map(text)
    differ = facts.ne(facts.iloc[:, 0], axis="index").any(axis="columns")
    same = ", ".join(f"{fact} {value}" for fact, value in facts[~differ].iloc[:, 0].items())
    return {"differing": text_table(facts[differ].reset_index(names="")) if differ.any() else None, "same": same}
