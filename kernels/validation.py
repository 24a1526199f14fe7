"""Held-out data: which samples a run is not trained on, so that the loss on them tells whether it still learns."""

from numbers import Real

import numpy as np
from numpy.typing import ArrayLike

from kernels.checks import check_integer, describe
from kernels.columns import Inputs
from kernels.loss import Loss
from kernels.model import Model
from kernels.run import Floats
from kernels.samples import Samples, check_samples

# One split for all runs, whatever their seeds: losses on different samples could not be compared.
SPLIT_SEED = 0


def hold_out(
    model: Model, loss: Loss, x: tuple[Floats, ...], y: Floats, validation: float | tuple[Inputs, ArrayLike] | None
) -> tuple[Samples, Samples | None]:
    """Return the samples to train on, and those held out.

    Parameters
    ----------
    model : Model
    loss : Loss
    x : tuple of array, shape (n,)
        One for each input.
    y : array, shape (n,)
    validation : float or (x, y), optional
        A share of the samples, see `choose_held_out`, or samples besides them.

    Raises
    ------
    ValueError
        If it is neither, or does not fit the model, or no sample would be left on one side; if the loss is not defined
        for a target.
    """
    loss.check_targets(y)
    if validation is None:
        return (x, y), None
    if isinstance(validation, tuple | list) and len(validation) == 2:
        return (x, y), hold_out_besides(model, loss, validation)
    if not isinstance(validation, Real) or isinstance(validation, bool) or not 0 < validation < 1:
        raise ValueError(
            f"validation must be a share of the samples between 0 and 1, or a pair (x, y), not {describe(validation)}"
        )
    held_out = choose_split(y.size, float(validation))
    train, held = ((tuple(column[part] for column in x), y[part]) for part in (~held_out, held_out))
    return train, held


def hold_out_besides(model: Model, loss: Loss, validation: float | tuple[Inputs, ArrayLike] | None) -> Samples | None:
    """Return samples that are held out besides those that are trained on, or None.

    Raises
    ------
    ValueError
        If they are no pair (x, y), or do not fit the model or the loss.
    """
    if validation is None:
        return None
    if not isinstance(validation, tuple | list) or len(validation) != 2:
        raise ValueError(
            f"validation must be a pair (x, y) beside samples that are streamed, not {describe(validation)}"
        )
    try:
        held = check_samples(model, *validation)
        loss.check_targets(held[1])
    except ValueError as error:
        raise ValueError(f"validation: {error}") from None
    return held


def choose_split(n: int, share: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return what `choose_held_out` does, with a sample or more on both sides.

    Raises
    ------
    ValueError
        If no sample would be held out, or none left to train on.
    """
    held_out = choose_held_out(n, share)
    count = int(held_out.sum())
    if not 0 < count < n:
        raise ValueError(
            "validation must hold out at least one sample and leave one to train on, "
            f"and {share} holds out {count} of {n}"
        )
    return held_out


def choose_held_out(n: int, share: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which of n samples are held out, shape (n,): ``round(share * n)`` of them.

    They are the first of ``numpy.random.default_rng(0).permutation(n)``, so that of two shares the larger one holds out
    what the smaller one does, and more. Both parts keep the order of the samples.
    """
    held_out = np.zeros(n, np.bool_)
    held_out[np.random.default_rng(SPLIT_SEED).permutation(n)[: round(share * n)]] = True
    return held_out


def check_patience(patience: int | None, validation: object) -> float:
    """Return after how many epochs without a lower validation loss a run stops; never, for None.

    Raises
    ------
    ValueError
        If it is no positive whole number, or there is no validation loss to look at.
    """
    if patience is None:
        return np.inf
    if validation is None:
        raise ValueError(f"patience must be None without validation, not {describe(patience)}")
    return float(check_integer("patience", patience))
