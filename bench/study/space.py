"""Spaces of settings: ranges of learning rates, batch sizes, and options of optimizers and schedules.

A range is written as in a grid, without a count: ``"log:0.001:1"`` for a learning rate, and
``"adam(beta1=log1m:0.5:0.99)"`` for an option.
"""

import copy
import inspect
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdbench.kernels.base.arguments import suggest_arguments
from sgdbench.kernels.base.checks import check_integer, check_real, check_seed, describe
from sgdbench.kernels.base.spec import parse_spec
from sgdbench.kernels.model.model import Model, by_name
from sgdbench.kernels.optimizers import make_optimizer, schedules
from sgdbench.kernels.optimizers.schedules import learning_rates
from sgdbench.study.grid import Grid, Seeds, Starts, as_list, check_distinct
from sgdbench.study.keys import GridKeys, TuneKeys

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

RANGE_KINDS = ("lin", "log", "log1m", "int", "logint")
SAMPLERS = ("tpe", "cmaes", "random", "qmc")
"""The names of Optuna's samplers, which propose settings."""
PRUNERS = ("asha", "hyperband", "none")
"""The names of its pruners, which give up trials that fall behind."""
_RANGE = re.compile(r"(?<![\w.])(log1m|logint|lin|log|int):([-+.\w]+?):((?:[-+.\w]|(?<=[eE])[-+])+)")
# Ranges for optimizer options of a grid, in the distance to 1, because 1 / (1 - beta) updates are averaged.
OPTION_RANGES = {
    "momentum": "log1m:0.5:0.995",
    "beta1": "log1m:0.5:0.995",
    "beta2": "log1m:0.8:0.9999",
    "beta3": "log1m:0.8:0.9999",
    "alpha": "log1m:0.8:0.999",
    "rho": "log1m:0.5:0.999",
}
# Options of the same name with another meaning.
FIXED_OPTIONS = {("asgd", "alpha")}
# The options of schedules that are numbers of epochs.
PERIODIC_SCHEDULES = ("halve", "step")


@dataclass(frozen=True)
class SearchSettings:
    """The settings of a search: the number of trials, a sampler of `SAMPLERS` and its seed, a pruner of `PRUNERS`.

    Invalid values raise a ValueError that says what is accepted.
    """

    trials: int = TuneKeys.trials
    sampler: str = TuneKeys.sampler
    pruner: str = TuneKeys.pruner
    sampler_seed: int = 0

    def __post_init__(self) -> None:
        # As int: NumPy integers may have few bits and overflow.
        object.__setattr__(self, "trials", check_integer("trials", self.trials))
        object.__setattr__(self, "sampler_seed", check_seed(self.sampler_seed, "sampler_seed"))
        for name, value, accepted in (("sampler", self.sampler, SAMPLERS), ("pruner", self.pruner, PRUNERS)):
            if not isinstance(value, str) or value not in accepted:
                raise ValueError(f"{name} must be one of {', '.join(accepted)}, not {describe(value)}")

    def identity(self) -> dict[str, str]:
        """Return the settings that determine which trials are proposed, as text by name."""
        return {"sampler": self.sampler, "sampler_seed": str(self.sampler_seed), "pruner": self.pruner}


@dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high`, both included.

    The kind is "lin" for uniform draws, "log" for draws with a uniform logarithm, "log1m" for a uniform logarithm of
    the distance to 1, "int" or "logint" for integers.
    """

    kind: str
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.kind}:{self.low:.12g}:{self.high:.12g}"

    def draw(self, trial: "BaseTrial", name: str) -> float:
        """Return the number that a trial proposes, to six significant digits."""
        if self.kind in {"int", "logint"}:
            return trial.suggest_int(name, int(self.low), int(self.high), log=self.kind == "logint")
        if self.kind == "log1m":
            distance = trial.suggest_float(f"1 - {name}", 1 - self.high, 1 - self.low, log=True)
            return float(f"{1 - float(f'{distance:.4g}'):.12g}")
        return float(f"{trial.suggest_float(name, self.low, self.high, log=self.kind == 'log'):.6g}")


def parse_range(name: str, text: str) -> Range:
    """Return the range that a text describes; a ValueError names `name`, the text, and what is accepted."""
    kind, *ends = text.split(":")
    message = (
        f'{name} must be a range "KIND:low:high" with one of the kinds {", ".join(RANGE_KINDS)}, not {describe(text)}'
    )
    if kind not in RANGE_KINDS or len(ends) != 2:
        raise ValueError(message)
    try:
        low, high = map(float, ends)
    except ValueError:
        raise ValueError(message) from None
    if not -math.inf < low < high < math.inf:
        raise ValueError(f"{name} {text!r}: low must be below high, and both finite")
    if kind in {"log", "logint"} and low <= 0:
        raise ValueError(f"{name} {text!r}: the ends of a logarithmic range must be positive")
    if kind == "log1m" and high >= 1:
        raise ValueError(f"{name} {text!r}: the ends of a range of distances to 1 must be below 1")
    if kind in {"int", "logint"} and not (low.is_integer() and high.is_integer()):
        raise ValueError(f"{name} {text!r}: the ends must be whole numbers")
    return Range(kind, low, high)


@dataclass(frozen=True)
class Template:
    """An optimizer or a schedule as a text in which options are ranges, each a parameter of a trial with a name."""

    text: str
    ranges: tuple[Range, ...]
    names: tuple[str, ...]

    @property
    def lowest(self) -> str:
        """The text with the low end of each range."""
        return _fill(self.text, [own.low for own in self.ranges])

    def draw(self, trial: "BaseTrial") -> str:
        """Return the text with numbers that a trial proposes."""
        return _fill(self.text, [own.draw(trial, name) for own, name in zip(self.ranges, self.names, strict=True)])


def make_templates(kind: str, value: Any) -> tuple[Template, ...]:
    """Return the templates of distinct texts, each an "optimizer" or each a "schedule"."""
    texts = as_list(kind, value)
    templates = tuple(make_template(kind, text) for text in texts)
    check_distinct(kind, texts)
    plain: dict[str, Any] = {kind: [template.text for template in templates if not template.ranges]}
    if plain[kind]:
        Grid(**plain)  # refuses two texts with one meaning
    return templates


def make_template(kind: str, text: str) -> Template:
    """Return the template of an optimizer or a schedule, after checking that the ends of its ranges are accepted.

    A number between them is tried too: both ends may be integers where only integers are accepted.
    """
    if not isinstance(text, str):
        raise ValueError(f"{kind} must be text, not {describe(text)}")
    ranges = tuple(parse_range(f"{kind} {text!r}: an option", match[0]) for match in _RANGE.finditer(text))
    lows, highs = [own.low for own in ranges], [own.high for own in ranges]
    before, names = _options(kind, text, lows), list[str]()
    for place, high in enumerate(highs):
        # The option of a range is the one that changes with it: others may have the same value.
        after = _options(kind, text, [*lows[:place], high, *lows[place + 1 :]])
        names.append(next((name for name in after if after[name] != before.get(name)), f"option {place + 1}"))
    _options(kind, text, highs)
    _options(kind, text, [own.low if "int" in own.kind else own.low + 0.61 * (own.high - own.low) for own in ranges])
    return Template(text, ranges, tuple(names))


def _fill(text: str, numbers: Sequence[float]) -> str:
    """Return a text with numbers in place of its ranges."""
    left = iter(numbers)
    return _RANGE.sub(lambda match: f"{next(left):.12g}", text)


def _options(kind: str, text: str, numbers: Sequence[float]) -> dict[str, Any]:
    """Return the options, by name, of a template with numbers in place of its ranges; for a schedule after its name.

    A text that is then not an optimizer or schedule raises a ValueError that quotes the original text.
    """
    filled = _fill(text, numbers)
    try:
        if kind == "optimizer":
            optimizer = make_optimizer(filled)
            # A decoupled decay is an option, and the other decay is then 0.
            return {"weight_decay": optimizer.weight_decay} | optimizer.options
        learning_rates(filled, 1.0, 1)
    except ValueError as error:
        raise ValueError(str(error).replace(repr(filled), repr(text))) from None
    name, args, kwargs = parse_spec(filled, "schedule")
    options = inspect.signature(schedules.SCHEDULES[name]).bind(*args, **kwargs).arguments
    return {f"{name} {option}": value for option, value in options.items()}


class Space:
    """A space of settings, with the starts and seeds from which every choice is tried.

    Parameters
    ----------
    lr : float or str
        A range such as ``"log:0.001:1"``, or a fixed rate.
    batch_size : int, str or list
        A range such as ``"logint:1:64"``, or sizes to choose from, including ``"full"``.
    optimizer, schedule : str or list of str
        Their options may be ranges: ``"momentum(log1m:0.5:0.99)"``, ``"halve(int:5:50)"``. Each optimizer is tuned
        separately, with the same number of trials; a trial chooses one of the schedules.
    shuffle : bool or list of bool
    init, seed
        As for `sgdbench.Grid`: each trial is repeated from every start with every seed, by default 0 to 4.

    Attributes
    ----------
    families : tuple of Template
        The optimizers.
    repeats : Grid
        The starts and the seeds.

    Raises
    ------
    ValueError
        Naming the argument, its value and what would be accepted.
    """

    @suggest_arguments
    def __init__(
        self,
        *,
        lr: float | str = "log:0.001:1",
        batch_size: int | str | Sequence[int | str] = GridKeys.batch_size,
        optimizer: str | Sequence[str] = GridKeys.optimizer,
        schedule: str | Sequence[str] = GridKeys.schedule,
        shuffle: bool | Sequence[bool] = GridKeys.shuffle,
        init: Starts = None,
        seed: Seeds = (0, 1, 2, 3, 4),
    ) -> None:
        self.lr = _parse_rate(lr)
        self.batch_size = _parse_sizes(batch_size)
        self.families, self.schedules = make_templates("optimizer", optimizer), make_templates("schedule", schedule)
        self.shuffle = Grid(shuffle=shuffle).shuffle
        self.repeats = Grid(init=init, seed=seed)

    def with_start_of(self, model: Model) -> "Space":
        """Return the space with the start of a model that was made from a function, as `Grid.with_start_of`."""
        made = copy.copy(self)
        made.repeats = self.repeats.with_start_of(model)
        return made

    def __repr__(self) -> str:
        families, pairs = len(self.families), self.pairs
        optimizers = f"{families} optimizer{'s' * (families != 1)}"
        return f"<Space of {optimizers}, {pairs} run{'s' * (pairs != 1)} for each trial>"

    @property
    def pairs(self) -> int:
        """The number of runs of a trial."""
        return len(self.repeats.names) * len(self.repeats.seed)

    def least_batch(self, n_samples: int) -> int:
        """Return the smallest batch size, in samples, after checking that there are as many.

        A range may exceed the number of samples, where it is cut off.
        """
        if isinstance(self.batch_size, Range):
            if self.batch_size.low > n_samples:
                raise ValueError(f"batch_size '{self.batch_size}' must begin at the {n_samples} samples or below")
            return int(self.batch_size.low)
        return min(Grid(batch_size=self.batch_size).sizes(n_samples))

    def trials_of_a_lane(self, width: int) -> int:
        """Return the number of trials that fill a lane, whose runs must share the order of samples."""
        side_by_side = len(self.repeats.names) if any(self.shuffle) else self.pairs
        return -(-width // side_by_side)

    def identity(self) -> dict[str, str]:
        """Return the ranges, the starts and the seeds as text by name."""
        with np.printoptions(threshold=sys.maxsize, floatmode="unique"):  # all numbers of a start, with all digits
            starts = str({name: str(by_name(start)) for name, start in self.repeats.init.items()})
        return {
            "range of lr": str(self.lr),
            "range of batch_size": str(self.batch_size),
            "range of optimizer": ", ".join(family.text for family in self.families),
            "range of schedule": ", ".join(schedule.text for schedule in self.schedules),
            "range of shuffle": str(self.shuffle),
            "starts": starts,
            "seeds": str([int(seed) for seed in self.repeats.seed]),
        }

    def propose(self, trial: "BaseTrial", family: Template, n_samples: int) -> dict[str, Any]:
        """Return the settings that a trial proposes: lr, batch_size, optimizer, schedule, shuffle."""
        sizes, schedules = self.batch_size, {schedule.text: schedule for schedule in self.schedules}
        if isinstance(sizes, Range):
            size: Any = int(Range(sizes.kind, sizes.low, min(sizes.high, n_samples)).draw(trial, "batch_size"))
        else:
            size = _choose(trial, "batch_size", [n_samples if one == "full" else one for one in sizes])
        shuffle = _choose(trial, "shuffle", self.shuffle)
        return {
            "lr": self.lr.draw(trial, "lr") if isinstance(self.lr, Range) else self.lr,
            "batch_size": size,
            "optimizer": family.draw(trial),
            "schedule": schedules[_choose(trial, "schedule", list(schedules))].draw(trial),
            "shuffle": shuffle,
        }


def _choose(trial: "BaseTrial", name: str, values: Sequence[Any]) -> Any:
    """Return the only value, or the one that a trial proposes."""
    return values[0] if len(values) == 1 else trial.suggest_categorical(name, values)


def check_double(grid: Grid) -> None:
    """Refuse a grid of float32: a search is in float64, and so must be the grid that it is compared with."""
    if "float32" in grid.dtype:
        raise ValueError("dtype must be float64 in the grid of a search, not float32")


def space_settings(grid: Grid, n_samples: int, epochs: int) -> dict[str, Any]:
    """Return the arguments of the `Space` that a grid spans: between its ends, with commonly tuned options.

    Learning rates and batch sizes lie between the lowest and the highest of the grid; a single rate is varied by a
    factor of 10 in both directions. Momentum and the betas of each optimizer are free (`OPTION_RANGES`), and so is the
    period of ``halve`` and ``step``. Everything else stays as in the grid, including options for which a user's rule
    does not accept that range.
    """
    check_double(grid)
    low, high = float(grid.lr.min()), float(grid.lr.max())
    low, high = (low / 10, high * 10) if low == high else (low, high)
    sizes = sorted({n_samples if size == "full" else int(size) for size in grid.batch_size})
    return {
        "lr": f"log:{low:.12g}:{high:.12g}",
        "batch_size": f"logint:{sizes[0]}:{sizes[-1]}" if len(sizes) > 1 else sizes,
        "optimizer": list(dict.fromkeys(map(_free_options, grid.optimizer))),
        "schedule": list(dict.fromkeys(_free_period(text, epochs) for text in grid.schedule)),
        "shuffle": grid.shuffle,
        "init": grid.init,
        "seed": grid.seed,
    }


def _free_options(text: str) -> str:
    """Return an optimizer with ranges for commonly tuned options, and the other options unchanged."""
    optimizer = make_optimizer(text)
    ranges = {
        name: OPTION_RANGES[name]
        for name in optimizer.options
        if name in OPTION_RANGES and (optimizer.name, name) not in FIXED_OPTIONS
    }
    if optimizer.inner or optimizer.call or not ranges:
        return text
    usual = make_optimizer(optimizer.name).options
    own = {name: value for name, value in optimizer.options.items() if name in ranges or value != usual.get(name)}
    l2 = {"weight_decay": optimizer.weight_decay} if optimizer.weight_decay else {}
    options = [f"{name}={ranges.get(name, value)}" for name, value in (own | l2).items()]
    freed = f"{optimizer.name}({', '.join([*options, *(f'{flag}=true' for flag in optimizer.flags)])})"
    try:
        make_template("optimizer", freed)
    except ValueError:  # a user's rule has other bounds for an option of this name
        return text
    return freed


def _free_period(text: str, epochs: int) -> str:
    """Return a schedule with a range for its period, from a twentieth to all of the epochs."""
    name, args, kwargs = parse_spec(text, "schedule")
    low, high = max(1, epochs // 20), max(2, epochs)
    if name not in PERIODIC_SCHEDULES or high <= low:
        return text
    options = dict(zip(("period", "gamma"), args, strict=False)) | kwargs
    others = "".join(f", {option}={value!r}" for option, value in options.items() if option != "period")
    return f"{name}(logint:{low}:{high}{others})"


def _parse_rate(lr: Any) -> Range | float:
    """Return a range of learning rates, or a fixed one."""
    if not isinstance(lr, str):
        return check_real("lr", lr, lambda rate: rate > 0, 'a positive finite number or a range "log:low:high"')
    rates = parse_range("lr", lr)
    if rates.kind not in {"lin", "log"} or rates.low <= 0:
        raise ValueError(f'lr must be a positive number or a range "log:low:high" or "lin:low:high", not {lr!r}')
    return rates


def _parse_sizes(sizes: Any) -> Range | tuple[int | str, ...]:
    """Return a range of batch sizes, or the sizes to choose from."""
    if isinstance(sizes, str) and sizes != "full":
        parsed = parse_range("batch_size", sizes)
        if parsed.kind not in {"int", "logint"} or parsed.low < 1:
            raise ValueError(f'batch_size must be a range "logint:1:64" or "int:1:64", or sizes, not {sizes!r}')
        return parsed
    return Grid(batch_size=sizes).batch_size
