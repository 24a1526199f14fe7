"""The report of a run, written to its folder: the page, the same as Markdown, tables and figures."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from sgdbench.kernels.model.param_columns import array_columns
from sgdbench.plots.failures import skip_failed_figure
from sgdbench.report.markdown import render_markdown
from sgdbench.report.page import render_page
from sgdbench.report.run_data import RunData, read_run_data
from sgdbench.report.side_by_side import write_comparison
from sgdbench.system.atomic import replace_atomically, unsynced_files, write_text
from sgdbench.tables.formatting import remove_leftovers, write_csv, write_tables
from sgdbench.tables.render import TITLES

CONFUSIONS = ("confusion", "confusion_held_out")
# The tables that reports of version 0.2 have besides.
FORMER = ("effects", "times")
# The share of the time of a report that drawing takes.
FIGURES_SHARE = 0.7


def write_reports(folders: Sequence[Path], out: Path | None = None, *, svg: bool = False) -> list[Path]:
    """Write the report of each run and, for several runs, a page that compares them; return the pages.

    That page is `out`, by default comparison.html in the current folder. A folder that is no run folder or is given
    twice, or an `out` that is no .html file, raises a ValueError.
    """
    places = [os.path.realpath(folder) for folder in folders]
    if twice := [folder for folder, place in zip(folders, places, strict=True) if places.count(place) > 1]:
        raise ValueError(f"each folder must come once, and {twice[0]} comes twice")
    if out and out.suffix != ".html":
        raise ValueError(f"--out must name a page, such as comparison.html, not {str(out)!r}")
    runs_data = [read_run_data(folder) for folder in folders]
    pages = [write_run_report(run_data, svg=svg) for run_data in runs_data]
    if len(runs_data) > 1:
        pages.append(write_comparison(runs_data, out or Path("comparison.html")))
    return pages


@unsynced_files()  # all of them can be made again
def write_run_report(
    run_data: RunData,
    *,
    svg: bool = False,
    figures: bool = True,
    progress: Callable[[float], None] = lambda share: None,
) -> Path:
    """Write the report of a run to its folder, and return the page.

    Without `figures` the page has those alone that it draws itself. Figures are written as SVG too where
    `svg` asks for it, or where they are there as SVG. `progress` is called with the share that is done.
    """
    folder, frame = run_data.result.run.folder, run_data.frame
    captions: dict[str, str] = {}
    _write_run_tables(run_data)
    if figures and len(frame):
        captions = _write_figures(run_data, svg=svg, progress=lambda share: progress(FIGURES_SHARE * share))
    write_text(folder / "report.md", render_markdown(run_data, captions))
    write_text(folder / "report.html", render_page(run_data, captions))
    return folder / "report.html"


def _write_figures(run_data: RunData, *, svg: bool, progress: Callable[[float], None]) -> dict[str, str]:
    """Write the figures of a run and remove those it no longer has; return the captions in the order of the report."""
    from sgdbench.report.figures import DRAWN, write_figure  # noqa: PLC0415 (only where something is drawn)

    captions: dict[str, str] = {}
    for count, name in enumerate(DRAWN, 1):
        with skip_failed_figure(f"the figure {name}"):
            if caption := write_figure(run_data, name, svg=svg):
                captions[name] = caption
        progress(count / len(DRAWN))
    remove_leftovers(run_data.result.run.folder / "figures", DRAWN.keys() - captions.keys())
    return captions


def _write_run_tables(run_data: RunData) -> None:
    frame = run_data.frame
    if frame.empty:
        return
    folder = run_data.result.run.folder / "tables"
    tables = run_data.tables | {name: table for name, table in run_data.evidence.items() if name in TITLES}
    confusions = dict(zip(CONFUSIONS, run_data.confusions.values(), strict=False))
    write_tables(tables, folder, run_data.readable)
    write_tables(confusions, folder)
    remove_leftovers(folder, {*TITLES, *CONFUSIONS, *FORMER} - {*tables, *confusions})
    # All rows: there may be too many of them for a table to read, and columns of arrays are in the Parquet file alone.
    write_csv(frame.drop(columns=array_columns(run_data.result.model)), folder / "configurations.csv")
    with replace_atomically(folder / "configurations.parquet") as path:
        frame.to_parquet(path, index=False)
