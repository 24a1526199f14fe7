"""From a run's folder to its report: the page, the same as Markdown, tables and figures, all in the folder."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from bench.plots.style import save
from bench.report.figures import report_figures
from bench.report.markdown import render_markdown
from bench.report.page import render_page
from bench.report.run_data import RunData, read_run_data
from bench.report.side_by_side import write_comparison
from bench.store.results import PLAN
from bench.system.atomic import replace_atomically
from bench.tables.formatting import duration, text, write_tables
from bench.tables.readable import readable_table

TITLES = {
    "best": "The best choices, over all starts and seeds",
    "best_by_optimizer_and_batch_size": "The best for each optimizer and batch size",
    "effects": "What each setting does",
    "speed": "How fast the variants are",
    "times": "Time to the target",
    "theory": "The largest stable rate, predicted and measured",
    "rates": "The speed of convergence, predicted and measured",
    "check": "Checked against the reference",
}


def write_report(folder: str | Path) -> Path:
    """Write report.html, report.md, tables/ and figures/ from what is in the run's folder; nothing is trained.

    Parameters
    ----------
    folder : path

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    ValueError
        If it is no run folder, or one of a newer version.
    """
    return write_run_report(read_run_data(folder))


def write_reports(folders: Sequence[Path], out: Path | None = None) -> list[Path]:
    """Write the report of each run, and of several a page that shows them side by side.

    Parameters
    ----------
    folders : sequence of path
    out : path, optional
        The page of several runs; without it, comparison.html in the current folder.

    Returns
    -------
    list of pathlib.Path
        The pages.

    Raises
    ------
    ValueError
        If one is no run folder or comes twice, or `out` is given for a single one.
    """
    places = [folder.resolve() for folder in folders]
    if twice := [folder for folder, place in zip(folders, places, strict=True) if places.count(place) > 1]:
        raise ValueError(f"each folder must come once, and {twice[0]} comes twice")
    if out and len(folders) == 1:
        raise ValueError("--out is for several folders: the report of one is in its folder")
    runs_data = [read_run_data(folder) for folder in folders]
    pages = [write_run_report(run_data) for run_data in runs_data]
    if len(runs_data) > 1:
        pages.append(write_comparison(runs_data, out or Path("comparison.html")))
    return pages


def write_run_report(run_data: RunData) -> Path:
    """Write the report of what was gathered, into its folder."""
    folder, frame = run_data.result.run.folder, run_data.frame
    planned = pq.read_metadata(folder / PLAN).num_rows
    captions = {}
    if len(frame):
        evidence = {name: table for name, table in run_data.evidence.items() if name in TITLES}
        write_tables(run_data.tables | evidence, folder / "tables", readable_table)
        _write_configurations(frame, folder / "tables")
        for name, caption, figure in report_figures(run_data):
            save(figure, folder / "figures", name)
            captions[name] = caption
    checked = _describe_check(run_data)
    for name, made in (
        ("report.md", render_markdown(run_data, planned, TITLES, captions, checked)),
        ("report.html", render_page(run_data, planned, TITLES, captions, checked)),
    ):
        with replace_atomically(folder / name) as path:
            path.write_text(made, encoding="utf-8")
    return folder / "report.html"


def _describe_check(run_data: RunData) -> str:
    """How far the kernels were found equal to the reference."""
    checked = run_data.evidence.get("check")
    if checked is None:
        return "Not yet: that comes when all configurations are trained."
    exact = checked["bound"].max() == 0
    agreement = "is the same to the last bit" if exact else f"differs by at most {text(checked['error'].max())}"
    reference, fused = checked["reference_seconds"].median(), checked["fused_seconds"].median()
    return (
        f"{text(len(checked))} of {text(len(run_data.frame))} configurations, drawn at random, were trained once more "
        f"by the plain NumPy reference. Every loss that had been found {agreement}. A sample-update takes "
        f"the reference {duration(reference)} and the kernel fused, which trains one run, {duration(fused)} (medians): "
        f"a factor of {text(float(f'{reference / fused:.2g}'))}."
    )


def _write_configurations(frame: pd.DataFrame, folder: Path) -> None:
    """Write all rows for programs; there may be too many of them to be read."""
    with replace_atomically(folder / "configurations.csv") as path:
        frame.to_csv(path, index=False)
    with replace_atomically(folder / "configurations.parquet") as path:
        frame.to_parquet(path, index=False)
