"""A drill: a fit on very many samples, mapped into memory, in each order; its time and its memory.

The suite does the same with few (`tests/bench/data/test_memory_maps.py`, `tests/kernels/data/test_order.py`). By hand,
on Linux, with 12 GB of room for 10**8 samples in the folder:

    python -m tests.drills.large_data --samples 100000000 --folder large

Each case is a process of its own. It says how many ns a sample and epoch took, and how much memory it had at most that
no file stands for, beyond that of a fit on few samples. The last case has a nan in a row, which has to be named. The
exit code is 1 if it is not, if a case takes more than 100 MB, if a sample in order takes more than 1.3 times as long as
one of a thousand, or if bits differ.
"""

import argparse
import json
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from bench.data import open_table
from kernels import fit, models

PIECE = 2**20
START = {"init": [1.0, 1.0, 1.0], "lr": 0.01}
CASES = ("a thousand", "in memory", "mapped", "mapped, blocks", "parquet", "arrow")
MOST_MEGABYTES, FLAT = 100, 1.3


def write(folder, n):
    """Write samples as .npy, Parquet and Arrow, and as Parquet with a nan."""
    folder.mkdir(parents=True, exist_ok=True)
    maps = [np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float64, (n,)) for name in ("x", "y")]
    schema = pa.schema({"x": pa.float64(), "y": pa.float64()})
    rng = np.random.default_rng(0)
    with (
        pa.parquet.ParquetWriter(folder / "samples.parquet", schema) as parquet,
        pa.parquet.ParquetWriter(folder / "broken.parquet", schema) as broken,
        pa.ipc.new_file(str(folder / "samples.arrow"), schema) as arrow,
    ):
        for first in range(0, n, PIECE):
            x = rng.uniform(-1, 1, min(PIECE, n - first))
            y = 2 * x * x - 4 * x + 3 + 0.1 * rng.standard_normal(x.size)
            for values, column in zip(maps, (x, y), strict=True):
                values[first : first + x.size] = column
            table = pa.table({"x": x, "y": y})
            parquet.write_table(table)
            arrow.write_table(table)
            place = broken_row(n) - 1 - first
            if 0 <= place < y.size:
                y[place] = np.nan
            broken.write_table(pa.table({"x": x, "y": y}))


def broken_row(n):
    """The row with a nan, counted from 1."""
    return 57 * n // 100


def anonymous_megabytes():
    """The memory of this process that no file stands for."""
    return int(re.search(r"RssAnon:\s*(\d+) kB", Path("/proc/self/status").read_text("ascii"))[1]) / 1024


class Peak(threading.Thread):
    """Looks at the memory of this process a hundred times a second; `most` is the most that it has seen."""

    def __init__(self):
        super().__init__(daemon=True)
        self.most, self.over = anonymous_megabytes(), threading.Event()

    def run(self):
        while not self.over.wait(0.01):
            self.most = max(self.most, anonymous_megabytes())


def run_case(folder, case, epochs):
    """Print what a case takes, as JSON."""
    few = [np.array(np.load(folder / f"{name}.npy", mmap_mode="r")[:1000]) for name in ("x", "y")]
    shuffle = "blocks" if "blocks" in case else False
    kind = case.partition(",")[0]
    for warm in (False, "blocks"):  # kernels are compiled, and all is imported
        str(fit(models.quadratic, *few, epochs=1, shuffle=warm, **START))
    if kind in {"parquet", "arrow"}:
        table = open_table(folder / f"samples.{kind}", "x", "y")
        samples = [table.x, table.y]
    elif kind in {"mapped", "in memory"}:
        samples = [np.load(folder / f"{name}.npy", mmap_mode="r" if kind == "mapped" else None) for name in ("x", "y")]
    else:
        samples, epochs = few, epochs * 10_000
    before, peak = anonymous_megabytes(), Peak()
    peak.start()
    result = fit(models.quadratic, *samples, epochs=epochs, shuffle=shuffle, **START)
    started = time.perf_counter()
    str(result)
    about = time.perf_counter() - started
    peak.over.set()
    told = {"ns": 1e9 * result.seconds / result.samples_seen[-1], "megabytes": peak.most - before, "about": about}
    print(json.dumps(told | {"params": result.params.tolist()}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=100_000_000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--case")
    arguments = parser.parse_args()
    folder, n = arguments.folder, arguments.samples
    if arguments.case:
        run_case(folder, arguments.case, arguments.epochs)
        return
    write(folder, n)
    failures, told = [], {}
    print(f"{n:,} samples, {arguments.epochs} epochs")
    for case in CASES:
        command = [sys.executable, "-m", "tests.drills.large_data", "--folder", folder, "--case", case]
        command += ["--epochs", str(arguments.epochs)]
        told[case] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        ns, megabytes, about = (told[case][name] for name in ("ns", "megabytes", "about"))
        print(f"{case:16} {ns:6.2f} ns  {megabytes:6.1f} MB  {about:5.1f} s to print")
        if megabytes > MOST_MEGABYTES:
            failures.append(f"{case} took {megabytes:.0f} MB")
    if told["mapped"]["ns"] > FLAT * told["a thousand"]["ns"]:
        failures.append("a sample costs more where there are many")
    if len({tuple(told[case]["params"]) for case in ("mapped", "parquet", "arrow")}) > 1:
        failures.append("samples of files give other bits")
    try:
        open_table(folder / "broken.parquet", "x", "y")
        failures.append("a nan was mapped")
    except ValueError as error:
        print(error)
        if f"row {broken_row(n)}, column 'y' is missing" not in str(error):
            failures.append("the row with a nan was not named")
    print(*failures, sep="\n")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
