"""Specialized kernels: compiled once, kept on disk, mended when damaged, and the same in pure Python."""

import ast
import gc
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
    assert source.count("def pairwise_sum") == 2
    assert source.count("def adam_rule") == 1
    assert "# term = gradient_term" in source
    assert "# term = recorded_term" in source
    ast.parse(source)


def test_the_source_of_every_module_of_simd_is_in_the_digest():
    files = {path.stem for path in (ROOT / "kernels" / "simd").glob("*.py")} - {"__init__"}
    assert {module.__name__.rpartition(".")[2] for module in inner_functions.EMITTERS} == files


def test_the_code_of_an_intrinsic_tells_it_from_others():
    """Digests know an intrinsic by the code of the function that emits it, not by what that one closes over."""
    found = [one for module in inner_functions.EMITTERS for one in vars(module).values() if isinstance(one, Intrinsic)]
    assert len({one._defn.__code__ for one in found}) == len(set(found)) > 10
    assert all(one._defn.__closure__ is None for one in found)


# Edits of what all kernels are made of: (file, old text, new text). Those of rules are in tests/kernels/extend.
EDITS = [
    ("loops/loops.py", "single = zeros()\n", "single = zeros()  # 0\n                i = 0\n"),
    ("loops/order.py", "while left > until", "while left >= until"),
    ("base/run.py", "CONVERGED, DIVERGED = 0, 1, 2", "CONVERGED, DIVERGED = 0, 2, 1"),
    ("simd/exp.py", "LOG2_E = 1.4426950408889634", "LOG2_E = 1.4426950408889636"),
    ("compile/unrolled.py", 'number("-0.0")', 'number("0.0")'),
]
UNEDITED = ("train/fit.py", "", "")
# Prints the names of two kernels after each edit, as the package in the working directory's folders has it. That is
# imported anew each time, in one process: to import numba takes longer than all that is asked for here.
NAMES = """
import os
import sys
for folder in sorted(os.listdir()):
    for module in [name for name in sys.modules if name.partition(".")[0] == "kernels"]:
        del sys.modules[module]
    sys.path.insert(0, os.path.abspath(folder))
    from kernels import models
    from kernels.compile import specialize
    from kernels.losses import make_loss
    from kernels.optimizers import make_optimizer
    assert specialize.__file__.startswith(sys.path.pop(0))
    for loss, optimizer in (("huber", "adamw"), ("squared", "momentum(weight_decay=0.1)")):
        made_of = models.quadratic.program, make_loss(loss), make_optimizer(optimizer)
        print(specialize.bind_loops(specialize.ingredients_of(*made_of)._replace(width=32))[1], end=" ")
    print()
"""


@pytest.fixture(scope="module")
def names(tmp_path_factory, python):
    """The names of two kernels after each edit of a copy of the package."""
    place = tmp_path_factory.mktemp("edited")
    edits = [UNEDITED, *EDITS]
    for number, (file, old, new) in enumerate(edits):
        folder = place / f"{number:03}"
        shutil.copytree(ROOT / "kernels", folder / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
        path = folder / "kernels" / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new) if old else text)
    printed = python(NAMES, cwd=place, NUMBA_DISABLE_JIT="1").splitlines()
    return dict(zip(edits, map(str.split, printed), strict=True))


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_of_what_all_kernels_are_made_of_makes_other_kernels(names, edit):
    """Otherwise the machine code of before the edit would be loaded."""
    assert len(set(names[UNEDITED])) == 2
    assert not set(names[edit]) & set(names[UNEDITED])


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


def test_what_cannot_be_unpickled_is_compiled_anew(stored, tmp_path, monkeypatch):
    """It is what was written, and still numba may have changed."""
    folder, build = stored
    copy = copy_of(folder, tmp_path)
    (file,) = copy.glob("*.nbc")
    with monkeypatch.context() as patched:
        patched.setattr(cache, "folder", lambda: copy)
        cache.write_bytes(file.name, b"no pickle")
    assert build(copy)[1] > 0
    assert build(copy)[1] == 0


def test_another_processor_and_another_numba_have_files_of_their_own(stored, tmp_path, monkeypatch):
    folder, build = stored
    copy = copy_of(folder, tmp_path)
    monkeypatch.setattr(numba_internals.numba, "__version__", "0.0.0")
    assert build(copy)[1] > 0
    assert len([*copy.glob("*.nbc")]) == 2
