"""What a run shows, in words: plain sentences, for a terminal as for a report."""

import numpy as np
import pandas as pd

from bench.fitting import in_table_units
from bench.render import text
from bench.standardize import Scaling
from bench.tables import CHOICES, best
from kernels import Model

# Of what diverges, so many groups are named one by one.
GROUPS = 6


def verdict(frame: pd.DataFrame, model: Model, target: float | None, scaling: Scaling | None) -> dict[str, str]:
    """Say what is best, how sure that is, and what goes wrong.

    Parameters
    ----------
    frame : DataFrame
        One row per configuration, as `bench.tables` describes it.
    model : Model
    target : float or None
        The loss at which the runs stopped.
    scaling : Scaling or None
        If the data were standardized: the way back.

    Returns
    -------
    dict
        From what a sentence is about to the sentence.
    """
    ranked = best(frame)
    winner = frame.merge(ranked.head(1)[[name for name in CHOICES if name in ranked]])
    said = {"Best": _best(ranked, winner, target), "Robust": _robust(ranked, target)}
    said["Diverged"] = _diverged(frame[frame["status"] == "diverged"])
    said["Ends at"] = _ends_at(winner, model, scaling)
    if scaling:
        said["Units"] = (
            "The columns were standardized: learning rates, starts, losses and parameters are those of columns with "
            "mean 0 and standard deviation 1, unless it says otherwise."
        )
    return said


def choice(row: pd.Series) -> str:
    """Name a row's settings: "sgd, learning rate 0.8, batch size 1, schedule halve(10), shuffled"."""
    order = "shuffled" if row["shuffle"] else "in the data's order"
    rate, size = text(row["lr"]), text(row["batch_size"])
    return f"{row['optimizer']}, learning rate {rate}, batch size {size}, schedule {row['schedule']}, {order}"


def _best(ranked: pd.DataFrame, winner: pd.DataFrame, target: float | None) -> str:
    top, named = ranked.iloc[0], choice(winner.iloc[0])
    runs = f"{_count(winner['init'].nunique(), 'start')} and {_count(winner['seed'].nunique(), 'seed')}"
    if target is None or not top["converged"]:
        missed = "" if target is None else f"No run reached the target loss {text(target)}. "
        return f"{missed}{named}: the lowest loss, {text(top['final_loss'])} in the median over {runs}."
    epochs = winner["epochs_to_target"].dropna()
    typical, most = _count(epochs.median(), "epoch"), text(int(epochs.max()))
    equal = ranked[["converged", "runs", "epochs_to_target"]].eq(top[["converged", "runs", "epochs_to_target"]])
    others = int(equal.all(axis=1).sum()) - 1
    return (
        f"{named}: {_of(top['converged'], top['runs'])} runs, over {runs}, reached the target loss {text(target)}, "
        f"after {typical} in the median and {most} at most."
        + (f" {_count(others, 'other choice')} did as well." if others else "")
    )


def _robust(ranked: pd.DataFrame, target: float | None) -> str:
    share = ranked["converged"] / ranked["runs"]
    if target is None:
        return "There is no target to be reached; the tables rank by the final loss."
    return (
        f"{text(int(ranked['converged'].sum()))} of {_count(ranked['runs'].sum(), 'run')} reached the target. "
        f"Of {_count(len(ranked), 'choice')} of settings, {text(int((share == 1).sum()))} reached it in every run and "
        f"{text(int((share == 0).sum()))} in none."
    )


def _diverged(diverged: pd.DataFrame) -> str:
    if diverged.empty:
        return "No run."
    groups = diverged.groupby(["optimizer", "batch_size"], observed=True)["lr"].agg(["min", "max", "size"])
    groups = groups.sort_values("size", ascending=False, kind="stable")
    named = [
        f"{optimizer} with batch size {text(size)} at learning rate {_span(low, high)} ({_count(runs, 'run')})"
        for (optimizer, size), (low, high, runs) in zip(groups.index, groups.to_numpy(), strict=True)
    ]
    more = f"; and {_count(len(named) - GROUPS, 'more combination')}" if len(named) > GROUPS else ""
    return f"{_count(len(diverged), 'run')}: {'; '.join(named[:GROUPS])}{more}."


def _ends_at(winner: pd.DataFrame, model: Model, scaling: Scaling | None) -> str:
    ended = winner[np.isfinite(winner["final_loss"])]
    if ended.empty:
        return "No run of the best choice ended at finite parameters."
    run = ended.loc[ended["final_loss"].idxmin()]
    trained = run[[f"param_{name}" for name in model.params]].to_numpy(float)
    params, loss, note = in_table_units(model, trained, run["final_loss"], scaling)
    units = " in the table's own units" if scaling and not note else ""
    values = ", ".join(f"{name} = {value:.6g}" for name, value in zip(model.params, params, strict=True))
    squares = " in the table's own units" if scaling and note else ""
    sentence = f"The best run of this choice has {values}{units}, with loss {loss:.6g}{squares}."
    return f"{sentence} {note}" if note else sentence


def _count(number: float, noun: str) -> str:
    number = int(number) if number == int(number) else number
    return f"{text(number)} {noun}{'' if number == 1 else 's'}"


def _of(some: int, all_: int) -> str:
    return f"all {text(int(all_))}" if some == all_ else f"{text(int(some))} of {text(int(all_))}"


def _span(low: float, high: float) -> str:
    return text(low) if low == high else f"{text(low)} to {text(high)}"
