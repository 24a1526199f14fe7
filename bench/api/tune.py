"""tune(): Optuna proposes settings, the kernels train them, and the best ones are confirmed on fresh seeds."""

import weakref
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Union, Unpack

from numpy.typing import ArrayLike

from sgdbench.api.arguments import TuneSettings, check_progress, check_settings, find_executor, open_folder
from sgdbench.api.results import TuneResult
from sgdbench.engine.problem import make_problem
from sgdbench.engine.train import Executor, Trainer
from sgdbench.engine.tune import train_search
from sgdbench.kernels.base.checks import describe
from sgdbench.kernels.base.columns import Inputs
from sgdbench.kernels.model.model import ModelLike
from sgdbench.store.run_folder import check_study
from sgdbench.study.grid import Grid
from sgdbench.study.space import SearchSettings, Space

if TYPE_CHECKING:
    from distributed import Client


def tune(
    model: ModelLike,
    x: Inputs,
    y: ArrayLike,
    space: Space,
    *,
    grid: Grid | None = None,
    executor: Union[str, "Client", Executor] = "threads",
    out: str | Path | None = None,
    study: str = "",
    resume: bool = True,
    progress: Callable[[int], None] = lambda done: None,
    **settings: Unpack[TuneSettings],
) -> TuneResult:
    """Search a space for the best settings, and return a `sgdbench.TuneResult`.

    Each optimizer of the space has the same number of trials. A trial is a choice of settings, trained from every start
    with every seed. Its value is the base-10 logarithm of the number of samples that all of its runs have seen per run
    that reached the target; without a target, the mean logarithm of the final losses, or of the held-out losses, with
    the parameters that runs keep. A trial is abandoned if one of its runs diverges, or if the pruner decides so. The
    best trials are then trained again with fresh seeds.

    The same arguments give the same trials. An interrupted search continues from all trials requested so far; later
    trials may differ from those of an uninterrupted search.

    Parameters
    ----------
    model, x, y, executor, out, study
        As for `sgdbench.sweep`.
    space : Space
        The ranges, the starts and the seeds.
    grid : Grid, optional
        Also trained, into a separate folder, for comparison.
    resume : bool
        False refuses a folder that holds results.
    progress : callable
        Called with the number of trials done.
    **settings
        Keys of a study's table [tune], `trials`, `sampler` and `pruner`, and those of `sgdbench.sweep` except `refine`;
        `sgdbench.study.keys` lists their defaults with a line about each. More `trials` continue a search that `out`
        holds. The pruners compare trials after `sgdbench.engine.search.halving_epochs`. `sampler_seed` is additional;
        studies do not have it.

    Raises
    ------
    ValueError
        Naming the argument, its value and what would be accepted.
    KeyboardInterrupt
        On Ctrl-C, after everything completed has been written to disk.
    """
    if not isinstance(space, Space):
        raise ValueError(f"space must be a Space, not {describe(space)}")
    shared, held_out, about_search = check_settings("tune", TuneSettings, settings, Space)
    searched = SearchSettings(**about_search)
    run_jobs = find_executor(executor)
    check_progress(resume, progress)
    check_study(study)
    with ExitStack() as stack:
        folder = open_folder(stack, out)
        problem = make_problem(model, x, y, shared, folder, **held_out)
        trainer = Trainer(problem, folder, study, run_jobs, held_out | {"classes": problem.classes})
        space = space.with_start_of(problem.model)
        grid = grid.with_start_of(problem.model) if isinstance(grid, Grid) else grid
        search = train_search(trainer, space, searched, grid, resume=resume, progress=progress)
        weakref.finalize(search.result.run, stack.pop_all().close)  # the run reads the folder, even without the result
    return TuneResult.of(search)
