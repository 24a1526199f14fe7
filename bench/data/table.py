"""Tables as arrays: CSV, TSV, Parquet and the built-in data, checked so that a fit can rely on them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from sgdbench.data.batches import locate_row, read_rows
from sgdbench.data.builtin_curves import GENERATED_CURVES, ROWS_WITHOUT_DATA
from sgdbench.data.categories import NO_CATEGORIES, make_inputs
from sgdbench.data.table_errors import describe_gap, either, join_names
from sgdbench.kernels.base.checks import describe, list_names
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.data.samples import Samples
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.losses.classes import Classes, count_classes, find_classes, takes_classes
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.categories import Categories
from sgdbench.system.files import TABLE_SUFFIXES

BUILTIN_NAMES = ("quadratic", "auto-mpg", "diabetes", "digits", "noisy-quadratic", "exponential", "polynomial", "none")
# The inputs and the target of built-in files.
_BUILTIN_COLUMNS = {"auto-mpg": (["hp"], "mpg"), "diabetes": (["bmi", "bp", "s3", "s5"], "progression")}
_BUILTIN_COLUMNS["digits"] = ([f"pixel_{row}{column}" for row in range(8) for column in range(8)], "digit")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples to fit, all of them finite.

    Attributes
    ----------
    x : array, shape (n, inputs)
        Inputs, float64; memory maps are stored by column, unless they are for models with vectors, and everything else
        by row.
    y : array, shape (n,)
        Targets, float64.
    x_names, y_name
        The columns of `x` and `y`.
    source : str
        The origin of the data, for people: a path, or the name of a built-in data set.
    dropped : int
        The number of rows skipped because a value was missing or infinite.
    dropped_held_out : int
        The same number for other files, whose samples are held out.
    validation : tuple or None
        Samples held out of `x` and `y`: their inputs, shape (m, inputs), and targets, shape (m,).
    test : tuple or None
        Test samples held out in the same form, which decide nothing.
    classes : Classes or None
        The labels of the classes 0, 1, ... in `y`, if the column holds labels.
    categories : Categories or None
        The values of the columns of text of which some inputs are indicators.
    mapped_in : Path or None
        The folder for files derived from memory maps, such as standardized columns.
    """

    x: Floats
    y: Floats
    x_names: tuple[str, ...]
    y_name: str
    source: str
    dropped: int = 0
    validation: tuple[Floats, Floats] | None = None
    test: tuple[Floats, Floats] | None = None
    classes: Classes | None = None
    mapped_in: Path | None = None
    dropped_held_out: int = 0
    categories: Categories | None = None

    def __repr__(self) -> str:
        inputs = list_names(self.x_names)
        return f"<Dataset of {self.y.size:,} samples from {self.source}: {inputs} and the target {self.y_name}>"

    @property
    def samples(self) -> Samples:
        """The samples that are not held out: the inputs, one array each, which may be views of rows, and y."""
        return tuple(self.x.T), self.y

    @property
    def all_targets(self) -> list[Floats]:
        """The targets, including held-out ones, all with the same classes."""
        return [self.y, *(held_out[1] for held_out in (self.validation, self.test) if held_out)]


def builtin(name: str) -> Dataset:
    """Return a built-in data set.

    `quadratic` has 800 exact points of 2x^2 - 4x + 3; `sgdbench.data.builtin_curves` describes `noisy-quadratic`,
    `exponential` and `polynomial`; `none` has no inputs, for models of parameters alone. `auto-mpg` has 392 cars, and
    `diabetes` 442 patients: body mass index, blood pressure and two blood values (HDL; the logarithm of triglycerides,
    possibly), and how far the disease has progressed after a year (B. Efron, T. Hastie, I. Johnstone, R. Tibshirani,
    Annals of Statistics 32, 2004). `digits` has 1,797 digits that people wrote, 8 by 8 pixels from 0 to 16 each (E.
    Alpaydin, C. Kaynak, Optical recognition of handwritten digits, 1998; UCI Machine Learning Repository).

    Raises
    ------
    ValueError
        If there is no built-in data set of that name.
    """
    if not isinstance(name, str) or name not in BUILTIN_NAMES:
        raise ValueError(f"built-in data must be one of {join_names(BUILTIN_NAMES)}, not {describe(name)}")
    if name in GENERATED_CURVES:
        x, y = GENERATED_CURVES[name]()
        return Dataset(x[:, np.newaxis], y, ("x",), "y", f"built-in {name}")
    if name == "none":
        return Dataset(np.empty((ROWS_WITHOUT_DATA, 0)), np.zeros(ROWS_WITHOUT_DATA), (), "objective", "no data")
    x_names, y_name = _BUILTIN_COLUMNS[name]
    with resources.as_file(resources.files("sgdbench.data") / f"{name.replace('-', '_')}.csv") as path:
        return replace(read_table(path, (*x_names, y_name), make_loss("squared")), source=f"built-in {name}")


def read_table(
    path: Path,
    names: tuple[str, ...],
    loss: Loss,
    categories: Categories = NO_CATEGORIES,
    *,
    drop_missing: bool = False,
    like: Dataset | None = None,
) -> Dataset:
    """Read columns of a .csv, .tsv or .parquet file into memory, the target last: see `sgdbench.data.load_table`."""
    *x_names, y_name = names
    names = (*categories.sources(x_names), y_name)
    if path.suffix.lower() not in TABLE_SUFFIXES:
        raise ValueError(
            f"{path} must be a {either(TABLE_SUFFIXES)} file{', not a directory' if path.is_dir() else ''}"
        )
    texts = [name for name in names[:-1] if name in categories.levels]
    values, labels = read_rows(path, names, texts, labels=takes_classes(loss))
    if not len(values):
        raise ValueError(f"{path} has column names but no rows of data")
    finite = np.isfinite(values)
    complete = finite.all(axis=1)
    dropped = len(values) - int(complete.sum())
    if dropped and not drop_missing:
        row = int(complete.argmin())
        column = int(finite[row].argmin())
        gap = describe_gap(values[row, column], names[column])
        raise ValueError(
            f"{path}: {locate_row(path, names, row)} {gap} ({dropped} of {len(values)} rows are incomplete); "
            "fill it in, or skip such rows with --drop-missing (drop_missing=True)"
            + (", or leave out columns of text with --no-categories" if names[column] in texts else "")
        )
    if dropped == len(values):
        known = finite.sum(axis=0)
        worst = f"column {names[int(known.argmin())]!r}, in {dropped - int(known.min())} rows"
        raise ValueError(
            f"{path} has no complete row: in each of {dropped} a value is missing or infinite, most often in {worst}"
        )
    complete_rows = np.flatnonzero(complete)
    if dropped:
        values = values[complete]
    y = values[:, -1].copy()
    what = f"{path}: column {names[-1]!r}"

    def locate(row: int) -> str:
        return locate_row(path, names, int(complete_rows[row]))

    targets, classes = encode_target(what, y, labels.get(y_name), loss, like, locate)
    inputs = np.ascontiguousarray(values[:, :-1])
    if texts:
        columns = dict(zip(names, values.T, strict=True))
        inputs = np.column_stack(make_inputs(x_names, columns, labels, categories, str(path), locate))
    used = categories.take(x_names)
    return Dataset(
        inputs, targets, tuple(x_names), y_name, str(path), dropped=dropped, classes=classes, categories=used
    )


def encode_target(
    what: str,
    y: Floats,
    labels: list[Any] | None,
    loss: Loss,
    like: Dataset | None,
    locate: Callable[[int], str],
) -> tuple[Floats, Classes | None]:
    """Return a target column as classes with their labels if it holds labels; otherwise unchanged."""
    if labels is None:
        present = y
    else:  # in order of appearance
        codes, first = np.unique(y.astype(np.int64), return_index=True)
        present = np.array([labels[code] for code in codes], dtype=object)
    own = classes = like.classes if like else find_classes(loss, present, what)
    if like and classes is None and (loss.by_class or labels is not None):  # `like` has numbers, not labels
        classes = Classes(tuple(range(count_classes(loss, None, like.y) if loss.by_class else 2)))
    if classes is None:
        loss.check_targets(y, what, locate)
        return y, None
    if labels is None:
        return classes.encode(y, what, locate), own
    if like:  # True in a Parquet file is the word "True" in a text file
        label_texts = {str(label): label for label in classes.labels}
        present = np.array([label_texts.get(str(label), label) for label in present], dtype=object)
    encoded = np.full(len(labels), np.nan)
    encoded[codes] = classes.encode(present, what, lambda place: locate(int(first[place])))
    return encoded[y.astype(np.int64)], own
