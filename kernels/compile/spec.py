"""The specification of a kernel."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sgdbench.kernels.compile.kinds import KERNELS, check_dtype, doubles_in_register, lane_width
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.model import Model
from sgdbench.kernels.model.network import Network
from sgdbench.kernels.optimizers.optimizer import Optimizer
from sgdbench.kernels.optimizers.run_options import kernel_key

MOST_BYTES = 256
"""The size of a lane of sums, at most. Sums do not wait for each other as updates do: longer lanes only spill."""


@dataclass(frozen=True, eq=False)
class KernelSpec:
    """The specification of a kernel for a model, a loss and an optimizer; option values are arguments of the kernel.

    Specifications are equal if they describe the same kernel.

    Attributes
    ----------
    kernel : str
        One of `sgdbench.kernels.compile.kinds.KERNELS`, not "reference".
    options_per_run : bool
        Whether each run that is trained side by side has its own options (`sgdbench.kernels.optimizers.run_options`).
    dtype : str
        The type of the numbers, ``"float64"`` or ``"float32"``.
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
        """The properties that determine the text of a kernel."""
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
        """Whether runs that are trained side by side have their own options."""
        return self.options_per_run and self.width > 1

    @property
    def part(self) -> int:
        """The number of runs whose sums are computed side by side: at most as many as fit the registers."""
        return min(self.width, MOST_BYTES // np.dtype(self.dtype).itemsize)

    @property
    def sums_in_registers(self) -> bool:
        """Whether losses are summed for the runs of one register at a time, whose eight sums stay in registers.

        With exp, whose tables also occupy registers, that would take 10 % longer, and likewise with the hinge loss.
        """
        program = self.model.program
        return self.width > 1 and not isinstance(program, Network) and self.loss.is_squared and program.is_exact

    @property
    def register(self) -> int:
        """The number of runs in a register."""
        return min(self.width, doubles_in_register() * 8 // np.dtype(self.dtype).itemsize)
