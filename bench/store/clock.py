"""The clock of a sweep: conversion from stored checkpoint numbers to samples, updates and epochs."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgdbench.kernels.base.run import Floats, Integers, samples_per_epoch
from sgdbench.kernels.data.checkpoints import count_updates, make_checkpoints

VALUES_AT_A_TIME = 2**20


@dataclass(frozen=True, eq=False)
class Times:
    """Moments of runs: the `samples` seen, the `updates` made, and the `epoch`, a fraction within an epoch."""

    samples: NDArray[np.signedinteger[Any]]
    updates: NDArray[np.signedinteger[Any]]
    epoch: Floats


@dataclass(frozen=True)
class Clock:
    """The checkpoints at which the runs of a sweep are recorded: settings as for `sgdbench.fit`, and `n` samples.

    `record` is never a plain "log", which a sweep replaces by one with a number.
    """

    record: str | int
    n: int
    drop_last: bool

    @classmethod
    def from_identity(cls, identity: dict[str, str]) -> "Clock":
        """Return the clock of the results in a folder, from their shared facts."""
        record = identity["record"]
        every = int(record) if record.isdecimal() else record
        return cls(every, int(identity["samples"]), identity["drop_last"] == "True")

    def identity(self) -> dict[str, str]:
        """Return the facts that `from_identity` reads."""
        return {"record": str(self.record), "samples": str(self.n), "drop_last": repr(self.drop_last)}

    def checkpoints(self, batch_size: int, epochs: int, until: int | None = None) -> Integers:
        """Return the samples seen at each checkpoint of a run of `epochs`, or of its first `until` epochs."""
        checkpoints = make_checkpoints(self.record, self.n, batch_size, epochs, drop_last=self.drop_last)
        if until is None:
            return checkpoints
        return checkpoints[
            : int(np.searchsorted(checkpoints, until * self.samples_per_epoch(batch_size), side="right"))
        ]

    def last_checkpoint(self, batch_size: int, epochs: int, until: int | None = None) -> int:
        """Return the last checkpoint of a run of `epochs`, or the last one within its first `until` epochs."""
        return self.checkpoints(batch_size, epochs, until).size - 1

    def last_checkpoints(self, batch_sizes: NDArray[np.int64], epochs: int, until: int | None = None) -> Integers:
        """Return the last checkpoints of runs of these batch sizes; see `last_checkpoint`."""
        sizes, of_run = np.unique(batch_sizes, return_inverse=True)
        return np.array([self.last_checkpoint(size, epochs, until) for size in sizes.tolist()], np.int64)[of_run]

    def samples_per_epoch(self, batch_size: int) -> int:
        """Return the number of samples that an epoch visits."""
        size: int = samples_per_epoch(self.n, batch_size, self.drop_last)
        return size

    def _first_checkpoints(self, batch_size: int, count: int) -> Integers:
        """Return the first `count` checkpoints of a run, as if it were long enough to have them."""
        epochs = 1  # an epoch has either one checkpoint or very many
        while (checkpoints := self.checkpoints(batch_size, epochs)).size < count:
            epochs *= 2
        return checkpoints[:count]

    def times(
        self, batch_size: NDArray[np.int64], checkpoint: NDArray[np.integer], run: NDArray[np.integer] | None = None
    ) -> Times:
        """Return the times of checkpoints, which belong to the runs numbered `run`, or one to each run.

        Each run has a `batch_size`; `checkpoint` and `run` have equal lengths.
        """
        run = np.arange(checkpoint.size) if run is None else run
        sizes, of_run = np.unique(batch_size, return_inverse=True)
        # One table has the checkpoints of all sizes, one after another.
        last = int(checkpoint.max(initial=0))
        samples, updates = np.zeros((2, sizes.size, last + 1), np.int64)
        for row, size in enumerate(sizes.tolist()):
            samples[row] = self._first_checkpoints(size, last + 1)
            updates[row] = count_updates(samples[row], self.n, size, drop_last=self.drop_last)
        per_epoch = np.array([self.samples_per_epoch(size) for size in sizes.tolist()], np.int64)
        epoch = samples / per_epoch[:, np.newaxis]
        kind: type[np.signedinteger[Any]] = np.int64 if samples.max(initial=0) > np.iinfo(np.int32).max else np.int32
        times = Times(np.empty(checkpoint.size, kind), np.empty(checkpoint.size, kind), np.empty(checkpoint.size))
        # In pieces: the indices of millions of losses would take as much memory as the result.
        for start in range(0, checkpoint.size, VALUES_AT_A_TIME):
            piece = slice(start, start + VALUES_AT_A_TIME)
            place = of_run[run[piece]] * (last + 1) + checkpoint[piece]
            times.samples[piece] = samples.ravel()[place]
            times.updates[piece] = updates.ravel()[place]
            times.epoch[piece] = epoch.ravel()[place]
        return times
