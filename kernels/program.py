"""A model as straight-line code: the residual and its derivatives, one NumPy ufunc after another.

The program fixes the order of every floating-point operation. The reference interprets it with NumPy and the
compiled kernels print it as source: two roads, one definition, and so the same bits.
"""

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from kernels.run import Floats


class Instruction(NamedTuple):
    """One ufunc, by its NumPy name, on earlier values."""

    function: str
    operands: tuple[int, ...]


# Python's own operators take the numbers and arrays of any library, sympy's too.
OPERATORS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "negative": operator.neg,
    "power": operator.pow,
}
EXACT = {"add", "subtract", "multiply", "divide", "negative", "sqrt", "absolute", "sign"}


class Program(NamedTuple):
    """Straight-line code for r = f(x; theta) - y and all dr/dtheta.

    Values are numbered: first the parameters, then the inputs, then y, then the constants, then one value per
    instruction. `residual` and `derivatives` are such numbers.
    """

    params: int
    inputs: int
    constants: tuple[float, ...]
    instructions: tuple[Instruction, ...]
    residual: int
    derivatives: tuple[int, ...]

    @property
    def is_exact(self) -> bool:
        """Whether it has only operations that IEEE 754 rounds correctly, which are the same to the bit everywhere."""
        return all(instruction.function in EXACT for instruction in self.instructions)

    @property
    def is_linear(self) -> bool:
        """Whether f is linear in its parameters: no derivative depends on one."""
        depends = [number < self.params for number in range(self.params + self.inputs + 1)]
        depends += [False] * len(self.constants)
        for instruction in self.instructions:
            depends.append(any(depends[operand] for operand in instruction.operands))
        return not any(depends[derivative] for derivative in self.derivatives)


def evaluate(program: Program, theta: Floats, x: Floats, y: Floats) -> tuple[Floats, list[Floats]]:
    """Residual and derivatives with NumPy.

    Parameters
    ----------
    theta : array, shape (params,)
    x : array, shape (inputs,) for one sample or (inputs, n) for n of them
    y : scalar or array, shape (n,)

    Returns
    -------
    residual : scalar or array, shape (n,)
    derivatives : list of `params` scalars or arrays; one that does not depend on x stays a scalar
    """
    values = [*theta, *x, y, *np.array(program.constants)]
    for function, operands in program.instructions:
        values.append(getattr(np, function)(*(values[operand] for operand in operands)))
    return values[program.residual], [values[derivative] for derivative in program.derivatives]
