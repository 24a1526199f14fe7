"""A study from beginning to end: train, verify, analyze, measure, report; what `sgdbench run` does."""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.analysis.basin import basin
from bench.analysis.convergence import rates_table, theory_table
from bench.analysis.default_study import default_study
from bench.analysis.paths import recorded_paths
from bench.analysis.trajectories import ReplayError, trajectories
from bench.commands.cluster import open_cluster
from bench.commands.console import print_choices, print_place, print_sentence, print_table, progress
from bench.commands.kept import keep_parts, keep_results
from bench.commands.speed import print_speed
from bench.data.batches import MAPPED
from bench.data.scaling import Scaling
from bench.data.table import Dataset
from bench.engine.check import SAMPLES, check
from bench.engine.confirm import confirm_choices
from bench.engine.final_test import judge_choice
from bench.engine.problem import make_problem
from bench.engine.recording import record_settings
from bench.engine.sweep import sweep
from bench.engine.train import Executor, train_in_threads
from bench.report.report import TITLES, write_run_report, write_run_tables
from bench.report.run_data import RunData
from bench.store.evidence import read_tables, store_tables
from bench.store.results import SweepResult, load_run
from bench.study.grid import Grid, question_if_large
from bench.study.load import load_study, to_toml, with_overrides, with_target, without_target
from bench.study.schema import Study
from bench.tables.excess import add_excess
from bench.tables.formatting import text
from bench.tables.phrases import format_count
from bench.tables.ranking import ranking
from bench.tables.readable import fastest_choices, readable_table
from bench.tables.run_costs import loss_floor
from bench.tables.seconds import add_seconds, times_to_target
from bench.timing.speed import Speed, speed
from bench.timing.update import update_seconds
from bench.timing.variants import BY_NAME
from bench.timing.workload import study_problems
from kernels import Model
from kernels.compile.kinds import is_exact
from kernels.data.validation import check_held_out
from kernels.losses import make_loss
from kernels.model.derivative_check import WrongProgramError, check_derivatives
from kernels.train.yardstick import Yardstick, find_yardstick

# Fewer where an epoch of the reference takes long.
CHECKED_RUNS = 6
# Derivatives are compared at these and around them; with 29 parameters that takes half a second.
CHECKED_STARTS = 2
# Those that need no kernel that nothing else needs; compiling takes seconds.
MEASURED = ("reference", "fused", "lanes", "lanes, all cores", "C", "NumPy scalars")
# A run is to be short; `sgdbench speed` takes its time.
SPEED_EPOCHS, MANY_EPOCHS, SPEED_SECONDS, UPDATE_SECONDS = 20, 8, 0.4, 0.5


def study_or_table(
    name: str,
    x: Sequence[str] | None,
    y: str | None,
    model: str | None,
    *,
    drop_missing: bool,
    loss: str | None = None,
    validation: float | None = None,
    test: float | None = None,
) -> Study:
    """Return the study that a name or a file stands for; for a table, the default one, and say what it leaves out.

    Raises
    ------
    ValueError
        For bad input; if columns or a model are given for a study, which has its own.
    """
    if Path(name).suffix.lower() in MAPPED:
        if y is None:
            raise ValueError(f"--y must name the column of {name} that is to be fitted")
        about: dict[str, Any] = {"drop_missing": drop_missing, "validation": validation, "test": test}
        made = default_study(Path(name).absolute(), x, y, model, loss=loss or "squared", **about)
        print_choices(made.left_out, made.classes)
        if made.scaling:
            print_sentence("Scaling", made.scaling)
        if made.study.run.target is None:
            print_sentence("Target", f"none: {describe_no_target(made.yardstick)}")
        return made.study
    given = {"--x": x, "--y": y, "--model": model, "--drop-missing": drop_missing}
    if wrong := next((option for option, value in given.items() if value), None):
        raise ValueError(
            f"{wrong} is for a {', '.join(MAPPED)} file; the study {name} says what its data and model are"
        )
    return load_study(name)


def overridden(study: Study, target: float | None, **options: Any) -> Study:
    """Return the study with other settings; with another loss, with a target that is made for it.

    A target is a number in units of the loss that it was made for. Another loss gets one of its own, if none is given.
    The target that is given is in the units of the table; see `bench.study.load.with_target`.
    """
    changed = with_overrides(study, **options)
    made_for = study.run.target_loss or study.run.loss
    if target is not None:
        changed = with_target(changed, target)
        return with_overrides(changed, target_loss=changed.run.loss) if study.run.target_loss else changed
    if study.run.target is None or make_loss(made_for).text == make_loss(changed.run.loss).text:
        return changed
    data, _ = changed.dataset()
    model = changed.make_model(data)
    starts = list(changed.make_grid().starts(model))
    yardstick = find_yardstick(model, make_loss(changed.run.loss), (model.columns(data.x), data.y), starts)
    old = f"{text(study.run.target)} was made for the loss {made_for}"
    if yardstick.target is None:
        print_sentence("Target", f"{old}, and there is none for {changed.run.loss}: {describe_no_target(yardstick)}")
        return without_target(changed)
    print_sentence("Target", f"{text(yardstick.target)} for the loss {changed.run.loss}; {old}.")
    return with_overrides(changed, target=yardstick.target, target_loss=changed.run.loss)


def describe_no_target(yardstick: Yardstick) -> str:
    """Return why there is no target, as the end of a sentence."""
    if np.isnan(yardstick.loss):
        return f"{yardstick.note}."
    return f"the lowest loss, {yardstick.loss:.4g}, is no improvement over that of {yardstick.baseline}."


def run_study(
    study: Study,
    out: Path | None,
    *,
    resume: bool,
    confirmed: bool,
    verbose: bool = False,
    svg: bool = False,
    cluster: str | None = None,
) -> bool:
    """Run a study and print what it shows: the verdict, what was run and where the report is.

    Parameters
    ----------
    study : Study
    out : Path or None
        The folder of the results; without it, one that is named after the study.
    resume : bool
        Whether to go on with what the folder holds.
    confirmed : bool
        Whether a very large grid is wanted.
    verbose : bool
        Whether to print all tables too, and every sentence of the verdict.
    svg : bool
        Whether to write figures as SVG too.
    cluster : str or None
        Where configurations are trained, as `bench.commands.cluster.open_cluster` takes it; all else is done here.

    Returns
    -------
    bool
        Whether everything was verified. There is no report if the derivatives are not those of the expression, the
        configurations trained again differ from what the reference gives, or the runs trained once more for the figures
        end elsewhere than in the sweep. If a kernel that was timed differs from the reference, although it promises the
        same bits, the report says which.

    Raises
    ------
    ValueError
        For bad input.
    KeyboardInterrupt
        On Ctrl-C; the folder then holds what was done.
    """
    data, scaling = study.dataset()
    if study.run.patience is not None and data.validation is None:
        raise ValueError("--patience needs --validation: a share of the rows to hold out")
    model, grid = study.make_model(data), study.make_grid()
    if not confirmed and (question := question_if_large(grid.size)):
        raise ValueError(question)
    folder = out or Path("results") / folder_name(study.name)
    with open_cluster(cluster) as executor:
        result = train_study(study, model, grid, data, folder, resume=resume, executor=executor)
        with keep_results(folder):
            return _evaluate(result, study, data, scaling, executor, verbose=verbose, svg=svg)


def _evaluate(
    result: SweepResult,
    study: Study,
    data: Dataset,
    scaling: Scaling | None,
    executor: Executor,
    *,
    verbose: bool,
    svg: bool,
) -> bool:
    """Verify, analyze, measure and report what was trained; return whether everything was verified."""
    folder = result.run.folder

    def gather() -> RunData:
        return RunData(result, read_tables(folder), study, data, scaling, None)

    if not verify_program(result, data):
        return False
    costs = update_seconds(result, data.x, data.y, study.run.loss, seconds=UPDATE_SECONDS)
    times = times_to_target(result.frame, costs)
    store_tables(folder, costs=costs, times=times)
    if not verify_runs(result, study, data) or not _analyze(result, study, data):
        return False
    confirm_winners(result, study, data, costs, executor)
    result = load_run(folder)  # which has looked for runs on fresh seeds before
    if data.test is not None:
        judge_winner(gather(), study, data)
    run_data = gather()
    for about, sentence in run_data.headline.items():
        print_sentence(about, sentence)
    written = write_run_tables(run_data) - {"speed"}  # which an earlier run may have left
    measured = _measure_speed(result, study, data)
    run_data = run_data.with_evidence(read_tables(folder))
    print_sentence("Run", _describe_run(run_data, study, data))
    _warn_about_costs(costs)
    if verbose:
        print()
        _print_tables(run_data, measured, times)
    print_place("Report", write_run_report(run_data, svg=svg, written=written))
    # Where the same bits are not promised, training may make a rounding error large.
    return not (is_exact(result.model, "fused", study.run.loss) and _any_wrong(measured, costs))


def train_study(
    study: Study,
    model: Model,
    grid: Grid,
    data: Dataset,
    folder: Path,
    *,
    resume: bool,
    executor: Executor = train_in_threads,
) -> SweepResult:
    """Train every configuration into the folder, with a progress bar."""
    # The import takes half a second, in which the sweep computes without the interpreter.
    with (
        keep_parts(folder),
        _import_in_background("scipy.stats"),
        progress("configurations", grid.size) as advance,
    ):
        result = sweep(
            model,
            data.x,
            data.y,
            grid,
            **study.run.of_sweep() | {"confirm": 0},
            validation=data.validation,
            executor=executor,
            out=folder,
            study=to_toml(study),
            resume=resume,
            progress=advance,
        )
        # Of labels the sweep has seen the classes alone, and of shares the samples.
        record_settings(folder, study.run.epochs, study.data.validation, study.data.test, data.classes)
        return result


def confirm_winners(
    result: SweepResult,
    study: Study,
    data: Dataset,
    costs: pd.DataFrame | None,
    executor: Executor = train_in_threads,
) -> None:
    """Train the leading choices again with fresh seeds; which lead also depends on the time of their updates."""
    if study.run.confirm:
        folder = result.run.folder
        problem = make_problem(result.model, data.x, data.y, study.run, folder, data.validation)
        floor = loss_floor(data.y)
        ranked = ranking(add_excess(add_seconds(result.frame, costs), result.yardstick, floor), floor=floor)
        seeds, text = study.run.confirm, to_toml(study)
        confirm_choices(problem, study.make_grid(), ranked, folder, text, seeds=seeds, executor=executor)


def judge_winner(run_data: RunData, study: Study, data: Dataset) -> None:
    """Store how good the best choice is on the rows for the test; nothing is decided by it."""
    loss, result = make_loss(study.run.loss), run_data.result
    judge_choice(result, run_data.ranked, loss, data.test and check_held_out(result.model, loss, data.test, "test"))


@contextmanager
def _import_in_background(module: str) -> Iterator[None]:
    """Import a module in a thread, which has ended when the block has, however that ends."""
    thread = Thread(target=import_module, args=(module,))
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _any_wrong(measured: Speed | None, costs: pd.DataFrame) -> bool:
    """Return whether one of our kernels was found wrong before it was to be timed."""
    wrong = measured is not None and (measured.table["ours"] & measured.table["verified"].eq(False)).any()
    return bool(wrong or (costs["note"] != "").any())


def verify_program(result: SweepResult, data: Dataset) -> bool:
    """Hold the model's program, which the reference and all kernels compute, against its expression."""
    try:
        check_derivatives(result.model, data.x, result.starts[_choose_checked(result, data)[:CHECKED_STARTS]])
    except WrongProgramError as error:
        print(f"sgdbench: {error}; no report is written", file=sys.stderr)
        return False
    return True


def _choose_checked(result: SweepResult, data: Dataset) -> NDArray[np.int64]:
    """Return the places of the configurations that are trained again."""
    size = len(result.frame)
    count = min(size, max(1, min(CHECKED_RUNS, CHECKED_RUNS * SAMPLES // len(data.y))))
    return np.sort(np.random.default_rng(0).choice(size, count, replace=False))


def verify_runs(result: SweepResult, study: Study, data: Dataset) -> bool:
    """Train some configurations, drawn at random, again with the reference; return whether it gives the same."""
    rows = _choose_checked(result, data)
    chosen = result.frame.iloc[rows]
    curves = result.run.curves(chosen["config_id"].tolist())
    shared = study.run, result.clock, data.validation
    table = check(result.model, data.x, data.y, chosen, result.starts[rows], curves, *shared)
    store_tables(result.run.folder, check=table)
    verified = bool(table["verified"].all())
    if not verified:
        print_table(table.drop(columns="config_id"), TITLES["check"])
        print("sgdbench: the kernel does not give what the reference gives; no report is written", file=sys.stderr)
    return verified


def _analyze(result: SweepResult, study: Study, data: Dataset) -> bool:
    """Store trajectories, basins and theory; return whether the replayed runs ended as in the sweep."""
    settings = study.run
    try:
        replayed = trajectories(result, settings, data)
        paths = recorded_paths(result, settings, data)
    except ReplayError as error:
        print(f"sgdbench: {error}; no report is written", file=sys.stderr)
        return False
    store_tables(
        result.run.folder,
        trajectories=replayed,
        paths=paths,
        basin=basin(result, settings, data),
        theory=theory_table(result.model, data.x, result.frame, result.curves, settings),
        rates=rates_table(result.model, data.x, data.y, result.frame, result.curves, settings),
    )
    return True


def _measure_speed(result: SweepResult, study: Study, data: Dataset) -> Speed | None:
    """Time the variants that need nothing else on the study's model; None where that diverges at every rate."""
    try:
        one, many = study_problems(study, data)
    except ValueError as reason:
        print(f"sgdbench: no speed is measured: {reason}", file=sys.stderr)
        return None
    variants = [BY_NAME[name] for name in MEASURED]
    problems = one.part(epochs=SPEED_EPOCHS), many.part(epochs=MANY_EPOCHS)
    measured = speed(variants, *problems, seconds=SPEED_SECONDS)
    store_tables(result.run.folder, speed=measured.table, speed_rounds=measured.rounds)
    return measured


def _describe_run(run_data: RunData, study: Study, data: Dataset) -> str:
    """Say in a sentence what was run, and that it was checked."""
    frame, settings = run_data.frame, study.run
    target = "" if run_data.target is None else f", target {run_data.criterion.label} {text(run_data.target)}"
    units = ", standardized" if run_data.scaling else ""
    checked = len(run_data.evidence["check"])
    return (
        f"{format_count(len(frame), 'configuration')} of {run_data.result.model.expression}{run_data.source}{units}, "
        f"up to {format_count(settings.epochs, 'epoch')}{target}; {text(checked)} checked against the reference."
    )


def _warn_about_costs(costs: pd.DataFrame) -> None:
    """Say which kernels have no time for an update, and why."""
    for row in costs[costs["note"] != ""].to_dict("records"):
        order = "shuffled" if row["shuffle"] else "in sequence"
        about = f"{row['variant']}, {row['optimizer']}, batches of {row['batch_size']:,}, {order}"
        print(f"sgdbench: {about}: {row['note']}", file=sys.stderr)


def _print_tables(run_data: RunData, measured: Speed | None, times: pd.DataFrame) -> None:
    """Print the tables of the run, what was measured, and all that it shows in words."""
    print_table(run_data.evidence["check"].drop(columns="config_id"), TITLES["check"])
    for name, table in run_data.tables.items():
        print_table(readable_table(name, table), TITLES[name])
    if measured:
        print_speed(measured, "How fast the variants are on this model")
    if run_data.target is not None:
        print_table(fastest_choices(times), "How long the best choices take to the target")
    for about, sentence in run_data.verdict.items():
        print_sentence(about, sentence)


def folder_name(name: str) -> str:
    """Return a study's name as the name of a folder: letters, digits, dots and dashes."""
    return re.sub(r"[^\w.-]+", "-", name).strip(".-") or "study"
