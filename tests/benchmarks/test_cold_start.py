"""What a new process takes to answer, with kernels compiled or found in the cache on disk."""

import os
import shutil
import subprocess
import sys
import time
from itertools import count

import pytest

pytestmark = pytest.mark.benchmark(group="cold start")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A kernel cache that only these tests use, empty at first."""
    return tmp_path_factory.mktemp("sgdbench") / "cache"


@pytest.fixture
def python(cache, tmp_path):
    """Run a new Python process; returns what it prints."""

    def run(*arguments):
        environment = os.environ | {"SGDBENCH_CACHE_DIR": str(cache)}
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_help(python, benchmark, reach):
    assert "Usage" in benchmark(python, "-m", "sgdbench.cli", "--help")
    reach("sgdbench --help", seconds(benchmark), most=0.3, unit=" s")


IMPORT = "import sys, time, pytest; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


@pytest.mark.parametrize("module", ["sgdbench", "sgdbench.pytest_plugin"])
def test_import(module, python, benchmark, reach):
    """In a process that has imported pytest, as one that runs the tests of another project."""
    taken = []
    benchmark(lambda: taken.append(float(python("-c", IMPORT.format(module)))))
    most = 0.005 if module.endswith("plugin") else 0.02
    reach(f"import {module}", taken if benchmark.enabled else [], most=most, unit=" s")


@pytest.mark.measured_only
def test_run(python, cache, tmp_path, benchmark, reach):
    # Each has a folder of its own, so as not to find the results of the one before.
    folders = (str(tmp_path / f"run{number}") for number in count())

    def run():
        python("-m", "sgdbench.cli", "run", "--out", next(folders))

    shutil.rmtree(cache, ignore_errors=True)
    start = time.perf_counter()
    run()
    reach("sgdbench run, nothing cached", [time.perf_counter() - start], most=20, unit=" s")
    benchmark.pedantic(run, rounds=2)
    reach("sgdbench run, warm", seconds(benchmark), most=3, unit=" s")


def seconds(benchmark):
    return benchmark.stats.stats.data if benchmark.enabled else []
