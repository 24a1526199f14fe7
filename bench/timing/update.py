"""The time of an update, measured for each kernel and all settings that decide how long it takes."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import pandas as pd

from bench.store.results import SweepResult
from bench.study.schema import RunTable
from bench.system.environment import processors
from bench.tables.intervals import CONFIDENCE, median_interval
from bench.tables.run_costs import cost_columns
from bench.tables.seconds import PER_UPDATE
from bench.timing.paired import FEWEST, take_turns
from bench.timing.problem import Problem, Trained, errors
from bench.timing.variants import BY_NAME, Call
from bench.timing.verify import NotVerifiedError, no_compilation, verify
from kernels.base.run import Floats
from kernels.compile.kinds import lane_width
from kernels.data.order import is_gathered, make_shuffle
from kernels.data.samples import check_samples
from kernels.losses import make_loss
from kernels.optimizers import make_optimizer
from kernels.optimizers.schedules import learning_rates
from kernels.train.compile_together import compile_together
from kernels.train.slices import reference_cost
from kernels.train.trainer import Wanted

EPOCHS = 8
ROUNDS = 9
# The reference takes most of a round, and is there to be compared: it is timed by itself, in a third of the time.
SLOW_SHARE = 0.3
# The rounds of one process say nothing about the next, whose memory lies elsewhere, and the clock rate drifts. On two
# busy cores the medians of five runs of one measurement were 2 to 9 % apart, so an interval reaches at least as far.
DRIFT = 0.05
SAMPLE_SECONDS = 2e-4  # there are dozens of calls, and the last per cent does not matter
# An epoch of the reference is timed on at most this many samples.
SLOW_SAMPLES, MOST_SLOWDOWN = 200, 10
# The weights that a call updates, of all samples together.
MOST_WEIGHTS = 50_000_000


def update_seconds(
    result: SweepResult,
    x: Floats,
    y: Floats,
    shared: RunTable,
    *,
    seconds: float,
    undisturbed: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> pd.DataFrame:
    """Time an update of each kernel for all settings that decide how long it takes.

    The timed runs have eight epochs, the losses at their ends included, and their time is divided by their updates; for
    `lanes` it is a run's share of a block. With many weights they are on a part of the samples. There are five rounds
    at least, and of the reference hardly more. A kernel that does not give what the reference gives is not timed. The
    clock runs inside of `undisturbed()`.

    Returns
    -------
    DataFrame
        `optimizer`, `batch_size`, `shuffle`, `variant`; `seconds_per_update`, the median over the rounds, with its
        interval (missing where it was not timed); and `note`, why it was not.
    """
    columns, y = check_samples(result.model, x, y)
    rows: list[dict[str, Any]] = []
    calls: dict[str, Call] = {}
    updates: dict[str, int] = {}
    settings = list(_make_problems(result, columns, y, shared))
    compile_together([wanted for _, problems in settings for wanted in _kernels_of(problems)], processors())
    for about, problems in settings:
        verified, notes = _prepare_verified(problems)
        for variant, problem in problems.items():
            if variant in verified:
                name = str(len(rows))
                calls[name], updates[name] = verified[variant], problem.updates
            rows.append(about | {"variant": variant, **dict.fromkeys(PER_UPDATE), "note": notes.get(variant, "")})
    slow = {name: call for name, call in calls.items() if rows[int(name)]["variant"] == "reference"}
    fast = {name: call for name, call in calls.items() if name not in slow}
    with undisturbed(), no_compilation():
        times = _time_calls(fast, ROUNDS, (1 - SLOW_SHARE) * seconds)
        times |= _time_calls(slow, FEWEST, SLOW_SHARE * seconds)
    for name, own in times.items():
        each = own[np.newaxis] / updates[name]
        middle, (low, high) = float(np.median(each)), median_interval(each, CONFIDENCE)
        ends = min(low.item(), (1 - DRIFT) * middle), max(high.item(), (1 + DRIFT) * middle)
        rows[int(name)] |= dict(zip(PER_UPDATE, (middle, *ends), strict=True))
    table = pd.DataFrame(rows, columns=[*cost_columns(result.frame), "variant", *PER_UPDATE, "note"])
    return table.astype(dict.fromkeys(PER_UPDATE, float))


def _time_calls(calls: Mapping[str, Call], rounds: int, seconds: float) -> dict[str, Floats]:
    """Time calls in turns, and return the seconds of each, shape (rounds,)."""
    if not calls:
        return {}
    timings = take_turns(calls, rounds=rounds, seconds=seconds, sample_seconds=SAMPLE_SECONDS)
    return {name: timings.of(name) for name in calls}


def _make_problems(
    result: SweepResult, columns: tuple[Floats, ...], y: Floats, shared: RunTable
) -> Iterator[tuple[dict[str, Any], dict[str, Problem]]]:
    """Yield the settings that decide how long an epoch takes, and the problem that each kernel is given for them."""
    frame, loss = result.frame.reset_index(drop=True), shared.loss
    frame = frame[frame["status"] != "diverged"]
    # A run that blows up is over early; the smallest rate is the one that is least likely to.
    chosen = frame.sort_values("lr").drop_duplicates(cost_columns(frame)).sort_index()
    for place, row in zip(chosen.index.tolist(), chosen.to_dict("records"), strict=True):
        width = lane_width("lanes", row.get("dtype", "float64"), result.model.program, make_loss(loss))
        rates = np.tile(learning_rates("constant", row["lr"], EPOCHS)[:, np.newaxis], width)
        starts = np.tile(result.starts[place], (width, 1))
        shuffle = shared.order(row["shuffle"])
        settings = row["batch_size"], shuffle, row["seed"], row["optimizer"], loss, row.get("dtype", "float64")
        batch = _affordable_part(Problem(result.model, columns, y, starts, rates, *settings))
        few = SLOW_SAMPLES // min(MOST_SLOWDOWN, reference_cost(result.model))
        short = batch.part(runs=1, epochs=1, samples=max(few, batch.batch_size))
        about: dict[str, Any] = {name: row[name] for name in cost_columns(frame)}
        yield about, {"reference": short, "fused": batch.part(runs=1), "lanes": batch}


def _affordable_part(problem: Problem) -> Problem:
    """Return the problem, or of a model with many weights fewer of its samples, and if need be of its epochs."""
    if not problem.model.vectors:
        return problem
    of_sample = problem.inits.size
    part = problem.part(samples=max(problem.batch_size, MOST_WEIGHTS // (of_sample * problem.epochs)))
    return part.part(epochs=max(1, min(problem.epochs, MOST_WEIGHTS // (of_sample * part.y.size))))


def _kernels_of(problems: Mapping[str, Problem]) -> Iterator[Wanted]:
    for name, problem in problems.items():
        if name != "reference":
            made_of = name, problem.model, make_loss(problem.loss), make_optimizer(problem.optimizer)
            gathers = is_gathered(problem.y.size, make_shuffle(problem.shuffle))
            yield Wanted(*made_of, dtype=problem.dtype, gathers=gathers)


def _prepare_verified(problems: Mapping[str, Problem]) -> tuple[dict[str, Call], dict[str, str]]:
    """Return the calls of the kernels that give what the reference gives, and the reasons why the others have none.

    Each is verified on the problem of the reference. Where the same bits are promised, and the run stays finite, the
    whole timed problem must also be the same for `fused` and for `lanes`.
    """
    calls: dict[str, Call] = {}
    notes: dict[str, str] = {}
    for name, problem in problems.items():
        try:
            if name != "reference":
                verify(BY_NAME[name], problems["reference"])
        except NotVerifiedError as reason:
            notes[name] = str(reason)
        else:
            calls[name] = BY_NAME[name].ready(problem)
    trained = {name: call() for name, call in calls.items()}  # which also makes them warm
    both = {"fused", "lanes"}
    if both <= trained.keys() and BY_NAME["lanes"].bound(problems["lanes"]) == 0:
        off = _largest_difference(trained["fused"], trained["lanes"])
        if off > 0:
            notes |= dict.fromkeys(both, f"not verified: fused and lanes differ by {off:.3g}")
    return {name: call for name, call in calls.items() if name not in notes}, notes


def _largest_difference(one: Trained, many: Trained) -> float:
    """Return the largest error of runs that should all equal the one; 0 where that is over before the last epoch."""
    if not np.isfinite(one.losses).all():
        return 0.0
    width = len(many.params)
    expected = Trained(np.repeat(one.params, width, axis=0), np.repeat(one.losses, width, axis=1))
    return errors(many, expected).largest
