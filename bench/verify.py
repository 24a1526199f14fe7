"""What has to hold before anything is timed: the result is the reference's, and nothing is left to be compiled."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache as once

from bench.problem import Errors, Problem, Trained, errors
from bench.variants import BY_NAME, Call, Variant

# The reference takes about ten microseconds for a sample-update: so many take a second.
MOST = 100_000
# Of what takes longer, a block of lanes and one more run, as many of their samples as make so many.
SOME, PART = 33, 5_000


class NotVerifiedError(Exception):
    """A variant does not compute what the reference computes; the message says by how much it is off."""


def verify(variant: Variant, problem: Problem) -> tuple[Call, Errors]:
    """The call that trains, after its result was found to be that of the reference, twice.

    Runs too many for the reference are held against `fused`, and some of them, for an epoch, against the reference.

    Parameters
    ----------
    variant : Variant
    problem : Problem

    Returns
    -------
    call : callable
        Warm, and timed by nobody yet.
    errors : Errors

    Raises
    ------
    UnavailableError
        Where the variant cannot run.
    NotVerifiedError
        If the result is another one, or the second call gives another one than the first.
    """
    call, expected = variant.ready(problem), BY_NAME["reference"]
    if problem.sample_updates > MOST:
        verify(variant, _part(problem))
        expected = BY_NAME["fused"]
    wanted, bound = _expected(expected, problem), variant.bound(problem)
    for which in ("first", "second"):  # the second call starts from the same parameters as the first
        found = errors(call(), wanted)
        if not found.largest <= bound:
            raise NotVerifiedError(
                f"not verified: the {which} call is off by {found.largest:.3g}, and may be by {bound:g}"
            )
    return call, found


@once
def _part(problem: Problem) -> Problem:
    return problem.part(runs=SOME, epochs=1, samples=PART // SOME)


@once
def _expected(variant: Variant, problem: Problem) -> Trained:
    return variant.ready(problem)()


@contextmanager
def no_compilation() -> Iterator[None]:
    """Nothing in this block is compiled by numba.

    Raises
    ------
    RuntimeError
        If something was; what was timed is then no measurement.
    """
    from numba.core import event  # noqa: PLC0415 (heavy)

    with event.install_recorder("numba:compile") as compilations:
        yield
    if compilations.buffer:
        raise RuntimeError(f"{len(compilations.buffer)} functions were compiled while the clock was running")
