"""The report of a search for settings: report.html, report.md, tables/ and figures/ in its folder."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from bench.plots import tuning as plots
from bench.report.answer import find_answer
from bench.report.figures import save_figures
from bench.report.markdown import render_short_markdown
from bench.report.page import EMPTY_PAGE_SCRIPTS, assemble_page, embed_figures, to_script_data
from bench.report.report import write_run_report
from bench.report.run_data import run_data_of
from bench.report.tune_data import TuneData
from bench.store.tuning import GRID
from bench.system.atomic import write_text
from bench.tables.formatting import text, write_tables
from bench.tables.phrases import describe_ratio
from bench.tables.readable import readable_table, text_table
from bench.tables.search_history import grid_in_random_order, search_history

MAX_FIGURE_BYTES = 4_000_000
# Of the best trials, the number that the page lists; the tables have all of them.
LISTED = 20


def write_tune_report(data: TuneData, *, svg: bool = False) -> Path:
    """Write the report of a search, and that of the grid that it is compared with; return the page of the search."""
    folder = data.tuning.folder
    if data.grid_values is not None and data.tuning.grid is not None:
        write_run_report(run_data_of(data.tuning.grid), svg=svg, figures=False)
    trials = data.tuning.trials
    frames = {"trials": trials.drop(columns="params", errors="ignore")}
    frames["importance"] = data.tuning.importance
    if data.on_fresh_seeds is not None:
        frames["rivals"] = data.on_fresh_seeds
    write_tables(frames, folder / "tables", lambda _, table: table)
    captions = save_figures(_figures(data), folder / "figures", svg=svg) if len(trials) else {}
    tables = _readable_tables(data)
    write_text(folder / "report.md", render_short_markdown(f"{data.title}: tuned", data.sentences, captions, tables))
    write_text(folder / "report.html", _render_page(data, tables, captions))
    return folder / "report.html"


def _figures(data: TuneData) -> dict[str, tuple[str, Callable[[], Figure]]]:
    """Return the figures by name: their captions, and the functions that draw them."""
    look: dict[str, Any] = {"label": data.value_label, "logarithmic": data.is_logarithmic}
    grid = None if data.grid_values is None else grid_in_random_order(data.grid_values)
    figures: dict[str, tuple[str, Callable[[], Figure]]] = {
        "search_history": (
            "The value of each trial and the best one so far, against the samples spent.",
            partial(plots.history, search_history(data.tuning.trials), grid, data.names, **look),
        ),
    }
    shares = data.tuning.importance.set_index("parameter")
    for number, (family, name) in enumerate(data.names.items(), start=1):
        own = data.tuning.trials[data.tuning.trials["family"] == family]
        params = pd.DataFrame(own["params"].tolist())
        values = params.assign(value=own["value"].to_numpy(), state=own["state"].to_numpy())
        of_family = {str(one): share for one, share in shares[shares["family"] == family]["importance"].items()}
        figures[f"search_slices_{number}"] = (
            f"The value of the trials of {text(name)} against each setting, the most important first.",
            partial(plots.slices, values, of_family, **look, name=name),
        )
    return figures


def _readable_tables(data: TuneData) -> dict[str, pd.DataFrame]:
    """Return the tables of the page by title."""
    tables, rivals = {}, data.on_fresh_seeds
    if rivals is not None:
        ranked = rivals.assign(recommended=rivals.index == 0, tied=rivals["verdict"] == "no difference found")
        shown = readable_table("best", ranked, data.samples)
        shown.insert(0, "from", rivals["rival"])
        shown["times the best choice"] = [describe_ratio(row) for _, row in rivals.iterrows()]
        tables["The best of each optimizer and of the grid, on fresh seeds"] = shown
    if len(data.frame):
        best = data.choices.head(LISTED)
        tables["The best trials, on the seeds of the search"] = readable_table("best", best, data.samples)
    return tables


def _render_page(data: TuneData, tables: dict[str, pd.DataFrame], captions: dict[str, str]) -> str:
    folder = data.tuning.folder
    answer = find_answer(data) if len(data.frame) else None
    said = {about: sentence for about, sentence in data.sentences.items() if about not in ("Best choice", "Ties")}
    code = next((copy.content for copy in answer.copies if copy.anchor == "answer-python"), None) if answer else None
    return assemble_page(
        "tune.html.j2",
        EMPTY_PAGE_SCRIPTS,
        to_script_data({}),
        title=text(f"{data.title}: tuned"),
        expression=data.result.model.expression,
        source=data.source,
        answer=answer,
        has_target=data.target is not None,
        has_study=data.study is not None,
        sentences=[(text(about), text(sentence)) for about, sentence in said.items()],
        tables=[(title, text_table(table)) for title, table in tables.items()],
        figures=embed_figures(folder / "figures", captions, MAX_FIGURE_BYTES),
        grid=f"{GRID}/report.html" if data.grid_values is not None else None,
        code=code,
        space=data.space,
        facts=data.facts,
    )
