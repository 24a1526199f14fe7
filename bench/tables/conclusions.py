"""What the tables of a run say: its best choice, how sure that is, and where runs fail, as `bench.tables.facts`."""

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bench.data.scaling import Scaling
from bench.data.units import describe_residual_units, in_table_units, write_params
from bench.tables import facts
from bench.tables.dependence import Pairs
from bench.tables.formatting import shorten_exponent
from bench.tables.intervals import median_interval, row_medians
from bench.tables.ranking import edge_of_rates, recommended_choice, runs_of, varies
from bench.tables.run_costs import CHOICES, MORE_CHOICES, choice_columns, find_choices, rows_alike, settle_cost
from bench.tables.ties import BETTER, INDISTINGUISHABLE, TOO_FEW_RUNS, WITHIN
from bench.tables.winners import is_confirmed
from bench.tables.words import shown_ratio
from kernels import Model
from kernels.losses.loss import Loss
from kernels.model.param_columns import params_of_row

# Tied choices of one verdict that are named, and parameters whose values are.
MOST_TIES, MOST_PARAMS = 2, 12
ABOUT_ROWS = ["rows", "constant", "most_frequent"]
_SETTINGS_BESIDES_RATE = ["optimizer", "schedule", "batch_size", "shuffle"]


class Circumstances(NamedTuple):
    """What conclusions need besides tables.

    A batch of all `samples` is called full. Choices have the settings in which they differ, and those that are `named`.
    Rates `beyond` those that were tried come from the option or the argument of this name, and `chosen_in` is what
    ranked the choices. The fresh runs are `finer` where they were recorded at more marks than those that ranked, and
    the `same` for every seed where nothing in runs of the best choice is drawn. Optimizers are compared on `seeds`.
    """

    samples: int | None = None
    named: Collection[str] = ()
    beyond: str = "--refine 2"
    chosen_in: str = "the sweep"
    finer: bool = False
    same: bool = False
    seeds: facts.Seeds = facts.Seeds("fresh")


PLAIN = Circumstances()


def leading_conclusions(
    frame: pd.DataFrame,
    ranked: pd.DataFrame,
    target: float | None,
    compared: pd.DataFrame | None = None,
    about: Circumstances = PLAIN,
) -> list[Any]:
    """Return the best choice, its ties, its figures on fresh seeds, the edge of the grid, and its rivals.

    `ranked` is a ranking of the frame, or what `bench.tables.winners.confirm` made of it, and `compared` are the
    optimizers on the `seeds` of the circumstances.
    """
    if (ranked["diverged"] == ranked["runs"]).all():
        return [no_choice("run", frame["samples_seen"])]
    best = recommended_choice(ranked)
    differing = [name for name in choice_columns(ranked) if name in about.named or varies(ranked, name)]
    differing = differing or ["optimizer", "lr"]
    return [
        _best_choice(best, runs_of(frame, best), target, differing, about.samples),
        *_ties(ranked, best, differing, about.samples),
        *_confirmation(best, target, about),
        *_edge(ranked, best, about.beyond),
        *([] if compared is None else [_rivals(compared, about.seeds)]),
    ]


def further_conclusions(
    frame: pd.DataFrame, ranked: pd.DataFrame, target: float | None, samples: int | None = None
) -> list[Any]:
    """Return how much precision matters, how robust choices are, and where runs diverge."""
    robust = [] if target is None else [_robustness(ranked, target), find_safe_rates(frame, samples)]
    return [*find_precision(ranked, target), *robust, find_divergence(frame, samples)]


def no_choice(of: str, seen: "pd.Series[Any]") -> facts.NoChoice:
    """Return the conclusion from runs or trials all of which diverged, once they had seen these numbers of samples."""
    return facts.NoChoice(of, at_start=bool(seen.eq(0).all()))


def settings_of(row: pd.Series, samples: int | None = None, names: Collection[str] | None = None) -> dict[str, Any]:
    """Return the settings of a row, or those of these names."""
    found = {name: row[name] for name in (*CHOICES, *MORE_CHOICES) if name in row and (names is None or name in names)}
    is_full = samples is not None and found.get("batch_size") == samples
    return found | ({"batch_size": facts.FULL} if is_full else {})


def outcome_of(row: pd.Series, target: float | None, prefix: str = "", cost: str = "") -> facts.Outcome:
    """Return the outcome of a choice by a cost, by default samples if a run reached the target and else the loss.

    The prefix "confirmed_" is for its runs on fresh seeds.
    """
    runs, converged, diverged = (int(row[f"{prefix}{name}"]) for name in ("runs", "converged", "diverged"))
    reached = target is not None and converged > 0
    cost = cost or settle_cost("samples", reached=reached, held_out=f"{prefix}validation_loss" in row)
    median = facts.Estimate.of(row, f"{prefix}{cost}")
    return facts.Outcome(runs, converged, diverged, cost, median, target is not None)


def _best_choice(
    best: pd.Series, own: pd.DataFrame, target: float | None, differing: list[str], samples: int | None
) -> facts.BestChoice:
    outcome = outcome_of(best, target)
    known = outcome.cost == "samples" and np.isfinite(outcome.median.value)
    updates, seconds = (
        facts.Estimate.of(best, name) if known and np.isfinite(best[name]) else None for name in ("updates", "seconds")
    )
    settings, counts = settings_of(best, samples), (own["init"].nunique(), own["seed"].nunique())
    return facts.BestChoice(settings, tuple(differing), outcome, updates, seconds, *counts, str(best["reason"]))


def _ties(ranked: pd.DataFrame, best: pd.Series, differing: list[str], samples: int | None) -> Iterator[facts.Ties]:
    others, groups = ranked[ranked["tied"] & (ranked.index != best.name)], []
    for verdict in (BETTER, INDISTINGUISHABLE, WITHIN, TOO_FEW_RUNS):
        alike = others[others["verdict"] == verdict]
        first = alike.head(0 if verdict == TOO_FEW_RUNS else MOST_TIES)
        named = tuple(settings_of(row, samples, differing) for _, row in first.iterrows())
        if len(alike):
            groups.append(facts.Alike(verdict, len(alike), named))
    if groups:
        yield facts.Ties(tuple(groups))


def _confirmation(best: pd.Series, target: float | None, about: Circumstances) -> Iterator[facts.Confirmation]:
    if is_confirmed(best):
        fresh = outcome_of(best, target, "confirmed_")
        before = outcome_of(best, target, cost=fresh.cost)
        # Losses at fewer marks find the target later, never sooner, and losses at the end are the same.
        sooner = fresh.cost == "samples" and not before.median.value <= fresh.median.value
        yield facts.Confirmation(fresh, before, about.chosen_in, about.finer and sooner, about.same)


def _edge(ranked: pd.DataFrame, best: pd.Series, beyond: str) -> Iterator[facts.Edge]:
    if edge := edge_of_rates(ranked, best):
        yield facts.Edge(float(best["lr"]), *edge, beyond)


def _rivals(compared: pd.DataFrame, on: facts.Seeds) -> facts.Rivals:
    first, *others = [row for _, row in compared.iterrows()]
    tried = compared["tried"].unique().tolist()
    rivals = tuple(rival_of(row, row["optimizer"]) for row in others)
    return facts.Rivals(str(first["optimizer"]), rivals, tried[0] if len(tried) == 1 else None, on)


def rival_of(row: pd.Series, name: str) -> facts.Rival:
    """Return how a rival compares, from its row of a table as from `bench.tables.optimizer_comparison.compare_with`."""
    runs, ratio = int(row["runs"]), facts.Estimate(*shown_ratio(row))
    return facts.Rival(str(name), str(row["verdict"]), str(row["cost"]), ratio, round(row["success"] * runs), runs)


def find_precision(ranked: pd.DataFrame, target: float | None) -> Iterator[facts.Precision]:
    """Yield whether precision matters, for the best choice and for all; nothing if it is one."""
    if "dtype" not in ranked or not varies(ranked, "dtype"):
        return
    best, by = recommended_choice(ranked), [name for name in choice_columns(ranked) if name != "dtype"]
    single, double = (ranked[ranked["dtype"] == dtype].reset_index(drop=True) for dtype in ("float32", "float64"))
    places = find_choices(single, double, by)
    success = double["success"].reindex(places).to_numpy(float)
    difference = (single["success"].to_numpy(float) - success)[places.notna().to_numpy()]
    counts = difference.size, int((difference < 0).sum()), int((difference > 0).sum())
    alike = rows_alike(ranked[ranked["dtype"] != best["dtype"]], best, by)
    if best["tied"] and len(alike) and alike["verdict"].iloc[0] != TOO_FEW_RUNS:
        ends = {str(row["dtype"]): outcome_of(row, target) for row in (best, alike.iloc[0])}
        yield facts.Precision(str(alike["verdict"].iloc[0]), ends, *counts)
    elif difference.size:
        yield facts.Precision(None, {}, *counts)


def _robustness(ranked: pd.DataFrame, target: float) -> facts.Robustness:
    share, runs, converged = ranked["converged"] / ranked["runs"], ranked["runs"].sum(), ranked["converged"].sum()
    counts = len(ranked), int((share == 1).sum()), int((share == 0).sum())
    return facts.Robustness(target, int(runs), int(converged), *counts)


def safe_rates(frame: pd.DataFrame) -> pd.DataFrame:
    """Return for each optimizer the widest range of learning rates at which every run reached the target.

    A run is one start with one seed; at no rate within the range did a run fail. The other settings are those that make
    the range widest.

    Optimizers have one row each, the widest range first: `optimizer`, `schedule`, `batch_size`, `shuffle`, the `lowest`
    and the `highest` rate, how many rates are `safe` and how many were `tried`. Where no rate is safe, `lowest` and
    `highest` are missing and `safe` is 0.
    """
    reached = frame.assign(reached=frame["status"].eq("converged"))
    rows = []
    for values, group in reached.groupby(_SETTINGS_BESIDES_RATE, observed=True):
        every = group.groupby("lr")["reached"].all()  # sorted by rate
        stretches = every.ne(every.shift()).cumsum()[every]
        settings = dict(zip(_SETTINGS_BESIDES_RATE, values, strict=True)) | {"tried": len(every)}
        ranges = [(part.index.min(), part.index.max(), len(part)) for _, part in stretches.groupby(stretches)]
        for lowest, highest, safe in ranges or [(np.nan, np.nan, 0)]:
            rows.append(settings | {"lowest": lowest, "highest": highest, "safe": safe})
    table = pd.DataFrame(rows, columns=[*_SETTINGS_BESIDES_RATE, "lowest", "highest", "safe", "tried"])
    table["width"] = (table["highest"] / table["lowest"]).fillna(0.0)
    table = table.sort_values(["width", "safe"], ascending=False, kind="stable").drop(columns="width")
    return table.drop_duplicates("optimizer", ignore_index=True)


def find_safe_rates(frame: pd.DataFrame, samples: int | None = None) -> facts.SafeRates:
    """Return the table of `safe_rates` as a fact."""
    table, names = safe_rates(frame), _shown_with_rates(frame)
    safe = table["safe"] > 0
    ranges = tuple(
        facts.RateRange(settings_of(row, samples, names), row["lowest"], row["highest"], row["safe"], row["tried"])
        for _, row in table[safe].iterrows()
    )
    return facts.SafeRates(ranges, tuple(map(str, table.loc[~safe, "optimizer"])))


def find_divergence(frame: pd.DataFrame, samples: int | None = None) -> facts.Divergence:
    """Return how many runs diverged, and at which settings."""
    diverged, by = frame[frame["status"] == "diverged"], _shown_with_rates(frame)
    tried = frame.groupby(by, observed=True)["lr"].nunique().rename("tried")
    groups = diverged.groupby(by, observed=True)["lr"].agg(["min", "max", "nunique", "size"])
    groups = groups.sort_values("size", ascending=False, kind="stable").join(tried).reset_index()
    ranges = tuple(
        facts.RateRange(
            settings_of(row, samples, by),
            row["min"],
            row["max"],
            int(row["nunique"]),
            int(row["tried"]),
            int(row["size"]),
        )
        for _, row in groups.iterrows()
    )
    return facts.Divergence(len(frame), len(diverged), ranges)


def _shown_with_rates(frame: pd.DataFrame) -> list[str]:
    return ["optimizer", "batch_size", "shuffle", *(["schedule"] if varies(frame, "schedule") else [])]


def find_solution(run: pd.Series, model: Model, scaling: Scaling | None, criterion: Loss) -> facts.Solution:
    """Return the parameters and the loss of a choice's best run, in the table's units where known."""
    trained = params_of_row(model, run)
    params, loss, note = in_table_units(model, trained, run["final_loss"], scaling, criterion)
    written = {}
    if params.size <= MOST_PARAMS:
        values = write_params(model, params, None if note else scaling, 6)
        written = dict(zip(model.params, map(shorten_exponent, values), strict=True))
    units = "table" if scaling and not note else ""
    loss_units = "table" if scaling and note and criterion.degree else ""
    loss_units = "standardized" if describe_residual_units(criterion, scaling) else loss_units
    return facts.Solution(written, params.size, units, loss, loss_units, note or "")


def summarize_judged(judged: pd.DataFrame, pairs: Pairs | None = None) -> pd.Series:
    """Return the medians over runs on the rows for the test, by which nothing was chosen, with their intervals.

    `judged` has one row per run: `config_id`, `samples_seen`, `rows`, the loss of the best `constant` for them, of
    classes the share of the `most_frequent`, `loss`, and a column for each other figure. The result has `runs`, what
    is known about the rows, and each figure with its `_low` and `_high`. A figure that is not a number, as of a run
    that diverged, counts as the worst; one that no run has is left out. `pairs` are the starts and seeds of the runs.
    """
    about = judged[judged.columns.intersection(ABOUT_ROWS)]
    found: dict[str, float] = {"runs": len(judged), **about.iloc[0]}
    for name, column in judged.drop(columns=["config_id", "samples_seen", *about]).items():
        # The share of the variance that is left has a logarithm, which the interval wants.
        values = np.array([1 - column if name == "r2" else column], float)
        if np.isnan(values).all() and name != "loss":
            continue
        values[np.isnan(values)] = 0.0 if name == "accuracy" else np.inf
        bounds = [end[0] for end in median_interval(values, pairs=pairs)]
        middle = row_medians(values)[0]
        low, high = [1 - end for end in bounds[::-1]] if name == "r2" else bounds
        found |= {str(name): 1 - middle if name == "r2" else middle, f"{name}_low": low, f"{name}_high": high}
    return pd.Series(found, dtype=float)


def find_test_figures(found: pd.Series, loss: str, scale: float, units: str, *, fresh: bool) -> facts.OnTestRows:
    """Return the figures of `summarize_judged`; an RMSE is multiplied by `scale` to be in the `units`."""
    figures = {
        str(name): facts.Estimate.of(found * scale if name == "rmse" else found, str(name))
        for name in ["loss", *found.index.drop("loss")]
        if f"{name}_low" in found
    }
    return facts.OnTestRows(loss, figures, int(found["runs"]), int(found["rows"]), fresh, units)
