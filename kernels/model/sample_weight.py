"""Weights of samples: each multiplies the gradient of its sample, whatever the loss, the optimizer and the kernel."""

from kernels.model.model import Model
from kernels.model.program import Instruction, Program

WEIGHT = "sample_weight"


class WeightedModel(Model):
    """A model with one more input, the last: the weight of the sample, by which its derivatives are multiplied.

    The residual is that of the model, so that it holds for every loss. An update from one sample steps against
    ``weight * dloss/dr * df/dtheta``, as in ``sklearn.linear_model.SGDRegressor``: for sgd, a weight is a factor on the
    learning rate. The gradient of a batch is the sum of these over its samples, divided by how many they are. Losses
    that a run records are those without weights.

    Parameters
    ----------
    model : Model
    """

    def __init__(self, model: Model) -> None:
        super().__init__(model.expression, model.inputs, model.params)
        name = WEIGHT
        while name in model.params + model.inputs:
            name += "_"
        self.inputs = (*model.inputs, name)

    @property
    def program(self) -> Program:
        """The residual and the weighted derivatives as straight-line code."""
        program = super().program
        weight = program.params + program.inputs - 1
        first = program.params + program.inputs + 1 + len(program.constants) + len(program.instructions)
        products = tuple(Instruction("multiply", (weight, derivative)) for derivative in program.derivatives)
        return program._replace(
            instructions=program.instructions + products,
            derivatives=tuple(range(first, first + program.params)),
        )
