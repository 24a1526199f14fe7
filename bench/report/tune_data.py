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
from bench.tables.headline import headline
from bench.tables.optimizer_comparison import judge
from bench.tables.phrases import describe_choice, describe_ratio, format_count
from bench.tables.run_costs import CHOICES, find_choices, run_costs
from bench.tables.search_history import grid_in_random_order, regret, search_history
from bench.tables.trial_value import choice_values

GRID = "the grid"


class TunedRuns(RunData):
    """The runs of the trials that were trained to their end; nearly each has an optimizer of its own."""

    @cached_property
    def verdict(self) -> dict[str, str]:
        """The conclusions that do not compare optimizers."""
        return {} if self.frame.empty else headline(self.ranked, self.target)

    @cached_property
    def compared(self) -> None:
        """Nothing: see `TuneData.rivals`."""
        return

    def ranked_by(self, cost: str) -> pd.DataFrame:
        """Return the choices of settings by a cost; the first is recommended.

        What recommends a choice of a grid, that rates around it succeed too, says nothing where each has settings of
        its own.
        """
        ranked = super().ranked_by(cost)
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
        return "loss on held-out samples" if "best_validation_loss" in self.runs.frame else "final loss"

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
        """The best trial of each optimizer, and the choice that the grid recommends: `rival` and the settings."""
        trials = self.tuning.trials
        complete = trials[trials["state"] == "complete"].sort_values("value", kind="stable")
        best = complete.drop_duplicates("family")
        rows = [best.assign(rival=best["family"].map(self.names))[["rival", *CHOICES]]]
        if self.grid_values is not None and self.tuning.grid is not None:
            row = recommended_choice(ranking(self.tuning.grid.frame, floor=self.runs.floor))
            rows.append(row[CHOICES].to_frame().T.assign(rival=GRID)[["rival", *CHOICES]])
        texts = {"optimizer": object, "schedule": object}
        return pd.concat([part.astype(texts) for part in rows], ignore_index=True)

    @cached_property
    def rivals(self) -> pd.DataFrame | None:
        """The leaders compared on fresh seeds, best first: as `compare_optimizers`, with `rival`; None without them."""
        fresh = self.runs.fresh
        if fresh is None or self.leaders.empty:
            return None
        runs = run_costs(fresh[find_choices(fresh, self.leaders, CHOICES).notna().to_numpy()], CHOICES)
        if runs.choices.empty:
            return None
        cost = runs.ranked_by("samples")
        table = summarize(runs, cost)
        floor = self.runs.floor
        judged = judge(runs.comparable(cost, floor), np.maximum(table["final_loss"].to_numpy(), floor))
        places = find_choices(table, self.leaders, CHOICES)
        table.insert(0, "rival", self.leaders["rival"].to_numpy()[places.to_numpy(int)])
        return table.join(judged).loc[judged.index].reset_index(drop=True)

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
    what = "the loss" if "samples" not in rivals or not np.isfinite(first["samples"]) else "the samples"
    sentences = {}
    grid = rivals[rivals["rival"] == GRID]
    if len(grid):
        row = grid.iloc[0]
        best = describe_choice(row)
        if row["verdict"] == "best":
            sentences["Against the grid"] = f"the best choice of the grid is the best one on fresh seeds too: {best}."
        elif row["verdict"] == "fails":
            sentences["Against the grid"] = f"the best choice of the grid mostly fails on fresh seeds: {best}."
        else:
            unsure = "" if row["verdict"] == "slower" else ", which is no clear difference"
            sentences["Against the grid"] = (
                f"on fresh seeds the best choice of the grid takes {describe_ratio(row)} times {what}{unsure}: {best}."
            )
    parts = []
    for _, row in others[others["rival"] != GRID].iterrows():
        if row["verdict"] == "fails":
            parts.append(f"{row['rival']} fails")
        else:
            unsure = "" if row["verdict"] == "slower" else " (no difference found)"
            parts.append(f"{row['rival']} {describe_ratio(row)} times {what}{unsure}")
    if parts:
        lead = f"{first['rival']} first; " if first["rival"] != GRID else ""
        sentences["Optimizers, each tuned"] = f"{lead}{'; '.join(parts)}."
    return sentences
