"""Files as pytest-benchmark writes them."""

import json

import numpy as np

# A slow clock of one per cent, in no order that has a trend.
WOBBLE = 1 + 0.01 * np.sin(np.arange(40) ** 2)


def benchmark_file(path, rows, *, raw=True, node="here", cpu="fast", hz=1):
    """Write what pytest-benchmark would: from a name to the times of its rounds."""
    benchmarks = []
    for name, seconds in rows.items():
        stats = {"median": float(np.median(seconds)), "rounds": len(seconds)} | ({"data": list(seconds)} if raw else {})
        benchmarks.append({"name": name.rpartition("::")[2], "fullname": name, "stats": stats})
    machine = {"node": node, "python_version": "3.11.1", "cpu": {"brand_raw": cpu, "hz_actual": hz}}
    path.write_text(json.dumps({"machine_info": machine, "benchmarks": benchmarks}))
