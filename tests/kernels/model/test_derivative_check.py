"""A program is held against its expression: what is wrong is found, what is right is not taken for wrong."""

import random

import numpy as np
import pytest
from hypothesis import given, reject, settings

from sgdbench import Model, models
from sgdbench.kernels.model.derivative_check import TOLERANCE, WrongProgramError, check_derivatives
from sgdbench.kernels.model.evaluate import evaluate
from sgdbench.kernels.model.program import OPERAND_COUNTS, Instruction, Program
from tests.fuzz.derivative import TREES
from tests.support.expressions import TEXTS

X = np.linspace(-3, 3, 61)


def model_with(text, program):
    model = Model(text)
    model._program = program
    return model


@pytest.mark.parametrize("text", TEXTS)
def test_a_right_program_is_right_everywhere(text):
    """Outside of domains, at kinks, where numbers are large and where digits cancel."""
    model, x = Model(text), np.concatenate([X[::4], X[::4] * 1e6 + 1e6, np.zeros(1)])
    starts = [np.full(len(model.params), value) for value in (0.0, 1.0, -1.0, 20.0)]
    assert check_derivatives(model, x, starts) < TOLERANCE


@settings(max_examples=settings().max_examples // 10, derandomize=True)
@given(TREES)
def test_the_program_of_any_expression_is_right(text):
    try:
        model = Model(f"a*b*c*x + {text}")
        model.program  # noqa: B018 (derived here)
    except ValueError:  # a part of it is not finite
        reject()
    assert check_derivatives(model, X, [[0.7, 0.8, 1.1], [-30.0, 2.0, 1.0]]) < TOLERANCE


def wrong_programs(program, rng):
    """Programs with one thing changed."""
    values = program.params + program.inputs + 1 + len(program.constants)
    for k in range(program.params):
        for other in range(values + len(program.instructions)):
            yield program._replace(derivatives=(*program.derivatives[:k], other, *program.derivatives[k + 1 :]))
    for k, constant in enumerate(program.constants):
        yield program._replace(constants=(*program.constants[:k], constant * (1 + 1e-4), *program.constants[k + 1 :]))
    for k, (function, operands) in enumerate(program.instructions):
        same_count = [name for name, count in OPERAND_COUNTS.items() if count == len(operands)]
        place = rng.randrange(len(operands))
        other = (*operands[:place], rng.randrange(values + k), *operands[place + 1 :])
        for changed in (Instruction(rng.choice(same_count), operands), Instruction(function, other)):
            yield program._replace(instructions=(*program.instructions[:k], changed, *program.instructions[k + 1 :]))


def computes_the_same(wrong, right, x, points):
    """Whether a changed program is none: what it computes differs at ties alone, or nowhere, as 1 < 2 and 1 <= 2."""
    with np.errstate(all="ignore"):
        for theta in points:
            (r, derivatives), (right_r, right_derivatives) = (
                evaluate(program, theta, x, 0.3 + x[0]) for program in (wrong, right)
            )
            for one, other in zip([r, *derivatives], [right_r, *right_derivatives], strict=True):
                if not np.allclose(one, other, rtol=1e-7, equal_nan=True):
                    return False
    return True


@pytest.mark.parametrize("text", TEXTS)
def test_a_wrong_program_is_found(text):
    rng, right = random.Random(0), Model(text).program
    start, x = np.random.default_rng(0).uniform(0.5, 1.5, right.params), np.linspace(-1.5, 1.5, 50)
    for wrong in rng.choices([*wrong_programs(right, rng)], k=4):
        if not computes_the_same(wrong, right, x[np.newaxis], [start, -start]):
            with pytest.raises(WrongProgramError, match="differs from that of the expression"):
                check_derivatives(model_with(text, wrong), x, [start, -start])


def test_what_is_said_of_a_flipped_bit():
    right = models.quadratic.program
    wrong = model_with(models.quadratic.expression, right._replace(derivatives=(2, *right.derivatives[1:])))
    with pytest.raises(
        WrongProgramError,
        match=r"^the trained program is not the model 'a\*x\*\*2 \+ b\*x \+ c': "
        r"the derivative by a differs from that of the expression by \S+ of its size$",
    ):
        check_derivatives(wrong, X, np.zeros(3))


def test_what_is_finite_nowhere_is_wrong():
    code = (Instruction("multiply", (0, 1)), Instruction("subtract", (4, 2)), Instruction("log", (3,)))
    program = Program(1, 1, (-1.0,), code, 5, (6,))
    with pytest.raises(WrongProgramError, match=r"the derivative by a differs .* in being nowhere finite"):
        check_derivatives(model_with("a*x", program), X, [1.0])
