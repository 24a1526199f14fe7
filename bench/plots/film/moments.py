"""The moments of a run that a film may show: its checkpoints, and finer ones within the first epochs."""

from inspect import signature
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from sgdbench.kernels import FitResult, fit
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.data.checkpoints import thin_checkpoints

DETAILED_EPOCHS = 16
DETAILED_SAMPLES = 4_000_000  # in all of these epochs together, so that training them again takes a moment
DETAILED_REFERENCE_SAMPLES = 40_000  # the same for the kernel "reference"
MAX_PIECES = 50  # per epoch
MAX_CHECKPOINTS = 1000


class Moments(NamedTuple):
    """States of a run in the order of time, all of them finite; empty if the loss is not finite at the start.

    Attributes
    ----------
    epoch : array, shape (m,)
        The time in epochs: 1.5 is the middle of the second epoch.
    params : array, shape (m, P)
        In the units of training.
    loss : array, shape (m,)
        The loss over the whole data set.
    """

    epoch: Floats
    params: Floats
    loss: Floats


def recorded_moments(result: FitResult) -> Moments:
    """Return the finite states at the checkpoints of a run; of a long run a thousand, denser at the start."""
    if len(result.trajectory) < result.loss.size:
        raise ValueError("result must have its parameters at all checkpoints: give fit record_params=True")
    checkpoints = thin_checkpoints(result.samples_seen, MAX_CHECKPOINTS)
    finite = np.isfinite(result.loss[checkpoints]) & np.isfinite(result.trajectory[checkpoints]).all(axis=1)
    checkpoints = checkpoints[np.logical_and.accumulate(finite)]
    return Moments(
        result.samples_seen[checkpoints] / result.samples_per_epoch,
        result.trajectory[checkpoints],
        result.loss[checkpoints],
    )


def update_moments(result: FitResult, x: ArrayLike, y: ArrayLike, settings: dict[str, Any]) -> Moments:
    """Return the states at the checkpoints and, in the first epochs, after each update or fiftieth of an epoch.

    These epochs, and so an early one in which the run diverged, are trained again with finer checkpoints, which do not
    change the parameters, by the `settings` given to `sgdbench.fit`, of which start and rates are taken from the
    result. Data and settings that do not reproduce the run raise a ValueError.
    """
    names = [name for name, parameter in signature(fit).parameters.items() if parameter.kind is parameter.KEYWORD_ONLY]
    if unknown := next((name for name in settings if name not in names), None):
        raise ValueError(f"settings must be those of sgdbench.fit ({', '.join(names)}), not {unknown!r}")
    recorded = recorded_moments(result)
    most = DETAILED_REFERENCE_SAMPLES if settings.get("kernel") == "reference" else DETAILED_SAMPLES
    last = recorded.epoch.max(initial=0)
    if result.status == "diverged":
        last = np.ceil(result.samples_seen[-1] / result.samples_per_epoch)
    epochs = int(min(DETAILED_EPOCHS, most // np.size(y), last))
    if epochs == 0:
        return recorded
    updates = -(-int(result.updates[-1]) * result.samples_per_epoch // int(result.samples_seen[-1]))
    own = {
        "init": result.trajectory[0],
        "lr": 1.0,
        "schedule": result.rates[:epochs],
        "epochs": epochs,
        "loss": result.criterion,
        "record": -(-updates // MAX_PIECES),
        "dtype": result.dtype,
        "record_params": True,
    }
    unused = dict.fromkeys(("target", "validation", "test", "patience", "callback"))
    again = fit(result.model, x, y, **settings | own | unused)
    _check_reproduced(result, again)
    detailed = recorded_moments(again)
    later = recorded.epoch > detailed.epoch[-1]
    parts = zip(detailed, recorded, strict=True)
    return Moments(*(np.concatenate([first, rest[later]]) for first, rest in parts))


def _check_reproduced(result: FitResult, again: FitResult) -> None:
    """Raise an error if training the first epochs again does not lead to the same parameters at their ends."""
    both = min(again.epoch_checkpoints.size, result.epoch_checkpoints.size)
    reproduced, expected = (run.trajectory[run.epoch_checkpoints[:both]] for run in (again, result))
    same = np.isclose(reproduced, expected, rtol=1e-6, equal_nan=True).all(axis=1)
    if not same.all():
        epoch = int(np.argmin(same))
        raise ValueError(
            f"x, y and the settings must be those of the fit: epoch {epoch} of it ended at "
            f"{expected[epoch].tolist()}, and here it ends at {reproduced[epoch].tolist()}"
        )
