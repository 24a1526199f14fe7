"""The pipeline of sweeps and searches by stage: train, compute the lowest loss, refine, confirm, judge.

`train_grid` comprises the first three for `sgdbench.sweep` and `sgdbench run`; `sgdbench.engine.tune.train_search`
trains rounds of trials instead. `sgdbench.tables.confirm` ranks the runs for the following stages,
`sgdbench.engine.confirm.confirm` and `judge`, and for everything that reports them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pandas as pd

from sgdbench.engine.attainable_loss import settle_attainable_loss
from sgdbench.engine.fingerprint import hash_columns
from sgdbench.engine.memory import Memory
from sgdbench.engine.problem import Problem
from sgdbench.engine.recording import record_settings
from sgdbench.engine.refine import refined_plan
from sgdbench.engine.train import Trainer
from sgdbench.kernels.base.checks import describe
from sgdbench.kernels.compile.kinds import check_dtype
from sgdbench.kernels.data.samples import allocate_data, to_dtype
from sgdbench.kernels.losses.classes import takes_classes
from sgdbench.kernels.model.param_columns import param_columns, params_from_columns
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.optimizers.schedules import learning_rates
from sgdbench.kernels.train.attainable_loss import constant_loss
from sgdbench.kernels.train.fit_result import mean_loss, metrics_on
from sgdbench.store.evidence import store_tables
from sgdbench.store.results import StoredSweep, read_sweep
from sgdbench.store.run_folder import hold_run
from sgdbench.study.grid import Grid
from sgdbench.tables.conclusions import share_of_most_frequent
from sgdbench.tables.confirm import RankedRuns
from sgdbench.tables.rank import recommended_choice, runs_of


@contextmanager
def train_grid(
    trainer: Trainer,
    grid: Grid,
    resume: bool = True,
    progress: Callable[[int], None] = lambda done: None,
) -> Iterator[StoredSweep]:
    """Train a grid, compute the lowest loss and refine learning rates; yield the runs, and hold their folder.

    A grid that does not fit the problem is refused before a folder is created. `progress` is called with the number of
    completed configurations of the grid.
    """
    problem, folder = trainer.problem, trainer.folder
    check_grid(grid, problem)
    plan = grid.frame(problem.model, problem.y.size)
    with hold_run(folder):
        trainer.train(plan, grid, resume=resume, progress=lambda done: progress(min(done, grid.size)))
        rounds = problem.settings.refine
        record_settings(folder, problem.settings.epochs, **trainer.about, drawn=grid.drawn, refine=rounds)
        result = read_sweep(folder)
        settle_attainable_loss(problem, result.starts, folder)
        for _ in range(rounds):
            # Rates that the folder has from an earlier sweep are ignored, so that rounds can be repeated.
            planned = result.frame["config_id"].isin(problem.with_ids(plan)["config_id"])
            considered = replace(result, frame=result.frame[planned], starts=result.starts[planned])
            more = refined_plan(plan, RankedRuns(considered, {}).choices, grid, problem)
            if more is None:
                break
            plan = more
            trainer.train(plan, grid)
            result = read_sweep(folder)
        yield result


def judge(problem: Problem, ranked: RankedRuns) -> None:
    """Store the losses of the recommended choice on the test samples, run by run, in the folder of its runs.

    The runs are those by which it was chosen and, if there are any, those on fresh seeds. This follows all decisions
    and influences none.
    """
    loss, test = problem.loss, problem.test
    if test is None or ranked.frame.empty:
        return
    result, best = ranked.result, recommended_choice(ranked.ranked)
    frames = [result.frame] if result.confirmation is None else [result.frame, result.confirmation.frame]
    model, columns = result.model, ["config_id", "samples_seen", *param_columns(result.model)]
    own = pd.concat([runs_of(frame, best)[columns] for frame in frames], ignore_index=True)
    rows = [
        {"loss": mean_loss(model, loss, params, *test)} | metrics_on(model, loss, params, *test)
        for params in params_from_columns(model, own)
    ]
    about = own[columns[:2]].assign(rows=test[1].size, constant=constant_loss(loss, test[1]))
    if takes_classes(loss) and "accuracy" in rows[0]:
        about["most_frequent"] = share_of_most_frequent(test[1])
    about["data"] = hash_columns(*test[0], test[1])
    store_tables(result.run.folder, test=pd.concat([about, pd.DataFrame(rows)], axis=1))


def check_grid(grid: Grid, problem: Problem) -> None:
    """Refuse anything but a grid, rates that grow too large for a float, and runs that do not fit into memory.

    If the grid has float32, also refuse optimizers that do not support it, and samples and starts beyond its range.
    """
    if not isinstance(grid, Grid):
        raise ValueError(f"grid must be a Grid, not {describe(grid)}")
    n = problem.y.size
    smallest = min(size if isinstance(size, int) else n for size in grid.batch_size)
    Memory.of(problem, single="float32" in grid.dtype).check(grid.size, min(smallest, n))
    for schedule in grid.schedule:
        learning_rates(schedule, float(grid.lr.max()), problem.settings.epochs)
    if "float32" in grid.dtype:
        for text in grid.optimizer:
            check_dtype("float32", problem.settings.kernel, problem.model, problem.loss, make_optimizer(text))
        allocate_data(problem.columns, problem.y, shuffle=False, validation=problem.held_out, dtype="float32")
        to_dtype("init", grid.starts(problem.model).ravel(), "float32")
