"""The text form of optimizers, schedules, losses and ready-made models: ``name`` or ``name(options)``.

Text fits a study file, a command line, a cell of a table and a Python call alike: ``"adam(beta1=0.9)"``,
``"halve(10)"``, ``"multistep([30, 60], 0.1)"``. Options are numbers or lists of numbers; of optimizers they may also
be true, false, or another optimizer: ``"averaged(adam(amsgrad=true))"``. The text is parsed, never evaluated.
"""

import ast
import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from kernels.base.checks import describe, did_you_mean

LONGEST = 200

Option = int | float | list[int | float] | bool | str
T = TypeVar("T")


def parse_spec(text: str, what: str, *, composed: bool = False) -> tuple[str, list[Option], dict[str, Option]]:
    """Split ``name(options)`` into its name and its options.

    Parameters
    ----------
    text : str
        Such as ``"sgd"`` or ``"multistep([30, 60], gamma=0.1)"``, at most 200 characters.
    what : str
        What the text stands for, such as ``"optimizer"``; error messages begin with it.
    composed : bool
        Whether options may also be ``true`` or ``false``, or texts of the same form.

    Returns
    -------
    name : str
    args : list
        Options given by position: int, float, or a list of these; bool, or text to be parsed, where `composed`.
    kwargs : dict
        Options given by name.

    Raises
    ------
    ValueError
        If the text is anything else.
    """
    if not isinstance(text, str):
        raise ValueError(f"{what} must be text of the form name or name(options), not {describe(text)}")
    if len(text) > LONGEST:
        raise ValueError(f"{what} {describe(text)} is longer than {LONGEST} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "1if" makes Python's tokenizer warn; it is rejected below
            node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        node = ast.Constant(None)
    call = node if isinstance(node, ast.Call) else ast.Call(node, [], [])
    if not isinstance(call.func, ast.Name):
        raise ValueError(f"{what} {text!r} does not have the form name or name(options)")

    kwargs: dict[str, Option] = {}
    try:
        literal = _composed_literal if composed else _literal
        args = [literal(argument) for argument in call.args]
        for keyword in call.keywords:
            if keyword.arg is None or keyword.arg in kwargs:
                raise ValueError("every option is given once, as a value or as name=value")
            kwargs[keyword.arg] = literal(keyword.value)
    except ValueError as error:
        raise ValueError(f"{what} {text!r}: {error}") from None
    return call.func.id, args, kwargs


def make_from_spec(
    text: str, table: Mapping[str, Callable[..., T]], what: str, *, inner: Callable[[str], T] | None = None
) -> T:
    """Look the name up in `table` and call what is there with the options.

    Parameters
    ----------
    text : str
        ``name`` or ``name(options)``.
    table : mapping
        From name to a function with named parameters.
    what : str
        What the text stands for; error messages begin with it.
    inner : callable, optional
        Makes of an option that is text of the same form what is handed on in its place; without it, such options, true
        and false are refused.

    Raises
    ------
    ValueError
        For text of another form, an unknown name, an unknown, missing or repeated option, and whatever the
        function itself raises as ValueError, with the text in front.
    """
    name, args, kwargs = parse_spec(text, what, composed=inner is not None)
    if name not in table:
        hint = getattr(table, "hint", "")  # of a `kernels.base.registry.Table`
        close = did_you_mean(name, table)
        raise ValueError(f"{what} {name!r} is not known{close}; known are {', '.join(table)}{hint}")

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
    """Write the text that `make_from_spec` reads back: an inner text, every option by name, every float in full."""
    values = ["true" if value is True else repr(value) for value in options.values()]
    listed = [f"{option}={value}" for option, value in zip(options, values, strict=True)]
    listed = [inner, *listed] if inner else listed
    return f"{name}({', '.join(listed)})" if listed else name


def _composed_literal(node: ast.expr) -> Option:
    """Return what an option spells out: a number, a list of numbers, true or false, or text of the same form."""
    if isinstance(node, ast.Name | ast.Call):
        text = ast.unparse(node)
        if text.lower() in {"true", "false"}:
            return text.lower() == "true"
        parse_spec(text, "the option", composed=True)
        return text
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        return node.value
    return _literal(node)


def _literal(node: ast.expr) -> Option:
    """Return the number, or the list of numbers, that `node` spells out."""
    if isinstance(node, ast.List | ast.Tuple):
        return [_number(element) for element in node.elts]
    return _number(node)


def _number(node: ast.expr) -> int | float:
    """Return the number that `node` spells out, with at most one sign."""
    sign = 1
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        sign, node = -1, node.operand
    value: Any = node.value if isinstance(node, ast.Constant) else None
    if type(value) in {int, float} and math.isfinite(value):  # not isinstance: True is an int
        return cast(int | float, sign * value)
    raise ValueError("options must be finite numbers or lists of them")
