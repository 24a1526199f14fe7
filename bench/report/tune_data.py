"""The conclusions of a search for settings: its best choice, and its rivals on fresh seeds."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar

import pandas as pd

from sgdbench.report.run_data import RunData, run_data_of
from sgdbench.store.tuning import StoredSearch
from sgdbench.tables.conclusions import no_choice, rival_of, settings_of
from sgdbench.tables.costs import CHOICES, add_excess, find_choices, run_costs
from sgdbench.tables.facts import AgainstGrid, Edge, NoChoice, Search, Seeds, TunedRivals
from sgdbench.tables.formatting import label, text
from sgdbench.tables.optimizer_comparison import compare_with
from sgdbench.tables.rank import leaders, summarize
from sgdbench.tables.search import GRID, RankedSearch, choice_values, join_grid, search_history
from sgdbench.tables.words import describe_order, sentences


@dataclass(frozen=True, eq=False)
class TuneData(RunData, RankedSearch):
    """The contents of the folder of a search, with its conclusions in sentences."""

    # Found by the search, also where few trials have one batch size.
    named: ClassVar[tuple[str, ...]] = ("lr", "batch_size")

    @property
    def chosen_in(self) -> str:  # type: ignore[override]
        """The source of the best choice: the search, or its grid."""
        return GRID if self.ranked["family"].iloc[0] == GRID else "the search"

    @cached_property
    def conclusions(self) -> list[Any]:
        """The conclusions that compare neither optimizers nor the rates of a grid, then those on fresh seeds."""
        facts = [fact for fact in self.leading_conclusions if not isinstance(fact, Edge)] or [self._find_no_choice()]
        if self.on_fresh_seeds is not None:
            facts += _find_rivals(self.on_fresh_seeds, self.samples, self.rivals_seeds)
        return [*facts, self._find_search()]

    @cached_property
    def verdict(self) -> dict[str, str]:
        """The conclusions in short sentences, by subject."""
        return sentences(self.conclusions, short=True)

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
        runs = add_excess(grid.frame, grid.optimum, self.floor)
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
        `sgdbench.tables.optimizer_comparison.compare_with`.
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
    def rivals_seeds(self) -> Seeds:
        """The seeds on which the leaders are compared."""
        same = all(self.seeds_are_same(choice) for _, choice in self.leaders.iterrows())
        return Seeds("same" if same else "fresh")

    def _find_no_choice(self) -> NoChoice:
        trials = self.tuning.trials
        if len(trials) and trials["state"].eq("diverged").all():
            return no_choice("trial", trials["diverged_after"])
        return NoChoice("trial", diverged=False)

    def _find_search(self) -> Search:
        trials, sampler = self.tuning.trials, self.facts["sampler"]
        if trials.empty:
            return Search(0, sampler, {}, 0.0)
        counts = trials["state"].value_counts()
        given_up = {state: int(counts[state]) for state in ("pruned", "diverged") if counts.get(state)}
        return Search(len(trials), sampler, given_up, search_history(trials)["spent"].iloc[-1])


def read_tune_data(tuning: StoredSearch) -> TuneData:
    """Return the contents of the folder of a search."""
    run_data = run_data_of(tuning.result)
    about = {part.name: getattr(run_data, part.name) for part in fields(run_data)}
    about["result"], of_grid = join_grid(tuning, run_data.floor)
    return TuneData(**about, tuning=tuning, of_grid=of_grid)


def _find_rivals(rivals: pd.DataFrame, samples: int | None, seeds: Seeds) -> Iterator[Any]:
    """Yield the gain over the grid on fresh `seeds`, and how the optimizers compare, each tuned."""
    first, *others = [row for _, row in rivals.iterrows()]
    # If the grid has the best choice, the best trial comes first among the others.
    against = next((row for row in others if GRID in (row["rival"], first["rival"])), None)
    if against is not None:
        both = (GRID, "the search") if first["rival"] == GRID else ("the search", GRID)
        yield AgainstGrid(*both, rival_of(against, against["rival"]), settings_of(against, samples), seeds)
    tuned = tuple(rival_of(row, row["rival"]) for row in others if row["rival"] != GRID)
    if tuned and not (first["rival"] == GRID and len(tuned) == 1):
        yield TunedRivals(str(first["rival"]), tuned, None, seeds)
