"""The conclusions of a run as facts: `sgdbench.tables.conclusions` derives them, `words` beside it verbalizes them.

Settings are those of a choice by their columns; a batch of all samples is `FULL`. Outcomes and estimates are medians
over runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd

from sgdbench.kernels.train.attainable_loss import AttainableLoss

Settings = Mapping[str, Any]
FULL = "full"


class Estimate(NamedTuple):
    """A number and the ends of its interval, which are missing if there are too few runs."""

    value: float
    low: float = np.nan
    high: float = np.nan

    @classmethod
    def of(cls, row: pd.Series, name: str) -> Self:
        """Return the value of this name in a row, with those that end in `_low` and `_high`."""
        return cls(float(row[name]), float(row[f"{name}_low"]), float(row[f"{name}_high"]))


class Seeds(NamedTuple):
    """The seeds of a comparison: "fresh" ones, those that "selected" the choices, or any, as all give the "same"."""

    kind: str
    number: int | None = None


@dataclass(frozen=True)
class Outcome:
    """How the runs of a choice ended and their median cost: samples if one reached the target, or else a loss."""

    runs: int
    converged: int
    diverged: int
    cost: str
    median: Estimate
    has_target: bool


@dataclass(frozen=True)
class Recommendation:
    """The reason why one of several choices is recommended: `alike` of them are about equally good by a cost.

    Of these, `fewest` take the fewest updates or seconds, the `unit`, if that decides. The rate can be multiplied and
    divided by `factor` and stay reliable, more than other rates; 1 if that does not decide.
    """

    cost: str
    choices: int
    alike: int
    fewest: int
    unit: str
    factor: float


@dataclass(frozen=True)
class NoChoice:
    """There is no best choice: all runs or trials diverged, possibly with an infinite loss from the start."""

    of: str  # "run" or "trial"
    diverged: bool = True
    at_start: bool = False


@dataclass(frozen=True)
class BestChoice:
    """The recommended choice, the settings in which it differs from others, and the starts and seeds of its runs."""

    settings: Settings
    differing: tuple[str, ...]
    outcome: Outcome
    updates: Estimate | None
    seconds: Estimate | None
    starts: int
    seeds: int
    reason: str


@dataclass(frozen=True)
class Alike:
    """Other choices with one verdict, and the settings in which the first of them differs."""

    verdict: str
    count: int
    named: tuple[Settings, ...]


@dataclass(frozen=True)
class Ties:
    """The choices that may be as good as the best one."""

    groups: tuple[Alike, ...]


@dataclass(frozen=True)
class Confirmation:
    """The best choice on fresh seeds, and `before`, by the same cost, in the runs that selected it.

    The fresh runs are `finer` if losses at more checkpoints may be why they need fewer samples, and the `same` for all
    seeds if nothing in them is random.
    """

    fresh: Outcome
    before: Outcome
    chosen_in: str
    finer: bool
    same: bool


@dataclass(frozen=True)
class Edge:
    """The best rate is the "highest" or "lowest" of those tried; an option or argument goes `beyond`."""

    lr: float
    end: str
    tried: int
    beyond: str


@dataclass(frozen=True)
class Rival:
    """How a rival compares with the best choice: the multiple of its cost, or of its improvement."""

    name: str
    verdict: str
    cost: str
    ratio: Estimate
    succeeded: int
    runs: int


@dataclass(frozen=True)
class Rivals:
    """The optimizers compared with the `first`, each at its best choice of as many as were `tried`, if known."""

    first: str
    others: tuple[Rival, ...]
    tried: int | None
    on: Seeds


@dataclass(frozen=True)
class TunedRivals(Rivals):
    """The optimizers of a search compared, each tuned."""


@dataclass(frozen=True)
class AgainstGrid:
    """The best choices of a search and of its grid compared: the better one is `of` one of them."""

    of: str
    rival_of: str
    rival: Rival
    settings: Settings
    on: Seeds


@dataclass(frozen=True)
class Search:
    """The number of trials of a search, and the samples on which these were trained."""

    trials: int
    sampler: str
    given_up: Mapping[str, int]
    samples: float


@dataclass(frozen=True)
class Precision:
    """The best choice compared with the same settings in the other precision, and all pairs of such choices.

    In the pairs, float32 runs succeed `fewer` times, or more often, than float64 runs.
    """

    verdict: str | None
    ends: Mapping[str, Outcome]
    pairs: int
    fewer: int
    more: int


@dataclass(frozen=True)
class Robustness:
    """How many runs reached the target, and how many choices did so in all of them, or in none."""

    target: float
    runs: int
    converged: int
    choices: int
    always: int
    never: int


@dataclass(frozen=True)
class RateRange:
    """The number of `rates` among those tried with certain settings, from the lowest to the highest, and their runs."""

    settings: Settings
    lowest: float
    highest: float
    rates: int
    tried: int
    runs: int = 0


@dataclass(frozen=True)
class SafeRates:
    """The widest range of each optimizer in which every run reached the target; optimizers that `never` have one."""

    ranges: tuple[RateRange, ...]
    never: tuple[str, ...]


@dataclass(frozen=True)
class Divergence:
    """How many of the runs diverged, at which rates; the settings with the most such runs come first."""

    runs: int
    diverged: int
    ranges: tuple[RateRange, ...]


@dataclass(frozen=True)
class Solution:
    """The best run of the best choice: its parameters as text, unless there are many, its loss, and their units.

    A unit is "table", "standardized" or "", if there is only one. `note` says why parameters are standardized.
    """

    params: Mapping[str, str]
    count: int
    units: str
    loss: float
    loss_units: str
    note: str


@dataclass(frozen=True)
class Units:
    """The data were standardized: the columns that were centered, and whether targets and losses were scaled too.

    `residuals` is about a loss without a counterpart in the table's units.
    """

    center: str
    losses: bool
    residuals: str


@dataclass(frozen=True)
class LowestLoss:
    """The lowest loss, and the final loss of the best choice, on fresh seeds if there are any."""

    attainable: AttainableLoss
    loss: float


class Advice(NamedTuple):
    """A `change` that would bring the best choice nearer to the lowest loss, and the facts that belong to it."""

    change: str
    about: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Shortfall:
    """The best choice ends far above the lowest loss or, if that is unknown, above the loss of its start."""

    loss: float
    attainable: AttainableLoss
    advice: tuple[Advice, ...]


@dataclass(frozen=True)
class UnreachableTarget:
    """The target is below the lowest loss; `advised` misses 1 % of the improvement, possibly in other units."""

    target: float
    lowest: float
    advised: float | None
    standardized: bool = False


@dataclass(frozen=True)
class OnTestRows:
    """The figures of the best choice on test rows, by name, over its runs; on `fresh` seeds or not.

    The first is the loss, called `loss`, and an RMSE is in `units`.
    """

    loss: str
    figures: Mapping[str, Estimate]
    runs: int
    rows: int
    fresh: bool
    units: str


@dataclass(frozen=True)
class NoGain:
    """On these rows a constant has a loss at most as high as the best choice."""

    rows: str
    loss: float
    constant: float


@dataclass(frozen=True)
class NoSkill:
    """On these rows, predicting the most frequent class, with this share, is as accurate as the best choice."""

    rows: str
    accuracy: float
    share: float


@dataclass(frozen=True)
class Losses:
    """A loss other than the squared one: what it is the mean of."""

    records: str


@dataclass(frozen=True)
class Metric:
    """The metric of the loss for the best run of the best choice, by the samples that it is about."""

    name: str
    figures: Mapping[str, float]


@dataclass(frozen=True)
class FitAdvice:
    """The reason why one fit fell short, and the changes of its settings with which a trial succeeded.

    The learning rate, `lr`, may be above `stable`, the largest stable rate by theory at certain places (`where`). A
    trial misses this share of the improvement over the best constant or, if that is unknown, ends at this loss. There
    are no changes if none of the settings that were `tried` helps.
    """

    problem: str
    lr: float
    stable: float | None = None
    where: str = ""
    changes: Settings = field(default_factory=dict)
    left: float = np.nan
    loss: float = np.nan
    tried: int = 0


@dataclass(frozen=True)
class ReferenceCheck:
    """How closely the kernels agree with the reference, in some of the configurations, up to an epoch or to the end.

    Errors of exact kernels must be 0. The error of the loss is relative if the loss is not close to 0.
    """

    checked: int
    configurations: int
    error: float
    loss_error: float
    epoch: float | None


@dataclass(frozen=True)
class NotChecked:
    """No configuration was compared with the reference, either `yet` or at all, as in a sweep in Python."""

    yet: bool


@dataclass(frozen=True)
class LeadingOptimizer:
    """The optimizer that leads a suite, and its shares of the instances solved at all and `within_2` times the best.

    The instances are those that some optimizer solves; no optimizer solves the `unsolved` ones.
    """

    optimizer: str
    solved: float
    within_2: float
    instances: int
    problems: int
    unsolved: int


@dataclass(frozen=True)
class NothingCompared:
    """A suite has no problem on which optimizers can be compared."""


@dataclass(frozen=True)
class FewestSamples:
    """The optimizers within 5 % of the lowest median on a problem; none if all fail in most of their runs."""

    problem: str
    optimizers: tuple[str, ...]


@dataclass(frozen=True)
class WidestRates:
    """The optimizers with the widest ranges of good learning rates, in decades."""

    decades: Mapping[str, float]


@dataclass(frozen=True)
class LeftOut:
    """The problems of a suite that are not compared, by what they lack: "target", "success" or "fresh seeds"."""

    problems: Mapping[str, tuple[str, ...]]
