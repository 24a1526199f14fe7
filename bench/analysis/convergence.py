"""Predicted and measured stable rates and convergence for the runs of a sweep."""

from collections.abc import Iterator
from typing import NamedTuple, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from sgdbench.analysis.stability import EpochMap, has_linear_map, sample_orders
from sgdbench.kernels import Model
from sgdbench.kernels.base.run import Floats, samples_per_epoch
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.optimizers.schedules import learning_rates
from sgdbench.kernels.train.fit_quality import solve_least_squares
from sgdbench.study.schema import RunTable

CHOICE_COLUMNS = ["optimizer", "batch_size", "shuffle"]
EDGE_COLUMNS = {"predicted_edge": "float", "stable_up_to": "float", "diverges_from": "float", "agrees": "boolean"}
RATE_COLUMNS = {"lr": "float", "runs": "int", "predicted_rate": "float", "measured_rate": "float"}

# Larger data are not analysed: their matrices would take 160 MB.
MAX_NUMBERS = 20_000_000
# Batches in a given order whose H_b have more numbers than this are not analysed: the edge of momentum would take more
# than four seconds. With random orders, whose parts are alike, a part represents the whole.
MAX_ORDERED_NUMBERS, MAX_DRAWN_NUMBERS = 4_000_000, 1_000_000
# With more parameters than this, the eigenvalues of a model with vectors take seconds for each choice.
MAX_WEIGHTS = 16

# A squared loss this small, relative to the mean of y**2, is rounding; errors of sums are ten thousand times smaller.
ROUNDING = 1e-24
NEAR_LEAST_SQUARES = 1e-10
# At the edge itself, the square of a random walk doubles between half of the time and all of it.
DIFFUSIVE_GROWTH = 2.0
# The share of the runs from a start that noise alone does not lift by this factor.
GROWN_SHARE = 0.5

# The slowest direction dominates once theory gives the next one at most this share of the loss.
NEGLIGIBLE_SHARE = 0.1
# The slopes of the two halves must agree to this tolerance for a rate; the minimum number of points for two halves.
SLOPE_TOLERANCE, MIN_EPOCHS = 0.02, 5
# Two equally fast directions form a wave, which is straight only in the long run.
SAME_MODULUS, MIN_EPOCHS_OF_WAVES = 1 - 1e-6, 40


def theory_tables(
    model: Model, x: ArrayLike, y: ArrayLike, frame: pd.DataFrame, curves: pd.DataFrame, settings: RunTable
) -> dict[str, pd.DataFrame]:
    """Return predicted and measured stable rates and rates of convergence, for optimizers with a linear map.

    Predictions hold for a constant learning rate, but most schedules lower it: a run that starts above the edge
    recovers when the rate falls. Runs are therefore judged by their first epochs, while the rate is that of epoch 0.

    *Edges.* Runs diverge at a rate if one of them blew up in these epochs, or if the loss of at least half of those
    from a start has grown: after these epochs it is above that at the start, and `DIFFUSIVE_GROWTH` times that halfway.
    The noise of small batches alone lifts the loss above that of a good start and may affect a few runs more, but not
    half of them. Slow growth takes more epochs to be seen than a schedule may leave.

    *Rates* are half the slope of the logarithm of the loss above least squares, over the second half of the epochs in
    which that is more than rounding. The slowest direction must dominate there: by the eigenvalues, the next one's
    share of the loss has fallen to a tenth of it, and the slopes of the two halves agree. Two equally fast directions
    form a wave, which takes more epochs to be measured. Other runs are ignored. So are runs in small batches on noisy
    data, which end at their noise and not at the solution, and those with weight decay, which end elsewhere.

    Both tables are empty for nonlinear models, losses other than the squared one, models with vectors of more
    parameters than `MAX_WEIGHTS`, and more numbers in X than `MAX_NUMBERS`. Batches of unshuffled samples are ignored
    if all H_b together have more numbers than `MAX_ORDERED_NUMBERS`; of shuffled ones, the first with
    `MAX_DRAWN_NUMBERS` are used.

    Returns
    -------
    dict of str to DataFrame
        Predictions beside measurements, each by optimizer, batch size and order of the samples.

        `theory` has `predicted_edge`, the largest stable rate, for shuffled samples over the orders of the frame's
        seeds; `diverges_from`, the smallest rate at which runs diverge, and `stable_up_to`, the rate of the grid before
        it (both in rates of epoch 0, missing if there is none); `agrees`, whether measured and predicted edge are at
        most one step of the grid apart, missing if the grid does not reach the edge, or if all runs between the two
        reached their target before growth could be seen, within two epochs.

        `rates`, also by `lr` of epoch 0, has `predicted_rate` and `measured_rate`, the factor on the distance to the
        solution per epoch; the measured one is the median over those `runs` in which it could be measured. A rate that
        could be measured in none has no row.
    """
    edges: list[tuple[object, ...]] = []
    rates: list[tuple[object, ...]] = []
    derivatives = _design_matrix(model, x, frame, settings.loss)
    if derivatives is not None:
        frame = _add_first_rate(frame.reset_index(drop=True))
        losses = _losses_by_epoch(frame, curves)
        per_epoch = samples_per_epoch(len(derivatives), frame["batch_size"].to_numpy(), settings.drop_last)
        frame["blew_up"] = frame["status"].eq("diverged") & (frame["samples_seen"] <= frame["stretch"] * per_epoch)
        frame["grew"] = frame["blew_up"] | _has_grown(losses)
        frame["brief"] = frame["status"].eq("converged") & (frame["samples_seen"] < 2 * per_epoch)
        target = np.asarray(y, float) - model.predict(np.zeros(len(model.params)), x)
        solution = _find_solution(derivatives, target) if np.isfinite(target).all() else None
        for choice, runs, orders in _group_runs(derivatives, frame, settings):
            optimizer, batch_size, _ = choice
            epoch = EpochMap(derivatives, batch_size, optimizer=optimizer, drop_last=settings.drop_last, orders=orders)
            edge = epoch.largest_stable_rate()
            edges.append((*choice, edge, *_measure_edge(runs, edge)))
            noisy = batch_size < len(derivatives) and not (solution and solution.exact)
            if solution is None or noisy or make_optimizer(optimizer).weight_decay:
                continue
            tried = np.unique(runs["rate"])
            for rate, moduli in zip(tried, epoch.eigenvalue_moduli(tried), strict=True):
                excess = losses[runs.index[runs["rate"] == rate]] - solution.loss
                settled = _settling_time(moduli)
                measured = np.array([_measure_rate(run, solution.smallest, *settled) for run in excess])
                measured = measured[~np.isnan(measured)]
                if measured.size:
                    rates.append((*choice, rate, measured.size, moduli[0], np.median(measured)))
    return {
        "theory": pd.DataFrame(edges, columns=[*CHOICE_COLUMNS, *EDGE_COLUMNS]).astype(EDGE_COLUMNS),
        "rates": pd.DataFrame(rates, columns=[*CHOICE_COLUMNS, *RATE_COLUMNS]).astype(RATE_COLUMNS),
    }


class _Solution(NamedTuple):
    """The loss at the solution, the smallest excess over it that is not rounding, and whether the fit is exact."""

    loss: float
    smallest: float
    exact: bool


def _find_solution(derivatives: Floats, target: Floats) -> _Solution:
    """Return the least-squares solution; the loss of an exact fit is 0."""
    solution = solve_least_squares(derivatives, target, target.size)
    least = float(np.mean((derivatives @ solution - target) ** 2))
    rounding = ROUNDING * float(np.mean(target**2))
    if least <= rounding:
        return _Solution(0.0, rounding, True)
    return _Solution(least, rounding + NEAR_LEAST_SQUARES * least, False)


def _measure_edge(runs: pd.DataFrame, predicted: float) -> tuple[float, float, bool | None]:
    """Return the rates of the grid on both sides of the measured edge, and whether the predicted edge agrees."""
    rates = np.unique(runs["rate"])
    grown = runs.groupby(["rate", "init"], observed=True)["grew"].mean() >= GROWN_SHARE
    diverges = runs.groupby("rate")["blew_up"].any() | grown.groupby("rate").any()
    stable = int(np.argmax([*diverges, True]))
    expected = int(np.searchsorted(rates, predicted, side="right"))
    within_a_step = abs(stable - expected) <= 1
    if within_a_step:
        measured = rates.size > 1 and not stable == expected in (0, rates.size)
    else:
        above = rates[expected + 1 : stable]
        measured = expected > stable or bool(np.isin(above, runs["rate"][~runs["brief"]]).any())
    around = [np.nan, *rates.tolist(), np.nan]
    return around[stable], around[stable + 1], within_a_step if measured else None


def has_many_weights(model: Model) -> bool:
    """Return whether the theory of a model with vectors would take long."""
    return bool(model.vectors) and len(model.params) > MAX_WEIGHTS


def _design_matrix(model: Model, x: ArrayLike, frame: pd.DataFrame, loss: str) -> Floats | None:
    """Return the design matrix, or None if theory does not apply to these runs."""
    if frame.empty or not model.is_linear or make_loss(loss).name != "squared":
        return None
    if len(np.asarray(x)) * len(model.params) > MAX_NUMBERS or has_many_weights(model):
        return None
    derivatives = model.design_matrix(x)
    with np.errstate(all="ignore"):
        usable = np.isfinite(derivatives.T @ derivatives).all()
    return derivatives if usable else None


def _group_runs(
    derivatives: Floats, frame: pd.DataFrame, settings: RunTable
) -> Iterator[tuple[tuple[str, int, bool], pd.DataFrame, NDArray[np.int64] | None]]:
    """Yield the runs of each optimizer with a linear map, batch size and order, and the orders if they are random."""
    n, params = derivatives.shape
    orders: NDArray[np.int64] | None = None
    for group, runs in frame.groupby(CHOICE_COLUMNS, observed=True):
        optimizer, batch_size, shuffle = key = cast(tuple[str, int, bool], group)
        if not has_linear_map(optimizer):
            continue
        drawn = shuffle and batch_size < n
        if drawn and orders is None:
            seeds = frame["seed"][frame["shuffle"]].unique().tolist()
            orders = sample_orders(n, seeds, max(1, int(frame["epochs"].max())), settings.order(shuffle=True))
        batches, most = n // batch_size, max(1, MAX_DRAWN_NUMBERS // params**2)
        if drawn and orders is not None:
            yield key, runs, orders[: max(1, most // batches), : most * batch_size]
        elif batches * params**2 <= MAX_ORDERED_NUMBERS:
            yield key, runs, None


def _add_first_rate(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with the `rate` of epoch 0, and the `stretch`, the number of epochs with this rate."""
    epochs = max(1, int(frame["epochs"].max()))
    factors = {text: learning_rates(text, 1.0, epochs) for text in frame["schedule"].unique()}
    stretches = {text: int(np.argmin([*(own == own[0]), False])) for text, own in factors.items()}
    first = frame["schedule"].map({text: own[0] for text, own in factors.items()}).astype(float)
    return frame.assign(rate=frame["lr"] * first, stretch=frame["schedule"].map(stretches).astype(int))


def _losses_by_epoch(frame: pd.DataFrame, curves: pd.DataFrame) -> Floats:
    """Return the losses at epochs 0, 1, ... of the stretch, a row per row of the frame; nan where none is stored."""
    stretch = frame["stretch"].to_numpy()
    losses = np.full((len(frame), int(stretch.max(initial=0)) + 1), np.nan)
    ids = curves["config_id"].astype("category").cat
    rows = pd.Index(frame["config_id"]).get_indexer(ids.categories)[ids.codes]
    epochs = curves["epoch"].to_numpy()
    whole = epochs.astype(np.int64)
    within = (rows >= 0) & (epochs == whole) & (whole <= stretch[rows])
    losses[rows[within], whole[within]] = curves["loss"].to_numpy()[within]
    return losses


def _has_grown(losses: Floats) -> NDArray[np.bool_]:
    """Return whether the loss of each run grew in the first stretch."""
    rows = np.arange(len(losses))
    last = losses.shape[1] - 1 - np.argmax(~np.isnan(losses)[:, ::-1], axis=1)
    # The last loss that a thinned curve stores in the first half.
    halfway = np.maximum.accumulate(np.where(np.isnan(losses), 0, np.arange(losses.shape[1])), axis=1)[rows, last // 2]
    start, middle, end = losses[:, 0], losses[rows, halfway], losses[rows, last]
    grown: NDArray[np.bool_] = (end > start) & (end > DIFFUSIVE_GROWTH * middle)
    return grown


def _settling_time(moduli: Floats) -> tuple[float, int]:
    """Return the epoch from which the slowest direction or wave dominates, and how many epochs a rate needs."""
    alike = int(np.sum(moduli >= SAME_MODULUS * moduli[0]))
    following = moduli[alike] if alike < moduli.size else 0.0
    with np.errstate(all="ignore"):
        begin = np.log(NEGLIGIBLE_SHARE) / (2 * np.log(following / moduli[0]))
    return (float(begin) if begin >= 0 else np.inf), MIN_EPOCHS if alike == 1 else MIN_EPOCHS_OF_WAVES


def _measure_rate(excess: Floats, smallest: float, begin: float, fewest: int) -> float:
    """Return the factor by which an epoch multiplies the distance, from losses above the lowest; nan if unknown."""
    stored = np.flatnonzero(~np.isnan(excess))
    fine = (excess[stored] > smallest) & np.isfinite(excess[stored])
    count = int(np.argmin([*fine, False]))
    window = stored[max(count // 2, int(np.searchsorted(stored, begin))) : count]
    if window.size < fewest:
        return np.nan
    middle = window.size // 2
    slope, early, late = (_slope(excess, epochs) for epochs in (window, window[: middle + 1], window[middle:]))
    straight = abs(early - late) <= SLOPE_TOLERANCE * min(1.0, abs(slope))
    return float(np.exp(slope)) if straight else np.nan


def _slope(excess: Floats, epochs: NDArray[np.int64]) -> float:
    """Return half the slope of log(excess) by least squares."""
    centered = epochs - epochs.mean()
    return float(centered @ np.log(excess[epochs]) / (centered @ centered) / 2)
