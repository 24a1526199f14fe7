"""Many runs side by side: the lanes against C run by run, and against JAX; the rows of the budget that compare them."""

from functools import partial

import pytest

from bench import many
from bench.peers import xla
from bench.problem import UnavailableError, classic
from bench.variants import VARIANTS
from kernels.models import quadratic

BY_NAME = {variant.name: variant for variant in VARIANTS}
# JAX likes a thousand runs best; the epochs are enough that what a call costs by itself does not count.
RUNS, EPOCHS = 1024, 40
TOLERANCE = 1e-9


@pytest.fixture(scope="module")
def checked():
    """A call of each contestant, after its result was found to be that of the reference."""
    known = {}

    def check(prepare, model):
        if (prepare, model) not in known:
            small, problem = many.many(model, runs=33, epochs=1), many.many(model, RUNS, EPOCHS)
            try:
                found, call = prepare(small)(), prepare(problem)
            except UnavailableError as reason:
                pytest.skip(str(reason))
            assert many.error(found, many.prepare("reference", small)()) <= TOLERANCE
            assert many.error(call(), many.prepare("fused", problem)()) <= TOLERANCE
            known[prepare, model] = call
        return known[prepare, model]

    return check


lanes, lanes_fma = (partial(many.prepare, kernel) for kernel in ("lanes", "lanes-fma"))


@pytest.mark.benchmark(group="many runs")
@pytest.mark.parametrize("model", [quadratic, many.exponential], ids=["quadratic", "exponential"])
@pytest.mark.parametrize(
    "prepare",
    [
        pytest.param(lanes, id="lanes"),
        pytest.param(lanes_fma, id="lanes-fma"),
        pytest.param(xla.prepare, id="JAX, arrays"),
        pytest.param(xla.prepare_grad, id="JAX, vmap and grad"),
    ],
)
def test_time(prepare, model, checked, timed, benchmark):
    timed(checked(prepare, model))
    if benchmark.enabled:
        benchmark.extra_info["ns_per_sample_update"] = 1e9 * benchmark.stats.stats.median / (RUNS * EPOCHS * 800)


@pytest.mark.benchmark(group="targets")
@pytest.mark.parametrize("kernel", [lanes, lanes_fma], ids=["lanes", "lanes-fma"])
def test_against_c(kernel, checked, prepared, race, reach):
    problem = classic(100)
    ratios = race(checked(kernel, quadratic), prepared(BY_NAME["C"], problem))
    per_update = ratios * RUNS * EPOCHS * 800 / problem.sample_updates
    reach(f"{kernel.args[0]}, one core, against C, per sample-update", per_update, least=22, unit=" x")


@pytest.mark.benchmark(group="targets")
@pytest.mark.parametrize(
    ("model", "peer", "what", "least"),
    [
        pytest.param(quadratic, xla.prepare, "the fastest JAX", 3.5, id="quadratic"),
        pytest.param(quadratic, xla.prepare_grad, "JAX with vmap, grad, scan", 3.5, id="quadratic-grad"),
        pytest.param(many.exponential, xla.prepare, "JAX with a gradient by hand", 1.5, id="exponential"),
        pytest.param(many.exponential, xla.prepare_grad, "JAX with vmap, grad, scan", 8, id="exponential-grad"),
    ],
)
def test_against_jax(model, peer, what, least, checked, race, reach):
    ratios = race(checked(lanes, model), checked(peer, model))
    reach(f"lanes, one core, against {what}, {model.expression}", ratios, least=least, unit=" x")
