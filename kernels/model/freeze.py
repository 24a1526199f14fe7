"""Frozen copies of users' functions with everything that they use.

A frozen function is a copy with its own globals, in which helpers are frozen too. `numba.njit` functions are replaced
by their Python function, and functions of `math` by versions that accept arrays and symbols.
"""

import ast
import builtins
import dis
import inspect
import linecache
import math
import textwrap
import warnings
from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, SimpleNamespace
from typing import Any

import numpy as np

from sgdbench.kernels.model.functions import erf

OF_MATH: dict[str, Any] = {name: getattr(np, name) for name in ("sqrt", "exp", "expm1", "log", "log1p", "fabs")}
OF_MATH |= {name: getattr(np, name) for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")}
OF_MATH |= {"asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "erf": erf}
OF_MATH |= {"pow": lambda base, exponent: base**exponent, "pi": math.pi, "e": math.e, "tau": math.tau}
OF_MATH |= {"inf": math.inf, "nan": math.nan}
MATH = SimpleNamespace(**OF_MATH)
"""The functions and constants of the module `math` that kernels have."""


class Freezer:
    """Freezes each function once; `functions` lists the copies, each after the functions that it calls.

    `math_functions` replace those of the module `math`. Values that may change are refused unless `any_value`.
    """

    def __init__(self, math_functions: SimpleNamespace = MATH, *, any_value: bool = False) -> None:
        self.functions: list[FunctionType] = []
        self._math, self._any_value = math_functions, any_value
        self._known: dict[FunctionType, FunctionType | None] = {}

    def freeze(self, function: Any) -> FunctionType:
        """Return a copy of a function that uses the present values of its names.

        Raises
        ------
        ValueError
            If a name is not defined, a function calls itself, or something that it uses is mutable.
        """
        source = python_function(function)
        if source is None:
            raise ValueError(f"{function!r} is not a Python function, and kernels are made of Python functions")
        if source in self.functions:
            return source
        if source not in self._known:
            self._known[source] = None
            scope = {name: self._value(source, name) for name in global_names(source.__code__)}
            cells = [CellType(self._frozen(source, name, value)) for name, value in _cells_of(source)]
            scope = {name: value for name, value in scope.items() if value is not _BUILTIN}
            scope |= {"__builtins__": builtins, "__name__": source.__module__}
            copy = FunctionType(source.__code__, scope, source.__name__, source.__defaults__, tuple(cells))
            copy.__kwdefaults__ = source.__kwdefaults__
            self._known[source] = copy
            self.functions.append(copy)
        copied = self._known[source]
        if copied is None:
            raise ValueError(f"{place_of(source)} calls itself; a kernel has no recursion")
        return copied

    def _value(self, source: FunctionType, name: str) -> Any:
        """Return the value of a name in a frozen function."""
        if name in source.__globals__:
            return self._frozen(source, name, source.__globals__[name])
        if not hasattr(builtins, name):
            raise ValueError(f"{place_of(source)} uses {name!r}, which is not defined")
        return _BUILTIN

    def _frozen(self, source: FunctionType, name: str, value: Any) -> Any:
        """Return an immutable version of a value."""
        if python_function(value):
            return self.freeze(value)
        if value is math:
            return self._math
        if isinstance(value, BuiltinFunctionType) and value.__module__ == "math" and value.__name__ in vars(self._math):
            return getattr(self._math, value.__name__)
        if isinstance(value, np.ndarray):
            value = value.copy()
            value.setflags(write=False)
        elif isinstance(value, tuple):
            return tuple(self._frozen(source, name, part) for part in value)
        elif not self._any_value and not _is_known(value):
            raise ValueError(
                f"{place_of(source)} uses {name!r}, which is of the kind {type(value).__name__}; a kernel is made of "
                "numbers, tuples and arrays of them, functions, and the modules numpy and math"
            )
        return value


@cache
def traceable(function: Callable[..., Any] | None) -> Any:
    """Return a version of a function that can be called with symbols; None for None."""
    return None if function is None else Freezer().freeze(function)


_BUILTIN = object()


def _is_known(value: Any) -> bool:
    plain = isinstance(value, bool | int | float | str | type(None) | np.generic | np.ufunc | BuiltinFunctionType)
    return plain or value is np or _is_of_numpy(value)


def _is_of_numpy(value: Any) -> bool:
    return callable(value) and str(getattr(value, "__module__", None)).partition(".")[0] == "numpy"


def _cells_of(source: FunctionType) -> list[tuple[str, Any]]:
    """Return the variables that a function takes from its enclosing function."""
    values = []
    for name, cell in zip(source.__code__.co_freevars, source.__closure__ or (), strict=True):
        try:
            values.append((name, cell.cell_contents))
        except ValueError:
            raise ValueError(f"{place_of(source)} uses {name!r}, which is not defined") from None
    return values


def python_function(value: Any) -> FunctionType | None:
    """Return the Python function that a value is or was compiled from; None for anything else and NumPy's functions."""
    value = getattr(value, "py_func", value)
    return value if isinstance(value, FunctionType) and not _is_of_numpy(value) else None


@cache
def global_names(code: CodeType) -> tuple[str, ...]:
    """Return the names that a code object looks up in its globals, in order of appearance."""
    names = [one.argval for one in dis.get_instructions(code) if one.opname in {"LOAD_GLOBAL", "LOAD_NAME"}]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names += global_names(constant)
    return tuple(dict.fromkeys(names))


def place_of(function: FunctionType) -> str:
    """Return the name of a function with its line and its file."""
    code = function.__code__
    return f"{function.__name__} (line {code.co_firstlineno} of {code.co_filename})"


def source_of(functions: Iterable[FunctionType]) -> str:
    """Return the source of frozen functions as one text, each with the constants that it uses."""
    return "\n\n".join(
        _constants_of(one) + (text_of(one.__code__) or _NO_SOURCE.format(one.__name__)) for one in functions
    )


def fingerprint(functions: Iterable[FunctionType]) -> str:
    """Return a text that identifies frozen functions, equal under all versions of Python.

    Comments, docstrings, decorators and layout are ignored; constants that the functions use are included.
    """
    return "\n".join(_constants_of(one) + _plain_source(one.__code__) for one in functions)


_NO_SOURCE = "# The source of {} is not on disk.\n"


def _constants_of(function: FunctionType) -> str:
    """Return lines with the constants that a frozen function uses."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    values = function.__globals__ | {name: cell.cell_contents for name, cell in cells}
    constant_types = (bool, int, float, str, tuple, np.generic, np.ndarray)
    lines = [
        f"# {name} = {value.tolist() if isinstance(value, np.ndarray | np.generic) else value!r}\n"
        for name, value in sorted(values.items())
        if isinstance(value, constant_types) and not name.startswith("__")
    ]
    defaults = f"# defaults: {function.__defaults__!r}\n" if function.__defaults__ else ""
    return "".join(lines) + defaults


def _plain_source(code: CodeType) -> str:
    """Return the source of a function without ignored parts, or its bytecode if there is no source."""
    text = text_of(code)
    if text is None:
        return _describe_code(code)
    try:
        tree = ast.parse(textwrap.dedent(text))
    except SyntaxError:  # a lambda inside an expression
        return text
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.decorator_list = []
            if ast.get_docstring(node) is not None:
                node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


@cache
def text_of(code: CodeType) -> str | None:
    """Return the source of a code object, or None; for a lambda, all lines that it occupies.

    The result is also None if the file was edited after it was imported. `inspect.getsource` would not notice that, and
    would first search all modules for the file.
    """
    linecache.checkcache(code.co_filename)  # the file may have changed since it was read
    lines = linecache.getlines(code.co_filename)
    if (code.co_firstlineno, _describe_code(code)) not in _codes_in("".join(lines)):
        return None
    return "".join(inspect.getblock(lines[code.co_firstlineno - 1 :]))


@lru_cache(maxsize=64)
def _codes_in(text: str) -> set[tuple[int, str]]:
    """Return the first line and the description of each code object that a text compiles to."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # shown when the text was compiled before
            # Notebook cells may contain top-level await.
            codes = [compile(text, "", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)]
    except (SyntaxError, ValueError):
        return set()
    for code in codes:
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return {(code.co_firstlineno, _describe_code(code)) for code in codes}


def _describe_code(code: CodeType) -> str:
    """Return as text everything in a code object that determines its behaviour."""
    constants = [_describe_code(one) if isinstance(one, CodeType) else _constant_text(one) for one in code.co_consts]
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, code.co_argcount)
    return f"{code.co_code.hex()} {names} {constants}"


def _constant_text(constant: Any) -> str:
    """Return a constant as text; sets, whose order differs between processes, are sorted."""
    return repr(sorted(map(repr, constant))) if isinstance(constant, frozenset) else repr(constant)
