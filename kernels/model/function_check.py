"""A function is called with arrays, and compared with the text that it left when it was called with symbols."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.model.expression import FUNCTIONS, Call, Name, Node, Number, Product, parse
from sgdbench.kernels.model.function_text import FunctionText, faults_of
from sgdbench.kernels.model.program import numpy_function

TOLERANCE = 1e-9
"""Relative to the largest value; the text may be computed in another order."""


def check_function(written: FunctionText, shapes: Mapping[str, tuple[int, ...]], inputs: Mapping[str, Floats]) -> None:
    """Raise ValueError if a function and its text differ at some samples and a random start.

    Parameters
    ----------
    written : FunctionText
    shapes : mapping of str to tuple
        The shape of each parameter.
    inputs : mapping of str to array, shape (n,), or (n, size) for a group
        Some samples; names that are not in the text are ignored.
    """
    draws = np.random.default_rng(0)
    params = {name: draws.standard_normal(shape)[()] for name, shape in shapes.items()}
    data = {name: values for name, values in inputs.items() if name in written.names}
    count = min(map(len, data.values()), default=1)
    rows = [{name: values[row] for name, values in data.items()} for row in range(count)]
    tree = parse(written.text, products=True)
    with faults_of(written.function, written.place):
        got, again = (_call(written, data, rows, params) for _ in range(2))
        expected = [evaluate(tree, params | row) for row in rows]
        for one, other, value in zip(got, again, expected, strict=True):
            if not np.array_equal(one, other, equal_nan=True):
                raise ValueError(
                    "depends on the clock, on random numbers or on something else that changes: it returns "
                    f"{_show(one)} at one call and {_show(other)} at the next"
                )
            if not np.allclose(one, value, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
                raise ValueError(
                    f"returns {_show(one)} where its text, {written.text}, is {_show(value)}: it must compute with "
                    "arrays what it computes with single numbers"
                )


def _show(value: Any) -> str:
    return str(np.asarray(value, float).tolist())


def _call(
    written: FunctionText, data: dict[str, Any], rows: Sequence[dict[str, Any]], params: dict[str, Any]
) -> list[Floats]:
    """Return the function's values: of all samples at once, or one by one if the model has vectors."""

    def value_at(inputs: dict[str, Any]) -> Floats:
        given = params | {name: np.array(value)[()] for name, value in inputs.items()}  # copies
        arguments = {own: given[name] for own, name in zip(written.parameters, written.names, strict=True)}
        return np.asarray(written.function(**arguments), float)

    if not any(np.ndim(value) for value in [*params.values(), *rows[0].values()]):
        return list(np.broadcast_to(value_at(data), len(rows)))
    return list(map(value_at, rows))


def evaluate(node: Node, values: Mapping[str, Any]) -> Any:
    """Return the value of an expression, operation by operation as written, with NumPy."""
    match node:
        case Number(value):
            return np.float64(value)
        case Name(name):
            return values[name]
        case Product(weights, operand):
            return values[weights] @ evaluate(operand, values)
        case Call(function, operands):
            return _function(function)(*(evaluate(operand, values) for operand in operands))
    raise AssertionError(node)


def _function(name: str) -> Callable[..., Any]:
    if name in ("greater", "greater_equal"):
        return np.greater if name == "greater" else np.greater_equal
    if name in ("sigmoid", "softplus", "relu"):
        return np.vectorize(FUNCTIONS[name], otypes=[float])
    return numpy_function(name)
