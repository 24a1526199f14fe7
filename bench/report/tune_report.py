"""The report of a search for settings: report.html, report.md, tables/ and figures/ in its folder."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from bench.plots import tuning as plots
from bench.plots.failures import skip_failed_figure
from bench.plots.style import save
from bench.report.answer import find_answer
from bench.report.page import EMPTY_PAGE_SCRIPTS, assemble_page, embed_figures, to_script_data
from bench.report.report import write_run_report
from bench.report.run_data import run_data_of
from bench.report.tune_data import TuneData
from bench.store.tuning import GRID
from bench.system.atomic import write_text
from bench.tables.estimates import format_estimate
from bench.tables.formatting import text, to_markdown, write_tables
from bench.tables.phrases import describe_order, format_share
from bench.tables.readable import describe_batch_size, text_table

MAX_FIGURE_BYTES = 4_000_000
# So many of the best trials are listed on the page; the tables have all of them.
LISTED = 20


def write_tune_report(data: TuneData, *, svg: bool = False) -> Path:
    """Write the report of a search, and that of the grid that it is held against.

    Parameters
    ----------
    data : TuneData
    svg : bool
        Whether to write figures as SVG too.

    Returns
    -------
    pathlib.Path
        The page.
    """
    folder = data.tuning.folder
    if data.grid_values is not None and data.tuning.grid is not None:
        write_run_report(run_data_of(data.tuning.grid), svg=svg, figures=False)
    trials = data.tuning.trials
    frames = {"trials": trials.drop(columns="params", errors="ignore")}
    frames["importance"] = data.tuning.importance
    if data.rivals is not None:
        frames["rivals"] = data.rivals
    write_tables(frames, folder / "tables", lambda _, table: table)
    captions: dict[str, str] = {}
    for name, (caption, draw) in (_figures(data) if len(trials) else {}).items():
        with skip_failed_figure(f"the figure {name}"):
            save(draw(), folder / "figures", name, svg=svg)
            captions[name] = caption
    tables = _readable_tables(data)
    for name, made in (
        ("report.md", _render_markdown(data, tables, captions)),
        ("report.html", _render_page(data, tables, captions)),
    ):
        write_text(folder / name, made)
    return folder / "report.html"


def _figures(data: TuneData) -> dict[str, tuple[str, Callable[[], Figure]]]:
    """Return the figures by name: their captions, and what draws them."""
    look: dict[str, Any] = {"label": data.value_label, "logarithmic": data.is_logarithmic}
    grid = None if data.grid_values is None else float(data.grid_values["value"].min())
    steps, of_grid = data.regrets
    regret_label = "times the best value known" if data.is_logarithmic else "above the best value known"
    shares = data.tuning.importance
    figures: dict[str, tuple[str, Callable[[], Figure]]] = {
        "search_history": (
            "What each trial is worth, and the best one so far.",
            partial(plots.history, data.steps, data.names, **look, grid=grid),
        ),
        "search_regret": (
            "How far the best choice so far is from the best one known, against the samples spent.",
            partial(
                plots.regret_by_cost,
                steps,
                of_grid,
                label=regret_label,
                logarithmic=data.is_logarithmic,
                sampler=data.facts["sampler"],
            ),
        ),
        "search_importance": (
            "Which settings decide, optimizer by optimizer.",
            partial(plots.importance, shares, data.names),
        ),
    }
    for family, name in data.names.items():
        own = data.tuning.trials[data.tuning.trials["family"] == family]
        params = pd.DataFrame(own["params"].tolist())
        ordered = shares[shares["family"] == family]["parameter"].tolist()
        listed = [*ordered, *(one for one in params if one not in ordered)]
        values = params.assign(value=own["value"].to_numpy(), state=own["state"].to_numpy())
        figures[f"search_slices_{len(figures) - 2}"] = (
            f"What the trials of {text(name)} are worth, against each setting.",
            partial(plots.slices, values, listed, **look, name=name),
        )
    return figures


def _readable_tables(data: TuneData) -> dict[str, pd.DataFrame]:
    """Return the tables of the page by title."""
    tables = {}
    if data.rivals is not None:
        tables["The best of each optimizer and of the grid, on fresh seeds"] = _readable_rivals(data)
    trials = data.tuning.trials
    if len(trials):
        best = trials[trials["state"] == "complete"].sort_values("value", kind="stable").head(LISTED)
        table = pd.DataFrame(
            {
                **_settings(best, data),
                data.value_label: [_value(value, data) for value in best["value"]],
            }
        )
        if data.runs.target is not None:
            reached = zip(best["converged"], best["runs"], strict=True)
            table.insert(
                len(table.columns) - 1, "successful", [format_share(int(part), int(whole)) for part, whole in reached]
            )
        tables["The best trials, on the seeds of the search"] = table
    return tables


def _readable_rivals(data: TuneData) -> pd.DataFrame:
    """Return the leaders with their figures on fresh seeds, as text."""
    rivals = data.rivals
    assert rivals is not None  # noqa: S101 (checked by the caller)
    reached = data.runs.target is not None and bool(rivals["converged"].any())
    cost = "samples" if reached else "validation_loss" if "validation_loss" in rivals else "final_loss"
    title = {"samples": "samples to the target", "validation_loss": "loss on held-out samples"}.get(cost, "final loss")

    def estimates(name: str) -> list[str]:
        ends = rivals[[name, f"{name}_low", f"{name}_high"]].to_numpy(float)
        return [
            format_estimate(value, low, high, lambda number: text(float(f"{number:.4g}"))) for value, low, high in ends
        ]

    successes = rivals["converged"] if reached else rivals["runs"] - rivals["diverged"]
    return pd.DataFrame(
        {
            "from": rivals["rival"],
            **_settings(rivals, data),
            "successful": [format_share(part, whole) for part, whole in zip(successes, rivals["runs"], strict=True)],
            title: estimates(cost),
            "times the best choice": estimates("ratio"),
        }
    )


def _settings(rows: pd.DataFrame, data: TuneData) -> dict[str, Any]:
    """Return the columns of the settings that may differ, as text."""
    columns = {
        "optimizer": rows["optimizer"].astype(str),
        "learning rate": [text(float(rate)) for rate in rows["lr"]],
        "batch size": [describe_batch_size(size, data.runs.samples) for size in rows["batch_size"]],
        "schedule": rows["schedule"].astype(str),
    }
    if len(set(data.tuning.trials["shuffle"])) > 1:
        columns["order"] = [describe_order(bool(shuffled)) for shuffled in rows["shuffle"]]
    return columns


def _value(value: float, data: TuneData) -> str:
    return text(float(f"{10**value if data.is_logarithmic else value:.4g}"))


def _render_page(data: TuneData, tables: dict[str, pd.DataFrame], captions: dict[str, str]) -> str:
    folder, runs = data.tuning.folder, data.runs
    answer = find_answer(runs) if len(runs.frame) else None
    said = {about: sentence for about, sentence in data.sentences.items() if about not in ("Best choice", "Ties")}
    code = next((copy.content for copy in answer.copies if copy.anchor == "answer-python"), None) if answer else None
    return assemble_page(
        "tune.html.j2",
        EMPTY_PAGE_SCRIPTS,
        to_script_data({}),
        title=text(f"{runs.title}: tuned"),
        expression=runs.result.model.expression,
        source=runs.source,
        answer=answer,
        has_target=runs.target is not None,
        has_study=runs.study is not None,
        sentences=[(text(about), text(sentence)) for about, sentence in said.items()],
        tables=[(title, text_table(table)) for title, table in tables.items()],
        figures=embed_figures(folder / "figures", captions, MAX_FIGURE_BYTES),
        grid=f"{GRID}/report.html" if data.grid_values is not None else None,
        code=code,
        space=data.space,
        facts=data.facts,
    )


def _render_markdown(data: TuneData, tables: dict[str, pd.DataFrame], captions: dict[str, str]) -> str:
    said = [f"- {text(about)}: {text(sentence)}" for about, sentence in data.sentences.items()]
    parts = [f"# {text(data.runs.title)}: tuned", "\n".join(said)]
    parts += [f"![{caption}](figures/{name}.png)" for name, caption in captions.items()]
    parts += [f"## {title}\n\n{to_markdown(table)}" for title, table in tables.items()]
    return "\n\n".join(parts) + "\n"
