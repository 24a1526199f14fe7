"""The tables of a report: the best choices, the best of each optimizer and batch size, the effect of each setting."""

from collections.abc import Sequence

import pandas as pd

from bench.tables.formatting import label, text
from bench.tables.ranking import ranking, varies
from bench.tables.run_costs import LOSS_FLOOR, choice_columns

MEDIANS = ["samples", "updates", "seconds", "validation_loss", "final_loss"]


def best_choices(
    frame: pd.DataFrame, ranked: pd.DataFrame, by: Sequence[str] = (), *, floor: float = LOSS_FLOOR
) -> pd.DataFrame:
    """Return the best choice for each combination of the values in `by`, judged over all starts and seeds.

    `["optimizer"]` gives the best choice for each optimizer, `["init"]` for each start; without `by`, all choices are
    kept. The result is a part of the ranking `ranked`, best first: the columns `by`, then the choices that vary in
    `frame`. Starts are ranked anew, with losses below `floor` alike.
    """
    choices = choice_columns(frame)
    varying = [name for name in choices if name not in by and varies(frame, name)]
    if set(by) <= set(choices):
        best = ranked.drop_duplicates(list(by), ignore_index=True) if by else ranked
    else:
        parts = [
            ranking(group, floor=floor).head(1).assign(**{name: group[name].iloc[0] for name in by})
            for _, group in frame.groupby(list(by), observed=True, dropna=False)
        ]
        best = pd.concat(parts, ignore_index=True)
    statistics = [name for name in best if name not in (*by, *choices)]
    return best[[*([*by, *varying] or choices), *statistics]]


def setting_effects(frame: pd.DataFrame, ranked: pd.DataFrame, *, floor: float = LOSS_FLOOR) -> pd.DataFrame:
    """Return how robust each value of each setting is, and how good at its best; arguments are those of `best_choices`.

    There is one row per value of each setting, and of the start, that varies: `setting` and `value` as text, how many
    of all its `runs` `converged` and `diverged`, and the medians over its best choice of everything else:
    `best_samples`, `best_updates` and `best_seconds` to the target, `best_validation_loss` where samples are held out,
    and `best_final_loss`. Values come in their own order.
    """
    ended = {status: frame["status"].eq(status) for status in ("converged", "diverged")}
    counted = frame.assign(runs=1, **ended)
    medians = [name for name in MEDIANS if name != "validation_loss" or name in frame]
    parts = []
    for name in [*choice_columns(frame), "init"]:
        if varies(frame, name):
            part = counted.groupby(name, observed=True)[["runs", *ended]].sum().reset_index()
            best = best_choices(frame, ranked, [name], floor=floor)
            at_best = best[[name, *medians]].rename(columns={median: f"best_{median}" for median in medians})
            part = part.merge(at_best, on=name).sort_values(name)
            part.insert(0, "setting", label(name))
            parts.append(part.rename(columns={name: "value"}).assign(value=part[name].map(text)))
    if not parts:
        return pd.DataFrame({"setting": [], "value": []}, dtype="str")
    return pd.concat(parts, ignore_index=True)


def standard_tables(frame: pd.DataFrame, ranked: pd.DataFrame, *, floor: float = LOSS_FLOOR) -> dict[str, pd.DataFrame]:
    """Return a report's tables: the ten best choices, the best by optimizer and batch size, the effects of settings.

    The recommended choice comes first; `ranked` says which that is and which are tied.
    """
    ranked = ranked.sort_values("recommended", ascending=False, kind="stable", ignore_index=True)
    return {
        "best": best_choices(frame, ranked).head(10),
        "best_by_optimizer_and_batch_size": best_choices(frame, ranked, ["optimizer", "batch_size"]),
        "effects": setting_effects(frame, ranked, floor=floor),
    }
