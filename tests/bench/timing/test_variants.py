import re

import numpy as np
import pytest

from sgdbench import Model
from sgdbench.kernels.losses import LOSSES
from sgdbench.kernels.optimizers import OPTIMIZERS
from sgdbench.timing import variants
from sgdbench.timing.problem import UnavailableError, classic, exponential, many
from sgdbench.timing.variants import VARIANTS, VARIANTS_BY_NAME

PLAIN = classic(1, n=8)


def test_names_are_unique_and_known():
    assert list(VARIANTS_BY_NAME) == [variant.name for variant in VARIANTS]
    assert len(VARIANTS_BY_NAME) == len(VARIANTS)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_every_variant_takes_the_lesson(variant):
    assert variant.lacks(PLAIN) is None
    assert variant.about
    assert variant.threads >= 1
    assert variant.ours or variant.tolerance > 0


def test_all_kernels_of_ours_take_everything():
    asked = many(exponential, runs=2, epochs=1)
    for optimizer in OPTIMIZERS:
        for loss in LOSSES:
            problem = variants.replace(asked, optimizer=optimizer, loss=loss, batch_size=4, shuffle=True)
            assert [variant.name for variant in VARIANTS if variant.ours and variant.lacks(problem)] == []


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("lesson", {"model": exponential}, "it trains only the quadratic"),
        ("scikit-learn", {"model": exponential}, "it trains only models that are linear in their parameters"),
        ("JAX", {"optimizer": "momentum(0.5, dampening=0.5)"}, "it supports momentum only without dampening"),
        ("C", {"loss": "huber(1.0)"}, "it supports only the squared loss"),
        ("scikit-learn", {"batch_size": 4}, "it has no minibatches"),
        ("JAX", {"shuffle": True}, "it does not shuffle"),
        ("lesson", {"optimizer": "momentum", "shuffle": True}, "it does not support momentum"),
    ],
)
def test_what_a_variant_cannot_do_is_said_and_refused(name, changes, reason, monkeypatch):
    problem = variants.replace(PLAIN, **changes)
    monkeypatch.setattr(variants, "find_spec", lambda name: name)
    assert re.fullmatch(reason, VARIANTS_BY_NAME[name].lacks(problem))
    with pytest.raises(UnavailableError, match=f"^{reason}$"):
        VARIANTS_BY_NAME[name].ready(problem)


def test_a_quadratic_is_one_whatever_its_names():
    lesson = VARIANTS_BY_NAME["lesson"]
    assert lesson.lacks(variants.replace(PLAIN, model=Model("p*t**2 + q*t + r", inputs=("t",)))) is None
    assert lesson.lacks(variants.replace(PLAIN, model=Model("c + b*x + a*x**2")))


@pytest.mark.parametrize(
    "variant", [variant for variant in VARIANTS if variant.package], ids=lambda variant: variant.name
)
def test_what_is_not_installed_says_what_would_help(variant, monkeypatch):
    asked = []
    monkeypatch.setattr(variants, "find_spec", asked.append)
    assert variant.missing() == f"not installed: pip install {variant.package}"
    with pytest.raises(UnavailableError, match=f"^not installed: pip install {variant.package}$"):
        variant.ready(PLAIN)
    assert set(asked) == {variant.module or variant.package}


def test_nothing_of_a_peer_is_imported_with_the_registry(python):
    found = python(
        "import sgdbench.timing.variants, sys; print({'torch', 'jax', 'sklearn', 'sympy'} & set(sys.modules))"
    )
    assert found.strip() == "set()"


def test_bounds():
    exact = PLAIN
    assert VARIANTS_BY_NAME["lanes"].bound(exact) == 0
    assert VARIANTS_BY_NAME["lanes"].bound(variants.replace(exact, model=exponential)) == 1e-9
    inexact = [loss for loss in LOSSES if VARIANTS_BY_NAME["lanes"].bound(variants.replace(exact, loss=loss)) == 1e-9]
    assert inexact == ["logcosh", "cauchy", "logistic", "softmax", "poisson"]
    assert VARIANTS_BY_NAME["C"].bound(exact) == 1e-9


def test_lanes_in_threads_share_the_runs_out(monkeypatch):
    monkeypatch.setattr(variants, "processors", lambda: 3)
    problem = many(runs=100, epochs=1).part(samples=20)
    found, expected = VARIANTS_BY_NAME["lanes, all cores"].ready(problem)(), VARIANTS_BY_NAME["lanes"].ready(problem)()
    np.testing.assert_array_equal(found.params, expected.params)
    np.testing.assert_array_equal(found.losses, expected.losses)
