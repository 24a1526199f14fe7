"""The conclusions of a search for settings: its best choice, and its rivals on fresh seeds."""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import ClassVar

import pandas as pd

from bench.report.run_data import RunData, run_data_of
from bench.report.run_facts import SAME_RUNS
from bench.store.tuning import StoredSearch
from bench.tables.excess import add_excess
from bench.tables.formatting import label, text
from bench.tables.optimizer_comparison import compare_with
from bench.tables.phrases import describe_choice, describe_order, describe_rival, format_count
from bench.tables.ranking import leaders, summarize
from bench.tables.run_costs import CHOICES, find_choices, run_costs
from bench.tables.search_and_grid import GRID, RankedSearch, join_grid
from bench.tables.search_history import search_history
from bench.tables.trial_value import choice_values
from bench.tables.verdict import advise_if_all_diverged


@dataclass(frozen=True, eq=False)
class TuneData(RunData, RankedSearch):
    """The contents of the folder of a search, with its conclusions in sentences."""

    # Found by the search, also where few trials have one batch size.
    named: ClassVar[tuple[str, ...]] = ("lr", "batch_size")

    @property
    def chosen_in(self) -> str:  # type: ignore[override]
        """What ranked the best choice."""
        return GRID if self.ranked["family"].iloc[0] == GRID else "the search"

    @cached_property
    def verdict(self) -> dict[str, str]:
        """The conclusions that compare neither optimizers nor the rates of a grid."""
        found = {} if self.frame.empty else self.headline
        return {about: sentence for about, sentence in found.items() if about != "Edge of the grid"}

    @cached_property
    def compared(self) -> None:
        """Nothing: see `on_fresh_seeds`."""
        return

    @property
    def beyond(self) -> str:
        """A search has no rounds that add rates, but ranges."""
        return "a wider range"

    @cached_property
    def names(self) -> dict[str, str]:
        """The names of the families: their optimizers, or the whole text where several have the same optimizer."""
        families = self.tuning.trials["family"].unique().tolist()
        short = [family.partition("(")[0] for family in families]
        return {
            family: name if short.count(name) == 1 else family for family, name in zip(families, short, strict=True)
        }

    @cached_property
    def facts(self) -> dict[str, str]:
        """The sampler and the pruner."""
        return {name: self.result.run.identity[name] for name in ("sampler", "pruner")}

    @property
    def space(self) -> list[tuple[str, str]]:
        """The ranges that were searched, by name."""
        searched = {
            name.removeprefix("range of "): said
            for name, said in self.result.run.identity.items()
            if name.startswith("range of ")
        }
        searched["shuffle"] = " or ".join(
            describe_order(shuffled) for shuffled in (True, False) if str(shuffled) in searched["shuffle"]
        )
        return [(f"range of {label(name)}", text(said)) for name, said in searched.items()]

    @property
    def is_logarithmic(self) -> bool:
        """Whether values are logarithms: of samples, or of losses that are never negative."""
        return self.target is not None or self.criterion.nonnegative

    @property
    def value_label(self) -> str:
        """The name of the values of trials, where they are not logarithms."""
        if self.target is not None:
            return "samples per success"
        return "loss on held-out samples" if "validation_loss" in self.frame else "final loss"

    @cached_property
    def grid_values(self) -> pd.DataFrame | None:
        """The values of the choices of the grid as trials; None where there is none."""
        grid = self.tuning.grid
        if grid is None or len(grid.frame) < grid.planned or grid.frame.empty:
            return None
        runs = add_excess(grid.frame, grid.yardstick, self.floor)
        return choice_values(runs, self.target, self.floor, nonnegative=self.criterion.nonnegative)

    @cached_property
    def leaders(self) -> pd.DataFrame:
        """The best choice, the best ones of the other optimizers, and the best of the grid, with the fresh seeds' say.

        `rival`, its name, and the settings; the best choice first.
        """
        best = leaders(self.ranked, "family")
        return best.assign(rival=best["family"].map(self.names | {GRID: GRID}))[["rival", *CHOICES]].reset_index(
            drop=True
        )

    @cached_property
    def on_fresh_seeds(self) -> pd.DataFrame | None:
        """The leaders compared with the best choice on fresh seeds; None where there are no fresh runs.

        `rival`; the columns of a ranking up to `final_loss_high`; and those from `ratio` to `verdict` of
        `bench.tables.optimizer_comparison.compare_with`.
        """
        fresh = self.fresh
        if fresh is None or self.frame.empty:
            return None
        runs = run_costs(fresh[find_choices(fresh, self.leaders, CHOICES).notna().to_numpy()], CHOICES)
        places = find_choices(self.leaders, runs.choices, CHOICES)
        if places.isna().any():
            return None
        order = places.to_numpy(int)
        cost = runs.ranked_by("samples")
        table = summarize(runs, cost).iloc[order].reset_index(drop=True)
        table.insert(0, "rival", self.leaders["rival"])
        costs, exact = (
            costs[order] for costs in (runs.comparable(cost, self.floor), runs.distinguishable(cost, self.floor))
        )
        verdicts = compare_with(costs, 0, exact=exact, pairs=runs.pairs)
        table["cost"] = runs.compared_by(cost)
        return table.join(verdicts).loc[verdicts.index].reset_index(drop=True)

    @property
    def rivals_on(self) -> str:
        """The runs on which the leaders are compared, in words."""
        same = all(self.seeds_are_same(choice) for _, choice in self.leaders.iterrows())
        return SAME_RUNS if same else "fresh seeds"

    @cached_property
    def sentences(self) -> dict[str, str]:
        """The conclusions by subject."""
        found = dict(self.verdict) or {"Best choice": self._describe_no_choice()}
        if self.on_fresh_seeds is not None:
            found |= _describe_rivals(self.on_fresh_seeds, self.samples, self.rivals_on)
        return found | {"Search": self._describe_search()}

    def _describe_no_choice(self) -> str:
        trials = self.tuning.trials
        if len(trials) and trials["state"].eq("diverged").all():
            return f"None: every trial diverged. {advise_if_all_diverged(trials['diverged_after'])}"
        return "None: no trial was trained to its end."

    def _describe_search(self) -> str:
        trials, facts = self.tuning.trials, self.facts
        if trials.empty:
            return "No trial was trained to its end yet."
        counts = trials["state"].value_counts()
        given_up = "".join(
            f", {text(int(counts[state]))} {state}" for state in ("pruned", "diverged") if counts.get(state)
        )
        spent = text(search_history(trials)["spent"].iloc[-1], 3)
        return (
            f"{format_count(len(trials), 'trial')} by {facts['sampler']}{given_up}; trained on {spent} samples in all."
        )


def read_tune_data(tuning: StoredSearch) -> TuneData:
    """Return the contents of the folder of a search."""
    found = run_data_of(tuning.result)
    about = {part.name: getattr(found, part.name) for part in fields(found)}
    about["result"], of_grid = join_grid(tuning, found.floor)
    return TuneData(**about, tuning=tuning, of_grid=of_grid)


def _describe_rivals(rivals: pd.DataFrame, samples: int | None, seeds: str) -> dict[str, str]:
    """Return sentences on the gain over the grid on fresh `seeds`, and on the optimizers, each tuned."""
    sentences = {}
    first, *others = [row for _, row in rivals.iterrows()]
    # The best of the trials comes first among the others where the best choice is that of the grid.
    against = next((row for row in others if GRID in (row["rival"], first["rival"])), None)
    if against is not None:
        own, other = (GRID, "the search") if first["rival"] == GRID else ("the search", GRID)
        compared = f"the best choice of {other} {describe_rival(against, several=False)}"
        sentences["Against the grid"] = (
            f"The best choice is that of {own}. On {seeds} {compared}: {describe_choice(against, samples)}."
        )
    parts = [f"{row['rival']} {describe_rival(row)}" for row in others if row["rival"] != GRID]
    if parts and not (first["rival"] == GRID and len(parts) == 1):
        sentences["Optimizers, each tuned"] = f"Compared with {first['rival']}, {'; '.join(parts)}."
    return sentences
