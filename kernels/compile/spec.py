"""What a kernel is made for."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kernels.compile.kinds import KERNELS, check_dtype, doubles_in_register, lane_width
from kernels.losses.loss import Loss
from kernels.model.model import Model
from kernels.model.network import Network
from kernels.optimizers.optimizer import Optimizer
from kernels.optimizers.run_options import kernel_key

MOST_BYTES = 256
"""The size of a lane of sums, at most. Sums do not wait for each other as updates do: longer lanes only spill."""


@dataclass(frozen=True, eq=False)
class KernelSpec:
    """A kernel for a model, a loss and an optimizer; the values of their options are arguments of it.

    Specifications are equal where they are of the same kernel.

    Attributes
    ----------
    kernel : str
        One of `kernels.compile.kinds.KERNELS`, not "reference".
    options_per_run : bool
        Whether each run that is trained side by side has options of its own (`kernels.optimizers.run_options`).
    dtype : str
        The numbers to compute with, ``"float64"`` or ``"float32"``.
    """

    kernel: str
    model: Model
    loss: Loss
    optimizer: Optimizer
    options_per_run: bool = False
    dtype: str = "float64"

    def __post_init__(self) -> None:
        check_dtype(self.dtype, self.kernel, self.model, self.loss, self.optimizer)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KernelSpec) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @cached_property
    def _key(self) -> Hashable:
        """What kernels have in common whose text is the same."""
        loss = self.loss
        of_loss = loss.value, loss.derivative, tuple(loss.options), loss.of_residual, loss.is_squared, loss.by_class
        return self.kernel, self.model.program, of_loss, kernel_key(self.optimizer), self.own_options, self.dtype

    @property
    def fma(self) -> bool:
        """Whether a multiplication and an addition may be fused, which changes the last bits."""
        return KERNELS[self.kernel].fma

    @cached_property
    def width(self) -> int:
        """The number of runs that are trained side by side."""
        return lane_width(self.kernel, self.dtype, self.model.program, self.loss)

    @property
    def own_options(self) -> bool:
        """Whether runs that are trained side by side have options of their own."""
        return self.options_per_run and self.width > 1

    @property
    def part(self) -> int:
        """The number of runs of which sums are taken side by side: no more than registers hold."""
        return min(self.width, MOST_BYTES // np.dtype(self.dtype).itemsize)

    @property
    def sums_in_registers(self) -> bool:
        """Whether losses are summed for the runs of one register at a time, whose eight sums stay in registers.

        With exp, whose tables need registers too, that would take a tenth longer, and so would the hinge loss.
        """
        program = self.model.program
        return self.width > 1 and not isinstance(program, Network) and self.loss.is_squared and program.is_exact

    @property
    def register(self) -> int:
        """The number of runs in a register."""
        return min(self.width, doubles_in_register() * 8 // np.dtype(self.dtype).itemsize)
