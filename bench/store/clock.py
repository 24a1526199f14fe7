"""The clock of a sweep: from the numbers of marks, as they are stored, to samples, updates and epochs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kernels.loops import samples_per_epoch
from kernels.marks import count_updates, make_marks
from kernels.run import Floats, Marks

PIECE = 2**20


@dataclass(frozen=True, eq=False)
class Times:
    """Moments of runs: the `samples` seen and the `updates` made by then, and `epoch`, a fraction within one."""

    samples: Marks
    updates: Marks
    epoch: Floats


@dataclass(frozen=True)
class Clock:
    """The moments at which the runs of a sweep are recorded.

    Attributes
    ----------
    record : str or int
        As for `kernels.fit`, without a plain "log", which a sweep settles.
    n : int
        Samples in the data.
    drop_last : bool
        Whether the last batch of an epoch is left out where it would be smaller.
    """

    record: str | int
    n: int
    drop_last: bool

    @classmethod
    def from_identity(cls, identity: dict[str, str]) -> "Clock":
        """Read the clock from what the results in a folder have in common."""
        record = identity["record"]
        return cls(
            int(record) if record.isdecimal() else record, int(identity["samples"]), identity["drop_last"] == "True"
        )

    def identity(self) -> dict[str, str]:
        """Return what `from_identity` reads."""
        return {"record": str(self.record), "samples": str(self.n), "drop_last": repr(self.drop_last)}

    def marks(self, batch_size: int, epochs: int) -> Marks:
        """Return the samples seen at each mark of a run; those of a shorter run come first."""
        return make_marks(self.record, self.n, batch_size, epochs, drop_last=self.drop_last)

    def samples_per_epoch(self, batch_size: int) -> int:
        """Return how many samples an epoch visits."""
        size: int = samples_per_epoch(self.n, batch_size, self.drop_last)
        return size

    def times(self, batch_size: NDArray[np.int64], mark: NDArray[np.integer]) -> Times:
        """Return the moments of marks, each of a run with its own batch size; all arrays have one shape."""
        kind = np.int64 if self.n * int(mark.max(initial=0)) > np.iinfo(np.int32).max else np.int32
        times = Times(np.empty(mark.shape, kind), np.empty(mark.shape, kind), np.empty(mark.shape))
        # There are at least as many marks as epochs.
        longest = {size: int(mark[batch_size == size].max()) for size in np.unique(batch_size).tolist()}
        marks = {size: self.marks(size, epochs) for size, epochs in longest.items()}
        updates = {size: count_updates(marks[size], self.n, size, drop_last=self.drop_last) for size in marks}
        # In pieces: of millions of losses, what lies between would take as much as the result.
        for start in range(0, mark.size, PIECE):
            piece = slice(start, start + PIECE)
            for size in np.unique(batch_size[piece]).tolist():
                own = start + np.flatnonzero(batch_size[piece] == size)
                samples = marks[size][mark[own]]
                times.samples[own], times.updates[own] = samples, updates[size][mark[own]]
                times.epoch[own] = samples / self.samples_per_epoch(size)
        return times
