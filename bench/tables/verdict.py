"""The conclusions of a run in plain sentences, for a terminal or a report."""

import numpy as np
import pandas as pd

from bench.data.scaling import Scaling
from bench.data.units import in_table_units
from bench.tables.formatting import text
from bench.tables.ranking import CHOICES, best_choices, varies
from kernels import Model

_SETTINGS_BESIDES_RATE = ["optimizer", "schedule", "batch_size", "shuffle"]
# So many groups of diverged runs are listed one by one.
MAX_GROUPS = 6


def verdict(frame: pd.DataFrame, model: Model, target: float | None, scaling: Scaling | None) -> dict[str, str]:
    """Return the conclusions of a run: the best choice, how robust it is, and what fails.

    Parameters
    ----------
    frame : DataFrame
        One row per configuration, as `bench.tables.ranking` describes it.
    model : Model
    target : float or None
        The loss at which the runs stopped.
    scaling : Scaling or None
        The scaling of the data if they were standardized.

    Returns
    -------
    dict
        Sentences by subject.
    """
    ranked = best_choices(frame)
    winner = best_choice_runs(frame, ranked)
    sentences = {
        "Best choice": _describe_best(ranked, winner, target),
        "Robustness": _describe_robustness(ranked, target),
    }
    if target is not None:
        sentences["Safe learning rates"] = _describe_safe_rates(safe_rates(frame))
    sentences["Divergence"] = _describe_divergence(frame[frame["status"] == "diverged"])
    sentences["Solution"] = _describe_end(winner, model, scaling)
    if scaling:
        sentences["Units"] = (
            "The data were standardized. Learning rates, starts, losses and parameters refer to columns with mean 0 "
            "and standard deviation 1 unless stated otherwise."
        )
    return sentences


def best_choice_runs(frame: pd.DataFrame, ranked: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `frame` behind the first row of `bench.tables.ranking.best_choices(frame)`."""
    return frame.merge(ranked.head(1)[[name for name in CHOICES if name in ranked]])


def describe_progress(done: int, planned: int) -> str:
    """Return a sentence on how much of an unfinished run is done; empty if it is complete."""
    if done >= planned:
        return ""
    return f"{text(done)} of {text(planned)} configurations are trained so far."


def describe_choice(row: pd.Series) -> str:
    """Describe the settings of a row: "sgd, learning rate 0.8, batch size 1, schedule halve(10), shuffled"."""
    rate, size, order = text(row["lr"]), text(row["batch_size"]), _describe_order(row["shuffle"])
    return f"{row['optimizer']}, learning rate {rate}, batch size {size}, schedule {row['schedule']}, {order}"


def safe_rates(frame: pd.DataFrame) -> pd.DataFrame:
    """Return for each optimizer the widest range of learning rates at which every run reached the target.

    A run is one start with one seed. At no rate within the range did a run fail. The other settings are those that
    make the range widest.

    Parameters
    ----------
    frame : DataFrame
        One row per configuration, as `bench.tables.ranking` describes it.

    Returns
    -------
    DataFrame
        One row per optimizer, the widest range first: `optimizer`, `schedule`, `batch_size`, `shuffle`, the `lowest`
        and the `highest` rate, how many rates are `safe` and how many were `tried`. Where no rate is safe, these are
        missing, 0 and how many were tried.
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


def _describe_best(ranked: pd.DataFrame, winner: pd.DataFrame, target: float | None) -> str:
    if (ranked["diverged"] == ranked["runs"]).all():
        return "None: every run diverged."
    top, named = ranked.iloc[0], describe_choice(winner.iloc[0])
    repetitions = (
        f"{format_count(winner['init'].nunique(), 'start')} and {format_count(winner['seed'].nunique(), 'seed')}"
    )
    if target is None or not top["converged"]:
        missed = "" if target is None else f"No run reached the target loss {text(target)}. "
        return f"{missed}{named}: the lowest median loss, {text(top['final_loss'])}, over {repetitions}."
    epochs = winner["epochs_to_target"].dropna()
    typical, most = format_count(epochs.median(), "epoch"), text(int(epochs.max()))
    equal = ranked[["converged", "runs", "epochs_to_target"]].eq(top[["converged", "runs", "epochs_to_target"]])
    others = int(equal.all(axis=1).sum()) - 1
    sentence = (
        f"{named}: {_format_share(top['converged'], top['runs'])} runs, over {repetitions}, reached the target loss "
        f"{text(target)}, after a median of {typical} and at most {most}."
    )
    return sentence + (f" {_describe_ties(others)} with it." if others else "")


def _describe_ties(others: int) -> str:
    return f"{format_count(others, 'other choice')} {'ties' if others == 1 else 'tie'}"


def _describe_robustness(ranked: pd.DataFrame, target: float | None) -> str:
    share = ranked["converged"] / ranked["runs"]
    if target is None:
        return "The run has no target; the tables rank by final loss."
    converged, runs = int(ranked["converged"].sum()), int(ranked["runs"].sum())
    always, never = int((share == 1).sum()), int((share == 0).sum())
    return (
        f"{text(converged)} of {format_count(runs, 'run')} reached the target. Of "
        f"{format_count(len(ranked), 'choice')} of settings, {text(always)} reached it in every run and "
        f"{text(never)} in none."
    )


def _describe_safe_rates(ranges: pd.DataFrame) -> str:
    safe = ranges[ranges["safe"] > 0]
    if safe.empty:
        return "At no learning rate did every start and seed reach the target."
    schedules, orders = varies(safe, "schedule"), varies(safe, "shuffle")
    named = []
    for row in safe.to_dict("records"):
        settings = [f"batch size {text(row['batch_size'])}"]
        settings += [f"schedule {row['schedule']}"] if schedules else []
        settings += [_describe_order(row["shuffle"])] if orders else []
        named.append(
            f"{row['optimizer']} at {describe_range(row['lowest'], row['highest'])} "
            f"({text(row['safe'])} of {format_count(row['tried'], 'rate')}; {', '.join(settings)})"
        )
    never = [str(optimizer) for optimizer in ranges.loc[ranges["safe"] == 0, "optimizer"]]
    return f"Every start and seed reached the target with {'; '.join(named)}." + (
        f" There is no such learning rate for {', '.join(never)}." if never else ""
    )


def _describe_order(shuffled: bool) -> str:
    return "shuffled" if shuffled else "not shuffled"


def _describe_divergence(diverged: pd.DataFrame) -> str:
    if diverged.empty:
        return "No run diverged."
    groups = diverged.groupby(["optimizer", "batch_size"], observed=True)["lr"].agg(["min", "max", "size"])
    groups = groups.sort_values("size", ascending=False, kind="stable")
    named = [
        f"{optimizer} with batch size {text(size)} at learning rate {describe_range(low, high)} "
        f"({format_count(runs, 'run')})"
        for (optimizer, size), (low, high, runs) in zip(groups.index, groups.to_numpy(), strict=True)
    ]
    more = f"; and {format_count(len(named) - MAX_GROUPS, 'more combination')}" if len(named) > MAX_GROUPS else ""
    return f"{format_count(len(diverged), 'run')}: {'; '.join(named[:MAX_GROUPS])}{more}."


def _describe_end(winner: pd.DataFrame, model: Model, scaling: Scaling | None) -> str:
    ended = winner[np.isfinite(winner["final_loss"])]
    if ended.empty:
        return "No run of the best choice ended at finite parameters."
    run = ended.loc[ended["final_loss"].idxmin()]
    trained = run[[f"param_{name}" for name in model.params]].to_numpy(float)
    params, loss, note = in_table_units(model, trained, run["final_loss"], scaling)
    units = " in the table's own units" if scaling and not note else ""
    values = ", ".join(f"{name} = {value:.6g}" for name, value in zip(model.params, params, strict=True))
    loss_units = " in the table's own units" if scaling and note else ""
    sentence = f"The best run of this choice has {values}{units}, with loss {loss:.6g}{loss_units}."
    return f"{sentence} {note}" if note else sentence


def format_count(number: float, noun: str) -> str:
    """Return a number with its noun: "1 epoch", "2.5 epochs"."""
    number = int(number) if number == int(number) else number
    return f"{text(number)} {noun}{'' if number == 1 else 's'}"


def _format_share(part: int, total: int) -> str:
    return f"all {text(int(total))}" if part == total else f"{text(int(part))} of {text(int(total))}"


def describe_range(low: float, high: float) -> str:
    """Return a range as text: "0.1 to 2", or "0.1" for a single value."""
    return text(low) if low == high else f"{text(low)} to {text(high)}"
