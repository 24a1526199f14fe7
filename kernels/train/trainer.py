"""Functions that train on given samples: the reference, or a kernel compiled for a model, a loss and an optimizer."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache as once
from functools import cached_property, partial
from typing import Any

from kernels.base.registry import registered_in
from kernels.base.run import Data, Hyperparameters, allocate_room, allocate_scratch
from kernels.compile.kinds import KERNELS, check_dtype, lane_width
from kernels.compile.specialize import Kernel, ingredients_of, is_stored, specialize
from kernels.compile.unrolled import Ingredients
from kernels.losses.loss import Loss
from kernels.model.model import Model
from kernels.model.network import Network
from kernels.optimizers.optimizer import Optimizer
from kernels.reference import remember_order, train

Train = Callable[[Hyperparameters, Any, int, int], tuple[int, int]]
"""From settings, a `Record` or a `Block`, and two marks to the status and the mark that was reached."""
Told = tuple[str, Model, str, str, bool, str, bool, bool]


@dataclass(frozen=True, eq=False)
class Wanted:
    """A kernel to be compiled: that of a name, any but `reference`, for a model, a loss and an optimizer.

    With `options_per_run`, lanes take each run's options of the optimizer from a column of its own. Without `batches`,
    the kernel of one run of a model with vectors trains single samples alone, which a person waits less for.
    """

    kernel: str
    model: Model
    loss: Loss
    optimizer: Optimizer
    options_per_run: bool = False
    dtype: str = "float64"
    gathers: bool = False
    batches: bool = True

    @cached_property
    def ingredients(self) -> Ingredients:
        """What the kernel is made of: the same for the same kernel."""
        check_dtype(self.dtype, self.kernel, self.model, self.loss, self.optimizer)
        width = lane_width(self.kernel, self.dtype, self.model.program, self.loss)
        made_of = ingredients_of(self.model.program, self.loss, self.optimizer)
        alone = width == 1 and made_of.layers and not made_of.needs_norm
        return made_of._replace(
            fma=KERNELS[self.kernel].fma,
            width=width,
            options_per_run=self.options_per_run and width > 1,
            dtype=self.dtype,
            gathers=self.gathers,
            batches=self.batches or not alone,
        )

    def compile(self) -> Kernel:
        """Return the kernel, compiled at most once in a process."""
        made_of = self.ingredients
        # The same bits are not promised where operations may be fused.
        return specialize(made_of if made_of.batches or made_of.fma else _if_stored(made_of))

    def is_built_in(self) -> bool:
        """Return whether a process that knows none of the user's own rules can compile the kernel."""
        return not registered_in(self.loss, "loss") and not registered_in(self.optimizer, "optimizer")

    def tell(self) -> Told:
        """Return the kernel as another process is told it, with texts for the loss and the optimizer."""
        settings = self.options_per_run, self.dtype, self.gathers, self.batches
        return self.kernel, self.model, self.loss.text, self.optimizer.text, *settings


@once
def _if_stored(made_of: Ingredients) -> Ingredients:
    """Return the ingredients of the same kernel with batches, if that is stored and the one without is not."""
    more = made_of._replace(batches=True)
    return made_of if is_stored(made_of) or not is_stored(more) else more


def make_trainer(
    kernel: str,
    model: Model,
    loss: Loss,
    optimizer: Optimizer,
    data: Data,
    *,
    batches: bool = True,
    options_per_run: bool = False,
) -> Train:
    """Return the function that trains on these samples with a kernel, compiled where it has to be.

    Kernels of width 1 train a `Record`, the others blocks of as many runs as their lanes are wide, in the arrays of one
    `Block`. They compute with float64 or float32, as the samples are. `batches` is as for `Wanted`.
    """
    dtype = data.dtype
    if kernel == "reference":
        check_dtype(dtype, kernel, model, loss, optimizer)
        return partial(train, model.program, loss, optimizer, data, visiting=remember_order(data))
    settings = options_per_run, dtype, data.order.size > 0, batches
    compiled = Wanted(kernel, model, loss, optimizer, *settings).compile().train
    width, program = lane_width(kernel, dtype, model.program, loss), model.program
    if isinstance(program, Network):
        units = program.layers[0].units, program.scores, program.dots
        scratch: Any = allocate_room(program.layout, *units, optimizer.slots, data.y.size, width, dtype)
    else:
        # Each value that samples alone determine is made by an instruction; a run by itself keeps none.
        values = len(program.instructions) if width > 1 else 0
        n = max(data.y.size, data.validation_y.size)
        scratch = allocate_scratch(len(model.params), n, width, values, dtype)
    return lambda hyper, record, first, last: compiled(data, hyper, record, scratch, first, last)
