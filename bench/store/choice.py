"""A ranked choice of settings, and its further use: fitting, code, a study."""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import tomli_w
from numpy.typing import ArrayLike

from sgdbench.kernels import FitResult, Model, fit
from sgdbench.kernels.base.columns import Inputs
from sgdbench.kernels.base.run import Floats


@dataclass(frozen=True, eq=False)
class Choice:
    """A choice of settings with its place in a ranking.

    Attributes
    ----------
    model : Model
    settings : dict
        optimizer, lr, schedule, batch_size (``"full"`` for all samples), shuffle, and dtype if it was given: as for
        `sgdbench.fit`.
    common : dict
        The settings that all runs share: epochs, target, loss, drop_last, record, patience and the held-out samples.
    init : array, shape (P,)
        The start of one of its runs: the first that reached the target or, if none did, the first that ended no higher
        than their median.
    seed : int
        The seed of that run.
    starts : dict or str or None
        All starts for these seeds, as `init` of a grid; None if it has none.
    seeds : list of int
        All seeds; only that of `init` if a sweep in Python of version 0.2 drew starts for each.
    rank : int
        Its place in the ranking, from 1.
    row : Series
        Its row of the ranking: success, costs and their intervals.
    ties : DataFrame
        The other choices that are not worse than the best one, with their `verdict`: "indistinguishable", "within 5 %",
        or "too few runs". Empty if this one is worse.
    recipe : dict
        "python" and "toml" -> the text before and after the settings.
    rule : str or None
        Python that computes `init`, if it has many numbers; empty if `fit` starts there by default.
    """

    model: Model
    settings: dict[str, Any]
    common: dict[str, Any]
    init: Floats
    seed: int
    starts: Any
    seeds: list[int]
    rank: int
    row: pd.Series
    ties: pd.DataFrame
    recipe: dict[str, list[str]] = field(repr=False)
    rule: str | None = None

    def __str__(self) -> str:
        settings = ", ".join(f"{name}={value}" for name, value in self.settings.items())
        counts = self.ties["verdict"].value_counts()
        how = ", ".join(f"{count:,} {verdict}" for verdict, count in counts.items()) or "none as good"
        how = "every run diverged" if self.row["diverged"] == self.row["runs"] else how
        return f"{settings} (rank {self.rank}; {how})"

    def __repr__(self) -> str:
        return f"<Choice {self}>"

    def refit(self, x: Inputs, y: ArrayLike, **changes: Any) -> FitResult:
        """Fit the model to data with these settings; with the sweep's data, this repeats the run of `init` and `seed`.

        Parameters
        ----------
        x : array, shape (n,) or (n, inputs), or a table
        y : array, shape (n,)
            The data passed to the sweep. The same share of them is held out; for a study, whose data already exclude
            held-out samples, the same samples.
        **changes
            Arguments of `sgdbench.fit` that replace these settings.

        Raises
        ------
        ValueError
            If the runs kept the parameters with the lowest loss on held-out samples that were given separately: these
            are not stored, so `validation` must be given again.
        """
        given = {"init": self.init, "seed": self.seed, **self.settings, **self.common, **changes}
        if given.get("patience") is not None and "validation" not in given:
            raise ValueError(
                "validation must give the samples that the sweep held out, which choose the kept checkpoint; the run "
                "does not store them"
            )
        return fit(self.model, x, y, **given)

    def code(self) -> str:
        """Return Python that trains this choice."""
        head, tail = self.recipe["python"]
        init = repr(self.init.tolist()) if self.rule is None else self.rule
        settings = {name: repr(value) for name, value in {**self.settings, "seed": self.seed}.items()}
        lines = ({"init": init} if init else {}) | settings
        return head + "".join(f"    {name}={value},\n" for name, value in lines.items()) + tail

    def to_study(self) -> str:
        """Return a study, a TOML text, of this choice alone with all its `starts` and `seeds`."""
        head, tail = self.recipe["toml"]
        # How samples are shuffled is a setting that all runs share, and part of `recipe`.
        grid = {**self.settings, "shuffle": bool(self.settings["shuffle"]), "seed": self.seeds}
        grid |= {} if self.starts is None else {"init": self.starts}
        return head + tomli_w.dumps({"grid": grid}) + tail
