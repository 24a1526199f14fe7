"""The problems for variants: a study's model and data, as one run, as many, and reduced for slow variants."""

from dataclasses import replace

import numpy as np

from sgdbench.data.table import Dataset
from sgdbench.kernels import Model
from sgdbench.kernels.data.samples import check_batch_size, check_samples
from sgdbench.kernels.optimizers.schedules import learning_rates
from sgdbench.kernels.train.slices import reference_cost
from sgdbench.study.schema import Study
from sgdbench.timing.problem import Problem
from sgdbench.timing.variants import VARIANTS_BY_NAME, Variant
from sgdbench.timing.verify import MAX_SAMPLE_UPDATES

# All variants are compared with this one; if it is not verified, another replaces it.
BASELINE = "fused"
# The sample-updates of a call of one run, and of many: enough that call overhead is negligible.
CALL_UPDATES = 80_000
BATCH_UPDATES = 32_000_000
BATCH_RUNS = 1024
# There are fewer runs if the starts of all would have more numbers, as with many parameters.
MAX_NUMBERS, MIN_RUNS = 10_000_000, 64
# Samples per epoch, and sample-updates per call, for a slow variant.
SLOW_SAMPLES = 10_000
SLOW_UPDATES = 1_000
# The multiple of runs for all cores, because starting threads takes a millisecond.
RUNS_FACTOR_FOR_THREADS = 4


def study_problems(
    study: Study, data: Dataset, *, optimizer: str = "sgd", batch_size: int | str = 1, shuffle: bool = False
) -> tuple[Problem, Problem]:
    """Return a study as a problem of one run, from its first start at its smallest rate, and as one of many runs.

    The data are those of the study, as it is trained. Bad input raises a ValueError, and so does a run that diverges,
    because there is nothing to compare then.
    """
    model, grid = study.make_model(data), study.make_grid()
    columns, y = check_samples(model, data.x, data.y)
    lr, start = float(grid.lr.min()), grid.starts(model)[0, 0]
    epochs = min(study.run.epochs, max(1, CALL_UPDATES // (y.size * _weight(model))))
    rates = learning_rates(grid.schedule[0], lr, epochs)[:, np.newaxis]
    size = check_batch_size(batch_size, y.size)
    settings = (size, shuffle, 0, optimizer, study.run.loss)
    problem = Problem(model, columns, y, start[np.newaxis], rates, *settings)
    if model.vectors:  # peers copy the inputs, which may be mapped
        problem = problem.part(samples=max(size, CALL_UPDATES))
    if _diverges(problem):
        raise ValueError(
            f"{study.name}: the run from the first start at the smallest rate, {lr:g}, with {optimizer} and batches of "
            f"{size} diverges; use a study with a smaller lr"
        )
    return problem, batch_of_runs(problem)


def batch_of_runs(problem: Problem) -> Problem:
    """Return many runs of the same kind, at rates up to that of the single run."""
    runs = max(MIN_RUNS, min(BATCH_RUNS, MAX_NUMBERS // len(problem.model.params)))
    updates = BATCH_UPDATES // (runs * _weight(problem.model))
    part = problem.part(samples=max(problem.batch_size, updates))
    part = part.part(epochs=max(1, updates // part.y.size))
    return replace(part, inits=np.tile(part.inits, (runs, 1)), rates=part.rates * np.geomspace(0.1, 1, runs))


def _weight(model: Model) -> int:
    """Return the time of a sample-update in kernels, relative to one with four parameters."""
    return max(1, len(model.params) // 4) if model.vectors else 1


def problem_for(variant: Variant, problem: Problem, batch: Problem) -> Problem:
    """Return the problem for a variant: one run or many, more of them for all cores, and less for a slow one."""
    own = batch if variant.many else problem
    if variant.threads > 1:
        rates = np.tile(own.rates, RUNS_FACTOR_FOR_THREADS)
        own = replace(own, inits=np.tile(own.inits, (RUNS_FACTOR_FOR_THREADS, 1)), rates=rates)
    if not variant.slow:
        return own
    cost = reference_cost(own.model)
    samples = max(own.batch_size, SLOW_SAMPLES // cost)
    return own.part(samples=samples, epochs=max(1, SLOW_UPDATES // cost // min(samples, own.y.size)))


def _diverges(problem: Problem) -> bool:
    """Return whether the run does not stay finite, also by the reference if time permits."""
    kernels = [BASELINE, "reference"] if problem.reference_cost <= MAX_SAMPLE_UPDATES else [BASELINE]
    return not any(np.isfinite(VARIANTS_BY_NAME[name].ready(problem)().losses).all() for name in kernels)
