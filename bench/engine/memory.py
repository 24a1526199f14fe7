"""The memory that training takes, estimated before it starts, and the kernel that needs least.

Lanes train 8 to 64 runs at a time and repeat runs where there are fewer, so that a few very long runs take ten times
what they need; `fused` gives the same bits one run at a time.
"""

from dataclasses import dataclass
from typing import NamedTuple

from bench.study.schema import RunTable
from bench.system.environment import processors
from bench.system.memory import available_memory
from bench.tables.phrases import format_count
from kernels import Model
from kernels.base.run import samples_per_epoch
from kernels.compile.kinds import KERNELS, is_exact, lane_width
from kernels.data.marks import PER_DECADE
from kernels.losses import make_loss
from kernels.model.layers import MAX_PARAMS

# Lanes are used for blocks up to this many bytes, however few runs they hold.
SMALL_BLOCK = 2**26
# From this many runs on, lanes are faster.
FEW = 4
# Settings, id and result of a configuration, in tables that are joined.
ROW_BYTES = 800
# Copies of the parameters of a configuration: its start, where it stands and ends, and the optimizer's state. Those of
# a model without vectors are few, and part of its row.
COPIES = 6


class Length(NamedTuple):
    """The epochs of a run, and its marks."""

    epochs: int
    marks: int


@dataclass(frozen=True)
class Memory:
    """The memory for runs of a model.

    Attributes
    ----------
    kernel, frugal : str
        The kernel asked for, and the one with the same bits that needs least.
    params : int
        Parameters of the model.
    curves : int
        Losses at a mark: two where samples are held out.
    room : int or None
        The bytes that are available, if known.
    width : int
        Runs in a block of the kernel; float32 has larger ones.
    """

    kernel: str
    frugal: str
    params: int
    curves: int
    room: int | None
    width: int = KERNELS["lanes"].width

    @classmethod
    def of(cls, model: Model, settings: RunTable, *, held_out: bool, single: bool = False) -> "Memory":
        """Return the memory that is available for runs of a model; `single` if any of them is of float32."""
        exact = is_exact(model, settings.kernel, settings.loss) and KERNELS[settings.kernel].width > 1
        frugal = "fused" if exact else settings.kernel
        dtype = "float32" if single else "float64"
        width = lane_width(settings.kernel, dtype, model.program, make_loss(settings.loss))
        return cls(settings.kernel, frugal, len(model.params), 1 + held_out, available_memory(), width)

    def choose_kernel(self, runs: int, length: Length) -> str:
        """Return the kernel for runs that could be trained side by side."""
        block = 8 * self.width_of(self.kernel) * (length.epochs + length.marks)
        if block <= SMALL_BLOCK or (runs >= FEW and self._fits(self.kernel, runs, length)):
            return self.kernel
        return self.frugal

    def check(self, runs: int, length: Length) -> None:
        """Refuse runs that are too long for the memory, whichever kernel trains them, and say how much they need."""
        if not self._fits(self.frugal, runs, length):
            needed, room = self.needed(self.frugal, runs, length), self.room or 0
            raise ValueError(
                f"epochs, record or the grid must ask for less: training takes about {needed / 1e9:,.1f} GB of memory, "
                f"and {room / 1e9:,.1f} GB are available: {format_count(runs, 'configuration')} of {length.epochs:,} "
                f"epochs, with losses at up to {length.marks:,} marks"
                + (f", and {self.params:,} parameters each" if self.params > MAX_PARAMS else "")
            )

    def needed(self, kernel: str, runs: int, length: Length) -> int:
        """Return about how many bytes are taken where each job is as small as it can be.

        A run has the rates of its epochs and the losses at its marks, once in the job and once in the block of lanes,
        or with the parameters at each mark where it is trained alone. As many jobs as are trained wait with their
        rates, and one is laid out for the disk.
        """
        epochs, marks = length
        losses = self.curves * marks
        width = self.width_of(kernel)
        # Models with vectors record the parameters at the last mark alone.
        recorded = 1 if self.params > MAX_PARAMS else marks
        own, jobs = min(width, runs), -(-runs // width)
        training = min(processors(), jobs)
        waiting = min(2 * processors(), jobs) - training
        while_training = width * (epochs + losses) if width > 1 else losses + recorded * self.params
        arrays = training * (own * (epochs + losses) + while_training) + waiting * own * epochs
        if self.params > MAX_PARAMS:
            arrays += COPIES * self.params * (runs + training * width)
        return ROW_BYTES * runs + 8 * (arrays + 3 * own * losses + marks + 2 * epochs)

    def width_of(self, kernel: str) -> int:
        """Return the number of runs in a block of one of the two kernels."""
        return self.width if KERNELS[kernel].width > 1 else 1

    def _fits(self, kernel: str, runs: int, length: Length) -> bool:
        """Return whether the runs fit, as far as that is known."""
        return self.room is None or self.needed(kernel, runs, length) <= self.room


def longest_run(record: str | int, n: int, batch_size: int, epochs: int, *, drop_last: bool) -> Length:
    """Return the length of a run, with an upper bound of its marks: a list of them may not fit."""
    if isinstance(record, int):
        size = samples_per_epoch(n, batch_size, drop_last)
        return Length(epochs, epochs + 1 + epochs * -(-size // batch_size) // record)
    kind, _, per_decade = record.partition(":")
    decades = 20
    return Length(epochs, epochs + 1 + (decades * int(per_decade or PER_DECADE) if kind == "log" else 0))
