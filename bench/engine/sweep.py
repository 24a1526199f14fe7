"""sweep(): trains every configuration of a grid into a folder."""

import sys
import weakref
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Union, Unpack

import pandas as pd
from numpy.typing import ArrayLike

from bench.engine.confirm import confirm_choices
from bench.engine.final_test import confirmed_ranking, judge_choice
from bench.engine.memory import Memory
from bench.engine.problem import Problem, make_problem
from bench.engine.recording import record_settings
from bench.engine.refine import refined_plan
from bench.engine.settings import SweepSettings, check_settings
from bench.engine.train import Executor, Trainer, train_in_threads
from bench.engine.yardstick import settle_yardstick
from bench.store.results import SweepResult, load_run
from bench.store.run_folder import check_study, hold_run
from bench.study.grid import Grid
from bench.system.atomic import unsynced_files
from bench.system.files import check_path
from bench.tables.excess import add_excess
from bench.tables.ranking import ranking
from bench.tables.run_costs import loss_floor
from kernels import Model
from kernels.base.checks import check_bool, describe
from kernels.base.columns import Inputs
from kernels.compile.kinds import check_dtype
from kernels.data.samples import allocate_data, to_dtype
from kernels.optimizers import make_optimizer
from kernels.optimizers.schedules import learning_rates

if TYPE_CHECKING:
    from distributed import Client


def sweep(
    model: Model | str,
    x: Inputs,
    y: ArrayLike,
    grid: Grid,
    *,
    executor: Union[str, "Client", Executor] = "threads",
    out: str | Path | None = None,
    study: str = "",
    resume: bool = True,
    progress: Callable[[int], None] = lambda done: None,
    **settings: Unpack[SweepSettings],
) -> SweepResult:
    """Train every configuration of a grid, and return a `bench.SweepResult`.

    The losses of a run are stored at each of its marks, as long as there are at most 2**24 of them in the sweep and
    2**20 in the run; else at every second mark, or every fourth and so on, and at the last one of each run.

    Parameters
    ----------
    model, x, y
        As for `kernels.fit`.
    grid : Grid
        The values to try.
    executor : str or distributed.Client
        Where jobs run: ``"threads"``, one for each processor, or the client of a Dask cluster
        (`bench.engine.dask`), which gives the same bits.
    out : path, optional
        The run's folder. Configurations that it holds already are not trained again, so the same call resumes a run
        that was stopped, and more epochs or more seeds extend one. A grid that lacks configurations of an earlier one
        is refused, so that the report shows all that the folder holds. Without a folder the results are stored in a
        temporary folder, for as long as the object that is returned, its `confirmation` or its `run` lives; pickled, it
        has its `frame` alone then.
    study : str
        The study as a TOML text, for the record in the folder.
    resume : bool
        False refuses a folder that holds results.
    progress : callable
        Called with the number of configurations of the grid that are done.
    **settings
        Those of a study's tables [run] and [data].

        `epochs` (100), `target` (None), `loss` ("squared"), `drop_last` (True), `patience` and `validation` (None):
        as for `kernels.fit`. ``loss="objective"`` minimizes a model without inputs itself; `y` has no part in that,
        and may be ``[0.0]``. Where there are samples for validation and no target, choices are ranked by the loss on
        them: at the end of a run, or with patience at its lowest, of the parameters that `final_loss`, `param_<name>`
        and `SweepResult.best` are about.

        `shuffling` ("all"): how runs are shuffled whose `shuffle` in the grid is true, all samples together or in
        ``"blocks"``, which `kernels.fit` takes as `shuffle`.

        `test` (None): as for `kernels.fit`. These samples decide nothing: the best choice is judged by them in the
        end, and the verdict begins with that.

        `kernel`: ``"lanes"``, the default (8 to 64 runs side by side), or ``"lanes-fma"``, or one of those of
        `kernels.fit`, run by run. Where lanes would take long for few runs of the same order, ``"fused"`` trains these
        run by run, if it has the same bits or the seeds are fresh.

        `record`: the marks at which losses are recorded and compared with the target, as for `kernels.fit`.
        ``"log"``, the default, has as many of them to a decade, 10 at most, that they add at most 0.4 evaluations of
        the loss to each epoch of a run, or 20 in all where runs end at a target, or as many as the folder has already;
        `SweepResult.clock` tells how many.

        `confirm` (20): the leading choices are trained once more, from the same starts with this many seeds that had
        no part in choosing them, and recorded finely (`bench.engine.confirm`). 0 leaves that out; such runs of an
        earlier time are used as long as they are about the ranking of today.

        `refine` (0): learning rates around the best choice of each optimizer, or beyond it where it is at the edge of
        the grid, are added in at most this many rounds (`bench.engine.refine`).

    Raises
    ------
    ValueError
        Naming the argument, its value and what would be accepted.
    ConnectionError
        If the cluster has gone, after what has arrived has reached the disk.
    KeyboardInterrupt
        On Ctrl-C, after what is done has reached the disk.
    """
    shared, held_out, _ = check_settings("sweep", SweepSettings, settings, Grid)
    run_jobs = find_executor(executor)
    check_progress(resume, progress)
    check_study(study)
    with ExitStack() as stack:
        folder = open_folder(stack, out)
        with unsynced_files() if out is None else nullcontext():
            problem = make_problem(model, x, y, shared, folder, **held_out)
            check_grid(grid, problem)
            if "float32" in grid.dtype:
                _check_float32(problem, grid)
            trainer, plan = Trainer(problem, folder, study, run_jobs), grid.frame(problem.model, problem.y.size)
            with hold_run(folder):
                trainer.train(plan, grid, resume=resume, progress=lambda done: progress(min(done, grid.size)))
                rounds, drawn = shared.refine, grid.drawn
                record_settings(folder, shared.epochs, **held_out, classes=problem.classes, drawn=drawn, refine=rounds)
                result, floor = load_run(folder), loss_floor(problem.y)
                settle_yardstick(problem, result.starts, folder)
                for _ in range(shared.refine):
                    # Rates that the folder has from an earlier sweep have no part, so that rounds can be repeated.
                    planned = result.frame["config_id"].isin(problem.with_ids(plan)["config_id"])
                    considered = replace(result, frame=result.frame[planned], starts=result.starts[planned])
                    more = refined_plan(plan, rank_runs(considered, floor), grid, problem)
                    if more is None:
                        break
                    plan = more
                    trainer.train(plan, grid)
                    result = load_run(folder)
                if shared.confirm:
                    confirm_choices(trainer, grid, rank_runs(result, floor), shared.confirm)
                if problem.test is not None:
                    ranked = confirmed_ranking(result, rank_runs(result, floor), problem)
                    judge_choice(result, ranked, problem)
        weakref.finalize(result.run, stack.pop_all().close)  # the run reads the folder, also without the result
    return result


def open_folder(stack: ExitStack, out: str | Path | None) -> Path:
    """Return the folder of the results; where none is given a temporary one, which goes with the stack."""
    if out is None:
        return Path(stack.enter_context(TemporaryDirectory(prefix="sgdbench-")))
    return check_path("out", out, "a folder")


def check_progress(resume: bool, progress: object) -> None:
    """Refuse a `resume` that is no truth value, such as "no", and a `progress` that cannot be called."""
    check_bool("resume", resume)
    if not callable(progress):
        raise ValueError(f"progress must be a function of the number that is done, not {describe(progress)}")


def find_executor(executor: object) -> Executor:
    """Return the executor that an argument of `sweep` stands for; a ValueError if it stands for none."""
    if isinstance(executor, str) and executor == "threads":
        return train_in_threads
    if "distributed" in sys.modules:  # which whoever made a client has imported
        from distributed import Client  # noqa: PLC0415

        from bench.engine.dask import DaskExecutor  # noqa: PLC0415

        if isinstance(executor, Client):
            return DaskExecutor(executor)
    if callable(executor):
        return executor
    raise ValueError(f'executor must be "threads" or a dask.distributed.Client, not {describe(executor)}')


def _check_float32(problem: Problem, grid: Grid) -> None:
    """Refuse optimizers without float32, and samples and starts beyond its range."""
    for text in grid.optimizer:
        check_dtype("float32", problem.settings.kernel, problem.model, problem.loss, make_optimizer(text))
    allocate_data(problem.columns, problem.y, shuffle=False, validation=problem.held_out, dtype="float32")
    to_dtype("init", grid.starts(problem.model).ravel(), "float32")


def rank_runs(result: SweepResult, floor: float) -> pd.DataFrame:
    """Rank the choices by samples to the target; losses below the floor are equal."""
    return ranking(add_excess(result.frame, result.yardstick, floor), floor=floor)


def check_grid(grid: Grid, problem: Problem) -> None:
    """Refuse anything but a grid, rates that grow too large for a float, and runs that do not fit into the memory."""
    if not isinstance(grid, Grid):
        raise ValueError(f"grid must be a Grid, not {describe(grid)}")
    n = problem.y.size
    smallest = min(size if isinstance(size, int) else n for size in grid.batch_size)
    Memory.of(problem, single="float32" in grid.dtype).check(grid.size, min(smallest, n))
    for schedule in grid.schedule:
        learning_rates(schedule, float(grid.lr.max()), problem.settings.epochs)
