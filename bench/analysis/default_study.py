"""A study for a table that nobody has tuned yet: a model, and a grid around the predicted edge of stability."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.analysis.advice import predicted_edge
from bench.data.columns import choose_inputs
from bench.data.scaling import standardize
from bench.data.table import Dataset, load_table
from bench.study.load import study_of_table
from bench.study.schema import Study
from kernels import Model
from kernels.classes import Classes
from kernels.fit_quality import least_squares
from kernels.losses import make_loss
from kernels.models import make_model_for_columns

RATES = 9
# The rates of a model of which theory knows no edge.
LOWEST, HIGHEST = 0.001, 1.0
# Below the edge of single samples by so much begin the rates; full batches have the highest edge.
BELOW = 30.0
# A run has arrived where its loss is this many times that of least squares, or is this small where that is 0.
NEAR, EXACT = 1.01, 1e-6
MINIBATCH = 16


class DefaultStudy(NamedTuple):
    """A study, and what was found out in making it.

    Attributes
    ----------
    study : Study
    edges : tuple of float or None
        The largest stable rates for single samples and for full batches, with sgd, on standardized columns.
    least_loss : float or None
        The loss of least squares, on standardized columns.
    rows : int
        Of the table, without those that are dropped.
    left_out : dict
        Which columns are no inputs although nobody said so, and why.
    classes : Classes or None
        The labels that y has, where they are classes.
    """

    study: Study
    edges: tuple[float, float] | None
    least_loss: float | None
    rows: int
    left_out: dict[str, str]
    classes: Classes | None = None


def default_study(
    path: str | Path,
    x: Sequence[str] | None,
    y: str,
    model: str | None = None,
    *,
    drop_missing: bool = False,
    loss: str = "squared",
    name: str | None = None,
) -> DefaultStudy:
    """Return a study for a table.

    Parameters
    ----------
    path : str or Path
    x : sequence of str or None
        The inputs, also with a name, as in "x=Engine Power (PS)"; without them, all other columns of numbers.
    y : str
        The column to be fitted.
    model : str, optional
        An expression, or the name of a ready-made model; without it, a weighted sum of the inputs and a constant.
    drop_missing : bool
        Whether to skip rows with missing values.
    loss : str
        What is trained; with one of classes, y may hold two labels.
    name : str, optional
        Of the study; without it, that of the file.

    Raises
    ------
    ValueError
        If the table or the model is not as it should be.
    """
    columns, names, expression, left_out = choose_inputs(path, x, y, model)
    table = load_table(path, columns, y, drop_missing=drop_missing, loss=loss)
    made = make_model_for_columns(expression, columns, names)
    data, _ = standardize(table, targets=make_loss(loss).scales_targets)
    edges = _edges(made, data)
    least_loss = _least_loss(made, data) if make_loss(loss).of_residual else None
    sections = {
        "name": "".join(filter(str.isprintable, name or Path(path).stem)).strip()[:100] or "table",
        "data": {"path": str(path), "x": columns, "y": y, "standardize": True, "drop_missing": drop_missing},
        "model": {"expression": expression} | ({} if names is None else {"inputs": names}),
        "grid": {
            "lr": _rates(edges),
            "batch_size": [1, MINIBATCH, "full"] if data.y.size >= 4 * MINIBATCH else [1, "full"],
            "optimizer": ["sgd", "momentum(0.9)", "adam"],
            "schedule": ["constant", "halve(10)"],
            "seed": [0, 1, 2, 3, 4],
            "shuffle": True,
            "init": {"zero": [0.0] * len(made.params)} if made.is_linear else {"random": "normal:1:3"},
        },
        "run": {"epochs": _epochs(data.y.size), "loss": loss}
        | ({} if least_loss is None else {"target": _target(least_loss)}),
    }
    return DefaultStudy(study_of_table(sections), edges, least_loss, data.y.size, left_out, table.classes)


def _edges(model: Model, data: Dataset) -> tuple[float, float] | None:
    """Return the largest stable rates of sgd for single samples and for full batches."""
    single, full = (predicted_edge(model, data, "sgd", size, shuffle=size == 1) for size in (1, "full"))
    return None if single is None or full is None else (single, full)


def _rates(edges: tuple[float, float] | None) -> str:
    """Return a range of learning rates with ends of one digit."""
    if edges is None:
        return f"log:{LOWEST:g}:{HIGHEST:g}:{RATES}"
    low, high = min(edges) / BELOW, max(edges)
    return f"log:{_one_digit(low, math.floor):g}:{_one_digit(high, math.ceil):g}:{RATES}"


def _one_digit(value: float, towards: Callable[[float], int]) -> float:
    """Return the nearest number of one significant digit below or above a positive value."""
    power = math.floor(math.log10(value))
    return float(f"{towards(value / 10.0**power)}e{power}")


def _epochs(rows: int) -> int:
    """Return how many epochs take a moment."""
    return 100 if rows <= 10_000 else 20 if rows <= 100_000 else 5


def _least_loss(model: Model, data: Dataset) -> float | None:
    """Return the loss of least squares, for models that are linear in their parameters."""
    if not model.is_linear:
        return None
    return least_squares(model, data.as_stream()).loss


def _target(least_loss: float) -> float:
    """Return a loss near that of least squares, with four digits."""
    return float(f"{max(NEAR * least_loss, EXACT):.4g}")
