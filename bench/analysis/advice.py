"""Advice on a fit that diverged or did not arrive."""

import numpy as np

from bench.analysis.curvature import MOST_PARAMS, some_samples
from bench.analysis.stability import has_linear_map, largest_stable_rate, sample_orders
from bench.data.fit_table import TableFit
from bench.data.table import Dataset
from bench.data.table_quality import TableQuality
from bench.tables.formatting import text
from kernels import FitResult, Model
from kernels.train.yardstick import ARRIVED

# Full batches need the eigenvalues of one matrix, which takes seconds with more parameters.
MOST_OF_FULL = 1000
# Where the lowest loss is not known, a run with a lower R² than this that stands still is in a place with no way out.
WEAK_R2 = 0.01
# The loss stands still where it fell by less than this share over the last half of the epochs.
STILL = 1e-3
# Columns whose sizes differ by more than this are worth standardizing.
SIZES = 10.0


def predicted_edge(
    model: Model,
    data: Dataset,
    optimizer: str = "sgd",
    batch_size: int | str = 1,
    *,
    shuffle: bool | str,
    seed: int = 0,
) -> float | None:
    """Return the largest stable learning rate; None where theory does not know it.

    It is known for models that are linear in their parameters, and the optimizers in
    `bench.analysis.epoch_matrix.AFFINE`. Large data, as trained, are represented by some of their samples.
    """
    if not model.is_linear or not has_linear_map(optimizer):
        return None
    x = data.x[some_samples(data)]
    n = len(x)
    size = n if batch_size == "full" else min(int(batch_size), n)
    if len(model.params) > (MOST_PARAMS if size < n else MOST_OF_FULL):
        return None
    orders = sample_orders(n, [seed], 16) if shuffle else None
    edge = largest_stable_rate(model.design_matrix(x), size, optimizer=optimizer, orders=orders)
    return edge if 0 < edge < np.inf else None


def advise(
    fitted: TableFit,
    quality: TableQuality,
    *,
    lr: float,
    optimizer: str,
    batch_size: int | str,
    shuffle: bool | str,
    seed: int,
) -> list[str]:
    """Return sentences on what would help a run that diverged, stands still or has not arrived; none for a good one."""
    result = fitted.result
    diverged = result.status == "diverged"
    if not diverged and (result.status == "converged" or not _falls_short(result, quality)):
        return []
    if diverged and result.loss.size == 1:
        return ["The loss is not finite where the run starts: no rate helps, but another start, model or data might."]
    edge = (
        predicted_edge(result.model, fitted.rows, optimizer, batch_size, shuffle=shuffle, seed=seed)
        if result.criterion.of_residual
        else None
    )
    sentences = [_advise_rate(lr, edge, diverged=diverged)]
    if fitted.scaling is None and sizes_differ(fitted.rows):
        sentences.append("--standardize gives all columns the same size, so that one learning rate suits them all.")
    if not shuffle and batch_size != "full" and not diverged:
        sentences.append("--shuffle visits the samples in a new order each epoch, which averages out the order.")
    if not diverged:
        sentences.append(_advise_patience(result))
    return [sentence for sentence in sentences if sentence]


def _falls_short(result: FitResult, quality: TableQuality) -> bool:
    """Return whether a run has not arrived: far from the lowest loss or, where that is unknown, near a constant."""
    remaining = quality.yardstick.remaining(result.kept.loss)
    return remaining > ARRIVED or (np.isnan(remaining) and _stands_still(result) and bool(quality.r2 < WEAK_R2))


def _advise_patience(result: FitResult) -> str:
    if not _stands_still(result):
        return "The loss was still falling: more --epochs would help too."
    # In a model linear in its parameters there is one minimum, and any start leads there.
    return "" if result.model.is_linear else "The loss stands still: try another start (--init, --seed) or --lr."


def _stands_still(result: FitResult) -> bool:
    middle, end = result.loss[result.loss.size // 2], result.loss[-1]
    return bool(middle - end < STILL * abs(middle))


def sizes_differ(data: Dataset) -> bool:
    """Return whether the columns, and the 1 of an offset, have different orders of magnitude."""
    sizes = np.append(np.sqrt(np.mean(data.x**2, axis=0)), 1.0)
    return bool(sizes.max() > SIZES * sizes.min())


def _advise_rate(lr: float, edge: float | None, *, diverged: bool) -> str:
    """Return a sentence on the learning rate."""
    if edge is None:
        return f"A lower learning rate would help, such as --lr {lr / 10:.2g}." if diverged else ""
    known = f"the largest stable learning rate here is about {text(float(f'{edge:.2g}'))}, by theory"
    if lr > edge:
        return f"The learning rate {text(lr)} is too high: {known}. Try --lr {edge / 2:.2g}."
    if diverged:
        return f"By theory a rate below {text(float(f'{edge:.2g}'))} is stable in the end; try --lr {edge / 4:.2g}."
    if lr < edge / 10:
        return f"The learning rate {text(lr)} is low: {known}. Try --lr {edge / 2:.2g}."
    return ""
