"""The command `sgdbench run`: train a study, verify it and print its verdict; `measure` has the later stages."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdbench.analysis.paths import ReplayError
from sgdbench.commands.cluster import open_cluster
from sgdbench.commands.console import mapping_display, print_sentence, print_table
from sgdbench.commands.options import RunOptions
from sgdbench.commands.resuming import explain_report, explain_resuming
from sgdbench.commands.stages import Stages, show_stages
from sgdbench.data.scaling import Scaling
from sgdbench.data.table import Dataset
from sgdbench.engine.check import CHECKED_SAMPLES, check
from sgdbench.engine.confirm import confirm
from sgdbench.engine.pipeline import judge, train_grid
from sgdbench.engine.problem import make_problem
from sgdbench.engine.train import Executor, Trainer
from sgdbench.kernels.compile.spec import KernelSpec
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.model.derivative_check import WrongProgramError, check_derivatives
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.train.compile_together import compile_later
from sgdbench.kernels.train.slices import reference_cost
from sgdbench.report.run_data import RunData
from sgdbench.store.evidence import read_tables, store_tables
from sgdbench.store.results import StoredSweep
from sgdbench.study.grid import question_if_large
from sgdbench.study.load import check_misfits, to_toml
from sgdbench.study.schema import Study, folder_name
from sgdbench.tables.costs import KERNEL, decide_by_seconds
from sgdbench.tables.formatting import text
from sgdbench.tables.render import TITLES
from sgdbench.tables.words import format_count

# The number of runs checked; fewer if an epoch of the reference takes long.
CHECKED_RUNS = 6
# Derivatives are checked at and around this many starts; with 29 parameters that takes half a second.
CHECKED_STARTS = 2
# Approximate times in seconds of the stages of a run, for compiled kernels and a small study.


class WrongRunsError(Exception):
    """Some configurations end elsewhere when they are trained again with the reference."""


UNVERIFIED = (WrongProgramError, WrongRunsError, ReplayError)
"""The errors after which there is no report."""


def run_study(study: Study, run_options: RunOptions) -> bool:
    """Run a study: print its verdict and a description of the run, then write the report and print its path.

    The verdict is based on checked and confirmed runs. Updates are timed before it if their time decides between
    choices that are about equally good, and otherwise after it. Later stages, the page included, therefore do not
    change the verdict. Kernels that are only timed are compiled in the meantime.

    Return whether everything was verified. After one of the errors in `UNVERIFIED` there is no report. If a timed
    kernel that should be exact differs from the reference, the report names it.
    """
    if not run_options.yes:
        refuse_large_grid(study)
    folder = run_options.out or Path("results") / folder_name(study.name)
    try:
        with open_cluster(run_options.cluster) as executor:
            data = study.dataset(**mapping_display())
            check_misfits(study, data[0], run_options.locate)
            compile_later(_timed_kernels(study, data[0]))
            with (
                show_stages() as stages,
                decide(study, data, folder, executor, stages, resume=run_options.resume, may_time=True) as run_data,
            ):
                with stages.hidden():
                    _print_verdict(run_data, study, data[0])
                # The verdict does not wait for this import, which takes 0.1 s.
                from sgdbench.commands.measure import measure_and_report  # noqa: PLC0415

                return measure_and_report(
                    run_data, study, data[0], stages, verbose=run_options.verbose, svg=run_options.svg
                )
    except UNVERIFIED as error:
        return refuse_report(error)


def _timed_kernels(study: Study, data: Dataset) -> Iterator[KernelSpec]:
    """Yield the kernels whose updates are timed after the verdict, other than those that train."""
    model, grid, loss = study.make_model(data), study.make_grid(), make_loss(study.run.loss)
    for optimizer, dtype in product(grid.optimizer, grid.dtype or ["float64"]):
        yield KernelSpec(KERNEL, model, loss, make_optimizer(optimizer), dtype=dtype)


def refuse_large_grid(study: Study) -> None:
    """Refuse a study with a very large grid, which requires --yes."""
    if question := question_if_large(study.make_grid().size):
        raise ValueError(f"{study.name}: {question}")


def refuse_report(error: Exception) -> bool:
    """Print the reason why no report is written, and return False."""
    print(f"sgdbench: {error}; no report was written", file=sys.stderr)
    return False


@contextmanager
def decide(
    study: Study,
    data: tuple[Dataset, Scaling | None],
    folder: Path,
    executor: Executor,
    stages: Stages,
    *,
    resume: bool,
    may_time: bool = False,
) -> Iterator[RunData]:
    """Train a study, verify it, confirm its leading choices and evaluate the winner on the test rows.

    Yield the results, and hold the folder until the end. If `may_time`, and the time of an update may decide which
    choice is recommended, updates are timed before fresh seeds are trained.
    """
    (samples, scaling), grid = data, study.make_grid()
    with ExitStack() as stack:
        with explain_resuming(folder), stages.stage("configurations", grid.size) as advance:
            trainer = make_trainer(study, samples, folder, executor)
            trained = train_grid(trainer, grid, resume, lambda done: advance(done / grid.size))
            result = stack.enter_context(trained)
        stack.enter_context(explain_report(folder))
        with stages.stage("check"):
            verify_runs(result, study, samples)
        run_data = RunData(result, read_tables(folder), study, samples, scaling, None)
        if may_time and decide_by_seconds(run_data.choices):
            from sgdbench.commands.measure import time_updates  # noqa: PLC0415 (as above)

            with stages.stage("updates, timed"):
                costs = time_updates(result, study, samples)
            run_data = replace(run_data, evidence={**run_data.evidence, "costs": costs})
        with stages.stage("fresh seeds"):
            confirm(trainer, run_data.to_confirm, grid.seed, grid)
            if trainer.problem.test is not None:
                judge(trainer.problem, run_data)
                run_data = run_data.with_evidence(read_tables(folder))
        yield run_data


def make_trainer(study: Study, data: Dataset, folder: Path, executor: Executor, **changed: Any) -> Trainer:
    """Return the trainer of a study's runs into a folder, with its settings or `changed` ones."""
    settings, held_out = study.run.model_copy(update=changed), (data.validation, data.test)
    problem = make_problem(study.make_model(data), data.x, data.y, settings, folder, *held_out)
    # The problem itself has only class numbers in place of labels, and samples in place of shares.
    about = {"validation": study.data.validation, "test": study.data.test, "classes": data.classes}
    return Trainer(problem, folder, to_toml(study), executor, about)


def _print_verdict(run_data: RunData, study: Study, data: Dataset) -> None:
    for about, sentence in run_data.headline.items():
        print_sentence(about, sentence)
    print_sentence("Run", _describe_run(run_data, study, data))
    sys.stdout.flush()  # also in a pipe: seconds of measuring and drawing follow


def _choose_checked(result: StoredSweep, data: Dataset) -> NDArray[np.int64]:
    """Return the rows of the configurations that are trained again."""
    size = len(result.frame)
    epoch = len(data.y) * reference_cost(result.model)
    count = min(size, max(1, min(CHECKED_RUNS, CHECKED_RUNS * CHECKED_SAMPLES // epoch)))
    return np.sort(np.random.default_rng(0).choice(size, count, replace=False))


def verify_runs(result: StoredSweep, study: Study, data: Dataset) -> None:
    """Check the derivatives of the model, and train some random configurations again with the reference.

    Raise WrongProgramError if the program that the reference and all kernels compute does not match the expression, and
    WrongRunsError if the reference gives another result than the kernel.
    """
    rows = _choose_checked(result, data)
    check_derivatives(result.model, data.x, result.starts[rows[:CHECKED_STARTS]])
    chosen = replace(result, frame=result.frame.iloc[rows], starts=result.starts[rows])
    table = check(chosen, study.run, data.x, data.y, data.validation)
    store_tables(result.run.folder, check=table)
    if not table["verified"].all():
        print_table(table.drop(columns="config_id"), TITLES["check"])
        raise WrongRunsError("the kernel and the reference give different results")


def _describe_run(run_data: RunData, study: Study, data: Dataset) -> str:
    frame, settings = run_data.frame, study.run
    target = "" if run_data.target is None else f", target {run_data.criterion.label} {text(run_data.target)}"
    units = ", standardized" if run_data.scaling else ""
    in_blocks = settings.shuffling != "all" and bool(frame["shuffle"].any())
    blocks = f", shuffled in {settings.shuffling}" if in_blocks else ""
    checked = len(run_data.evidence["check"])
    return (
        f"{format_count(len(frame), 'configuration')} of {run_data.result.model.expression}{run_data.source}{units}, "
        f"up to {format_count(settings.epochs, 'epoch')}{blocks}{target}; "
        f"{text(checked)} checked against the reference."
    )
