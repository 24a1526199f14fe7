"""Suggestions for misspelled arguments, options and keys."""

from collections.abc import Callable, Iterable
from functools import wraps
from inspect import Parameter, signature
from typing import ParamSpec, TypeVar

# Names of our arguments in other tools and papers.
OTHER_NAMES = {
    "lr": ("learning_rate", "lr_rate", "rate", "rates", "eta", "eta0", "step_size"),
    "batch_size": ("batch", "batches", "minibatch"),
    "optimizer": ("opt", "solver"),
    "schedule": ("scheduler", "lr_schedule", "decay"),
    "init": ("start", "starts", "theta0", "x0"),
    "seed": ("seeds",),
    "random_state": ("seed",),
    "epochs": ("iterations", "max_iter", "num_epochs", "n_epochs"),
    "steps": ("epochs", "iterations", "max_iter", "num_steps"),
    "loss": ("criterion", "loss_function"),
    "out": ("output",),
    "model": ("expression", "formula"),
    "standardize": ("scale", "normalize"),
    "drop_missing": ("dropna",),
    "validation": ("val", "validation_fraction", "validation_split"),
    "patience": ("n_iter_no_change", "early_stopping"),
    "target": ("tolerance", "tol"),
    "trials": ("n_trials",),
}
EXACT_MATCH = 1.0
"""The `cutoff` for names that are known here or elsewhere, and no misspelt ones."""
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def meant_argument(name: str, accepted: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known name that an unknown one probably stands for; None if there is none.

    Names that other tools give an argument are matched first: ``learning_rate`` is ``lr``, although ``validation`` is
    spelled more like it.
    """
    from sgdbench.kernels.base.checks import closest_name  # noqa: PLC0415 (imports NumPy, which a mistake alone needs)

    accepted = list(accepted)
    own = {other: ours for ours in accepted for other in OTHER_NAMES.get(ours, ())} | {ours: ours for ours in accepted}
    close = closest_name(name.replace("-", "_"), own, cutoff)
    return None if close is None else own[close]


def suggest_arguments(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Make a TypeError about an unknown keyword of `function` suggest the argument that was probably meant."""
    keywords = [one.name for one in signature(function).parameters.values() if one.kind != Parameter.POSITIONAL_ONLY]
    accepted = frozenset(keywords)

    @wraps(function)
    def checked(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        for name in kwargs:
            if name not in accepted and (meant := meant_argument(name, keywords)):
                called = type(args[0]).__name__ if function.__name__ == "__init__" else function.__name__
                raise TypeError(f"{called} has no argument {name!r} (did you mean {meant!r}?)")
        return function(*args, **kwargs)

    return checked
