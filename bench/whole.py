"""A study from beginning to end: train, check, report; what `sgdbench run` does."""

import re
import sys
from pathlib import Path

import numpy as np

from bench.check import SAMPLES, check
from bench.console import progress, say, show
from bench.engine import sweep
from bench.evidence import keep
from bench.grid import too_many
from bench.replay import trajectories
from bench.report import TITLES, write_report
from bench.study import Study, to_toml
from bench.tables import standard_tables
from bench.verdict import verdict

# Fewer where an epoch of the reference takes long.
CHECKED = 6


def run_study(study: Study, out: Path | None, *, resume: bool, confirmed: bool) -> bool:
    """Run a study and print what it shows.

    Returns
    -------
    bool
        Whether the sample that was trained again gave what the reference gives; without that there is no report.

    Raises
    ------
    ValueError
        For bad input.
    KeyboardInterrupt
        On Ctrl-C; the folder then holds what was done.
    """
    data, scaling = study.dataset()
    model, grid, budget = study.make_model(data), study.make_grid(), study.run
    if not confirmed and (question := too_many(grid.size)):
        raise ValueError(question)
    folder = out or Path("results") / folder_name(study.name)
    try:
        with progress("configurations", grid.size) as advance:
            result = sweep(
                model,
                data.x,
                data.y,
                grid,
                epochs=budget.epochs,
                target=budget.target,
                loss=budget.loss,
                drop_last=budget.drop_last,
                kernel=budget.kernel,
                out=folder,
                study=to_toml(study),
                resume=resume,
                progress=advance,
            )
    except KeyboardInterrupt:
        print(f"sgdbench: what is done is kept in {folder}; --resume goes on from there", file=sys.stderr)
        raise
    count = min(grid.size, max(1, min(CHECKED, CHECKED * SAMPLES // len(data.y))))
    rows = np.sort(np.random.default_rng(0).choice(grid.size, count, replace=False))
    chosen = result.frame.iloc[rows]
    checked = check(
        model,
        data.x,
        data.y,
        chosen,
        result.starts[rows],
        result.run.curves(chosen["config_id"].tolist()),
        kernel=budget.kernel,
        loss=budget.loss,
        drop_last=budget.drop_last,
        epochs=budget.epochs,
        target=budget.target,
    )
    keep(folder, check=checked, trajectories=trajectories(result, budget, data))
    show(checked.drop(columns="config_id"), TITLES["check"])
    if not checked["verified"].all():
        print("sgdbench: the kernel does not give what the reference gives; no report is written", file=sys.stderr)
        return False
    frame = result.frame.assign(seconds=result.seconds)
    for name, table in standard_tables(frame).items():
        show(table, TITLES[name])
    for about, sentence in verdict(frame, model, budget.target, scaling).items():
        say(about, sentence)
    print(f"Report: {write_report(folder)}")
    return True


def folder_name(name: str) -> str:
    """A study's name as the name of a folder: letters, digits, dots and dashes."""
    return re.sub(r"[^\w.-]+", "-", name).strip(".-") or "study"
