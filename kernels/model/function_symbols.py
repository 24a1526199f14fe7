"""Symbols for models given as Python functions: called with them, a function leaves the tree of its expression."""

import math
from collections.abc import Callable, Collection, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple, NoReturn

import numpy as np

from sgdbench.kernels.model.expression import FUNCTIONS, Call, Name, Node, Number, Product
from sgdbench.kernels.model.freeze import OF_MATH
from sgdbench.kernels.model.functions import erf
from sgdbench.kernels.model.symbol import SMOOTH, Symbol, TraceError

MAX_OPERATIONS = 10_000
ACCEPTED = "+ - * / **, comparisons, np.where, np.clip, np.dot, abs, " + ", ".join(
    ("minimum", "maximum", "square", "reciprocal", "sqrt", *SMOOTH, "expit", "erf")
)
_COMPARISONS = ("less", "less_equal", "greater", "greater_equal")
_LOGIC = ("and", "or", "not")
_OPERATIONS = {*FUNCTIONS, "add", "subtract", "multiply", "divide", "power", "negative", "matmul"}
_OPERATIONS |= {*_COMPARISONS, *_LOGIC}
_WRITE_COLUMNS = "a model is the formula for one sample, with a parameter for each column, as in def f(u, v, a, b)"


class Condition(NamedTuple):
    """A condition made of conditions: "and" or "or" of two, or "not" of one."""

    kind: str
    parts: tuple[Any, ...]


class _Trees:
    """What symbols append to: each operation as a tree, once. `inputs` are names that stand for data."""

    def __init__(self, inputs: Collection[str]) -> None:
        self.inputs = inputs
        self.trees: list[Any] = []
        self.sizes: list[int] = []
        self._known: dict[tuple[Any, ...], int] = {}

    def symbol(self, name: str) -> Symbol:
        return _ModelSymbol(self, self._add((name,), Name(name), 1))

    def append(self, operation: str, operands: Sequence[int | float]) -> int:
        """Return the place of an operation of earlier places and of numbers, which are floats."""
        if operation not in _OPERATIONS:
            raise TraceError(f"np.{operation} is not available in models, which have {ACCEPTED}")
        # The key distinguishes a place from the number that equals it.
        key = (operation, *((type(one), repr(one)) for one in operands))
        if key in self._known:
            return self._known[key]
        size = 1 + sum(self.sizes[one] for one in operands if isinstance(one, int))
        if size > MAX_OPERATIONS:
            raise TraceError(f"has more than {MAX_OPERATIONS:,} operations when it is written as one expression")
        if operation == "multiply" and key[1] == key[2] and isinstance(operands[0], int):
            operation, operands = "power", (operands[0], 2.0)
        parts = [self.trees[one] if isinstance(one, int) else _number(one) for one in operands]
        if operation == "matmul" and self._is_input(parts[0]) and not self._is_input(parts[1]):
            parts.reverse()  # x @ w
        return self._add(key, _tree(operation, parts), size)

    def _is_input(self, part: Any) -> bool:
        return isinstance(part, Name) and part.name in self.inputs

    def _add(self, key: tuple[Any, ...], tree: Any, size: int) -> int:
        if key not in self._known:
            self._known[key] = len(self.trees)
            self.trees.append(tree)
            self.sizes.append(size)
        return self._known[key]


def _number(value: float) -> Number:
    if not math.isfinite(value):
        raise TraceError(f"uses the number {value}; numbers in a model are finite")
    return Number(value)


def _tree(operation: str, parts: Sequence[Any]) -> Any:  # noqa: PLR0911 (a case for each form)
    """Return the tree of an operation, as the parser reads it from the text that a person would write."""
    if operation in _LOGIC:
        if not all(map(_is_condition, parts)):
            raise TraceError("has a number beside & | or ~, which combine comparisons")
        return Condition(operation, tuple(parts))
    if operation == "where":
        condition, a, b = parts
        if not _is_condition(condition):
            raise TraceError("has np.where without a comparison: write one, such as x < a, as its condition")
        return _choose(condition, _as_number(a), _as_number(b))
    numbers = tuple(map(_as_number, parts))
    match operation, numbers:
        case "matmul", (Name(left), right):
            return Product(left, right)
        case "matmul", _:
            raise TraceError("has an @ whose left side is not a parameter: write w @ x, or v @ np.tanh(W @ x + c)")
        # These have the same bits: u - 2 is u + -2. Sums begin with 0, and only a zero can have another sign.
        case ("add", (Number(0.0), u)) | ("add" | "subtract", (u, Number(0.0))):
            return u
        case "add", (u, Number(value)) if value < 0:
            return Call("subtract", (u, Number(-value)))
        case "subtract", (u, Number(value)) if value < 0:
            return Call("add", (u, Number(-value)))
        case "add", (u, Call("negative", (v,))):
            return Call("subtract", (u, v))
        case "subtract", (u, Call("negative", (v,))):
            return Call("add", (u, v))
    return Call(operation, numbers)


def _is_condition(part: Any) -> bool:
    return isinstance(part, Condition) or (isinstance(part, Call) and part.function in _COMPARISONS)


def _as_number(part: Any) -> Node:
    """Return a condition as the number 1 where it holds, else 0; numbers are unchanged."""
    number: Node = _choose(part, Number(1.0), Number(0.0)) if _is_condition(part) else part
    return number


def _choose(condition: Any, a: Node, b: Node) -> Node:
    """Return the tree of a where a condition holds, else b."""
    match condition:
        case Condition("and", (one, other)):
            return _choose(one, _choose(other, a, b), b)
        case Condition("or", (one, other)):
            return _choose(one, a, _choose(other, a, b))
        case Condition("not", (one,)):
            return _choose(one, b, a)
    return Call("where", (condition, a, b))


class _ModelSymbol(Symbol):
    """A number of a model, which has powers, dot products and functions of scipy.special that rules do not have."""

    __slots__ = ()

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **settings: Any) -> Any:
        name = ufunc.__name__
        if method != "__call__" or settings:
            return super().__array_ufunc__(ufunc, method, *operands, **settings)
        return _COMPOSED[name](self, *operands) if name in _COMPOSED else self.emit(name, *operands)

    def __array_function__(self, function: Any, types: Any, operands: Any, settings: Any) -> Any:
        if settings or len(operands) != _ARRAY_FUNCTIONS.get(function, -1):
            raise TraceError(f"np.{function.__name__} is not available in models, which have {ACCEPTED}")
        if function is np.clip:
            number, low, high = operands
            number = number if low is None else np.maximum(number, low)
            return number if high is None else np.minimum(number, high)
        return self.emit("where" if function is np.where else "matmul", *operands)

    def __pow__(self, exponent: Any) -> Symbol:
        return self.emit("power", self, exponent)

    def __rpow__(self, base: Any) -> Symbol:
        return self.emit("power", base, self)

    def __bool__(self) -> NoReturn:
        raise TraceError("branches on a number: use np.where, np.minimum or np.maximum")

    def _no_value(self, *_: object) -> NoReturn:
        raise TraceError("uses the value of a number, as int(), float() and range() do, which the formula cannot")

    __float__ = __int__ = __index__ = __complex__ = __round__ = __trunc__ = __floor__ = __ceil__ = _no_value

    def _no_array(self, *_: object) -> NoReturn:
        raise TraceError(f"takes a number apart: {_WRITE_COLUMNS}")

    __getitem__ = __iter__ = __len__ = _no_array
    __hash__ = None

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)
        raise TraceError(f"uses .{name} of a number: {_WRITE_COLUMNS}")


_ARRAY_FUNCTIONS: dict[Any, int] = {np.where: 3, np.clip: 3, np.dot: 2, np.inner: 2, np.vdot: 2}


def _equal(one: Symbol, u: Any, v: Any) -> Symbol:
    return one.emit("and", one.emit("less_equal", u, v), one.emit("greater_equal", u, v))


_COMPOSED: dict[str, Callable[..., Any]] = {
    "square": lambda one, u: one.emit("power", u, 2.0),
    "float_power": lambda one, u, v: one.emit("power", u, v),
    "reciprocal": lambda one, u: one.emit("divide", 1.0, u),
    "positive": lambda one, u: u,
    "fabs": lambda one, u: one.emit("absolute", u),
    "equal": _equal,
    "not_equal": lambda one, u, v: one.emit("not", _equal(one, u, v)),
    "expit": lambda one, u: one.emit("sigmoid", u),
    **dict.fromkeys(("logical_and", "bitwise_and"), lambda one, u, v: one.emit("and", u, v)),
    **dict.fromkeys(("logical_or", "bitwise_or"), lambda one, u, v: one.emit("or", u, v)),
    **dict.fromkeys(("logical_not", "invert"), lambda one, u: one.emit("not", u)),
}


def _erf(u: Any) -> Any:
    return u.emit("erf", u) if isinstance(u, Symbol) else erf(u)


def _log(u: Any, base: float | None = None) -> Any:
    return np.log(u) if base is None else np.log(u) / math.log(base)


class _Math(SimpleNamespace):
    def __getattr__(self, name: str) -> NoReturn:
        raise TraceError(f"math.{name} is not available in models, which have {ACCEPTED}")


MATH = _Math(**OF_MATH | {"erf": _erf, "log": _log})
"""The functions of the module `math` for symbols, numbers and arrays."""


def trace_function(function: Callable[..., Any], given: dict[str, str], inputs: Collection[str]) -> Node:
    """Return the tree of a function of numbers.

    Parameters
    ----------
    function : callable
        Called with keywords.
    given : dict
        From the function's parameters to their names in the expression.
    inputs : collection of str
        The names that stand for data.

    Raises
    ------
    TraceError
        If the function uses an operation that expressions do not have, or returns something else than a number.
    """
    trees = _Trees(inputs)
    returned = function(**{parameter: trees.symbol(name) for parameter, name in given.items()})
    if isinstance(returned, np.ndarray) and not returned.ndim:
        returned = returned[()]
    if isinstance(returned, Symbol):
        return _as_number(trees.trees[returned.number])
    if isinstance(returned, bool | int | float | np.number):
        return _number(float(returned))
    kind = f"an array of shape {returned.shape}" if isinstance(returned, np.ndarray) else f"a {type(returned).__name__}"
    raise TraceError(f"returns {kind.replace('a NoneType', 'nothing')}, and a model returns one number for each sample")
