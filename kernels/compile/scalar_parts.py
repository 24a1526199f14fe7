"""The computations of a kernel without vectors, recorded on a tape: the model at a sample, and an update."""

from typing import Any

from sgdbench.kernels.compile.names import KernelParts, Numbers, indexed_names, input_symbols, name_number
from sgdbench.kernels.compile.spec import KernelSpec
from sgdbench.kernels.compile.templates import tuple_text
from sgdbench.kernels.model.program import Program, check_program
from sgdbench.kernels.model.symbol import Symbol
from sgdbench.kernels.optimizers.optimizer import add_weight_decay
from sgdbench.kernels.tape.tape import Tape


class ScalarParts(KernelParts):
    """The parts of the kernel of a model without vectors.

    Attributes
    ----------
    theta, slots, state, inputs : list
        The names of the parameters, of each parameter's slots, of all slots and the clock, and of a sample's inputs.
    sums : list of str
        The names of the sums over a batch: the gradient, and the loss if the rule needs it.
    tuples : dict
        The texts of tuples of these names, for templates.
    """

    def __init__(self, spec: KernelSpec, *, standalone: bool = False) -> None:
        super().__init__(spec, standalone=standalone)
        assert isinstance(spec.model.program, Program)  # noqa: S101 (for the type)
        self.program = check_program(spec.model.program)
        params = self.program.params
        self.theta, self.inputs = indexed_names("theta", params), indexed_names("x", self.program.inputs)
        self.slots = [indexed_names(f"slot_{k}", self.rule.slots) for k in range(params)]
        self.state = [*(name for own in self.slots for name in own), *self.clock]
        self.sums = indexed_names("total", params + self.rule.needs_loss)
        names = {"theta": self.theta, "state": self.state, "loss_options": self.loss_options, "totals": self.sums}
        self.tuples = {name: tuple_text(parts) for name, parts in names.items()}


def run_sample(parts: ScalarParts, tape: Tape, theta: Numbers) -> tuple[tuple[Any, ...], list[Any]]:
    """Return the arguments of the loss at a sample, and the derivatives of the model."""
    inputs, (y,) = input_symbols(tape, parts.inputs), input_symbols(tape, ["y"])
    values = parts.run(tape, parts.program, [*theta, *inputs, y if parts.loss.of_residual else 0.0])
    arguments = parts.loss_arguments(tape, values[parts.program.residual], y)
    return arguments, [values[derivative] for derivative in parts.program.derivatives]


def gradient_point(parts: ScalarParts, tape: Tape) -> list[Any]:
    """Return the point at which the gradient is taken."""
    theta, at = input_symbols(tape, parts.theta), parts.rule.gradient_at
    if not at:
        return theta
    options = parts.option_symbols(tape)
    return [at(one, tuple(input_symbols(tape, own)), options) for one, own in zip(theta, parts.slots, strict=True)]


def run_update(parts: ScalarParts, tape: Tape, gradient: Numbers, loss: Any) -> list[Any]:
    """Return the parameters and the state after an update by the rule."""
    rule, lanes_wait = parts.rule, parts.width > 1 and not parts.spec.fma
    (lr,), options = input_symbols(tape, ["lr"]), parts.option_symbols(tape)
    theta, clock = input_symbols(tape, parts.theta), tuple(input_symbols(tape, parts.clock))
    clock = tuple(rule.clock(clock, options)) if rule.clock else clock
    facts = clock + ((loss,) if rule.needs_loss else ())
    if rule.needs_norm:
        norm = sum((one * one for one in gradient[1:]), start=gradient[0] * gradient[0])
        facts += (name_number(norm, "norm"),)
    weights, moved, new_state = parts.program.weights, list[Any](), list[Any]()
    for k, (one, own) in enumerate(zip(theta, parts.slots, strict=True)):
        step, slots = name_number(gradient[k], f"gradient_{k}"), tuple(input_symbols(tape, own))
        decays: tuple[Any, ...] = options
        if not weights or k in weights:
            if rule.weight_decay:
                at = rule.gradient_at(one, slots, options) if rule.gradient_at else one
                step = add_weight_decay(at, step, *input_symbols(tape, ["weight_decay"]))
        else:
            decays = tuple(0.0 if place in rule.decay_options else option for place, option in enumerate(options))
        if k and lanes_wait and isinstance(step, Symbol):
            step = name_number(step.emit("wait_for", step, moved[-1]), f"waited_{k}")
        new, memory = rule.rule(one, slots, step, lr, facts, decays)
        moved.append(name_number(new, f"new_theta_{k}"))
        new_state += [name_number(one, f"new_{name}") for one, name in zip(memory, own, strict=True)]
    new_state += [name_number(one, f"new_{name}") for one, name in zip(clock, parts.clock, strict=True)]
    return [*moved, *new_state]
