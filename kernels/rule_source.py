"""Registered rules as text, numbers and arrays, and back: how they get into another process.

A rule is a few functions and what their names stand for. Each function becomes its source, each name a number, an
array, another function, or the place where NumPy, `math` or `kernels` have it. In the other process Python compiles the
source again, and the rule is registered anew with all the checks of that: its digest must be the one that it has here.
"""

import ast
import hashlib
import linecache
import math
import textwrap
from collections.abc import Mapping
from importlib import import_module
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from kernels.binding import global_names, python_function, text_of
from kernels.loss import Loss
from kernels.optimizer import Optimizer
from kernels.plugins import load_installed
from kernels.register import register_loss, register_optimizer
from kernels.registry import REGISTERED, Registered, registered_in

Packed = dict[str, Any]

_REGISTER = {"optimizer": register_optimizer, "loss": register_loss}
# Modules in which a name is looked for that is no function of the user's.
_MODULES = (np, math)


def pack_rules(made: Optimizer | Loss, kind: str) -> list[Packed]:
    """Return the registered rules that an optimizer or a loss is made of; none where all are built in.

    Raises
    ------
    ValueError
        If one of them cannot be written down, with the reason.
    """
    return [_pack_rule(rule) for rule in registered_in(made, kind)]


def register_rules(packed: list[Packed]) -> None:
    """Register rules that were packed in another process, unless they are known here already.

    Raises
    ------
    ValueError
        If the source is not what was sent, or the rule computes something else here.
    """
    for rule in packed:
        kind, name = rule["kind"], rule["name"]
        if name not in REGISTERED[kind]:
            load_installed()
        known = REGISTERED[kind].get(name)
        if known is not None and known.digest == rule["digest"]:
            continue
        if _hash(rule["function"], rule["settings"]) != rule["sha256"]:
            raise ValueError(f"the source of the {kind} {name} is not what was sent: its hash is another one")
        REGISTERED[kind].pop(name, None)  # as it was before an edit
        settings = {key: _unpack(value, rule) for key, value in rule["settings"].items()}
        _REGISTER[kind](_unpack(rule["function"], rule), name=name, **settings)
        if REGISTERED[kind][name].digest != rule["digest"]:
            del REGISTERED[kind][name]
            raise ValueError(f"the {kind} {name} is another one here than where it was registered: digests differ")


def _pack_rule(rule: Registered) -> Packed:
    subject = f"the {rule.kind} {rule.name} ({rule.place})"
    function = _pack(rule.function, subject)
    settings = {key: _pack(value, subject) for key, value in rule.settings.items()}
    return {
        "kind": rule.kind,
        "name": rule.name,
        "digest": rule.digest,
        "function": function,
        "settings": settings,
        "sha256": _hash(function, settings),
    }


def _hash(function: Packed, settings: Packed) -> str:
    """Return the hash of a rule as it is sent."""
    return hashlib.sha256(_written(function | {"settings": settings}).encode()).hexdigest()


def _written(value: Any) -> str:
    """Return a text that differs where what is sent does."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype.str}{value.shape}{value.tobytes().hex()}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_written(one)}" for key, one in sorted(value.items())) + "}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(_written, value)) + "]"
    return repr(value)


def _pack(value: Any, subject: str) -> Packed:
    """Return what stands for a value: itself, or where it is found, or its source."""
    if found := _find(value):
        return {"found": found}
    function = python_function(value)
    if function is not None:
        return {"function": _pack_function(function, subject)}
    if _is_plain(value):
        return {"value": value}
    raise ValueError(
        f"{subject} cannot be sent to a cluster: it uses {value!r:.60}, and what is sent are functions, numbers, "
        "tuples and arrays of them, and what NumPy, math and kernels have; install it there as a plug-in"
    )


def _is_plain(value: Any) -> bool:
    """Return whether a value is numbers and texts, to any depth."""
    if isinstance(value, Mapping):
        return all(map(_is_plain, (*value, *value.values())))
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    return isinstance(value, bool | int | float | str | None | np.generic) or (
        isinstance(value, np.ndarray) and value.dtype.kind in "biufc"
    )


def _find(value: Any) -> tuple[str, str] | None:
    """Return the module and the name under which a value is found in any process, if it is."""
    if isinstance(value, ModuleType):
        shared = value in _MODULES or value.__name__.partition(".")[0] == "kernels"
        return (value.__name__, "") if shared else None
    name, own = getattr(value, "__name__", None), str(getattr(value, "__module__", None))
    if not callable(value) or name is None:
        return None
    for module in [import_module(own)] if own.partition(".")[0] == "kernels" else _MODULES:
        if getattr(module, name, None) is value:
            return module.__name__, name
    return None


def _pack_function(function: FunctionType, subject: str) -> Packed:
    code = function.__code__
    text = text_of(code)
    if text is None or _definition_in(text) is None:
        missing = "is a lambda" if code.co_name == "<lambda>" else "has no source that can be read"
        raise ValueError(
            f"{subject} cannot be sent to a cluster: {code.co_name} {missing}; write it with def, in a file or a cell"
        )
    names = [name for name in global_names(code) if name in function.__globals__]
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    return {
        "name": function.__name__,
        "module": function.__module__,
        "text": text,
        "defaults": _pack((function.__defaults__, function.__kwdefaults__), subject),
        "globals": {name: _pack(function.__globals__[name], subject) for name in names},
        "cells": {name: _pack(cell, subject) for name, cell in zip(code.co_freevars, cells, strict=True)},
    }


def _definition_in(text: str) -> ast.FunctionDef | None:
    """Return the function that a text defines, without what would be looked up where it stands."""
    try:
        (node,) = ast.parse(textwrap.dedent(text)).body
    except (SyntaxError, ValueError):
        return None
    if not isinstance(node, ast.FunctionDef):
        return None
    node.decorator_list, node.returns = [], None
    node.args.defaults, node.args.kw_defaults = [], [None for _ in node.args.kwonlyargs]
    for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
        argument.annotation = None
    return node


def _unpack(packed: Packed, rule: Packed) -> Any:
    """Return the value that something stands for."""
    if "value" in packed:
        return _close(packed["value"])
    if "found" in packed:
        module, name = packed["found"]
        found = import_module(module)
        return getattr(found, name) if name else found
    return _unpack_function(packed["function"], rule)


def _close(value: Any) -> Any:
    """Close the arrays among plain values to writing, as they were where they come from."""
    if isinstance(value, np.ndarray):
        value.setflags(write=False)
    elif isinstance(value, tuple | list):
        for one in value:
            _close(one)
    return value


def _unpack_function(packed: Packed, rule: Packed) -> FunctionType:
    """Compile a function from its source, with globals of its own."""
    text = packed["text"]
    file = f"<{rule['kind']} {rule['name']} {rule['digest'][:16]} {hashlib.sha256(text.encode()).hexdigest()[:16]}>"
    # Where Python looks for the lines of a function; without a time they are never thought to have changed.
    linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file
    cells = {name: _unpack(value, rule) for name, value in packed["cells"].items()}
    code = _compile(_definition_in(text), tuple(cells), file)
    names = {name: _unpack(value, rule) for name, value in packed["globals"].items()}
    defaults, keyword_defaults = _unpack(packed["defaults"], rule)
    closure = tuple(CellType(cells[name]) for name in code.co_freevars)
    function = FunctionType(code, names, packed["name"], defaults, closure)
    function.__kwdefaults__, function.__module__ = keyword_defaults, packed["module"]
    return function


def _compile(definition: ast.FunctionDef | None, cells: tuple[str, ...], file: str) -> CodeType:
    """Return the code of a function, within one that has the variables of its closure."""
    assert definition  # noqa: S101 (looked at before it was sent)
    arguments = ast.arguments(
        posonlyargs=[], args=[ast.arg(name) for name in cells], kwonlyargs=[], kw_defaults=[], defaults=[]
    )
    around = ast.FunctionDef(name="around", args=arguments, body=[definition], decorator_list=[])
    module = ast.fix_missing_locations(ast.Module([around], type_ignores=[]))
    outer = next(one for one in compile(module, file, "exec").co_consts if isinstance(one, CodeType))
    inner = next(one for one in outer.co_consts if isinstance(one, CodeType) and one.co_name == definition.name)
    return inner.replace(co_firstlineno=1, co_qualname=definition.name)
