"""Files as pytest-benchmark writes them, and pytest in a process of its own."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from hashlib import sha1

import numpy as np

from tests.support.constants import HANG, ROOT

PYTEST = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
# A slow clock of one per cent, in no order that has a trend.
WOBBLE = 1 + 0.01 * np.sin(np.arange(40) ** 2)


def benchmark_file(path, rows, *, raw=True, node="here", cpu="fast", hz=1):
    """Write what pytest-benchmark would: from a name to the times of its rounds."""
    benchmarks = []
    for name, seconds in rows.items():
        stats = {"median": float(np.median(seconds)), "rounds": len(seconds)} | ({"data": list(seconds)} if raw else {})
        benchmarks.append({"name": name.rpartition("::")[2], "fullname": name, "stats": stats})
    machine = {"node": node, "python_version": "3.11.1", "cpu": {"brand_raw": cpu, "hz_actual": hz}}
    path.write_text(json.dumps({"machine_info": machine, "benchmarks": benchmarks, "datetime": "2026-03-01T12:00:00"}))


def saved_runs(folder, rows, *, node="here", first=0, **facts):
    """Write what pytest-benchmark would save at a commit each day: from a name to the median at each, None for none."""
    folder.mkdir(parents=True, exist_ok=True)
    for day, medians in enumerate(zip(*rows.values(), strict=True), first):
        measured = {name: median for name, median in zip(rows, medians, strict=True) if median is not None}
        saved_run(folder / f"{day:04}_{node}.json", measured, day=day, node=node, **facts)


def saved_run(path, medians, *, day=0, node="here", python="3.11.7", cpu="fast", commit=(), **facts):
    """Write what pytest-benchmark would save: from a name to a median."""
    date = datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(days=day)
    own = {"id": commit_id(day), "time": date.isoformat(), "dirty": False, "branch": "main"} | dict(commit)
    content = {
        "machine_info": {"node": node, "python_version": python, "cpu": {"brand_raw": cpu, "hz_actual": [day, 0]}}
        | facts,
        "commit_info": own,
        "datetime": (date + timedelta(minutes=7)).isoformat(),
        "benchmarks": [{"name": name, "fullname": name, "stats": {"median": one}} for name, one in medians.items()],
    }
    path.write_text(json.dumps(content))


def commit_id(day):
    """Forty digits of a commit."""
    return sha1(str(day).encode(), usedforsecurity=False).hexdigest()


def run_pytest(*arguments, folder=ROOT, code=PYTEST, exit_code=0):
    """The output of pytest in a folder, in a process of its own."""
    # Those of pytest and its plug-ins say that this process is a worker.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-c", code, "-p", "no:cacheprovider", *map(str, arguments)],
        env=environment | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)])},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )
    assert done.returncode == exit_code, done.stdout + done.stderr
    return done.stdout
