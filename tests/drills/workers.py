"""A drill: workers of a Dask cluster are killed while they train, and the results must be those of threads.

The suite kills four (`tests/bench/engine/test_dask.py`). By hand, many more, one or both at a time:

    python -m tests.drills.workers --kills 100

Printed is how many sweeps came to their end; the exit code is 1 if one has other results.
"""

import argparse
import os
import sys
import tempfile

import numpy as np


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng, killed, sweeps = np.random.default_rng(arguments.seed), 0, 0
    with tempfile.TemporaryDirectory() as name:
        os.environ.setdefault("SGDBENCH_CACHE_DIR", name)
        from distributed import Client, LocalCluster

        from bench.engine import dask, jobs
        from tests.support.clusters import Killer, grid_of, swept
        from tests.support.sweeps import assert_same

        jobs.JOB_UPDATES, dask.TASK_SECONDS = 1, 0
        grid, long = grid_of(["sgd", "momentum(0.9)"], 64), {"epochs": 3000, "target": None}
        expected = swept(grid, **long)
        while killed < arguments.kills:
            settings = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "silence_logs": 60}
            with LocalCluster(2, host="127.0.0.1", **settings) as workers, Client(workers) as client:
                killer = Killer(workers, [[[0], [1], [0, 1]][rng.integers(3)] for _ in range(5)])
                killer.start()
                try:
                    found = swept(grid, **long, executor=client, progress=killer.progress)
                finally:
                    killer.ended.set()
                    killer.join()
                assert_same(found, expected)
                killed, sweeps = killed + sum(map(len, killer.killed)), sweeps + 1
                print(f"{killed} workers were killed, and {sweeps} sweeps came to their end.", flush=True)


if __name__ == "__main__":
    sys.exit(main())
