"""Confirmation: the leading choices trained again, with seeds that had no part in choosing them.

The best of many choices is best by merit and by luck, so its figures are too good on average. The same choices on fresh
seeds give unbiased figures.

These runs are few, and are recorded finely: the samples to a target are known to within a twentieth.
"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

import pandas as pd

from sgdbench.engine.jobs import group_runs, share_kernels
from sgdbench.engine.memory import Memory
from sgdbench.engine.plan import plan_choices
from sgdbench.engine.problem import Problem
from sgdbench.engine.recording import CHECKPOINTS_TO_TARGET, record_settings, settle_record, stops_at_target
from sgdbench.engine.run_states import RunStates
from sgdbench.engine.train import Trainer
from sgdbench.kernels.compile.kinds import is_exact
from sgdbench.store.run_folder import CONFIRMATION_FOLDER, IDENTITY_FILE, read_identity
from sgdbench.study.grid import Grid

# Checkpoints 5 % apart in samples.
CHECKPOINTS_PER_DECADE = 50
# Limits on the samples, and on samples times weights, for the losses at additional checkpoints: about
# a second of lanes, and ten seconds of single runs. For many samples they allow fewer checkpoints than the sweep has;
# fresh seeds always have the latter, because their costs are compared with those of the sweep.
MAX_EVALUATED_SAMPLES, MAX_EVALUATED_WEIGHTS = 1e10, 1e11
SINGLE_RUN_KERNELS = {"lanes": "fused", "lanes-fma": "fused-fma"}
"""The kernels for single runs beside those for many."""


def confirm(trainer: Trainer, choices: pd.DataFrame, used: Iterable[int], repeats: Grid) -> None:
    """Train choices from the starts of a grid with unused seeds, into a subfolder of the run's folder.

    The settings have the number of seeds; with 0, or without choices, nothing is trained. Runs that the folder
    already holds are not trained again.
    """
    problem, folder = trainer.problem, trainer.folder / CONFIRMATION_FOLDER
    settings = problem.settings
    if not settings.confirm or choices.empty:
        return
    rows = plan_choices(choices, Grid(init=repeats.init, seed=fresh_seeds(used, settings.confirm)), problem)
    if stops_at_target(settings):
        n = problem.y.size
        evaluated = min(MAX_EVALUATED_SAMPLES, MAX_EVALUATED_WEIGHTS / len(problem.model.params))
        more = max(evaluated / (len(rows) * n), CHECKPOINTS_TO_TARGET)
        record = settle_record(settings.record, n, settings.epochs, folder, finest=CHECKPOINTS_PER_DECADE, more=more)
        problem = replace(problem, clock=replace(problem.clock, record=record))
    settings = settings.model_copy(update={"kernel": _settle_kernel(problem, rows, folder)})
    replace(trainer, problem=replace(problem, settings=settings), folder=folder).train(rows)
    record_settings(folder, settings.epochs)


def _settle_kernel(problem: Problem, rows: pd.DataFrame, folder: Path) -> str:
    """Return the kernel for runs on fresh seeds: one for single runs if most places of lanes would be empty.

    If kernels are exact, each group of runs has the kernel that suits it (`sgdbench.engine.jobs`). If they are not, all
    runs of a folder share one kernel, including those added later.
    """
    settings = problem.settings
    if is_exact(problem.model, settings.kernel, settings.loss) or settings.kernel not in SINGLE_RUN_KERNELS:
        return settings.kernel
    if (folder / IDENTITY_FILE).exists():
        return read_identity(folder).get("kernel", settings.kernel)
    plan = problem.with_ids(rows)
    groups = group_runs(problem, plan, RunStates.begin(plan, problem), share_kernels(plan, settings))
    sizes = [(len(group.rows), group.checkpoints.size) for group in groups]
    return SINGLE_RUN_KERNELS[settings.kernel] if Memory.of(problem).have_empty_places(sizes) else settings.kernel


def fresh_seeds(used: Iterable[int], size: int) -> list[int]:
    """Return the first seeds, from 0, that are not among those used."""
    used = set(used)
    return list(islice((seed for seed in count() if seed not in used), size))
