"""A drill: how much memory a sweep of very many configurations takes at its peak, stored in a folder.

The suite trains one very long run (`tests/bench/engine/test_memory.py`). By hand, on Linux:

    python -m tests.drills.memory --configurations 1000000

The exit code is 1 if a million configurations of 100 epochs take more than 1.5 GB.
"""

import argparse
import resource
import sys
import tempfile

import numpy as np

from bench import Grid, sweep
from bench.data import builtin
from kernels import models

MOST = 1.5e9
SEEDS = 1000


def peak_bytes():
    """The most memory that this process has had."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configurations", type=int, default=1_000_000)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--confirm", type=int, default=20, help="fresh seeds for the leading choices")
    arguments = parser.parse_args()
    data = builtin("quadratic")
    rates = np.geomspace(1e-3, 1, arguments.configurations // SEEDS)
    grid = Grid(lr=rates, batch_size=16, seed=range(SEEDS), shuffle=True)
    settings = {"epochs": arguments.epochs, "target": 1e-5, "confirm": arguments.confirm}
    with tempfile.TemporaryDirectory() as folder:
        frame = sweep(models.quadratic, data.x, data.y, grid, out=folder, **settings).frame
    print(f"{len(frame):,} configurations, {arguments.epochs} epochs: {peak_bytes() / 1e9:.2f} GB at the peak")
    sys.exit(1 if peak_bytes() > MOST else 0)


if __name__ == "__main__":
    main()
