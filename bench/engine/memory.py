"""What a sweep needs of the memory, told before anything is trained, and the kernel that needs less.

Lanes train 32 or 64 runs at a time. Where there are fewer, the others are repeated and thrown away, and a few very long
runs would take ten times what they need; `fused` gives the same bits one run at a time.
"""

from dataclasses import dataclass
from typing import NamedTuple

from bench.study.schema import RunTable
from bench.system.environment import processors
from bench.system.memory import available_memory
from kernels import Model
from kernels.base.run import samples_per_epoch
from kernels.compile.kinds import KERNELS, is_exact, lane_width
from kernels.data.marks import PER_DECADE
from kernels.losses import make_loss

# Blocks of lanes up to this size are taken whatever there is in them.
SMALL_BLOCK = 2**26
# From this many runs on, the lanes are faster.
FEW = 4
# Of each configuration there are its settings, its id and its result, in tables that are joined.
ROW_BYTES = 800


class Length(NamedTuple):
    """The epochs of a run, and its marks."""

    epochs: int
    marks: int


@dataclass(frozen=True)
class Memory:
    """What training may take.

    Attributes
    ----------
    kernel : str
        The one asked for.
    frugal : str
        The one with the same bits that needs least.
    params : int
        Parameters of the model.
    curves : int
        How many losses there are at a mark: two where samples are held out.
    room : int or None
        The bytes there are; None if that is not known.
    width : int
        How many runs a block of the kernel has, or of float32, which come in larger ones.
    """

    kernel: str
    frugal: str
    params: int
    curves: int
    room: int | None
    width: int = KERNELS["lanes"].width

    @classmethod
    def of(cls, model: Model, settings: RunTable, *, held_out: bool, single: bool = False) -> "Memory":
        """Look how much there is for runs of a model."""
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
        """Refuse runs that are too long for the memory, whichever kernel trains them.

        Raises
        ------
        ValueError
            Says how much they need.
        """
        if not self._fits(self.frugal, runs, length):
            needed, room = self.needed(self.frugal, runs, length), self.room or 0
            configurations = f"{runs:,} configuration" + "s" * (runs != 1)
            raise ValueError(
                f"epochs, record or the grid must ask for less: training takes about {needed / 1e9:,.1f} GB of memory, "
                f"and {room / 1e9:,.1f} GB are available: {configurations} of {length.epochs:,} epochs, with "
                f"losses at up to {length.marks:,} marks"
            )

    def needed(self, kernel: str, runs: int, length: Length) -> int:
        """Return about how many bytes are taken where each job is as small as it can be.

        Of each run there are the rates of its epochs and the losses at its marks, once for the job and once in the
        block of lanes, or with the parameters at each mark where it is trained alone. As many jobs as are trained wait
        with their rates, and one is laid out for the disk.
        """
        epochs, marks = length
        losses = self.curves * marks
        width = self.width_of(kernel)
        own, jobs = min(width, runs), -(-runs // width)
        training = min(processors(), jobs)
        waiting = min(2 * processors(), jobs) - training
        while_training = width * (epochs + losses) if width > 1 else losses + marks * self.params
        arrays = training * (own * (epochs + losses) + while_training) + waiting * own * epochs
        return ROW_BYTES * runs + 8 * (arrays + 3 * own * losses + marks + 2 * epochs)

    def width_of(self, kernel: str) -> int:
        """Return how many runs a block of a kernel has, the one asked for or the frugal one."""
        return self.width if KERNELS[kernel].width > 1 else 1

    def _fits(self, kernel: str, runs: int, length: Length) -> bool:
        """Return whether there is memory enough, as far as anybody knows."""
        return self.room is None or self.needed(kernel, runs, length) <= self.room


def longest_run(record: str | int, n: int, batch_size: int, epochs: int, *, drop_last: bool) -> Length:
    """Return the length of a run without making a list of its marks, which may not fit; never too few of them."""
    if isinstance(record, int):
        size = samples_per_epoch(n, batch_size, drop_last)
        return Length(epochs, epochs + 1 + epochs * -(-size // batch_size) // record)
    kind, _, per_decade = record.partition(":")
    decades = 20
    return Length(epochs, epochs + 1 + (decades * int(per_decade or PER_DECADE) if kind == "log" else 0))
