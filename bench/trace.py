"""The lesson's own output: epoch, rate, loss, gradient and parameters, line by line while a fit goes on."""

import numpy as np

from bench.data import Dataset
from kernels import FitResult, Model
from kernels.program import evaluate
from kernels.run import Floats


class Trace:
    """Prints the state after every so many epochs.

    Parameters
    ----------
    model : Model
    every : int
        Epochs between two lines; the first line is the start.
    """

    def __init__(self, model: Model, every: int) -> None:
        self.model = model
        self.every = every
        self.next = 0
        columns = ["epoch", "rate", "loss", *(f"d/d{name}" for name in model.params), *model.params]
        self.widths = [max(13, len(column) + 1) for column in columns]
        self._print(columns)

    def __call__(self, result: FitResult, data: Dataset) -> None:
        """Print what is new since the last call."""
        for epoch in range(self.next, result.epochs + 1, self.every):
            params = result.trajectory[epoch]
            rate = result.rates[epoch - 1] if epoch else np.nan
            numbers = [rate, result.loss[epoch], *gradient(self.model, data, params), *params]
            self._print([str(epoch), *(f"{number:.6g}" for number in numbers)])
            self.next = epoch + self.every

    def _print(self, cells: list[str]) -> None:
        print("".join(cell.rjust(width) for cell, width in zip(cells, self.widths, strict=True)), flush=True)


def gradient(model: Model, data: Dataset, params: Floats) -> Floats:
    """The gradient of half the mean squared residual over all samples, shape (P,)."""
    with np.errstate(all="ignore"):
        residual, derivatives = evaluate(model.program, params, data.x.T, data.y)
        return np.array([np.mean(residual * derivative) for derivative in derivatives])
