"""JAX: many runs as arrays over the runs, a scan over the samples inside a scan over the epochs, all in one `jit`.

What is fastest depends on the machine and on JAX's version, so the forms that are any good are tried, and the fastest
is kept: parameters as three arrays or stacked in one, the scan over the samples unrolled or not.
"""

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.many import ManyRuns, ManyTrained, exponential
from bench.problem import UnavailableError
from kernels.models import quadratic

ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
UNROLLED = (1, 4)
TRIES = 3


def prepare(problem: ManyRuns) -> Callable[[], ManyTrained]:
    """The fastest form with gradients derived by hand.

    Raises
    ------
    UnavailableError
        Without JAX, or for another model.
    """
    jax = _jax()
    derived = {quadratic: _quadratic, exponential: _exponential}.get(problem.model)
    if derived is None:
        raise UnavailableError(f"JAX has no gradient by hand for {problem.model.expression}")

    def as_arrays(theta: Any, x: Any, y: Any, lr: Any) -> Any:
        residual, derivatives = derived(theta, x, y)
        return tuple(p - lr * residual * d for p, d in zip(theta, derivatives, strict=True))

    def as_one(theta: Any, x: Any, y: Any, lr: Any) -> Any:
        residual, derivatives = derived(theta, x, y)
        return theta - (lr * residual) * jax.numpy.stack([d + 0 * residual for d in derivatives])

    def as_product(theta: Any, x: Any, y: Any, lr: Any) -> Any:
        features = jax.numpy.stack([x * x, x, jax.numpy.ones_like(x)])
        return theta - features[:, None] * (lr * (features @ theta - y))

    forms = [(as_arrays, True), (as_one, False), *([(as_product, False)] if problem.model is quadratic else [])]
    return _fastest([_compiled(problem, step, split, unroll) for step, split in forms for unroll in UNROLLED])


def prepare_grad(problem: ManyRuns) -> Callable[[], ManyTrained]:
    """The fastest form with `jax.grad` of one run's loss, and `jax.vmap` over the runs.

    Raises
    ------
    UnavailableError
        Without JAX.
    """
    jax = _jax()
    derived = {quadratic: _quadratic, exponential: _exponential}[problem.model]

    def half_square(theta: Any, x: Any, y: Any) -> Any:
        return 0.5 * derived(theta, x, y)[0] ** 2

    def step(theta: Any, x: Any, y: Any, lr: Any) -> Any:
        return theta - lr * jax.vmap(jax.grad(half_square), in_axes=(1, None, None), out_axes=1)(theta, x, y)

    return _fastest([_compiled(problem, step, False, unroll) for unroll in UNROLLED])


def _quadratic(theta: Any, x: Any, y: Any) -> Any:
    a, b, c = theta
    return a * (x * x) + b * x + c - y, (x * x, x, 1.0)


def _exponential(theta: Any, x: Any, y: Any) -> Any:
    a, b, c = theta
    grown = _jax().numpy.exp(b * x)
    return a * grown + c - y, (grown, a * (x * grown), 1.0)


def _jax() -> Any:
    os.environ.setdefault("XLA_FLAGS", ONE_THREAD)
    try:
        import jax  # noqa: PLC0415 (heavy, and a peer may be missing)
    except ImportError:
        raise UnavailableError("JAX is not installed: pip install jax") from None
    jax.config.update("jax_enable_x64", True)
    return jax


def _compiled(problem: ManyRuns, step: Callable[..., Any], split: bool, unroll: int) -> Callable[[], ManyTrained]:
    jax = _jax()
    derived = {quadratic: _quadratic, exponential: _exponential}[problem.model]
    x, y, rates = (jax.numpy.asarray(array) for array in (problem.x, problem.y, problem.rates))
    start = jax.numpy.asarray(problem.inits.T)
    start = tuple(start) if split else start

    def loss(theta: Any) -> Any:
        residual, _ = derived([p[:, None] for p in theta], x, y)
        return jax.numpy.mean(residual**2, axis=1)

    @jax.jit
    def train(theta: Any) -> Any:
        def epoch(theta: Any, lr: Any) -> Any:
            theta, _ = jax.lax.scan(lambda now, s: (step(now, *s, lr), None), theta, (x, y), unroll=unroll)
            return theta, loss(theta)

        end, losses = jax.lax.scan(epoch, theta, rates)
        return end, loss(theta), losses

    def run() -> ManyTrained:
        end, first, losses = jax.block_until_ready(train(start))
        return ManyTrained(np.stack(end, axis=1), np.concatenate([[first], losses]))

    return run


def _fastest(calls: list[Callable[[], ManyTrained]]) -> Callable[[], ManyTrained]:
    def seconds(call: Callable[[], ManyTrained]) -> float:
        call()
        times = []
        for _ in range(TRIES):
            started = time.perf_counter()
            call()
            times.append(time.perf_counter() - started)
        return min(times)

    return min(calls, key=seconds)
