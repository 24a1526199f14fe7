"""Conclusions from the tables of a run, as `sgdbench.tables.facts`: best choice, confidence, and where runs fail."""

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sgdbench.data.scaling import Scaling
from sgdbench.data.units import describe_residual_units, in_table_units, write_params
from sgdbench.kernels import Model
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.param_columns import params_of_row
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.train.attainable_loss import ARRIVED_SHARE, AttainableLoss
from sgdbench.tables import facts
from sgdbench.tables.confirm import is_confirmed
from sgdbench.tables.costs import CHOICES, EXCESS, MORE_CHOICES, choice_columns, find_choices, rows_alike, settle_cost
from sgdbench.tables.facts import Advice, NoGain, NoSkill, Shortfall, UnreachableTarget
from sgdbench.tables.formatting import shorten_exponent
from sgdbench.tables.intervals import Pairs, median_interval, row_medians
from sgdbench.tables.rank import edge_of_rates, recommended_choice, runs_of, varies
from sgdbench.tables.ties import BETTER, INDISTINGUISHABLE, TOO_FEW_RUNS, WITHIN
from sgdbench.tables.words import shown_ratio

# Tied choices of one verdict that are named, and parameters whose values are.
MOST_TIES, MOST_PARAMS = 2, 12
ABOUT_ROWS = ["rows", "constant", "most_frequent"]
_SETTINGS_BESIDES_RATE = [name for name in CHOICES if name != "lr"]


class Circumstances(NamedTuple):
    """Context that conclusions need besides tables.

    A batch of all `samples` is called full. Choices are named by the settings in which they differ, and by those in
    `named`. Rates `beyond` those tried come from the option or argument of this name; `chosen_in` is what ranked the
    choices. The fresh runs are `finer` if they were recorded at more checkpoints than those that ranked, and the `same`
    for every seed if runs of the best choice draw nothing. Optimizers are compared on `seeds`.
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

    `ranked` is a ranking of the frame, or the result of `sgdbench.tables.confirm.confirm` for it, and `compared` are
    the optimizers on the `seeds` of the circumstances.
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
    """Return the conclusion if all runs or trials diverged, after these numbers of samples."""
    return facts.NoChoice(of, at_start=bool(seen.eq(0).all()))


def settings_of(row: pd.Series, samples: int | None = None, names: Collection[str] | None = None) -> dict[str, Any]:
    """Return the settings of a row, or those of these names."""
    settings = {
        name: row[name] for name in (*CHOICES, *MORE_CHOICES) if name in row and (names is None or name in names)
    }
    is_full = samples is not None and settings.get("batch_size") == samples
    return settings | ({"batch_size": facts.FULL} if is_full else {})


def outcome_of(row: pd.Series, target: float | None, prefix: str = "", cost: str = "") -> facts.Outcome:
    """Return the outcome of a choice by a cost: by default samples if a run reached the target, otherwise the loss.

    The prefix "confirmed_" selects its runs on fresh seeds.
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
        # Losses at fewer checkpoints detect the target later, never sooner, and final losses are the same.
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
    """Return how a rival compares, from its row of `sgdbench.tables.optimizer_comparison.compare_with`."""
    runs, ratio = int(row["runs"]), facts.Estimate(*shown_ratio(row))
    return facts.Rival(str(name), str(row["verdict"]), str(row["cost"]), ratio, round(row["success"] * runs), runs)


def find_precision(ranked: pd.DataFrame, target: float | None) -> Iterator[facts.Precision]:
    """Yield whether precision matters, for the best choice and for all; nothing if there is only one precision."""
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

    A run is one start with one seed; no run failed at any rate within the range. The other settings are those that make
    the range widest.

    Optimizers have one row each, the widest range first: `optimizer`, `schedule`, `batch_size`, `shuffle`, the `lowest`
    and the `highest` rate, how many rates are `safe` and how many were `tried`. If no rate is safe, `lowest` and
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
    """Return the parameters and the loss of a choice's best run, in the table's units if known."""
    trained = params_of_row(model, run)
    params, loss, note = in_table_units(model, trained, run["final_loss"], scaling, criterion)
    param_texts = {}
    if params.size <= MOST_PARAMS:
        values = write_params(model, params, None if note else scaling, 6)
        param_texts = dict(zip(model.params, map(shorten_exponent, values), strict=True))
    units = "table" if scaling and not note else ""
    loss_units = "table" if scaling and note and criterion.degree else ""
    loss_units = "standardized" if describe_residual_units(criterion, scaling) else loss_units
    return facts.Solution(param_texts, params.size, units, loss, loss_units, note or "")


def summarize_judged(judged: pd.DataFrame, pairs: Pairs | None = None) -> pd.Series:
    """Return medians over runs on the test rows, which had no part in any choice, with their intervals.

    `judged` has one row per run: `config_id`, `samples_seen`, `rows`, the loss of the best `constant` for them, for
    classes the share of the `most_frequent`, `loss`, and a column for each other figure. The result has `runs`, the
    facts about the rows, and each figure with its `_low` and `_high`. A figure that is not a number, as for a diverged
    run, counts as the worst; one that no run has is omitted. `pairs` are the starts and seeds of the runs.
    """
    about = judged[judged.columns.intersection(ABOUT_ROWS)]
    summary: dict[str, float] = {"runs": len(judged), **about.iloc[0]}
    for name, column in judged.drop(columns=["config_id", "samples_seen", *about]).items():
        # The unexplained share of the variance has a logarithm, which the interval needs.
        values = np.array([1 - column if name == "r2" else column], float)
        if np.isnan(values).all() and name != "loss":
            continue
        values[np.isnan(values)] = 0.0 if name == "accuracy" else np.inf
        bounds = [end[0] for end in median_interval(values, pairs=pairs)]
        middle = row_medians(values)[0]
        low, high = [1 - end for end in bounds[::-1]] if name == "r2" else bounds
        summary |= {str(name): 1 - middle if name == "r2" else middle, f"{name}_low": low, f"{name}_high": high}
    return pd.Series(summary, dtype=float)


def find_test_figures(found: pd.Series, loss: str, scale: float, units: str, *, fresh: bool) -> facts.OnTestRows:
    """Return the figures of `summarize_judged`; an RMSE is multiplied by `scale` to be in the `units`."""
    figures = {
        str(name): facts.Estimate.of(found * scale if name == "rmse" else found, str(name))
        for name in ["loss", *found.index.drop("loss")]
        if f"{name}_low" in found
    }
    return facts.OnTestRows(loss, figures, int(found["runs"]), int(found["rows"]), fresh, units)


# More epochs help if most runs gain over the last half of them: at least this share of their excess or, as at a rate
# that is far too low, of the gain in the first half.
FALLING, MOST = 0.05, 0.75
# If the ends of runs from different starts differ by more than this factor, they are different places.
APART = 3.0
ROUNDED = 1e-9


def final_loss_of(best: pd.Series) -> float:
    """Return the median final loss of a choice, on fresh seeds if there are any."""
    return float(best["confirmed_final_loss" if is_confirmed(best) else "final_loss"])


def find_no_gain(loss: float, constant: float, rows: str) -> Iterator[NoGain]:
    """Yield a finding if a constant has at most the same loss on held-out rows.

    If all targets are equal, as for a single row, a constant is exact, which says nothing about a gain.
    """
    if constant != 0 and constant <= loss < np.inf:
        yield NoGain(rows, loss, constant)


def share_of_most_frequent(classes: Floats) -> float:
    """Return the accuracy of always predicting the most frequent of the classes 0, 1, ..."""
    return max(np.count_nonzero(classes == k) for k in range(int(classes.max()) + 1)) / classes.size


def find_no_skill(accuracy: float, share: float, rows: str) -> Iterator[NoSkill]:
    """Yield a finding if an accuracy is no higher than the share of the most frequent class.

    For rows of a single class it has no meaning, as in `find_no_gain`.
    """
    if share < 1 and accuracy <= share * (1 + ROUNDED):
        yield NoSkill(rows, accuracy, share)


def find_unreachable_target(
    target: float | None, attainable: AttainableLoss, *, standardized: bool = False
) -> Iterator[UnreachableTarget]:
    """Yield a target that no run can reach; nothing if one can."""
    if target is not None and target < attainable.loss * (1 - ROUNDED):
        yield UnreachableTarget(target, attainable.loss, attainable.target, standardized)


def find_shortfall(
    best: pd.Series,
    own: pd.DataFrame,
    curves: pd.DataFrame,
    ranked: pd.DataFrame,
    attainable: AttainableLoss,
    target: float | None,
    *,
    is_linear: bool,
    sizes_differ: bool,
    beyond: str = "",
    standardized: bool = False,
) -> Iterator[Shortfall]:
    """Yield how far a best choice that has not converged is off and what to change; nothing if it may have converged.

    `best` is a row of `ranked`; `own` and `curves` are its runs, with `excess_loss`, and their losses. If the model
    `is_linear` in its parameters, every start leads to the same place. `sizes_differ` tells whether the inputs are of
    different orders of magnitude, and were not standardized. `beyond` is the option that adds rates beyond those tried,
    and losses are `standardized` if those of the table are.
    """
    loss = final_loss_of(best)
    left = attainable.remaining(loss)
    ends = curves.groupby("config_id", observed=True, sort=False)["loss"].agg(["first", "last"])
    risen = bool((ends["last"] > ends["first"]).mean() > 1 / 2)
    rates = list(_advise_rates(best, ranked, beyond, risen=risen))
    if np.isnan(left) and risen:  # if the lowest loss is unknown, compare with the loss of the start
        yield Shortfall(loss, attainable, tuple(rates))
    if not left > ARRIVED_SHARE:
        return
    advice = []
    mostly_reached = bool(np.isfinite(best["confirmed_samples" if is_confirmed(best) else "samples"]))
    if target is not None and mostly_reached and attainable.remaining(target) > ARRIVED_SHARE:
        about = {"advised": attainable.target, "standardized": standardized, "leaves": attainable.remaining(target)}
        advice.append(Advice("target", about))
    elif risen:
        advice += rates
    else:
        decays = _decays(str(best["optimizer"]))
        advice += rates
        if decays:
            advice.append(Advice("decay"))
        if _still_falls(own, curves, attainable.loss):
            advice.append(Advice("epochs"))
        elif best["schedule"] == "constant" and best["batch_size"] < own["samples_seen"].max():
            larger = bool(best["batch_size"] < (own["samples_seen"] / own["epochs"]).max())
            advice.append(Advice("schedule", {"epochs": int(own["epochs"].max()), "larger": larger}))
        elif is_linear and not decays and best["schedule"] != "constant":
            advice.append(Advice("slower schedule"))
    if not (advice and advice[0].change == "target"):
        if not is_linear and _starts_differ(own):
            advice.append(Advice("starts"))
        if sizes_differ:
            advice.append(Advice("standardize"))
    yield Shortfall(loss, attainable, tuple(advice) or (Advice("others", {"is_linear": is_linear}),))


def _advise_rates(best: pd.Series, ranked: pd.DataFrame, beyond: str, *, risen: bool) -> Iterator[Advice]:
    end, tried = edge_of_rates(ranked, best) or ("", 0)
    if risen or end:
        at_edge = end == "lowest" or not risen
        yield Advice("rates", {"end": end if at_edge else "", "tried": tried, "beyond": beyond, "risen": risen})


def _decays(text: str) -> bool:
    """Return whether an optimizer has more weight decay than by default."""
    try:
        made = make_optimizer(text)
    except ValueError:  # a user's optimizer that is not registered here
        return False
    while made.inner:
        made = made.inner
    usual = make_optimizer(made.name).weight_decays
    return any(decay > usual.get(name, 0.0) for name, decay in made.weight_decays.items())


def _still_falls(own: pd.DataFrame, curves: pd.DataFrame, lowest: float) -> bool:
    """Return whether the median run still gained, on the lowest loss or on its earlier gain, in the last half.

    Runs that stopped at their target are ignored if there are others.
    """
    gains, missed = [], own[own["status"] != "converged"]
    ids = (missed if len(missed) else own)["config_id"]
    for _, run in curves[curves["config_id"].isin(ids)].groupby("config_id", observed=True, sort=False):
        losses = run["loss"].to_numpy(float)
        middle = _halfway(run["samples"].to_numpy(float))
        if np.isfinite(losses[[middle, -1]]).all() and losses[middle] > lowest:
            before, left = losses[0] - losses[middle], losses[middle] - lowest
            gains.append((losses[middle] - losses[-1]) / (min(before, left) if before > 0 else left))
    return bool(gains) and bool(np.median(gains) > FALLING and np.mean(np.array(gains) > 0) >= MOST)


def _halfway(samples: Floats) -> int:
    """Return the first checkpoint in the last half of a run, or the last one before its end."""
    return min(int(np.searchsorted(samples, samples[-1] / 2)), max(samples.size - 2, 0))


def falls_on_held_out(curves: pd.DataFrame) -> bool:
    """Return whether the held-out loss of the median run fell considerably in the last half of its samples.

    The fall is compared with what the run gained or, as from a distant start, with what was left halfway.
    """
    falls = []
    for _, run in curves.groupby("config_id", observed=True, sort=False):
        losses = run["validation_loss"].to_numpy(float)
        middle = _halfway(run["samples"].to_numpy(float))
        much = min(losses[0] - losses[-1], abs(losses[middle]))
        falls.append((losses[middle] - losses[-1]) / much if much > 0 else 0.0)
    return bool(np.median(falls) > FALLING)


def _starts_differ(own: pd.DataFrame) -> bool:
    """Return whether runs from different starts end at considerably different distances from the lowest loss."""
    if EXCESS not in own:
        return False
    ends = own.groupby("init", observed=True)[EXCESS].median()
    ends = ends[np.isfinite(ends) & (ends > 0)]
    return len(ends) > 1 and bool(ends.max() > APART * ends.min())
