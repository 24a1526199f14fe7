"""Several runs side by side, as one page: what is best in each, how its loss falls, how fast, and where they differ."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex

from bench.plots.style import colors_of
from bench.report.page import LIBRARY, as_script, assemble_page
from bench.report.run_data import RunData
from bench.system.atomic import replace_atomically
from bench.tables.formatting import MISSING, text
from bench.tables.ranking import best_choices, loss_quantiles
from bench.tables.readable import Column, TextTable, readable_table, text_table
from bench.tables.verdict import describe_choice, runs_of_the_best

CHARTS = [LIBRARY, "data.js", "look.js", "comparison.js"]
POINTS = 400
MEDIANS = ["epochs_to_target", "final_loss", "seconds"]


def write_comparison(materials: list[RunData], path: Path) -> Path:
    """Write the page of several runs, whose own pages it links to.

    Parameters
    ----------
    materials : list of Material
    path : pathlib.Path

    Returns
    -------
    pathlib.Path
        The page.
    """
    names = run_names(materials)
    runs = dict(zip(names, materials, strict=True))
    trained = {name: material for name, material in runs.items() if len(material.frame)}
    curves = [_curve(name, material) for name, material in trained.items()]
    colors = colors_of(names)
    made = assemble_page(
        "comparison.html.j2",
        CHARTS,
        as_script({"runs": [curve | {"color": to_hex(colors[curve["name"]])} for curve in curves if curve["epochs"]]}),
        title=f"{len(runs)} runs side by side",
        best=_turned(text_table(pd.DataFrame([_best(name, material) for name, material in runs.items()]))),
        runs=[_read_runs(name, material, path) for name, material in runs.items()],
        speed=_speeds(runs),
        **_environments(runs),
    )
    with replace_atomically(path) as temporary:
        temporary.write_text(made, encoding="utf-8")
    return path


def run_names(materials: list[RunData]) -> list[str]:
    """What each run is called: its title, and its folder where that tells them apart."""
    titles = [text(material.title) for material in materials]
    folders = [text(str(material.result.run.folder)) for material in materials]
    return [
        title if titles.count(title) == 1 else f"{title} ({folder})"
        for title, folder in zip(titles, folders, strict=True)
    ]


def _best(name: str, material: RunData) -> dict[str, Any]:
    """A line of the table of best choices."""
    row: dict[str, Any] = {
        "run": name,
        "model": material.result.model.expression,
        "data": material.source[4:] or MISSING,
    }
    if material.frame.empty:
        return row | {"best_choice": "nothing is trained yet"}
    ranked = best_choices(material.frame)
    top, winner = ranked.iloc[0], runs_of_the_best(material.frame, ranked)
    return row | {
        "best_choice": describe_choice(winner.iloc[0]),
        "runs": top["runs"],
        "converged": top["converged"],
        **{name: top[name] for name in MEDIANS},
        "target": material.target,
    }


def _turned(table: TextTable) -> TextTable:
    """The table with a column for each of its rows, which are few and have much to tell."""
    names, *lines = [list(cells) for cells in zip(*table.rows, strict=True)]
    rows = [[column.title, *cells] for column, cells in zip(table.columns[1:], lines, strict=True)]
    return TextTable([Column("", False), *(Column(name, False) for name in names)], rows)


def _read_runs(name: str, material: RunData, page: Path) -> dict[str, Any]:
    """A run in words, and where its own page is."""
    folder = material.result.run.folder
    own = os.path.relpath(folder / "report.html", page.parent)
    said = [(about, text(sentence)) for about, sentence in material.verdict.items()]
    facts = [("Configurations", text(len(material.frame))), *said]
    return {"name": name, "link": quote(own.replace(os.sep, "/")), "facts": facts}


def _curve(name: str, material: RunData) -> dict[str, Any]:
    """The median of the best choice with its band, as the chart wants it."""
    winner = runs_of_the_best(material.frame, best_choices(material.frame))
    bands = loss_quantiles(winner, material.result.run.curves(winner["config_id"].tolist()), ["optimizer"])
    bands = bands.iloc[:: -(-len(bands) // POINTS) or 1]
    finite = {
        column: [value if np.isfinite(value) else None for value in bands[column].tolist()]
        for column in ("low", "median", "high")
    }
    return {"name": name, "target": material.target, "epochs": bands["epoch"].tolist(), **finite}


def _speeds(runs: dict[str, RunData]) -> TextTable | None:
    """The speeds of every variant in every run that has measured them, one beside the other."""
    joined: pd.DataFrame | None = None
    for name, material in runs.items():
        if "speed" not in material.evidence:
            continue
        shown = readable_table("speed", material.evidence["speed"])
        kept = [column for column in ("verified", "ns per sample-update", "x C") if column in shown]
        own = shown[["variant", *kept]].rename(columns={column: f"{name}: {column}" for column in kept})
        joined = own if joined is None else joined.merge(own, on="variant", how="outer", sort=False)
    return None if joined is None else text_table(joined)


def _environments(runs: dict[str, RunData]) -> dict[str, Any]:
    """Where the machines differ, as a table, and what is the same, in a sentence."""
    environments = {name: material.result.run.environment for name, material in runs.items()}
    facts = dict.fromkeys(fact for environment in environments.values() for fact in environment)
    told = {fact: [text(environment.get(fact)) for environment in environments.values()] for fact in facts}
    same = ", ".join(f"{fact} {values[0]}" for fact, values in told.items() if len(set(values)) == 1)
    rows = [[fact, *values] for fact, values in told.items() if len(set(values)) > 1]
    return {"differing": text_table(pd.DataFrame(rows, columns=["", *runs])) if rows else None, "same": same}
