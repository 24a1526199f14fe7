"""The runs of a sweep, ranked: the choices of settings by the runs of the sweep, and by what fresh seeds say."""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import pandas as pd

from bench.store.evidence import read_tables
from bench.store.results import StoredSweep
from bench.tables.excess import add_excess
from bench.tables.ranking import leaders, ranking, runs_of
from bench.tables.run_costs import LOSS_FLOOR, choice_columns, find_choices
from bench.tables.seconds import add_seconds
from bench.tables.winners import confirm, winners


@dataclass(frozen=True, eq=False)
class RankedRuns:
    """The runs of a sweep and the ranking of their choices.

    `evidence` has the measurements made along with the sweep, by name (see `bench.store.evidence`); any may be missing.
    Seconds have a part in the ranking where updates were timed, and runs on fresh seeds where they are in the folder.
    """

    result: StoredSweep
    evidence: Mapping[str, pd.DataFrame]

    # The column of a ranking whose values are compared on fresh seeds, each at its best choice.
    rivals: ClassVar[str] = "optimizer"

    def with_evidence(self, evidence: Mapping[str, pd.DataFrame]) -> Self:
        """Return the same with other measurements besides, on which nothing rests that has been computed so far."""
        run_data = copy(self)
        object.__setattr__(run_data, "evidence", evidence)
        return run_data

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per configuration, as described in `bench.tables.ranking`."""
        return self._comparable(self.result.frame)

    def _comparable(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return runs with the columns by which they are compared: seconds, and distances to the lowest loss."""
        timed = add_seconds(frame, self.evidence.get("costs"))
        return add_excess(timed, self.result.yardstick, self.floor, self.result.frame)

    @cached_property
    def floor(self) -> float:
        """The loss below which differences are rounding, as it is stored; folders of version 0.2 lack it."""
        return self.result.yardstick.rounding or LOSS_FLOOR

    @property
    def samples(self) -> int:
        """The number of samples in the data: a batch of all of them is called full."""
        return self.result.clock.n

    @cached_property
    def fresh(self) -> pd.DataFrame | None:
        """The runs of the leading choices on fresh seeds, like `frame`; None where there are none, or not all.

        Also None if the sweep was extended since, with more epochs or starts, the same seeds, or other leading choices.
        """
        confirmation, asked = self.result.confirmation, self.evidence.get("settings")
        if confirmation is None or asked is None:
            return None
        result, runs, by = self.result, confirmation.frame, choice_columns(confirmation.frame)
        confirmed = read_tables(confirmation.run.folder).get("settings")
        is_about_this = (
            len(runs) == confirmation.planned
            and confirmed is not None
            and asked["epochs"].equals(confirmed["epochs"])
            and bool((result.frame["epochs"] <= asked["epochs"].max()).all())  # on record once all are trained
            and set(runs["init"]) == set(result.frame["init"])
            and set(runs["seed"]).isdisjoint(result.frame["seed"])
            and bool(find_choices(leaders(self.choices, self.rivals), runs[by].drop_duplicates(), by).notna().all())
        )
        return self._comparable(runs) if is_about_this else None

    @cached_property
    def choices(self) -> pd.DataFrame:
        """The ranking of the runs of the sweep alone."""
        return self.rank("samples")

    @property
    def to_confirm(self) -> pd.DataFrame:
        """The choices to be trained again on fresh seeds; none where no run succeeded, so that none leads."""
        return winners(self.choices) if self.choices["tied"].any() else self.choices.head(0)

    @cached_property
    def ranked(self) -> pd.DataFrame:
        """The choices of settings by samples to the target, with what the runs on fresh seeds say."""
        return self.ranked_by("samples")

    def ranked_by(self, cost: str) -> pd.DataFrame:
        """Return the choices of settings by a cost, as from `bench.tables.winners.confirm`."""
        if cost == "validation_loss" and self.result.run.identity["validation"] == "none":
            raise ValueError("cost must not be 'validation_loss' where no samples are held out")
        ranked = self.choices if cost == "samples" else self.rank(cost)
        if self.fresh is None:
            return ranked
        return confirm(ranked, self.fresh, cost, rivals=self.rivals, floor=self.floor, samples=self.samples)

    def rank(self, cost: str) -> pd.DataFrame:
        """Return the choices of settings by a cost, by the runs of the sweep alone."""
        return ranking(self.frame, cost, floor=self.floor)

    def frame_of(self, choice: pd.Series) -> pd.DataFrame:
        """Return the runs by which a choice is judged: those on fresh seeds, where it was trained on these."""
        return self.frame if self.fresh is None or runs_of(self.fresh, choice).empty else self.fresh


def rank_stored(result: StoredSweep) -> RankedRuns:
    """Return the runs of a sweep, with the measurements in its folder, ranked."""
    return RankedRuns(result, read_tables(result.run.folder))
