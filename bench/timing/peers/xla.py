"""JAX: a scan over the samples inside a scan over the epochs, all in one `jit`, over arrays of the runs.

The fastest form depends on the model, the machine and JAX's version, so several are tried, and the fastest is kept:
parameters as arrays of their own or stacked in one, a linear model step by step or with its design matrix, the scan
over the samples unrolled or not.
"""

import os
import time
from collections.abc import Callable, Sequence
from itertools import product
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from bench.timing.peers.arrays import residual_and_derivatives
from bench.timing.problem import Problem, Trained
from kernels.optimizers import make_optimizer
from kernels.optimizers.optimizer import Optimizer

# One thread; it is read when JAX is imported.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import jax
import jax.numpy as jnp

jax.config.update("jax_enable_x64", True)

# jax.numpy has no error function.
FUNCTIONS = SimpleNamespace(**vars(jnp) | {"erf": jax.scipy.special.erf})
UNROLLED = (1, 4)
# Each form is timed at least this often, and for this many seconds.
TRIES, TRYING = 3, 0.03
# Sample-updates that are enough to tell which form is the fastest, and so few that it would not pay to try.
ENOUGH, FEW = 4_000_000, 10_000

Arrays = tuple[Any, ...]


class Form(NamedTuple):
    """One way to write a step.

    Attributes
    ----------
    stacked : bool
        Whether the parameters are one array; else each is an array of its own.
    columns : tuple of array
        The values of each sample, which is their first axis.
    gradient : callable
        ``(theta, batch, scale) -> scale * gradient``, for each array of theta.
    """

    stacked: bool
    columns: Arrays
    gradient: Callable[[Arrays, Arrays, Any], Arrays]


def prepare(problem: Problem, *, together: bool = False) -> Callable[[], Trained]:
    """Return a call that trains one run after the other, as arrays of one, or all runs together.

    The form is the fastest on enough epochs to tell.
    """
    found = forms(problem)
    if problem.sample_updates < FEW:
        return compile_form(problem, found[0], UNROLLED[0], together=together)
    part = problem if together else problem.part(runs=1)
    part = part.part(epochs=max(1, ENOUGH * part.epochs // part.sample_updates))
    ways = list(product(found, UNROLLED))
    fastest = find_fastest([compile_form(part, *way, together=together) for way in ways])
    return compile_form(problem, *ways[fastest], together=together)


def forms(problem: Problem) -> list[Form]:
    """Return the forms of a step, with derivatives by hand."""
    size = problem.batch_size

    def parts(theta: Arrays, batch: Arrays, scale: Any) -> list[Any]:
        *x, y = batch
        if size == 1:
            residual, derivatives = residual_and_derivatives(problem.model.formula, FUNCTIONS, theta, x, y)
            slope = scale * residual
            return [slope * derivative for derivative in derivatives]
        theta = tuple(value[..., None] for value in theta)
        residual, derivatives = residual_and_derivatives(problem.model.formula, FUNCTIONS, theta, x, y)
        return [scale * jnp.mean(residual * derivative, axis=-1) for derivative in derivatives]

    def separate_gradients(theta: Arrays, batch: Arrays, scale: Any) -> Arrays:
        return tuple(parts(theta, batch, scale))

    def stacked_gradient(theta: Arrays, batch: Arrays, scale: Any) -> Arrays:
        return (jnp.stack(parts(tuple(theta[0]), batch, scale)),)

    def matrix_gradient(theta: Arrays, batch: Arrays, scale: Any) -> Arrays:
        rows, targets = batch
        if size == 1:
            return (rows[:, None] * (scale * (rows @ theta[0] - targets)),)
        return (scale / size * (rows.T @ (rows @ theta[0] - targets[:, None])),)

    if problem.model.network is not None:
        return [Form(True, problem.linear_system(), matrix_gradient)]
    columns = (*problem.x, problem.y)
    found = [Form(False, columns, separate_gradients), Form(True, columns, stacked_gradient)]
    if problem.model.is_linear:
        found.append(Form(True, problem.linear_system(), matrix_gradient))
    return found


def compile_form(problem: Problem, form: Form, unroll: int, *, together: bool) -> Callable[[], Trained]:
    """Return a call that trains with this form, all runs together or one after the other."""
    size, whole = problem.batch_size, problem.y.size // problem.batch_size
    optimizer = make_optimizer(problem.optimizer)
    rule = None if optimizer.text == "sgd" else _rule(optimizer)

    def mean_square(theta: Arrays, data: Arrays) -> Any:
        if problem.model.network is not None:
            rows, targets = data
            return jnp.mean((rows @ theta[0] - targets[:, None]) ** 2, axis=0)
        *x, y = data
        parts = [part[..., None] for part in (theta[0] if form.stacked else theta)]
        residual, _ = residual_and_derivatives(problem.model.formula, FUNCTIONS, parts, x, y)
        return jnp.mean(residual**2, axis=-1)

    def step(now: Any, batch: Arrays, lr: Any) -> Any:
        theta, slots, count = now
        if rule is None:
            gradient = form.gradient(theta, batch, lr)
            return tuple(value - part for value, part in zip(theta, gradient, strict=True)), slots, count
        gradient = form.gradient(theta, batch, 1.0)
        moved = [rule(*each, lr, count + 1) for each in zip(theta, slots, gradient, strict=True)]
        theta, slots = zip(*moved, strict=True)
        return theta, slots, count + 1

    @jax.jit
    def train(theta: Arrays, rates: Any, batches: Arrays, data: Arrays) -> tuple[Arrays, Any]:
        def epoch(carry: Any, lr: Any) -> Any:
            carry, _ = jax.lax.scan(lambda now, batch: (step(now, batch, lr), None), carry, batches, unroll=unroll)
            return carry, mean_square(carry[0], data)

        slots = tuple((jnp.zeros_like(value),) * optimizer.slots for value in theta)
        (end, *_), losses = jax.lax.scan(epoch, (theta, slots, 0.0 if rule else None), rates)
        return end, jnp.concatenate([mean_square(theta, data)[None], losses])

    batches = tuple(jnp.asarray(column) for column in form.columns)
    if size > 1:
        batches = tuple(column[: whole * size].reshape(whole, size, *column.shape[1:]) for column in batches)
    of_losses = form.columns if problem.model.network is not None else (*problem.x, problem.y)
    data = tuple(jnp.asarray(column) for column in of_losses)
    shares = [slice(None)] if together else [slice(run, run + 1) for run in range(problem.runs)]
    arguments = []
    for share in shares:
        start = jnp.asarray(problem.inits[share].T)
        arguments.append(((start,) if form.stacked else tuple(start), jnp.asarray(problem.rates[:, share])))

    def run() -> Trained:
        done = jax.block_until_ready([train(*start_and_rates, batches, data) for start_and_rates in arguments])
        params = [np.stack(end[0] if form.stacked else end, axis=-1) for end, _ in done]
        return Trained(np.concatenate(params), np.concatenate([losses for _, losses in done], axis=1))

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

    rule = {"sgd": sgd, "momentum": momentum, "nesterov": nesterov, "adam": adam}[optimizer.name]

    def decayed(values: Any, slots: Arrays, gradient: Any, lr: Any, count: Any) -> tuple[Any, Arrays]:
        return rule(values, slots, gradient + optimizer.weight_decay * values, lr, count)

    return decayed if optimizer.weight_decay else rule


def find_fastest(calls: Sequence[Callable[[], object]], clock: Callable[[], float] = time.perf_counter) -> int:
    """Return the place of the call that takes the least time, by the shortest of several tries after a first one."""
    least = []
    for call in calls:
        call()
        times: list[float] = []
        while len(times) < TRIES or sum(times) < TRYING:
            started = clock()
            call()
            times.append(clock() - started)
        least.append(min(times))
    return least.index(min(least))
