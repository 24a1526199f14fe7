"""sweep(): train every configuration of a grid into a folder."""

import weakref
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Union, Unpack

from numpy.typing import ArrayLike

from sgdbench.api.arguments import SweepSettings, check_progress, check_settings, find_executor, open_folder
from sgdbench.api.results import SweepResult
from sgdbench.engine.confirm import confirm
from sgdbench.engine.pipeline import judge, train_grid
from sgdbench.engine.problem import make_problem
from sgdbench.engine.train import Executor, Trainer
from sgdbench.kernels.base.columns import Inputs
from sgdbench.kernels.model.model import ModelLike
from sgdbench.store.run_folder import check_study
from sgdbench.study.grid import Grid
from sgdbench.system.atomic import unsynced_files
from sgdbench.tables.confirm import rank_stored

if TYPE_CHECKING:
    from distributed import Client


def sweep(
    model: ModelLike,
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
    """Train every configuration of a grid, and return a `sgdbench.SweepResult`.

    Losses are stored at every checkpoint if these number at most 2**24 in the sweep and 2**20 in the run, otherwise at
    every second checkpoint, or every fourth and so on, and at the last one of each run.

    Parameters
    ----------
    model, x, y
        As for `sgdbench.fit`.
    grid : Grid
        The values to try.
    executor : str or distributed.Client
        Where jobs run: ``"threads"``, one per processor, or the client of a Dask cluster (`sgdbench.engine.dask`),
        which gives the same bits.
    out : path, optional
        The run's folder. Configurations that it already holds are not trained again, so the same call resumes an
        interrupted run, and more epochs or more seeds extend one. A grid that lacks configurations of an earlier one is
        refused, so that the report shows everything in the folder. By default the results are stored in a temporary
        folder, as long as the returned object, its `confirmation` or its `run` exists; a pickled result then has only
        its `frame`.
    study : str
        The study as a TOML text, for the record in the folder.
    resume : bool
        False refuses a folder that holds results.
    progress : callable
        Called with the number of completed configurations of the grid.
    **settings
        Keys of a study's tables [run] and [data]; `sgdbench.study.keys` and ``sgdbench schema`` list their defaults
        with a line about each. In addition:

        `epochs`, `target`, `loss`, `drop_last`, `patience`, `validation` and `test` are as for `sgdbench.fit`,
        including pairs (x, y). ``loss="objective"`` minimizes a model without inputs; `y` is then not used, and may be
        ``[0.0]``. With validation samples and no target, choices are ranked by the validation loss: at the end of a
        run, or with patience at its lowest, of the parameters in `final_loss`, `param_<name>` and `SweepResult.best`.

        `shuffling` is for runs whose `shuffle` in the grid is true; `sgdbench.fit` takes it as `shuffle`.

        `kernel`: lanes train 8 to 64 runs side by side, the kernels of `sgdbench.fit` run by run. If lanes would take
        long for few runs of the same order, ``"fused"`` trains these run by run, provided that it has the same bits or
        the seeds are fresh.

        `record`: ``"log"`` has as many checkpoints per decade, at most 10, that they add at most 0.4 evaluations of the
        loss to each epoch of a run, or 20 in all if runs end at a target, or as many as the folder already has;
        `SweepResult.clock` has the number.

        `confirm`: the starts are the same, and the losses are recorded finely (`sgdbench.engine.confirm`). 0 disables
        it; earlier runs of this kind are reused if they match the current ranking.

        `refine`: the maximum number of rounds per optimizer (`sgdbench.engine.refine`).

    Raises
    ------
    ValueError
        Naming the argument, its value and what would be accepted.
    ConnectionError
        If the cluster is lost, after everything that arrived has been written to disk.
    KeyboardInterrupt
        On Ctrl-C, after everything completed has been written to disk.
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
            grid = grid.with_start_of(problem.model) if isinstance(grid, Grid) else grid
            with train_grid(trainer, grid, resume, progress) as result:
                ranked = rank_stored(result)
                if shared.confirm:
                    confirm(trainer, ranked.to_confirm, grid.seed, grid)
                judge(problem, ranked)
        weakref.finalize(result.run, stack.pop_all().close)  # the run reads the folder, even without the result
    return SweepResult.of(result)
