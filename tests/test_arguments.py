"""Keyword arguments that do not exist get the one that was probably meant, wherever settings are given."""

import pkgutil
from inspect import signature

import numpy as np
import pytest

from bench import Grid, SGDCurveRegressor, Space, sweep, tune
from kernels import fit, minimize

X = np.arange(5.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda **given: fit("a*x", X, X, **given), "fit has no argument 'NAME' (did you mean 'lr'?)"),
        (lambda **given: minimize("beale", **given), "minimize has no argument 'NAME' (did you mean 'lr'?)"),
        (Grid, "Grid has no argument 'NAME' (did you mean 'lr'?)"),
        (Space, "Space has no argument 'NAME' (did you mean 'lr'?)"),
        (SGDCurveRegressor, "SGDCurveRegressor has no argument 'NAME' (did you mean 'lr'?)"),
        (
            lambda **given: sweep("a*x", X, X, Grid(), **given),
            "sweep has no argument 'NAME': it belongs in Grid(lr=...)",
        ),
        (
            lambda **given: tune("a*x", X, X, Space(), **given),
            "tune has no argument 'NAME': it belongs in Space(lr=...)",
        ),
    ],
)
@pytest.mark.parametrize("name", ["learning_rate", "lr_rate"])
def test_a_name_from_elsewhere_is_understood(call, message, name):
    with pytest.raises(TypeError) as caught:
        call(**{name: 0.1})
    assert str(caught.value) == message.replace("NAME", name)


@pytest.mark.parametrize(
    ("call", "name", "meant"),
    [
        (fit, "batchsize", "batch_size"),
        (fit, "optimiser", "optimizer"),
        (fit, "max_iter", "epochs"),
        (minimize, "epochs", "steps"),
        (SGDCurveRegressor, "seed", "random_state"),
    ],
)
def test_misspelt_names_and_those_of_other_tools(call, name, meant):
    with pytest.raises(TypeError, match=f"no argument '{name}' \\(did you mean '{meant}'"):
        call(**{name: 1})


def test_a_name_like_no_other_is_refused_by_python_and_signatures_stay():
    with pytest.raises(TypeError, match=r"fit\(\) got an unexpected keyword argument 'zzz'"):
        fit("a*x", X, X, zzz=1)
    assert list(signature(fit).parameters)[:4] == ["model", "x", "y", "init"]


@pytest.mark.parametrize(
    "name", ["bench", "bench.data", "kernels", "kernels.models", "kernels.optimizers", "kernels.losses"]
)
def test_consoles_complete_nothing_that_a_module_imports(name):
    module = pkgutil.resolve_name(name)
    assert {"TYPE_CHECKING", "import_module", "Callable", "Any", "suppress", "annotations"}.isdisjoint(dir(module))
    assert all(hasattr(module, one) for one in dir(module))
