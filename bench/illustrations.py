"""The figures of a report, one after the other, from what a run's folder holds."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bench.fitting import curve_in_table_units
from bench.material import Material
from bench.plots import fitted_curve, fitted_path, loss_curves, parameter_path
from bench.tables import CHOICES, best


class Illustration(NamedTuple):
    """A figure, what its file is called, and what is to be seen."""

    name: str
    caption: str
    figure: Figure


def illustrations(material: Material) -> Iterator[Illustration]:
    """The figures, in the order in which they are shown."""
    yield from _loss(material)
    if "trajectories" in material.evidence and material.data:
        yield from _paths(material)


def _loss(material: Material) -> Iterator[Illustration]:
    frame, curves, target = material.frame, material.result.curves, material.target
    optimizers = list(frame["optimizer"].cat.categories)
    if len(optimizers) > 1:
        choices = best(frame, ["optimizer"])
        of_the_best = frame.merge(choices[[name for name in CHOICES if name in choices]])
        figure = loss_curves(of_the_best, curves, by="optimizer", panel="init", target=target)
        yield Illustration("loss_by_optimizer", "Each optimizer at its best choice, start by start.", figure)

    of_start, start = hardest_start(frame)
    whence = f" From the start {start}, the hardest." if start else ""
    for number, optimizer in enumerate(optimizers, start=1):
        figure = loss_curves(of_start[of_start["optimizer"] == optimizer], curves, target=target)
        yield Illustration(f"loss_by_lr_{number}_{_plain(optimizer)}", f"{optimizer} by learning rate.{whence}", figure)
    winner = str(best(frame, ["optimizer"])["optimizer"].iloc[0])
    figure = loss_curves(of_start[of_start["optimizer"] == winner], curves, by="batch_size", panel="lr", target=target)
    which = f"{winner}, the best optimizer," if len(optimizers) > 1 else winner
    yield Illustration("loss_by_batch_size", f"{which} by batch size.{whence}", figure)


def _paths(material: Material) -> Iterator[Illustration]:
    data, scaling, model = material.data, material.scaling, material.result.model
    assert data  # noqa: S101 (the caller has looked)
    columns = [f"param_{name}" for name in model.params]
    trajectories = material.evidence["trajectories"]
    x, y = material.table_units()
    names = (data.x_names[0], data.y_name)
    curve = curve_in_table_units(model, scaling)
    fits = trajectories[trajectories["role"] == "best"].groupby("init", sort=False)[columns].last()
    params = {str(name): values for name, values in zip(fits.index, fits.to_numpy(), strict=True)}
    figure = fitted_curve(curve, x, y, params_by_name=params, names=names)
    yield Illustration("fitted_curve", "The data, and the best run from each start.", figure)

    typical = trajectories[trajectories["role"] == "typical"]
    if typical.empty:
        return
    middle = "the run in the middle of those that reached the target, in the order in which they did"
    if len(data.x_names) == 1:
        paths = {str(name): path[columns].to_numpy() for name, path in typical.groupby("init", sort=False)}
        figure = fitted_path(curve, x, y, paths=paths, names=names)
        caption = f"How the curve bends onto the data. From each start, a typical run: {middle}."
        yield Illustration("fitted_path", caption, figure)
    chosen = material.frame[material.frame["config_id"].isin(typical["config_id"])]
    units = " In standardized units." if scaling else ""
    caption = f"The way of the parameters, in the same typical runs.{units}"
    yield Illustration("parameter_path", caption, parameter_path(typical, chosen))


def hardest_start(frame: pd.DataFrame) -> tuple[pd.DataFrame, str | None]:
    """Keep the runs from the hardest start; a median over a near and a far one tells nothing.

    It is the one from which the smallest share reaches the target, or else the one of the highest loss. Random starts
    of one name count as one.

    Returns
    -------
    frame : DataFrame
        Some of its rows.
    start : str or None
        The start, if there are others.
    """
    starts = frame["init"].astype(str).str.replace(r"\[\d+\]$", "", regex=True)
    if len(starts.unique()) == 1:
        return frame, None
    success = (frame["status"] == "converged").groupby(starts).mean()
    loss = frame["final_loss"].fillna(np.inf).groupby(starts).median()
    hardest = str(pd.DataFrame({"success": success, "gain": -loss}).sort_values(["success", "gain"]).index[0])
    return frame[starts == hardest], hardest


def _plain(optimizer: str) -> str:
    """An optimizer's text as a part of a file name."""
    return "".join(character if character.isalnum() else "_" for character in optimizer).strip("_")
