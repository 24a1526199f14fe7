"""What `pytest --benchmark-only` collects, shows and writes; the suite runs all of it untimed."""

import ast
import json
import re

import pytest

from sgdbench.compare.pytest_benchmark import read_run
from sgdbench.timing.paired import MIN_ROUNDS
from sgdbench.timing.variants import VARIANTS
from tests.support.benchmark_files import run_pytest
from tests.support.constants import BENCHMARKS, ROOT

PEERS = sorted({variant.module or variant.package for variant in VARIANTS if variant.package})
# Two benchmarks are measured; then all are collected that would be, and those that run untimed: without the peers,
# blocked as if they were not installed. One process does it, which takes seconds to start.
CODE = f"""
import sys
sys.modules.update(dict.fromkeys({PEERS}))
import pytest
*options, path = sys.argv[1:]
chosen = ["-k", "(scalars or lesson) and not batches", "--benchmark-only", f"--benchmark-json={{path}}"]
collected = [["--collect-only", "-q", what] for what in ("--benchmark-only", "tests/benchmarks")]
for asked in (["tests/benchmarks/test_variants.py", *chosen], *collected):
    assert not pytest.main([*options, *asked])
    print("the end of what pytest says")
"""
# All benchmarks together may write 3 MB, and there are fewer of them than this.
MOST_BYTES = 3_000_000 / 160


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The file of what was measured; what pytest said then, of what it would measure, and of what it would run."""
    path = tmp_path_factory.mktemp("measured") / "times.json"
    return path, *run_pytest(path, code=CODE).split("the end of what pytest says")[:3]


def test_what_is_measured_without_peers_is_what_runs_untimed(told):
    _, _, measured, untimed = told
    names = {text: re.findall("^tests/benchmarks/.*", text, re.MULTILINE) for text in (measured, untimed)}
    assert set(names[untimed]) < set(names[measured])
    functions = [{name.partition("[")[0] for name in found} for found in names.values()]
    assert functions[0] - functions[1] == {
        "tests/benchmarks/test_cold_start.py::test_run",
        "tests/benchmarks/test_compile_time.py::test_kernels_are_compiled_for_the_first_time",
    }
    assert len(names[untimed]) > 50
    for variant in (variant for variant in VARIANTS if variant.package):
        assert not any(re.search(rf"\b{variant.name}\b", name) for name in names[measured])
        assert f"{variant.name}: not installed: pip install {variant.package}" in measured.splitlines()


def test_tables_fit_on_a_screen_and_files_keep_some_hundred_rounds(told):
    path, told, *_ = told
    rows = json.loads(path.read_text())["benchmarks"]
    assert [row["param"] for row in rows] == ["NumPy scalars, sample by sample", "lesson, sample by sample"]
    assert max(map(len, told.partition("[100%]")[2].splitlines())) <= 120
    assert path.stat().st_size <= MOST_BYTES * len(rows)
    samples = read_run(path).samples
    # The unit is the one in which the fastest of a table is readable: microseconds, on a slow machine.
    unit = {"ns": 1e9, "us": 1e6}[re.search(r"\(time in (\w+)\)", told)[1]]
    for row in rows:
        assert samples[row["fullname"]].seconds.size == row["stats"]["rounds"] >= MIN_ROUNDS
        shown = float(re.search(rf"^{row['param']} +([\d.,]+)", told, re.MULTILINE)[1].replace(",", ""))
        assert shown == pytest.approx(unit * row["stats"]["min"] / row["extra_info"]["sample_updates"], abs=1e-3)


def test_benchmarks_are_where_they_are_looked_for():
    """No other file is collected for `--benchmark-only`."""
    found = set()
    for path in (ROOT / "tests").rglob("*.py"):
        tests = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)]
        arguments = {one.arg for test in tests if test.name.startswith("test_") for one in test.args.args}
        if arguments & {"benchmark", "variant_benchmark"}:
            found.add(path)
    assert found
    assert {path.parent for path in found} == {BENCHMARKS}


# Three times in one process: with nothing to compare with, with what another machine measured, and with no benchmark.
WARNING = """
import json
import pathlib
import sys
import pytest
*options, path = sys.argv[1:]
storage = [*options, path, "--benchmark-only", "--benchmark-storage=saved"]
chosen = [*storage, "--benchmark-compare", "-k", "scalars and not batches"]
assert not pytest.main([*chosen, "--benchmark-autosave"])
saved = next(pathlib.Path("saved").rglob("*.json"))
saved.write_text(json.dumps(json.loads(saved.read_text()) | {"machine_info": {"node": "another"}}))
assert not pytest.main(chosen)
assert pytest.main([*storage, "--benchmark-autosave", "-k", "nothing"]) == pytest.ExitCode.NO_TESTS_COLLECTED
"""


def test_warnings_after_all_benchmarks_are_no_errors(tmp_path):
    """These would take the tables with them."""
    assert run_pytest(BENCHMARKS / "test_variants.py", folder=tmp_path, code=WARNING).count("1 passed") == 2
