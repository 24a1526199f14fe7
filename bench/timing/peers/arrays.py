"""Helpers that peers share: a model's program on their own arrays, and training run by run."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.model.network import HIDDEN_UNITS, SCALAR_SOURCE, Network, Symbol
from sgdbench.kernels.model.program import OPERATORS, Program
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.timing.problem import Problem, Trained

# With more runs at a time, the arrays of layers exceed the processor's cache: 1,024 runs of ten scores took 1.6 times
# as long in JAX.
MAX_RUNS = 64


class Loss(NamedTuple):
    """A loss of a residual, or of a prediction or scores and the targets, as elementwise functions of arrays.

    They are ``slope(found, y, scale) -> scale * derivative`` and ``value(found, y) -> loss``, as recorded.
    """

    slope: Callable[[Any, Any, Any], Any]
    value: Callable[[Any, Any], Any]


def residual_and_derivatives(
    program: Program, library: Any, theta: Iterable[Any], x: Iterable[Any], y: Any
) -> tuple[Any, Sequence[Any]]:
    """Return the residual and its derivatives with respect to the parameters, without autodiff.

    `library` has the functions under NumPy's names, as programs call them; theta, x and y are its arrays. Derivatives
    that do not depend on the parameters have no more axes than the inputs; a constant is a float.
    """
    values = [*theta, *x, y, *program.constants]
    for function, operands in program.instructions:
        call = OPERATORS.get(function) or getattr(library, function)
        values.append(call(*(values[operand] for operand in operands)))
    return values[program.residual], [values[derivative] for derivative in program.derivatives]


def layered_network(problem: Problem) -> Network | None:
    """Return the network of a model that is computed layer by layer, with an array for each symbol.

    A linear residual is one product with a matrix, unless weights decay, because scalars of models with vectors do not.
    """
    optimizer = make_optimizer(problem.optimizer)
    decays = optimizer.weight_decay or optimizer.decay_options
    is_product = problem.model.is_linear and problem.loss == "squared"
    return None if is_product and not decays else problem.model.network


def share_out(problem: Problem, *, together: bool) -> list[slice]:
    """Return the slices of runs that are trained at a time."""
    width = 1 if not together else problem.runs if layered_network(problem) is None else MAX_RUNS
    return [slice(first, first + width) for first in range(0, problem.runs, width)]


def network_symbols(network: Network) -> list[tuple[Symbol, int]]:
    """Return the symbols of all layers, each with the number of its units."""
    return [(symbol, layer.units) for layer in network.layers for symbol in layer.symbols]


def split_params(network: Network, params: Any) -> list[Any]:
    """Return the parameters of each symbol, shape (runs, units, size), from an array of shape (runs, params)."""
    return [
        params[:, symbol.first : symbol.first + units * symbol.size].reshape(len(params), units, symbol.size)
        for symbol, units in network_symbols(network)
    ]


def run_layers(
    network: Network, library: Any, theta: Sequence[Any], x: Any, y: Any
) -> tuple[Any, Callable[[Any], list[tuple[Any, Any]]]]:
    """Return the scores or the residual of a network, shape (runs, scores, samples), and its backward pass.

    `theta` is as `split_params` returns it, x has the shape (inputs, samples), and y is 0 for scores. The backward pass
    takes the derivatives of the loss with respect to the scores, and returns for each symbol the derivatives with
    respect to it, with the axes runs, units and samples, and the inputs or hidden units of its dot product, or None for
    a scalar: the gradient is their product ``slopes @ source.mT``, or the sum over the samples.
    """
    parts, hidden, steps = iter(theta), None, []
    for layer in network.layers:
        own = [next(parts) for _ in layer.symbols]
        sources = [_source(symbol, x, hidden) for symbol in layer.symbols]
        values = [part if source is None else part @ source for part, source in zip(own, sources, strict=True)]
        columns, target = [x[column] for column in layer.columns], y if layer is network.layers[-1] else 0.0
        hidden, derivatives = residual_and_derivatives(layer.program, library, values, columns, target)
        steps.append((layer.symbols, own, sources, derivatives))

    def go_back(slopes: Any) -> list[tuple[Any, Any]]:
        terms: list[tuple[Any, Any]] = []
        for symbols, own, sources, derivatives in reversed(steps):
            by = [slopes if isinstance(one, float) and one == 1 else slopes * one for one in derivatives]
            terms = [*zip(by, sources, strict=True), *terms]
            slopes = sum(
                part.mT @ slope
                for symbol, part, slope in zip(symbols, own, by, strict=True)
                if symbol.source == HIDDEN_UNITS
            )
        return terms

    return hidden, go_back


def _source(symbol: Symbol, x: Any, hidden: Any) -> Any:
    """Return the array that a symbol's weights are multiplied with, or None."""
    if symbol.source == SCALAR_SOURCE:
        return None
    return hidden if symbol.source == HIDDEN_UNITS else x[symbol.source : symbol.source + symbol.size]


def mean_square(matrix: Floats, targets: Floats, params: Floats) -> float:
    """Return the mean of (D theta - t)**2."""
    residual = matrix @ params - targets
    return float(residual @ residual) / targets.size


def run_by_run(
    problem: Problem, train: Callable[[Floats, Floats], tuple[Floats, Sequence[float]]]
) -> Callable[[], Trained]:
    """Return a call that trains runs one after another with `train`, ``(init, rates) -> params, losses``."""

    def call() -> Trained:
        trained = [train(init, rates) for init, rates in zip(problem.inits, problem.rates.T, strict=True)]
        params, losses = zip(*trained, strict=True)
        return Trained(np.array(params), np.array(losses).T)

    return call
