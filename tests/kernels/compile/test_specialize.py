"""Specialized kernels: compiled once, kept on disk, mended when damaged, and the same in pure Python."""

import ast
import gc
import inspect
import shutil

import numpy as np
import pytest

from kernels import Model, fit, models
from kernels.base import cache, numba_internals
from kernels.base.numba_internals import Intrinsic, record_compilations
from kernels.compile import inner_functions, specialize
from kernels.compile.unrolled import Ingredients
from kernels.losses import make_loss
from kernels.optimizers import OPTIMIZERS, make_optimizer
from tests.support import short_kernel
from tests.support.constants import ROOT

X = np.linspace(-1, 1, 50)
Y = 2 * X**2 - 4 * X + 3
CLASSIC = ("a*x**2 + b*x + c", ("x",), ("a", "b", "c"))


def bind(model, loss="squared", optimizer="sgd", **options):
    """Return the functions of a kernel, its digest and its source. To compile it takes seconds."""
    made_of = specialize.ingredients_of(model.program, make_loss(loss), make_optimizer(optimizer))
    return specialize.bind_loops(made_of._replace(**options))


def test_no_setting_compiles_a_kernel_anew():
    """The values of options and all other settings are arguments; so are arrays of any kind."""
    assert bind(models.quadratic, "huber")[1] == bind(models.quadratic, "huber(0.1)")[1]
    fit(models.quadratic, X, Y, optimizer="adam")
    read_only = X.copy()
    read_only.flags.writeable = False
    with record_compilations() as compilations:
        for settings in (
            {"optimizer": "adam(0.8, 0.99, 1e-6)"},
            {"lr": 0.01, "schedule": "cosine", "epochs": 7, "target": 1e-3, "init": [1, 2, 3]},
            {"batch_size": 7, "drop_last": False, "shuffle": True, "seed": 2**64 - 1},
            {"batch_size": "full"},
        ):
            fit(models.quadratic, X, Y, **{"optimizer": "adam"} | settings)
        for x in (read_only, np.repeat(X, 2)[::2], X.astype(np.float32), X.tolist(), X[:, np.newaxis]):
            fit(models.quadratic, x, Y, optimizer="adam")
    assert not compilations.buffer


@pytest.mark.parametrize("names", [("np", "theta", "lambda_"), ("print", "y", "residual"), ("train", "v_0", "x_0")])
def test_no_name_of_the_users_gets_into_the_source(names):
    """So none can run anything or hide anything: the source of a model is the same under all names."""
    a, b, c = names
    model = Model(f"{a}*os**2 + {b}*os + {c}", inputs=("os",))
    assert bind(model)[2] == bind(models.quadratic)[2]
    np.testing.assert_array_equal(fit(model, X, Y).params, fit(models.quadratic, X, Y).params)


def test_the_source_can_be_read():
    """One text: what was written for the model, and every function of the loops with what it is bound to."""
    _functions, _digest, source = bind(models.quadratic, optimizer="adamw", width=32, fma=True)
    assert source.startswith(
        "# numba.njit({'error_model': 'numpy', 'nogil': True, '_nrt': False, 'fastmath': {'contract'}})"
    )
    for line in (
        "def train_block(data, hyper, block, scratch, first, last):",
        "# rule = decoupled_rule",
        "# JOIN = -1",
    ):
        assert line in source.splitlines()
    ast.parse(source)


def test_the_source_of_every_module_of_simd_is_in_the_digest():
    files = {path.stem for path in (ROOT / "kernels" / "simd").glob("*.py")} - {"__init__"}
    assert {module.__name__.rpartition(".")[2] for module in inner_functions.EMITTERS} == files


def test_the_code_of_an_intrinsic_tells_it_from_others():
    """Digests know an intrinsic by the code of the function that emits it, not by what that one closes over."""
    found = [one for module in inner_functions.EMITTERS for one in vars(module).values() if isinstance(one, Intrinsic)]
    assert len({one._defn.__code__ for one in found}) == len(set(found)) > 10
    assert all(one._defn.__closure__ is None for one in found)


@pytest.fixture
def source_read_anew():
    inner_functions._digest_of_emitters.cache_clear()
    yield
    inner_functions._digest_of_emitters.cache_clear()


@pytest.mark.usefixtures("source_read_anew")
def test_an_edit_of_what_intrinsics_emit_makes_other_kernels(monkeypatch):
    """Otherwise the machine code of before the edit would be loaded; test_binding.py has edits of functions."""
    before = bind(models.quadratic)[1]
    inner_functions._digest_of_emitters.cache_clear()
    read = inspect.getsource
    monkeypatch.setattr(inspect, "getsource", lambda module: read(module).replace("LOG2_E = 1.44", "LOG2_E = 1.45"))
    assert bind(models.quadratic)[1] != before


def test_models_losses_rules_weight_decay_and_options_of_the_compiler_make_other_kernels():
    """Numba's own cache key does not know the former."""
    digests = {bind(models.linear, fma=fma, width=width)[1] for fma in (False, True) for width in (1, 32)}
    digests |= {bind(models.linear, optimizer=optimizer)[1] for optimizer in ("sgd(0.1)", "adam(weight_decay=0.1)")}
    digests |= {bind(models.linear, optimizer="adam")[1], bind(models.linear, loss="huber")[1]}
    digests.add(bind(models.quadratic)[1])
    assert len(digests) == 9


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A cache folder that holds one kernel, and a way to build that kernel anew with the folder given."""
    made_of = Ingredients(
        Model(*CLASSIC).program, make_loss("squared").derivative, None, 0, True, True, False,
        OPTIMIZERS["sgd"]().rule, 0, 0, None, 0, None, None, needs_norm=False, decays=False, fma=False, width=1,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("stored")

    def build(folder):
        with pytest.MonkeyPatch.context() as patched, record_compilations() as compilations:
            patched.setattr(cache, "folder", lambda: folder)
            patched.setattr(specialize.loops, "train", short_kernel.train)
            kernel = specialize.specialize.__wrapped__(made_of)
        return kernel, len(compilations.buffer)

    assert build(folder)[1] > 0
    return folder, build


def test_the_garbage_collector_is_left_as_it_was(stored):
    folder, build = stored
    gc.disable()
    try:
        build(folder)
        assert not gc.isenabled()
    finally:
        gc.enable()
    build(folder)
    assert gc.isenabled()


def copy_of(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def test_what_compiling_took_is_remembered(stored, tmp_path, monkeypatch):
    folder, build = stored
    first = build(folder)[0].cold_seconds
    copy = copy_of(folder, tmp_path)
    kernel, _ = build(copy)
    assert kernel.cold_seconds == first
    monkeypatch.setattr(cache, "folder", lambda: copy)
    assert kernel.load().stats.cache_hits
    (note,) = copy.glob("*.seconds")
    note.write_bytes(note.read_bytes()[: note.stat().st_size // 2])
    assert np.isnan(build(copy)[0].cold_seconds)


def test_another_processor_and_another_numba_have_files_of_their_own(stored, tmp_path, monkeypatch):
    folder, build = stored
    copy = copy_of(folder, tmp_path)
    monkeypatch.setattr(numba_internals.numba, "__version__", "0.0.0")
    assert build(copy)[1] > 0
    assert len([*copy.glob("*.nbc")]) == 2
