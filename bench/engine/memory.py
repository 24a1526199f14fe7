"""The memory that training takes, estimated in advance, and the kernel that needs least.

Lanes train 8 to 64 runs at a time and pad smaller groups, so that a few very long runs take ten times what they need;
`fused` gives the same bits one run at a time.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sgdbench.engine.problem import Problem
from sgdbench.kernels.base.memory import available_memory, check_memory
from sgdbench.kernels.compile.kinds import KERNELS, is_exact, lane_width
from sgdbench.kernels.data.checkpoints import most_checkpoints
from sgdbench.kernels.model.layers import MAX_PARAMS
from sgdbench.system.environment import processors
from sgdbench.tables.words import format_count

# Lanes are used for blocks up to this many bytes, however few runs they hold.
SMALL_BLOCK = 2**26
# From this many runs on, lanes are faster than one run after another: for models without vectors, for those with
# vectors that are written out, for those with several units, and for others, whose single runs use eight weights at a
# time.
MIN_RUNS, MIN_RUNS_WRITTEN_OUT, MIN_RUNS_WITH_UNITS, MIN_RUNS_WITH_VECTORS = 3, 8, 5, 16
# The time of a block of lanes per parameter and update (a loss of a sample takes half as much), and about how long a
# kernel takes to compile.
LANES_SECONDS, COMPILE_SECONDS = 4e-9, 2.0
# Settings, id and result of a configuration, in tables that are joined.
ROW_BYTES = 1000
# Copies of the parameters of a configuration: start, current state, end, and those made while a plan is hashed and
# written; with patience, also those of the lowest loss. Measured: about 8 if each run has its own start, and 5 to 7 if
# runs share starts. Those of a model without vectors are few, and part of its row.
PARAM_COPIES, PARAM_COPIES_OF_LOWEST = 8, 2


@dataclass(frozen=True)
class Memory:
    """The memory for runs of a problem, whose settings have the requested kernel.

    `frugal` is the kernel with the same bits that needs least, and `room` the available bytes, infinite if unknown. A
    block of the kernel has `width` runs; those of float32 are larger.
    """

    problem: Problem
    frugal: str
    room: float
    width: int

    @classmethod
    def of(cls, problem: Problem, *, single: bool = False) -> "Memory":
        """Return the memory available for runs of a problem; `single` if any of them is of float32."""
        model, settings = problem.model, problem.settings
        exact = is_exact(model, settings.kernel, settings.loss) and KERNELS[settings.kernel].width > 1
        frugal = "fused" if exact else settings.kernel
        dtype = "float32" if single else "float64"
        width = lane_width(settings.kernel, dtype, model.program, problem.loss)
        room = available_memory()
        return cls(problem, frugal, math.inf if room is None else room, width)

    def choose_kernels(self, groups: Sequence[tuple[int, int]]) -> list[str]:
        """Return a kernel for each group, given by its numbers of runs and of checkpoints.

        Groups of few runs leave most places of lanes empty. They are trained run by run if that saves more time than
        compiling another kernel takes.
        """
        is_long, few = self.have_empty_places(groups), self.few
        return [
            self.frugal if is_long and runs < few else self.choose_kernel(runs, checkpoints)
            for runs, checkpoints in groups
        ]

    def have_empty_places(self, groups: Sequence[tuple[int, int]]) -> bool:
        """Return whether the lanes of groups of few runs would take longer than compiling a kernel for single runs."""
        n, epochs = self.problem.y.size, self.problem.settings.epochs
        visits = sum(n * (epochs + checkpoints / 2) for runs, checkpoints in groups if runs < self.few)
        return LANES_SECONDS * visits * len(self.problem.model.params) > COMPILE_SECONDS

    @property
    def few(self) -> int:
        """The number of runs from which on lanes are faster."""
        model = self.problem.model
        if not model.by_row:
            return MIN_RUNS_WRITTEN_OUT if model.vectors else MIN_RUNS
        return MIN_RUNS_WITH_UNITS if model.hidden or model.classes > 1 else MIN_RUNS_WITH_VECTORS

    def choose_kernel(self, runs: int, checkpoints: int) -> str:
        """Return the kernel for runs that could be trained side by side, as far as memory decides it."""
        kernel, epochs = self.problem.settings.kernel, self.problem.settings.epochs
        block = 8 * self.width_of(kernel) * (epochs + checkpoints)
        fits = block <= SMALL_BLOCK or (runs >= self.few and self.needed(kernel, runs, checkpoints) <= self.room)
        return kernel if fits else self.frugal

    def check(self, runs: int, batch_size: int) -> None:
        """Refuse runs that do not fit into memory with any kernel, and report how much they need.

        The batch size is the smallest, with which runs have most checkpoints.
        """
        settings, n, params = self.problem.settings, self.problem.y.size, len(self.problem.model.params)
        checkpoints = most_checkpoints(settings.record, n, batch_size, settings.epochs, drop_last=settings.drop_last)
        check_memory(
            self.needed(self.frugal, runs, checkpoints),
            self.room,
            "epochs, record or the grid must ask for less: training takes about",
            f": {format_count(runs, 'configuration')} of {settings.epochs:,} epochs, with losses at up to "
            f"{checkpoints:,} checkpoints" + (f", and {params:,} parameters each" if params > MAX_PARAMS else ""),
        )

    def needed(self, kernel: str, runs: int, checkpoints: int) -> int:
        """Return about how many bytes are needed if each job is as small as possible.

        A run has the rates of its epochs and the losses at its checkpoints, once in the job and once in the block of
        lanes, or with the parameters at each checkpoint if it is trained alone. As many jobs as are being trained wait
        with their rates, and one is being written to disk.
        """
        epochs, params, width = self.problem.settings.epochs, len(self.problem.model.params), self.width_of(kernel)
        losses = checkpoints if self.problem.held_out is None else 2 * checkpoints
        # Models with vectors record only the parameters at the last checkpoint.
        recorded = 1 if params > MAX_PARAMS else checkpoints
        own, jobs = min(width, runs), -(-runs // width)
        training = min(processors(), jobs)
        waiting = min(2 * processors(), jobs) - training
        while_training = width * (epochs + losses) if width > 1 else losses + recorded * params
        arrays = training * (own * (epochs + losses) + while_training) + waiting * own * epochs
        if params > MAX_PARAMS:
            copies = PARAM_COPIES + PARAM_COPIES_OF_LOWEST * (self.problem.settings.patience is not None)
            arrays += copies * params * (runs + training * width)
        return ROW_BYTES * runs + 8 * (arrays + 3 * own * losses + checkpoints + 2 * epochs)

    def width_of(self, kernel: str) -> int:
        """Return the number of runs in a block of one of the two kernels."""
        return self.width if KERNELS[kernel].width > 1 else 1
