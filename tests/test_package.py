"""The package: its names in one place, what a wheel holds, and what an index shows."""

import ast
import re
import runpy
import sys
import tomllib
from fnmatch import fnmatch
from importlib import import_module

import pytest

import sgdbench
from tests.support.constants import ROOT
from tests.support.documents import DOCUMENTS

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
FOLDERS = {"sgdbench": ROOT / "bench", "sgdbench.kernels": ROOT / "kernels"}
INTERFACE = {
    *("fit", "FitResult", "load_plugin", "make_optimizer", "minimize", "Model", "models", "source", "__version__"),
    *("register_loss", "register_model", "register_optimizer", "register_schedule", "register_variant"),
    *("Grid", "load_run", "load_tuning", "Space", "sweep", "SweepResult", "tune", "TuneResult"),
    *("classic", "data", "kernels", "SGDCurveClassifier", "SGDCurveRegressor"),
}


def seen_by_type_checkers(module):
    """From each name to the module from which a type checker takes it."""
    block, _ = [node for node in ast.parse(module.read_text("utf-8")).body if isinstance(node, ast.If)]
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: node.module for node in imports for alias in node.names}


def test_all_names_are_completed_and_imported_on_first_use():
    rooms = {*sys.modules} & {f"sgdbench.{name}" for name in dir(sgdbench)}  # imported by other tests
    shown = {name for name in dir(sgdbench) if not name.startswith("_")} | {"__version__"}
    assert shown - {name.removeprefix("sgdbench.") for name in rooms} == INTERFACE - {"data", "kernels"}
    assert {"data", "kernels", "__version__"} <= {*dir(sgdbench)}
    seen = seen_by_type_checkers(ROOT / "bench" / "__init__.py")
    assert seen.keys() == INTERFACE - {"__version__"}
    for name, home in seen.items():
        expected = import_module(f"sgdbench.{name}") if home == "sgdbench" else getattr(import_module(home), name)
        assert getattr(sgdbench, name) is expected
    inner = {*sgdbench.kernels.__all__}
    assert inner == seen_by_type_checkers(ROOT / "kernels" / "__init__.py").keys()
    assert inner < INTERFACE


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("swep", " (did you mean 'sweep'?)"),
        ("SGDRegressor", " (did you mean 'SGDCurveRegressor'?)"),
        ("zzz", ""),
        ("__wrapped__", ""),
    ],
)
def test_a_wrong_name_is_an_error_with_the_right_one(name, hint):
    with pytest.raises(AttributeError) as caught:
        getattr(sgdbench, name)
    assert str(caught.value) == f"module 'sgdbench' has no attribute {name!r}{hint}"


def test_a_traceback_has_one_suggestion(python):
    code = "import sgdbench, traceback\ntry: sgdbench.swep\nexcept AttributeError: print(traceback.format_exc())"
    assert python(code).count("id you mean") == 1


def test_all_packages_are_listed():
    files = {name: folder.rglob("__init__.py") for name, folder in FOLDERS.items()}
    packages = {
        ".".join([name, *path.parent.relative_to(FOLDERS[name]).parts])
        for name, paths in files.items()
        for path in paths
    }
    assert PROJECT["tool"]["setuptools"]["packages"] == sorted(packages)


def test_all_files_that_are_read_are_in_the_wheel():
    """Those of the packages but Markdown and notebooks."""
    patterns = PROJECT["tool"]["setuptools"]["package-data"]
    for name, folder in FOLDERS.items():
        for path in folder.rglob("*"):
            if path.is_dir() or path.suffix in (".py", ".pyc", ".md", ".ipynb"):
                continue
            inside = next(parent for parent in path.parents if (parent / "__init__.py").exists())
            package = ".".join([name, *inside.relative_to(folder).parts])
            inner = path.relative_to(inside).as_posix()
            own = [*patterns["*"], *patterns.get(package, [])]
            assert any(fnmatch(inner, one) and inner.count("/") == one.count("/") for one in own), path


def test_an_index_shows_no_link_that_is_dead_there(monkeypatch):
    given = {}
    setuptools = type("Setuptools", (), {"setup": staticmethod(lambda **settings: given.update(settings))})
    monkeypatch.setitem(sys.modules, "setuptools", setuptools)
    runpy.run_path(str(ROOT / "setup.py"))
    shown = given["long_description"]
    assert not re.search(r"\]\((?!https?:)", shown)
    assert "<!--" not in shown
    for words in ("pip install sgdbench", "sgdbench run auto-mpg", "## License", "bit for bit.\n"):
        assert words in shown
    for words in ("make run", "Read on", ".ipynb"):
        assert words in DOCUMENTS["README.md"].text
        assert words not in shown


PUBLIC = ("sgdbench", "sgdbench.data")


def examples():
    """Code for users: in documents, notebooks and docstrings."""
    yield from ROOT.glob("bench/examples/*.ipynb")
    # What is read in kernels/README.md is the text of a kernel.
    yield from (ROOT / file for file in DOCUMENTS if file.startswith(("README", "bench/docs")))
    yield from (path for folder in FOLDERS.values() for path in folder.rglob("*.py"))


def test_examples_import_from_the_package_alone():
    count = 0
    for path in examples():
        prefix = ">>> " if path.suffix == ".py" else ""
        for line in re.findall(
            rf'^[ "]*{prefix}((?:from|import) sgdbench\b[^\n]*)', path.read_text("utf-8"), re.MULTILINE
        ):
            assert line.split()[1] in PUBLIC, f"{path}: {line}"
            count += 1
    assert count > 20
