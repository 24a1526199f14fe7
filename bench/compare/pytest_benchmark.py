"""The files of pytest-benchmark: the times of each benchmark, on which machine they were taken, and at which commit."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

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


class _File(BaseModel):
    machine_info: dict[str, Any] = {}
    benchmarks: list[_Benchmark]


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


class _DatedFile(_File):
    commit_info: _Commit | None = None
    date: Date = Field(alias="datetime")


AnyFile = TypeVar("AnyFile", bound=_File)


class Run(NamedTuple):
    """What was measured at one commit, which is None where the benchmarks were in no repository.

    `medians` has the median of the rounds in seconds by the full name of the benchmark, and `machine` is what
    pytest-benchmark calls `machine_info`. A `dirty` run had changes that were not committed. Dates are in UTC;
    `committed` is `measured` where the file does not say.
    """

    medians: dict[str, float]
    machine: dict[str, Any]
    commit: str | None
    dirty: bool
    committed: datetime
    measured: datetime


def read_benchmarks(path: str | Path) -> tuple[dict[str, Sample], dict[str, str]]:
    """Return the times in a file, by the full names of benchmarks, and the `node`, `cpu` and `python` of its machine.

    Raw times are in it if it was written by `--benchmark-json` or with `--benchmark-save-data`. The ValueError for
    another file says where in it and what would be accepted.
    """
    file = _load(path, _File)
    return _samples(path, file), _machine(file.machine_info)


def read_run(path: str | Path) -> Run:
    """Return the medians in a file, with the machine and the commit; a ValueError as from `read_benchmarks`."""
    file = _load(path, _DatedFile)
    commit = file.commit_info or _Commit()
    return Run(
        {name: sample.median for name, sample in _samples(path, file).items()},
        file.machine_info,
        None if commit.id in NO_COMMIT else commit.id,
        commit.dirty,
        commit.time or file.date,
        file.date,
    )


def _load(path: str | Path, kind: type[AnyFile]) -> AnyFile:
    try:
        return kind.model_validate_json(read_regular_file(Path(path)))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}; {ACCEPTED}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        reason = first["msg"].replace("Input should be", "must be")
        raise ValueError(
            f"{path} is not a file of pytest-benchmark: {place}{' ' if place else ''}{reason}; {ACCEPTED}"
        ) from None


def _samples(path: str | Path, file: _File) -> dict[str, Sample]:
    samples: dict[str, Sample] = {}
    for benchmark in file.benchmarks:
        name, stats = benchmark.fullname or benchmark.name, benchmark.stats
        if name in samples:
            raise ValueError(f"{path} has two benchmarks called {name!r}: each name must be there once")
        samples[name] = Sample(stats.median, np.array(stats.data, dtype=float))
    return samples


def _machine(info: dict[str, Any]) -> dict[str, str]:
    cpu = info.get("cpu")
    facts = {
        "node": info.get("node"),
        "cpu": cpu.get("brand_raw") if isinstance(cpu, dict) else cpu,
        "python": info.get("python_version"),
    }
    return {name: str(fact) for name, fact in facts.items() if fact is not None}
