"""The files of pytest-benchmark: the times of each benchmark, on which machine they were taken, and at which commit."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import AfterValidator, BaseModel, Field, ValidationError

from bench.compare.ratios import Sample
from bench.system.files import read_regular_file

ACCEPTED = "accepted is what pytest --benchmark-json=FILE writes"
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
# What pytest-benchmark writes in place of a commit.
NO_COMMIT = (None, "", "unversioned", "unknown")


class _Stats(BaseModel):
    median: Seconds
    data: list[Seconds] = []


class _Benchmark(BaseModel):
    name: str
    fullname: str | None = None
    stats: _Stats


def _in_utc(date: datetime) -> datetime:
    try:
        return date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError("must be a date of this era") from None


Date = Annotated[datetime, AfterValidator(_in_utc)]


class _Commit(BaseModel):
    id: str | None = None
    time: Date | None = None
    dirty: bool = False


class _File(BaseModel):
    machine_info: dict[str, Any] = {}
    benchmarks: list[_Benchmark]
    commit_info: _Commit | None = None
    date: Date = Field(alias="datetime")


class Run(NamedTuple):
    """What was measured at one commit, which is None where the benchmarks were in no repository.

    `samples` has the times by the full name of the benchmark: raw ones if the file was written by `--benchmark-json` or
    with `--benchmark-save-data`. `machine` is what pytest-benchmark calls `machine_info`. A `dirty` run had changes
    that were not committed. Dates are in UTC; `committed` is `measured` where the file does not say.
    """

    samples: dict[str, Sample]
    machine: dict[str, Any]
    commit: str | None
    dirty: bool
    committed: datetime
    measured: datetime

    @property
    def facts(self) -> dict[str, str]:
        """The `node`, `cpu` and `python` of the machine, as far as they are known."""
        cpu = self.machine.get("cpu")
        facts = {
            "node": self.machine.get("node"),
            "cpu": cpu.get("brand_raw") if isinstance(cpu, dict) else cpu,
            "python": self.machine.get("python_version"),
        }
        return {name: str(fact) for name, fact in facts.items() if fact is not None}


def read_run(path: str | Path) -> Run:
    """Return the contents of a file; the ValueError for another file says where in it and what would be accepted."""
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
    commit = file.commit_info or _Commit()
    return Run(
        _samples(path, file),
        file.machine_info,
        None if commit.id in NO_COMMIT else commit.id,
        commit.dirty,
        commit.time or file.date,
        file.date,
    )


def _samples(path: str | Path, file: _File) -> dict[str, Sample]:
    samples: dict[str, Sample] = {}
    for benchmark in file.benchmarks:
        name, stats = benchmark.fullname or benchmark.name, benchmark.stats
        if name in samples:
            raise ValueError(f"{path} has two benchmarks called {name!r}: each name must be there once")
        samples[name] = Sample(stats.median, np.array(stats.data, dtype=float))
    return samples
