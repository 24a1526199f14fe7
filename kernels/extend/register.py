"""Registration of users' rules under a name, by which they work everywhere that a built-in rule does.

Each of the functions below is a decorator, with or without options, or is called with the function, which it returns. A
rule is tried at once on a small problem (`sgdbench.kernels.extend.rule_check`); a faulty one is refused with its file
and line. A registered rule is frozen: a helper or a constant that changes later takes effect when the rule is
registered again.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial, wraps
from inspect import Parameter, signature
from types import FunctionType
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast, overload

import numpy as np

from sgdbench.kernels.base.checks import check_bool, describe
from sgdbench.kernels.base.registry import REGISTERED, Registered
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.base.spec import make_from_spec
from sgdbench.kernels.extend.rule_check import explained, trace_rule, try_calls, try_derivative
from sgdbench.kernels.extend.rule_source import Bounds, Candidate, Options, check_name, digest_of, value_and_derivative
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.freeze import fingerprint, source_of, text_of
from sgdbench.kernels.model.model import Model, ModelLike, sympy_as_text
from sgdbench.kernels.model.models import builder_of
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.optimizers.optimizer import Optimizer
from sgdbench.kernels.optimizers.schedules import Schedule, check_repeated
from sgdbench.kernels.tape.trace import trace_loss, trace_optimizer

RULE_PARAMETERS = ("theta", "slots", "gradient", "lr", "clock", "options")
RESIDUAL_PARAMETERS, PREDICTION_PARAMETERS = ("residual", "options"), ("prediction", "target", "options")
"""The parameters of a function that returns the value of a loss and its derivative."""
TARGET_NAMES = ("target", "targets", "y", "y_true", "true", "truth", "label", "labels", "observed")
"""Names of a second parameter that is no tuple of options."""
TRACED_PARTS = {Optimizer: ("rule", "clock", "gradient_at", "per_sample"), Loss: ("value", "derivative")}
TRIED_RESIDUALS: Floats = np.concatenate([[0.0], np.geomspace(1e-6, 1e6, 121), -np.geomspace(1e-6, 1e6, 121)])
"""The residuals at which a loss is checked for negative values."""
TRIED_EPOCHS = (1, 2, 10, 100)
"""The epochs of the runs for which a schedule is tried."""
Rule = TypeVar("Rule")
Settings = ParamSpec("Settings")


class Registrar(Protocol[Settings]):
    """The type of a registering function: called with a rule, which it returns, or with settings, as a decorator."""

    @overload
    def __call__(self, rule: Rule, /, *args: Settings.args, **settings: Settings.kwargs) -> Rule: ...
    @overload
    def __call__(self, *args: Settings.args, **settings: Settings.kwargs) -> Callable[[Rule], Rule]: ...


def _registrar(register: Callable[Concatenate[Any, Settings], Any]) -> Registrar[Settings]:
    """Let a function that registers a rule also act as a decorator with settings; rules keep their types."""

    @wraps(register)
    def called(rule: Any = None, /, *args: Settings.args, **settings: Settings.kwargs) -> Any:
        return partial(called, *args, **settings) if rule is None else register(rule, *args, **settings)

    return cast(Registrar[Settings], called)


@_registrar
def register_optimizer(
    rule: Callable[..., Any],
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
        `sgdbench.kernels.optimizers.optimizer`. Or a function whose parameters, all with defaults, are the options, and
        which returns a `sgdbench.kernels.optimizers.optimizer.Optimizer`; the other arguments are then omitted.
    name : str, optional
        By default the name of the function; a lambda needs one.
    slots : int
        The number of values that the rule stores per parameter, at most 100.
    options : mapping of str to float, optional
        The default of each option, in the order in which the rule unpacks them.
    bounds : mapping, optional
        The smallest and the largest value of an option; None for no bound.
    clock, clock_start, slots_start, gradient_at, needs_norm, needs_loss
        As for `sgdbench.kernels.optimizers.optimizer.Optimizer`.

    Returns
    -------
    callable
        The function itself, or a decorator.

    Raises
    ------
    ValueError
        If the name is taken, or the rule is faulty; the message names the fault, its file and its line.

    Examples
    --------
    >>> @register_optimizer(slots=1, options={"beta": 0.9}, bounds={"beta": (0, 1)})
    ... def heavy(theta, slots, gradient, lr, clock, options):
    ...     (velocity,) = slots
    ...     velocity = options[0] * velocity + gradient
    ...     return theta - lr * velocity, (velocity,)
    """
    try:
        starts = tuple(map(float, clock_start)), tuple(None if one is None else float(one) for one in slots_start)
    except (TypeError, ValueError):
        given_starts = f"{describe(clock_start)} and {describe(slots_start)}"
        raise ValueError(f"clock_start and slots_start must be tuples such as (0.0,), not {given_starts}") from None
    settings: dict[str, Any] = {
        "slots": slots,
        "clock": clock,
        "clock_start": starts[0],
        "slots_start": starts[1],
        "gradient_at": gradient_at,
        "needs_norm": check_bool("needs_norm", needs_norm),
        "needs_loss": check_bool("needs_loss", needs_loss),
    }
    about = Candidate("optimizer", rule, name)
    if about.takes_options_only:
        if options or bounds or any(settings.values()):
            raise about.error("all its parameters have defaults, so it must return an Optimizer with slots and all")
        _register_made(about, Optimizer, about.own)
        return rule
    about.check_parameters(RULE_PARAMETERS)
    chosen = Options(about, options, bounds)

    def build(*args: Any, **kwargs: Any) -> Optimizer:
        return Optimizer(about.name, about.own, chosen.read(*args, **kwargs), **settings)

    _register_made(about, Optimizer, chosen.sign(build))
    return rule


@_registrar
def register_loss(
    loss: Callable[..., Any],
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
        parameters, all with defaults, are the options and which returns a `sgdbench.kernels.losses.loss.Loss`.
    name, options, bounds
        As for `register_optimizer`.

    Raises
    ------
    ValueError
        If the name is taken, or the loss is faulty, for example if the derivative does not match the value.

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
    about = Candidate("loss", loss, name)
    if about.takes_options_only:
        if options or bounds:
            raise about.error("all its parameters have defaults, so they are its options")
        _register_made(about, Loss, about.own)
        return loss
    of_residual = len(about.parameters) < len(PREDICTION_PARAMETERS)
    if len(about.parameters) == len(RESIDUAL_PARAMETERS) and about.parameters[1].name in TARGET_NAMES:
        about.check_parameters(PREDICTION_PARAMETERS)
    about.check_parameters(RESIDUAL_PARAMETERS if of_residual else PREDICTION_PARAMETERS)
    chosen = Options(about, options, bounds)
    (pair,), _ = about.freeze([about.own])
    _check_pair(about, pair, of_residual, tuple(chosen.read().values()))
    parts = value_and_derivative(pair, of_residual)

    def build(*args: Any, **kwargs: Any) -> Loss:
        values = chosen.read(*args, **kwargs)
        with np.errstate(all="ignore"):
            nonnegative = of_residual and bool(np.all(parts[0](TRIED_RESIDUALS, tuple(values.values())) > -1e-9))
        return Loss(about.name, *parts, values, of_residual=of_residual, nonnegative=nonnegative)

    _register_made(about, Loss, chosen.sign(build))
    return loss


@_registrar
def register_schedule(schedule: Callable[..., Any], /, *, name: str | None = None, bounds: Bounds | None = None) -> Any:
    """Register a schedule: factors on the learning rate, one for each epoch.

    Parameters
    ----------
    schedule : callable
        ``(epoch, epochs, option=default, ...) -> factors``: the epochs 0.0, 1.0, ... of a run as an array, and their
        number. It is never compiled.
    name, bounds
        As for `register_optimizer`.

    Raises
    ------
    ValueError
        If the name is taken, the factors are not one finite number >= 0 per epoch, or they are random.

    Examples
    --------
    >>> @register_schedule
    ... def sawtooth(epoch, epochs, period=10):
    ...     return 1.0 - (epoch % period) / period
    """
    about = Candidate("schedule", schedule, name)
    about.check_parameters(("epoch", "epochs"), options_follow=True)
    defaults = {option.name: option.default for option in about.parameters[2:]}
    chosen = Options(about, defaults, bounds)

    def factors_by_default(length: int) -> list[float]:
        epochs: Floats = np.arange(length, dtype=np.float64)
        return list(_call_schedule(about, epochs, length, chosen.read()))

    tried = [factors_by_default(length) for length in TRIED_EPOCHS]

    def build(*args: Any, **kwargs: Any) -> Schedule:
        values = chosen.read(*args, **kwargs)
        if factors_by_default(TRIED_EPOCHS[-1]) != tried[-1]:
            raise about.error("it gives other factors than when it was registered: register it again")
        return lambda epoch, epochs: _call_schedule(about, epoch, epochs, values)

    source = text_of(about.own.__code__) or about.own.__name__
    try:
        uses = fingerprint(about.freeze([about.own])[1])
    except ValueError:  # schedules are never compiled and may use anything; their factors identify them
        uses = source
    about.register(chosen.sign(build), source, digest_of(uses, defaults, tried))
    return schedule


@_registrar
def register_model(
    model: ModelLike,
    /,
    *,
    name: str | None = None,
    inputs: Sequence[str] | None = None,
) -> Any:
    """Register a model.

    Parameters
    ----------
    model : callable, Model, str or SymPy expression
        A function of one sample and the parameters, as `Model` takes it, whose first parameter has no default. Or a
        function of the model's options, all with defaults, that returns an expression or a `Model`; or an expression or
        a `Model` itself, with a name.
    name : str, optional
        By default the name of the function.
    inputs : sequence of str, optional
        The names of the inputs: by default ``("x",)``, or of a function of a sample the first parameter.

    Raises
    ------
    ValueError
        If the name is taken, or the expression cannot be parsed; the message has the column.

    Examples
    --------
    >>> @register_model
    ... def damped(t, height, rate=0.5, frequency=6):
    ...     return height * np.exp(-rate * t) * np.cos(frequency * t)
    >>> @register_model
    ... def fourier(terms=2):
    ...     return "c" + "".join(f" + a{k}*sin({k}*x) + b{k}*cos({k}*x)" for k in range(1, terms + 1))
    >>> register_model("a*exp(-b*x)*cos(w*x + p)", name="phased")
    'a*exp(-b*x)*cos(w*x + p)'
    """
    model = sympy_as_text(model)
    if isinstance(model, str | Model):
        if name is None:
            raise ValueError('register_model needs a name for an expression, as in name="damped"')
        caller = sys._getframe(2)
        module, file = str(caller.f_globals.get("__name__")), caller.f_code.co_filename
        place = f"line {caller.f_lineno} of {file}"
        check_name("model", name, (module, name), file)
        made = model if isinstance(model, Model) else Model(model, inputs)
        made.program  # noqa: B018 (derived, so that errors come here)
        digest = _digest_of_model(made)
        registered = Registered("model", name, builder_of(made), (module, name), place, made.expression, digest)
        REGISTERED["model"][name] = registered
        return model
    about = Candidate("model", model, name)
    if about.parameters and about.parameters[0].default is Parameter.empty:
        with explained(about):
            made = Model(about.own, inputs)
            made.program  # noqa: B018 (derived, so that errors come here)
        about.register(builder_of(made), text_of(about.own.__code__) or made.expression, _digest_of_model(made))
        return model
    about.check_parameters((), options_follow=True)

    @wraps(about.own)
    def build(*args: Any, **kwargs: Any) -> Model:
        with explained(about):
            made = about.own(*args, **kwargs)
            return made if isinstance(made, Model) else Model(made, inputs)

    with explained(about):
        made = build()
        made.program  # noqa: B018
    about.register(build, text_of(about.own.__code__) or about.own.__name__, _digest_of_model(made))
    return model


def _register_made(about: Candidate, kind: type, build: Callable[..., Any]) -> None:
    """Register a function of options that returns an optimizer or a loss, after trying it with its defaults."""

    # A rule whose functions are the same for all options is frozen by its trial, and the cache returns that result.
    @lru_cache(maxsize=1)
    def freeze(*parts: Callable[..., Any] | None) -> tuple[dict[str, Any], list[FunctionType]]:
        frozen, functions = about.freeze(parts)
        return dict(zip(TRACED_PARTS[kind], frozen, strict=True)), functions

    def make(*args: Any, **kwargs: Any) -> tuple[Any, list[FunctionType]]:
        made = build(*args, **kwargs)
        if not isinstance(made, kind):
            raise about.error(f"it must return an instance of {kind.__name__}, not {describe(made)}")
        parts, functions = freeze(*(getattr(made, part) for part in TRACED_PARTS[kind]))
        if isinstance(made, Loss):
            records = "" if made.is_squared or made.records == f"{made.name} loss" else made.records
            made = replace(made, records=records or f"{about.name} loss", is_squared=False)
        call = _call_text(about, made, args, kwargs) if build is about.own else ""
        return replace(made, name=about.name, call=call, **parts), functions

    with explained(about):
        made, functions = make()
        if made.call:  # the call names the rule in grids, so it must list all options
            inner = make_optimizer if kind is Optimizer else None
            make_from_spec(made.call, {about.name: about.own}, about.kind, inner=inner)
    try_derivative(about, made) if isinstance(made, Loss) else try_calls(about, made)
    traced = trace_rule(about, made)
    facts = [value for value in vars(made).values() if isinstance(value, int | float | str | tuple | dict)]
    # The repr of a function contains its address.
    facts = [tuple(part for part in fact if not callable(part)) if isinstance(fact, tuple) else fact for fact in facts]
    digest = digest_of(facts, *(one.text for one in traced.values()))

    @wraps(build)
    def make_known(*args: Any, **kwargs: Any) -> Any:
        made, chosen = make(*args, **kwargs)
        code = trace_optimizer(made) if isinstance(made, Optimizer) else trace_loss(made)
        if [one.text for one in code.values()] != [one.text for one in traced.values()]:
            own = digest_of(digest, *(one.text for one in code.values()))
            registered.variants[made.text] = replace(
                registered, name=made.text, source=_source(about, chosen), digest=own
            )
        return replace(made, is_exact=all(one.is_exact for one in code.values()))

    registered = about.register(make_known, _source(about, functions), digest)


def _source(about: Candidate, functions: list[FunctionType]) -> str:
    """Return the source of a function that builds a rule, and of the functions that the rule uses."""
    source, own = source_of(functions), text_of(about.own.__code__)
    return f"{own}\n\n{source}" if own and own not in source else source


def _call_text(about: Candidate, rule: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """Return the text of the call by which a user's function built an optimizer or a loss."""
    bound = signature(about.own).bind(*args, **kwargs)
    bound.apply_defaults()

    def text(option: str, value: Any) -> str:
        value = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        if isinstance(value, bool | Optimizer):
            return value.text if isinstance(value, Optimizer) else str(value).lower()
        return repr(rule.options[option] if rule.options.get(option, np.nan) == value else value)

    listed = ", ".join(f"{option}={text(option, value)}" for option, value in bound.arguments.items())
    return f"{about.name}({listed})" if listed else about.name


def _check_pair(about: Candidate, pair: FunctionType, of_residual: bool, options: tuple[float, ...]) -> None:
    """Refuse a loss that does not return two values."""
    tried = (np.array([0.5, -2.0]),) if of_residual else (np.array([0.5, -2.0]), np.array([1.0, 0.0]))
    takes = ", ".join(RESIDUAL_PARAMETERS if of_residual else PREDICTION_PARAMETERS)
    with explained(about, arguments=f"; it is given ({takes})"):
        returned = pair(*tried, options)
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise about.error(f"it must return its value and its derivative, not {describe(returned)}")


def _call_schedule(about: Candidate, epoch: Floats, epochs: int, options: Mapping[str, float]) -> Floats:
    """Return a schedule's factors for all epochs of a run, after checking that a second call returns the same."""

    def call() -> Floats:
        with explained(about, advice="it receives all epochs at once; use np.where(epoch < 5, 1.0, 0.5)"):
            factors = np.asarray(about.own(epoch.copy(), epochs, **options), np.float64)
        if factors.shape not in {(), epoch.shape}:
            raise about.error(f"it must return a factor for each of {epochs} epochs, not {describe(factors)}")
        return np.array(np.broadcast_to(factors, epoch.shape))

    factors = call()
    check_repeated(f"{about.subject}: it", factors, call())
    good = np.isfinite(factors) & (factors >= 0.0)
    if not good.all():
        wrong = int(np.argmin(good))
        raise about.error(f"factors must be finite numbers >= 0, not {factors[wrong]:g} in epoch {wrong} of {epochs}")
    return factors


def _digest_of_model(model: Model) -> str:
    return digest_of(model.expression, model.inputs, model.params)
