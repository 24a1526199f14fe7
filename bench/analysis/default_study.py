"""A study for a table that has not been tuned yet: a model, and a grid around the predicted edge of stability."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Unpack

from sgdbench.analysis.curvature import edges_of_runs, nearby_edges
from sgdbench.data.choose_loss import ChosenLoss, choose_loss
from sgdbench.data.columns import Inputs, choose_inputs
from sgdbench.data.held_out import check_files, hold_out_share
from sgdbench.data.memory_maps import MapOptions, is_mapped, load_table
from sgdbench.data.scaling import Scaling, find_scaling, standardize
from sgdbench.data.table import Dataset
from sgdbench.data.units import carries_back, describe_residual_units, start_in_training_units
from sgdbench.kernels import Model
from sgdbench.kernels.data.order import DEFAULT_BUFFER_SIZE
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.losses.classes import Classes, model_for_classes, reads_rows
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.models import make_model_for_columns
from sgdbench.kernels.train.attainable_loss import AttainableLoss, find_attainable_loss
from sgdbench.study.grid import Grid
from sgdbench.study.load import study_of_table
from sgdbench.study.schema import Study
from sgdbench.tables.words import describe_centering, describe_fewer_epochs, name_places

MIN_RATES = 9
# The rates for a model whose edge theory does not predict.
LOWEST_RATE, HIGHEST_RATE = 0.001, 1.0
# The rates begin this factor below the edge of single samples; full batches have the highest edge.
BELOW_EDGE_FACTOR = 30.0
# Edges farther apart than this, or farther from 1, need more rates between them.
DECADES_OF_MIN_RATES = 4
MINIBATCH, SEEDS = 16, 5
EPOCHS, FEWER_EPOCHS, FEWEST_EPOCHS = 100, 20, 5
# Samples times parameters, of all epochs and configurations: two processors take at most some minutes.
AFFORDABLE_WORK = 10**11


class DefaultStudy(NamedTuple):
    """A study for a table, and what was determined to make it.

    `edges` are the largest stable rates for single samples and for full batches, with sgd, and `places` describes where
    the loss has this curvature. `attainable` has the lowest loss and the loss of the best constant, in training units.
    `scaling` describes how the columns are scaled and why, and `inputs` which were chosen or ignored. `loss` has the
    reason if none was given, or the units of its residuals; `epochs` has the reason if they are fewer than usual;
    `classes` are the labels of y, if they are classes.
    """

    study: Study
    edges: tuple[float, float] | None
    places: str
    attainable: AttainableLoss
    scaling: str
    inputs: Inputs
    loss: ChosenLoss
    epochs: str
    classes: Classes | None = None


def default_study(
    path: str | Path,
    x: Sequence[str] | None,
    y: str,
    model: str | None = None,
    *,
    drop_missing: bool = False,
    no_categories: bool = False,
    loss: str | None = None,
    name: str | None = None,
    validation: float | None = None,
    validation_path: str | None = None,
    test: float | None = None,
    test_path: str | None = None,
    **mapping: Unpack[MapOptions],
) -> DefaultStudy:
    """Return a study for a table.

    By default, the inputs `x` are all other numeric columns and, unless `no_categories`, columns of few texts; see
    `sgdbench.data.columns.choose_inputs`. The default `model` is a weighted sum of the inputs and a constant, the
    default `loss` depends on the values of y (`sgdbench.data.choose_loss.choose_loss`), and the default `name` is the
    file's. The shares `validation` and `test` of the rows are held out: rates and the target are determined without
    them, and without the rows of other files, `validation_path` and `test_path`. Maps of many rows are shuffled in
    blocks. `mapping` is for a table that is mapped, as in `sgdbench.data.open_table`. An invalid table, model or loss
    is refused with a ValueError.
    """
    chosen = choose_loss(path, y) if loss is None else ChosenLoss(loss)
    criterion = make_loss(chosen.text)
    inputs = choose_inputs(path, x, y, model, criterion, no_categories=no_categories)
    columns, names, expression = inputs.columns, inputs.names, inputs.expression
    mapping["by_row"] = reads_rows(expression, columns, names, criterion)
    check_files(str(path), validation_path, test_path)
    texts = inputs.categories.levels
    table = load_table(path, columns, y, drop_missing=drop_missing, loss=criterion, categories=texts, **mapping)
    table = hold_out_share(table, validation, test=test)
    made = make_model_for_columns(expression, columns, names, y)
    made = model_for_classes(made, criterion, table.classes, *table.all_targets)
    scaling = None
    center, reason = ("both", "") if model is None else choose_centering(made, table, criterion)
    data = table
    if center is not None:
        constant = bool(made.vectors)
        data, scaling = standardize(table, targets=criterion.scales_targets, center=center, constant=constant)
        chosen = chosen._replace(reason=chosen.reason or describe_residual_units(criterion, scaling, y))
    attainable = find_attainable_loss(made, criterion, (made.columns(data.x), data.y))
    edges = _edges(made, criterion, data, attainable)
    places = {"validation_path": validation_path, "test_path": test_path, "cache_dir": mapping.get("cache_dir")}
    optional: dict[str, Any] = {"validation": validation, "test": test}
    optional |= {key: None if place is None else str(Path(place).absolute()) for key, place in places.items()}
    grid: dict[str, Any] = {
        "lr": _rates(edges),
        "batch_size": [1, *([MINIBATCH] * (data.y.size >= 4 * MINIBATCH)), *(["full"] * (data.y.size > 1))],
        "optimizer": ["sgd", "momentum(0.9)", "adam"],
        "schedule": ["constant", "halve(10)"],
        "seed": list(range(SEEDS)),
        "shuffle": True,
        **_start(made, scaling),
    }
    epochs, fewer = _epochs(data.y.size, len(made.params), Grid(**grid).size)
    if epochs < 10:  # halve(10) changes nothing before the tenth
        grid["schedule"] = "constant"
    sections: dict[str, Any] = {
        "name": "".join(filter(str.isprintable, name or Path(path).stem)).strip()[:100] or "table",
        "data": {"path": str(path), "x": columns, "y": y, "standardize": center is not None}
        | ({"categories": {column: list(values) for column, values in texts.items()}} if texts else {})
        | {"drop_missing": drop_missing, "center": center or "both"}
        | {key: value for key, value in optional.items() if value is not None},
        "model": {"expression": expression} | ({} if names is None else {"inputs": names}),
        "grid": grid,
        "run": {"epochs": epochs}
        | ({"shuffling": "blocks"} if is_mapped(path) and data.y.size > DEFAULT_BUFFER_SIZE else {})
        | ({} if criterion.is_squared else {"loss": criterion.text})
        | ({} if attainable.target is None else {"target": attainable.target, "target_loss": criterion.text}),
    }
    study = study_of_table(sections)
    found = edges, name_places(made), attainable, reason, inputs, chosen, fewer, table.classes
    return DefaultStudy(study, *found)


def _start(model: Model, scaling: Scaling | None) -> dict[str, Any]:
    """Return the start of a model's runs, as a part of a grid; networks have their own draws."""
    if (start := start_in_training_units(model, scaling)) is not None:
        return {"init": {"default": start.tolist()}}
    if model.vectors:
        return {"init": {"zero": "zero"}} if model.is_linear else {}
    return {"init": {"zero": [0.0] * len(model.params)} if model.is_linear else {"random": "normal:1:3"}}


def choose_centering(model: Model, table: Dataset, loss: Loss) -> tuple[str | None, str]:
    """Return which columns can be centered so that parameters carry back, and why; None if none may be scaled.

    Centering turns V*x/(K + x) into a curve of another family, which misses the data. Columns are therefore centered
    only if parameters exist that give the same curve in the table's units.
    """
    targets = loss.scales_targets
    options = ["both", *(["x"] if targets else []), "y", "none"]
    for center in options:
        try:
            scaling = find_scaling(table, targets=targets, center=center, constant=bool(model.vectors))
        except ValueError as error:  # a constant column, whatever is centered
            return None, describe_centering(None, str(error))
        if carries_back(model, scaling):
            return center, describe_centering(center)
    return None, describe_centering(None)


def _edges(model: Model, loss: Loss, data: Dataset, attainable: AttainableLoss) -> tuple[float, float] | None:
    """Return the largest stable rates of sgd for single samples and for full batches.

    They are the lowest at the places that runs pass (`edges_of_runs`). For a nonlinear model, whose places differ by
    orders of magnitude, the rate for full batches is the highest, and that for single samples the lowest of the
    `nearby_edges`.
    """
    starts = map(model.draw_start, range(SEEDS))
    edges = edges_of_runs(model, loss, data, attainable.params, starts)
    if not edges:
        return None
    singles, fulls = zip(*edges, strict=True)
    if model.is_linear:
        return min(singles), min(fulls)
    return min(nearby_edges(singles)), max(fulls)


def _rates(edges: tuple[float, float] | None) -> str:
    """Return a range of learning rates whose ends have one digit."""
    if edges is None:
        return f"log:{LOWEST_RATE:g}:{HIGHEST_RATE:g}:{MIN_RATES}"
    low, high = min(edges) / BELOW_EDGE_FACTOR, max(edges)
    # Optimizers that scale their gradients take steps of the size of the rate, whatever the units.
    high = max(high, LOWEST_RATE)
    count = max(MIN_RATES, round(MIN_RATES * math.log10(high / low) / DECADES_OF_MIN_RATES))
    return f"log:{_one_digit(low, math.floor):g}:{_one_digit(high, math.ceil):g}:{count}"


def _one_digit(value: float, towards: Callable[[float], int]) -> float:
    """Return the nearest number of one significant digit below or above a positive value."""
    value = float(f"{value:.6g}")  # removes rounding errors, as in 1.9999999
    power = math.floor(math.log10(value))
    return float(f"{towards(value / 10.0**power)}e{power}")


def _epochs(rows: int, params: int, runs: int) -> tuple[int, str]:
    """Return a number of epochs that does not take long, and the reason if it is lower than usual."""
    most = EPOCHS if rows <= 10_000 else FEWER_EPOCHS if rows <= 100_000 else FEWEST_EPOCHS
    affordable = AFFORDABLE_WORK // (rows * params * runs)
    epochs = EPOCHS if affordable >= EPOCHS else FEWER_EPOCHS if affordable >= FEWER_EPOCHS else FEWEST_EPOCHS
    epochs = min(epochs, most)
    if epochs == EPOCHS:
        return epochs, ""
    return epochs, describe_fewer_epochs(epochs, EPOCHS, rows, params)
