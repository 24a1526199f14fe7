"""Verification before timing: the result matches the reference, and nothing is left to compile."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from sgdbench.kernels.train.slices import reference_cost
from sgdbench.timing.problem import Errors, Problem, Trained, errors
from sgdbench.timing.variants import VARIANTS_BY_NAME, Call, Variant

# The reference takes about ten microseconds per sample-update of a model without vectors: this many take a second.
MAX_SAMPLE_UPDATES = 100_000
# In larger problems, the reference trains a block of lanes and one more run, on this many samples in all.
CHECKED_RUNS, CHECKED_SAMPLE_UPDATES, MIN_SAMPLES = 33, 5_000, 16

Value = TypeVar("Value")


class NotVerifiedError(Exception):
    """A variant does not match the reference; the message gives the error.

    `errors` has the differences of its result from the reference's, if they were measured.
    """

    def __init__(self, message: str, errors: Errors | None = None) -> None:
        super().__init__(message)
        self.errors = errors


def verify(variant: Variant, problem: Problem) -> tuple[Call, Errors]:
    """Return the call that trains, warm, and its errors, after its result matched the reference twice.

    If a problem is too large for the reference, some runs are checked against it for an epoch, on some samples; then
    all of them against `fused`, if that matches the reference in the first run. Otherwise the first run is checked
    against the reference.

    A variant that cannot run raises an UnavailableError. A NotVerifiedError is raised if the result differs, the second
    call differs from the first, or the problem is too large for the reference and `fused` is no substitute.
    """
    call = variant.ready(problem)
    # A part of a model with many weights may be too large as well, and is then its own part.
    if problem.reference_cost > MAX_SAMPLE_UPDATES and (part := _part(problem)) != problem:
        verify(variant, part)
    expected, bound = _reference_result(problem), variant.bound(problem)
    runs = len(expected.params)  # all, or the first ones
    for which in ("first", "second"):  # the second call starts from the same parameters as the first
        with variant.guarded():
            params, losses = call()
            differences = errors(Trained(params[:runs], losses[:, :runs]), expected, problem.y)
        if not differences.largest <= bound:
            raise NotVerifiedError(
                f"not verified: the {which} call is off by {differences.largest:.3g}; allowed: {bound:g}", differences
            )
    return call, differences


def _once_per_problem(compute: Callable[[Problem], Value]) -> Callable[[Problem], Value]:
    """Cache the result for a problem as long as the problem exists; a longer cache would keep its data alive."""
    values: WeakKeyDictionary[Problem, Value] = WeakKeyDictionary()

    @wraps(compute)
    def remembered(problem: Problem) -> Value:
        if problem not in values:
            values[problem] = compute(problem)
        return values[problem]

    return remembered


# If the same runs occur once for one thread and several times for all, their parts are equal.
@_once_per_problem
def _part(problem: Problem) -> Problem:
    samples = CHECKED_SAMPLE_UPDATES // CHECKED_RUNS // reference_cost(problem.model)
    return problem.part(runs=CHECKED_RUNS, epochs=1, samples=max(MIN_SAMPLES, samples))


@_once_per_problem
def _first_run(problem: Problem) -> Problem:
    return problem.part(runs=1)


@_once_per_problem
def _train_by_reference(problem: Problem) -> Trained:
    return VARIANTS_BY_NAME["reference"].ready(problem)()


@_once_per_problem
def _reference_result(problem: Problem) -> Trained:
    """Return the reference's result, for all runs or only for the first; see `verify`."""
    fused = VARIANTS_BY_NAME["fused"]
    if problem.reference_cost <= MAX_SAMPLE_UPDATES:
        return _train_by_reference(problem)
    one = _first_run(problem)
    part = one if one.reference_cost <= MAX_SAMPLE_UPDATES else _part(one)
    expected = _train_by_reference(part)
    off = errors(fused.ready(part)(), expected, part.y).largest
    if off <= fused.bound(part):
        return _train_distinct_runs(fused, problem)
    if part is one:
        return expected
    raise NotVerifiedError(
        f"not verified: the reference would take too long, and fused, its substitute, has error {off:.3g}"
    )


def _train_distinct_runs(variant: Variant, problem: Problem) -> Trained:
    """Return a variant's result for all runs, training identical ones once."""
    _, first, place = np.unique(
        np.column_stack([problem.inits, problem.rates.T]), axis=0, return_index=True, return_inverse=True
    )
    distinct = replace(problem, inits=problem.inits[first], rates=np.ascontiguousarray(problem.rates[:, first]))
    trained = variant.ready(distinct)()
    return Trained(trained.params[place], trained.losses[:, place])


@contextmanager
def no_compilation() -> Iterator[None]:
    """Raise RuntimeError if numba compiles anything in this block, because its times would be invalid."""
    from sgdbench.kernels.base.numba_internals import record_compilations  # noqa: PLC0415 (heavy)

    with record_compilations() as compilations:
        yield
    if compilations.buffer:
        raise RuntimeError(f"{len(compilations.buffer)} functions were compiled while the clock was running")
