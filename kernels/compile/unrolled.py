"""The source of the functions whose form differs from kernel to kernel: a model's formula, an optimizer's state.

numba unpacks no tuple in a loop, so these functions are written out parameter by parameter. The text holds only numbers
of the user's, no names. The binder defines the other names in it: ``loss_derivative`` and ``loss_value``; ``rule``,
``step_clock``, ``point_of_gradient`` and ``per_sample_step`` of the optimizer; ``add_weight_decay``; ``WIDTH``, the
runs in a lane; and ``PART``, the runs that are added up side by side.
"""

import hashlib
import linecache
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from kernels.base.run import LEAF
from kernels.compile.kinds import doubles_in_register, has_factor
from kernels.model.functions import FUNCTIONS
from kernels.model.network import Structure
from kernels.model.program import Program, check_program
from kernels.model.sample_values import split_program
from kernels.simd.compiled_functions import COMPILED
from kernels.simd.lanes import as_float32, as_scalar, broadcast, pointers, read_lane, read_spaced, wait_for, write_lane
from kernels.simd.tuples import all_finite, load, store

MOST_BYTES = 256
"""The size of a lane of sums, at most. Sums do not wait for each other as updates do: longer lanes only spill."""
FILL_REGISTERS = 8
"""The parameters whose lanes, of four registers each, leave none of the 32 of AVX-512 to anything else."""
MOST_IN_REGISTERS = 14
"""The parameters of one register each, at most, that these hold beside what they are multiplied with."""
INFIX = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}


class Ingredients(NamedTuple):
    """The ingredients of a kernel; the values of options, which are arguments of it, are none.

    Those of a model with vectors have the places of the options that decay weights, and not scalars; if these are long,
    they have its `layers`.

    Attributes
    ----------
    fma : bool
        Whether a multiplication and an addition may be fused, which changes the last bits.
    width : int
        The number of runs that are trained side by side.
    options_per_run : bool
        Whether each run has options of its own, as `kernels.optimizers.run_options` stacks them.
    dtype : str
        The numbers to compute with, ``"float64"`` or ``"float32"``.
    gathers : bool
        Whether shuffled samples are gathered some at a time, which takes half a second more to compile.
    batches : bool
        Whether a model with vectors is trained in batches too. Without them, one run compiles in 0.6 of the time.
    """

    program: Program
    loss_derivative: Callable[..., Any]
    loss_value: Callable[..., Any] | None
    loss_options: int
    of_residual: bool
    is_squared: bool
    needs_loss: bool
    rule: Callable[..., Any]
    rule_options: int
    slots: int
    clock: Callable[..., Any] | None
    clock_size: int
    per_sample: Callable[..., Any] | None
    gradient_at: Callable[..., Any] | None
    needs_norm: bool
    decays: bool
    layers: tuple[Structure, ...] = ()
    decay_options: tuple[int, ...] = ()
    fma: bool = False
    width: int = 1
    options_per_run: bool = False
    dtype: str = "float64"
    gathers: bool = False
    batches: bool = True

    @property
    def by_factor(self) -> bool:
        """Whether losses may come from the QR factor of the samples, whose last bits differ from those of a sum."""
        return self.fma and self.width > 1 and not self.layers and has_factor(self.program, squared=self.is_squared)

    @property
    def part(self) -> int:
        """The number of runs of which sums are taken side by side: no more than registers hold."""
        return min(self.width, MOST_BYTES // np.dtype(self.dtype).itemsize)

    @property
    def by_register(self) -> bool:
        """Whether losses are summed for the runs of one register at a time, whose eight sums stay in registers.

        With exp, whose tables need registers too, that would take a tenth longer, and so would the hinge loss.
        """
        return self.width > 1 and self._has_exact_squares

    @property
    def narrows(self) -> bool:
        """Whether losses of one run are summed in halves of a lane where updates are computed one by one.

        Functions such as exp take longer in halves, and eight numbers of float32 are no wider than four of float64.
        """
        return self.width == 1 and self.dtype == "float64" and self._has_exact_squares

    @property
    def _has_exact_squares(self) -> bool:
        return not self.layers and self.is_squared and self.program.is_exact

    @property
    def register(self) -> int:
        """The number of runs in a register."""
        return min(self.width, doubles_in_register() * 8 // np.dtype(self.dtype).itemsize)

    @property
    def recorded_part(self) -> int:
        """The number of runs of which losses are summed side by side."""
        return self.register if self.by_register else self.part

    @property
    def moves_by_register(self) -> bool:
        """Whether updates from single samples are those of the runs of one register after another.

        With fewer parameters, or more unless exp and its like need registers in any case, with rules that keep a state
        of each, and without AVX-512 that would take longer; in float32, which memory holds in double precision, more
        than twice as long.
        """
        params = self.program.params
        spills = params >= FILL_REGISTERS and (params <= MOST_IN_REGISTERS or not self.program.is_exact)
        fits = self.width > 1 and not self.layers and self.dtype == "float64" and doubles_in_register() == 8
        return spills and fits and bool(self.per_sample) and not self.gradient_at

    @property
    def options_without_decay(self) -> str:
        """The text of the options of the rule for parameters that do not decay."""
        return "".join(
            (self.scalar("0.0") if place in self.decay_options else f"options[1][{place}]") + ", "
            for place in range(self.rule_options)
        )

    def number(self, text: str) -> str:
        """Return the text of a number, or a lane, of the type that the kernel computes with."""
        return text if self.dtype == "float64" else f"as_float32({text})"

    def scalar(self, text: str) -> str:
        """Return the text of an option or of a part of the clock, which are of double precision."""
        return text if self.dtype == "float64" else f"as_scalar({text})"


def unroll(made_of: Ingredients) -> str:
    """Return the source of the functions that the loops declare."""
    parts = [_gradient(made_of), _optimizer(made_of), _memory(made_of), _lanes(made_of)]
    if made_of.by_register:
        parts.append(_values_of_samples(made_of))
    check_program(made_of.program)
    return "\n\n".join(sum(parts, _model(made_of)))


def define(source: str) -> dict[str, Callable[..., Any]]:
    """Return the functions that a text of `unroll` defines, by name."""
    scope: dict[str, Any] = {name: value for name, value in vars(np).items() if isinstance(value, np.ufunc)}
    scope |= COMPILED
    scope |= {"read_lane": read_lane, "read_spaced": read_spaced, "write_lane": write_lane}
    scope |= {"broadcast": broadcast, "pointers": pointers}
    scope |= {"as_float32": as_float32, "as_scalar": as_scalar, "load": load, "store": store, "all_finite": all_finite}
    scope["wait_for"] = wait_for
    scope["__name__"] = __name__
    known = set(scope)
    place = f"<unrolled {hashlib.sha256(source.encode()).hexdigest()[:16]}>"
    linecache.cache[place] = (len(source), None, source.splitlines(keepends=True), place)  # for `inspect`
    exec(compile(source, place, "exec"), scope)  # noqa: S102 (our own text)
    return {name: value for name, value in scope.items() if name not in known and name != "__builtins__"}


def _model(made_of: Ingredients) -> list[str]:
    """`residual_and_derivatives`, instruction by instruction, and the access to the inputs."""
    program, of_residual = made_of.program, made_of.of_residual
    result = "#" if of_residual else "(#, y)"
    return [
        unit("residual_and_derivatives", made_of, program, takes_y=of_residual, result=result),
        written("inputs_at(x, i)", f"return ({listed(made_of.number('x[#][i]'), program.inputs)})"),
        written("inputs_between(x, start, stop)", f"return ({listed('x[#][start:stop]', program.inputs)})"),
        written("input_lanes_at(x, i)", f"return ({listed('read_lane(x[#], i, 8)', program.inputs)})"),
        written("half_lanes_at(x, i)", f"return ({listed('read_lane(x[#], i, 4)', program.inputs)})"),
    ]


def unit(name: str, made_of: Ingredients, program: Program, *, takes_y: bool, result: str) -> str:
    """Return a function of parameters, inputs and y that computes a program, instruction by instruction.

    Where it does not take y into account, its residual is that from a target of 0: the prediction, in the same tree.
    """
    names = [f"theta_{k}" for k in range(program.params)] + [f"x_{k}" for k in range(program.inputs)]
    names.append("y" if takes_y else made_of.number("0.0"))
    names += [made_of.number(repr(value)) for value in program.constants]
    lines = [] if made_of.dtype == "float64" else [f"y = {made_of.number('y')}"]
    for place, (function, operands) in enumerate(program.instructions):
        used = [names[operand] for operand in operands]
        value = f" {INFIX[function]} ".join(used) if function in INFIX else f"{function}({', '.join(used)})"
        if function == "sign":
            value += " + 0.0"  # numba's sign of -0.0 is -0.0, NumPy's is 0.0
        if function in FUNCTIONS:
            value = made_of.number(value)  # conditions of NumPy are float64
        lines.append(f"v_{place} = {value}")
        names.append(f"v_{place}")
    residual = result.replace("#", names[program.residual])
    return written(
        f"{name}(theta, x, y)",
        *([f"{listed('theta_#', program.params)} = theta"] if program.params else []),
        *([f"{listed('x_#', program.inputs)} = x"] if program.inputs else []),
        *lines,
        f"return {residual}, ({' '.join(names[d] + ',' for d in program.derivatives)})",
    )


def _gradient(made_of: Ingredients) -> list[str]:
    """`gradient_term` with its loss last where the rule needs it, `recorded_term`, and where the gradient is taken."""
    params = made_of.program.params
    point = f"({listed('point_of_gradient(theta[#], state[#], options[1])', params)})"
    return [
        written(
            "gradient_term(theta, x, y, options)",
            "residual, derivatives = residual_and_derivatives(theta, x, y)",
            f"slope = loss_derivative({arguments_of_loss(made_of, 'options')})",
            f"return ({listed('slope * derivatives[#]', params)}{_loss(made_of, 'options')})",
        ),
        written(
            "recorded_term(theta, x, y, options)",
            "residual, _ = residual_and_derivatives(theta, x, y)",
            f"return ({recorded_loss(made_of)},)",
        ),
        written("gradient_point(theta, state, options)", f"return {point if made_of.gradient_at else 'theta'}"),
    ]


def _loss(made_of: Ingredients, options: str) -> str:
    """Return the text of the loss of a sample, which follows its gradient where the rule needs it."""
    return f" loss_value({arguments_of_loss(made_of, options)})," if made_of.needs_loss else ""


def _values_of_samples(made_of: Ingredients) -> list[str]:
    """`keep_values`, which computes what samples alone determine, and `term_at`, which is `recorded_term` from that."""
    of_samples, residual = split_program(made_of.program)
    of_residual, inputs = made_of.of_residual, made_of.program.inputs
    places = [f"{LEAF * number} + place" for number in range(len(of_samples.derivatives))]
    read = "".join(f"read_lane(values, {place}, 1), " for place in places)
    return [
        unit("values_of_samples", made_of, of_samples, takes_y=of_residual, result="None"),
        unit("residual_from_values", made_of, residual, takes_y=of_residual, result="#" if of_residual else "(#, y)"),
        written(
            "keep_values(values, place, x, y)",
            "_, kept = values_of_samples((), x, y)",
            *(f"write_lane(kept[{number}], values, {place})" for number, place in enumerate(places)),
        ),
        written(
            "term_at(theta, x, y, i, values, place, options)",
            "y = read_lane(y, i, 1)",
            f"inputs = ({listed('read_lane(x[#], i, 1)', inputs)} {read})",
            "residual, _ = residual_from_values(theta, inputs, y)",
            f"return ({recorded_loss(made_of)},)",
        ),
    ]


def recorded_loss(made_of: Ingredients) -> str:
    """Return the text of the loss of a sample that is recorded."""
    return "residual * residual" if made_of.is_squared else f"loss_value({arguments_of_loss(made_of, 'options')})"


def arguments_of_loss(made_of: Ingredients, options: str) -> str:
    """Return the arguments of the functions of the loss, where `residual` is that of a sample, from its options."""
    return f"residual, {options}" if made_of.of_residual else f"residual[0], residual[1], {options}"


def _optimizer(made_of: Ingredients) -> list[str]:
    """`update` by the rule for every parameter, and `descend`, an update from one sample."""
    params = made_of.program.params
    theta, state, gradient = (listed(f"{name}_#", params) for name in ("theta", "state", "gradient"))
    lines = ["clock = step_clock(clock, options[1])"] if made_of.clock else []
    facts = ["loss"] if made_of.needs_loss else []
    if made_of.needs_norm:
        lines.append("norm = " + " + ".join(f"gradient_{k} * gradient_{k}" for k in range(params)))
        facts.append("norm")
    lines.append(f"known = clock + ({''.join(f'{fact}, ' for fact in facts)})" if facts else "known = clock")
    weights = made_of.program.weights
    for k in range(params):
        decays = not weights or k in weights
        if made_of.decays and decays:
            at = f"point_of_gradient(theta_{k}, state_{k}, options[1])" if made_of.gradient_at else f"theta_{k}"
            lines.append(f"gradient_{k} = add_weight_decay({at}, gradient_{k}, options[2])")
        if k and made_of.width > 1 and not made_of.fma:
            lines.append(f"gradient_{k} = wait_for(gradient_{k}, theta_{k - 1})")
        options = "options[1]" if decays else f"({made_of.options_without_decay})"
        lines.append(f"theta_{k}, state_{k} = rule(theta_{k}, state_{k}, gradient_{k}, lr, known, {options})")
    if made_of.needs_loss:
        gradient += " loss,"
    if made_of.per_sample:
        factors = "derivatives[#], slope" if weights else "slope, derivatives[#]"
        descend = f"({listed(f'per_sample_step(theta[#], {factors}, lr)', params)}), state"
    else:
        terms = listed("slope * derivatives[#]", params) + _loss(made_of, "options[0]")
        descend = f"update(theta, state, ({terms}), lr, options)"
    return [
        written(
            "update(theta, state, gradient, lr, options)",
            f"{theta} = theta",
            f"{state} clock, = state",
            f"{gradient} = gradient",
            *lines,
            f"return ({theta}), ({state} clock,)",
        ),
        written(
            "descend(theta, state, residual, derivatives, lr, options)",
            f"slope = loss_derivative({arguments_of_loss(made_of, 'options[0]')})",
            f"return {descend}",
        ),
    ]


def options_function(made_of: Ingredients) -> str:
    """Return the text of `read_options`: those of the loss, of the optimizer, and the weight decay."""
    loss, rule = made_of.loss_options, made_of.rule_options
    common = own = made_of.scalar("settings[#]")
    if made_of.options_per_run:
        common, own = made_of.scalar("settings[#, 0]"), made_of.number("read_lane(settings[#], 0, WIDTH)")
    options = f"({listed(common, loss)}), ({listed(own, rule, loss)}), {own.replace('#', str(loss + rule))}"
    return written("read_options(settings)", f"return ({options})")


def _memory(made_of: Ingredients) -> list[str]:
    """Options and the optimizer's state between arrays and tuples: each parameter's slots, then the clock."""
    params, slots, clock = made_of.program.params, made_of.slots, made_of.clock_size
    first = params * slots
    cells = [(f"state[{k}][{s}]", k * slots + s) for k in range(params) for s in range(slots)]
    clocks = [(f"state[{params}][{s}]", first + s) for s in range(clock)]
    if made_of.width == 1:
        slot, shared = made_of.number("memory[#]"), made_of.scalar("memory[#]")
        stores = [f"memory[{cell}] = {value}" for value, cell in cells + clocks]
    else:
        slot, shared = made_of.number("read_lane(memory[#], 0, WIDTH)"), made_of.scalar("memory[#, 0]")
        stores = [f"write_lane({value}, memory[{cell}], 0)" for value, cell in cells]
        if made_of.options_per_run:  # and so is the clock that they advance
            shared = slot
            stores += [f"write_lane({value}, memory[{cell}], 0)" for value, cell in clocks]
        else:
            stores += [f"write_lane(broadcast({value}, WIDTH), memory[{cell}], 0)" for value, cell in clocks]
    states = "".join(f"({listed(slot, slots, k * slots)}), " for k in range(params))
    return [
        options_function(made_of),
        written("read_state(memory, scratch)", f"return ({states}({listed(shared, clock, first)}),)"),
        written("write_state(memory, state)", *(stores or ["pass"])),
    ]


def _lanes(made_of: Ingredients) -> list[str]:
    """Parameters between arrays and lanes, the -0.0 that sums begin with, and runs between lanes and parts of them."""
    params = made_of.program.params
    width, sums = made_of.width, params + made_of.needs_loss
    theta = made_of.number("read_lane(params[#], 0, WIDTH)")
    zero = made_of.number("-0.0")
    if width > 1:
        zero = f"broadcast({zero}, PART)"

    def stored(value: str, count: int) -> list[str]:
        return [f"write_lane({value}[{k}], cells, {k * width} + first)" for k in range(count)]

    def read(count: int, size: str, place: str = "") -> str:
        return "".join(f"{made_of.number(f'read_lane(cells, {k * width}{place}, {size})')}, " for k in range(count))

    in_parts = [
        written("read_point(cells, first)", f"return ({read(params, 'PART', ' + first')})"),
        written("write_point(cells, first, theta)", *stored("theta", params)),
        written("read_points(cells)", f"return ({read(params, 'WIDTH')})"),
        *(
            function
            for name, count in (("gradient", sums), ("recorded", 1))
            for function in (
                written(f"write_{name}_sum(cells, first, total)", *stored("total", count)),
                written(f"read_{name}_sum(cells)", f"return ({read(count, 'WIDTH')})"),
            )
        ),
    ]
    return [
        written("start_from(trajectory, mark, scratch)", "return load(trajectory, mark, theta_zeros())"),
        written("keep(trajectory, mark, theta)", "store(trajectory, mark, theta)", "return all_finite(theta)"),
        written("read_theta(params)", f"return ({listed(theta, params)})"),
        written("write_theta(params, theta)", *(f"write_lane(theta[{k}], params[{k}], 0)" for k in range(params))),
        written("theta_zeros()", f"return ({listed(zero, params)})"),
        written("gradient_zeros()", f"return ({listed(zero, sums)})"),
        written("recorded_zeros()", f"return ({listed(zero, 1)})"),
        *(in_parts if made_of.moves_by_register or min(made_of.part, made_of.recorded_part) < width else []),
    ]


def written(signature: str, *lines: str) -> str:
    """Return the text of a function."""
    return f"def {signature}:\n" + "".join(f"    {line}\n" for line in lines)


def listed(form: str, size: int, first: int = 0) -> str:
    """`form` for first..first+size-1, as the inside of a tuple."""
    return "".join(form.replace("#", str(k)) + ", " for k in range(first, first + size)).rstrip()
