"""A study from beginning to end: train, check, report; what `sgdbench run` does."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.basin import basin
from bench.analysis.convergence import rates_table, theory_table
from bench.analysis.trajectories import ReplayError, trajectories
from bench.commands.console import print_sentence, print_table, progress
from bench.commands.speed import print_speed
from bench.data.table import Dataset
from bench.engine.check import SAMPLES, check
from bench.engine.sweep import sweep
from bench.report.report import TITLES, write_run_report
from bench.report.run_data import RunData
from bench.store.evidence import read_tables, store_tables
from bench.store.results import SweepResult
from bench.study.grid import question_if_large
from bench.study.load import Study, to_toml
from bench.tables.ranking import times_to_target
from bench.tables.readable import fastest_choices
from bench.timing.epoch import epoch_seconds
from bench.timing.speed import Speed, speed
from bench.timing.variants import BY_NAME
from bench.timing.workload import study_problems
from kernels.agreement import is_exact

# Fewer where an epoch of the reference takes long.
CHECKED_RUNS = 6
# Those that need no kernel that nothing else needs; compiling takes seconds.
MEASURED = ("reference", "fused", "lanes", "lanes, all cores", "C", "NumPy scalars")
# A run is to be short; `sgdbench speed` takes its time.
SPEED_EPOCHS, CROWD_EPOCHS, SPEED_SECONDS, EPOCH_SECONDS = 20, 8, 0.4, 0.2


def run_study(study: Study, out: Path | None, *, resume: bool, confirmed: bool) -> bool:
    """Run a study and print what it shows.

    Returns
    -------
    bool
        Whether the sample that was trained again gave what the reference gives, and what was trained once more for the
        figures ended where the sweep says; without that there is no report. And whether the kernels that were timed
        give what the reference gives, where they promise the same bits; the report says which does not.

    Raises
    ------
    ValueError
        For bad input.
    KeyboardInterrupt
        On Ctrl-C; the folder then holds what was done.
    """
    data, scaling = study.dataset()
    model, grid, budget = study.make_model(data), study.make_grid(), study.run
    if not confirmed and (question := question_if_large(grid.size)):
        raise ValueError(question)
    folder = out or Path("results") / folder_name(study.name)
    try:
        # Half a second in which the sweep, which computes without the interpreter, leaves it alone.
        with _importing("scipy.stats"), progress("configurations", grid.size) as advance:
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
    checked = _check_sample(result, study, data)
    store_tables(folder, check=checked)
    print_table(checked.drop(columns="config_id"), TITLES["check"])
    if not checked["verified"].all():
        print("sgdbench: the kernel does not give what the reference gives; no report is written", file=sys.stderr)
        return False
    try:
        replayed = trajectories(result, budget, data)
    except ReplayError as error:
        print(f"sgdbench: {error}; no report is written", file=sys.stderr)
        return False
    trained: dict[str, Any] = {"drop_last": budget.drop_last, "loss": budget.loss}
    store_tables(
        folder,
        trajectories=replayed,
        basin=basin(result, budget, data, kernel=budget.kernel),
        theory=theory_table(model, data.x, result.frame, result.curves, **trained),
        rates=rates_table(model, data.x, data.y, result.frame, result.curves, **trained),
    )
    measured = _measure_speed(study, data)
    if measured:
        store_tables(folder, speed=measured.table, speed_rounds=measured.rounds)
    costs = epoch_seconds(result, data.x, data.y, budget.loss, seconds=EPOCH_SECONDS)
    times = times_to_target(result.timed, costs)
    store_tables(folder, times=times)
    material = RunData(result, read_tables(folder), study, data, scaling, None)
    for name, table in material.tables.items():
        print_table(table, TITLES[name])
    if measured:
        print_speed(measured, "How fast the variants are on this model")
    for row in costs[costs["note"] != ""].to_dict("records"):
        order = "shuffled" if row["shuffle"] else "in sequence"
        about = f"{row['variant']}, {row['optimizer']}, batches of {row['batch_size']:,}, {order}"
        print(f"sgdbench: {about}: {row['note']}", file=sys.stderr)
    print_table(fastest_choices(times), "How long the best choices take to the target")
    for about, sentence in material.verdict.items():
        print_sentence(about, sentence)
    print(f"Report: {write_run_report(material)}")
    # Where the same bits are not promised, training may make a rounding large.
    return not (is_exact(model, "fused", budget.loss) and _any_wrong(measured, costs))


@contextmanager
def _importing(module: str) -> Iterator[None]:
    """Import a module in a thread, which is over when the block is, however that ends."""
    thread = Thread(target=import_module, args=(module,))
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _any_wrong(measured: Speed | None, costs: pd.DataFrame) -> bool:
    """Whether one of our kernels was found wrong before it was to be timed."""
    wrong = measured is not None and (measured.table["ours"] & measured.table["verified"].eq(False)).any()
    return bool(wrong or (costs["note"] != "").any())


def _check_sample(result: SweepResult, study: Study, data: Dataset) -> pd.DataFrame:
    """Train some configurations, drawn at random, again with the reference."""
    budget, size = study.run, len(result.frame)
    count = min(size, max(1, min(CHECKED_RUNS, CHECKED_RUNS * SAMPLES // len(data.y))))
    rows = np.sort(np.random.default_rng(0).choice(size, count, replace=False))
    chosen = result.frame.iloc[rows]
    return check(
        result.model,
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


def _measure_speed(study: Study, data: Dataset) -> Speed | None:
    """Time the variants that need nothing else on the study's model; None where that diverges at every rate."""
    try:
        one, crowd = study_problems(study, data)
    except ValueError as reason:
        print(f"sgdbench: no speed is measured: {reason}", file=sys.stderr)
        return None
    racers = [BY_NAME[name] for name in MEASURED]
    return speed(racers, one.part(epochs=SPEED_EPOCHS), crowd.part(epochs=CROWD_EPOCHS), seconds=SPEED_SECONDS)


def folder_name(name: str) -> str:
    """A study's name as the name of a folder: letters, digits, dots and dashes."""
    return re.sub(r"[^\w.-]+", "-", name).strip(".-") or "study"
