"""Check of whether a fit has converged to the lowest loss of its model, in a short time compared with the fit."""

import numpy as np

from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.data.samples import Samples
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.model import Model
from sgdbench.kernels.train.attainable_loss import (
    ARRIVED_SHARE,
    TARGET_SHARE,
    AttainableLoss,
    constant_loss,
    find_attainable_loss,
    format_share,
    is_found_at_once,
)
from sgdbench.kernels.train.fit_result import FitResult
from sgdbench.kernels.train.local_search import descend, mean_and_gradient

MAX_NUMBERS = 200_000
"""Samples times parameters up to which the lowest loss is searched for."""
MAX_EVALUATIONS = 100
"""Evaluations of the search for a lower loss near the end of a run."""
POOR_SHARE = 0.5
"""If a curve's loss exceeds this fraction of the best constant's, other minima are searched for."""


def describe_shortfall(result: FitResult, model: Model, *, weighted: bool) -> str:
    """Return a sentence on how far above the lowest loss a run ended; "" if it has converged.

    A run has converged if it misses at most 1 % of the improvement over the best constant, or 5 % if the loss decreases
    forever, as for separable classes. The lowest loss is that of the model if it is linear, otherwise that of a local
    search from the end. With weights, which recorded losses ignore, and for large data, a run has not converged if its
    loss still falls.
    """
    if weighted:
        return _describe_fall(result.loss)
    samples, end = (result.x[: len(model.inputs)], result.y), float(result.loss[-1])
    attainable = _find_attainable_loss(model, result.criterion, samples, result)
    constant = attainable.constant_loss if attainable else constant_loss(result.criterion, result.y)
    # A linear model without a constant may have no better parameters.
    if end >= constant and not (attainable and model.is_linear):
        return "The fit is no better than a constant. "
    if attainable is None:
        return _describe_fall(result.loss)
    gain = attainable.improvement if np.isfinite(attainable.improvement) else constant
    remaining = (end - attainable.loss) / gain if gain else 0.0
    if not remaining > (ARRIVED_SHARE if attainable.params is None else TARGET_SHARE):
        return ""
    if remaining >= 1 and np.isfinite(attainable.improvement):
        return "The fit is no better than a constant. "
    return f"The fit has not converged: {format_share(remaining)} of the achievable improvement is still missing. "


def _find_attainable_loss(model: Model, loss: Loss, samples: Samples, result: FitResult) -> AttainableLoss | None:
    """Return the lowest loss (for a nonlinear model, near the end of a run); None if that would take long."""
    x, y = samples
    is_small = y.size * len(model.params) <= MAX_NUMBERS
    if model.is_linear:
        if not (is_found_at_once(model, loss, samples) and (is_small or loss.is_squared)):
            return None
        attainable = find_attainable_loss(model, loss, samples)
        return attainable if np.isfinite(attainable.loss) else None
    if not is_small:
        return None
    end, constant = float(result.loss[-1]), constant_loss(loss, y)
    objective = mean_and_gradient(model.program, loss, x, y)
    lowest, params, _ = descend(objective, result.params, times=1, steps=MAX_EVALUATIONS)
    if min(end, lowest) > POOR_SHARE * constant and not model.vectors:
        # Another minimum may be far lower, but a global search takes longer than the fit.
        attainable = find_attainable_loss(model, loss, samples, result.params)
        if attainable.loss < lowest:
            return attainable
    return AttainableLoss(lowest, constant, params, "L-BFGS")


def _describe_fall(losses: Floats) -> str:
    """Return a sentence on losses by epoch, shape (epochs + 1,), that still fall in the last tenth; else ""."""
    last = max(1, losses.size // 10)
    fall = float((losses[-1 - last] - losses[-1]) / (losses[0] - losses[-1])) if losses[0] > losses[-1] else np.nan
    if not fall > TARGET_SHARE:
        return ""
    return (
        f"The fit has not converged: {format_share(fall)} of the decrease of its loss came in the last "
        f"{'epoch' if last == 1 else f'{last} epochs'}. "
    )
