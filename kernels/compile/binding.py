"""Functions bound to globals of their own: how one source of the loops becomes many kernels.

A bound function has the code object of the original and another dictionary of globals. A name that the original's
module defines keeps its meaning; a name that it only declares, such as ``update`` in `loops`, gets one from a `Binder`.
The functions that it calls are bound with it, so that kernels share none, and a digest covers all of them.
"""

import ast
import builtins
import dis
import hashlib
import inspect
import linecache
import math
import textwrap
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import cache, lru_cache
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
from numba.extending import is_jitted

from kernels.base.numba_internals import Intrinsic

# Modules whose functions numba compiles by itself.
KNOWN_MODULES = (np, math)


class Binder:
    """Binds functions, each only once; `functions` lists them, each after those that it calls.

    Parameters
    ----------
    given : mapping
        The meanings of names that functions declare without defining them.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given = dict(given)
        self.functions: list[FunctionType] = []
        self._known: dict[tuple[Any, ...], FunctionType] = {}
        self._digests: dict[int, str] = {}
        self._active: list[Callable[..., Any]] = []

    def bind(self, function: Callable[..., Any], **given: Any) -> FunctionType:
        """Return a copy of the function that finds its own module's names, then those given, then Python's own.

        Parameters
        ----------
        function : callable
            A Python function or one that numba has compiled. Functions that it names are bound with it.
        **given
            Meanings that replace those of the binder, in this function and all that it calls.

        Raises
        ------
        ValueError
            If a name is not defined, a function calls itself, or an object is an array that can be changed in place or
            of a kind that no digest covers.
        """
        source = python_function(function)
        if source is None:
            raise ValueError(f"{function!r} is no Python function, which a kernel could be made of")
        if source in self.functions:
            return source
        if source in self._active:
            raise ValueError(f"{place_of(source)} calls itself; a kernel has no recursion")
        self._active.append(source)
        scope = self.given | given
        code, cells = source.__code__, _cells_of(source)
        names = {name: self._bound(source, name, given, scope) for name in global_names(code)}
        names = {name: value for name, value in names.items() if value is not _BUILTIN}
        cells = [self.bind(value, **given) if python_function(value) else value for value in cells]
        self._active.pop()
        key = (code, source.__defaults__, *names, *map(id, names.values()), *map(id, cells))
        if key not in self._known:
            closure = tuple(map(CellType, cells))
            scope_of_copy = names | {"__builtins__": builtins}
            copy = FunctionType(code, scope_of_copy, source.__name__, source.__defaults__, closure)
            copy.__module__ = source.__module__
            values = names | dict(zip(code.co_freevars, cells, strict=True))
            described = [_describe_code(code), repr(source.__defaults__)]
            described += [f"{name}={self._digest(source, name, value)}" for name, value in values.items()]
            self._digests[id(copy)] = hashlib.sha256("\n".join(described).encode()).hexdigest()
            self._known[key] = copy
            self.functions.append(copy)
        return self._known[key]

    @property
    def digest(self) -> str:
        """A digest of all bound functions: code objects, constants, and the names by which they find each other."""
        return hashlib.sha256("".join(self._digests[id(function)] for function in self.functions).encode()).hexdigest()

    def digest_of(self, function: FunctionType) -> str:
        """Return a digest of a bound function and all that it is made of."""
        return self._digests[id(function)]

    def _bound(self, source: FunctionType, name: str, given: Mapping[str, Any], scope: Mapping[str, Any]) -> Any:
        """Return the meaning of a name in a function; Python functions are bound too."""
        if name in source.__globals__:
            value = source.__globals__[name]
        elif name in scope:
            value = scope[name]
        elif hasattr(builtins, name):
            return _BUILTIN
        else:
            raise ValueError(f"{place_of(source)} uses {name!r}, which is not defined")
        return self.bind(value, **given) if python_function(value) else value

    def _digest(self, source: FunctionType, name: str, value: Any) -> str:
        """Return a text that differs where the value does, in any process."""
        if _can_change(value):
            raise ValueError(
                f"{place_of(source)} uses {name!r}, an array that can be changed in place, which kernels would not "
                "see; make it a tuple, or close it to writing by setflags(write=False)"
            )
        text = self._digests.get(id(value)) or _describe(value)
        if text is None:
            raise ValueError(
                f"{place_of(source)} uses {name!r}, which is of the kind {type(value).__name__}; a kernel is made of "
                "numbers, tuples and arrays of them, functions, and the modules numpy and math"
            )
        return text


def _cells_of(source: FunctionType) -> list[Any]:
    """Return the values of the variables that a function has from the one that it is defined in."""
    values = []
    for name, cell in zip(source.__code__.co_freevars, source.__closure__ or (), strict=True):
        try:
            values.append(cell.cell_contents)
        except ValueError:
            raise ValueError(f"{place_of(source)} uses {name!r}, which is not defined") from None
    return values


def source_of(functions: Iterable[FunctionType]) -> str:
    """Return the source of bound functions as one text, each with the names that mean something else in it."""
    pieces = []
    for function in functions:
        lines = [f"# from {function.__module__}"]
        for name, value in sorted(function.__globals__.items()):
            called = python_function(value)
            if called and called.__name__ != name:
                lines.append(f"# {name} = {called.__name__}")
            elif isinstance(value, bool | int | float | str | tuple | np.generic):
                lines.append(f"# {name} = {value!r}")
        lines.append(text_of(function.__code__) or f"# The source of {function.__name__} is not on disk.\n")
        pieces.append("\n".join(lines))
    return "\n\n".join(pieces)


def fingerprint(functions: Iterable[FunctionType]) -> str:
    """Return a digest of the source of bound functions, the same under all versions of Python.

    Comments, docstrings, decorators and layout do not count, the meanings of their names do.
    """
    described = []
    for function in functions:
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
        values = function.__globals__ | dict(zip(function.__code__.co_freevars, cells, strict=True))
        described += [plain_source(function.__code__), repr(function.__defaults__)]
        for name, value in sorted(values.items()):
            if name != "__builtins__":
                called = python_function(value)
                described.append(f"{name}={called.__name__ if called else _describe(value)}")
    return hashlib.sha256("\n".join(described).encode()).hexdigest()


def constants_and_functions(function: FunctionType) -> tuple[list[Any], bool]:
    """Return the meanings of the names in a function, also of modules, and whether it takes powers but squares."""
    values = [value for name, value in function.__globals__.items() if name != "__builtins__"]
    values += [cell.cell_contents for cell in function.__closure__ or ()]
    modules = [value for value in values if isinstance(value, ModuleType)]
    codes = [function.__code__]
    takes_powers = False
    for code in codes:
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        values += [getattr(module, name) for module in modules for name in code.co_names if hasattr(module, name)]
        values += [getattr(builtins, name) for name in global_names(code) if name not in function.__globals__]
        before = None
        for one in dis.get_instructions(code):
            takes_powers = takes_powers or (one.argrepr in {"**", "**="} and before != 2)
            before = one.argval
    return values, takes_powers


@cache
def text_of(code: CodeType) -> str | None:
    """Return the source of a code object, if there is one; that of a lambda is the lines on which it stands.

    There is none either where the file was edited after it was imported. `inspect.getsource` would not see that, and
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
            warnings.simplefilter("ignore")  # which were shown when it was compiled before
            # Cells of notebooks may await.
            codes = [compile(text, "", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)]
    except (SyntaxError, ValueError):
        return set()
    for code in codes:
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return {(code.co_firstlineno, _describe_code(code)) for code in codes}


def plain_source(code: CodeType) -> str:
    """Return the source of a function as `fingerprint` takes it; its bytecode where there is no source."""
    text = text_of(code)
    if text is None:
        return _describe_code(code)
    try:
        tree = ast.parse(textwrap.dedent(text))
    except SyntaxError:  # a lambda in the middle of something
        return text
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.decorator_list = []
            if ast.get_docstring(node) is not None:
                node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


_BUILTIN = object()


def python_function(value: Any) -> FunctionType | None:
    """Return the Python function that a value is or was compiled from; None for anything else and those of NumPy."""
    if is_jitted(value):
        value = value.py_func
    return value if isinstance(value, FunctionType) and not _is_of_numpy(value) else None


@cache
def global_names(code: CodeType) -> tuple[str, ...]:
    """Return the names that a code object looks up in its globals, in order of appearance.

    They are kept, because each kernel binds the same loops.
    """
    names = [one.argval for one in dis.get_instructions(code) if one.opname in {"LOAD_GLOBAL", "LOAD_NAME"}]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names += global_names(constant)
    return tuple(dict.fromkeys(names))


def _describe_code(code: CodeType) -> str:
    """Return everything in a code object that determines its behaviour, as text."""
    constants = [_describe_code(one) if isinstance(one, CodeType) else _ordered(one) for one in code.co_consts]
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, code.co_argcount)
    return f"{code.co_code.hex()} {names} {constants}"


def _describe(value: Any) -> str | None:
    """Return a text that differs where a constant or an object known to numba does; None for anything else."""
    text = None
    match value:
        case np.ndarray():
            text = f"{value.dtype.str}{value.shape}{value.tobytes().hex()}"
        case bool() | int() | float() | str() | None | np.generic():
            text = repr(value)
        case tuple():
            parts = [_describe(part) for part in value]
            text = None if None in parts else f"({', '.join(map(str, parts))})"
        case np.ufunc():
            text = value.__name__
        case BuiltinFunctionType():
            text = f"{value.__module__}.{value.__qualname__}"
        case Intrinsic():
            text = _describe_code(value._defn.__code__)
        case ModuleType() if value in KNOWN_MODULES:
            text = value.__name__
        case _ if callable(value) and _is_of_numpy(value):
            text = f"{value.__module__}.{value.__name__}"
    return text


def _can_change(value: Any) -> bool:
    """Return whether a value is or holds an array that can be written to, by itself or through its base."""
    if isinstance(value, tuple):
        return any(map(_can_change, value))
    return isinstance(value, np.ndarray) and (value.flags.writeable or _can_change(value.base))


def _is_of_numpy(value: Any) -> bool:
    return str(getattr(value, "__module__", None)).partition(".")[0] == "numpy"


def _ordered(constant: Any) -> str:
    """Return a constant as text; sets, whose order differs between processes, are sorted."""
    return repr(sorted(map(repr, constant))) if isinstance(constant, frozenset) else repr(constant)


def place_of(function: FunctionType) -> str:
    """Return the name of a function with its line and its file."""
    code = function.__code__
    return f"{function.__name__} (line {code.co_firstlineno} of {code.co_filename})"
