"""The conclusions of a run as facts, which `bench.tables.conclusions` finds and `bench.tables.words` says.

Settings are those of a choice by their columns; a batch of all samples is `FULL`. Outcomes and estimates are medians
over runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd

from kernels.train.attainable_loss import AttainableLoss

Settings = Mapping[str, Any]
FULL = "full"


class Estimate(NamedTuple):
    """A number and the ends of its interval, which are missing where there are too few runs for one."""

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
    """Why one of so many choices is recommended: `alike` are about equally good by a cost.

    Of these, `fewest` take the fewest updates or seconds, the `unit`, if that decides. The rate can be multiplied and
    divided by `factor` and stay reliable, more than those of others; 1 where that does not decide.
    """

    cost: str
    choices: int
    alike: int
    fewest: int
    unit: str
    factor: float


@dataclass(frozen=True)
class NoChoice:
    """There is no best choice: all runs or trials diverged, in which case the loss may be infinite from the start."""

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
    """Other choices with one verdict, and the settings that differ of the first of them."""

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

    The fresh runs are `finer` where losses at more checkpoints may be why they need fewer samples, and the `same` for
    all seeds where nothing in them is drawn.
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
    """How a rival compares with the best choice: how many times its cost it has, or its improvement."""

    name: str
    verdict: str
    cost: str
    ratio: Estimate
    succeeded: int
    runs: int


@dataclass(frozen=True)
class Rivals:
    """The optimizers compared with the `first`, each at its best choice of as many as were `tried`, if it is known."""

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
    """How many trials a search made, and the samples on which these were trained."""

    trials: int
    sampler: str
    given_up: Mapping[str, int]
    samples: float


@dataclass(frozen=True)
class Precision:
    """The best choice compared with the same settings in the other precision, and all pairs of such choices.

    Of the pairs, runs in float32 succeed `fewer` times, or more often, than in float64.
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
    """So many `rates` of those tried with certain settings, from the lowest to the highest, and the runs there."""

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

    A unit is "table", "standardized" or "", where there is only one. `note` says why parameters are standardized.
    """

    params: Mapping[str, str]
    count: int
    units: str
    loss: float
    loss_units: str
    note: str


@dataclass(frozen=True)
class Units:
    """The data were standardized: the columns that were centered, and whether targets, and losses, were scaled too.

    `residuals` is about a loss without a counterpart in the table's units.
    """

    center: str
    losses: bool
    residuals: str


@dataclass(frozen=True)
class LowestLoss:
    """The lowest loss, and that at which the best choice ends, on fresh seeds where there are any."""

    attainable: AttainableLoss
    loss: float


class Advice(NamedTuple):
    """What would bring the best choice nearer to the lowest loss: a `change`, and the facts that belong to it."""

    change: str
    about: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Shortfall:
    """The best choice ends far above the lowest loss or, where that is not known, above the loss of its start."""

    loss: float
    attainable: AttainableLoss
    advice: tuple[Advice, ...]


@dataclass(frozen=True)
class UnreachableTarget:
    """The target is below the lowest loss; `advised` leaves 1 % of the improvement, in units that may be other ones."""

    target: float
    lowest: float
    advised: float | None
    standardized: bool = False


@dataclass(frozen=True)
class OnTestRows:
    """The figures of the best choice on rows that decided nothing, by name, over its runs; on `fresh` seeds or not.

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
    """On these rows a constant has a loss as low as the best choice."""

    rows: str
    loss: float
    constant: float


@dataclass(frozen=True)
class NoSkill:
    """On these rows predicting the most frequent class, which has this share, is as accurate as the best choice."""

    rows: str
    accuracy: float
    share: float


@dataclass(frozen=True)
class Losses:
    """What a loss that is not the squared one is the mean of."""

    records: str


@dataclass(frozen=True)
class Metric:
    """The metric of the loss for the best run of the best choice, by the samples that it is about."""

    name: str
    figures: Mapping[str, float]


@dataclass(frozen=True)
class FitAdvice:
    """Why one fit fell short, and the changes of its settings with which a trial arrived.

    The learning rate, `lr`, may be above `stable`, the largest stable rate by theory at certain places (`where`). A
    trial leaves this share of the improvement over the best constant or, where that is not known, ends at this loss.
    There are no changes where none of the settings that were `tried` helps.
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

    The errors are 0 where they have to be. That of the loss is relative to it where it is not close to 0.
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
    """The optimizer that leads a suite, the share of the instances that it solves, and that `within_2` times the best.

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
    """The optimizers within 5 % of the lowest median on a problem; none where all fail in most of their runs."""

    problem: str
    optimizers: tuple[str, ...]


@dataclass(frozen=True)
class WidestRates:
    """The optimizers with the widest ranges of good learning rates, in decades."""

    decades: Mapping[str, float]


@dataclass(frozen=True)
class LeftOut:
    """The problems of a suite on which nothing is compared, by what they lack: "target", "success" or "fresh seeds"."""

    problems: Mapping[str, tuple[str, ...]]
