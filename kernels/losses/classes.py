"""Two labels as the classes 0 and 1 of a loss, in arrays and in the columns of tables.

Labels are sorted, and the greater one is class 1, as in `sklearn.preprocessing.LabelEncoder`: "yes" beside "no", 1
beside -1, True beside False. Targets of 0 and 1 are classes already.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from kernels.base.checks import check_unmasked, describe, describe_row
from kernels.base.run import Floats
from kernels.losses import LOSSES
from kernels.losses.loss import Loss

Label = str | bool | int | float
SHOWN = 5


@dataclass(frozen=True)
class Classes:
    """The labels of the classes 0 and 1."""

    labels: tuple[Label, Label]

    def __str__(self) -> str:
        zero, one = self.labels
        return f"{one!r} is class 1, and {zero!r} is class 0"

    def encode(self, y: ArrayLike, what: str = "y") -> Floats:
        """Return labels as classes, shape (n,); other labels are refused with the row of the first."""
        given = np.asarray(y)
        zero, one = (np.asarray(given == label, dtype=np.bool_) for label in self.labels)
        if zero.shape != given.shape or not (good := zero | one).all():
            row = 0 if zero.shape != given.shape else int(np.argmin(good))
            found, (first, second) = given.ravel()[row], self.labels
            raise ValueError(f"{what} must be {first!r} or {second!r}, and is {_plain(found)!r} in {describe_row(row)}")
        return one.astype(np.float64)


def takes_classes(loss: Loss) -> bool:
    """Return whether the targets of a loss are classes."""
    return loss.targets is not None and loss.targets.classes


def losses_of_classes() -> str:
    """Return the sentence that names the losses of classes."""
    names = [name for name, build in LOSSES.items() if takes_classes(build())]
    return f"classes are for the losses {' and '.join(names)}"


def find_classes(loss: Loss, y: Any, what: str = "y") -> Classes | None:
    """Return the classes of the labels in `y`, or None if they are numbers that go into the loss unchanged.

    Parameters
    ----------
    loss : Loss
    y : array, shape (n,)
        Numbers, truth values or texts; a pandas Series too.
    what : str
        Its name in error messages.

    Raises
    ------
    ValueError
        If there are labels that the loss does not take, or not two of them.
    """
    check_unmasked(what, y)
    try:
        given = np.asarray(y)
    except ValueError:
        return None  # a ragged list, which is refused where numbers are checked
    if given.ndim != 1 or not given.size or given.dtype.kind not in "iufbOUT":
        return None
    if not takes_classes(loss):
        if isinstance(found := _plain(given[0]), str | bool):
            raise ValueError(
                f"{what} must hold real numbers for the loss {loss.name!r}, not labels such as {describe(found)}: "
                f"{losses_of_classes()}"
            )
        return None
    if given.dtype.kind == "O":
        _check_present(given, what)
        found = {_plain(label) for label in given}
        return classes_of(found, loss, what) if all(isinstance(label, Label) for label in found) else None
    if given.dtype.kind == "f" and not np.isfinite(given).all():
        return None  # which is refused where numbers are checked
    labels = [_plain(label) for label in np.unique(given)]
    return None if given.dtype.kind != "b" and labels == [0, 1] else classes_of(labels, loss, what)


def classes_of(labels: Collection[Label], loss: Loss, what: str = "y") -> Classes:
    """Return the classes of distinct labels, which must be two that can be sorted."""
    try:
        ordered = sorted(labels)
    except TypeError:
        raise ValueError(f"{what} must hold labels of one kind, not numbers beside texts") from None
    if len(ordered) != 2:
        shown = ", ".join(map(repr, ordered[:SHOWN])) + (", ..." if len(ordered) > SHOWN else "")
        held = f"only {shown}" if len(ordered) == 1 else f"{len(ordered):,} values: {shown}"
        raise ValueError(f"{what} must hold two classes for the loss {loss.name!r}, such as 0 and 1, and holds {held}")
    zero, one = ordered
    return Classes((zero, one))


def encode_classes(classes: Classes | None, y: Any, validation: Any, test: Any) -> tuple[Any, Any, Any]:
    """Return targets, and those of held-out samples that are a pair (x, y), as classes."""
    if classes is None:
        return y, validation, test

    def encode_held_out(name: str, held: Any) -> Any:
        is_pair = isinstance(held, tuple | list) and len(held) == 2
        return (held[0], classes.encode(held[1], f"y of {name}")) if is_pair else held

    return classes.encode(y), encode_held_out("validation", validation), encode_held_out("test", test)


def _check_present(given: Any, what: str) -> None:
    """Refuse missing labels: None, nan, and those of pandas, none of which is equal to itself."""
    for row, label in enumerate(given):
        if label is None or type(label).__name__ in {"NAType", "NaTType"} or label != label:  # noqa: PLR0124
            raise ValueError(f"{what} must have a label for each sample, and has none in {describe_row(row)}")


def _plain(label: Any) -> Any:
    """Return a label as a value of Python, and a whole number as an int."""
    plain = label.item() if isinstance(label, np.generic) else label
    return int(plain) if isinstance(plain, float) and plain.is_integer() else plain
