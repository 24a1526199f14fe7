"""The functions inside kernels: compiled once in a process, kept on disk, and never one in place of another."""

import shutil

import numpy as np
import pytest

from kernels import fit
from kernels.base import cache
from kernels.base.numba_internals import record_compilations
from kernels.compile import inner_functions
from kernels.loops import order
from tests.support.short_kernel import begin_anew

X = np.linspace(-1, 1, 50)
Y = 2 * X**2 - 4 * X + 3


def train(model, kernel="fused", **settings):
    """Train by a kernel; return the functions that it compiled, without those of numba itself."""
    settings |= {"init": [0.5, -0.5], "lr": 0.1, "epochs": 3}
    with record_compilations() as compilations:
        found = fit(model, X, Y, kernel=kernel, **settings)
    if kernel == "fused":
        assert found.params.tobytes() == fit(model, X, Y, kernel="reference", **settings).params.tobytes()
    functions = [event.data["dispatcher"].py_func for _, event in compilations.buffer if event.is_start]
    names = [function.__name__ for function in functions if not function.__module__.startswith("numba.")]
    assert len(names) == len(set(names))
    return set(names)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """The functions of a line's kernel: their names, the cache folder with them, and what is in memory of them."""
    folder = tmp_path_factory.mktemp("first")
    with pytest.MonkeyPatch.context() as patched:
        begin_anew(patched, folder)
        return train("a*x + b"), folder, inner_functions._compiled


@pytest.fixture
def names(first, monkeypatch, tmp_path):
    """Begin as another process does that finds the cache folder; return the names of the functions in it."""
    begin_anew(monkeypatch, shutil.copytree(first[1], tmp_path / "copy"))
    return first[0]


def test_what_kernels_share_is_compiled_once(first, monkeypatch, tmp_path):
    of_model, of_rule = {"residual_and_derivatives", "inputs_at"}, {"sgd_per_sample"}
    names, _, in_memory = first
    begin_anew(monkeypatch, tmp_path, in_memory)
    assert names >= of_model | of_rule | {"train", "per_sample_leg"}
    huber, adam = train("a*x + b", loss="huber"), train("a*x + b", optimizer="adam")
    assert huber & adam >= {"train", "per_sample_leg"}
    assert not huber & (of_model | of_rule)
    assert not adam & of_model
    assert "residual_and_derivatives" in train("a*x + b*x**3")


@pytest.mark.usefixtures("names")
def test_another_process_loads_what_it_can():
    # The options of the loss are an argument of these.
    of_options = {"read_options", "gradient_point"}
    assert train("a*x + b", loss="huber") == {"train", "per_sample_leg", "descend", "huber_derivative"} | of_options


def test_bitcode_that_something_else_made_is_compiled_anew_and_replaced(names, monkeypatch):
    """Damaged files are those of tests/kernels/base/test_cache.py."""
    folder = cache.folder()
    files = sorted(folder.glob("*.bc"))
    for file in folder.glob("*.*bc"):
        cache.write_bytes(file.name, b"no bitcode")
    assert train("a*x + b") == names
    assert sorted(folder.glob("*.bc")) == files
    begin_anew(monkeypatch, folder)
    assert train("a*x + b") == set()


def test_options_of_the_compiler_make_other_functions(names):
    of_order = {name for name in names if hasattr(order, name)}
    again = train("a*x + b", kernel="fused-fma")
    assert of_order
    assert not again & of_order
    assert again >= names - of_order
