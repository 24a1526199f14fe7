"""Registration of users' variants, which are verified, timed and compared like the built-in ones."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from sgdbench.kernels.base.checks import check_integer, check_not_negative, describe, list_names
from sgdbench.kernels.base.plugins import load_installed
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.timing.problem import Problem, Trained
from sgdbench.timing.variants import TOLERANCE, VARIANTS, VARIANTS_BY_NAME, Call, Variant

Prepare = Callable[[Problem], Callable[[], Any]]

PLUGIN_ADVICE = "; your own come with --plugin FILE or sgdbench.register_variant"


def register_variant(
    name: str, prepare: Prepare | None = None, *, about: str = "", tolerance: float = TOLERANCE, **facts: Any
) -> Any:
    """Register an implementation, to be timed by `sgdbench speed`, `sgdbench compare` and benchmarks.

    Parameters
    ----------
    name : str
        One line. Registering a name again replaces its variant; names of built-in variants are refused.
    prepare : callable, optional
        Takes a `sgdbench.timing.problem.Problem`, does everything that is not training, and returns a call that trains.
        The call starts from the problem's untouched parameters each time, and returns the final parameters, shape (R,
        P), and the losses, shape (epochs + 1, R). Without it, a decorator is returned.
    about : str
        A description in one line.
    tolerance : float
        The bound on the error against the reference, relative where the expected value exceeds 1; at least 1e-9.
    **facts
        What the implementation supports; by default it trains one run at a time with plain sgd.

        `many`: whether it trains many runs side by side. `slow`: whether a sample-update takes microseconds.

        `batches`, `shuffles`: whether it supports minibatches and shuffled orders.

        `optimizers`: their names, each with all of its options (beta1, beta2 and eps for adam), or a mapping of names
        to the supported options. `losses`: their names.

        `models`: a function that returns whether a model is supported; `which` describes these models in words.

        `package`, `module`: the package that has to be installed, and its import name if different.

        `threads`: the number of training threads.

    Returns
    -------
    callable
        `prepare` itself, or a decorator that registers it.

    Raises
    ------
    ValueError
        If the name is taken, a fact is unknown, or the tolerance or the threads are not a number.

    Examples
    --------
    >>> @register_variant("NumPy matrices", about="whole epochs as matrix products")
    ... def prepare(problem): ...
    """
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise ValueError(f"the name of a variant must be one line of text, not {describe(name)}")
    if any(name == variant.name for variant in VARIANTS):
        raise ValueError(f"the variant {name!r} is built in: choose another name")
    limits = set(Variant._fields) - {"name", "about", "prepare", "tolerance", "kernel"}
    if unknown := sorted(set(facts) - limits):
        raise ValueError(f"the variant {name!r} has no fact {unknown[0]}; available: {list_names(sorted(limits))}")
    tolerance = check_not_negative("tolerance", tolerance)
    facts["threads"] = check_integer("threads", facts.get("threads", 1))
    if not isinstance(optimizers := facts.get("optimizers", {}), Mapping):
        facts["optimizers"] = {optimizer: tuple(make_optimizer(optimizer).options) for optimizer in optimizers}

    def register(prepare: Prepare) -> Prepare:
        if not callable(prepare):
            raise ValueError(f"the variant {name!r} needs a function prepare(problem), not {describe(prepare)}")
        VARIANTS_BY_NAME[name] = Variant(name, about, _checked(prepare), tolerance, **facts)
        return prepare

    return register if prepare is None else register(prepare)


def find_variant(name: str) -> Variant | None:
    """Return the variant of a name, or None; an unknown name is looked up in installed plug-ins."""
    if name not in VARIANTS_BY_NAME:
        load_installed()
    return VARIANTS_BY_NAME.get(name)


def _checked(prepare: Prepare) -> Callable[[Problem], Call]:
    """Return a function that prepares a call whose result is checked for the form of a variant's result."""

    def prepared(problem: Problem) -> Call:
        # A copy: what a variant writes into it would count as errors of later variants.
        x, y = tuple(column.copy() for column in problem.x), problem.y.copy()
        call = prepare(replace(problem, x=x, y=y, inits=problem.inits.copy(), rates=problem.rates.copy()))

        def train() -> Trained:
            params, losses = (np.asarray(part, np.float64) for part in call())
            shapes = problem.inits.shape, (problem.epochs + 1, problem.runs)
            if (params.shape, losses.shape) != shapes:
                raise ValueError(
                    f"it must return parameters and losses of the shapes {shapes[0]} and {shapes[1]}, "
                    f"not {params.shape} and {losses.shape}"
                )
            return Trained(params, losses)

        return train

    return prepared
