"""The attainable loss: the lowest loss that a model can reach on its samples; and the loss of the best constant."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.data.pieces import variance
from sgdbench.kernels.data.samples import Samples
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.model import Model
from sgdbench.kernels.train.fit_quality import least_squares
from sgdbench.kernels.train.local_search import FULLY_SEARCHED_SAMPLES, mean_and_gradient
from sgdbench.kernels.train.lowest_of_linear import lowest_of_linear, lowest_of_scores
from sgdbench.kernels.train.lowest_of_nonlinear import lowest_of_nonlinear

TARGET_SHARE = 0.01
"""By default a run has converged if it misses at most this fraction of the improvement over the best constant."""
ARRIVED_SHARE = 0.05
"""A run that leaves more than this share of it has not arrived, and is given advice."""
FLOAT64_ROUNDING = 1e-9
"""A model that improves on the best constant by no more than this share of its loss does so by rounding."""
# Float32 runs ended up to a factor of 5e-5 below a lowest loss that was a millionth of the constant's.
FLOAT32_ROUNDING = 1e-3
# With more samples, intermediate results of SciPy's minimizers would not fit into memory.
MAX_SAMPLES = 10_000_000
# Above this many parameters, minimizing even a linear model takes minutes.
MAX_PARAMS = 1000
# Above this many parameters, nonlinear models take minutes, and linear ones longer than the display of a result may.
MAX_NONLINEAR_PARAMS = 100
# Number of run starts from which the lowest loss of a nonlinear model is searched.
MAX_STARTS = 8
# Losses that a scan for the best constant may evaluate; with few samples, one at each of their targets.
MAX_SCANNED_LOSSES = 100_000
BEST_CONSTANT, BEST_START = "the best constant", "the best start"


@dataclass(frozen=True, eq=False)
class AttainableLoss:
    """The range of a loss: the lowest attainable value, and the loss of the best constant prediction.

    Attributes
    ----------
    loss : float
        The lowest loss that the model reaches on the training samples; nan if unknown.
    constant_loss : float
        The loss of the best constant prediction; if the model itself is minimized, that of the best start.
    params : array, shape (P,), or None
        The parameters with the lowest loss; None if unknown, or approached only as parameters grow without bound.
    method : str
        How it was found, such as ``"least squares"``.
    note : str
        Why it is unknown, or a caveat; else empty.
    baseline : str
        A description of the prediction whose loss is `constant_loss`.
    floor, held_out_floor : float
        The distance to the lowest loss, and the held-out loss, below which differences are insignificant; 0 if all
        differences count.
    rounding : float
        The loss below which differences are due to rounding; 0 if this was not determined.
    held_out_constant : float
        The loss on the held-out samples of the constant that is best for them; nan if there are none.
    """

    loss: float
    constant_loss: float
    params: Floats | None
    method: str
    note: str = ""
    baseline: str = BEST_CONSTANT
    floor: float = 0.0
    held_out_floor: float = 0.0
    rounding: float = 0.0
    held_out_constant: float = math.nan

    @property
    def improvement(self) -> float:
        """The loss of the best constant minus the lowest loss; nan if that is not positive, or unknown."""
        gain = self.constant_loss - self.loss
        return gain if gain > FLOAT64_ROUNDING * abs(self.constant_loss) else math.nan

    @property
    def target(self) -> float | None:
        """The lowest loss plus 1 % of the improvement, to four digits; None if there is no improvement."""
        target = self.loss + TARGET_SHARE * self.improvement
        if not math.isfinite(target):
            return None
        digits = 3 - math.floor(math.log10(TARGET_SHARE * self.improvement))
        return float(round(target, digits))

    def remaining(self, loss: float) -> float:
        """Return the fraction of the improvement that a loss misses: 0 at the lowest loss, 1 at the best constant."""
        return max(loss - self.loss, 0.0) / self.improvement

    def describe(self, loss: float) -> str:
        """Return a sentence on the lowest loss and how far `loss` is above it."""
        if not math.isfinite(self.loss):
            return f"unknown: {self.note}"
        lowest = f"{self.loss:.6g} by {self.method}" + (f" ({self.note})" if self.note else "")
        if math.isnan(self.improvement):
            return f"{lowest}, which is not below the loss of {self.baseline}"
        if not math.isfinite(loss):
            return lowest
        remaining = self.remaining(loss)
        if remaining >= 1:
            known = "predicting a constant" if self.baseline == BEST_CONSTANT else self.baseline
            return f"{lowest}; the run is no better than {known} ({self.constant_loss:.6g})"
        return f"{lowest}; {format_share(remaining)} of the achievable improvement is still missing"

    def lowered(self, loss: float, params: Floats, method: str, dtype: str = "float64") -> "AttainableLoss":
        """Return a copy with a lower loss found elsewhere if it is lower by more than rounding, else `self`."""
        rounding = FLOAT32_ROUNDING if dtype == "float32" else FLOAT64_ROUNDING
        if not loss < self.loss - rounding * abs(self.loss):
            return self
        return replace(self, loss=loss, params=params, method=method)


def format_share(share: float) -> str:
    """Return a fraction in percent with two digits: "0.4 %", "less than 0.01 %"."""
    percent = 100 * share
    whole = 99.5 <= percent < 1e6
    return "less than 0.01 %" if percent < 0.01 else f"{percent:,.0f} %" if whole else f"{percent:.2g} %"


@np.errstate(all="ignore")  # losses that overflow are discarded
def find_attainable_loss(model: Model, loss: Loss, samples: Samples, starts: ArrayLike = ()) -> AttainableLoss:
    """Return the attainable loss of a model and a loss on samples.

    Linear models with the squared loss use QR factors, piece by piece. Others use SciPy:
    `scipy.optimize.least_squares` for squares of nonlinear residuals, linear programming for linear models with losses
    that have kinks, and L-BFGS-B otherwise, from some of the `starts` of runs, shape (..., P), and from random ones if
    there may be several minima.
    """
    if reason := _too_large(model, loss, samples[1].size):
        return unknown_loss(reason)
    if loss.is_squared and model.is_linear:
        params, lowest = least_squares(model, samples)
        if not np.isfinite(lowest):
            lost = "the model is not finite at a sample" if np.isnan(params).any() else "no finite loss was found"
            return unknown_loss(lost)
        return AttainableLoss(lowest, variance(samples[1]), params, "least squares")
    x, y = samples
    name = "objective" if loss.name == "objective" else "loss"
    if model.is_linear and loss.by_class:
        minimum = lowest_of_scores(model, loss, x, y)
    elif model.is_linear and name == "loss":
        minimum = lowest_of_linear(model, loss, x, y)
    else:
        some = np.unique(np.reshape(starts, (-1, len(model.params))), axis=0)[:MAX_STARTS]
        minimum = lowest_of_nonlinear(model, loss, x, y, list(some))
    if minimum is None or minimum.loss == -np.inf:
        return unknown_loss(f"no finite {name} was found" if minimum is None else f"the {name} has no lower bound")
    if name == "loss":
        return AttainableLoss(minimum.loss, constant_loss(loss, y), minimum.params, minimum.method, minimum.note)
    # A function of the parameters has no predictions, and so no best constant.
    objective = mean_and_gradient(model.program, loss, x, y)
    baseline = min((value for start in some if np.isfinite(value := objective(start)[0])), default=math.nan)
    return AttainableLoss(minimum.loss, baseline, minimum.params, minimum.method, minimum.note, BEST_START)


def _too_large(model: Model, loss: Loss, n: int) -> str:
    """Return why the lowest loss is not searched for, or an empty text."""
    most = MAX_PARAMS if model.is_linear else MAX_NONLINEAR_PARAMS
    if len(model.params) > most:
        kind = "linear" if model.is_linear else "nonlinear"
        return f"it is not computed for {kind} models with more than {most:,} parameters"
    if n > MAX_SAMPLES and not (loss.is_squared and model.is_linear):
        return f"with more than {MAX_SAMPLES:,} samples it is computed only for the squared loss of linear models"
    return ""


def is_found_at_once(model: Model, loss: Loss, samples: Samples) -> bool:
    """Return whether finding the attainable loss takes few passes over the samples, or the samples are few."""
    if len(model.params) > MAX_NONLINEAR_PARAMS:
        return False
    return (loss.is_squared and model.is_linear) or samples[1].size <= FULLY_SEARCHED_SAMPLES


def unknown_loss(reason: str) -> AttainableLoss:
    """Return an unknown attainable loss with the reason."""
    return AttainableLoss(math.nan, math.nan, None, "", reason)


def constant_loss(loss: Loss, y: Floats) -> float:
    """Return the mean loss of the best constant, found by a scan and refined between neighbouring points."""
    from scipy.optimize import minimize_scalar  # noqa: PLC0415 (heavy)

    def mean_loss(constant: float) -> float:
        with np.errstate(all="ignore"):
            loss_arguments = loss.arguments(constant - y if loss.of_residual else np.full(y.size, constant), y)
            return float(np.mean(loss.recorded(loss_arguments)))

    if loss.is_squared:
        return variance(y)
    if loss.by_class or loss.name == "logistic":
        # The best scores are the logarithms of the class frequencies, the best log odds their difference.
        shares = np.unique(y, return_counts=True)[1] / y.size
        return float(-np.sum(shares * np.log(shares)))
    if loss.name == "poisson":
        # The best rate is the mean; if all counts are 0, the loss tends to 0 as the constant decreases.
        return mean_loss(math.log(np.mean(y))) if y.any() else 0.0
    # A loss that is not convex, such as cauchy, may be lowest near any of the targets.
    steps = max(1, min(y.size, MAX_SCANNED_LOSSES // y.size) - 1)
    levels = np.linspace(0, 1, steps * math.ceil(40 / steps) + 1)  # at the targets, and between them if they are few
    scan = np.unique(np.quantile(y, levels)) if loss.of_residual else np.linspace(-30.0, 30.0, 121)
    losses = np.array([mean_loss(constant) for constant in scan.tolist()])
    losses[~np.isfinite(losses)] = np.inf
    best = int(np.argmin(losses))
    low, high = float(scan[max(best - 1, 0)]), float(scan[min(best + 1, scan.size - 1)])
    if low < high:
        # As a fraction of the way between the neighbours, because SciPy's tolerances are absolute.
        refined = minimize_scalar(
            lambda share: mean_loss(low + share * (high - low)),
            bounds=(0.0, 1.0),
            method="bounded",
            options={"xatol": 1e-10},
        )
        return float(min(losses[best], refined.fun))
    return float(losses[best])
