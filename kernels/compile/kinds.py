"""The kernels by name, their precision guarantees, and the comparison of two results."""

from collections.abc import Iterable
from functools import cache as once
from typing import NamedTuple

import numpy as np

from sgdbench.kernels.base.checks import describe
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.losses import LOSSES, make_loss
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.model import Model
from sgdbench.kernels.model.network import Network
from sgdbench.kernels.model.program import EXACT_FUNCTIONS, Program
from sgdbench.kernels.optimizers import OPTIMIZERS, make_optimizer
from sgdbench.kernels.optimizers.optimizer import Optimizer

# The largest accepted error of kernels that fuse operations or call functions that are not correctly rounded.
TOLERANCE = 1e-6
# Training can amplify a small difference. Kernels that are not exact are therefore compared only as long as a second
# reference run, whose start is moved by this much, agrees with the first.
NUDGE = 1e-12
# A residual of a thousandth of prediction and target has lost three digits to rounding; its square is this fraction.
ROUNDED = 1e-6
NO_TARGETS = np.zeros(0)
# The vector registers that hold one number of all runs side by side.
REGISTERS = 4
# Models with several dot products per sample and more than MANY_PARAMS parameters train at most this many runs side by
# side: the parameters of 32 runs exceed a first-level cache of 48 KiB.
MAX_RUNS_OF_UNITS, MANY_PARAMS = 16, 192
# Above this many parameters, a pass over the samples is faster than their QR factor.
MOST_PARAMS = 12
# The factor takes about as long as this many passes of one run over the samples; runs side by side share it.
FACTOR_PASSES = 1024


class Kind(NamedTuple):
    """The properties of a kernel.

    Attributes
    ----------
    width : int
        The number of runs that are trained side by side with registers of 512 bits; see `lane_width` for others.
    fma : bool
        Whether a multiplication and an addition may be fused, which changes the last bits.
    """

    width: int = 1
    fma: bool = False


KERNELS = {
    "reference": Kind(),
    "fused": Kind(),
    "fused-fma": Kind(fma=True),
    "lanes": Kind(32),
    "lanes-fma": Kind(32, fma=True),
}
DTYPES = {"float64": tuple(KERNELS), "float32": ("reference", "fused", "lanes")}
"""The numbers that runs compute with, and the kernels that do so."""
FLOAT32_LOSSES = tuple(name for name, build in LOSSES.built_in.items() if build().is_exact)
# All but asgd (uses pow) and polyak (its guard underflows in float32).
FLOAT32_OPTIMIZERS = tuple(name for name in OPTIMIZERS.built_in if name not in {"asgd", "polyak"})
"""The losses and optimizers that have the bits of NumPy in float32 too."""
SINGLE = tuple(name for name, kind in KERNELS.items() if kind.width == 1)
"""The kernels that train one run at a time."""


def check_kernel(kernel: str, accepted: Iterable[str] = KERNELS) -> str:
    """Return `kernel` if its name is among those accepted."""
    accepted = tuple(accepted)
    if not isinstance(kernel, str) or kernel not in accepted:
        trains_many = isinstance(kernel, str) and kernel in KERNELS and KERNELS[kernel].width > 1
        hint = ", which trains many runs: use it in a sweep or with `sgdbench run`" if trains_many else ""
        raise ValueError(f"kernel must be one of {', '.join(accepted)}, not {describe(kernel)}{hint}")
    return kernel


def check_dtype_name(dtype: object) -> str:
    """Return the name of a floating-point type, float64 or float32; NumPy types are accepted too."""
    name = dtype if isinstance(dtype, str) else getattr(dtype, "__name__", getattr(dtype, "name", None))
    if name not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, not {describe(dtype)}")
    return str(name)


def check_dtype(dtype: object, kernel: str, model: Model, loss: Loss, optimizer: Optimizer) -> str:
    """Return the name of the type of numbers of a run; every part must match NumPy bit for bit in it."""
    dtype = check_dtype_name(dtype)
    if kernel not in DTYPES[dtype]:
        kernels = [name for name in DTYPES[dtype] if name in SINGLE or kernel not in SINGLE]  # a fit has no lanes
        raise ValueError(f"kernel must be one of {', '.join(kernels)} with dtype {dtype!r}, not {kernel!r}")
    if dtype == "float32":
        functions = sorted({one.function for one in model.program.instructions} - EXACT_FUNCTIONS)
        if functions:
            reason = f"with {', '.join(functions)}, whose bits differ between kernels"
            raise ValueError(f"dtype must be 'float64' for a model {reason}, not {dtype!r}")
        _check_name("loss", loss.name, FLOAT32_LOSSES)
        rule: Optimizer | None = optimizer
        while rule:
            _check_name("optimizer", rule.name, FLOAT32_OPTIMIZERS)
            rule = rule.inner
    return dtype


def _check_name(kind: str, name: str, accepted: tuple[str, ...]) -> None:
    if name not in accepted:
        raise ValueError(f"{kind} must be one of {', '.join(accepted)} with dtype 'float32', not {name!r}")


def is_exact(model: Model, kernel: str, loss: str | Loss, optimizer: str | Optimizer = "sgd") -> bool:
    """Return whether a kernel is guaranteed to match the reference bit for bit with this model, loss and optimizer."""
    parts_are_exact = model.program.is_exact and make_loss(loss).is_exact and make_optimizer(optimizer).is_exact
    return parts_are_exact and not KERNELS[kernel].fma


def lane_width(kernel: str, dtype: str, program: Program | Network, loss: Loss) -> int:
    """Return the number of runs that a kernel trains side by side; it changes no bits of their results.

    Exact models in float64 have as many runs as fill `REGISTERS` vector registers. For the quadratic, theta and lr then
    occupy 16 registers, half of those of AVX-512 and arm64, so that an update needs no stack access. AVX2 has only 16
    registers in all: half of its operations access the stack, and still 16 runs take 0.69 ns per update, 32 runs 0.71,
    and 8 runs, whose updates wait for results, 0.80. In batches and in float32, twice as many runs cost 5 to 45 %.

    In float32 a register holds twice as many runs. With functions such as exp in the model or in the loss, lanes use
    twice the registers: one exp has the latency of the arithmetic of eight updates, and updates that wait for it take
    two thirds of the time with AVX-512.

    Models of several units with many parameters have at most 16 runs. Sweeps of shuffled samples train few runs per
    order: 14 runs of softmax regression on 64 inputs take half the time of 14 runs in 32 places, and 32 or 96 runs take
    as long in either.
    """
    if KERNELS[kernel].width == 1:
        return 1
    width = REGISTERS * doubles_in_register()
    has_units = isinstance(program, Network) and any(layer.units > 1 for layer in program.layers)
    if has_units and program.params > MANY_PARAMS:
        width = min(width, MAX_RUNS_OF_UNITS)
    # Functions account for little of the time of a model with vectors.
    waits = not ((program.is_exact and loss.is_exact) or isinstance(program, Network))
    return 2 * width if dtype == "float32" or waits else width


@once
def doubles_in_register() -> int:
    """Return the doubles per vector register of the processor that code is compiled for: 8, 4 or 2.

    Querying LLVM takes 0.1 ms.
    """
    import numba  # noqa: PLC0415 (heavy, and studies are checked without it)

    from sgdbench.kernels.base.numba_internals import features_of  # noqa: PLC0415

    if numba.config.DISABLE_JIT:  # lanes are arrays then, whose operations take as long for many runs as for few
        return 8
    features = features_of()
    return 8 if "+avx512f" in features else 4 if "+avx" in features else 2


def has_factor(program: Program | Network, *, squared: bool) -> bool:
    """Return whether a model's recorded loss is a sum of squares that the QR factor of the samples gives."""
    return squared and isinstance(program, Program) and program.is_linear and program.params <= MOST_PARAMS


def takes_factor(kernel: str, model: Model, loss: Loss, losses: int) -> bool:
    """Return whether a kernel computes the `losses` recorded losses of a run from the factor of the samples.

    The answer depends neither on the number of runs nor on the width of lanes, so that a run has the same losses
    whatever is trained beside it.
    """
    kind = KERNELS[kernel]
    if not (kind.fma and kind.width > 1 and has_factor(model.program, squared=loss.is_squared)):
        return False
    return losses * kind.width >= FACTOR_PASSES


def largest_error(found: Floats, expected: Floats) -> float:
    """Return the largest difference, relative where the expected value exceeds 1; inf if the lengths differ.

    Values that are not finite in both are equal: near the end of the range, rounding decides between inf and nan.
    """
    return float(_errors(found, expected).max(initial=0.0)) if found.shape == expected.shape else np.inf


def largest_loss_error(found: Floats, expected: Floats, y: Floats = NO_TARGETS) -> float:
    """Return the largest relative difference of a loss, among losses that are more than rounding errors.

    These exceed `ROUNDED` times the mean square of the targets y, or times the largest loss if there are no targets.
    Expected losses that are not finite are ignored. The result is inf if the lengths differ.
    """
    if found.shape != expected.shape:
        return np.inf
    finite = np.isfinite(expected)
    size = np.mean(y**2) if y.any() else expected[finite].max(initial=0.0)
    comparable = finite & (expected > ROUNDED * size)
    with np.errstate(invalid="ignore"):
        errors = np.abs(found[comparable] - expected[comparable]) / expected[comparable]
    return float(np.nan_to_num(errors, nan=np.inf, posinf=np.inf).max(initial=0.0))


def count_agreeing(found: Floats, expected: Floats) -> int:
    """Return the number of leading values that agree within the tolerance."""
    size = min(found.size, expected.size)
    agree = _errors(found[:size], expected[:size]) <= TOLERANCE
    return size if agree.all() else int(np.argmin(agree))


def _errors(found: Floats, expected: Floats) -> Floats:
    """Return the difference of each value; see `largest_error`."""
    same = ~(np.isfinite(found) | np.isfinite(expected))
    with np.errstate(invalid="ignore", over="ignore"):
        errors = np.abs(found - expected) / np.maximum(np.abs(expected), 1)
    return np.where(same, 0.0, np.nan_to_num(errors, nan=np.inf, posinf=np.inf))
