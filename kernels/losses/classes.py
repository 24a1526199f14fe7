"""Labels as the classes 0, 1, ... of a loss, in arrays and in the columns of tables.

Labels are sorted, as in `sklearn.preprocessing.LabelEncoder`: the greater of two labels is class 1 ("yes" rather than
"no", 1 rather than -1, True rather than False). Targets of 0 and 1, or of all integers from 0 up, already are classes.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sgdbench.kernels.base.checks import check_unmasked, describe, describe_row
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.losses import LOSSES
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.inputs import Given
from sgdbench.kernels.model.layers import MAX_CLASSES
from sgdbench.kernels.model.model import Model
from sgdbench.kernels.model.models import has_vectors, make_model_for_columns

Label = str | bool | int | float
MAX_LABELS_SHOWN = 5


@dataclass(frozen=True)
class Classes:
    """The labels of the classes 0, 1, ..., in this order."""

    labels: tuple[Label, ...]

    def __str__(self) -> str:
        if len(self.labels) == 2:
            zero, one = self.labels
            return f"{one!r} is class 1, and {zero!r} is class 0"
        return f"{_list_labels(self.labels)}, as the classes 0 to {len(self.labels) - 1}"

    def encode(self, y: ArrayLike, what: str = "y", locate: Callable[[int], str] = describe_row) -> Floats:
        """Return labels as classes, shape (n,); an unknown label is refused with its place."""
        check_unmasked(what, y)
        try:
            y_labels = np.asarray(y)
        except ValueError:
            raise ValueError(f"{what} must hold one label for each sample, not a ragged list") from None
        comparable = y_labels
        if y_labels.dtype == object:  # pandas' missing values cannot be compared; an array is not a single label
            labels = [label if isinstance(_plain(label), Label) else None for label in y_labels.ravel()]
            comparable = np.array(labels, object).reshape(y_labels.shape)
        numbers = np.full(y_labels.shape, np.nan)
        for number, label in enumerate(self.labels):
            same = np.asarray(comparable == label, dtype=np.bool_)
            if same.shape == y_labels.shape:
                numbers[same] = number
        if np.isnan(numbers).any():
            row = int(np.argmax(np.isnan(numbers)))
            accepted = (
                " or ".join(map(repr, self.labels)) if len(self.labels) == 2 else f"one of {_list_labels(self.labels)}"
            )
            value = _plain(y_labels.ravel()[row])
            raise ValueError(f"{what} must be {accepted}, and is {describe(value)} in {locate(row)}")
        return numbers

    def decode(self, classes: NDArray[np.int64]) -> NDArray[Any]:
        """Return the labels of classes, shape (n,)."""
        return np.array(self.labels)[classes]


def takes_classes(loss: Loss) -> bool:
    """Return whether the targets of a loss are classes."""
    return loss.targets is not None and loss.targets.classes


def losses_of_classes() -> str:
    """Return the sentence that names the losses of classes."""
    *others, last = (name for name, build in LOSSES.built_in.items() if takes_classes(build()))
    return f"classes are for the losses {', '.join(others)} and {last}"


def find_classes(loss: Loss, y: Any, what: str = "y", scores: int = 1) -> Classes | None:
    """Return the classes of the labels in `y`, or None if `y` holds numbers that the loss takes unchanged.

    Parameters
    ----------
    loss : Loss
    y : array, shape (n,)
        Numbers, bools or strings; a pandas Series too.
    what : str
        The name of `y` in error messages.
    scores : int
        The number of scores of the model, if several: smaller integers are its classes, even if some are absent.

    Raises
    ------
    ValueError
        If the loss takes no labels, or another number of them.
    """
    check_unmasked(what, y)
    try:
        values = np.asarray(y)
    except (ValueError, TypeError, RuntimeError):
        return None  # a ragged list or no array, refused by the check of numbers
    if values.ndim > 1 and values.dtype.kind in "bUTO":
        raise ValueError(f"{what} must have shape ({len(values)},), one label for each sample, not {values.shape}")
    if values.ndim != 1 or not values.size or values.dtype.kind not in "iufbOUTSmM":
        return None
    if not takes_classes(loss):
        if isinstance(found := _plain(values[0]), str | bool):
            raise ValueError(
                f"{what} must hold real numbers for the loss {loss.name!r}, not labels such as {describe(found)}: "
                f"{losses_of_classes()}"
            )
        return None
    if values.dtype.kind in "OSmM":
        check_labels_present(values, what)
        found = list(map(_plain, values)) if values.dtype.kind == "O" else list(values)
        if others := [type(label).__name__ for label in found if not isinstance(label, Label)]:
            raise ValueError(
                f"{what} must hold labels that are numbers, texts or truth values, not values of type {others[0]}: "
                "astype(str) makes texts of them"
            )
        return classes_of(set(found), loss, what)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        return None  # refused by the check of numbers
    labels = [_plain(label) for label in np.unique(values)]
    several = loss.by_class and len(labels) > 1
    expected = list(range(len(labels) if several else 2))
    are_classes = labels == expected or (several and set(labels) <= set(range(scores)))
    return None if values.dtype.kind not in "bUT" and are_classes else classes_of(labels, loss, what)


def count_classes(loss: Loss, classes: Classes | None, y: Floats) -> int:
    """Return the number of scores that a loss takes for some targets: the number of their classes, or 1."""
    if not loss.by_class:
        return 1
    return len(classes.labels) if classes else int(y.max(initial=1.0)) + 1


def model_for_classes(model: Model, loss: Loss, classes: Classes | None, *targets: Floats) -> Model:
    """Return the model with a score per class among the targets, if the loss takes scores of classes."""
    if not loss.by_class and model.classes == 1:
        return model
    if not loss.by_class:
        raise ValueError(f"loss must be softmax for a model of {model.classes} classes, not {loss.name!r}")
    count = 0
    for y in targets:
        loss.check_targets(y)
        count = max(count, count_classes(loss, classes, y))
    if model.classes == 1:
        return model.with_classes(count)
    if count > model.classes or (classes and count < model.classes):
        raise ValueError(f"y must hold {model.classes} classes, one for each score of the model, not {count}")
    return model


def reads_rows(expression: str, columns: Sequence[str], inputs: Given | None, loss: Loss) -> bool:
    """Return whether the model built by `make_model_for_columns` takes the inputs of a sample as adjacent numbers."""
    if not has_vectors(expression) or loss.by_class:
        return has_vectors(expression)
    try:
        return make_model_for_columns(expression, columns, inputs).by_row
    except ValueError:
        return True  # building the model raises the error


def check_scores(model: Model, loss: Loss, y: Floats) -> None:
    """Refuse a model without the scores that a loss takes, and targets outside of the loss or of the model's classes.

    Parameters
    ----------
    model : Model
    loss : Loss
    y : array, shape (n,)
        Numbers; classes are 0, 1, ...
    """
    loss.check_targets(y)
    if not loss.by_class and model.classes > 1:
        raise ValueError(f"loss must be softmax for a model of {model.classes} classes, not {loss.name!r}")
    if not loss.by_class:
        return
    if model.classes == 1:
        raise ValueError(
            f"model must have a score for each class for the loss {loss.name!r}, as Model(..., classes=3) has, not one"
        )
    beyond = y >= model.classes
    if beyond.any():
        row = int(np.argmax(beyond))
        raise ValueError(
            f"y must be a class from 0 to {model.classes - 1} for a model of {model.classes} classes, and is "
            f"{y[row]:g} in {describe_row(row)}"
        )


def classes_of(labels: Collection[Label], loss: Loss, what: str = "y") -> Classes:
    """Return the classes of distinct labels, which must be sortable and as many as the loss takes."""
    try:
        ordered = sorted(labels)
    except TypeError:
        raise ValueError(f"{what} must hold labels of one kind, not numbers beside texts") from None
    most = MAX_CLASSES if loss.by_class else 2
    if not 2 <= len(ordered) <= most:
        held = (
            f"only {_list_labels(ordered)}"
            if len(ordered) == 1
            else f"{len(ordered):,} values: {_list_labels(ordered)}"
        )
        accepted = f"2 to {most} classes" if loss.by_class else "two classes"
        hint = "; use softmax for more than two" if 2 < len(ordered) <= MAX_CLASSES else ""
        raise ValueError(f"{what} must hold {accepted} for the loss {loss.name!r}, such as 0 and 1, not {held}{hint}")
    return Classes(tuple(ordered))


def _list_labels(labels: Sequence[Label]) -> str:
    return ", ".join(map(describe, labels[:MAX_LABELS_SHOWN])) + (", ..." if len(labels) > MAX_LABELS_SHOWN else "")


def encode_classes(classes: Classes | None, y: Any, what: str = "y") -> Any:
    """Return targets as classes if they are labels."""
    return y if classes is None else classes.encode(y, what)


def check_labels_present(given: Any, what: str) -> None:
    """Refuse infinite and missing labels: None, nan and pandas' own, none of which equals itself."""
    for row, label in enumerate(given):
        kind = type(label)
        missing = label is None or kind.__name__ in {"NAType", "NaTType"}
        if missing or (kind.__hash__ is not None and label != label):  # noqa: PLR0124 (arrays have no single answer)
            raise ValueError(f"{what} must have a label for each sample, and has none in {describe_row(row)}")
        if issubclass(kind, float | np.floating) and np.isinf(label):
            raise ValueError(f"{what} must be finite, and is {label} in {describe_row(row)}")


def _plain(label: Any) -> Any:
    """Return a label as a Python value; an integral one becomes an int."""
    plain = label.item() if isinstance(label, np.generic) else label
    return int(plain) if isinstance(plain, float) and plain.is_integer() else plain
