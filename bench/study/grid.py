"""Grids of settings: every combination of their values is a configuration, which is one training run."""

from __future__ import annotations  # so that `help` shows the names of types, not their definitions

import copy
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from numbers import Real
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from sgdbench.kernels.base.arguments import suggest_arguments
from sgdbench.kernels.base.checks import check_bool, check_integer, check_positive, check_real, check_seed, describe
from sgdbench.kernels.base.columns import Params
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.compile.kinds import check_dtype_name
from sgdbench.kernels.data.samples import check_batch_size
from sgdbench.kernels.model.model import Model, by_name
from sgdbench.kernels.model.param_columns import START_PREFIX, params_to_columns
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.optimizers.optimizer import Optimizer
from sgdbench.kernels.optimizers.schedules import canonical_schedule
from sgdbench.study.keys import GridKeys

ZERO_START, DEFAULT_START, RANDOM_STARTS = "zero", "default", "random"
MAX_VALUES = 1_000_000
"""The most configurations that run without a question, and the most values of a single setting."""

Numbers = float | Sequence[float] | NDArray[Any]
Texts = str | Sequence[str]
Dtypes = Texts | type[Any] | Sequence[str | type[Any]]
Start = str | Params
Starts = str | ArrayLike | Sequence[Start] | Mapping[str, Start] | None
Seeds = int | Sequence[int] | NDArray[Any]
T = TypeVar("T")


class Grid:
    """The values of every setting of a run; each is a single value, or a list, tuple, range or array of values.

    Parameters
    ----------
    lr
        Learning rates: numbers, or the text ``"log:0.01:1:20"`` or ``"lin:0.1:1:10"``, that is start, stop and count.
        Both ends are included; the numbers between them have twelve significant digits.
    batch_size
        Samples per update: integers, and ``"full"`` for all samples.
    init
        Starts: a mapping from a name to values, as a vector in the order of the model's parameters or as a mapping of
        their names; or to the text ``"normal:scale:count"`` or ``"uniform:low:high:count"`` for random starts, named
        ``name[0]``, ``name[1]`` and so on, or to ``"zero"``. Vectors and texts may also be given without a name. By
        default there is one start, named ``default``, the same as that of `sgdbench.fit`: it is drawn like
        ``"normal:1:1"``, except for models with vectors (`sgdbench.Model.draw_start`).
    optimizer, schedule
        For example ``"momentum(0.9)"`` and ``"halve(10)"``.
    seed
        Seeds of the order of the samples and of the random starts: start k depends only on the seed and k, so that a
        larger count does not change earlier starts. Configurations with the same seed see the same draws.
    shuffle
        True for a new random order of samples in each epoch.
    dtype
        The floating-point type: ``"float64"``, the default, or ``"float32"``; see `sgdbench.fit`.

    Attributes
    ----------
    names : tuple of str
        The names of the starts, with a number for random ones.

    Raises
    ------
    ValueError
        If a setting has no value, the same value twice, or an invalid one. `frame` checks what depends on the model and
        the data.
    """

    @suggest_arguments
    def __init__(
        self,
        *,
        lr: Numbers | str = GridKeys.lr,
        batch_size: int | str | Sequence[int | str] | NDArray[Any] = GridKeys.batch_size,
        init: Starts = GridKeys.init,
        optimizer: Texts = GridKeys.optimizer,
        schedule: Texts = GridKeys.schedule,
        seed: Seeds = GridKeys.seed,
        shuffle: bool | Sequence[bool] = GridKeys.shuffle,
        dtype: Dtypes | None = GridKeys.dtype,
    ) -> None:
        self.lr = _parse_rates(lr)
        self.batch_size = _parse_values("batch_size", batch_size, _check_batch_size)
        self.init = _name_starts(init)
        self.names = check_distinct(
            "init", [name for name, start in self.init.items() for name in _start_names(name, start)]
        )
        optimizers = _list_texts("optimizer", optimizer)
        self.optimizer = check_distinct("optimizer", optimizers, lambda text: make_optimizer(text).text)
        self.schedule = check_distinct("schedule", _list_texts("schedule", schedule), canonical_schedule)
        if isinstance(seed, str):
            raise ValueError(f"seed must be a whole number or a list such as [0, 1, 2, 3, 4], not {describe(seed)}")
        self.seed = _parse_values("seed", seed, check_seed)
        self.shuffle = _parse_values("shuffle", shuffle, _check_shuffle)
        self.dtype = () if dtype is None else _parse_values("dtype", dtype, check_dtype_name)

    def with_start_of(self, model: Model) -> Grid:
        """Return the grid with the start of a model that was made from a function with defaults, in place of none."""
        if not model.start or [*self.init] != [DEFAULT_START]:
            return self
        made = copy.copy(self)
        made.init = {DEFAULT_START: model.draw_start(0)}
        return made

    def __repr__(self) -> str:
        return f"<Grid of {self.size:,} configuration{'s' * (self.size != 1)}>"

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of values of lr, batch_size, init, optimizer, schedule, seed, shuffle, and dtype if given."""
        others = (self.batch_size, self.names, self.optimizer, self.schedule, self.seed, self.shuffle)
        return (self.lr.size, *map(len, others), *([len(self.dtype)] if self.dtype else []))

    @property
    def size(self) -> int:
        """The number of configurations."""
        return math.prod(self.shape)

    @property
    def drawn(self) -> dict[str, str]:
        """The random entries of `init`, as texts by name; "default" for the one that `init=None` stands for."""
        return {name: start.text for name, start in self.init.items() if isinstance(start, RandomStarts)}

    def vectors(self, model: Model) -> list[Floats | RandomStarts]:
        """Return the entries of `init` for a model: parameter vectors, shape (P,), and random starts.

        An entry that does not fit the parameters of the model, or equals another, raises a ValueError.
        """
        found: dict[Hashable, str] = {}
        vectors: list[Floats | RandomStarts] = []
        for name, start in self.init.items():
            try:
                vector = start if isinstance(start, RandomStarts) else model.vector(start)
            except ValueError as error:
                raise ValueError(f"init {name!r}: {error}") from None
            if isinstance(vector, RandomStarts) and vector.kind == ZERO_START:
                vector = np.zeros(len(model.params))
            key = (vector.kind, *vector.numbers) if isinstance(vector, RandomStarts) else tuple(vector.tolist())
            if found.setdefault(key, name) != name:
                raise ValueError(f"init must have distinct starts, and {name!r} is the same as {found[key]!r}")
            vectors.append(vector)
        return vectors

    def starts(self, model: Model) -> Floats:
        """Return the initial parameters, shape (starts, seeds, P)."""
        seeds, params = len(self.seed), len(model.params)
        return np.concatenate(
            [
                np.stack([start.draw(seed, model) for seed in self.seed], axis=1)
                if isinstance(start, RandomStarts)
                else np.broadcast_to(start, (1, seeds, params))
                for start in self.vectors(model)
            ]
        )

    def sizes(self, n_samples: int) -> tuple[int, ...]:
        """Return the batch sizes in samples, after checking that the data are large enough and sizes distinct."""
        sizes = {size: check_batch_size(size, n_samples) for size in self.batch_size}
        check_distinct("batch_size", self.batch_size, sizes.__getitem__)
        return tuple(sizes.values())

    def frame(self, model: Model, n_samples: int) -> pd.DataFrame:
        """Lay the grid out, one row per configuration.

        Parameters
        ----------
        model : Model
        n_samples : int
            The number of samples in the data, which is the batch size "full".

        Returns
        -------
        DataFrame
            lr (float), batch_size (int, in samples), init (category), optimizer and schedule (category, as written),
            seed (unsigned int), shuffle (bool), dtype (category) if it is given, and the initial value of each
            parameter, ``start_<name>`` (float). The rows are in the order of nested loops over the columns before the
            starts, the last one innermost.

        Raises
        ------
        ValueError
            If a batch size exceeds the number of samples or is duplicated ("full" and a number can be the same), or a
            start does not fit the model.
        """
        sizes = self.sizes(n_samples)
        starts = self.starts(model).reshape(-1, len(model.params))
        # The index of each row's value among the values of a setting.
        places = np.indices(self.shape, np.int32).reshape(len(self.shape), -1)
        lr, size, init, optimizer, schedule, seed, shuffle, *dtype = places
        columns: dict[str, Any] = {
            "lr": self.lr[lr],
            "batch_size": np.array(sizes, np.int64)[size],
            "init": pd.Categorical.from_codes(init, pd.Index(self.names)),
            "optimizer": pd.Categorical.from_codes(optimizer, pd.Index(self.optimizer)),
            "schedule": pd.Categorical.from_codes(schedule, pd.Index(self.schedule)),
            "seed": np.array(self.seed, np.uint64)[seed],
            "shuffle": np.array(self.shuffle)[shuffle],
        }
        if self.dtype:
            columns["dtype"] = pd.Categorical.from_codes(dtype[0], pd.Index(self.dtype))
        start = init * len(self.seed) + seed
        for name, column in params_to_columns(model, starts, START_PREFIX).items():
            columns[name] = pd.Series(column).to_numpy()[start]
        return pd.DataFrame(columns, copy=False)


def _check_shuffle(shuffle: Any) -> bool:
    if isinstance(shuffle, str) and shuffle.startswith("blocks"):
        how = f"turn it on, and give shuffling={shuffle!r} to sweep or tune, or under [run] of a study"
        raise ValueError(f"shuffle must be True or False, not {shuffle!r}: {how}")
    return check_bool("shuffle", shuffle)


@dataclass(frozen=True)
class RandomStarts:
    """Starts that the seed of a run draws: "normal" with (scale,), "uniform" with (low, high) or "default".

    "zero" stands for a vector of zeros, for any model, and is not random.
    """

    kind: str
    numbers: tuple[float, ...]
    count: int

    @property
    def text(self) -> str:
        """The text in a grid that stands for them."""
        if self.kind in (ZERO_START, DEFAULT_START):
            return self.kind
        return ":".join([self.kind, *map(repr, self.numbers), str(self.count)])

    def draw(self, seed: int, model: Model) -> Floats:
        """Return the starts of a seed, shape (count, params); the first rows do not depend on the count."""
        generator, params = np.random.default_rng(seed), len(model.params)
        if self.kind == DEFAULT_START:
            return model.draw_start(seed)[np.newaxis]
        if self.kind == "normal":
            (scale,) = self.numbers
            return scale * generator.standard_normal((self.count, params))
        low, high = self.numbers
        return low + (high - low) * generator.random((self.count, params))


def question_if_large(size: int) -> str | None:
    """Return the question to ask before that number of configurations is run, or None if there is none."""
    if size <= MAX_VALUES:
        return None
    return f"the grid has {size:,} configurations, more than {MAX_VALUES:,}; confirm with --yes, or list fewer values"


def as_list(name: str, values: Any) -> list[Any]:
    """Return the values of a setting as a list; anything but a sequence is a single value."""
    if hasattr(values, "tolist") and not isinstance(values, type):  # arrays and scalars of NumPy and pandas
        values = values.tolist()
    if not isinstance(values, list | tuple | range):
        return [values]
    if not values:
        raise ValueError(f"{name} must have at least one value, not {values!r}")
    if values[MAX_VALUES:]:
        raise ValueError(f"{name} must have at most {MAX_VALUES:,} values, not {describe(values)}")
    return list(values)


def _list_texts(name: str, texts: Any) -> list[Any]:
    """Return optimizers or schedules as a list, after checking that no option is a range, as in a search."""
    listed = as_list(name, texts)
    if made := next((text for text in listed if isinstance(text, Optimizer)), None):
        raise ValueError(f"{name} must be text such as 'adam(beta1=0.9)', not an Optimizer: {made!r}")
    if ranged := next((text for text in listed if isinstance(text, str) and ":" in text), None):
        raise ValueError(
            f"{name} {describe(ranged)} must be a value in a grid; ranges such as lin:0:0.9 belong under [tune]"
        )
    return listed


def _parse_values(name: str, values: Any, check: Callable[[Any], T]) -> tuple[T, ...]:
    """Return the distinct values of a setting, each checked."""
    return check_distinct(name, [check(value) for value in as_list(name, values)])


def check_distinct(name: str, values: Sequence[T], key: Callable[[T], Hashable] = lambda value: value) -> tuple[T, ...]:
    """Return the values, after checking that no two of them mean the same."""
    first_of: dict[Hashable, T] = {}
    for value in values:
        meaning = key(value)
        if meaning in first_of:
            other = first_of[meaning]
            same = "is there twice" if other == value else f"is the same as {other!r}"
            raise ValueError(f"{name} must have distinct values, and {value!r} {same}")
        first_of[meaning] = value
    return tuple(values)


def _parse_rates(lr: Numbers | str) -> Floats:
    """Return the learning rates from a list or from a range given as text."""
    if isinstance(lr, str):
        rates = np.array(_parse_range(lr))  # lies between its ends, which are checked
        if np.unique(rates).size < rates.size:
            check_distinct("lr", rates.tolist())
        return rates
    return np.array(_parse_values("lr", lr, partial(check_positive, "lr")))


def _parse_range(text: str) -> list[float]:
    """Return the learning rates of a range such as ``"log:0.01:1:20"``."""
    parts = _split_range(text, {"log": 2, "lin": 2})
    if parts is None:
        accepted = 'positive finite numbers or a range "log:start:stop:count" or "lin:start:stop:count"'
        raise ValueError(f"lr must be {accepted}, not {describe(text)}")
    kind, numbers, count = parts
    start, stop = (check_positive(f"lr {text!r}: each end", end) for end in numbers)
    _check_count(f"lr {text!r}", count, 2)
    between = (np.geomspace if kind == "log" else np.linspace)(start, stop, count)[1:-1]
    # The last bits of a logarithm depend on the machine, but an id depends on every bit.
    return [start, *(float(f"{rate:.12g}") for rate in between), stop]


def _check_batch_size(size: Any) -> int | str:
    """Return a batch size unchanged, after checking that a run could have it."""
    if isinstance(size, str) and size == "full":
        return size
    try:
        return check_integer("batch_size", size)
    except ValueError:
        accepted = '"full" or a whole number of at least 1'
        raise ValueError(f"batch_size must be {accepted}, not {describe(size)}") from None


def _name_starts(init: Any) -> dict[str, Any]:
    """Return the entries of `init` by name, texts as `RandomStarts`."""
    if init is None:
        return {DEFAULT_START: RandomStarts(DEFAULT_START, (), 1)}
    if isinstance(init, str):
        init = {init if init == ZERO_START else RANDOM_STARTS: init}
    if not isinstance(init, Mapping):
        listed = [init] if isinstance(by_name(init), Mapping) else as_list("init", init)  # a Series is one start
        init = {f"init[{k}]": start for k, start in enumerate([listed] if isinstance(listed[0], Real) else listed)}
    if not init:
        raise ValueError("init must have at least one start, not none")
    for name, start in init.items():
        if not isinstance(name, str) or not name:
            raise ValueError(f"init must name its starts by text, not {describe(name)}")
        if isinstance(start, Real):
            raise ValueError(
                f"init must give each start a name and all its values, and {name!r} is the number {start}; one start "
                f"is written {{'near': {{{name!r}: {start}, ...}}}}, in a file near = {{ {name} = {start}, ... }}"
            )
    return {
        name: _parse_random_starts(name, start) if isinstance(start, str) else deepcopy(start)
        for name, start in init.items()
    }


def _parse_random_starts(name: str, text: str) -> RandomStarts:
    if text == ZERO_START:
        return RandomStarts(ZERO_START, (), 1)
    named = name != RANDOM_STARTS  # the name of a text that the user gave no name
    about, parts = f"init {name!r}" if named else "init", _split_range(text, {"normal": 1, "uniform": 2})
    if parts is None:
        accepted = 'values, "zero", "normal:scale:count" or "uniform:low:high:count"'
        raise ValueError(f"{about} must be {accepted}, not {describe(text)}")
    kind, numbers, count = parts
    where = f"{about}, {text!r}" if named else f"{about} {text!r}"
    _check_count(where, count, 1)
    if kind == "normal":
        # Normal draws beyond 1e8 do not occur, so starts are finite.
        check_real(f"{where}: the scale", numbers[0], lambda scale: 0 < scale < 1e300, "a positive number below 1e300")
    elif not 0 < numbers[1] - numbers[0] < math.inf:
        raise ValueError(f"{where}: low must be below high, and both finite")
    return RandomStarts(kind, tuple(numbers), count)


def _start_names(name: str, start: Any) -> list[str]:
    if isinstance(start, RandomStarts) and start.kind not in (ZERO_START, DEFAULT_START):
        return [f"{name}[{k}]" for k in range(start.count)]
    return [name]


def _split_range(text: str, kinds: Mapping[str, int]) -> tuple[str, list[float], int] | None:
    """Return the parts of ``kind:number:...:count`` with as many numbers as the kind needs, or None."""
    kind, *rest = text.split(":")
    if kind not in kinds or len(rest) != kinds[kind] + 1:
        return None
    try:
        return kind, [float(number) for number in rest[:-1]], int(rest[-1])
    except ValueError:
        return None


def _check_count(where: str, count: int, least: int) -> None:
    if not least <= count <= MAX_VALUES:
        raise ValueError(f"{where}: the count must be from {least} to {MAX_VALUES:,}, not {count}")
