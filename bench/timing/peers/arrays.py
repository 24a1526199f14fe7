"""Helpers that peers share: a model's program on their own arrays, and runs trained one after the other."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from bench.timing.problem import Problem, Trained
from kernels.base.run import Floats
from kernels.model.program import OPERATORS, Program


def residual_and_derivatives(
    program: Program, library: Any, theta: Iterable[Any], x: Iterable[Any], y: Any
) -> tuple[Any, Sequence[Any]]:
    """Return the residual and its derivatives by the parameters, by hand.

    `library` has the functions under NumPy's names, by which programs call them; theta, x and y are its arrays.
    Derivatives that do not depend on the parameters have no more axes than the inputs; a constant is a float.
    """
    values = [*theta, *x, y, *program.constants]
    for function, operands in program.instructions:
        call = OPERATORS.get(function) or getattr(library, function)
        values.append(call(*(values[operand] for operand in operands)))
    return values[program.residual], [values[derivative] for derivative in program.derivatives]


def mean_square(matrix: Floats, targets: Floats, params: Floats) -> float:
    """Return the mean of (D theta - t)**2."""
    residual = matrix @ params - targets
    return float(residual @ residual) / targets.size


def run_by_run(
    problem: Problem, train: Callable[[Floats, Floats], tuple[Floats, Sequence[float]]]
) -> Callable[[], Trained]:
    """Return a call that trains one run after the other by `train`, ``(init, rates) -> params, losses``."""

    def call() -> Trained:
        trained = [train(init, rates) for init, rates in zip(problem.inits, problem.rates.T, strict=True)]
        params, losses = zip(*trained, strict=True)
        return Trained(np.array(params), np.array(losses).T)

    return call
