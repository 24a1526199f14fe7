"""A model as straight-line code: the residual and its derivatives, one elementwise function after another.

The program fixes the order of every floating-point operation. The reference interprets it with NumPy, and the compiled
kernels print it as source: two ways to run one definition, with the same bits.
"""

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from functools import cache as once
from typing import Any, NamedTuple

import numpy as np

from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.model.functions import FUNCTIONS


class Instruction(NamedTuple):
    """A function of earlier values: one of `sgdbench.kernels.model.functions`, or else the NumPy ufunc of that name."""

    function: str
    operands: tuple[int, ...]


# Python's operators accept numbers and arrays of any library, including sympy's.
OPERATORS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "negative": operator.neg,
    "power": operator.pow,
}
OPERAND_COUNTS = dict.fromkeys(("negative", "sqrt", "absolute", "sign"), 1)
OPERAND_COUNTS |= dict.fromkeys(("exp", "expm1", "log", "log1p", "sin", "cos", "tan", "sinh", "cosh", "tanh", "erf"), 1)
OPERAND_COUNTS |= dict.fromkeys(("arcsin", "arccos", "arctan"), 1)
OPERAND_COUNTS |= dict.fromkeys(("add", "subtract", "multiply", "divide", "power"), 2)
OPERAND_COUNTS |= dict.fromkeys(("less", "less_equal", "maximum", "minimum"), 2) | {"where": 3}
"""The count of operands of each function of programs."""
EXACT_FUNCTIONS = {"add", "subtract", "multiply", "divide", "negative", "sqrt", "absolute", "sign"}
EXACT_FUNCTIONS |= {"less", "less_equal", "maximum", "minimum", "where"}


class Program(NamedTuple):
    """Straight-line code for r = f(x; theta) - y and all dr/dtheta.

    Values are numbered: first the parameters, then the inputs, then y, then the constants, then one value per
    instruction. `residual` and `derivatives` are such numbers. `weights` are the parameters that are weights of
    vectors, if any: only these decay then.
    """

    params: int
    inputs: int
    constants: tuple[float, ...]
    instructions: tuple[Instruction, ...]
    residual: int
    derivatives: tuple[int, ...]
    weights: tuple[int, ...] = ()

    @property
    def is_exact(self) -> bool:
        """Whether IEEE 754 rounds all operations correctly, so that they have the same bits everywhere."""
        return all(instruction.function in EXACT_FUNCTIONS for instruction in self.instructions)

    def is_one(self, value: int) -> bool:
        """Return whether a value is the constant 1, as the derivative with respect to a summand is."""
        place = value - (self.params + self.inputs + 1)
        return 0 <= place < len(self.constants) and self.constants[place] == 1.0

    @property
    def is_linear(self) -> bool:
        """Whether f is linear in its parameters: no derivative depends on a parameter."""
        return not any(self._params_of_derivatives())

    @property
    def linear_params(self) -> list[int]:
        """Indices of parameters in which f is jointly linear for any values of the others, chosen greedily."""
        linear: list[int] = []
        of_derivatives = self._params_of_derivatives()
        for k in range(self.params):
            together = {*linear, k}
            if not any(together & of_derivatives[member] for member in together):
                linear.append(k)
        return linear

    def _params_of_derivatives(self) -> list[frozenset[int]]:
        """Return the parameters that each derivative depends on."""
        used = [frozenset({k}) for k in range(self.params)]
        used += [frozenset()] * (self.inputs + 1 + len(self.constants))
        for instruction in self.instructions:
            used.append(frozenset().union(*(used[operand] for operand in instruction.operands)))
        return [used[derivative] for derivative in self.derivatives]


@once
def numpy_function(name: str) -> Callable[..., Any]:
    """Return the function of a program's instruction for NumPy scalars and arrays.

    Operators take a tenth of the time of ufuncs on scalars, with the same bits; but ** has shortcuts that `np.power`
    has not.
    """
    operators = OPERATORS.get(name) if name != "power" else None
    function: Callable[..., Any] = operators or FUNCTIONS.get(name) or getattr(np, name)
    return function


def check_program(program: Program) -> Program:
    """Return a program unchanged after checking that it can be computed: its parts become source text and are compiled.

    It must not name an unknown function, a value that is not computed yet, or a constant that is not finite.
    """
    values = program.params + program.inputs + 1 + len(program.constants)
    for constant in program.constants:
        if type(constant) is not float or not math.isfinite(constant):
            raise ValueError(f"a program has a constant {constant!r}")
    for function, operands in program.instructions:
        if OPERAND_COUNTS.get(function) != len(operands):
            raise ValueError(f"a program has an instruction {function!r} of {len(operands)} operands")
        _check_numbers(operands, values)
        values += 1
    _check_numbers((program.residual, *program.derivatives), values)
    if len(program.derivatives) != program.params:
        raise ValueError(f"a program has {len(program.derivatives)} derivatives by {program.params} parameters")
    return program


def _check_numbers(numbers: Iterable[int], values: int) -> None:
    for number in numbers:
        if type(number) is not int or not 0 <= number < values:
            raise ValueError(f"a program refers to value {number!r} where there are {values}")


def run_program(program: Program, inputs: Sequence[Any], *, single: bool) -> tuple[Floats, list[Floats]]:
    """Return the residual and the derivatives for the values of the parameters, the inputs and y, with NumPy."""
    values = [*inputs, *np.array(program.constants)]
    if single:  # with a float64, or with a condition, NumPy would compute in float64
        values = [np.float32(value) for value in values]
    for function, operands in program.instructions:
        value = numpy_function(function)(*[values[operand] for operand in operands])
        values.append(np.float32(value) if single else value)
    return values[program.residual], [values[derivative] for derivative in program.derivatives]
