"""A function that is being registered: its name, its options, and a frozen copy of everything that it uses."""

import hashlib
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache as once
from keyword import iskeyword
from numbers import Real
from os.path import realpath
from types import FunctionType
from typing import Any

import numpy as np

from sgdbench.kernels import losses, optimizers
from sgdbench.kernels.base.checks import check_real, describe
from sgdbench.kernels.base.registry import REGISTERED, Registered, Table
from sgdbench.kernels.model import models
from sgdbench.kernels.model.column_names import is_name
from sgdbench.kernels.model.freeze import Freezer, fingerprint, place_of, python_function
from sgdbench.kernels.optimizers import schedules

Bounds = Mapping[str, tuple[float | None, float | None]]
TABLES: dict[str, Table[Any]] = {
    "optimizer": optimizers.OPTIMIZERS,
    "loss": losses.LOSSES,
    "schedule": schedules.SCHEDULES,
    "model": models.MODELS,
}

_frozen: dict[tuple[Any, ...], FunctionType] = {}


class Candidate:
    """A function that is to be registered.

    Attributes
    ----------
    kind, name : str
    own : function
    parameters : list of inspect.Parameter
    subject : str
        The beginning of messages about it: its kind, its name and its place.
    files : set of str
        The files of the function and of everything that it uses.
    """

    def __init__(self, kind: str, function: Any, name: str | None) -> None:
        own = python_function(function)
        if own is None:
            raise ValueError(f"register_{kind} takes a function, not {describe(function)}")
        if name is None and own.__name__ == "<lambda>":
            raise ValueError(f'{place_of(own)} has no name: register_{kind}(..., name="...") gives it one')
        self.kind, self.own = kind, own
        self.name = own.__name__ if name is None else name
        self.origin = str(own.__module__), own.__qualname__  # code run by exec may have no module
        check_name(kind, self.name, self.origin, own.__code__.co_filename)
        self.place = f"line {own.__code__.co_firstlineno} of {own.__code__.co_filename}"
        self.subject = f"the {kind} {self.name} ({self.place})"
        self.files = {own.__code__.co_filename}
        self.parameters = list(inspect.signature(own).parameters.values())

    def error(self, fault: str) -> ValueError:
        """Return an error that names the fault and its place."""
        return ValueError(f"{self.subject}: {fault}")

    @property
    def takes_options_only(self) -> bool:
        """Whether all its parameters have defaults."""
        return all(parameter.default is not parameter.empty for parameter in self.parameters)

    def check_parameters(self, required: Sequence[str], options_follow: bool = False) -> None:
        """Refuse a function without the required parameters, optionally followed by options with defaults."""
        plain = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
        first, others = self.parameters[: len(required)], self.parameters[len(required) :]
        misplaced = any(one.kind not in plain or one.default is not one.empty for one in first)  # such as an option
        if len(first) < len(required) or (others and not options_follow) or misplaced:
            raise self.error(f"it must take ({', '.join(required)}), not {inspect.signature(self.own)}")
        for option in others:
            if option.default is option.empty:
                raise self.error(f"its option {option.name} needs a default value, with which the rule is tried")

    def freeze(self, functions: Iterable[Callable[..., Any] | None]) -> tuple[list[Any], list[FunctionType]]:
        """Freeze functions in their present state.

        Returns
        -------
        list of functions or None
            The same object each time for the same function with the same values.
        list of functions
            All of them except those of this module, each before the functions that call it.
        """
        everything, frozen = Freezer(), list[FunctionType | None]()
        for function in functions:
            if function is None:
                frozen.append(None)
                continue
            alone = Freezer()
            try:
                bound = alone.freeze(function)
                everything.freeze(function)
            except ValueError as error:
                raise self.error(_explain_binding(str(error), python_function(function))) from None
            key = bound.__code__, fingerprint(alone.functions)
            frozen.append(_frozen.setdefault(key, bound))
        functions_too = [one for one in everything.functions if one.__code__.co_filename != __file__]
        self.files.update(one.__code__.co_filename for one in functions_too)
        return frozen, functions_too

    def register(self, build: Callable[..., Any], source: str, digest: str) -> Registered:
        """Register the builder, replacing an earlier one from the same function, and return its entry."""
        registered = Registered(self.kind, self.name, build, self.origin, self.place, source, digest)
        REGISTERED[self.kind][self.name] = registered
        return registered


class Options:
    """The checked defaults and bounds of a rule's options."""

    def __init__(self, about: Candidate, defaults: Mapping[str, float] | None, bounds: Bounds | None) -> None:
        defaults = {} if defaults is None else defaults
        bounds = {} if bounds is None else bounds
        for what, given in (("options", defaults), ("bounds", bounds)):
            if not isinstance(given, Mapping):
                raise about.error(f"{what} must be a mapping of names, not {describe(given)}")
        self.description = about.own.__doc__
        self.bounds, kind = dict(bounds), inspect.Parameter.POSITIONAL_OR_KEYWORD
        try:
            parameters = [inspect.Parameter(name, kind, default=value) for name, value in defaults.items()]
        except (TypeError, ValueError) as error:
            raise about.error(f"options must have names: {error}") from None
        self.signature = inspect.Signature(parameters)
        for name, pair in bounds.items():
            if name not in defaults:
                known = f"{name} is not one of {', '.join(defaults)}" if defaults else "there are none"
                raise about.error(f"bounds are for options, and {known}")
            if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(map(_is_bound, pair)):
                raise about.error(f"the bounds of {name} must be a pair such as (0, 1) or (0, None)")
        try:
            self.read()
        except ValueError as error:
            raise about.error(f"the default of {error}") from None

    def read(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Return all options by name, each a number within its bounds."""
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return {name: self._check(name, value) for name, value in bound.arguments.items()}

    def sign(self, build: Callable[..., Any]) -> Callable[..., Any]:
        """Give a builder the signature of the options and the docstring of the rule."""
        build.__signature__, build.__doc__ = self.signature, self.description  # type: ignore[attr-defined]
        return build

    def _check(self, name: str, value: Any) -> float:
        low, high = self.bounds.get(name, (None, None))
        ends = [] if low is None else [f">= {low:g}"]
        ends += [] if high is None else [f"<= {high:g}"]
        accepted = f"a number {' and '.join(ends)}" if ends else "a finite number"
        least, most = -np.inf if low is None else low, np.inf if high is None else high
        return check_real(name, value, lambda number: bool(least <= number <= most), accepted)


@once
def value_and_derivative(pair: Callable[..., Any], of_residual: bool) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return the two functions of a loss, split from one that returns both; cached, so that kernels are shared."""
    if of_residual:
        return (
            lambda residual, options: pair(residual, options)[0],
            lambda residual, options: pair(residual, options)[1],
        )
    return (
        lambda prediction, target, options: pair(prediction, target, options)[0],
        lambda prediction, target, options: pair(prediction, target, options)[1],
    )


def check_name(kind: str, name: object, origin: tuple[str, str], file: str) -> None:
    """Refuse a name that a text cannot call, that is built in, or that another function has registered."""
    if not isinstance(name, str) or not name.isidentifier() or iskeyword(name) or name.lower() in {"true", "false"}:
        raise ValueError(f"the name of a rule must be a Python identifier such as heavy, not {describe(name)}")
    if name in TABLES[kind].built_in:
        raise ValueError(f"{kind} {name!r} is built in: choose another name")
    if kind == "model" and not is_name(name):
        raise ValueError(f"{name!r} is reserved in expressions; choose another name for the model")
    before = REGISTERED[kind].get(name)
    if before is None or before.origin == origin:
        return
    if (realpath(before.file), before.origin[1]) != (realpath(file), origin[1]):
        raise ValueError(f"{kind} {name!r} is registered already, by {before.place}: choose another name")


def digest_of(*parts: Any) -> str:
    """Return a digest of values whose texts identify them."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _is_bound(end: object) -> bool:
    return end is None or (isinstance(end, Real) and not math.isnan(end))


def _explain_binding(message: str, function: FunctionType | None) -> str:
    """Return why a function cannot be bound, without its place, which the subject already names."""
    if function is not None:
        message = message.removeprefix(f"{place_of(function)} ")
        if message == f"uses {function.__name__!r}, which is not defined":  # before its decorator has returned
            return "calls itself; a kernel has no recursion"
    later = message.endswith("which is not defined")
    return message + (" yet; define it above the rule" if later else "")
