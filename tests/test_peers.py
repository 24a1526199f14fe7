import shlex
from dataclasses import replace

import numpy as np
import pytest

from bench.peers import c
from bench.problem import Problem, Trained, UnavailableError, classic, error
from bench.variants import VARIANTS

REFERENCE, IN_C = (next(variant for variant in VARIANTS if variant.name == name) for name in ("reference", "C"))
PROBLEMS = {
    "per-sample": classic(3),
    "minibatch": classic(3, 16),
    "remainder dropped": classic(3, 7),
    "full": classic(3, 800),
    "shuffled": classic(3, 16, shuffle=True),
    "shuffled per-sample": classic(3, shuffle=True),
    "one sample": Problem(np.array([0.5]), np.array([2.0]), np.ones(3), np.array([0.1, 0.05]), shuffle=True),
}


def prepared(variant, problem):
    try:
        return variant.prepare(problem)
    except UnavailableError as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize(
    ("variant", "problem"),
    [
        pytest.param(variant, problem, id=f"{variant.name}, {name}")
        for variant in VARIANTS
        for name, problem in PROBLEMS.items()
        if variant.takes(problem)
    ],
)
def test_equals_the_reference_at_every_call(variant, problem):
    expected = REFERENCE.prepare(problem)()
    call = prepared(variant, problem)
    for _ in range(2):
        assert error(call(), expected) <= variant.tolerance


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_two_calls_of_one_variant_do_not_mix(variant):
    problem = PROBLEMS["per-sample"]
    first = prepared(variant, problem)
    kept = first().trajectory.copy()
    prepared(variant, replace(problem, x=-problem.x, init=-problem.init))()
    np.testing.assert_array_equal(first().trajectory, kept)


def test_the_order_in_c_is_that_of_the_seed():
    problem = PROBLEMS["shuffled"]
    other = replace(problem, seed=2**64 - 1)
    expected = REFERENCE.prepare(other)()
    assert error(prepared(IN_C, other)(), expected) <= IN_C.tolerance
    assert error(prepared(IN_C, problem)(), expected) > 0.01


@pytest.fixture
def fresh_library():
    c.library.cache_clear()
    yield
    c.library.cache_clear()


def test_without_a_compiler_the_reason_is_said(monkeypatch, fresh_library):
    monkeypatch.setenv("CC", "/no/such/compiler -m64")
    with pytest.raises(UnavailableError, match=r"no C compiler found \(/no/such/compiler\): install cc or set CC"):
        c.prepare(classic(1))


def test_the_compiler_in_cc_is_used_with_its_options(monkeypatch, tmp_path, fresh_library):
    prepared(IN_C, classic(1))
    c.library.cache_clear()
    wrapper = tmp_path / "compiler"
    wrapper.write_text(f'#!/bin/sh\necho "$@" > {shlex.quote(str(tmp_path / "said"))}\nshift\nexec cc "$@"\n')
    wrapper.chmod(0o700)
    monkeypatch.setenv("CC", f"{wrapper} first")
    c.prepare(classic(1))()
    assert (tmp_path / "said").read_text().startswith("first -O3 -march=native")


def test_a_compiler_that_fails_is_quoted(monkeypatch, fresh_library):
    monkeypatch.setenv("CC", "sh -c 'echo broken >&2; exit 1'")
    with pytest.raises(RuntimeError, match="broken"):
        c.prepare(classic(1))


def test_error_is_relative_above_one_and_absolute_below():
    def trained(trajectory, losses):
        return Trained(np.array(trajectory), np.array(losses))

    one = trained([[1.0, 100.0, 0.001]], [0.5])
    assert error(one, one) == 0.0
    assert error(trained([[1.0, 101.0, 0.001]], [0.5]), one) == pytest.approx(0.01)
    assert error(trained([[1.0, 100.0, 0.002]], [0.5]), one) == pytest.approx(0.001)
    assert error(trained([[1.0, 100.0, 0.001]], [0.75]), one) == pytest.approx(0.25)
    assert error(trained([[np.nan, 100.0, 0.001]], [0.5]), one) > 1e300
