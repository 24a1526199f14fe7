"""Rules of the user's own: registered under a name, they are used by it everywhere a built-in one is.

Each of the functions below is a decorator, with or without options, and can be called as well. What is registered is
tried at once on a small problem (`kernels.extend.rule_check`), and a rule that is wrong is refused with its file and
its line. The rule is then fixed: a helper or a constant that changes later counts when it is registered again.
"""

import hashlib
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache as once
from functools import wraps
from keyword import iskeyword
from types import FunctionType
from typing import Any

import numpy as np

from kernels import losses, optimizers
from kernels.base.checks import check_bool, check_integer, check_real, describe
from kernels.base.registry import REGISTERED, Registered
from kernels.base.run import Floats
from kernels.compile.binding import Binder, fingerprint, place_of, plain_source, python_function, source_of, text_of
from kernels.extend.rule_check import explained, is_rounded_alike, subject_of, try_calls, try_derivative, try_rule
from kernels.losses import make_loss
from kernels.losses.loss import Loss
from kernels.model import models
from kernels.model.column_names import is_name
from kernels.model.model import Model
from kernels.optimizers import make_optimizer, schedules
from kernels.optimizers.optimizer import Optimizer
from kernels.optimizers.schedules import Schedule, check_repeated

Bounds = Mapping[str, tuple[float | None, float | None]]
BUILT_IN: dict[str, Mapping[str, Any]] = {
    "optimizer": optimizers.OPTIMIZERS,
    "loss": losses.LOSSES,
    "schedule": schedules.SCHEDULES,
    "model": models.MODELS,
}
RULE = ("theta", "slots", "gradient", "lr", "clock", "options")
# The parameters of a function that gives the value of a loss and its derivative.
OF_RESIDUAL, OF_PREDICTION = ("residual", "options"), ("prediction", "target", "options")
# The lengths of the runs for which a schedule is tried.
LENGTHS = (1, 2, 10, 100)

_frozen: dict[tuple[Any, ...], FunctionType] = {}


def register_optimizer(
    rule: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    slots: int = 0,
    options: Mapping[str, float] | None = None,
    bounds: Bounds | None = None,
    clock: Callable[..., Any] | None = None,
    clock_start: Sequence[float] = (),
    slots_start: Sequence[float | None] = (),
    gradient_at: Callable[..., Any] | None = None,
    needs_norm: bool = False,
    needs_loss: bool = False,
) -> Any:
    """Register an optimizer: an update rule, or a function of its options that returns an `Optimizer`.

    Parameters
    ----------
    rule : callable
        ``(theta, slots, gradient, lr, clock, options) -> (theta, slots)``, elementwise and without branches; see
        `kernels.optimizers.optimizer`. Or a function whose parameters, all with defaults, are the options and which
        returns a `kernels.optimizers.optimizer.Optimizer`; it says all else itself.
    name : str, optional
        By default that of the function; a lambda needs one.
    slots : int
        How many numbers of state the rule keeps per parameter.
    options : mapping of str to float, optional
        From the options' names to their defaults, in the order in which the rule unpacks them.
    bounds : mapping, optional
        From an option's name to its least and its largest value; None where there is none.
    clock, clock_start, slots_start, gradient_at, needs_norm, needs_loss
        As for `kernels.optimizers.optimizer.Optimizer`.

    Returns
    -------
    callable
        The function itself, or what registers one.

    Raises
    ------
    ValueError
        If the name is taken, or the rule is wrong; says what, with its file and line.

    Examples
    --------
    >>> @register_optimizer(slots=1, options={"beta": 0.9}, bounds={"beta": (0, 1)})
    ... def heavy(theta, slots, gradient, lr, clock, options):
    ...     (velocity,) = slots
    ...     velocity = options[0] * velocity + gradient
    ...     return theta - lr * velocity, (velocity,)
    """
    given = {
        "slots": check_integer("slots", slots, 0),
        "clock": clock,
        "clock_start": tuple(map(float, clock_start)),
        "slots_start": tuple(None if start is None else float(start) for start in slots_start),
        "gradient_at": gradient_at,
        "needs_norm": check_bool("needs_norm", needs_norm),
        "needs_loss": check_bool("needs_loss", needs_loss),
    }

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        own, called, subject = _begin("optimizer", function, name)
        parameters = list(inspect.signature(own).parameters.values())
        if all(parameter.default is not parameter.empty for parameter in parameters):
            if options or bounds or any(given.values()):
                raise ValueError(
                    f"{subject}: all its parameters have defaults, so it must return an Optimizer, which says slots, "
                    "options and all else itself"
                )
            _add(_optimizer_from_builder(own, called, subject))
        else:
            _check_parameters(subject, parameters, RULE)
            rules = {"rule": own, **given}
            _add(_optimizer_from_rule(own, called, subject, rules, _Options(subject, options or {}, bounds or {})))
        return function

    return register if rule is None else register(rule)


def register_loss(
    loss: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    options: Mapping[str, float] | None = None,
    bounds: Bounds | None = None,
) -> Any:
    """Register a loss of the residual r = f(x; theta) - y, or of the prediction f(x; theta) and the target y.

    Parameters
    ----------
    loss : callable
        ``(residual, options) -> (value, derivative)``, elementwise and without branches, or ``(prediction, target,
        options) -> (value, derivative)`` with the derivative with respect to the prediction. Or a function whose
        parameters, all with defaults, are the options and which returns a `kernels.losses.loss.Loss`.
    name, options, bounds
        As for `register_optimizer`.

    Returns
    -------
    callable
        The function itself, or what registers one.

    Raises
    ------
    ValueError
        If the name is taken, or the loss is wrong, such as a derivative that is not that of the value.

    Examples
    --------
    >>> @register_loss(options={"scale": 1.0})
    ... def fair(residual, options):
    ...     size = np.abs(residual) / options[0]
    ...     return options[0] ** 2 * (size - np.log1p(size)), residual / (1.0 + size)
    >>> @register_loss
    ... def exponential(prediction, target, options):
    ...     side = (1.0 - 2.0 * target) * prediction
    ...     return np.exp(side), (1.0 - 2.0 * target) * np.exp(side)
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        own, called, subject = _begin("loss", function, name)
        parameters = list(inspect.signature(own).parameters.values())
        if all(parameter.default is not parameter.empty for parameter in parameters):
            if options or bounds:
                raise ValueError(f"{subject}: all its parameters have defaults, so it says its options itself")
            _add(_loss_from_builder(own, called, subject))
        else:
            of_residual = len(parameters) < len(OF_PREDICTION)
            _check_parameters(subject, parameters, OF_RESIDUAL if of_residual else OF_PREDICTION)
            _add(_loss_from_function(own, called, subject, _Options(subject, options or {}, bounds or {})))
        return function

    return register if loss is None else register(loss)


def register_schedule(
    schedule: Callable[..., Any] | None = None, /, *, name: str | None = None, bounds: Bounds | None = None
) -> Any:
    """Register a schedule: factors on the learning rate, one for each epoch.

    Parameters
    ----------
    schedule : callable
        ``(epoch, epochs, option=default, ...) -> factors``: the epochs 0.0, 1.0, ... of a run as an array, and how many
        there are. It is never compiled.
    name, bounds
        As for `register_optimizer`.

    Returns
    -------
    callable
        The function itself, or what registers one.

    Raises
    ------
    ValueError
        If the name is taken, or the factors are not one finite number >= 0 for each epoch, or others each time.

    Examples
    --------
    >>> @register_schedule
    ... def sawtooth(epoch, epochs, period=10):
    ...     return 1.0 - (epoch % period) / period
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        own, called, subject = _begin("schedule", function, name)
        parameters = list(inspect.signature(own).parameters.values())
        _check_parameters(subject, parameters[:2], ("epoch", "epochs"))
        _check_defaults(subject, parameters[2:])
        defaults = {parameter.name: parameter.default for parameter in parameters[2:]}
        chosen = _Options(subject, defaults, bounds or {})

        def give(length: int) -> list[float]:
            """Return the factors that it gives for runs of a length without being told options."""
            values = _call_schedule(subject, own, np.arange(length, dtype=np.float64), length, chosen.read())
            return list(values)

        tried = [give(length) for length in LENGTHS]

        def build(*args: Any, **kwargs: Any) -> Schedule:
            values = chosen.read(*args, **kwargs)
            if give(LENGTHS[-1]) != tried[-1]:
                raise ValueError(f"{subject}: it gives other factors than when it was registered: register it again")
            return lambda epoch, epochs: _call_schedule(subject, own, epoch, epochs, values)

        # Anything may be used in it, so what it gives tells it from another as well.
        source = text_of(own.__code__) or own.__name__
        digest = _digest(_fingerprint_if_bound(own, source), defaults, tried)
        _add(_registered("schedule", called, own, chosen.sign(build), source, digest))
        return function

    return register if schedule is None else register(schedule)


def register_model(
    model: Callable[..., Any] | Model | str | None = None,
    /,
    *,
    name: str | None = None,
    inputs: Sequence[str] = ("x",),
) -> Any:
    """Register a model.

    Parameters
    ----------
    model : callable, Model or str
        A function of the model's options, all with defaults, that returns an expression or a `Model`; or one of these
        itself, with a name.
    name : str, optional
        By default that of the function.
    inputs : sequence of str
        What an expression calls its inputs.

    Returns
    -------
    callable, Model or str
        What was given, or what registers a function.

    Raises
    ------
    ValueError
        If the name is taken, or the expression cannot be read, with the place.

    Examples
    --------
    >>> @register_model
    ... def fourier(terms=2):
    ...     return "c" + "".join(f" + a{k}*sin({k}*x) + b{k}*cos({k}*x)" for k in range(1, terms + 1))
    >>> register_model("a*exp(-b*x)*cos(w*x + p)", name="damped")
    'a*exp(-b*x)*cos(w*x + p)'
    """
    module = str(sys._getframe(1).f_globals.get("__name__"))

    def register(given: Any) -> Any:
        if isinstance(given, str | Model):
            if name is None:
                raise ValueError('register_model needs a name for an expression, as in name="damped"')
            _check_name("model", name, (module, name))
            made = given if isinstance(given, Model) else Model(given, inputs)
            made.program  # noqa: B018 (derived, so that what cannot be is told here)
            _add(Registered("model", name, lambda: made, (module, name), module, made.expression, _digest_model(made)))
            return given
        own, called, subject = _begin("model", given, name)
        _check_defaults(subject, inspect.signature(own).parameters.values())

        @wraps(own)
        def build(*args: Any, **kwargs: Any) -> Model:
            with explained(subject, {own.__code__.co_filename}):
                made = own(*args, **kwargs)
                return made if isinstance(made, Model) else Model(made, inputs)

        with explained(subject, {own.__code__.co_filename}):
            build().program  # noqa: B018
        _add(_registered("model", called, own, build, text_of(own.__code__) or own.__name__, _digest_model(build())))
        return given

    return register if model is None else register(model)


class _Options:
    """The options of a rule: their defaults and their bounds, checked."""

    def __init__(self, subject: str, defaults: Mapping[str, float], bounds: Bounds) -> None:
        self.bounds = dict(bounds)
        for name in [*defaults, *bounds]:
            if not isinstance(name, str) or not name.isidentifier() or iskeyword(name):
                raise ValueError(f"{subject}: options must have names, and {name!r} is none")
            if name not in defaults:
                raise ValueError(f"{subject}: bounds are for options, and {name} is none of {', '.join(defaults)}")
            if name in bounds and (not isinstance(bounds[name], tuple | list) or len(bounds[name]) != 2):
                raise ValueError(f"{subject}: the bounds of {name} must be a pair such as (0, 1) or (0, None)")
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        self.signature = inspect.Signature(
            [inspect.Parameter(name, kind, default=value) for name, value in defaults.items()]
        )
        try:
            self.read()
        except ValueError as error:
            raise ValueError(f"{subject}: the default of {error}") from None

    def read(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Return all options by name, each a number within its bounds."""
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return {name: self._check(name, value) for name, value in bound.arguments.items()}

    def sign(self, build: Callable[..., Any]) -> Callable[..., Any]:
        """Let a builder say which options it takes."""
        build.__signature__ = self.signature  # type: ignore[attr-defined]
        return build

    def _check(self, name: str, value: Any) -> float:
        low, high = self.bounds.get(name, (None, None))
        ends = [] if low is None else [f">= {low:g}"]
        ends += [] if high is None else [f"<= {high:g}"]
        wanted = f"a number {' and '.join(ends)}" if ends else "a finite number"
        least, most = -np.inf if low is None else low, np.inf if high is None else high
        return check_real(name, value, lambda number: bool(least <= number <= most), wanted)


def _begin(kind: str, function: Any, name: str | None) -> tuple[FunctionType, str, str]:
    """Return the Python function, its name and the beginning of sentences about it, all checked."""
    own = python_function(function)
    if own is None:
        raise ValueError(f"register_{kind} takes a function, not {describe(function)}")
    if name is None and own.__name__ == "<lambda>":
        raise ValueError(f'{place_of(own)} has no name: register_{kind}(..., name="...") gives it one')
    called = own.__name__ if name is None else name
    _check_name(kind, called, _origin_of(own))
    return own, called, subject_of(kind, called, own)


def _check_numbers(options: Mapping[str, float]) -> dict[str, float]:
    """Return options as floats, so that two spellings of them are the same text."""
    return {name: check_real(name, value, lambda number: True, "a finite number") for name, value in options.items()}


def _check_name(kind: str, name: object, origin: tuple[str, str]) -> None:
    """Refuse a name that a text could not call, that is built in, or that somebody else has registered."""
    if not isinstance(name, str) or not name.isidentifier() or iskeyword(name) or name.lower() in {"true", "false"}:
        raise ValueError(f"the name of a rule must be one that Python could use, such as heavy, not {describe(name)}")
    if name in BUILT_IN[kind]:
        raise ValueError(f"{kind} {name!r} is built in: choose another name")
    if kind == "model" and not is_name(name):
        raise ValueError(f"{name!r} means something in an expression: choose another name for the model")
    before = REGISTERED[kind].get(name)
    if before is not None and before.origin != origin:
        raise ValueError(f"{kind} {name!r} is registered already, by {before.place}: choose another name")


def _check_defaults(subject: str, options: Iterable[inspect.Parameter]) -> None:
    """Refuse an option without a default."""
    if bare := [option.name for option in options if option.default is option.empty]:
        raise ValueError(f"{subject}: its option {bare[0]} needs a default, with which it can be tried")


def _check_parameters(subject: str, parameters: Sequence[inspect.Parameter], wanted: Sequence[str]) -> None:
    """Refuse a function that does not take what it will be given."""
    plain = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    if len(parameters) != len(wanted) or any(parameter.kind not in plain for parameter in parameters):
        taken = ", ".join(map(str, parameters))
        raise ValueError(f"{subject}: it must take ({', '.join(wanted)}), not ({taken})")


def _add(made: Registered) -> None:
    """Register, or replace what the same function registered before."""
    REGISTERED[made.kind][made.name] = made


def _origin_of(own: FunctionType) -> tuple[str, str]:
    return own.__module__, own.__qualname__


def _registered(
    kind: str, name: str, own: FunctionType, build: Callable[..., Any], source: str, digest: str
) -> Registered:
    return Registered(kind, name, build, _origin_of(own), place_of(own).partition("(")[2].rstrip(")"), source, digest)


def _freeze(subject: str, functions: Sequence[Callable[..., Any] | None]) -> tuple[list[Any], list[FunctionType]]:
    """Bind functions to what their names stand for now.

    Returns
    -------
    list of functions or None
        The same object each time for the same function that uses the same.
    list of functions
        All that are bound, what is called before what calls it.
    """
    everything = Binder({})
    frozen: list[FunctionType | None] = []
    for function in functions:
        if function is None:
            frozen.append(None)
            continue
        try:
            own = Binder({})
            bound = own.bind(function)
            everything.bind(function)
        except ValueError as error:
            raise ValueError(f"{subject}: {_explain_binding(str(error), python_function(function))}") from None
        code = bound.__code__
        frozen.append(_frozen.setdefault((own.digest, code.co_filename, code.co_firstlineno), bound))
    return frozen, everything.functions


def _explain_binding(message: str, function: FunctionType | None) -> str:
    """Return why a function cannot be bound; its own place is said already."""
    if function is not None:
        message = message.removeprefix(f"{place_of(function)} ")
        if message == f"uses {function.__name__!r}, which is not defined":  # before its decorator has returned
            return "calls itself; a kernel has no recursion"
    later = message.endswith("which is not defined")
    return message + (" yet: what a rule uses must stand above it" if later else "")


def _optimizer_from_rule(
    own: FunctionType, name: str, subject: str, rules: dict[str, Any], options: _Options
) -> Registered:
    """Return what is registered of an update rule."""
    parts = ("rule", "clock", "gradient_at")
    frozen, functions = _freeze(subject, [rules[part] for part in parts])
    made = Optimizer(name=name, options=options.read(), **rules | dict(zip(parts, frozen, strict=True)))
    made = replace(made, is_rounded_alike=_try_optimizer(subject, made, functions))
    facts = {key: value for key, value in rules.items() if key not in parts}

    def build(*args: Any, **kwargs: Any) -> Optimizer:
        return replace(made, options=options.read(*args, **kwargs))

    digest = _digest(fingerprint(functions), facts, made.options)
    return _registered("optimizer", name, own, options.sign(build), source_of(functions), digest)


def _optimizer_from_builder(own: FunctionType, name: str, subject: str) -> Registered:
    """Return what is registered of a function that returns optimizers."""
    parts = ("rule", "clock", "gradient_at", "per_sample")

    def make(*args: Any, **kwargs: Any) -> tuple[Optimizer, list[FunctionType]]:
        made = own(*args, **kwargs)
        if not isinstance(made, Optimizer):
            raise ValueError(f"{subject}: it must return an Optimizer, not {describe(made)}")
        frozen, functions = _freeze(subject, [getattr(made, part) for part in parts])
        numbers = _check_numbers(made.options)
        return replace(made, name=name, options=numbers, **dict(zip(parts, frozen, strict=True))), functions

    @wraps(own)
    def build(*args: Any, **kwargs: Any) -> Optimizer:
        made, functions = make(*args, **kwargs)
        return replace(made, is_rounded_alike=alike and all(map(is_rounded_alike, functions)))

    with explained(subject, {own.__code__.co_filename}):
        made, functions = make()
    alike = _try_optimizer(subject, made, functions)
    facts = (made.slots, made.clock_start, made.slots_start, made.needs_norm, made.needs_loss, made.flags)
    digest = _digest(plain_source(own.__code__), fingerprint(functions), facts, made.options)
    source = f"{text_of(own.__code__) or name}\n\n{source_of(functions)}"
    return _registered("optimizer", name, own, build, source, digest)


def _try_optimizer(subject: str, made: Optimizer, functions: list[FunctionType]) -> bool:
    """Try an optimizer with the squared loss; return whether compiled code gives the bits of NumPy."""
    try_calls(subject, made, functions)
    return try_rule(subject, make_loss("squared"), made, functions)


def _loss_from_function(own: FunctionType, name: str, subject: str, options: _Options) -> Registered:
    """Return what is registered of a function that returns a value and a derivative."""
    frozen, functions = _freeze(subject, [own])
    of_residual = len(inspect.signature(own).parameters) < len(OF_PREDICTION)
    values = (np.array([0.5, -2.0]), *(() if of_residual else (np.array([1.0, 0.0]),)), tuple(options.read().values()))
    with explained(subject, {own.__code__.co_filename}):
        pair = frozen[0](*values)
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise ValueError(f"{subject}: it must return its value and its derivative, not {describe(pair)}")
    parts = _value_and_derivative(frozen[0], of_residual)
    made = Loss(name, *parts, options.read(), of_residual=of_residual, records=f"{name} loss", nonnegative=of_residual)
    made = replace(made, is_exact=_try_loss(subject, made, functions))

    def build(*args: Any, **kwargs: Any) -> Loss:
        return replace(made, options=options.read(*args, **kwargs))

    digest = _digest(fingerprint(functions), made.options)
    return _registered("loss", name, own, options.sign(build), source_of(functions), digest)


def _loss_from_builder(own: FunctionType, name: str, subject: str) -> Registered:
    """Return what is registered of a function that returns losses."""

    def make(*args: Any, **kwargs: Any) -> tuple[Loss, list[FunctionType]]:
        made = own(*args, **kwargs)
        if not isinstance(made, Loss):
            raise ValueError(f"{subject}: it must return a Loss, not {describe(made)}")
        (value, derivative), functions = _freeze(subject, [made.value, made.derivative])
        records = f"{name} loss" if made.is_squared else made.records
        made = replace(made, name=name, records=records, value=value, derivative=derivative)
        made = replace(made, options=_check_numbers(made.options))
        return made, functions

    @wraps(own)
    def build(*args: Any, **kwargs: Any) -> Loss:
        made, functions = make(*args, **kwargs)
        return replace(made, is_exact=exact and all(map(is_rounded_alike, functions)))

    with explained(subject, {own.__code__.co_filename}):
        made, functions = make()
    exact = _try_loss(subject, made, functions)
    digest = _digest(plain_source(own.__code__), fingerprint(functions), made.options)
    source = f"{text_of(own.__code__) or name}\n\n{source_of(functions)}"
    return _registered("loss", name, own, build, source, digest)


def _try_loss(subject: str, made: Loss, functions: list[FunctionType]) -> bool:
    """Try a loss with an optimizer that needs its value too; return whether compiled code gives the bits of NumPy."""
    try_derivative(subject, made, functions)
    return try_rule(subject, made, make_optimizer("polyak"), functions)


@once
def _value_and_derivative(pair: Callable[..., Any], of_residual: bool) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return the two functions of a loss, of one that returns both; the same ones each time, for the kernel's sake."""
    if of_residual:
        return (
            lambda residual, options: pair(residual, options)[0],
            lambda residual, options: pair(residual, options)[1],
        )
    return (
        lambda prediction, target, options: pair(prediction, target, options)[0],
        lambda prediction, target, options: pair(prediction, target, options)[1],
    )


def _call_schedule(
    subject: str, schedule: Callable[..., Any], epoch: Floats, epochs: int, options: Mapping[str, float]
) -> Floats:
    """Return the factors of a schedule for all epochs of a run; it must give them twice."""
    factors, again = (_call_schedule_once(subject, schedule, epoch, epochs, options) for _ in range(2))
    check_repeated(f"{subject}: it", factors, again)
    return factors


def _call_schedule_once(
    subject: str, schedule: Callable[..., Any], epoch: Floats, epochs: int, options: Mapping[str, float]
) -> Floats:
    advice = "it is given all epochs at once: use np.where(epoch < 5, 1.0, 0.5)"
    with explained(subject, {schedule.__code__.co_filename}, advice=advice):
        factors = np.asarray(schedule(epoch.copy(), epochs, **options), np.float64)
    if factors.shape not in {(), epoch.shape}:
        raise ValueError(f"{subject}: it must return a factor for each of {epochs} epochs, not {describe(factors)}")
    good = np.isfinite(factors) & (factors >= 0.0)
    if not good.all():
        wrong = int(np.argmin(np.broadcast_to(good, epoch.shape)))
        factor = np.broadcast_to(factors, epoch.shape)[wrong]
        raise ValueError(f"{subject}: factors must be finite numbers >= 0, not {factor:g} in epoch {wrong} of {epochs}")
    return np.array(np.broadcast_to(factors, epoch.shape))


def _fingerprint_if_bound(own: FunctionType, source: str) -> str:
    """Return a digest of a function and all that it uses; of its source alone where it uses what cannot be bound."""
    binder = Binder({})
    try:
        binder.bind(own)
    except ValueError:
        return source
    return fingerprint(binder.functions)


def _digest(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _digest_model(model: Model) -> str:
    return _digest(model.expression, model.inputs, model.params)
