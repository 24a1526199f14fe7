"""What a search for settings found: its best choice, its rivals on fresh seeds, and how it went."""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from bench.report.run_data import RunData, run_data_of
from bench.store.results import SweepResult
from bench.store.tuning import TuneResult
from bench.tables.choice_ranking import ranking, recommended_choice, summarize
from bench.tables.formatting import text
from bench.tables.intervals import CONFIDENCE, median_interval, row_medians
from bench.tables.phrases import describe_choice, describe_ratio, format_count, format_share
from bench.tables.run_costs import CHOICES, find_choices, run_costs
from bench.tables.search_history import grid_in_random_order, regret, search_history
from bench.tables.trial_value import choice_values

GRID = "the grid"


class TunedRuns(RunData):
    """The runs of the trials that were trained to their end; nearly each has an optimizer of its own."""

    @cached_property
    def verdict(self) -> dict[str, str]:
        """The conclusions that compare neither optimizers nor the rates of a grid."""
        found = {} if self.frame.empty else self.headline
        return {about: sentence for about, sentence in found.items() if about != "Edge of the grid"}

    @cached_property
    def compared(self) -> None:
        """Nothing: see `TuneData.rivals`."""
        return

    @cached_property
    def _leading(self) -> pd.DataFrame:
        """The recommended choice."""
        return self._selected[self._selected["recommended"]]

    def _select(self, cost: str) -> pd.DataFrame:
        """Return the choices of settings by a cost; the first is recommended.

        What recommends a choice of a grid, that rates around it succeed too, says nothing where each has settings of
        its own.
        """
        ranked = super()._select(cost)
        if ranked["recommended"].any():
            ranked["recommended"] = ranked.index == ranked.index[0]
            others = int(ranked["tied"].sum()) - 1
            reason = f"It ranks first of the {format_count(len(ranked), 'trial')} that were trained to their end."
            ranked["reason"] = np.where(ranked["recommended"], reason if others else "", "")
        return ranked


@dataclass(frozen=True, eq=False)
class TuneData:
    """The contents of the folder of a search.

    Attributes
    ----------
    tuning : TuneResult
    runs : TunedRuns
    """

    tuning: TuneResult
    runs: TunedRuns

    @cached_property
    def names(self) -> dict[str, str]:
        """What each family is called: by its optimizer, or in full where there are several of the same."""
        families = list(dict.fromkeys(self.tuning.trials["family"])) if len(self.tuning.trials) else []
        short = [family.partition("(")[0] for family in families]
        return {
            family: name if short.count(name) == 1 else family for family, name in zip(families, short, strict=True)
        }

    @cached_property
    def facts(self) -> dict[str, str]:
        """The sampler and the pruner."""
        return {name: self.tuning.result.run.identity[name] for name in ("sampler", "pruner")}

    @property
    def space(self) -> list[tuple[str, str]]:
        """What was searched, by name."""
        identity = self.tuning.result.run.identity
        return [(name, text(said)) for name, said in identity.items() if name.startswith("range of ")]

    @property
    def is_logarithmic(self) -> bool:
        """Whether values are logarithms: of samples, or of losses that are never negative."""
        return self.runs.target is not None or self.runs.criterion.nonnegative

    @property
    def value_label(self) -> str:
        """What the values of trials are, once they are no logarithms."""
        if self.runs.target is not None:
            return "samples per success"
        return "loss on held-out samples" if "validation_loss" in self.runs.frame else "final loss"

    @cached_property
    def steps(self) -> pd.DataFrame:
        """The trials in order; see `bench.tables.search_history.search_history`."""
        return search_history(self.tuning.trials)

    @cached_property
    def grid_values(self) -> pd.DataFrame | None:
        """What the choices of the grid are worth; None where there is none."""
        grid = self.tuning.grid
        if grid is None or len(grid.frame) < grid.planned or grid.frame.empty:
            return None
        return self._values(grid)

    @cached_property
    def lowest(self) -> float:
        """The lowest value known."""
        values = [self.steps["best"].min()] if len(self.steps) else []
        values += [] if self.grid_values is None else [self.grid_values["value"].min()]
        return min(values, default=np.inf)

    @cached_property
    def regrets(self) -> tuple[pd.DataFrame, pd.DataFrame | None]:
        """The regret of the search, and that of the grid in a random order."""

        def of(best: pd.Series) -> Any:
            return regret(best.to_numpy(float), self.lowest, logarithmic=self.is_logarithmic)

        steps = self.steps.assign(regret=of(self.steps["best"]))
        if self.grid_values is None:
            return steps, None
        curve = grid_in_random_order(self.grid_values)
        return steps, curve.assign(**{name: of(curve[name]) for name in ("low", "median", "high")})

    @cached_property
    def leaders(self) -> pd.DataFrame:
        """The best choice, the best trials of the other optimizers, and what the grid recommends.

        `rival`, what it is called, and the settings; the best choice first.
        """
        trials = self.tuning.trials
        complete = trials[trials["state"] == "complete"].sort_values("value", kind="stable")
        best = recommended_choice(self.runs.ranked)[CHOICES]
        same = find_choices(complete, best.to_frame().T, CHOICES).notna().to_numpy()
        others = complete[complete["family"] != complete["family"].to_numpy()[same][0]].drop_duplicates("family")
        rows = [complete[same].head(1), others]
        rows = [part.assign(rival=part["family"].map(self.names))[["rival", *CHOICES]] for part in rows]
        if self.grid_values is not None and self.tuning.grid is not None:
            row = recommended_choice(ranking(self.tuning.grid.frame, floor=self.runs.floor))
            rows.append(row[CHOICES].to_frame().T.assign(rival=GRID)[["rival", *CHOICES]])
        texts = {"optimizer": object, "schedule": object}
        found: pd.DataFrame = pd.concat([part.astype(texts) for part in rows], ignore_index=True)
        return found

    @cached_property
    def rivals(self) -> pd.DataFrame | None:
        """The leaders compared on fresh seeds, in their order; None where there are no fresh runs.

        `rival`; the columns of a ranking up to `final_loss_high`; `ratio`, the median over pairs of runs of the cost
        relative to that of the best choice, with an interval that allows for the number of rivals; and `verdict`:
        "best choice", "fails" where half of the runs do, "slower", "faster" or "no difference found".
        """
        fresh = self.runs.fresh
        if fresh is None or self.runs.frame.empty:
            return None
        runs = run_costs(fresh[find_choices(fresh, self.leaders, CHOICES).notna().to_numpy()], CHOICES)
        places = find_choices(self.leaders, runs.choices, CHOICES)
        if places.isna().any():
            return None
        order = places.to_numpy(int)
        cost = runs.ranked_by("samples")
        table = summarize(runs, cost).iloc[order].reset_index(drop=True)
        table.insert(0, "rival", self.leaders["rival"])
        costs = runs.comparable(cost, self.runs.floor)[order]
        with np.errstate(invalid="ignore"):
            ratios = costs / costs[0]  # NaN where both failed
        low, high = median_interval(ratios, 1 - (1 - CONFIDENCE) / max(1, len(order) - 1))
        succeeded = np.isfinite(costs)
        fails = 2 * np.count_nonzero(succeeded, axis=1) <= np.count_nonzero(~np.isnan(costs), axis=1)
        verdict = np.select([fails, low > 1, high < 1], ["fails", "slower", "faster"], "no difference found")
        verdict[0] = "best choice"
        return table.assign(ratio=row_medians(ratios), ratio_low=low, ratio_high=high, verdict=verdict)

    @cached_property
    def sentences(self) -> dict[str, str]:
        """The conclusions by subject."""
        found = dict(self.runs.verdict) or {"Best choice": "none: no trial was trained to its end."}
        if self.rivals is not None:
            found |= _describe_rivals(self.rivals)
        return found | {"Search": self._describe_search()}

    def _describe_search(self) -> str:
        trials, facts = self.tuning.trials, self.facts
        if trials.empty:
            return "no trial was trained to its end yet."
        counts = trials["state"].value_counts()
        given_up = [f"{text(int(counts[state]))} {state}" for state in ("pruned", "diverged") if counts.get(state)]
        spent = text(float(f"{trials['samples'].sum():.3g}"))
        words = f"{format_count(len(trials), 'trial')} by {facts['sampler']}"
        return f"{words}{', ' if given_up else ''}{', '.join(given_up)}; {spent} samples trained on."

    def _values(self, result: SweepResult) -> pd.DataFrame:
        about = self.runs.target, self.runs.floor
        return choice_values(result.frame, *about, nonnegative=self.runs.criterion.nonnegative)


def read_tune_data(tuning: TuneResult) -> TuneData:
    """Return what the folder of a search holds besides its results."""
    found = run_data_of(tuning.result)
    runs = TunedRuns(**{part.name: getattr(found, part.name) for part in fields(found)})
    return TuneData(tuning, runs)


def _describe_rivals(rivals: pd.DataFrame) -> dict[str, str]:
    """Say what the search gained over the grid on fresh seeds, and how optimizers compare, each tuned."""
    first, others = rivals.iloc[0], rivals.iloc[1:]
    what = "samples" if np.isfinite(first["samples"]) else "loss"
    sentences = {}
    for _, row in others[others["rival"] == GRID].iterrows():
        said = _describe_rival(row, first, what)
        sentences["Against the grid"] = f"on fresh seeds its best choice {said}: {describe_choice(row)}."
    parts = [
        f"{row['rival']} {_describe_rival(row, first, what)}" for _, row in others.iterrows() if row["rival"] != GRID
    ]
    if parts:
        sentences["Optimizers, each tuned"] = f"{first['rival']} is the best choice; {'; '.join(parts)}."
    return sentences


def _describe_rival(row: pd.Series, first: pd.Series, what: str) -> str:
    """Return how a rival compares with the best choice: "takes 1.3 [1.2, 1.4] times the samples"."""
    reached = ""
    if what == "samples" and row["success"] < first["success"]:
        reached = f"reaches the target in {format_share(row['converged'], int(row['runs']))} runs"
    if row["verdict"] == "fails":
        return reached or "fails in most runs"
    verb = "takes" if what == "samples" else "ends at"
    unsure = " (no difference found)" if row["verdict"] == "no difference found" else ""
    return f"{f'{reached} and ' if reached else ''}{verb} {describe_ratio(row)} times the {what}{unsure}"
