"""The time of an update with the kernel `fused`, measured for all settings that determine it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.compile.spec import KernelSpec
from sgdbench.kernels.data.samples import check_samples
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.optimizers.schedules import learning_rates
from sgdbench.kernels.train.compile_together import compile_together
from sgdbench.kernels.train.slices import reference_cost
from sgdbench.store.results import StoredSweep
from sgdbench.study.run_settings import choice_settings
from sgdbench.study.schema import RunTable
from sgdbench.system.environment import processors
from sgdbench.tables.costs import KERNEL, PER_UPDATE, cost_columns
from sgdbench.tables.intervals import CONFIDENCE, median_interval
from sgdbench.timing.paired import take_turns
from sgdbench.timing.problem import Problem
from sgdbench.timing.variants import VARIANTS_BY_NAME, Call
from sgdbench.timing.verify import NotVerifiedError, no_compilation, verify

EPOCHS = 8
ROUNDS = 9
# The rounds of one process do not cover the next, whose memory is placed differently, and the clock rate drifts. On two
# busy cores the medians of five runs of one measurement were 2 to 9 % apart, so intervals are at least this wide.
MIN_HALF_WIDTH = 0.05
SAMPLE_SECONDS = 2e-4  # there are dozens of calls, and the last per cent does not matter
# The reference trains on at most this many samples, for two epochs, so that errors of later epochs are found too.
SLOW_SAMPLES, MAX_SLOWDOWN, SLOW_EPOCHS = 200, 10, 2
# The weights that a call updates, over all samples.
MAX_WEIGHTS = 1_500_000
# The samples of a call without weights, unless a batch has more: fewer would stay in caches, and take half as long when
# shuffled. It visits this many in all its epochs, but has at least four, as the loss at its start is timed too.
MAX_SAMPLES, MAX_VISITS, MIN_EPOCHS = 1_000_000, 2_000_000, 4


def update_seconds(
    result: StoredSweep,
    x: Floats,
    y: Floats,
    shared: RunTable,
    *,
    seconds: float,
) -> pd.DataFrame:
    """Time an update of the kernel `fused` for all settings that determine it.

    The timed runs have eight epochs, including the losses at their ends, and their time is divided by their updates.
    With many samples they have fewer epochs, and with a million samples or many weights they use a part of the samples.
    There are at least five rounds. If the kernel does not match the reference, it is not timed.

    The columns are `optimizer`, `batch_size`, `shuffle`, `variant`, which is `fused`; `seconds_per_update`, the median
    over the rounds, with its interval (missing if it was not timed); and `note`, why it was not.
    """
    columns, y = check_samples(result.model, x, y)
    rows: list[dict[str, Any]] = []
    calls: dict[str, Call] = {}
    updates: dict[str, int] = {}
    settings = list(_make_problems(result, columns, y, shared))
    compile_together([_kernel_of(problem) for _, problem in settings], processors())
    fused = VARIANTS_BY_NAME[KERNEL]
    for about, problem in settings:
        samples = max(SLOW_SAMPLES // min(MAX_SLOWDOWN, reference_cost(result.model)), problem.batch_size)
        name, note = str(len(rows)), ""
        try:
            verify(fused, problem.part(epochs=SLOW_EPOCHS, samples=samples))
        except NotVerifiedError as reason:
            note = str(reason)
        else:
            calls[name], updates[name] = fused.ready(problem), problem.updates
            calls[name]()  # warm up
        rows.append(about | {"variant": KERNEL, **dict.fromkeys(PER_UPDATE), "note": note})
    if calls:
        with no_compilation():
            timings = take_turns(calls, rounds=ROUNDS, seconds=seconds, sample_seconds=SAMPLE_SECONDS)
    for name in calls:
        each = timings.of(name)[np.newaxis] / updates[name]
        middle, (low, high) = float(np.median(each)), median_interval(each, CONFIDENCE)
        ends = min(low.item(), (1 - MIN_HALF_WIDTH) * middle), max(high.item(), (1 + MIN_HALF_WIDTH) * middle)
        rows[int(name)] |= dict(zip(PER_UPDATE, (middle, *ends), strict=True))
    table = pd.DataFrame(rows, columns=[*cost_columns(result.frame), "variant", *PER_UPDATE, "note"])
    return table.astype(dict.fromkeys(PER_UPDATE, float))


def _make_problems(
    result: StoredSweep, columns: tuple[Floats, ...], y: Floats, shared: RunTable
) -> Iterator[tuple[dict[str, Any], Problem]]:
    """Yield the settings that determine the time of an epoch, and the run that is timed for them."""
    frame = result.frame.reset_index(drop=True)
    frame = frame[frame["status"] != "diverged"]
    # A run that blows up ends early; the smallest rate is the least likely to.
    chosen = frame.sort_values("lr").drop_duplicates(cost_columns(frame)).sort_index()
    for place, row in zip(chosen.index.tolist(), chosen.to_dict("records"), strict=True):
        rates = learning_rates("constant", row["lr"], EPOCHS)[:, np.newaxis]
        own = choice_settings(row, shared) | {"seed": row["seed"], "loss": shared.loss}
        del own["lr"], own["schedule"]
        problem = Problem(result.model, columns, y, result.starts[[place]], rates, **own)
        yield {name: row[name] for name in cost_columns(frame)}, _affordable_part(problem)


def _affordable_part(problem: Problem) -> Problem:
    """Return the problem, with fewer samples if it has many samples or weights, and if need be fewer epochs."""
    if not problem.model.vectors:
        part = problem.part(samples=max(problem.batch_size, MAX_SAMPLES))
        return part.part(epochs=max(MIN_EPOCHS, MAX_VISITS // part.y.size))
    part = problem.part(samples=max(problem.batch_size, MAX_WEIGHTS // (problem.inits.size * problem.epochs)))
    return part.part(epochs=max(1, min(problem.epochs, MAX_WEIGHTS // (problem.inits.size * part.y.size))))


def _kernel_of(problem: Problem) -> KernelSpec:
    made_of = KERNEL, problem.model, make_loss(problem.loss), make_optimizer(problem.optimizer)
    return KernelSpec(*made_of, dtype=problem.dtype)
