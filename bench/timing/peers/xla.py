"""JAX: a scan over the samples inside a scan over the epochs, all in one `jit`, over arrays of the runs.

The fastest form depends on the model, the machine and JAX's version, so several are tried, and the fastest is used:
parameters as separate arrays or stacked in one, a linear model step by step or with its design matrix, the scan over
the samples unrolled or not. A model with vectors is computed layer by layer, with an array per symbol, unless its
residual is one product with a matrix.
"""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.model.network import SCALAR_SOURCE, Network
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.optimizers.optimizer import Optimizer
from sgdbench.timing.peers.arrays import (
    Loss,
    layered_network,
    network_symbols,
    residual_and_derivatives,
    run_layers,
    share_out,
    split_params,
)
from sgdbench.timing.problem import Problem, Trained

# One thread; both are read when JAX starts. The flag is not enough: all processors shared matrix products.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
os.environ.setdefault("PJRT_NPROC", "1")

import jax
import jax.numpy as jnp

jax.config.update("jax_enable_x64", True)

# jax.numpy lacks the error function.
FUNCTIONS = SimpleNamespace(**vars(jnp) | {"erf": jax.scipy.special.erf})
UNROLL_FACTORS = (1, 4)
# Each form is timed at least MIN_TRIES times, and for TRY_SECONDS seconds.
MIN_TRIES, TRY_SECONDS = 3, 0.03
# Sample-updates that suffice to find the fastest form, and so few that trying would not pay.
TRIED_UPDATES, MIN_UPDATES_TO_TRY = 4_000_000, 10_000
# The number of samples whose losses the layers compute at a time.
SAMPLES_AT_A_TIME = 32

Arrays = tuple[Any, ...]


class Form(NamedTuple):
    """One way to write a step.

    `split` makes arrays of parameters, shape (runs, params). The first axis of `columns` is that of the samples, and
    ``gradient(theta, batch, scale)`` is `scale` times the gradient, for each array of theta. The recorded loss of each
    run is ``mean_loss(theta, data)``.
    """

    split: Callable[[Floats], Sequence[Floats]]
    columns: Arrays
    gradient: Callable[[Arrays, Arrays, Any], Arrays]
    data: Arrays
    mean_loss: Callable[[Arrays, Arrays], Any]


# The classes of scores, and the ones of the samples' classes, are the last axis but one.
LOSSES = {
    "squared": Loss(lambda residual, _, scale: scale * residual, lambda residual, _: residual**2),
    "logistic": Loss(
        lambda found, y, scale: scale * (jax.nn.sigmoid(found) - y),
        lambda found, y: jnp.logaddexp(found, 0.0) - y * found,
    ),
    "softmax": Loss(
        lambda scores, ones, scale: scale * (jax.nn.softmax(scores, -2) - ones),
        lambda scores, ones: jax.nn.logsumexp(scores, -2, keepdims=True) - (scores * ones).sum(-2, keepdims=True),
    ),
}


def prepare(problem: Problem, *, together: bool = False) -> Callable[[], Trained]:
    """Return a call that trains runs one after another, as arrays of one run, or all runs together.

    The form is the fastest one on enough epochs to tell.
    """
    found = forms(problem)
    if problem.sample_updates < MIN_UPDATES_TO_TRY:
        return compile_form(problem, found[0], UNROLL_FACTORS[0], together=together)
    part = problem if together else problem.part(runs=1)
    part = part.part(epochs=max(1, TRIED_UPDATES * part.epochs // part.sample_updates))
    ways = list(product(found, UNROLL_FACTORS))
    fastest = find_fastest([compile_form(part, *way, together=together) for way in ways])
    return compile_form(problem, *ways[fastest], together=together)


def forms(problem: Problem) -> list[Form]:
    """Return the forms of a step, with explicit derivatives."""
    if problem.model.network is not None:
        network = layered_network(problem)
        return [_matrix_form(problem) if network is None else _layered_form(problem, network)]
    formula_forms = _formula_forms(problem)
    if problem.model.is_linear and problem.loss == "squared":
        formula_forms.append(
            _matrix_form(problem)._replace(data=formula_forms[0].data, mean_loss=formula_forms[0].mean_loss)
        )
    return formula_forms


def _formula_forms(problem: Problem) -> list[Form]:
    """Return the forms of a formula: parameters as separate arrays, and stacked in one."""
    size, loss, columns = problem.batch_size, LOSSES[problem.loss], (*problem.x, problem.y)

    def run(theta: Iterable[Any], batch: Arrays) -> tuple[Any, Sequence[Any]]:
        *x, y = batch
        target = y if problem.loss == "squared" else 0.0
        return residual_and_derivatives(problem.model.formula, FUNCTIONS, theta, x, target)

    def separate_gradients(theta: Arrays, batch: Arrays, scale: Any) -> Arrays:
        if size == 1:
            values, derivatives = run(theta, batch)
            slope = loss.slope(values, batch[-1], scale)
            return tuple(slope * derivative for derivative in derivatives)
        values, derivatives = run(_with_samples(theta), batch)
        slope = loss.slope(values, batch[-1], 1.0)
        return tuple(scale * jnp.mean(slope * derivative, axis=-1) for derivative in derivatives)

    def stacked_gradient(theta: Arrays, batch: Arrays, scale: Any) -> Arrays:
        return (jnp.stack(separate_gradients(tuple(theta[0]), batch, scale)),)

    def mean_loss(theta: Arrays, data: Arrays) -> Any:
        values, _ = run(_with_samples(theta[0] if theta[0].ndim == 2 else theta), data)
        return jnp.mean(loss.value(values, data[-1]), axis=-1)

    return [
        Form(lambda params: list(params.T), columns, separate_gradients, columns, mean_loss),
        Form(_stack, columns, stacked_gradient, columns, mean_loss),
    ]


def _with_samples(theta: Iterable[Any]) -> list[Any]:
    """Return parameters with a further axis for the samples."""
    return [value[..., None] for value in theta]


def _stack(params: Floats) -> list[Floats]:
    return [params.T]


def _matrix_form(problem: Problem) -> Form:
    """Return the form of a model whose residual is linear in its parameters, with its design matrix."""
    size = problem.batch_size

    def gradient(theta: Arrays, batch: Arrays, scale: Any) -> Arrays:
        rows, targets = batch
        if size == 1:
            return (rows[:, None] * (scale * (rows @ theta[0] - targets)),)
        return (scale / size * (rows.T @ (rows @ theta[0] - targets[:, None])),)

    def mean_loss(theta: Arrays, data: Arrays) -> Any:
        rows, targets = data
        return jnp.mean((rows @ theta[0] - targets[:, None]) ** 2, axis=0)

    system = problem.linear_system()
    return Form(_stack, system, gradient, system, mean_loss)


def _layered_form(problem: Problem, network: Network) -> Form:
    """Return the form of a model with vectors."""
    size, loss, rows, y = problem.batch_size, LOSSES[problem.loss], np.stack(problem.x, axis=1), problem.y
    if problem.loss == "softmax":
        y = np.eye(problem.model.classes)[y.astype(int)]

    def run(theta: Arrays, rows: Any, y: Any) -> tuple[Any, Callable[[Any], list[tuple[Any, Any]]]]:
        return run_layers(network, FUNCTIONS, theta, rows.T, y.T if problem.loss == "squared" else 0.0)

    def gradient(theta: Arrays, batch: Arrays, scale: Any) -> Arrays:
        rows, y = batch if size > 1 else (part[None] for part in batch)
        scores, go_back = run(theta, rows, y)
        terms = go_back(loss.slope(scores, y.T, scale / size))
        return tuple(
            slopes.sum(-1, keepdims=True) if source is None else slopes @ source.mT for slopes, source in terms
        )

    def mean_loss(theta: Arrays, data: Arrays) -> Any:
        def total(rows: Any, y: Any) -> Any:
            return loss.value(run(theta, rows, y)[0], y.T)[:, 0].sum(-1)

        whole = len(data[0]) // SAMPLES_AT_A_TIME * SAMPLES_AT_A_TIME
        pieces = [part[:whole].reshape(-1, SAMPLES_AT_A_TIME, *part.shape[1:]) for part in data]
        totals = jax.lax.map(lambda piece: total(*piece), pieces)
        return (totals.sum(0) + total(*(part[whole:] for part in data))) / len(data[0])

    return Form(lambda params: split_params(network, params), (rows, y), gradient, (rows, y), mean_loss)


def compile_form(problem: Problem, form: Form, unroll: int, *, together: bool) -> Callable[[], Trained]:
    """Return a call that trains with this form, all runs together or one after another."""
    size, whole = problem.batch_size, problem.y.size // problem.batch_size
    optimizer = make_optimizer(problem.optimizer)
    rule = None if optimizer.text == "sgd" else _rule(optimizer)
    decays, network = [optimizer.weight_decay] * len(problem.model.params), layered_network(problem)
    if network is not None:
        decays = [
            0.0 if symbol.source == SCALAR_SOURCE else optimizer.weight_decay for symbol, _ in network_symbols(network)
        ]

    def step(now: Any, batch: Arrays, lr: Any) -> Any:
        theta, slots, count = now
        if rule is None:
            gradient = form.gradient(theta, batch, lr)
            return tuple(value - part for value, part in zip(theta, gradient, strict=True)), slots, count
        gradient = form.gradient(theta, batch, 1.0)
        if optimizer.weight_decay:
            gradient = tuple(part + decay * value for part, decay, value in zip(gradient, decays, theta, strict=False))
        moved = [rule(*each, lr, count + 1) for each in zip(theta, slots, gradient, strict=True)]
        theta, slots = zip(*moved, strict=True)
        return theta, slots, count + 1

    @jax.jit
    def train(theta: Arrays, rates: Any, batches: Arrays, data: Arrays) -> tuple[Arrays, Any]:
        def epoch(carry: Any, lr: Any) -> Any:
            carry, _ = jax.lax.scan(lambda now, batch: (step(now, batch, lr), None), carry, batches, unroll=unroll)
            return carry, form.mean_loss(carry[0], data)

        slots = tuple((jnp.zeros_like(value),) * optimizer.slots for value in theta)
        (end, *_), losses = jax.lax.scan(epoch, (theta, slots, 0.0 if rule else None), rates)
        return end, jnp.concatenate([form.mean_loss(theta, data)[None], losses])

    batches = tuple(jnp.asarray(column) for column in form.columns)
    if size > 1:
        batches = tuple(column[: whole * size].reshape(whole, size, *column.shape[1:]) for column in batches)
    data = tuple(jnp.asarray(column) for column in form.data)
    shares = share_out(problem, together=together)
    arguments = []
    for share in shares:
        start = tuple(jnp.asarray(part) for part in form.split(problem.inits[share]))
        rates = jnp.asarray(problem.rates[:, share])
        arguments.append((start, rates if network is None else rates[..., None, None]))

    def run() -> Trained:
        done = jax.block_until_ready([train(*start_and_rates, batches, data) for start_and_rates in arguments])
        params = np.empty(problem.inits.shape)
        for share, (end, _) in zip(shares, done, strict=True):
            for own, part in zip(form.split(params[share]), end, strict=True):
                own[...] = part
        return Trained(params, np.concatenate([losses for _, losses in done], axis=1))

    return run


def _rule(optimizer: Optimizer) -> Callable[..., tuple[Any, Arrays]]:
    """Return the update of one array: (values, slots, gradient, lr, number of the update from 1) -> values, slots."""
    options = tuple(optimizer.options.values())

    def sgd(values: Any, slots: Arrays, gradient: Any, lr: Any, count: Any) -> tuple[Any, Arrays]:
        return values - lr * gradient, slots

    def momentum(values: Any, slots: Arrays, gradient: Any, lr: Any, count: Any) -> tuple[Any, Arrays]:
        velocity = options[0] * slots[0] + gradient
        return values - lr * velocity, (velocity,)

    def nesterov(values: Any, slots: Arrays, gradient: Any, lr: Any, count: Any) -> tuple[Any, Arrays]:
        velocity = options[0] * slots[0] + gradient
        return values - lr * (gradient + options[0] * velocity), (velocity,)

    def adam(values: Any, slots: Arrays, gradient: Any, lr: Any, count: Any) -> tuple[Any, Arrays]:
        beta1, beta2, eps = options
        mean, square = beta1 * slots[0] + (1 - beta1) * gradient, beta2 * slots[1] + (1 - beta2) * gradient**2
        size = jnp.sqrt(square / (1 - beta2**count)) + eps
        return values - lr / (1 - beta1**count) * mean / size, (mean, square)

    return {"sgd": sgd, "momentum": momentum, "nesterov": nesterov, "adam": adam}[optimizer.name]


def find_fastest(calls: Sequence[Callable[[], object]], clock: Callable[[], float] = time.perf_counter) -> int:
    """Return the index of the fastest call, by the shortest of several tries after a first one."""
    least = []
    for call in calls:
        call()
        times: list[float] = []
        while len(times) < MIN_TRIES or sum(times) < TRY_SECONDS:
            started = clock()
            call()
            times.append(clock() - started)
        least.append(min(times))
    return least.index(min(least))
