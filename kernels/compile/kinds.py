"""The kernels by name, the promise of each, and whether two results agree."""

from collections.abc import Iterable
from functools import cache as once
from typing import NamedTuple

import numpy as np

from kernels.base.checks import describe
from kernels.base.run import Floats
from kernels.losses import LOSSES, make_loss
from kernels.losses.loss import Loss
from kernels.model.model import Model
from kernels.model.network import Network
from kernels.model.program import EXACT, Program
from kernels.optimizers import OPTIMIZERS, make_optimizer
from kernels.optimizers.optimizer import Optimizer

# The largest error of fused operations and of functions that are not correctly rounded, for which no bits are promised.
TOLERANCE = 1e-6
# Training can amplify a small difference. So where no bits are promised, a run is compared only as long as the
# reference, from a start that is this far off, agrees with itself.
NUDGE = 1e-12
# A residual that is a thousandth of prediction and target has lost three digits to rounding.
ROUNDED = 1e-6
NO_TARGETS = np.zeros(0)
# The vector registers that a lane of runs fills.
REGISTERS = 4
# The most runs side by side of models that take several dots of a sample, with more parameters than this: those of 32
# runs do not fit a first cache of 48 KiB.
RUNS_OF_UNITS, MANY_PARAMS = 16, 192
# Losses of models with many more parameters take less time from a pass over the samples than from their QR factor.
MOST_PARAMS = 12
# A factor takes about as long as this many passes of one run over the samples; runs side by side share it.
PASSES = 1024


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
# Not asgd, which takes powers of a rate, and polyak, whose smallest divisor is 0 in float32.
FLOAT32_OPTIMIZERS = tuple(name for name in OPTIMIZERS.built_in if name not in {"asgd", "polyak"})
"""The losses and optimizers that have the bits of NumPy in float32 too."""
SINGLE = tuple(name for name, kind in KERNELS.items() if kind.width == 1)
"""The kernels that train one run at a time."""


def check_kernel(kernel: str, accepted: Iterable[str] = KERNELS) -> str:
    """Return the name of a kernel as it is; it must be one of those accepted."""
    accepted = tuple(accepted)
    if not isinstance(kernel, str) or kernel not in accepted:
        raise ValueError(f"kernel must be one of {', '.join(accepted)}, not {describe(kernel)}")
    return kernel


def check_dtype_name(dtype: object) -> str:
    """Return the name of a type of numbers, float64 or float32, which may be a type of NumPy's."""
    name = dtype if isinstance(dtype, str) else getattr(dtype, "__name__", getattr(dtype, "name", None))
    if name not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, not {describe(dtype)}")
    return str(name)


def check_dtype(dtype: object, kernel: str, model: Model, loss: Loss, optimizer: Optimizer) -> str:
    """Return the name of the type of numbers of a run, in which all its parts must have the bits of NumPy."""
    dtype = check_dtype_name(dtype)
    if kernel not in DTYPES[dtype]:
        known = [name for name in DTYPES[dtype] if name in SINGLE or kernel not in SINGLE]  # a fit takes no lanes
        raise ValueError(f"kernel must be one of {', '.join(known)} with dtype {dtype!r}, not {kernel!r}")
    if dtype == "float32":
        functions = sorted({one.function for one in model.program.instructions} - EXACT)
        if functions:
            reason = f"with {', '.join(functions)}, whose bits differ between kernels"
            raise ValueError(f"dtype must be 'float64' for a model {reason}, not {dtype!r}")
        _check_name("loss", loss.name, FLOAT32_LOSSES)
        made: Optimizer | None = optimizer
        while made:
            _check_name("optimizer", made.name, FLOAT32_OPTIMIZERS)
            made = made.inner
    return dtype


def _check_name(kind: str, name: str, accepted: tuple[str, ...]) -> None:
    if name not in accepted:
        raise ValueError(f"{kind} must be one of {', '.join(accepted)} with dtype 'float32', not {name!r}")


def is_exact(model: Model, kernel: str, loss: str | Loss, optimizer: str | Optimizer = "sgd") -> bool:
    """Return whether a kernel promises the same bits as the reference for this model, loss and optimizer."""
    parts_are_exact = model.program.is_exact and make_loss(loss).is_exact and make_optimizer(optimizer).is_exact
    return parts_are_exact and not KERNELS[kernel].fma


def lane_width(kernel: str, dtype: str, program: Program | Network, loss: Loss) -> int:
    """Return the number of runs that a kernel trains side by side, which changes none of their bits.

    Exact models in float64 have as many as fill `REGISTERS` vector registers. Of the quadratic, theta and the rate then
    take 16, half of those that AVX-512 and arm64 have, so that an update does not wait for the stack. AVX2 has no more
    than 16. Half of its operations access the stack, and still 16 runs take 0.69 ns an update, 32 runs 0.71 and 8 runs,
    which wait for one another's results instead, 0.80. In batches and in float32, twice as many runs cost 5 to 45 %.

    In float32 a register holds twice as many. With functions such as exp in the model or in the loss, lanes take twice
    the registers: one exp has the latency of the arithmetic of eight, and updates that wait for it take two thirds of
    the time with AVX-512.

    Models of several units with many parameters have 16 runs at most. Sweeps of shuffled samples train few runs in each
    order: 14 runs of softmax regression on 64 inputs take half of the time that they take among 32 places, and 32 or
    96 runs as long.
    """
    if KERNELS[kernel].width == 1:
        return 1
    width = REGISTERS * doubles_in_register()
    has_units = isinstance(program, Network) and any(layer.units > 1 for layer in program.layers)
    if has_units and program.params > MANY_PARAMS:
        width = min(width, RUNS_OF_UNITS)
    # The functions of a model with vectors take little of its time.
    waits = not ((program.is_exact and loss.is_exact) or isinstance(program, Network))
    return 2 * width if dtype == "float32" or waits else width


@once
def doubles_in_register() -> int:
    """Return the doubles in a vector register of the processor that code is compiled for: 8, 4 or 2.

    To ask LLVM takes 0.1 ms.
    """
    import numba  # noqa: PLC0415 (heavy, and studies are checked without it)

    from kernels.base.numba_internals import features_of  # noqa: PLC0415

    if numba.config.DISABLE_JIT:  # lanes are arrays, whose operations take as long for many runs as for few
        return 8
    features = features_of()
    return 8 if "+avx512f" in features else 4 if "+avx" in features else 2


def has_factor(program: Program | Network, *, squared: bool) -> bool:
    """Return whether the recorded loss of a model is a sum of squares that the QR factor of the samples has."""
    return squared and isinstance(program, Program) and program.is_linear and program.params <= MOST_PARAMS


def takes_factor(kernel: str, model: Model, loss: Loss, losses: int) -> bool:
    """Return whether a kernel takes the losses of a run, of which there are `losses`, from the factor of the samples.

    It depends neither on the number of runs nor on the width of lanes: a run has the same losses whatever is trained
    beside it, and wherever.
    """
    kind = KERNELS[kernel]
    if not (kind.fma and kind.width > 1 and has_factor(model.program, squared=loss.is_squared)):
        return False
    return losses * kind.width >= PASSES


def largest_error(found: Floats, expected: Floats) -> float:
    """Return the largest difference, relative where the expected value exceeds 1; inf for another length.

    Values that are not finite in both are the same: near the end of the range a rounding decides between inf and nan.
    """
    return float(_errors(found, expected).max(initial=0.0)) if found.shape == expected.shape else np.inf


def largest_loss_error(found: Floats, expected: Floats, y: Floats = NO_TARGETS) -> float:
    """Return the largest difference of a loss relative to it, among the losses that are more than rounding errors.

    Those losses exceed `ROUNDED` times the mean square of the targets y, or the largest loss where there are none.
    Expected losses that are not finite do not count; inf for another length.
    """
    if found.shape != expected.shape:
        return np.inf
    finite = np.isfinite(expected)
    size = np.mean(y**2) if y.any() else expected[finite].max(initial=0.0)
    known = finite & (expected > ROUNDED * size)
    with np.errstate(invalid="ignore"):
        errors = np.abs(found[known] - expected[known]) / expected[known]
    return float(np.nan_to_num(errors, nan=np.inf, posinf=np.inf).max(initial=0.0))


def count_agreeing(found: Floats, expected: Floats) -> int:
    """Return the number of values that agree within the tolerance, from the first on."""
    size = min(found.size, expected.size)
    agree = _errors(found[:size], expected[:size]) <= TOLERANCE
    return size if agree.all() else int(np.argmin(agree))


def _errors(found: Floats, expected: Floats) -> Floats:
    """Return the difference of each value; see `largest_error`."""
    same = ~(np.isfinite(found) | np.isfinite(expected))
    with np.errstate(invalid="ignore", over="ignore"):
        errors = np.abs(found - expected) / np.maximum(np.abs(expected), 1)
    return np.where(same, 0.0, np.nan_to_num(errors, nan=np.inf, posinf=np.inf))
