"""Operation counts of a training run: the model's program, the loss and the rule are called with symbols.

The counts are lower bounds. Only operations on numbers that differ from run to run and from sample to sample count: the
others are scalars beside the vectors, or computed once for all samples. Equal subexpressions count once. Signs,
absolute values, comparisons, minima and multiplications by 1 or 2 are free, and a division by a constant counts as a
multiplication, because a compiler may replace or remove the instruction. Of the functions, exp counts as lanes compute
it in AVX-512 registers, and others are refused, because their operations are not counted; in models with vectors, whose
products dominate the time, functions are free.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from sgdbench.kernels.compile.kinds import doubles_in_register
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.network import Network
from sgdbench.kernels.model.program import EXACT_FUNCTIONS, numpy_function
from sgdbench.kernels.model.symbol import Symbol
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.optimizers.optimizer import add_weight_decay
from sgdbench.kernels.simd.vector import REGISTER
from sgdbench.timing.peers.arrays import run_layers, split_params
from sgdbench.timing.problem import Problem, UnavailableError

OPERATION_KINDS = {"add": "add", "subtract": "add", "multiply": "multiply", "divide": "divide", "sqrt": "sqrt"}
"""The kinds of operations that are counted, by the functions that they are."""
FUNCTION_OPERATIONS = {"exp": Counter(fma=9, add=1, multiply=1)}
"""The counted operations of `sgdbench.kernels.simd.exp.exp_avx512`; it looks up, compares and scales besides."""
ORDERED_FUNCTIONS = {"divide", "where", "less", "less_equal", "power"}
# With more weights, counting takes seconds.
MAX_PARAMS = 20_000


class Node(NamedTuple):
    """A number in an update, which may differ from run to run and from sample to sample.

    `kind` is the category of the operation that computes it, empty if it is free; `operands` are the nodes that it is
    computed from.
    """

    kind: str
    operands: tuple[int, ...]
    by_run: bool
    by_sample: bool


class Tape:
    """The nodes of an update, each after its operands."""

    def __init__(self, *, all_functions: bool = False) -> None:
        self.all_functions = all_functions
        self.nodes: list[Node] = []
        self._known: dict[tuple[str, ...], int] = {}

    def symbol(self, *, by_run: bool = False, by_sample: bool = False) -> Symbol:
        """Return a given number: a parameter, an input, a rate."""
        return self._append(Node("", (), by_run, by_sample))

    def symbols(self, count: int, *, by_run: bool = False, by_sample: bool = False) -> list[Symbol]:
        """Return several given numbers."""
        return [self.symbol(by_run=by_run, by_sample=by_sample) for _ in range(count)]

    def apply(self, function: str, operands: Sequence[Any]) -> Any:
        """Return an elementwise function of symbols and numbers, by its name in programs."""
        if not any(isinstance(one, Symbol) for one in operands):
            return numpy_function(function)(*operands)
        places = [one.number if isinstance(one, Symbol) else float(one) for one in operands]
        return Symbol(self, self.append(function, places))

    def append(self, function: str, operands: Sequence[int | float]) -> int:
        """Return the node of an operation on nodes and constants, as a `Symbol` requests it.

        Functions such as exp raise an UnavailableError, or with `all_functions` are free.
        """
        function = {"pow": "power"}.get(function, function.removeprefix("np."))
        made_of = tuple(one for one in operands if isinstance(one, int))
        numbers = [abs(one) for one in operands if isinstance(one, float)]
        if function == "power" and operands[1:] == [2.0]:
            return self.append("multiply", (operands[0], operands[0]))
        if (function, numbers) in (("negative", []), ("add", [0]), ("subtract", [0]), ("multiply", [1])):
            return made_of[0]
        texts = [repr(one) for one in operands]
        key = (function, *(texts if function in ORDERED_FUNCTIONS else sorted(texts)))
        if key not in self._known:
            by_run, by_sample = (any(getattr(self.nodes[node], name) for node in made_of) for name in Node._fields[2:])
            kind = ""
            if by_run and by_sample:
                counted = function in FUNCTION_OPERATIONS and doubles_in_register() == REGISTER
                if not (function in EXACT_FUNCTIONS or counted or self.all_functions):
                    raise UnavailableError(f"the operations of {function} are not counted")
                kind = "" if (function, numbers) == ("multiply", [2]) else OPERATION_KINDS.get(function, "")
                if counted and not self.all_functions:
                    kind = function
                if function == "divide" and isinstance(operands[1], float):
                    kind = "multiply"
            self._known[key] = self._append(Node(kind, made_of, by_run, by_sample)).number
        return self._known[key]

    def count(self, outputs: Iterable[Any], *, fma: bool) -> Counter[str]:
        """Return the minimal number of operations of each kind that the outputs need, if they may be fused.

        An addition absorbs one multiplication whose product only additions need.
        """
        ends = [one.number for one in outputs if isinstance(one, Symbol)]
        needed = set(ends)
        for node in reversed(range(len(self.nodes))):
            if node in needed:
                needed.update(self.nodes[node].operands)
        kinds = Counter(self.nodes[node].kind for node in needed if self.nodes[node].kind)
        if fma:
            elsewhere = {
                operand for node in needed if self.nodes[node].kind != "add" for operand in self.nodes[node].operands
            }
            products = {node for node in needed if self.nodes[node].kind == "multiply"} - elsewhere - set(ends)
            sums = [node for node in needed if self.nodes[node].kind == "add"]
            fused = min(len(products), sum(not products.isdisjoint(self.nodes[node].operands) for node in sums))
            kinds = kinds - Counter(add=fused, multiply=fused) + Counter(fma=fused)
        for function, operations in FUNCTION_OPERATIONS.items():
            for _ in range(kinds.pop(function, 0)):
                kinds += operations
        return kinds

    def chain(self, start: Symbol, end: Symbol, *, fma: bool) -> tuple[str, ...]:
        """Return the longest chain of operations between two numbers, minimized over the possible fusions."""
        chains: dict[int, tuple[str, ...]] = {start.number: ()}
        for place, node in enumerate(self.nodes):
            before = [chains[operand] for operand in node.operands if operand in chains]
            if before:
                steps = (node.kind,) if node.kind else ()
                fused = fma and steps == ("add",)
                chains[place] = max(
                    ((*one[:-1], "fma") if fused and one[-1:] == ("multiply",) else one + steps for one in before),
                    key=len,
                )
        return chains.get(end.number, ())

    def _append(self, node: Node) -> Symbol:
        self.nodes.append(node)
        return Symbol(self, len(self.nodes) - 1)


def count_sections(problem: Problem, *, fma: bool, losses: bool) -> list[tuple[Counter[str], int]]:
    """Return the arithmetic of one run: of its updates, of the samples of a batch, and of the losses after each epoch.

    Each has the number of operations of each kind, and how many times the run repeats them. With `fma`, a
    multiplication and an addition may be one operation; with `losses`, losses are computed from all samples. Functions
    such as exp, whose operations are not counted, raise an UnavailableError.
    """
    updates, size, params = problem.updates // problem.runs, problem.batch_size, len(problem.model.params)
    tape, _, outputs = trace_update(problem)
    update = tape.count(outputs, fma=fma)
    sections = [(update, updates)]
    if size > 1:
        tape = _start_tape(problem)
        terms = _terms(problem, tape.symbols(params, by_run=True))
        totals = [tape.symbol(by_run=True, by_sample=True) + term for term in terms]
        alone, added = tape.count(terms, fma=fma), tape.count(totals, fma=fma)
        sections = [(update + alone, updates), (added, updates * (size - 1))]
    if losses:
        tape = _start_tape(problem)
        recorded = _evaluate(problem, tape.symbols(params, by_run=True)).recorded()
        total = tape.symbol(by_run=True, by_sample=True) + recorded
        sections.append((tape.count([total], fma=fma), (problem.epochs + 1) * problem.y.size))
    return sections


def longest_chain(problem: Problem, *, fma: bool) -> tuple[str, ...]:
    """Return the kinds of the longest chain of operations from a number to itself, one update later.

    A single run calls a library for functions such as exp, which raises an UnavailableError.
    """
    tape, before, after = trace_update(problem)
    for node in tape.nodes:
        if node.kind in FUNCTION_OPERATIONS:
            raise UnavailableError(f"the operations of {node.kind} are not counted")
    return max((tape.chain(*ends, fma=fma) for ends in zip(before, after, strict=True)), key=len)


def trace_update(problem: Problem) -> tuple[Tape, list[Symbol], list[Any]]:
    """Return an update, from one sample or from the sums over a batch.

    The two lists are the parameters, followed by the optimizer's slots of each, before the update and after it.
    """
    optimizer, params, tape = make_optimizer(problem.optimizer), len(problem.model.params), _start_tape(problem)
    theta = tape.symbols(params, by_run=True, by_sample=True)
    slots = [tuple(tape.symbols(optimizer.slots, by_run=True, by_sample=True)) for _ in theta]
    clock = tuple(tape.symbols(len(optimizer.clock_start), by_sample=True))
    lr, options = tape.symbol(by_run=True), tuple(optimizer.options.values())
    point = theta
    if optimizer.gradient_at:
        point = [optimizer.gradient_at(*own, options) for own in zip(theta, slots, strict=True)]
    if problem.batch_size == 1 and optimizer.per_sample:
        factors = _evaluate(problem, point).factors
        moved = [optimizer.per_sample(one, *pair, lr) for one, pair in zip(theta, factors, strict=True)]
        return tape, theta, moved
    if problem.batch_size == 1:
        gradient = _terms(problem, point)
    else:
        sums, part = tape.symbols(params + optimizer.needs_loss, by_run=True, by_sample=True), tape.symbol()
        gradient = [total * part for total in sums]
    if optimizer.needs_loss:
        clock = (*clock, gradient.pop())
    if optimizer.needs_norm:
        clock = (*clock, sum((one * one for one in gradient[1:]), start=gradient[0] * gradient[0]))
    if optimizer.weight_decay:
        decay, network = optimizer.weight_decay, problem.model.network
        weights = np.ones(params, np.bool_) if network is None else network.weights
        gradient = [
            add_weight_decay(one, by, decay) if is_weight else by
            for one, by, is_weight in zip(point, gradient, weights, strict=True)
        ]
    updated = [optimizer.rule(*own, lr, clock, options) for own in zip(theta, slots, gradient, strict=True)]
    after, new_slots = zip(*updated, strict=True)
    return tape, [*theta, *chain.from_iterable(slots)], [*after, *chain.from_iterable(new_slots)]


def _start_tape(problem: Problem) -> Tape:
    if len(problem.model.params) > MAX_PARAMS:
        raise UnavailableError(f"the operations of more than {MAX_PARAMS:,} parameters are not counted")
    return Tape(all_functions=problem.model.by_row)


class Evaluated(NamedTuple):
    """A sample: functions for its loss and the recorded loss, and per parameter the factors of the gradient."""

    value: Callable[[], Any]
    recorded: Callable[[], Any]
    factors: list[tuple[Any, Any]]


def _terms(problem: Problem, theta: Sequence[Any]) -> list[Any]:
    """Return the terms of the sums over a batch: the gradient of a sample, and its loss if the rule needs it."""
    traced = _evaluate(problem, theta)
    terms = [one * other for one, other in traced.factors]
    return [*terms, traced.value()] if make_optimizer(problem.optimizer).needs_loss else terms


def _evaluate(problem: Problem, theta: Sequence[Any]) -> Evaluated:
    loss, tape, program = make_loss(problem.loss), theta[0].tape, problem.model.program
    if isinstance(program, Network):
        return _evaluate_layers(problem, program, theta)
    if loss.by_class:
        raise UnavailableError(f"the operations of {loss.name} are not counted")
    x, y = tape.symbols(program.inputs, by_sample=True), tape.symbol(by_sample=True)
    values = [*theta, *x, y if loss.of_residual else 0.0, *program.constants]
    for function, operands in program.instructions:
        values.append(tape.apply(function, [values[operand] for operand in operands]))
    loss_arguments = _arguments(loss, values[program.residual], y)
    slope = loss.derivative(*loss_arguments)
    factors = [(slope, values[derivative]) for derivative in program.derivatives]
    if program.weights:
        factors = [(derivative, slope) for _, derivative in factors]
    return Evaluated(lambda: loss.value(*loss_arguments), lambda: loss.recorded(loss_arguments), factors)


def _arguments(loss: Loss, prediction: Any, y: Any) -> tuple[Any, ...]:
    options = tuple(loss.options.values())
    return (prediction, options) if loss.of_residual else (prediction, y, options)


class _Functions:
    """Functions of arrays of symbols, by NumPy's names."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape

    def __getattr__(self, name: str) -> Any:
        return np.vectorize(lambda *operands: self.tape.apply(name, operands), otypes=[object])


def _evaluate_layers(problem: Problem, network: Network, theta: Sequence[Any]) -> Evaluated:
    """Return the loss and the gradient of one sample of a model with vectors, from arrays of symbols."""
    loss, tape = make_loss(problem.loss), theta[0].tape
    x, y = np.array(tape.symbols(network.inputs, by_sample=True))[:, np.newaxis], tape.symbol(by_sample=True)
    parts, target = split_params(network, np.array([theta])), np.array([y]) if loss.of_residual else 0.0
    layer_scores, go_back = run_layers(network, _Functions(tape), parts, x, target)
    scores = layer_scores.ravel().tolist()
    if loss.by_class:
        top = tape.symbol(by_run=True, by_sample=True)
        powers = [tape.apply("exp", [score - top]) for score in scores]
        total = sum(powers[1:], start=powers[0])
        inverse = tape.apply("reciprocal", [total])
        slopes = [power * inverse for power in powers]
    else:
        loss_arguments = _arguments(loss, scores[0], y)
        slopes = [loss.derivative(*loss_arguments)]

    def value() -> Any:
        return tape.apply("log", [total]) - scores[0] if loss.by_class else loss.value(*loss_arguments)

    def recorded() -> Any:
        return value() if loss.by_class else loss.recorded(loss_arguments)

    factors: list[Any] = [None] * network.params
    places = split_params(network, np.arange(network.params)[np.newaxis])
    for place, (slope, source) in zip(places, go_back(np.array(slopes).reshape(layer_scores.shape)), strict=True):
        inputs = np.ones(1) if source is None else source.ravel()
        for own, by in zip(place[0], slope.ravel(), strict=True):
            for parameter, given_to in zip(own, inputs, strict=True):
                factors[parameter] = given_to, by
    return Evaluated(value, recorded, factors)
