"""The cost of each run, and the scales on which losses and seconds are compared."""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sgdbench.kernels.base.checks import describe as describe_value
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.train.attainable_loss import AttainableLoss
from sgdbench.store.results import match_precision
from sgdbench.tables.intervals import Pairs
from sgdbench.tables.ties import TOLERANCE

NEGLIGIBLE = 0.01
"""Distances to the lowest loss below this share of the improvement over a constant, and of that loss, are equal."""
EXCESS = "excess_loss"
"""The column of the distances of final losses to the lowest loss."""
EXACT = "exact_excess_loss"
"""The same distances without a negligible threshold; they decide whether runs differ at all."""
ROUNDED = 1e-9
"""Losses that differ by less than this share of the lowest one differ by rounding."""
# The columns of a frame by which losses are compared: the loss, and the name of the scale in `costs.COST_NAMES`.
_SCALES = {
    EXCESS: ("final_loss", "distance"),
    "inverse_improvement": ("final_loss", "improvement"),
    "inverse_improvement_on_median": ("final_loss", "improvement on median"),
    "inverse_held_out_improvement": ("validation_loss", "improvement"),
    "inverse_held_out_improvement_on_median": ("validation_loss", "improvement on median"),
}


def scales_of(frame: pd.DataFrame) -> Iterator[tuple[str, str, str]]:
    """Yield the scales of the losses in a frame: its column, the loss, and the name of the scale."""
    for column, (loss, scale) in _SCALES.items():
        if column in frame:
            yield column, loss, scale


def ranking_loss(frame: pd.DataFrame) -> str:
    """Return the column of the losses that rank runs without a target: on held-out samples, if any."""
    return "validation_loss" if "validation_loss" in frame else "final_loss"


def add_excess(
    frame: pd.DataFrame, attainable: AttainableLoss, floor: float, sweep: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Add the columns by which losses are compared, with lower values better and meaningful ratios.

    A loss of 0.63 is 1.05 times one of 0.60, but misses a third of the improvement if a constant has 0.69. Final losses
    are therefore compared by `excess_loss`, their distance to the lowest attainable loss. Distances below `floor`, or
    negligible, are equal (see `sgdbench.tables.costs.loss_floor`); in `exact_excess_loss` none is negligible.

    On held-out samples the lowest attainable loss is unknown. These losses, and final losses if the lowest one was not
    found, are compared by their improvement over the best constant: the columns have the largest improvement of the
    `sweep`, by default the frame itself, divided by that of each run. Improvements below 1 % of the largest are equal,
    and so are losses that the number of held-out samples does not resolve. If no run improves on the constant, or its
    loss is unknown, the median run of the sweep replaces it.
    """
    added, sweep = {}, frame if sweep is None else sweep
    if math.isfinite(attainable.loss):
        gain = attainable.improvement
        scales = [abs(attainable.loss), *([gain] if math.isfinite(gain) else [])]
        least = max(floor, attainable.floor, NEGLIGIBLE * min(scales))
        distance = frame["final_loss"] - attainable.loss
        added[EXCESS] = distance.clip(lower=least)
        added[EXACT] = distance.clip(lower=max(floor, attainable.floor, ROUNDED * abs(attainable.loss)))
    else:
        added |= _inverse_improvement(frame, sweep, "final_loss", attainable.constant_loss, -math.inf)
    if "validation_loss" in frame:
        least = attainable.held_out_floor or -math.inf
        added |= _inverse_improvement(frame, sweep, "validation_loss", attainable.held_out_constant, least)
    return frame.assign(**added)


def _inverse_improvement(
    frame: pd.DataFrame, sweep: pd.DataFrame, name: str, constant: float, least: float
) -> dict[str, "pd.Series[float]"]:
    """Return the largest improvement of the sweep divided by that of each run, by the name of its column."""
    losses = np.maximum(_finite_losses(sweep, name), least)
    lowest = float(losses.min(initial=np.inf))
    over_constant = lowest < constant < math.inf
    baseline = constant if over_constant or not losses.size else float(np.median(losses))
    largest = baseline - lowest
    scale = "improvement" if over_constant else "improvement on median"
    column = next(column for column, of in _SCALES.items() if of == (name, scale))
    if not largest > 0:  # all losses are equal
        return {column: frame[name] * 0 + 1.0}
    improvement = baseline - frame[name].clip(lower=least)
    return {column: largest / improvement.clip(lower=NEGLIGIBLE * largest)}


def _finite_losses(frame: pd.DataFrame, name: str) -> Floats:
    """Return the losses of the runs of a frame that did not diverge."""
    losses: Floats = frame.loc[frame["status"] != "diverged", name].to_numpy(float)
    return losses[np.isfinite(losses)]


# The columns that make up a choice of settings.
CHOICES = ["optimizer", "lr", "schedule", "batch_size", "shuffle"]
# The columns that are part of it if a frame has them.
MORE_CHOICES = ["dtype"]
# The columns that determine the time of an update, besides the model and the data.
COST_SETTINGS = ["optimizer", "batch_size", "shuffle"]
# The columns of a frame from which each cost is read.
COSTS = {
    "samples": ["samples_to_target"],
    "updates": ["updates_to_target"],
    "seconds": ["updates_to_target", "seconds_per_update"],
    "final_loss": ["final_loss"],
    "validation_loss": ["validation_loss"],
}
# Descriptions of the costs.
COST_NAMES = {
    "samples": "samples to the target",
    "updates": "updates to the target",
    "seconds": "time to the target",
    "final_loss": "final loss",
    "validation_loss": "loss on held-out samples",
    "distance": "distance to the lowest loss",
    "improvement": "improvement over a constant",
    "improvement on median": "improvement over the median run",
}
# The costs that are losses: every run has them, even without a target.
LOSSES = ("final_loss", "validation_loss")
# Runs of different choices that agree in these form a pair.
PAIR = ["init", "seed"]
# Differences of up to this many rounding errors of a target are ignored.
ROUNDINGS = 64


@dataclass(frozen=True, eq=False)
class RunCosts:
    """The runs of a frame by choice and by start and seed; matrices have the shape (choices, pairs).

    Attributes
    ----------
    choices : DataFrame
        The settings of each choice, in the order in which they first occur in the frame.
    made, converged, diverged : array of bool
        Whether there is such a run, whether it reached the target, and whether it diverged.
    costs : dict of str to array
        Those of `COSTS` that the frame has. Infinite for a run that failed, NaN for one that was not made. A run fails
        if it does not reach the target or, for losses, if it diverged or its loss is not finite.
    updates_made : array
        The updates of each run until it ended; NaN for one that was not made, or if the frame lacks them.
    seconds_per_update, timing_errors : array, shape (choices,), and a pair of them
        NaN if unknown, and the ends of their interval as multiples, 1 if there is none.
    pairs : Pairs
        The start and the seed of each column.
    compared : dict of str to array
        The values compared in place of losses, if the frame has them: see `sgdbench.tables.costs`.
    exact : dict of str to array
        The same without negligible distances, if the frame has them.
    scales : dict of str to str
        The names of the scales of the compared values, by loss.
    """

    choices: pd.DataFrame
    made: NDArray[np.bool_]
    converged: NDArray[np.bool_]
    diverged: NDArray[np.bool_]
    costs: dict[str, Floats]
    updates_made: Floats
    seconds_per_update: Floats
    timing_errors: tuple[Floats, Floats]
    pairs: Pairs
    compared: dict[str, Floats]
    exact: dict[str, Floats]
    scales: dict[str, str]

    def ranked_by(self, cost: str) -> str:
        """Return the cost, or a loss if no run reached a target; see `settle_cost`."""
        return settle_cost(cost, reached=bool(self.converged.any()), held_out="validation_loss" in self.costs)

    def succeeded(self, cost: str) -> NDArray[np.bool_]:
        """Return whether each run has a finite cost, shape (choices, pairs)."""
        return np.isfinite(self.costs["updates" if cost == "seconds" else cost])

    def errors_of(self, cost: str, rows: NDArray[np.intp]) -> tuple[Floats, Floats] | None:
        """Return the timing errors of some choices; None for costs that are counted instead of measured."""
        return (self.timing_errors[0][rows], self.timing_errors[1][rows]) if cost == "seconds" else None

    def timing_tolerance(self, cost: str, best: int) -> Floats:
        """Return by which share timing errors may make each choice appear dearer than the best one.

        Choices whose updates were timed together have the same error, and so none relative to each other.
        """
        (low, high), times = self.timing_errors, self.seconds_per_update
        apart = (cost == "seconds") & (times != times[best])
        return np.where(apart, np.nan_to_num(high[best] / low - 1), 0.0)

    def compared_by(self, cost: str) -> str:
        """Return the cost by which runs are compared; for a loss the name of its scale, if the frame has one."""
        return self.scales.get(cost, cost)

    def comparable(self, cost: str, floor: float) -> Floats:
        """Return a cost without zeros and rounding errors, so that runs can be compared by ratios.

        A run that starts at the target counts as one sample and one update, and a loss below `floor` as `floor`. Losses
        are compared by their distance to the lowest or their improvement, if the frame has these. A choice that
        succeeds and was not timed has no seconds, which raises a ValueError.
        """
        if cost in self.compared:
            return np.maximum(self.compared[cost], np.finfo(float).tiny)
        if cost in LOSSES:
            return np.maximum(self.costs[cost], max(floor, np.finfo(float).tiny))
        if cost == "seconds":
            untimed = np.isnan(self.seconds_per_update) & self.succeeded(cost).any(axis=1)
            if untimed.any():
                choice = describe(self.choices.iloc[int(np.argmax(untimed))])
                raise ValueError(f"cost must not be 'seconds' where updates are not timed, as `run` does: {choice}")
            updates = np.maximum(self.costs["updates"], 1.0)
            return np.where(np.isfinite(updates), updates * self.seconds_per_update[:, np.newaxis], updates)
        return np.maximum(self.costs[cost], 1.0)

    def distinguishable(self, cost: str, floor: float) -> Floats:
        """Return a cost as from `comparable`, in which negligible differences count."""
        return self.exact[cost] if cost in self.exact else self.comparable(cost, floor)


def choice_columns(frame: pd.DataFrame) -> list[str]:
    """Return the columns of a frame that make up a choice of settings."""
    return [*CHOICES, *(name for name in MORE_CHOICES if name in frame)]


def cost_columns(frame: pd.DataFrame) -> list[str]:
    """Return the columns of a frame that determine the time of an update."""
    return [*COST_SETTINGS, *(name for name in MORE_CHOICES if name in frame)]


def settle_cost(cost: str, *, reached: bool, held_out: bool) -> str:
    """Return the cost by which choices are ranked: the given one, or a loss if no run reached a target.

    That is the loss on held-out samples if there are any, otherwise the one on the training samples, both of the
    parameters that a run keeps.
    """
    if cost in LOSSES or reached:
        return cost
    return "validation_loss" if held_out else "final_loss"


@np.errstate(over="ignore")
def loss_floor(y: Floats) -> float:
    """Return the loss below which differences are due to rounding.

    A residual f(x) - y has an error of some units in the last place of y. The floor is the square of 64 of them times
    the mean square of y: 2e-28 for targets with a mean square of 1. Targets that are all 0 count as if they were 1.
    """
    return float((ROUNDINGS * np.finfo(float).eps) ** 2 * (np.mean(np.square(y)) or 1.0))


LOSS_FLOOR = loss_floor(np.ones(1))


def check_columns(frame: pd.DataFrame, cost: str) -> None:
    """Raise a ValueError for an unknown cost, or a frame that lacks a column for it."""
    if not isinstance(cost, str) or cost not in COSTS:
        raise ValueError(f"cost must be one of {', '.join(map(repr, COSTS))}, not {describe_value(cost)}")
    for column in [*CHOICES, *PAIR, "status", "final_loss", *COSTS["samples"], *COSTS["updates"], *COSTS[cost]]:
        if column not in frame:
            raise ValueError(
                f"frame must have a column {column!r} to rank by {cost}; it has {', '.join(map(str, frame))}"
            )


def describe(row: pd.Series) -> str:
    """Return the values of a row by name: "optimizer=sgd, lr=0.1"."""
    return ", ".join(f"{name}={value}" for name, value in row.items())


def run_costs(frame: pd.DataFrame, by: Sequence[str]) -> RunCosts:
    """Return the costs of the runs of a frame by choice and pair; a duplicated run raises a ValueError."""
    row, column = (_codes(frame, names) for names in (list(by), PAIR))
    twice = pd.Series(row * (column.max(initial=0) + 1) + column).duplicated().to_numpy()
    if twice.any():
        run = describe(frame[[*by, *PAIR]].iloc[int(np.argmax(twice))])
        raise ValueError(f"frame must have every run once, and it has this one twice: {run}")
    firsts = np.unique(row, return_index=True)[1]
    shape = firsts.size, column.max(initial=-1) + 1

    def matrix(values: NDArray[np.generic], missing: float) -> Floats:
        spread = np.full(shape, missing)
        spread[row, column] = values
        return spread

    reached, lost = (frame["status"].eq(status).to_numpy(bool) for status in ("converged", "diverged"))
    flags = np.ones(len(frame), bool), reached, lost
    trained, converged, diverged = (matrix(flag, 0.0).astype(bool) for flag in flags)

    costs = {}
    for name in ("samples", "updates"):
        to_target = _numbers(frame[f"{name}_to_target"])
        costs[name] = matrix(np.where(reached & np.isfinite(to_target), to_target, np.inf), np.nan)
    costs |= {name: matrix(losses_of(frame, name), np.nan) for name in LOSSES if name in frame}
    compared = {name: matrix(losses_of(frame, column), np.nan) for column, name, _ in scales_of(frame)}
    made_updates = matrix(_numbers(frame["updates"]), np.nan) if "updates" in frame else np.full(shape, np.nan)
    per_update, low, high = (
        _numbers(frame[name])[firsts] if name in frame else np.full(firsts.size, np.nan)
        for name in ("seconds_per_update", "seconds_per_update_low", "seconds_per_update_high")
    )
    if "seconds_per_update" in frame:
        costs["seconds"] = costs["updates"] * per_update[:, np.newaxis]
    errors = tuple(np.where(np.isfinite(end), end, per_update) / per_update for end in (low, high))
    choices = frame[list(by)].iloc[firsts].reset_index(drop=True)
    pairs = Pairs.of(frame.iloc[np.unique(column, return_index=True)[1]])
    timed = per_update, (errors[0], errors[1])
    exact = {"final_loss": matrix(losses_of(frame, EXACT), np.nan)} if EXACT in frame else {}
    scales = {name: scale for _, name, scale in scales_of(frame)}
    return RunCosts(choices, trained, converged, diverged, costs, made_updates, *timed, pairs, compared, exact, scales)


def losses_of(frame: pd.DataFrame, column: str) -> Floats:
    """Return the losses in a column, infinite for failed runs.

    With patience a diverged run keeps earlier parameters, and their loss.
    """
    losses = _numbers(frame[column])
    return np.where(np.isfinite(losses) & frame["status"].ne("diverged").to_numpy(bool), losses, np.inf)


def find_choices(rows: pd.DataFrame, table: pd.DataFrame, by: Sequence[str]) -> pd.Series:
    """Return for each of the rows the number of the row of a table with the same settings, NaN if there is none.

    No two rows of the table have the same settings.
    """
    codes = _codes(pd.concat([table[list(by)].infer_objects(), rows[list(by)]], ignore_index=True), list(by))
    places = pd.Index(codes[: len(table)]).get_indexer(pd.Index(codes[len(table) :]))
    return pd.Series(np.where(places < 0, np.nan, places), rows.index, name="place")


def rows_alike(frame: pd.DataFrame, choice: Mapping[Hashable, Any] | pd.Series, names: Sequence[str]) -> pd.DataFrame:
    """Return the rows of a frame that agree with a choice in the settings of these names."""
    alike = np.ones(len(frame), bool)
    for name in names:
        settings, value = frame[name], choice[name]
        same = settings.isna() if pd.isna(value) else settings.eq(value)
        alike &= same.to_numpy(bool, na_value=False)
    return frame[alike]


def _codes(frame: pd.DataFrame, names: list[str]) -> NDArray[np.intp]:
    """Return the number of each combination of values, in order of first occurrence."""
    codes = np.zeros(len(frame), np.intp)
    for name in names:
        own, values = pd.factorize(frame[name], use_na_sentinel=False)
        codes, _ = pd.factorize(codes * len(values) + own)
    return codes


def _numbers(column: pd.Series) -> Floats:
    return column.to_numpy(float, na_value=np.nan)


# The kernel whose time counts when seconds are compared: it trains one run, as a user does with a choice.
KERNEL = "fused"
PER_UPDATE = ["seconds_per_update", "seconds_per_update_low", "seconds_per_update_high"]


def decide_by_seconds(ranked: pd.DataFrame) -> bool:
    """Return whether the time of an update may decide which choice of a ranking is recommended.

    It may if it differs between the choices that are about as good as the cheapest one (`ties.nearly_as_cheap`): these
    are among the tied ones that cost at most `TOLERANCE` more.
    """
    near = ranked[ranked["tied"] & (ranked["ratio"] <= (1 + TOLERANCE) * ranked["ratio"].min())]
    return len(near[cost_columns(near)].drop_duplicates()) > 1


def add_seconds(frame: pd.DataFrame, costs: pd.DataFrame | None) -> pd.DataFrame:
    """Add `PER_UPDATE`, the seconds of an update with the kernel `fused`, and `seconds`, those of the whole run.

    `costs` are from `sgdbench.timing.update.update_seconds`. Unmeasured values are missing.
    """
    if costs is None:
        measured = pd.DataFrame(np.nan, index=frame.index, columns=PER_UPDATE)
    else:
        costs = match_precision(costs, frame)
        own = costs[costs["variant"] == KERNEL].reset_index(drop=True)
        measured = own[PER_UPDATE].reindex(find_choices(frame, own, cost_columns(own))).set_axis(frame.index)
    return frame.assign(**measured, seconds=frame["updates"] * measured["seconds_per_update"])
