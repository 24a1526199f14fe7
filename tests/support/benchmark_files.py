"""Files as pytest-benchmark writes them, and pytest in a process of its own."""

import json
import os
import subprocess
import sys

import numpy as np

from tests.support.constants import HANG, ROOT

PYTEST = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
# A slow clock of one per cent, in no order that has a trend.
WOBBLE = 1 + 0.01 * np.sin(np.arange(40) ** 2)


def benchmark_file(path, rows, *, node="here"):
    """Write what pytest-benchmark would: from a name to the times of its rounds."""
    benchmarks = []
    for name, seconds in rows.items():
        stats = {"median": float(np.median(seconds)), "rounds": len(seconds), "data": list(seconds)}
        benchmarks.append({"name": name.rpartition("::")[2], "fullname": name, "stats": stats})
    machine = {"node": node, "python_version": "3.11.1", "cpu": {"brand_raw": "fast", "hz_actual": 1}}
    path.write_text(json.dumps({"machine_info": machine, "benchmarks": benchmarks, "datetime": "2026-03-01T12:00:00"}))


CODE = """
now = 0.0
def clock():
    global now
    now += 1e-9
    return now
def work():
    global now
    now += {seconds}
"""
BENCHMARKS = """
from pkg.code import work
test_read = lambda benchmark: benchmark(work)
test_{name} = lambda benchmark: benchmark(work)
"""
OPTIONS = """
[tool.pytest.ini_options]
addopts = ["-p", "pytest_benchmark.plugin", "--benchmark-timer=pkg.code.clock"]
"""


def git(*words, folder=None):
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout


def clocked_repository(root, layout="", benchmarks="test_io.py"):
    """Make a repository whose code moves a clock: by 10 ms in its commit, by 12 ms in its working tree.

    Each has a benchmark that the other has not. A hook that runs would leave a file.
    """
    package, tests = root / layout / "pkg", root / benchmarks
    for folder in (package, tests.parent):
        folder.mkdir(parents=True, exist_ok=True)
    git("init", "-q", folder=root)
    hook = root / ".git" / "hooks" / "post-checkout"
    hook.write_text("#!/bin/sh\ntouch hooked\nexit 1\n")
    hook.chmod(0o755)
    (package / "__init__.py").touch()
    (root / "pyproject.toml").write_text(OPTIONS)
    for seconds, name in ((0.01, "old"), (0.012, "new")):
        (package / "code.py").write_text(CODE.format(seconds=seconds))
        tests.write_text(BENCHMARKS.format(name=name))
        if name == "old":
            git("add", package, tests, "pyproject.toml", folder=root)
            git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first", folder=root)


def run_pytest(*arguments, folder=ROOT, code=PYTEST, exit_code=0):
    """The output of pytest in a folder, in a process of its own."""
    # Those of pytest and its plug-ins say that this process is a worker.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-c", code, "-p", "no:cacheprovider", *map(str, arguments)],
        env=environment | {"PYTHONPATH": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )
    assert done.returncode == exit_code, done.stdout + done.stderr
    return done.stdout
