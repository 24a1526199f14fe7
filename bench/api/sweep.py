"""sweep(): trains every configuration of a grid into a folder."""

import weakref
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Union, Unpack

from numpy.typing import ArrayLike

from bench.api.arguments import SweepSettings, check_progress, check_settings, find_executor, open_folder
from bench.api.results import SweepResult
from bench.engine.confirm import confirm
from bench.engine.pipeline import judge, train_grid
from bench.engine.problem import make_problem
from bench.engine.train import Executor, Trainer
from bench.store.run_folder import check_study
from bench.study.grid import Grid
from bench.system.atomic import unsynced_files
from bench.tables.confirm import rank_stored
from kernels import Model
from kernels.base.columns import Inputs

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

    The losses of a run are stored at each of its checkpoints, as long as there are at most 2**24 of them in the sweep
    and 2**20 in the run; else at every second checkpoint, or every fourth and so on, and at the last one of each run.

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
        Keys of a study's tables [run] and [data]; `bench.study.keys` and ``sgdbench schema`` have their defaults and a
        line about each. What they do not say:

        `epochs`, `target`, `loss`, `drop_last`, `patience`, `validation` and `test` are as for `kernels.fit`, with
        pairs (x, y) too. ``loss="objective"`` minimizes a model without inputs itself; `y` has no part in that,
        and may be ``[0.0]``. Where there are samples for validation and no target, choices are ranked by the loss on
        them: at the end of a run, or with patience at its lowest, of the parameters that `final_loss`, `param_<name>`
        and `SweepResult.best` are about.

        `shuffling`: of runs whose `shuffle` in the grid is true; `kernels.fit` takes it as `shuffle`.

        `kernel`: lanes train 8 to 64 runs side by side, the kernels of `kernels.fit` run by run. Where lanes
        would take long for few runs of the same order, ``"fused"`` trains these run by run, if it has the same bits or
        the seeds are fresh.

        `record`: ``"log"`` has as many checkpoints to a decade, 10 at most, that they add at most 0.4 evaluations of
        the loss to each epoch of a run, or 20 in all where runs end at a target, or as many as the folder has already;
        `SweepResult.clock` tells how many.

        `confirm`: the starts are the same, and the losses are recorded finely (`bench.engine.confirm`). 0 leaves that
        out; such runs of an earlier time are used as long as they are about the ranking of today.

        `refine`: the maximum number of rounds for each optimizer (`bench.engine.refine`).

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
            trainer = Trainer(problem, folder, study, run_jobs, held_out | {"classes": problem.classes})
            with train_grid(trainer, grid, resume, progress) as result:
                ranked = rank_stored(result)
                if shared.confirm:
                    confirm(trainer, ranked.to_confirm, grid.seed, grid)
                judge(problem, ranked)
        weakref.finalize(result.run, stack.pop_all().close)  # the run reads the folder, also without the result
    return SweepResult.of(result)
