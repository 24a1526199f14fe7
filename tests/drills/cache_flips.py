"""A drill: files of the kernel cache are damaged, and a fit must give the same bits all the same and mend them.

The suite damages all files at once and fits in a new process (`tests/kernels/base/test_cache.py`). By hand, each file
is damaged alone, again and again, and fits are in processes forked from one that has imported everything and loaded no
kernel:

    python -m tests.drills.cache_flips --flips 40

It prints what became of them, kind by kind, and ends with exit code 1 if a bit was wrong, a process died or a file was
still damaged.
"""

import argparse
import json
import os
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from pathlib import Path

import numba.core.event
import numpy as np
import pandas as pd
import sympy

from kernels import fit
from kernels.base.checksum import find_flaw
from tests.drills.flips import flip, truncate

MENDED, UNUSED, WRONG, DIED, DAMAGED = OUTCOMES = ("same, mended", "same, left", "wrong", "died", "still damaged")
FAULTS = {WRONG, DIED, DAMAGED}


def train():
    """Train a model; return the bits of the result, and how many functions were compiled."""
    x = np.arange(100) / 50
    with numba.core.event.install_recorder("numba:compile") as compilations, warnings.catch_warnings():
        warnings.simplefilter("error")
        result = fit("a*x + b*x**3", x, x, batch_size=9, epochs=20)
    return [value.hex() for value in (*result.params, *result.loss)], len(compilations.buffer)


def train_in_a_fork():
    """Train in another process; return what `train` does, or None if that process died."""
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(there, json.dumps(train()).encode())
            os._exit(0)
        finally:
            traceback.print_exc()
            os._exit(1)
    os.close(there)
    with open(here) as pipe:
        printed = pipe.read()
    return json.loads(printed) if os.waitpid(child, 0)[1] == 0 else None


def damaged_files(folder):
    """The files of a cache that are not what was written."""
    return [path.name for path in sorted(folder.iterdir()) if find_flaw(path.read_bytes(), path.name.encode())]


def outcome_of(name, expected, folder):
    """What a fit makes of a cache with one damaged file."""
    trained = train_in_a_fork()
    if trained is None:
        return DIED
    if trained[0] != expected:
        return WRONG
    if not damaged_files(folder):
        return MENDED
    # It notes how long compiling took: without it that is told no more, and nothing else depends on it.
    return UNUSED if name.endswith(".seconds") else DAMAGED


def count_outcomes(folder, expected, damage, times, seed=0):
    """Damage each file of a cache so many times, alone; return the counts of outcomes by kind of file."""
    rng, counts = np.random.default_rng(seed), {}
    whole = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    for name, content in whole.items():
        for _ in range(times):
            damage(folder / name, rng)
            counts.setdefault(f"*{Path(name).suffix}", Counter())[outcome_of(name, expected, folder)] += 1
            assert {path.name for path in folder.iterdir()} == set(whole), "files were added or lost"
            (folder / name).write_bytes(content)
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flips", type=int, default=40, help="how many of each file")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    assert sympy, "imported here, so that no fork has to"
    failed = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["SGDBENCH_CACHE_DIR"] = name
        expected, compiled = train_in_a_fork()
        assert compiled
        assert train_in_a_fork() == [expected, 0]
        for damage, times in ((flip, arguments.flips), (truncate, max(1, arguments.flips // 4))):
            counts = count_outcomes(folder, expected, damage, times, arguments.seed)
            table = pd.DataFrame(counts, index=OUTCOMES).T.fillna(0).astype(int)
            print(f"{damage.__name__}, {times:,} of each file:\n{table.to_string()}\n", flush=True)
            failed |= any(own[fault] for own in counts.values() for fault in FAULTS)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
