"""How many runs a kernel trains side by side: what fills the registers, or hides how long functions take."""

import numba

from kernels.base.numba_internals import features_of
from kernels.compile.kinds import KERNELS
from kernels.losses.loss import Loss
from kernels.model.program import Program


def lane_width(kernel: str, dtype: str, program: Program, loss: Loss) -> int:
    """Return how many runs a kernel trains side by side: in float32 twice as many, which fill as many registers.

    With exp and the like in the model or in the loss, lanes are twice as wide where registers have 512 bits: an exp
    from its argument to its value takes as long as the arithmetic of eight registers, and an update, which waits for
    it, takes two thirds of the time. Where they have 256, that many runs fill them twice over already.

    Parameters
    ----------
    kernel : str
        One of `kernels.compile.kinds.KERNELS`.
    dtype : str
    program : Program
        Of the model.
    loss : Loss
    """
    width = KERNELS[kernel].width
    if width == 1:
        return width
    if dtype == "float32":  # which has no such functions
        return 2 * width
    is_exact = program.is_exact and loss.is_exact
    return width if is_exact or not _has_wide_registers() else 2 * width


def _has_wide_registers() -> bool:
    """Return whether code is compiled for AVX-512."""
    return not numba.config.DISABLE_JIT and "+avx512f" in features_of()
