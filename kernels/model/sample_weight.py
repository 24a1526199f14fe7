"""Weights of samples: each multiplies the gradient of its sample, whatever the loss, the optimizer and the kernel."""

from kernels.model.model import Model
from kernels.model.program import Instruction, Program

# No name of an expression ends so, and no input can be called so.
WEIGHT = "sample_weight"


class WeightedModel(Model):
    """A model with a last input more, the weight of the sample, by which its derivatives are multiplied.

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
        self.inputs = (*model.inputs, free_name(model))

    @property
    def program(self) -> Program:
        """The residual and the weighted derivatives as straight-line code."""
        return weight_derivatives(super().program)


def weight_derivatives(program: Program) -> Program:
    """Return a program whose derivatives are multiplied by its last input."""
    weight = program.params + program.inputs - 1
    first = program.params + program.inputs + 1 + len(program.constants) + len(program.instructions)
    products = tuple(Instruction("multiply", (weight, derivative)) for derivative in program.derivatives)
    return program._replace(
        instructions=program.instructions + products,
        derivatives=tuple(range(first, first + program.params)),
    )


def free_name(model: Model) -> str:
    """Return a name for the weights that the model does not have."""
    name = WEIGHT
    while name in model.params + model.inputs:
        name += "_"
    return name
