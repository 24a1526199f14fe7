"""The state of a run at one mark."""

from dataclasses import dataclass

from kernels.base.run import Floats


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The state of a run at one mark.

    Attributes
    ----------
    mark : int
        Its place in ``loss``, ``trajectory`` and all that a run records at marks.
    samples_seen : int
    epoch : float
        An int at the end of one, else a fraction.
    params : array, shape (P,)
    loss : float
    validation_loss : float or None
        None without held-out samples.
    """

    mark: int
    samples_seen: int
    epoch: float
    params: Floats
    loss: float
    validation_loss: float | None
