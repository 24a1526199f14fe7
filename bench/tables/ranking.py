"""From the frame of results to the tables a reader decides by: frame in, frame out.

`frame` has one row per configuration: `config_id`, what was chosen (`CHOICES`), where and with which draws it
started (`init`, `seed`), how it went (`status`, `epochs`, `epochs_to_target`, `final_loss`, `best_loss`,
`seconds`) and one column `param_<name>` per parameter. Runs that differ only in start and seed repeat one and
the same choice: one that works from a single lucky start is not a good choice.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bench.tables.formatting import label, text
from bench.tables.intervals import wilson_interval

_DIVERGED_LOSS = 1e300
CHOICES = ["optimizer", "lr", "schedule", "batch_size", "shuffle"]


def summarize(frame: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Reduce the runs of each group to one row, best group first.

    Parameters
    ----------
    frame : DataFrame
        One row per configuration.
    by : sequence of str
        Columns that name a group.

    Returns
    -------
    DataFrame
        The columns `by`, then `runs`, how many of them `converged` and `diverged`, and the medians of
        `epochs_to_target`, `final_loss` and `seconds`. A run that missed the target counts as one that takes
        forever and a loss that is not a number as infinite, so that failures cannot improve a median; where
        most runs fail, `epochs_to_target` is missing. Sorted by the share of runs that converged, then by
        `epochs_to_target`, then by `final_loss`.
    """
    runs = frame[list(by)].assign(
        runs=1,
        converged=frame["status"].eq("converged"),
        diverged=frame["status"].eq("diverged"),
        epochs_to_target=frame["epochs_to_target"].astype("Float64").fillna(np.inf).astype(float),
        final_loss=frame["final_loss"].fillna(np.inf),
        seconds=frame["seconds"],
    )
    groups = runs.groupby(list(by), dropna=False)
    counts = groups[["runs", "converged", "diverged"]].sum()
    medians = groups[["epochs_to_target", "final_loss", "seconds"]].median()
    summary = counts.join(medians).reset_index()
    ranks = summary[["epochs_to_target", "final_loss"]].assign(failed=1 - summary["converged"] / summary["runs"])
    order = ranks.sort_values(["failed", "epochs_to_target", "final_loss"], kind="stable").index
    summary["epochs_to_target"] = summary["epochs_to_target"].replace(np.inf, np.nan)
    return summary.loc[order].reset_index(drop=True)


def varies(frame: pd.DataFrame, name: str) -> bool:
    """Tell whether a column has more than one value."""
    return len(frame[name].unique()) > 1


def best_choices(frame: pd.DataFrame, by: Sequence[str] = ()) -> pd.DataFrame:
    """Find the best choice for each combination of the values in `by`, judged over all starts and seeds.

    Parameters
    ----------
    frame : DataFrame
        One row per configuration.
    by : sequence of str, optional
        Columns to keep apart: `["optimizer"]` gives the best choice for each optimizer, `["init"]` for each
        start. Without it, all choices are kept, ranked.

    Returns
    -------
    DataFrame
        As from `summarize`, best first: the columns `by`, then the choices that vary in `frame`.
    """
    varying = [name for name in CHOICES if name not in by and varies(frame, name)]
    ranked = summarize(frame, [*by, *varying] or CHOICES)
    return ranked.drop_duplicates(list(by), ignore_index=True) if by else ranked


def setting_effects(frame: pd.DataFrame) -> pd.DataFrame:
    """Show how robust each value of each choice is, and how good at its best.

    Parameters
    ----------
    frame : DataFrame
        One row per configuration.

    Returns
    -------
    DataFrame
        One row per value of each choice, and of the start, that varies: `setting` and `value` as text, how
        many of all its `runs` `converged` and `diverged`, and the medians over its best choice of everything
        else: `best_epochs_to_target`, `best_final_loss` and `best_seconds`. Values come in their own order.
    """
    medians = ["epochs_to_target", "final_loss", "seconds"]
    parts = []
    for name in [*CHOICES, "init"]:
        if varies(frame, name):
            robustness = summarize(frame, [name]).drop(columns=medians)
            at_best = best_choices(frame, [name])[[name, *medians]].rename(columns={m: f"best_{m}" for m in medians})
            part = robustness.merge(at_best, on=name).sort_values(name)
            part.insert(0, "setting", label(name))
            parts.append(part.rename(columns={name: "value"}).assign(value=part[name].map(text)))
    if not parts:
        return pd.DataFrame({"setting": [], "value": []}, dtype="str")
    return pd.concat(parts, ignore_index=True)


def standard_tables(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Make a report's tables: the ten best choices, the best by optimizer and batch size, the effects."""
    return {
        "best": best_choices(frame).head(10),
        "best_by_optimizer_and_batch_size": best_choices(frame, by=["optimizer", "batch_size"]),
        "effects": setting_effects(frame),
    }


def loss_quantiles(frame: pd.DataFrame, curves: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Reduce the loss curves of each group to three: 10 %, median and 90 % of its runs at each epoch.

    A run that stopped early keeps its last loss; one that diverged has an infinite loss from there on. A
    group ends with its longest run.

    Parameters
    ----------
    frame, curves : DataFrame
        One row per configuration; their losses, one row per epoch (`config_id`, `epoch`, `loss`). Curves of
        other configurations are ignored.
    by : sequence of str
        Columns of `frame` that name a group.

    Returns
    -------
    DataFrame
        The columns `by`, then `epoch`, `runs`, `low`, `median` and `high`; one row per group and epoch.
    """
    curves = curves[curves["config_id"].isin(frame["config_id"])]
    # Not pivot_table, which would average a configuration that is there twice instead of refusing it.
    recorded = curves.fillna({"loss": np.inf}).pivot(index="config_id", columns="epoch", values="loss")  # noqa: PD010
    runs = frame.set_index("config_id").loc[recorded.index].reset_index()
    ended = recorded.isna().to_numpy(dtype=bool)
    diverged = runs["status"].eq("diverged").to_numpy(dtype=bool)[:, np.newaxis]
    losses = recorded.ffill(axis=1).mask(ended & diverged, np.inf).to_numpy()

    bands = []
    for values, group in runs.groupby(list(by)):
        # Quantiles are interpolated, which infinity does not survive.
        quantiles = np.quantile(losses[group.index].clip(max=_DIVERGED_LOSS), [0.1, 0.5, 0.9], axis=0)
        low, median, high = np.where(quantiles < _DIVERGED_LOSS / 1e9, quantiles, np.inf)
        columns = {"epoch": recorded.columns, "runs": len(group), "low": low, "median": median, "high": high}
        band = pd.DataFrame(dict(zip(by, values, strict=True)) | columns)
        bands.append(band.iloc[np.flatnonzero(~ended[group.index].all(axis=0))])
    if not bands:
        return pd.DataFrame(columns=[*by, "epoch", "runs", "low", "median", "high"], dtype=float)
    return pd.concat(bands, ignore_index=True)


# What decides how long an epoch takes, besides the model and the data.
COST_SETTINGS = ["optimizer", "batch_size", "shuffle"]
TIMES_COLUMNS = [
    *CHOICES,
    *("variant", "runs", "converged", "success", "success_low", "success_high"),
    *("epochs_to_target", "epoch_seconds", "seconds_to_target"),
]


def times_to_target(frame: pd.DataFrame, costs: pd.DataFrame) -> pd.DataFrame:
    """Return the time to target and the success rate of each choice of settings with each kernel.

    Parameters
    ----------
    frame : DataFrame
        One row per configuration, as `bench.tables.ranking` describes it.
    costs : DataFrame
        As from `epoch_seconds`.

    Returns
    -------
    DataFrame
        One row per choice and kernel, the fastest of the surest first: the choice, `variant`, `runs`, `converged`,
        `success` with Wilson's 95 % interval from `success_low` to `success_high` (E. B. Wilson, J. Am. Stat. Assoc.
        22, 1927), the median over those that converged of `epochs_to_target`, `epoch_seconds`, and their product,
        `seconds_to_target`.
    """
    groups = frame.assign(reached=frame["status"].eq("converged")).groupby(CHOICES, observed=True)
    table = groups["reached"].agg(runs="size", converged="sum").reset_index()
    epochs = groups["epochs_to_target"].median().astype(float)
    table["epochs_to_target"] = epochs.to_numpy()
    table["success"] = table["converged"] / table["runs"]
    table["success_low"], table["success_high"] = wilson_interval(table["converged"], table["runs"])
    table = table.merge(costs, on=COST_SETTINGS)
    table["seconds_to_target"] = table["epochs_to_target"] * table["epoch_seconds"]
    ranked = table.sort_values(["success", "seconds_to_target"], ascending=[False, True], kind="stable")
    return ranked[TIMES_COLUMNS].reset_index(drop=True)
