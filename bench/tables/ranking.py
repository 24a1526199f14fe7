"""From the frame of results to the tables a reader decides by: frame in, frame out.

`frame` has one row per configuration: `config_id`, what was chosen (`run_costs.choice_columns`), where and with which
draws it started (`init`, `seed`), how it went (`status`, `epochs`, `samples_seen`, `updates`, `samples_to_target`,
`updates_to_target`, `epochs_to_target`, `final_loss`, `best_loss`) and one column `param_<name>` per parameter; and,
where the time of an update was measured, what `bench.tables.seconds.add_seconds` adds. Runs that differ only in start
and seed repeat one and the same choice: one that works from a single lucky start is not a good choice.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.tables.choice_ranking import ranking
from bench.tables.formatting import label, text
from bench.tables.run_costs import LOSS_FLOOR, choice_columns
from kernels.base.run import Floats

_DIVERGED_LOSS = 1e300
MEDIANS = ["samples", "updates", "seconds", "final_loss"]


def varies(frame: pd.DataFrame, name: str) -> bool:
    """Tell whether a column has more than one value."""
    return len(frame[name].unique()) > 1


def best_choices(
    frame: pd.DataFrame,
    by: Sequence[str] = (),
    cost: str = "samples",
    *,
    floor: float = LOSS_FLOOR,
    ranked: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Find the best choice for each combination of the values in `by`, judged over all starts and seeds.

    Parameters
    ----------
    frame : DataFrame
        One row per configuration.
    by : sequence of str, optional
        Columns to keep apart: `["optimizer"]` gives the best choice for each optimizer, `["init"]` for each
        start. Without it, all choices are kept, ranked.
    cost, floor
        As for `bench.tables.choice_ranking.ranking`.
    ranked : DataFrame, optional
        `ranking(frame, cost, floor=floor)` where that is known.

    Returns
    -------
    DataFrame
        As from `ranking`, best first: the columns `by`, then the choices that vary in `frame`.
    """
    choices = choice_columns(frame)
    varying = [name for name in choices if name not in by and varies(frame, name)]
    if set(by) <= set(choices):
        best = ranking(frame, cost, floor=floor) if ranked is None else ranked
        best = best.drop_duplicates(list(by), ignore_index=True) if by else best
    else:
        parts = [
            ranking(group, cost, floor=floor).head(1).assign(**{name: group[name].iloc[0] for name in by})
            for _, group in frame.groupby(list(by), observed=True, dropna=False)
        ]
        best = pd.concat(parts, ignore_index=True)
    statistics = [name for name in best if name not in (*by, *choices)]
    return best[[*([*by, *varying] or choices), *statistics]]


def setting_effects(
    frame: pd.DataFrame, *, floor: float = LOSS_FLOOR, ranked: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Show how robust each value of each choice is, and how good at its best.

    Parameters
    ----------
    frame : DataFrame
        One row per configuration.
    floor : float
        As for `bench.tables.choice_ranking.ranking`.
    ranked : DataFrame, optional
        `ranking(frame, floor=floor)` where that is known.

    Returns
    -------
    DataFrame
        One row per value of each choice, and of the start, that varies: `setting` and `value` as text, how many of all
        its `runs` `converged` and `diverged`, and the medians over its best choice of everything else: `best_samples`,
        `best_updates` and `best_seconds` to the target, and `best_final_loss`. Values come in their own order.
    """
    parts = []
    for name in [*choice_columns(frame), "init"]:
        if varies(frame, name):
            part = _counts(frame, name)
            at_best = best_choices(frame, [name], floor=floor, ranked=ranked)[[name, *MEDIANS]]
            at_best = at_best.rename(columns={median: f"best_{median}" for median in MEDIANS})
            part = part.merge(at_best, on=name).sort_values(name)
            part.insert(0, "setting", label(name))
            parts.append(part.rename(columns={name: "value"}).assign(value=part[name].map(text)))
    if not parts:
        return pd.DataFrame({"setting": [], "value": []}, dtype="str")
    return pd.concat(parts, ignore_index=True)


def _counts(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return for each value of a column how many runs there are, and how many converged and diverged."""
    ended = {status: frame["status"].eq(status) for status in ("converged", "diverged")}
    counted: pd.DataFrame = frame[[name]].assign(runs=1, **ended).groupby(name, observed=True).sum().reset_index()
    return counted


def standard_tables(
    frame: pd.DataFrame, *, floor: float = LOSS_FLOOR, ranked: pd.DataFrame | None = None
) -> dict[str, pd.DataFrame]:
    """Make a report's tables: the ten best choices, the best by optimizer and batch size, the effects.

    The recommended choice comes first. With `ranked`, which choice that is and which are tied is what it says.
    """
    by = ["optimizer", "batch_size"]
    ranked = ranking(frame, floor=floor) if ranked is None else ranked
    ranked = ranked.sort_values("recommended", ascending=False, kind="stable", ignore_index=True)
    return {
        "best": best_choices(frame, floor=floor, ranked=ranked).head(10),
        "best_by_optimizer_and_batch_size": best_choices(frame, by, floor=floor, ranked=ranked),
        "effects": setting_effects(frame, floor=floor, ranked=ranked),
    }


def loss_quantiles(frame: pd.DataFrame, curves: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Reduce the loss curves of each group to three: 10 %, median and 90 % of its runs at each mark.

    A run that stopped early keeps its last loss; one that diverged has an infinite loss from there on. A
    group ends with its longest run. Between its own marks a run has the loss of the last one.

    Parameters
    ----------
    frame, curves : DataFrame
        One row per configuration; their losses, one row per mark (`config_id`, `epoch`, `samples`, `updates`, `loss`).
        Curves of other configurations are ignored.
    by : sequence of str
        Columns of `frame` that name a group.

    Returns
    -------
    DataFrame
        The columns `by`, then `epoch`, `samples`, `updates`, `runs`, `low`, `median` and `high`; one row per group and
        mark. Where the batch sizes of a group differ, epochs and updates are those of one of its runs.
    """
    ids = pd.Categorical(curves["config_id"])  # as it stands where it is categorical
    runs = frame.set_index("config_id")
    group_of_run = runs.groupby(list(by), observed=True).ngroup()
    # By category: thousands of names are looked up instead of hundreds of thousands.
    group_of_id = group_of_run.reindex(ids.categories, fill_value=-1).to_numpy()
    diverged = runs["status"].eq("diverged").reindex(ids.categories, fill_value=False).to_numpy(dtype=bool)
    groups = group_of_id[ids.codes]
    columns = [curves[name].to_numpy() for name in ("samples", "epoch", "updates", "loss")]
    order = np.argsort(groups, kind="stable")
    order = order[np.searchsorted(groups[order], 0) :]
    parts = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1) if order.size else []
    bands = []
    for part in parts:
        one = np.argmax(group_of_run.to_numpy() == groups[part[0]])
        band = _quantiles(ids.codes[part], diverged, *(column[part] for column in columns))
        bands.append(pd.DataFrame({name: runs[name].iloc[one] for name in by} | band))
    if not bands:
        return pd.DataFrame(columns=[*by, "epoch", "samples", "updates", "runs", "low", "median", "high"], dtype=float)
    return pd.concat(bands, ignore_index=True)


def _quantiles(
    codes: NDArray[np.integer],
    diverged: NDArray[np.bool_],
    samples: NDArray[np.integer],
    epoch: Floats,
    updates: NDArray[np.integer],
    loss: Floats,
) -> dict[str, object]:
    """Return the columns of `loss_quantiles` for one group; `diverged` is by code, the others have a value per mark."""
    ids, row = np.unique(codes, return_inverse=True)
    marks, first, column = np.unique(samples, return_index=True, return_inverse=True)
    place = np.full((len(ids), len(marks)), -1)
    place[row, column] = np.arange(len(loss))
    if np.count_nonzero(place >= 0) < len(loss):
        raise ValueError("the losses of a configuration have duplicate marks")
    last = np.maximum.accumulate(np.where(place >= 0, np.arange(len(marks)), -1), axis=1)
    # Before its first mark a run has no loss.
    losses = np.where(
        last >= 0, np.where(np.isnan(loss), np.inf, loss)[np.take_along_axis(place, last, axis=1)], np.nan
    )
    ended = np.arange(len(marks)) > last[:, -1:]
    losses[ended & diverged[ids][:, np.newaxis]] = np.inf
    # Quantiles are interpolated, which infinity does not survive.
    quantiles = np.quantile(losses.clip(max=_DIVERGED_LOSS), [0.1, 0.5, 0.9], axis=0)
    low, median, high = np.where(quantiles < _DIVERGED_LOSS / 1e9, quantiles, np.inf)
    clock = {"epoch": epoch[first], "samples": marks, "updates": updates[first]}
    return clock | {"runs": len(ids), "low": low, "median": median, "high": high}
