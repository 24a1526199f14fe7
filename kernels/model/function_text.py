"""Models given as Python functions: the text of a function's expression.

Only the text is kept: nothing of the function runs when a result is loaded.
"""

import inspect
import math
import traceback
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from sgdbench.kernels.model.column_names import ALL_INPUTS, is_name
from sgdbench.kernels.model.expression import Name, Node, Product, parse
from sgdbench.kernels.model.expression_text import write_expression
from sgdbench.kernels.model.freeze import Freezer, place_of, python_function
from sgdbench.kernels.model.function_symbols import MATH, trace_function


class FunctionText(NamedTuple):
    """A function as the text of an expression.

    Attributes
    ----------
    text : str
    names : tuple of str
        The names of its parameters in the text, in the order of the signature.
    start : dict
        Starting values by name: the defaults of the signature.
    place : str
        The name of the function with its line and file, for messages.
    function : callable
        The function as Python, called with keywords; functions of `math` accept arrays.
    parameters : tuple of str
        What the function calls its parameters.
    """

    text: str
    names: tuple[str, ...]
    start: dict[str, float]
    place: str
    function: Callable[..., Any]
    parameters: tuple[str, ...]


def write_function(function: Callable[..., Any], inputs: Collection[str] | None = None) -> FunctionText:
    """Return the text of a function of inputs and parameters.

    Parameters
    ----------
    function : callable
        It is called with symbols; of a `numba.njit` function, the Python function.
    inputs : collection of str, optional
        Names that stand for data, besides the first parameter. If that is a group of columns, as in ``w @ X``, and has
        no name in `inputs`, it is called ``x`` in the text.

    Raises
    ------
    ValueError
        If an expression cannot say what the function does, or has another value at a second call. The message is one
        line, with the file and the line.
    """
    own = python_function(function)
    place = place_of(own) if own else repr(function)
    parameters, start = _read_signature(function, place)
    called = dict(zip(parameters, parameters, strict=True))
    data = {*parameters[:1], *(inputs or ())}
    with faults_of(own, place):
        frozen = Freezer(MATH, any_value=True).freeze(own) if own else function
        tree = trace_function(frozen, called, data)
        first = parameters[0]
        if first not in (inputs or ()) and ALL_INPUTS not in parameters and _is_group(tree, first):
            called[first] = ALL_INPUTS
            data.add(ALL_INPUTS)
            tree = trace_function(frozen, called, data)
        text, again = write_expression(tree), write_expression(trace_function(frozen, called, data))
        if text != again:
            raise ValueError(
                "depends on the clock, on random numbers or on something else that changes: its text is "
                f"{text} at one call and {again} at the next"
            )
        parse(text, products=True)
    starts = {called[name]: value for name, value in start.items()}
    return FunctionText(text, tuple(called.values()), starts, place, frozen, parameters)


@contextmanager
def faults_of(own: Callable[..., Any] | None, place: str) -> Iterator[None]:
    """Raise any error in the block as one sentence about a function, with the line in its file."""
    try:
        with np.errstate(all="ignore"):
            yield
    except Exception as error:
        code = getattr(own, "__code__", None)
        frames = reversed(traceback.extract_tb(error.__traceback__))
        line = next((frame.lineno for frame in frames if code and frame.filename == code.co_filename), None)
        at = f", line {line}" if line and code and line != code.co_firstlineno else ""
        reason = str(error) if isinstance(error, TypeError | ValueError) else f"{type(error).__name__}: {error}"
        raise ValueError(f"the model {place}{at}: {' '.join(reason.split())}") from None


def _read_signature(function: Callable[..., Any], place: str) -> tuple[tuple[str, ...], dict[str, float]]:
    """Return the names of a function's parameters, and the defaults, which are starting values."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        raise ValueError(f"the model {place} does not name its parameters: write a def or a lambda") from None
    start = {}
    for name, one in parameters.items():
        if one.kind not in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY):
            raise ValueError(f"the model {place} has the parameter {one}: give each parameter a name of its own")
        if not is_name(name):
            raise ValueError(f"the model {place} has the parameter {name!r}, which cannot be a name in text: rename it")
        if one.default is not one.empty:
            if isinstance(one.default, bool) or not isinstance(one.default, Real) or not math.isfinite(one.default):
                raise ValueError(f"the model {place} has {name}={one.default!r}: defaults are starting values, numbers")
            start[name] = float(one.default)
    if not parameters:
        raise ValueError(f"the model {place} has no parameters: give it an input, and what is to be fitted")
    return tuple(parameters), start


def _is_group(tree: Node, name: str) -> bool:
    """Return whether a name stands on the right of a product in a tree."""
    if isinstance(tree, Product):
        return tree.operand == Name(name) or _is_group(tree.operand, name)
    return any(_is_group(one, name) for one in getattr(tree, "operands", ()))
