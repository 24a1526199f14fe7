"""Lines with epoch, rate, loss, gradient and parameters, printed during a fit."""

import numpy as np

from sgdbench.data.table import Dataset
from sgdbench.kernels import FitResult, Model
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.data.pieces import mean_over
from sgdbench.kernels.train.local_search import mean_and_gradient

_COLUMN_WIDTH = len("-1.2346e-09")

# Parameters with their own columns; for more, the norm of the gradient is printed.
MAX_PARAMS_SHOWN = 12


class Trace:
    """Prints a remark, and the state at the start, after every `every` epochs, and after the last one."""

    def __init__(self, model: Model, every: int, remark: str = "") -> None:
        self.model = model
        self.every = every
        self.printed = -1
        self.named = len(model.params) <= MAX_PARAMS_SHOWN
        of_params = [*(f"d/d{name}" for name in model.params), *model.params] if self.named else ["|gradient|"]
        columns = ["epoch", "rate", "loss", *of_params]
        self.widths = [6, 10, *(max(_COLUMN_WIDTH, len(column)) for column in columns[2:])]
        if remark:
            print(remark)
        self._print(columns)

    def __call__(self, result: FitResult, data: Dataset) -> None:
        """Print the epochs since the last call."""
        first = 0 if self.printed < 0 else self.printed + self.every
        for epoch in range(first, result.epochs + 1, self.every):
            self._print_epoch(result, data, epoch)

    def finish(self, result: FitResult, data: Dataset) -> None:
        """Print the last epoch, which need not be a multiple of `every`."""
        if result.epochs > self.printed:
            self._print_epoch(result, data, result.epochs)

    def _print_epoch(self, result: FitResult, data: Dataset, epoch: int) -> None:
        checkpoint = result.epoch_checkpoints[epoch]
        params = result.trajectory[checkpoint]
        # The start has no learning rate, as no update led there.
        rate = f"{result.rates[epoch - 1]:.5g}" if epoch else "-"
        slopes = gradient(result, data, params)
        numbers = [result.loss[checkpoint], *([*slopes, *params] if self.named else [np.linalg.norm(slopes)])]
        self._print([str(epoch), rate, *(f"{number:.5g}" for number in numbers)])
        self.printed = epoch

    def _print(self, cells: list[str]) -> None:
        print(" ".join(cell.rjust(width) for cell, width in zip(cells, self.widths, strict=True)), flush=True)


def gradient(result: FitResult, data: Dataset, params: Floats) -> Floats:
    """Return the mean over all samples of the gradient that training follows, shape (P,)."""
    loss = result.criterion

    def gradient_of(x: tuple[Floats, ...], y: Floats) -> Floats:
        return mean_and_gradient(result.model.program, loss, x, y)(params)[1]

    # Training follows the gradient of half the squared residual.
    return np.asarray(mean_over(data.samples, gradient_of)) / (2 if loss.is_squared else 1)
