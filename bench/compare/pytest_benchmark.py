"""Files of pytest-benchmark: the times of each benchmark, and the machine on which they were measured."""

from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from sgdbench.compare.ratios import Sample
from sgdbench.system.accepted import describe_error
from sgdbench.system.files import read_regular_file

ACCEPTED_FILE = "expected the output of pytest --benchmark-json=FILE"
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


class Run(NamedTuple):
    """The contents of a file.

    `samples` has the times by the full name of the benchmark: raw ones if the file was written with `--benchmark-json`
    or `--benchmark-save-data`. `machine` is pytest-benchmark's `machine_info`.
    """

    samples: dict[str, Sample]
    machine: dict[str, Any]

    @property
    def facts(self) -> dict[str, str]:
        """The `node`, `cpu` and `python` of the machine, if known."""
        cpu = self.machine.get("cpu")
        facts = {
            "node": self.machine.get("node"),
            "cpu": cpu.get("brand_raw") if isinstance(cpu, dict) else cpu,
            "python": self.machine.get("python_version"),
        }
        return {name: str(fact) for name, fact in facts.items() if fact is not None}


def read_run(path: str | Path) -> Run:
    """Return the contents of a file; a ValueError about an invalid file names the place and what would be valid."""
    try:
        file = _File.model_validate_json(read_regular_file(Path(path)))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}; {ACCEPTED_FILE}") from None
    except ValidationError as error:
        first = error.errors()[0]
        reason = f"{'.'.join(map(str, first['loc']))} {describe_error(first)}".lstrip()
        raise ValueError(f"{path} is not a file of pytest-benchmark: {reason}; {ACCEPTED_FILE}") from None
    return Run(_samples(path, file), file.machine_info)


def _samples(path: str | Path, file: _File) -> dict[str, Sample]:
    samples: dict[str, Sample] = {}
    for benchmark in file.benchmarks:
        name, stats = benchmark.fullname or benchmark.name, benchmark.stats
        if name in samples:
            raise ValueError(f"{path} has two benchmarks called {name!r}: each name must be there once")
        samples[name] = Sample(stats.median, np.array(stats.data, dtype=float))
    return samples
