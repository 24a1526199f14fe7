"""The log loss of several classes, computed from a score for each.

The scores of n samples have the shape (classes, n), and the targets are class numbers from 0. The template
`kernels/loops/texts/softmax.txt` is the kernels' version.
"""

import numpy as np
from numpy.typing import NDArray

from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.losses.loss import Loss, Metric, Targets
from sgdbench.kernels.model.layers import MAX_CLASSES


def are_classes(y: Floats) -> NDArray[np.bool_]:
    """Return which targets are class numbers."""
    accepted: NDArray[np.bool_] = (y >= 0.0) & (y < MAX_CLASSES) & (y == np.floor(y))
    return accepted


CLASS_TARGETS = Targets(are_classes, f"the number of a class, from 0 to {MAX_CLASSES - 1}", classes=True)


def softmax_value(prediction: Floats, target: Floats, options: tuple[float, ...]) -> Floats:
    """Return log(sum(exp(f))) - f_y, without overflow for scores of any size."""
    shifted, own = _shift(prediction, target)
    chosen = np.take_along_axis(shifted, own, axis=0)[0]
    loss: Floats = np.log(np.add.reduce(np.exp(shifted), axis=0)) - chosen
    return loss if target.ndim else loss[0]


def softmax_derivative(prediction: Floats, target: Floats, options: tuple[float, ...]) -> Floats:
    """Return the probability of each class, minus 1 for the target's class."""
    shifted, own = _shift(prediction, target)
    powers = np.exp(shifted)
    slopes = powers / np.add.reduce(powers, axis=0)
    np.put_along_axis(slopes, own, np.take_along_axis(slopes, own, axis=0) - 1.0, axis=0)
    return np.reshape(slopes, prediction.shape)


def _shift(prediction: Floats, target: Floats) -> tuple[Floats, "np.ndarray[tuple[int, int], np.dtype[np.int64]]"]:
    """Return the scores minus each sample's highest, shape (classes, n), and the class numbers, (1, n)."""
    own = np.asarray(target).reshape(1, -1).astype(np.int64)
    scores = prediction.reshape(len(prediction), -1)
    return scores - np.maximum.reduce(scores, axis=0), own


def probabilities(prediction: Floats) -> Floats:
    """Return class probabilities for scores, with the classes on the last axis."""
    powers = np.exp(prediction - prediction.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def accuracy(prediction: Floats, target: Floats) -> float:
    """Return the share of samples whose class has the highest score, shape (n, classes); the first of equal scores."""
    return float(np.mean(np.argmax(prediction, axis=-1) == target))


def softmax() -> Loss:
    """Mean log loss of a classifier with a score for each of at most 100 classes.

    log(sum(exp(f))) - f_y; the derivative with respect to a score is the probability of its class, minus 1 for the
    target's class. J. S. Bridle, Probabilistic interpretation of feedforward classification network outputs (1990).
    Same as ``torch.nn.CrossEntropyLoss`` and ``sklearn.linear_model.LogisticRegression``.
    """
    return Loss(
        "softmax",
        softmax_value,
        softmax_derivative,
        is_exact=False,
        of_residual=False,
        records="log loss",
        targets=CLASS_TARGETS,
        metric=Metric("accuracy", accuracy),
        mean=probabilities,
        by_class=True,
    )
