"""A drill: the disk of a run is full or read-only; the message must name what the user knows, and nothing may be lost.

The disk is a small file system in memory (tmpfs), mounted in a namespace of the process's own, so that nobody else sees
it; `unshare` must be there, and permitted. The suite fills a few of them with a sweep, and has tests with a limit on
the size of files for machines on which mounting is not permitted (`tests/bench/store/test_run_folder.py`,
`tests/bench/system/test_atomic.py`, `tests/kernels/base/test_cache.py`). By hand, with the whole command
`sgdbench run`:

    python -m tests.drills.full_disk --sizes 20

Printed is what became of the run on each disk: what was said, and how many configurations were stored. Then the disk
grows, and --resume must bring the same results. The exit code is 1 if that was not so.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from bench.engine import jobs, train
from tests.drills.flips import STUDY, resume, write_study
from tests.drills.kills import import_everything, results_of, run_command, trained_in
from tests.support.constants import ROOT

LARGE = "64m"
# Stored part by part, and trained without a kernel that would have to be compiled.
SHORT = STUDY.replace("[0.05, 0.2]", "[0.05, 0.1, 0.15, 0.2]").replace('kernel = "fused"', 'kernel = "reference"')


def in_a_namespace(*arguments):
    """Run this drill where it may mount; return the process that has ended, or None where that is not permitted."""
    if not shutil.which("unshare"):
        return None
    command = ["unshare", "--mount", *(() if os.getuid() == 0 else ("--map-root-user",))]
    if subprocess.run([*command, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False).returncode:
        return None
    drill = [sys.executable, "-m", "tests.drills.full_disk", "--mounting", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run([*command, *drill], env=environment, capture_output=True, text=True, check=False)


def mount(folder, options):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], check=True)


def fill(folder, disks, work, expected):
    """Work on disk after disk until each is full, and again once it has grown.

    Yields the options of the disk, what was said, how many configurations were stored, and what was wrong.
    """
    folder.mkdir()
    for options in disks:
        mount(folder, options)
        code, words = work()
        stored = trained_in(folder)
        faults = find_faults(code, words, folder)
        if any(expected[key] != value for key, value in kept(folder).items()):
            faults.append("what was stored is not what was trained")
        subprocess.run(["mount", "-o", f"remount,rw,size={LARGE}", str(folder)], check=True)
        code, again = work()
        if code or results_of(folder) != expected:
            faults.append(f"--resume brings other results: {again}")
        if left := [path.name for path in folder.rglob("*.partial")]:
            faults.append(f"{left} are left")
        yield options, words.strip(), stored, faults
        subprocess.run(["umount", str(folder)], check=True)


def kept(folder):
    """The results that there are, and no other facts."""
    found = results_of(folder) if trained_in(folder) else {}
    return {key: value for key, value in found.items() if key[:2] in (("run", "row"), ("run", "curve"))}


def find_faults(code, words, folder):
    """What is wrong with what a command says whose disk is full; nothing if it was large enough."""
    if code == 0:
        return []
    results, start, words = words.rpartition("sgdbench: ")
    wanted = {
        "exit code 2": code == 2,
        "one line, the last": start and words.count("\n") == 1 and "sgdbench: " not in results,
        "the folder": str(folder) in words,
        "the reason": "No space left on device" in words or "Read-only file system" in words,
        "what to do": "--resume" in words,
        "no hidden file": ".partial" not in words,
    }
    return [f"not {what}" for what, held in wanted.items() if not held]


def sweep_alone(place, study):
    """Return a function that sweeps, with the exit code and the words of a command."""
    train.FLUSH_SECONDS, jobs.JOB_UPDATES = 0, 1

    def work():
        try:
            resume(place, study)
        except OSError as error:
            return 2, f"sgdbench: {error.filename or ''} {error.strerror}\n"  # as in bench/cli.py
        return 0, ""

    return work


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, default=20)
    parser.add_argument("--sweep", action="store_true", help="without the report")
    parser.add_argument("--mounting", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.mounting:
        done = in_a_namespace(*sys.argv[1:])
        if done is None:
            sys.exit("this drill needs `unshare`, and the permission to mount")
        print(done.stdout, done.stderr, sep="\n")
        sys.exit(done.returncode)
    failed = False
    if not arguments.sweep:
        import_everything()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        study, folder = write_study(place, SHORT if arguments.sweep else STUDY), place / "run"
        work = sweep_alone(place, study) if arguments.sweep else lambda: run_command(place, folder)
        assert work()[0] == 0
        expected = results_of(folder)
        used = sum(-(-path.stat().st_size // 4096) for path in folder.rglob("*") if path.is_file())
        shutil.rmtree(folder)
        # The results come last but for two tables of the evidence, of a page each.
        sizes = [*np.geomspace(1, used - 1, arguments.sizes), used - 2, used - 3]
        pages = np.unique(np.array(sizes).astype(int))
        disks = [f"size={4 * count}k" for count in pages] + ["ro"]
        for options, words, stored, faults in fill(folder, disks, work, expected):
            print(json.dumps({"disk": options, "said": words, "stored": stored, "faults": faults}), flush=True)
            failed |= bool(faults)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
