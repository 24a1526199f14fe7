"""The files of pytest-benchmark: the times of each benchmark, and on which machine they were taken."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from bench.compare.ratios import Sample
from bench.system.files import read_regular_file

ACCEPTED = "accepted is what pytest --benchmark-json=FILE writes"
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Stats(BaseModel):
    median: Seconds
    data: list[Seconds] = []


class _Benchmark(BaseModel):
    name: str
    fullname: str | None = None
    stats: _Stats


class _File(BaseModel):
    machine_info: dict[str, Any] = {}
    benchmarks: list[_Benchmark]


def read_benchmarks(path: str | Path) -> tuple[dict[str, Sample], dict[str, str]]:
    """Return the times in a file, by the full names of benchmarks, and the `node`, `cpu` and `python` of its machine.

    Raw times are in it if it was written by `--benchmark-json` or with `--benchmark-save-data`.

    Raises
    ------
    ValueError
        If it is no such file; says where in it and what would be accepted.
    """
    try:
        file = _File.model_validate_json(read_regular_file(Path(path)))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}; {ACCEPTED}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        reason = first["msg"].replace("Input should be", "must be")
        raise ValueError(
            f"{path} is not a file of pytest-benchmark: {place}{' ' if place else ''}{reason}; {ACCEPTED}"
        ) from None
    samples: dict[str, Sample] = {}
    for benchmark in file.benchmarks:
        name, stats = benchmark.fullname or benchmark.name, benchmark.stats
        if name in samples:
            raise ValueError(f"{path} has two benchmarks called {name!r}: each name must be there once")
        samples[name] = Sample(stats.median, np.array(stats.data, dtype=float))
    return samples, _machine(file.machine_info)


def _machine(info: dict[str, Any]) -> dict[str, str]:
    cpu = info.get("cpu")
    facts = {
        "node": info.get("node"),
        "cpu": cpu.get("brand_raw") if isinstance(cpu, dict) else cpu,
        "python": info.get("python_version"),
    }
    return {name: str(fact) for name, fact in facts.items() if fact is not None}
