import gc
import weakref
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from numba import njit

from sgdbench.timing.problem import FailedError, Trained, UnavailableError, classic, many
from sgdbench.timing.variants import VARIANTS_BY_NAME, Variant, kernel
from sgdbench.timing.verify import MAX_SAMPLE_UPDATES, NotVerifiedError, no_compilation, verify

ONE = classic(3)


def variant(prepare, **traits):
    return Variant("mine", "made up", prepare, 1e-12, **traits)


def reference_and(change):
    """A variant that computes what the reference computes, and changes it."""

    def prepare(problem):
        call, calls = VARIANTS_BY_NAME["reference"].ready(problem), []

        def run():
            calls.append(1)
            found = call()
            return change(Trained(found.params.copy(), found.losses.copy()), len(calls))

        return run

    return variant(prepare)


def test_what_is_right_is_verified_and_says_how_right():
    _, found = verify(reference_and(lambda result, _: result), ONE)
    assert found == (0, 0)
    _, found = verify(reference_and(lambda result, _: result._replace(params=np.nextafter(result.params, 9))), ONE)
    assert 0 < found.largest < 1e-15


@pytest.mark.parametrize("which", [1, 2])
def test_what_is_wrong_at_any_call_is_refused(which):
    def change(result, number):
        return result._replace(losses=result.losses + (number == which))

    with pytest.raises(
        NotVerifiedError, match=f"the {['first', 'second'][which - 1]} call is off by 0.*; allowed: 1e-09"
    ):
        verify(reference_and(change), ONE)


def test_another_shape_is_refused():
    with pytest.raises(NotVerifiedError, match="off by inf"):
        verify(reference_and(lambda result, _: result._replace(params=result.params[:, :2])), ONE)


def test_what_cannot_run_says_why():
    with pytest.raises(UnavailableError, match="it does not support adam"):
        verify(variant(None), classic(3, optimizer="adam"))
    with pytest.raises(UnavailableError, match="not installed: pip install nothing-of-this-name"):
        verify(variant(None, package="nothing-of-this-name"), ONE)


def broken(problem):
    raise OSError("libcuda.so is\n not there")


@pytest.mark.parametrize("prepare", [broken, lambda problem: lambda: broken(problem)], ids=["at once", "when called"])
def test_a_peer_that_fails_is_unavailable_and_a_kernel_of_ours_is_an_error(prepare):
    with pytest.raises(FailedError, match=r"^OSError: libcuda\.so is not there$"):
        verify(variant(prepare), ONE)
    with pytest.raises(OSError, match="libcuda"):
        verify(variant(prepare, kernel="fused"), ONE)


def test_ctrl_c_in_a_peer_is_no_failure_of_it():
    def interrupted(problem):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify(variant(interrupted), ONE)


def test_more_than_the_reference_can_do_is_held_against_fused_and_a_part_against_the_reference():
    batch = many(runs=64, epochs=10)
    assert batch.sample_updates > MAX_SAMPLE_UPDATES
    asked = []

    def prepare(problem):
        asked.append((problem.runs, problem.epochs))
        return VARIANTS_BY_NAME["fused"].ready(problem)

    verify(variant(prepare), batch)
    assert asked == [(64, 10), (33, 1)]


def test_a_part_that_takes_the_reference_long_too_is_verified_as_it_is(monkeypatch):
    """Of a model with many classes, no part is small; there are no smaller ones without end."""
    monkeypatch.setattr("sgdbench.timing.verify.MAX_SAMPLE_UPDATES", 10)
    _, found = verify(VARIANTS_BY_NAME["fused"], many(runs=40, epochs=2))
    assert found.largest == 0


def test_where_fused_is_wrong_what_is_right_is_still_verified(wrong_fused):
    """The first run of many is then held against the reference."""
    batch = many(runs=64, epochs=10)
    for name in ("lanes", "lanes, all cores"):
        assert verify(VARIANTS_BY_NAME[name], batch)[1] == (0, 0)
    with pytest.raises(NotVerifiedError, match=r"the first call is off by 0\.\d+; allowed: 0$") as refused:
        verify(wrong_fused, batch)
    assert refused.value.errors.largest > 0.1


def test_a_wrong_fused_is_no_substitute_for_a_reference_that_takes_long(monkeypatch):
    wrong = reference_and(lambda result, _: result._replace(params=result.params + 0.25))
    monkeypatch.setitem(VARIANTS_BY_NAME, "fused", wrong)
    long = classic(MAX_SAMPLE_UPDATES // 800 + 1)
    assert long.sample_updates > MAX_SAMPLE_UPDATES
    with pytest.raises(
        NotVerifiedError,
        match=r"^not verified: the reference would take too long, and fused, its substitute, has error 0\.\d+$",
    ):
        verify(VARIANTS_BY_NAME["C"], long)


@pytest.mark.parametrize("make", [lambda: classic(2), lambda: many(runs=64, epochs=10)], ids=["small", "large"])
def test_a_problem_is_not_kept_alive(make):
    """It holds the data, and what is expected of it may be larger still."""
    problem = make()
    verify(VARIANTS_BY_NAME["fused"], problem)
    gone = [weakref.ref(problem), weakref.ref(problem.y)]
    del problem
    gc.collect()
    assert [ref() for ref in gone] == [None, None]


@pytest.fixture
def asked(monkeypatch):
    """The problems that the reference and `fused` are given, by their names."""
    asked = {"reference": [], "fused": []}

    def counting(name, problem):
        asked[name].append(problem)
        return kernel(name, problem)

    for name in asked:
        monkeypatch.setitem(VARIANTS_BY_NAME, name, VARIANTS_BY_NAME[name]._replace(prepare=partial(counting, name)))
    return asked


def test_what_the_reference_gives_is_computed_once_for_each_problem(asked):
    one, other = classic(2, n=20), classic(2, n=21)
    for problem in (one, other, one, classic(2, n=20)):
        verify(VARIANTS_BY_NAME["fused"], problem)
    assert asked["reference"] == [one, other]


def test_what_large_problems_have_in_common_is_trained_once(asked):
    """The runs of one thread, and four times as many of the same for all threads, begin alike."""
    batch = many(runs=64, epochs=10, noise=0.125)  # as no other test verifies
    more = replace(batch, inits=np.tile(batch.inits, (4, 1)), rates=np.tile(batch.rates, 4))
    for problem in (batch, more):
        verify(VARIANTS_BY_NAME["lanes"], problem)
    sizes = [(problem.runs, problem.epochs, problem.y.size) for problem in asked["reference"]]
    assert sorted(sizes) == [(1, 10, 800), (33, 1, 151)]
    assert [problem.runs for problem in asked["fused"]] == [1, 64, 1, 64]  # the first run, and all that differ
    verify(VARIANTS_BY_NAME["lanes"], replace(more, rates=0.5 * more.rates))
    assert len(asked["reference"]) == 4


def test_compiling_while_the_clock_runs_is_noticed():
    with no_compilation():
        pass

    @njit
    def fresh(x):
        return x + 1

    with pytest.raises(RuntimeError, match="compiled while the clock was running"), no_compilation():
        fresh(1.0)
