"""sgdbench beside a repository whose own packages are called bench, kernels and tests."""

import json
import re
import sys

import pytest

from tests.installed.neighbours import FROM_WHEEL, make_repository, run, script

pytest.importorskip("pytest_benchmark", reason="pytest-benchmark is not installed")
# Each benchmark about once.
BRIEF = ["--benchmark-min-rounds=1", "--benchmark-max-time=1e-6", "--benchmark-min-time=1e-9", "--benchmark-warmup=off"]
WAYS = {
    "pytest": [script("pytest")],
    "python -m pytest": [sys.executable, "-m", "pytest"],
    "pytest -n 2": [script("pytest"), "-n", "2"],
}


@pytest.fixture(scope="module", params=["", "src"], ids=["flat", "src"])
def repository(request, tmp_path_factory):
    if request.param and not FROM_WHEEL:
        pytest.skip("sgdbench is imported from its clone, with which one layout is tried: `make wheel` tries both")
    root = tmp_path_factory.mktemp("theirs")
    make_repository(root, request.param)
    return root


@pytest.mark.parametrize("way", WAYS)
def test_its_tests_run(way, repository):
    if way.endswith("-n 2"):
        pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    out = run(repository, *WAYS[way], "-p", "no:cacheprovider", *BRIEF)
    assert re.search(r"^=+ 2 passed", out, re.MULTILINE), out


@pytest.mark.skipif(not FROM_WHEEL, reason="takes 18 processes of pytest: `make wheel` runs this")
def test_it_is_compared_with_a_commit(repository):
    words = ["compare", "--against", "HEAD~1", "--gate", "3", "--json", "--", "-k", "theirs", *BRIEF]
    told = json.loads(run(repository, script("sgdbench"), *words))
    (row,) = told["times"]
    assert row["row"] == "tests/test_work.py::test_theirs"
    assert 0.2 < row["ratio"] < 5


def test_a_study_runs_with_a_plug_in_of_the_repository(repository, tmp_path):
    (rules,) = repository.rglob("rules.py")
    words = ["run", "study.toml", "--plugin", rules, "--out", tmp_path / "run"]
    out = run(repository, script("sgdbench"), *words)
    assert "Report" in out
    assert "theirs" in (tmp_path / "run" / "report.html").read_text("utf-8")


def test_a_script_imports_both(repository):
    (place,) = repository.rglob("script.py")
    out = run(repository, sys.executable, place)
    assert out == f"their bench 499500 {place.parent / 'kernels' / '__init__.py'} sgdbench.kernels\n"


def test_the_plugin_of_pytest_costs_a_project_nothing_that_does_not_use_it(repository):
    """Nothing is imported but an empty package, and the output is that without the plug-in."""
    code = (
        "import sys, pytest, typing; before = {*sys.modules}; import sgdbench.pytest_plugin; "
        "print(sorted({*sys.modules} - before))"
    )
    assert run(repository, sys.executable, "-c", code) == "['sgdbench', 'sgdbench.pytest_plugin']\n"
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", "theirs", "--benchmark-disable"]
    outs = [run(repository, *words, *more) for more in ([], ["-p", "no:sgdbench.pytest_plugin"])]
    with_it, without = (re.sub(r"in [\d.]+s|, sgdbench-[\d.]+|sgdbench-[\d.]+, ", "", out) for out in outs)
    assert with_it == without
