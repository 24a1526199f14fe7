"""The text form of optimizers, schedules, losses and ready-made models: ``name`` or ``name(options)``.

The same text works in a study file, on the command line, in a table cell and in a Python call:
``"adam(beta1=0.9)"``, ``"halve(10)"``, ``"multistep([30, 60], 0.1)"``. Options are numbers or lists of numbers;
optimizers also take true, false, or another optimizer: ``"averaged(adam(amsgrad=true))"``. The text is parsed, never
evaluated.
"""

import ast
import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from sgdbench.kernels.base.checks import describe, did_you_mean, list_names

MAX_CHARACTERS = 500  # a composed optimizer with all options at full precision takes about 350

Option = int | float | list[int | float] | bool | str
T = TypeVar("T")


def parse_spec(text: str, what: str, *, composed: bool = False) -> tuple[str, list[Option], dict[str, Option]]:
    """Split ``name(options)`` into its name, its options by position and its options by name.

    Parameters
    ----------
    text : str
        Such as ``"sgd"`` or ``"multistep([30, 60], gamma=0.1)"``, at most 500 characters.
    what : str
        The kind of the text, such as ``"optimizer"``; error messages begin with it.
    composed : bool
        Whether options may also be ``true`` or ``false``, or texts of the same form, which are returned as texts.
    """
    if not isinstance(text, str):
        raise ValueError(f"{what} must be text of the form name or name(options), not {describe(text)}")
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"{what} {describe(text)} is longer than {MAX_CHARACTERS} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "1if" makes Python's tokenizer warn; it is rejected below
            node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        node = ast.Constant(None)
    call = node if isinstance(node, ast.Call) else ast.Call(node, [], [])
    if not isinstance(call.func, ast.Name):
        if text.count("(") > text.count(")"):
            raise ValueError(f"{what} {text!r}: the parenthesis is not closed")
        if isinstance(node, ast.Tuple):
            raise ValueError(f"{what} {text!r} has {len(node.elts)} names; give one")
        raise ValueError(f"{what} {text!r} does not have the form name or name(options)")

    kwargs: dict[str, Option] = {}
    try:
        args = [_literal(argument, composed) for argument in call.args]
        for keyword in call.keywords:
            if keyword.arg is None or keyword.arg in kwargs:
                raise ValueError("every option is given once, as a value or as name=value")
            kwargs[keyword.arg] = _literal(keyword.value, composed)
    except ValueError as error:
        raise ValueError(f"{what} {text!r}: {error}") from None
    return call.func.id, args, kwargs


def make_from_spec(
    text: str, table: Mapping[str, Callable[..., T]], what: str, *, inner: Callable[[str], T] | None = None
) -> T:
    """Call the function that a text names, with the options in the text.

    Parameters
    ----------
    text : str
        ``name`` or ``name(options)``.
    table : mapping
        From names to functions with named parameters.
    what : str
        The kind of the text; error messages begin with it.
    inner : callable, optional
        Parses an option that is text of the same form; without it, such options, true and false are refused.

    Raises
    ------
    ValueError
        If the text has another form, a name or an option is unknown, an option is missing or repeated, or the function
        raises a ValueError.
    """
    name, args, kwargs = parse_spec(text, what, composed=inner is not None)
    if name not in table:
        hint = getattr(table, "hint", "")  # `sgdbench.kernels.base.registry.Table` has one, and `names_elsewhere`
        elsewhere = getattr(table, "names_elsewhere", {}).get(name.lower())
        close = f" (did you mean {elsewhere!r}?)" if elsewhere else did_you_mean(name, table)
        raise ValueError(f"unknown {what} {name!r}{close}; available: {list_names(table)}{hint}")

    def made(option: Option) -> Option | T:
        return inner(option) if inner and isinstance(option, str) else option

    signature = inspect.signature(table[name])
    takes = ", ".join(signature.parameters) or "no options"
    for option in kwargs:
        if option not in signature.parameters:
            close = did_you_mean(option, signature.parameters)
            raise ValueError(f"{what} {text!r}: {name} has no option {option}{close}; it takes {takes}")
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise ValueError(f"{what} {text!r}: {error}; {name} takes {takes}") from None
    try:
        return table[name](*map(made, args), **{option: made(value) for option, value in kwargs.items()})
    except ValueError as error:
        raise ValueError(f"{what} {text!r}: {error}") from None


def spec_text(name: str, options: Mapping[str, float], inner: str | None = None) -> str:
    """Return the text that `make_from_spec` parses back: inner text, all options by name, floats in full."""
    listed = [inner] if inner else []
    listed += [option_text(option, value) for option, value in options.items()]
    return f"{name}({', '.join(listed)})" if listed else name


def option_text(name: str, value: Any) -> str:
    """Return an option with its value, as it is written in a text: ``beta1=0.9``, ``amsgrad=true``, ``inner=sgd``."""
    text = str(value).lower() if isinstance(value, bool) else getattr(value, "text", None) or repr(value)
    return f"{name}={text}"


def _literal(node: ast.expr, composed: bool) -> Option:
    """Return the option that `node` spells out: a number, a list of numbers, or if `composed` a bool or a text."""
    if composed and isinstance(node, ast.Name | ast.Call | ast.Constant):
        text = ast.unparse(node)
        if text.lower() in {"true", "false"}:
            return text.lower() == "true"
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        if not isinstance(node, ast.Constant):
            parse_spec(text, "the option", composed=True)
            return text
    return [_number(element) for element in node.elts] if isinstance(node, ast.List | ast.Tuple) else _number(node)


def _number(node: ast.expr) -> int | float:
    """Return the number that `node` spells out, with at most one sign."""
    sign = 1
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        sign, node = -1, node.operand
    value: Any = node.value if isinstance(node, ast.Constant) else None
    if type(value) in {int, float} and math.isfinite(value):  # not isinstance: True is an int
        return cast(int | float, sign * value)
    raise ValueError("options must be finite numbers or lists of them")
