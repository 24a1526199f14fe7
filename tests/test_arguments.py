"""Keyword arguments that do not exist get the one that was probably meant, wherever settings are given."""

import pkgutil
from inspect import signature

import numpy as np
import pytest

from sgdbench import Grid, SGDCurveRegressor, Space, fit, minimize, sweep, tune

X = np.arange(5.0)
FUNCTIONS = {
    "fit": lambda **given: fit("a*x", X, X, **given),
    "minimize": lambda **given: minimize("beale", **given),
    "sweep": lambda **given: sweep("a*x", X, X, Grid(), **given),
    "tune": lambda **given: tune("a*x", X, X, Space(), **given),
    "Grid": Grid,
    "Space": Space,
    "SGDCurveRegressor": SGDCurveRegressor,
}


@pytest.mark.parametrize(
    ("function", "name", "advice"),
    [
        *((name, "learning_rate", " (did you mean 'lr'?)") for name in FUNCTIONS if name not in ("sweep", "tune")),
        ("sweep", "learning_rate", ": it belongs in Grid(lr=...)"),
        ("tune", "lr_rate", ": it belongs in Space(lr=...)"),
        ("fit", "batchsize", " (did you mean 'batch_size'?)"),
        ("fit", "optimiser", " (did you mean 'optimizer'?)"),
        ("fit", "max_iter", " (did you mean 'epochs'?)"),
        ("minimize", "epochs", " (did you mean 'steps'?)"),
        ("SGDCurveRegressor", "seed", " (did you mean 'random_state'?)"),
    ],
)
def test_the_intended_name_is_suggested(function, name, advice):
    with pytest.raises(TypeError) as caught:
        FUNCTIONS[function](**{name: 0.1})
    assert str(caught.value) == f"{function} has no argument {name!r}{advice}"


def test_a_name_like_no_other_is_refused_by_python_and_signatures_stay():
    with pytest.raises(TypeError, match=r"fit\(\) got an unexpected keyword argument 'zzz'"):
        fit("a*x", X, X, zzz=1)
    assert list(signature(fit).parameters)[:4] == ["model", "x", "y", "init"]


@pytest.mark.parametrize(
    "name",
    ["", ".data", ".models", ".kernels", ".kernels.optimizers", ".kernels.losses"],
)
def test_consoles_complete_nothing_that_a_module_imports(name):
    module = pkgutil.resolve_name(f"sgdbench{name}")
    assert {"TYPE_CHECKING", "import_module", "Callable", "Any", "suppress", "annotations"}.isdisjoint(dir(module))
    assert all(hasattr(module, one) for one in dir(module))
