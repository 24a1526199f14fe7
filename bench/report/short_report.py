"""The report of a suite or a search: conclusions, figures and tables, as a page and as Markdown."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from sgdbench.charts.chart import Chart
from sgdbench.plots.draw import draw_chart
from sgdbench.plots.failures import skip_failed_figure
from sgdbench.plots.style import save
from sgdbench.report.page import assemble_page, embed_figures
from sgdbench.system.atomic import write_text
from sgdbench.tables.formatting import escape_markdown, remove_leftovers, text, to_markdown, write_tables
from sgdbench.tables.render import text_table

# The function that makes each chart.
Figures = Mapping[str, Callable[[], Chart] | None]


def write_short_report(
    folder: Path,
    template: str,
    title: str,
    sentences: Mapping[str, str],
    *,
    frames: Mapping[str, pd.DataFrame | None],
    tables: Mapping[str, pd.DataFrame],
    figures: Figures,
    svg: bool,
    said_by_answer: Collection[str] = (),
    more: str = "",
    **context: Any,
) -> Path:
    """Write report.html, report.md, tables/ and figures/ to a folder, and return the page.

    `frames` are written as files, and `tables`, by their titles, go into the report. Where a frame or a figure is None,
    its files are removed. The answer of the page says what the sentences `said_by_answer` say. The Markdown ends with
    `more`, and the `context` is for the template of the page.
    """
    there = {name: frame for name, frame in frames.items() if frame is not None}
    write_tables(there, folder / "tables")
    remove_leftovers(folder / "tables", frames.keys() - there.keys())
    captions = {}
    for name, figure in figures.items():
        with skip_failed_figure(f"the figure {name}"):
            if figure is not None:
                chart = figure()
                save(draw_chart(chart), folder / "figures", name, svg=svg)
                captions[name] = chart.caption
    remove_leftovers(folder / "figures", figures.keys() - captions.keys())
    escaped = {text(about): text(sentence) for about, sentence in sentences.items()}
    parts = [
        f"# {escape_markdown(text(title))}",
        "\n".join(
            f"- **{escape_markdown(about)}.** {escape_markdown(sentence)}" for about, sentence in escaped.items()
        ),
    ]
    parts += [f"![{escape_markdown(caption)}](figures/{name}.png)" for name, caption in captions.items()]
    parts += [f"## {name}\n\n{to_markdown(table)}" for name, table in tables.items()]
    write_text(folder / "report.md", "\n\n".join([*parts, *([more] if more else [])]) + "\n")
    page = assemble_page(
        template,
        title=text(title),
        sentences=[(about, sentence) for about, sentence in escaped.items() if about not in said_by_answer],
        tables=[(name, text_table(table)) for name, table in tables.items()],
        figures=embed_figures(folder / "figures", captions),
        **context,
    )
    write_text(folder / "report.html", page)
    return folder / "report.html"
