"""Variants of the registry on the problems of each question; the tables are of the times of a sample-update."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from sgdbench import models
from sgdbench.data import builtin
from sgdbench.kernels.model.models import make_model
from sgdbench.timing.problem import Problem, classic, exponential, many
from sgdbench.timing.variants import VARIANTS, VARIANTS_BY_NAME
from sgdbench.timing.workload import batch_of_runs
from tests.benchmarks.contestants import contestants

ONE, MANY = ([variant for variant in VARIANTS if variant.many is together] for together in (False, True))
# Few epochs, or samples, of slow ones will do.
SLOW, LONG = {"epochs": 2}, {"epochs": 1, "samples": 200}
# Their kernels take seconds to compile, and show nothing that others do not show.
MEASURED_ONLY = {"momentum", "lion", "6 parameters", "12 parameters", "digits"}
MEASURED_ONLY |= {"exp", "sine", "exponential side by side"}
OURS = ("fused", "lanes")
PROBLEMS: dict[str, tuple[str, Problem]] = {}


def polynomial(count: int) -> Problem:
    """Return a run that starts at zero, at a rate at which all of them settle."""
    model = make_model("quadratic" if count == 3 else f"polynomial({count - 1})")
    return replace(classic(), model=model, inits=np.zeros((1, count)), rates=np.full((100, 1), 0.01))


def curve(model, truth) -> Problem:
    """Return a run that starts beside the truth, on exact data."""
    problem, truth = classic(50), np.array(truth)
    y = model.predict(truth, problem.x[0])
    return replace(problem, model=model, y=y, inits=1.1 * truth[np.newaxis], rates=np.full((50, 1), 0.02))


def digits() -> Problem:
    """Return 128 softmax regressions of 64 pixels."""
    data = builtin("digits")
    model = make_model("W @ x + b", [f"x{k}" for k in range(64)]).with_classes(10)
    rates, starts = np.tile(np.geomspace(1e-2, 1, 128), (30, 1)), np.zeros((128, len(model.params)))
    return Problem(model, tuple(data.x.T / 16), data.y.astype(float), starts, rates, 32, loss="softmax")


def questions() -> Iterator[tuple[str, str, Problem, Problem, list]]:
    """Yield group, name, the problem for one run, that for many, and who is asked."""
    for name, batch in (
        ("sample by sample", {}),
        ("batches of 16, in sequence", {"batch_size": 16}),
        ("batches of 16, shuffled", {"batch_size": 16, "shuffle": True}),
        ("full batches", {"batch_size": 800}),
    ):
        yield f"one run, {name}", name, classic(100, **batch), None, ONE
    for name, model in (("quadratic", models.quadratic), ("exponential", exponential)):
        yield f"1,024 runs side by side, {name}", f"{name} side by side", None, many(model, 1024, 40), MANY
    for batch_size in (1, 16):
        for dtype in ("float64", "float32"):
            runs = replace(many(runs=1024, epochs=40), batch_size=batch_size, dtype=dtype)
            yield "precision, 1,024 runs", f"batches of {batch_size}, {dtype}", None, runs, named("lanes")
    yield "digits, softmax regression in batches of 32", "digits", None, digits(), [
        *named("lanes", "lanes-fma"), *(variant for variant in MANY if variant.package)
    ]  # fmt: skip
    for optimizer in ("sgd", "momentum", "adam", "lion"):
        one = classic(100, 16, optimizer=optimizer)
        yield "optimizers, batches of 16", optimizer, one, side_by_side(one, 10), named(*OURS, "PyTorch")
    for count in (3, 6, 12):
        one = polynomial(count)
        yield "by the number of parameters", f"{count} parameters", one, side_by_side(one, 5), named(*OURS, "C")
    for n in (800, 10_000, 1_000_000):
        for order in ("in sequence", "shuffled"):
            one = classic(max(1, 80_000 // n), n=n, shuffle=order == "shuffled")
            yield "by the number of samples", f"{n:,}, {order}", one, None, named("fused", "C")
    for name, model, truth in (("exp", exponential, [2, -1.3, 0.5]), ("sine", models.sine, [1.5, 4, 0.3, 0.2])):
        one = curve(model, truth)
        yield "models with functions", name, one, side_by_side(one, 5), named(*OURS, "C")


def named(*names):
    return [VARIANTS_BY_NAME[name] for name in names]


def side_by_side(problem, epochs):
    return batch_of_runs(problem).part(epochs=epochs)


def cases():
    """Yield variants and the names of their problems, which files of benchmarks repeat for each of them."""
    for group, name, one, together, asked in questions():
        for variant in contestants(one or together, asked):
            problem = together if variant.many else one
            if variant.slow or (variant.package == "torch" and variant.many):
                problem = problem.part(**LONG if variant.many else SLOW)
            marks = [pytest.mark.measured_only] * (name in MEASURED_ONLY)
            asked_of = f"{variant.name}, {name}"
            PROBLEMS[asked_of] = group, problem
            yield pytest.param(variant, asked_of, id=asked_of, marks=marks)


@pytest.mark.parametrize(("variant", "asked_of"), [*cases()])
def test_variant(variant, asked_of, variant_benchmark, benchmark):
    group, problem = PROBLEMS[asked_of]
    benchmark.group = f"{group}: time of a sample-update"
    variant_benchmark(variant, problem)
