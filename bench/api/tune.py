"""tune(): Optuna proposes settings, the kernels train them, and the best ones are confirmed on fresh seeds."""

import weakref
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Union, Unpack

from numpy.typing import ArrayLike

from bench.api.arguments import TuneSettings, check_progress, check_settings, find_executor, open_folder
from bench.api.results import TuneResult
from bench.engine.problem import make_problem
from bench.engine.train import Executor, Trainer
from bench.engine.tune import train_search
from bench.store.run_folder import check_study
from bench.study.grid import Grid
from bench.study.space import SearchSettings, Space
from kernels import Model
from kernels.base.checks import describe
from kernels.base.columns import Inputs

if TYPE_CHECKING:
    from distributed import Client


def tune(
    model: Model | str,
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
    """Search a space for the best settings, and return a `bench.TuneResult`.

    Each optimizer of the space has the same number of trials. A trial is a choice of settings, trained from every
    start with every seed. Its value is the logarithm, to base 10, of the number of samples that all of its runs have
    seen for each run that reached the target; without a target, the mean logarithm of the final losses, or of those on
    held-out samples, with the parameters that runs keep. A trial is given up if one of its runs diverges, or if the
    pruner decides so. The best trials are then trained again with fresh seeds.

    The same arguments give the same trials. A search that was stopped goes on from all trials that it had asked for;
    the trials that follow may differ from those of a search that was not stopped.

    Parameters
    ----------
    model, x, y, executor, out, study
        As for `bench.sweep`.
    space : Space
        The ranges, the starts and the seeds.
    grid : Grid, optional
        Trained too, into a folder of its own, , for comparison.
    resume : bool
        False refuses a folder that holds results.
    progress : callable
        Called with the number of trials done.
    **settings
        Keys of a study's table [tune], `trials`, `sampler` and `pruner`, and those of `bench.sweep` but `refine`;
        `bench.study.keys` has their defaults and a line about each. More `trials` go on with a search that `out` holds.
        The pruners compare trials after `bench.engine.search.halving_epochs`. And `sampler_seed`, which studies do not
        have.

    Raises
    ------
    ValueError
        Naming the argument, its value and what would be accepted.
    KeyboardInterrupt
        On Ctrl-C, after what is done has reached the disk.
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
        found = train_search(trainer, space, searched, grid, resume=resume, progress=progress)
        weakref.finalize(found.result.run, stack.pop_all().close)  # the run reads the folder, also without the result
    return TuneResult.of(found)
