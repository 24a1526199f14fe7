"""The leading choices once more, with seeds that had no part in choosing them.

The best of many choices is best by merit and by luck, and its figures are too good on average. The same choices on
fresh seeds give figures without that bias.

These runs are few, and are recorded finely: the samples to a target are known to one twentieth of them.
"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

import pandas as pd

from bench.engine.jobs import group_runs, share_kernels
from bench.engine.memory import Memory
from bench.engine.plan import plan_choices
from bench.engine.problem import Problem
from bench.engine.recording import CHECKPOINTS_TO_TARGET, record_settings, settle_record, stops_at_target
from bench.engine.run_states import RunStates
from bench.engine.train import Trainer
from bench.store.run_folder import ABOUT, CONFIRMATION, read_identity
from bench.study.grid import Grid
from kernels.compile.kinds import is_exact

# From a checkpoint to the next, 5 % more samples.
PER_DECADE = 50
# Samples on which the losses at all checkpoints that are added may be evaluated, and weights of all these: about a
# second of lanes, and ten seconds of single runs. Of many samples that is too few for the checkpoints of the sweep,
# which fresh seeds have in any case: what they need is compared with what the sweep needed.
EVALUATED, EVALUATED_WEIGHTS = 1e10, 1e11
SINGLE_OF = {"lanes": "fused", "lanes-fma": "fused-fma"}
"""The kernels for single runs beside those for many."""


def confirm(trainer: Trainer, choices: pd.DataFrame, used: Iterable[int], repeats: Grid) -> None:
    """Train choices from the starts of a grid with seeds that were not used, into a folder within that of the run.

    The number of seeds is that of the settings; with 0, or without choices, nothing is trained. Runs that the folder
    holds from an earlier time are not trained again.
    """
    problem, folder = trainer.problem, trainer.folder / CONFIRMATION
    settings = problem.settings
    if not settings.confirm or choices.empty:
        return
    rows = plan_choices(choices, Grid(init=repeats.init, seed=fresh_seeds(used, settings.confirm)), problem)
    if stops_at_target(settings):
        n = problem.y.size
        evaluated = min(EVALUATED, EVALUATED_WEIGHTS / len(problem.model.params))
        more = max(evaluated / (len(rows) * n), CHECKPOINTS_TO_TARGET)
        record = settle_record(settings.record, n, settings.epochs, folder, finest=PER_DECADE, more=more)
        problem = replace(problem, clock=replace(problem.clock, record=record))
    settings = settings.model_copy(update={"kernel": _settle_kernel(problem, rows, folder)})
    replace(trainer, problem=replace(problem, settings=settings), folder=folder).train(rows)
    record_settings(folder, settings.epochs)


def _settle_kernel(problem: Problem, rows: pd.DataFrame, folder: Path) -> str:
    """Return the kernel for runs on fresh seeds: one for single runs where most places of lanes would be empty.

    Where kernels promise the same bits, groups of runs have the kernel that suits them (`bench.engine.jobs`). Where
    they do not, all runs of a folder have the same one, also those that are added later.
    """
    settings = problem.settings
    if is_exact(problem.model, settings.kernel, settings.loss) or settings.kernel not in SINGLE_OF:
        return settings.kernel
    if (folder / ABOUT).exists():
        return read_identity(folder).get("kernel", settings.kernel)
    plan = problem.with_ids(rows)
    groups = group_runs(problem, plan, RunStates.begin(plan, problem), share_kernels(plan, settings))
    sizes = [(len(group.rows), group.checkpoints.size) for group in groups]
    return SINGLE_OF[settings.kernel] if Memory.of(problem).have_empty_places(sizes) else settings.kernel


def fresh_seeds(used: Iterable[int], size: int) -> list[int]:
    """Return the first seeds, from 0, that are not among those used."""
    used = set(used)
    return list(islice((seed for seed in count() if seed not in used), size))
