"""Held-out data: the samples that a run is not trained on.

The loss on validation samples shows whether a run still learns and which settings are better, so it decides. Test
samples decide nothing, so the loss on them estimates the loss on new data.
"""

from collections.abc import Sequence
from numbers import Real
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from sgdbench.kernels.base.checks import check_integer, describe
from sgdbench.kernels.base.columns import Inputs, check_row_order, take_targets, target_name
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.data.samples import Samples, check_samples
from sgdbench.kernels.losses.classes import Classes, check_scores, encode_classes, find_classes, model_for_classes
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.model import Model, ModelLike
from sgdbench.kernels.model.models import make_model_for

Places = np.ndarray[tuple[int], np.dtype[np.bool_]]
HeldOut = float | tuple[Inputs, ArrayLike] | None
"""Samples that are held out: a share of x and y, or data besides them."""
# All runs share one split, whatever their seeds: losses on different samples are not comparable.
SPLIT_SEED = 0


class Split(NamedTuple):
    """The samples to train on, and the held-out ones; None where there are none."""

    train: Samples
    validation: Samples | None
    test: Samples | None


def read_data(
    model: ModelLike, loss: Loss, x: Inputs, y: ArrayLike | None, validation: HeldOut = None, test: HeldOut = None
) -> tuple[Model, Classes | None, Split]:
    """Return the model, the classes of the labels and the samples, for data as `sgdbench.fit` takes them.

    A model given as text or as a function is built for these inputs. If the loss takes classes, the model has a score
    per class.
    """
    if isinstance(x, str | PathLike):
        raise ValueError(f"x must be samples, not the path {describe(str(x))}: sgdbench.data.load_table reads a table")
    target_column, (x, y) = target_name(x, y), take_targets(x, y)
    model = model if isinstance(model, Model) else make_model_for(model, x, target_column)
    if y is None:
        raise ValueError("y must be given")
    check_row_order(x, y)
    classes = find_classes(loss, y, scores=model.classes)
    samples = check_samples(model, x, encode_classes(classes, y))
    model = model_for_classes(model, loss, classes, samples[1])
    return model, classes, hold_out(model, loss, *samples, validation, test, classes)


def hold_out(
    model: Model,
    loss: Loss,
    x: tuple[Floats, ...],
    y: Floats,
    validation: HeldOut,
    test: HeldOut = None,
    classes: Classes | None = None,
) -> Split:
    """Return the samples to train on, and the held-out ones.

    Parameters
    ----------
    model : Model
    loss : Loss
    x : tuple of array, shape (n,)
        One for each input.
    y : array, shape (n,)
    validation, test : float or (x, y), optional
        A share of the samples (see `choose_split`), or additional samples.
    classes : Classes, optional
        The classes of labels in additional samples; y is already encoded.

    Raises
    ------
    ValueError
        If a held-out part is neither, does not fit the model, or would leave a part empty; if the loss is not defined
        for a target.
    """
    loss.check_targets(y)
    shares: dict[str, float] = {}
    besides: dict[str, Samples | None] = {"validation": None, "test": None}
    for name, part in (("validation", validation), ("test", test)):
        if isinstance(part, tuple | list) and len(part) == 2:
            besides[name] = check_held_out(model, loss, part, name, classes)
        elif isinstance(part, Real) and not isinstance(part, bool) and 0 < part < 1:
            shares[name] = float(part)
        elif part is not None:
            raise ValueError(
                f"{name} must be a share of the samples between 0 and 1, or a pair (x, y), not {describe(part)}"
            )
    if not shares:
        return Split((x, y), **besides)
    in_validation, in_test = choose_split(y.size, **shares)
    parts = {"validation": in_validation, "test": in_test}
    besides |= {name: (tuple(column[parts[name]] for column in x), y[parts[name]]) for name in shares}
    train = ~(in_validation | in_test)
    return Split((tuple(column[train] for column in x), y[train]), **besides)


def check_held_out(model: Model, loss: Loss, held: Sequence[Any], name: str, classes: Classes | None = None) -> Samples:
    """Return checked held-out samples (x, y) that the user gave besides the training data; y may hold labels."""
    x, y = take_targets(held[0], held[1], f"y of {name}")
    check_row_order(x, y)
    y = encode_classes(classes, y, f"y of {name}")
    try:
        samples = check_samples(model, x, y)
        check_scores(model, loss, samples[1])
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return samples


def choose_split(n: int, validation: float | None = None, test: float | None = None) -> tuple[Places, Places]:
    """Return the masks of the samples held out for validation and for the test, shape (n,) each.

    The test takes the first ``round(test * n)`` of ``numpy.random.default_rng(0).permutation(n)``, and validation the
    next ``round(validation * n)``. A larger share therefore holds out all samples of a smaller one, and the test
    samples do not depend on the validation share. All parts keep the order of the samples.

    Raises
    ------
    ValueError
        If a part with a share would hold no samples, or none would be left to train on.
    """
    places = np.random.default_rng(SPLIT_SEED).permutation(n)
    parts, held_out = [], 0
    for name, share in (("test", test), ("validation", validation)):
        if share is not None and not (isinstance(share, Real) and 0 < share < 1):
            raise ValueError(f"{name} must be a share of the samples between 0 and 1, not {describe(share)}")
        count = 0 if share is None else round(share * n)
        held_out += count
        if share is not None and not (count and held_out < n):
            both = test is not None and name == "validation" and count
            besides = f", and the test {held_out - count}" if both else ""
            raise ValueError(
                f"{name}={share} would hold out {count} of {n} samples{besides}; both parts need at least one"
            )
        part = np.zeros(n, np.bool_)
        part[places[held_out - count : held_out]] = True
        parts.append(part)
    return parts[1], parts[0]


def check_patience(patience: int | None, validation: object) -> float:
    """Return the number of epochs without a lower validation loss after which a run stops; inf for None."""
    if patience is None:
        return np.inf
    if validation is None:
        raise ValueError("patience needs held-out samples; give validation")
    return float(check_integer("patience", patience))
