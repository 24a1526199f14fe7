"""A choice of settings that was ranked, and how to go on with it: fit it, name it in code, make it a study."""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import tomli_w
from numpy.typing import ArrayLike

from kernels import FitResult, Model, fit
from kernels.run import Floats


@dataclass(frozen=True, eq=False)
class Choice:
    """A choice of settings with its place in a ranking.

    Attributes
    ----------
    model : Model
    settings : dict
        optimizer, lr, schedule, batch_size, shuffle, and dtype where it was asked for: as for `kernels.fit`.
    common : dict
        epochs, target, loss, drop_last: what all runs of the sweep have in common.
    init : array, shape (P,)
        The first of the starts from which it was trained.
    seeds : list of int
        Those with which it was trained.
    rank : int
        Its place in the ranking, from 1.
    row : Series
        Its row of the ranking: success, costs and their intervals.
    ties : DataFrame
        The other choices tied with the best one; empty if this one is not tied with it.
    recipe : dict
        "python" and "toml" -> the text before and after the settings.
    """

    model: Model
    settings: dict[str, Any]
    common: dict[str, Any]
    init: Floats
    seeds: list[int]
    rank: int
    row: pd.Series
    ties: pd.DataFrame
    recipe: dict[str, list[str]] = field(repr=False)

    def __str__(self) -> str:
        settings = ", ".join(f"{name}={value}" for name, value in self.settings.items())
        return f"{settings} (rank {self.rank}; tied with {len(self.ties)} others)"

    def refit(self, x: ArrayLike, y: ArrayLike, **changes: Any) -> FitResult:
        """Fit the model to data with these settings.

        Parameters
        ----------
        x : array, shape (n,) or (n, inputs)
        y : array, shape (n,)
        **changes
            Arguments of `kernels.fit` that take the place of these settings.
        """
        given = {"init": self.init, "seed": self.seeds[0], **self.settings, **self.common}
        return fit(self.model, x, y, **given | changes)

    def code(self) -> str:
        """Return Python that trains this choice."""
        head, tail = self.recipe["python"]
        given = {"init": self.init.tolist(), **self.settings, "seed": self.seeds[0]}
        return head + "".join(f"    {name}={value!r},\n" for name, value in given.items()) + tail

    def to_study(self) -> str:
        """Return a study, a TOML text, of this choice alone with all its seeds."""
        head, tail = self.recipe["toml"]
        start = dict(zip(self.model.params, self.init.tolist(), strict=True))
        grid = {**self.settings, "seed": self.seeds, "init": {"start": start}}
        return head + tomli_w.dumps({"grid": grid}) + tail
