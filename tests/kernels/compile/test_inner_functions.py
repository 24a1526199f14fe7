"""The functions inside kernels: compiled once in a process, kept on disk, and never one in place of another."""

import numpy as np
import pytest

from kernels import fit
from kernels.base import cache
from kernels.base.numba_internals import record_compilations
from kernels.compile import inner_functions, specialize
from kernels.loops import order
from kernels.train import trainer

X = np.linspace(-1, 1, 50)
Y = 2 * X**2 - 4 * X + 3


@pytest.fixture
def train(tmp_path, monkeypatch, short_kernels):
    """Train by a kernel, where neither process nor cache folder has any; return the functions that it compiled."""
    monkeypatch.setattr(cache, "folder", lambda: tmp_path)
    monkeypatch.setattr(inner_functions, "_compiled", {})
    monkeypatch.setattr(specialize, "_bind", specialize._bind.__wrapped__)

    def run(model, kernel="fused", **settings):
        settings |= {"init": [0.5, -0.5], "lr": 0.1, "epochs": 3}
        with record_compilations() as compilations:
            found = fit(model, X, Y, kernel=kernel, **settings)
        if kernel == "fused":
            assert found.params.tobytes() == fit(model, X, Y, kernel="reference", **settings).params.tobytes()
        names = [event.data["dispatcher"].py_func.__name__ for _, event in compilations.buffer if event.is_start]
        assert len(names) == len(set(names))
        return set(names)

    return run


def forget(monkeypatch):
    """Begin anew, as another process does that finds the same cache folder."""
    monkeypatch.setattr(inner_functions, "_compiled", {})
    trainer.specialize.cache_clear()


def test_what_kernels_share_is_compiled_once(train):
    of_model, of_rule = {"residual_and_derivatives", "inputs_at"}, {"sgd_per_sample"}
    first = train("a*x + b")
    assert first >= of_model | of_rule | {"train", "per_sample_leg"}
    huber, adam = train("a*x + b", loss="huber"), train("a*x + b", optimizer="adam")
    assert huber & adam >= {"train", "per_sample_leg"}
    assert not huber & (of_model | of_rule)
    assert not adam & of_model
    assert "residual_and_derivatives" in train("a*x + b*x**3")


def test_another_process_loads_what_it_can(train, monkeypatch):
    train("a*x + b")
    forget(monkeypatch)
    # The options of the loss are an argument of these.
    of_options = {"read_options", "gradient_point"}
    assert train("a*x + b", loss="huber") == {"train", "per_sample_leg", "descend", "huber_derivative"} | of_options


def test_bitcode_that_something_else_made_is_compiled_anew_and_replaced(train, monkeypatch, tmp_path):
    """Damaged files are those of tests/kernels/base/test_cache.py."""
    first = train("a*x + b")
    files = sorted(tmp_path.glob("*.bc"))
    for file in tmp_path.glob("*.*bc"):
        cache.write_bytes(file.name, b"no bitcode")
    forget(monkeypatch)
    assert train("a*x + b") == first
    assert sorted(tmp_path.glob("*.bc")) == files
    forget(monkeypatch)
    assert train("a*x + b") == set()


def test_options_of_the_compiler_make_other_functions(train):
    first = train("a*x + b")
    of_order = {name for name in first if hasattr(order, name)}
    again = train("a*x + b", kernel="fused-fma")
    assert of_order
    assert not again & of_order
    assert again >= first - of_order
