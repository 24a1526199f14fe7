"""Kernels as modules: one text, compiled once, kept on disk, mended when damaged, shared where it is the same."""

import ast
import gc
import inspect
import linecache
import pickle
import shutil
import traceback

import numba
import numpy as np
import pytest

from sgdbench import Model, fit, models
from sgdbench.kernels.base import cache, numba_internals
from sgdbench.kernels.base.numba_internals import record_compilations
from sgdbench.kernels.compile.build import build, is_stored, name_of, run_text
from sgdbench.kernels.compile.module import IMPORTS, module_of
from sgdbench.kernels.compile.spec import KernelSpec
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.optimizers import make_optimizer
from tests.support.anew import begin_anew
from tests.support.constants import ROOT

X = np.linspace(-1, 1, 50)
Y = 2 * X**2 - 4 * X + 3


def spec_of(model=models.quadratic, loss="squared", optimizer="sgd", kernel="fused", **settings):
    return KernelSpec(kernel, model, make_loss(loss), make_optimizer(optimizer), **settings)


def text_of(*given, **settings):
    return module_of(spec_of(*given, **settings)).text


def test_the_module_of_a_kernel_is_the_one_that_the_documentation_shows():
    """Golden: each change of the text of kernels is seen."""
    document = (ROOT / "kernels" / "README.md").read_text(encoding="utf-8")
    assert f"```python\n{text_of(optimizer='momentum(0.9)')}```\n" in document


def test_what_is_imported_is_used_and_all_that_is_used():
    for given in (spec_of(optimizer="adam", loss="huber"), spec_of(kernel="lanes", optimizer="averaged(polyak)")):
        tree = ast.parse(module_of(given).text)
        imported = [one.name for node in tree.body if isinstance(node, ast.ImportFrom) for one in node.names]
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert set(imported) <= used
        assert {name for names in IMPORTS.values() for name in names} & used <= set(imported)


def test_no_setting_compiles_a_kernel_anew():
    """The values of options and all other settings are arguments; so are arrays of any kind."""
    assert spec_of(loss="huber") == spec_of(loss="huber(0.1)")
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
def test_no_name_of_the_users_gets_into_the_text(names):
    """So none can run anything or hide anything: the text of a model is the same under all names."""
    a, b, c = names
    model = Model(f"{a}*os**2 + {b}*os + {c}", inputs=("os",))
    assert text_of(model) == text_of()
    np.testing.assert_array_equal(fit(model, X, Y).params, fit(models.quadratic, X, Y).params)


def test_models_losses_rules_weight_decay_and_options_of_the_compiler_make_other_kernels():
    line = models.linear
    specs = [spec_of(line, kernel=kernel) for kernel in ("fused", "fused-fma", "lanes", "lanes-fma")]
    specs += [spec_of(line, optimizer=optimizer) for optimizer in ("sgd(0.1)", "adam(weight_decay=0.1)", "adam")]
    specs += [spec_of(line, loss="huber"), spec_of(), spec_of(line, dtype="float32")]
    specs += [
        spec_of(line, optimizer="adam", kernel="lanes"),
        spec_of(line, "squared", "adam", "lanes", options_per_run=True),
    ]
    assert len({name_of(module_of(one)) for one in specs}) == len(set(specs)) == len(specs)
    assert pickle.loads(pickle.dumps(module_of(specs[0]))) == module_of(specs[0])


def test_an_edit_of_what_intrinsics_emit_makes_other_kernels(monkeypatch):
    """Otherwise the machine code of before the edit would be loaded."""
    from sgdbench.kernels.loops import jit

    before = name_of(module_of(spec_of()))
    with monkeypatch.context() as patched:
        patched.setattr(jit, "EMITTERS", jit.EMITTERS[:1])  # as if the other files were empty
        jit._digest_of_emitters.cache_clear()
        assert name_of(module_of(spec_of())) != before
    jit._digest_of_emitters.cache_clear()
    for name in ("simd", "loops"):
        assert f"{name}/*.py" in jit.EMITTERS


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A cache folder with the kernel of a line."""
    folder = tmp_path_factory.mktemp("stored")
    with pytest.MonkeyPatch.context() as patched:
        begin_anew(patched, folder)
        build(module_of(spec_of(models.linear)))
    return folder


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
class TestOnDisk:
    """What is compiled is in the cache folder."""

    @pytest.fixture
    def compiled(self, stored, tmp_path, monkeypatch):
        """Build a kernel as another process does, with a copy of the folder; return it and what was compiled."""
        copy = shutil.copytree(stored, tmp_path / "copy")

        def again(spec=None):
            spec = spec or spec_of(models.linear)
            begin_anew(monkeypatch, copy)
            with record_compilations() as compilations:
                built = build(module_of(spec))
            functions = [event.data["dispatcher"].py_func for _, event in compilations.buffer if event.is_start]
            return built, {function.__name__ for function in functions if not function.__module__.startswith("numba.")}

        return again

    def test_another_process_compiles_nothing(self, compiled):
        assert compiled()[1] == set()

    def test_functions_of_the_same_text_are_shared(self, compiled):
        """Sums are those of the model and the loss; loops and the entry are those of the rule."""
        of_rule = {"train_samples", "train_batches", "kernel"}
        assert compiled(spec_of(models.linear, optimizer="momentum"))[1] == of_rule
        assert compiled(spec_of(models.linear, loss="huber"))[1] >= {"gradient_sum", "loss_sum", *of_rule}

    def test_bitcode_that_something_else_made_is_compiled_anew(self, compiled):
        folder = compiled() and cache.folder()
        for file in folder.glob("*.*bc"):
            cache.write_bytes(file.name, b"no bitcode")
        assert "kernel" in compiled()[1]
        assert compiled()[1] == set()

    def test_what_compiling_took_is_remembered(self, stored, compiled):
        first = compiled()[0]
        assert compiled()[0].cold_seconds == first.cold_seconds > 0
        assert first.load().stats.cache_hits
        (note,) = cache.folder().glob("*.seconds")
        note.write_bytes(note.read_bytes()[: note.stat().st_size // 2])
        assert np.isnan(compiled()[0].cold_seconds)

    def test_another_processor_and_another_numba_have_files_of_their_own(self, compiled, monkeypatch):
        monkeypatch.setattr(numba_internals.numba, "__version__", "0.0.0")
        assert "kernel" in compiled()[1]
        assert len([*cache.folder().glob("*.nbc")]) == 2

    def test_the_garbage_collector_is_left_as_it_was(self, compiled):
        gc.disable()
        try:
            compiled()
            assert not gc.isenabled()
        finally:
            gc.enable()
        compiled()
        assert gc.isenabled()

    def test_a_kernel_of_this_process_need_not_be_compiled_where_there_is_no_cache_folder(self, monkeypatch):
        monkeypatch.setattr(cache, "folder", lambda: None)
        module = module_of(spec_of(Model("a - x/b")))  # which no other test has
        assert not is_stored(module)
        build(module)
        assert is_stored(module)


def test_tracebacks_show_the_lines_of_a_kernel():
    """A module has the name of its file."""
    module = module_of(spec_of())
    scope = run_text(name_of(module), module.text)
    function = getattr(scope["gradient_term"], "py_func", scope["gradient_term"])
    assert inspect.getsource(function).startswith("@njit(**INLINED)\ndef gradient_term(theta, x_0, y, options):")
    try:
        function((1.0, 2.0), 1.0, 1.0, ())
    except ValueError as error:
        (frame,) = [one for one in traceback.extract_tb(error.__traceback__) if "kernel_" in one.filename]
        assert frame.line == "theta_0, theta_1, theta_2 = theta"
        assert linecache.getline(frame.filename, 1) == "import numpy as np\n"
