"""A program in two: what samples alone determine, and the residual from that, with the same bits."""

import numpy as np
import pytest

from sgdbench import Model
from sgdbench.kernels.model.models import quadratic
from sgdbench.kernels.model.program import run_program
from sgdbench.kernels.model.sample_values import split_program
from tests.support.expressions import TEXTS


@pytest.mark.parametrize("text", TEXTS)
def test_both_parts_together_are_the_residual(text):
    model = Model(text)
    program = model.program
    rng = np.random.default_rng(1)
    theta, x = rng.uniform(0.5, 1.5, (program.params, 1)), rng.uniform(0.5, 1.5, (program.inputs, 50))
    y = rng.uniform(-1, 1, 50)
    of_samples, residual = split_program(program)
    with np.errstate(all="ignore"):
        _, values = run_program(of_samples, [*x, y], single=False)
        found, derivatives = run_program(residual, [*theta, *x, *values, y], single=False)
        expected, _ = run_program(program, [*theta, *x, y], single=False)
    np.testing.assert_array_equal(found, expected)
    assert derivatives == []


def test_no_operation_that_all_runs_share_is_left():
    of_samples, residual = split_program(quadratic.program)
    assert [instruction.function for instruction in of_samples.instructions] == ["multiply"]
    assert len(of_samples.derivatives) == 1
    assert sorted(instruction.function for instruction in residual.instructions) == ["add"] * 2 + [
        "multiply",
        "multiply",
        "subtract",
    ]


def test_what_only_derivatives_need_is_not_computed():
    """d/db of exp(b*x) * x**3 has x**4, which the residual does not have."""
    of_samples, _ = split_program(Model("a*x + b").program)
    assert of_samples.instructions == ()
    program = Model("exp(b*x)*x**3").program
    of_samples, residual = split_program(program)
    assert len(of_samples.instructions) + len(residual.instructions) < len(program.instructions)
