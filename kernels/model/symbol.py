"""Symbols: numbers that record the operations applied to them.

An elementwise function called with symbols runs once, as Python, and leaves its operations on a `Tape` in the order in
which it computes them. An operation that kernels do not support, such as branching on a number, raises an error.
"""

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

SMOOTH = ("exp", "expm1", "log", "log1p", "sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh")
UNARY = ("negative", "sqrt", "absolute", *SMOOTH)
BINARY = ("add", "subtract", "multiply", "divide", "minimum", "maximum", "less", "less_equal", "power")
AS_IN_PROGRAMS = {"add", "subtract", "multiply", "divide", "negative", "less", "less_equal"}
ACCEPTED = "+ - * / **, comparisons in np.where, np.clip, " + ", ".join(
    ("abs", "sign", "square", "reciprocal", "minimum", "maximum", "sqrt", *SMOOTH)
)

NO_BRANCHES = "use np.where, np.minimum, np.maximum, np.sign or np.abs"


class TraceError(TypeError):
    """A function uses an operation on a number that kernels do not support."""


class Symbol(NDArrayOperatorsMixin):
    """A number of a tape, in the arithmetic of rules, losses and models.

    Attributes
    ----------
    tape : Tape
        Or any object with a method `append` like a tape's.
    number : int
        Its place on the tape.
    """

    __slots__ = ("number", "tape")

    def __init__(self, tape: Any, number: int) -> None:
        self.tape, self.number = tape, number

    def emit(self, function: str, *operands: Any) -> "Symbol":
        """Append an operation of symbols and numbers to the tape."""
        return type(self)(self.tape, self.tape.append(function, [_operand(one) for one in operands]))

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **settings: Any) -> Any:
        name = ufunc.__name__
        if "out" in settings:
            raise TraceError("changes a number in place, such as v += gradient: write v = v + gradient")
        if method != "__call__" or settings:
            raise TraceError(f"np.{name}{'' if method == '__call__' else f'.{method}'} is not computed elementwise")
        if name in _COMPOSED:
            return _COMPOSED[name](self, *operands)
        if name not in BINARY and name not in UNARY:
            raise TraceError(f"np.{name} is not available in kernels, which have {ACCEPTED}")
        return self.emit(name if name in AS_IN_PROGRAMS else f"np.{name}", *operands)

    def __array_function__(self, function: Any, types: Any, operands: Any, settings: Any) -> Any:
        if function is np.where and len(operands) == 3 and not settings:
            return self.emit("where", *operands)
        if function is np.clip and len(operands) == 3 and not settings:
            number, low, high = operands
            return np.minimum(np.maximum(number, low), high)
        raise TraceError(f"np.{function.__name__} is not available in kernels, which have {ACCEPTED}")

    def __pow__(self, exponent: Any) -> "Symbol":
        """Return a power as the C library computes it, and a square as a product, as NumPy does."""
        if not isinstance(exponent, Symbol) and exponent == 2:
            return self.emit("multiply", self, self)
        return self.emit("pow", self, exponent)

    def __rpow__(self, base: Any) -> "Symbol":
        return self.emit("pow", base, self)

    def __bool__(self) -> NoReturn:
        raise TraceError(f"branches on a number, which many runs side by side do not share: {NO_BRANCHES}")

    def _no_number(self, *_: object) -> NoReturn:
        raise TraceError("a number is not known when a kernel is made: no int(), float(), range() or index of it")

    __float__ = __int__ = __index__ = __complex__ = __round__ = __trunc__ = __floor__ = __ceil__ = _no_number
    __hash__ = None  # type: ignore[assignment]

    def _no_array(self, *_: object) -> NoReturn:
        raise TraceError("a kernel computes with one parameter at a time, and a number has no elements")

    __iter__ = _no_array

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)
        raise TraceError(f"a kernel computes with one parameter at a time, and a number has no .{name}")


def _operand(value: Any) -> "int | float":
    """Return an operand in a tape's form: the place of a symbol, or a float."""
    if isinstance(value, Symbol):
        return value.number
    if isinstance(value, bool | int | float | np.bool_ | np.number) or (
        isinstance(value, np.ndarray) and not value.ndim
    ):
        return float(value)
    kind = f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
    raise TraceError(f"{kind} takes part in the arithmetic of one number")


def _equal(one: Symbol, u: Any, v: Any) -> Symbol:
    return one.emit("multiply", one.emit("less_equal", u, v), one.emit("less_equal", v, u))


def _either(one: Symbol, u: Any, v: Any) -> Symbol:
    return one.emit("np.maximum", u, v)


_COMPOSED: dict[str, Callable[..., Any]] = {
    "greater": lambda one, u, v: one.emit("less", v, u),
    "greater_equal": lambda one, u, v: one.emit("less_equal", v, u),
    "equal": _equal,
    "not_equal": lambda one, u, v: 1.0 - _equal(one, u, v),
    "logical_and": lambda one, u, v: one.emit("multiply", u, v),
    "bitwise_and": lambda one, u, v: one.emit("multiply", u, v),
    "logical_or": _either,
    "bitwise_or": _either,
    "logical_not": lambda one, u: 1.0 - u,
    "invert": lambda one, u: 1.0 - u,
    "square": lambda one, u: one.emit("multiply", u, u),
    "reciprocal": lambda one, u: one.emit("divide", 1.0, u),
    "positive": lambda one, u: u,
    "fabs": lambda one, u: one.emit("np.absolute", u),
    # numba's sign of -0.0 is -0.0, NumPy's is 0.0.
    "sign": lambda one, u: one.emit("np.sign", u) + 0.0,
}
"""Functions that kernels make of others, with the same bits."""
