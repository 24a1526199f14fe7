"""Sample weights: each multiplies the gradient of its sample, for any loss, optimizer and kernel."""

from sgdbench.kernels.model.model import Model
from sgdbench.kernels.model.network import Network
from sgdbench.kernels.model.program import Instruction, Program

WEIGHT = "sample_weight"


class WeightedModel(Model):
    """A model with one more input, the last: the weight of the sample, which multiplies its derivatives.

    The residual is the model's own, so that this works with every loss. An update from one sample steps against
    ``weight * dloss/dr * df/dtheta``, as in ``sklearn.linear_model.SGDRegressor``: for sgd, a weight is a factor on the
    learning rate. The gradient of a batch is the sum of these over its samples, divided by their number. Recorded
    losses are unweighted.

    Parameters
    ----------
    model : Model
    """

    def __init__(self, model: Model) -> None:
        # Not written out: the weight multiplies the derivative with respect to a product, not the inputs.
        program = model.program if model.network is None else model.network
        vars(self).update(vars(model))
        self._unweighted = model
        name = WEIGHT
        while name in model.params + model.inputs:
            name += "_"
        self.inputs, self.headings = (*model.inputs, name), (*model.headings, name)
        if isinstance(program, Network):
            *before, last = program.layers
            last = last._replace(program=_weighted(last.program), columns=(*last.columns, program.inputs))
            self._program = program._replace(layers=(*before, last), inputs=program.inputs + 1)
        else:
            self._program = _weighted(program)

    def with_classes(self, classes: int) -> "WeightedModel":
        """Return the model with `classes` scores, whose derivatives are multiplied in the same way."""
        return WeightedModel(self._unweighted.with_classes(classes))


def _weighted(program: Program) -> Program:
    """Return the program with one more input, which multiplies the derivatives."""
    weight = program.params + program.inputs

    def place(number: int) -> int:
        return number + (number >= weight)

    instructions = [Instruction(function, tuple(map(place, operands))) for function, operands in program.instructions]
    first = weight + 2 + len(program.constants) + len(instructions)
    instructions += [Instruction("multiply", (weight, place(derivative))) for derivative in program.derivatives]
    return program._replace(
        inputs=program.inputs + 1,
        instructions=tuple(instructions),
        residual=place(program.residual),
        derivatives=tuple(range(first, first + program.params)),
    )
