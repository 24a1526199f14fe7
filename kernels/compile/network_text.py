"""The text of the kernel of a model with vectors: one readable module that serves vectors of any length.

Numbers of a run lie in flat arrays, and sizes are read from the layout of the network. What a unit computes, and the
update of a weight, are straight-line code of the operations that models, losses and rules leave on a tape; the loops
around them are the templates. The weights of a dot are updated from sample i in the pass that takes the dot with sample
i + 1, so that weights that do not fit the first cache are read once for each sample. A gradient of a batch is summed
over the samples of eight weights (of runs side by side: four) at a time.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from kernels.base.run import BUFFERS, allocate_buffers
from kernels.compile.names import KernelText, Numbers, fixed_numbers, label, numbered, text_of, with_plain_functions
from kernels.compile.spec import KernelSpec
from kernels.compile.templates import fill, indented, packed
from kernels.model.network import HIDDEN, SCALAR, Network, Structure
from kernels.model.program import check_program
from kernels.optimizers.optimizer import add_weight_decay
from kernels.optimizers.run_options import option_values
from kernels.tape.symbol import Symbol
from kernels.tape.tape import Tape

FIRST_CACHE = 40 * 1024
"""The bytes of weights that the first cache of a core holds beside the samples."""
ROW = "i"


def network_text(spec: KernelSpec) -> str:
    """Return the text of a kernel's functions."""
    return _Kernel(spec).text()


class _Layer:
    """A layer, and the texts of its sizes and places.

    Its `program` has each derivative once: symbols that are added have the same one, and share a term.
    """

    def __init__(self, structure: Structure, start: int, prefix: str = "") -> None:
        self.many, self.sources, self.prefix = structure.many, structure.sources, prefix
        program = check_program(structure.program)
        self.derivatives = program.derivatives
        self.program = program._replace(derivatives=tuple(dict.fromkeys(program.derivatives)))
        self.parts = len(self.program.derivatives)
        self.dots = [place for place, source in enumerate(self.sources) if source >= 0]
        # Dots come last: the next sample finds them in registers.
        self.symbols = sorted(range(len(self.sources)), key=lambda symbol: self.sources[symbol])
        self.sizes = {f"{prefix}units": f"counts[LAYOUT + {start}]"}
        for symbol in range(len(self.sources)):
            at = start + 1 + 4 * symbol
            for place, name in enumerate(("first", "size", "source")):
                self.sizes[f"{prefix}{name}_{symbol}"] = f"counts[LAYOUT + {at + place}]"
            self.sizes[f"{prefix}order_{symbol}"] = f"LAYOUT + counts[LAYOUT + {at + 3}]"
        self.stop = start + 1 + 4 * len(self.sources)
        for number in range(program.inputs):
            self.sizes[f"{prefix}column_{number}"] = f"counts[LAYOUT + {self.stop}]"
            self.stop += 1

    def name(self, what: str, symbol: int) -> str:
        """Return the name of a size of a symbol."""
        return f"{self.prefix}{what}_{symbol}"

    def first(self, symbol: int) -> str:
        """Return the first parameter of a symbol of unit k."""
        step = "k" if self.sources[symbol] == SCALAR else f"k * {self.name('size', symbol)}"
        return self.name("first", symbol) + (f" + {step}" if self.many else "")

    def part(self, symbol: int) -> int:
        """Return which of the derivatives is that by a symbol."""
        return self.program.derivatives.index(self.derivatives[symbol])

    def is_one(self, part: int) -> bool:
        """Return whether a derivative is 1 at every sample."""
        return self.program.is_one(self.program.derivatives[part])

    def loop(self, lines: Sequence[str]) -> list[str]:
        """Return lines for all units."""
        return [f"for k in range({self.prefix}units):", *indented(lines)] if self.many else list(lines)


class _Update(NamedTuple):
    """The update of a parameter: lines that are the same for all, those of each, and the numbers that it gives.

    `same` has the slots that are the same for all parameters.
    """

    before: list[str]
    lines: list[str]
    theta: str
    slots: list[str]
    point: str
    same: set[int]


def standalone_network_text(spec: KernelSpec) -> str:
    """Return a module with the kernel of one run that needs NumPy and numba alone."""
    return _Kernel(spec, plain=True).standalone()


class _Kernel(KernelText):
    """The functions of a kernel.

    A `plain` one is that of runs side by side with a single run, which has no vectors.
    """

    def __init__(self, spec: KernelSpec, *, plain: bool = False) -> None:
        super().__init__(spec)
        self.lanes = self.lanes or plain
        network = spec.model.program
        assert isinstance(network, Network)  # noqa: S101 (for the type)
        self.layers, start = list[_Layer](), 3
        for structure in network.structure:
            hidden = len(self.layers) + 1 < len(network.structure)
            self.layers.append(_Layer(structure, start, "hidden_" if hidden else ""))
            start = self.layers[-1].stop
        self.last = self.layers[-1]
        # The dots and the derivatives of the only unit stay in variables.
        self.alone = len(self.layers) == 1 and not self.last.many
        self.decays = bool(self.rule.weight_decay or self.rule.decay_options)
        self.slots = [f"slot_{s}" for s in range(self.rule.slots)]
        self.zero = self.number("-0.0")
        if self.width > 1:
            self.zero = f"broadcast({self.zero}, {self.width})"
        self.sizes = {"params": "counts[LAYOUT]", "inputs": "counts[LAYOUT + 1]", "sample_terms": "counts[LAYOUT + 2]"}
        for layer in self.layers:
            self.sizes |= layer.sizes
        self.sizes |= {name: f"buffers[{place}]" for place, name in enumerate(BUFFERS)}
        self.outside = ["lr", *self.clock, "loss", "norm", *self.settings]
        self.more: dict[str, str] = {}

    def text(self) -> str:
        """Return all functions, each behind those that it calls."""
        points = [False, True] if self.rule.gradient_at else [False]
        parts = [self.dots_of_samples(point=point) for point in points]
        if len(self.layers) > 1:
            parts += [self.dot_of_hidden(point=point) for point in points]
        if self.alone and not self.lanes:
            parts.append(self.dots_of_eight())
        if self.last.many:
            parts.append(self.softmax())
        parts.append(self.sum_of_numbers())
        if not self.alone:
            parts += [self.sample("loss_of_sample"), self.sample("gradient_of_sample")]
        parts.append(self.loss_sum())
        if not self.rule.needs_norm:
            parts += [self.learn(), self.train_samples()]
        parts += self.sums_of_gradients()
        parts.append(self.gradient_sum())
        parts += [self.step_by_gradient(decays=decays) for decays in ([True, False] if self.decays else [True])]
        return "\n\n".join([*parts, self.train_batches(), self.kernel()])

    def standalone(self) -> str:
        """Return a module that needs NumPy and numba alone."""
        network, rule, model = self.spec.model.program, self.rule, self.spec.model
        assert isinstance(network, Network)  # noqa: S101 (for the type)
        text = with_plain_functions(self.text())
        slots = ["theta" if start is None else f"np.full(theta.size, {start!r})" for start in rule.all_slots_start]
        cells = ["theta", *([f"np.stack([{', '.join(slots)}], axis=1).ravel()"] if slots else [])]
        cells += [repr(list(rule.clock_start))] if rule.clock_start else []
        units = network.layers[0].units, network.scores, network.dots
        sizes = [repr(one.size) for one in allocate_buffers(network.layout, *units, rule.slots, 1, 1, "float64")]
        sizes[BUFFERS.index("gradients")] = "(3 + max(0, math.ceil(math.log2(n / 128)))) * (theta.size + 1)"
        values = option_values(self.loss, rule)[: len(self.settings)].tolist()
        return fill(
            "standalone_network",
            title=f"{model.expression}: {self.spec.optimizer.text} with the loss {self.spec.loss.text}.",
            kernel=self.spec.kernel,
            compiler=repr({"error_model": "numpy"} | ({"fastmath": {"contract"}} if self.spec.fma else {})),
            layout=repr(network.layout.tolist()),
            options=packed(map(repr, values)),
            option_names=", ".join(self.settings) or "none",
            functions=text.splitlines(),
            inputs=str(network.inputs),
            params=str(network.params),
            param_names=f"{model.params[0]}, ..., {model.params[-1]}",
            cells=", ".join(cells),
            sizes=", ".join(sizes),
        )

    # Functions, and calls of them

    def function(self, which: str, name: str, local: str = "", **parts: Any) -> str:
        """Return a function from a template; its sizes and its arguments from outside are those that it uses."""
        text = re.sub(r'""".*?"""|#[^\n]*', "", fill(which, name=name, sizes=(), more="", **parts), flags=re.DOTALL)
        head, _, body = text.partition("):\n")
        used = set(re.findall(r"[A-Za-z_]\w*", body)) - set(re.findall(r"\w+", head)) - set(local.split())
        self.more[name] = ", ".join([*(one for one in self.outside if one in used), "counts", "buffers"])
        sizes = [f"{one} = {value}" for one, value in self.sizes.items() if one in used]
        return fill(which, name=name, sizes=sizes, more=self.more[name], **parts)

    def call(self, name: str, *own: str) -> str:
        """Return the text of a call of a function that is written already."""
        return f"{name}({', '.join([*own, self.more[name]])})"

    def at_point(self, name: str, *, point: bool) -> str:
        """Return the name of a function that computes where the gradient is taken, or with theta."""
        return f"{name}_at_point" if point and self.rule.gradient_at else name

    # Numbers in flat arrays

    def get(self, cells: str, place: str, wide: int = 0) -> str:
        """Return the text that reads a number of a run, or of eight weights of it; or a lane of many runs."""
        if wide:
            return f"read_lane({cells}, {place}, {wide})"
        return self.load(cells, times(place, self.width), self.width)

    def put(self, value: str, cells: str, place: str, *, same: bool = False, wide: int = 0) -> str:
        """Return the line that writes a number; one that may be the `same` for all runs or weights is repeated."""
        size = wide or self.width
        value = f"broadcast({value}, {size})" if same and size > 1 else value
        return self.store(value, cells, place if wide else times(place, self.width), size)

    def slot(self, place: str, slot: int) -> str:
        """Return where a slot of a parameter is: of one run, those of all parameters lie one after the other."""
        if self.lanes:
            return f"params + {times(place, self.rule.slots)}" + (f" + {slot}" if slot else "")
        return f"{place} + params" if slot == 0 else f"{place} + {slot + 1} * params"

    def input(self, place: str) -> str:
        """Return the text that reads an input."""
        return self.number(f"x[{place}]")

    # Updates

    def update(self, *, weight: bool, sample: bool) -> _Update:
        """Return the update of a weight or of a scalar, from a sample or by a mean gradient."""
        rule, tape = self.rule, Tape()
        lr, t = self.names(tape, ["lr", "t"])
        own: tuple[Any, ...] = tuple(self.names(tape, self.slots))
        options: tuple[Any, ...] = tuple(self.names(tape, self.options))
        # From a sample, s is the derivative of the loss by the dot, or by a scalar.
        s, factor, total, share = self.names(tape, ["s", "input", "total", "share"])
        if sample and rule.per_sample:
            new, kept = rule.per_sample(t, factor if weight else 1.0, s, lr), own
        else:
            gradient = (s * factor if weight else s) if sample else share * total
            label(gradient, "gradient")
            if weight and rule.weight_decay:
                at = rule.gradient_at(t, own, options) if rule.gradient_at else t
                gradient = add_weight_decay(at, gradient, *self.names(tape, ["weight_decay"]))
            if not weight:
                options = tuple(0.0 if k in rule.decay_options else one for k, one in enumerate(options))
            facts = ["loss"] * rule.needs_loss + ["norm"] * rule.needs_norm
            new, kept = rule.rule(t, own, gradient, lr, tuple(self.names(tape, [*self.clock, *facts])), options)
        kept = tuple(label(one, f"new_{name}") for one, name in zip(kept, self.slots, strict=True))
        point = (
            label(rule.gradient_at(label(new, "moved"), kept, self.option_symbols(tape)), "point")
            if rule.gradient_at
            else label(new, "moved")
        )
        outputs = places([new, *kept, point])
        fixed = fixed_numbers(tape, [*self.settings, *self.clock, "lr", "s", "share", "loss", "norm"])
        varying = tape.depends(tape.given(name) for name in ["t", *self.slots, "input", "total"])
        if self.lanes:
            shared = [] if self.spec.own_options else [*self.settings, *self.clock]
            varying = set(range(len(tape.operations))) - self.shared(tape, shared)
        needed = tape.needed(outputs)
        used = {
            one
            for place in needed
            if place not in fixed
            for one in tape.operations[place].operands
            if isinstance(one, int)
        }
        used |= {one for one in outputs if isinstance(one, int)}
        before = frozenset(one for one in used & fixed if tape.operations[one].function != "given")
        hoisted, _ = tape.lines(sorted(before))
        lines, results = tape.lines(outputs, before)
        both = numbered([*hoisted, *lines, *results])
        lines, results = both[len(hoisted) : len(hoisted) + len(lines)], both[len(hoisted) + len(lines) :]
        same = {k for k, one in enumerate(outputs[1:-1]) if not (isinstance(one, int) and one in varying)}
        return _Update(both[: len(hoisted)], lines, results[0], results[1:-1], results[-1], same)

    def option_symbols(self, tape: Tape) -> tuple[Any, ...]:
        """Return the options as symbols."""
        return tuple(self.names(tape, self.options))

    @staticmethod
    def shared(tape: Tape, names: Sequence[str]) -> set[int]:
        """Return the places of the numbers that all runs side by side share."""
        return fixed_numbers(tape, names)

    def updated(self, update: _Update, place: str, *, wide: int = 0, **read: str) -> list[str]:
        """Return the lines that update a parameter, or eight of one run; `read` has texts of what the rule is given."""
        written = [(result, slot) for slot, result in enumerate(update.slots) if result != self.slots[slot]]
        reads = {"t": self.get("theta", place, wide)}
        reads |= {name: self.get("theta", self.slot(place, slot), wide) for slot, name in enumerate(self.slots)} | read
        return [
            *used_reads(reads, [*update.lines, update.theta, update.point, *(result for result, _ in written)]),
            *update.lines,
            *(
                self.put(result, "theta", self.slot(place, slot), same=slot in update.same, wide=wide)
                for result, slot in written
            ),
            self.put(update.theta, "theta", place, wide=wide),
        ]

    def parameter(self, place: str, name: str, *, point: bool, wide: int = 0) -> tuple[list[str], str]:
        """Return the lines that read a parameter, or eight, and its text: as it is, or where the gradient is taken."""
        if not (point and self.rule.gradient_at):
            return [], self.get("theta", place, wide)
        tape = Tape()
        (t,) = self.names(tape, ["t"])
        at = label(self.rule.gradient_at(t, tuple(self.names(tape, self.slots)), self.option_symbols(tape)), name)
        lines, (result,) = text_of(tape, [at])
        reads = {"t": self.get("theta", place, wide)}
        reads |= {slot: self.get("theta", self.slot(place, k), wide) for k, slot in enumerate(self.slots)}
        return [*used_reads(reads, [*lines, result]), *numbered(lines)], result

    # Dots

    def leaves(self, leaf: str, totals: Sequence[str], *, wide: bool = False, back: str = "") -> list[str]:
        """Return the lines that add up dots leaf by leaf."""
        count = len(totals)
        joins, keeps = [], []
        for j, total in enumerate(totals):
            before, here = (
                ("(waiting - 1)", "waiting")
                if count == 1
                else (f"{count} * (waiting - 1) + {j}", f"{count} * waiting + {j}")
            )
            if wide:
                before, here = "8 * (waiting - 1)", "8 * waiting"
            size = 8 if wide else 0
            joins.append(f"{total} = {self.get('stack', before, size)} + {total}")
            keeps.append((self.put(total, "stack", before, wide=size), self.put(total, "stack", here, wide=size)))
        # The sum of two waits for the next one in the place of the first.
        begin = ["start, waiting, length, begin = 0, 0, counts[order + 1], order + 2"]
        if back:
            begin = [
                "size, length = counts[order], counts[order + 1]",
                f"back = {back}",
                "start, waiting, begin = back * size, 0, order + 2 + back * length",
            ]
        return fill(
            "leaves",
            begin=[*begin, *self.zeros_of(totals)],
            back=["start -= back * leaf"] if back else [],
            forth=["start += (1 - back) * leaf" if back else "start += leaf"],
            join=[*joins, *(keep for keep, _ in keeps)],
            keep=[keep for _, keep in keeps],
            leaf=leaf.splitlines(),
        ).splitlines()

    def zeros_of(self, totals: Sequence[str]) -> list[str]:
        """Return the lines that start sums."""
        return [f"{total} = zero" for total in totals]

    def leaf_of_one_run(self, rows: Sequence[str], *, point: bool) -> str:
        """Return the leaf of the dots with the inputs of some samples, whose sums are lanes of eight."""
        many = range(len(rows))

        def read(place: str, wide: int) -> tuple[list[str], str]:
            lines, text = self.parameter(place, "weight", point=point, wide=wide)
            return [*lines, *([] if text == "weight" else [f"weight = {text}"])], "weight"

        def sums(at: str, *, first: bool) -> list[str]:
            lines, text = read(f"first + {at}", 8)
            return [
                *lines,
                *(
                    f"sums_{j} = {'' if first else f'sums_{j} + '}{text} * read_lane(x, {rows[j]} + {at}, 8)"
                    for j in many
                ),
            ]

        lines, text = read("first + f", 0)
        if len(rows) == 8:
            totals = ["total"]
            add_up = f"total = sum_each({packed(f'sums_{j}' for j in many)})"
            one = [*lines, f"total = total + {text} * read_spaced(x, at + f, apart, 8)"]
        else:
            totals = [f"total_{j}" for j in many]
            add_up = f"{', '.join(totals)} = sum_lanes({packed(f'sums_{j}' for j in many)})"
            one = [*lines, *(f"total_{j} = total_{j} + {text} * {self.input(f'{rows[j]} + f')}" for j in many)]
        return fill(
            "leaf_of_one_run",
            fresh=self.zeros_of(totals),
            first=sums("start", first=True),
            next=sums("f", first=False),
            add_up=[add_up],
            one=one,
        )

    def dots_of_samples(self, *, point: bool) -> str:
        """Return the dots of several samples."""
        rows, totals = [f"row_{j}" for j in range(4)], [f"total_{j}" for j in range(4)]
        if self.lanes:
            lines, text = self.parameter("first + f", "weight", point=point)
            given = [*lines, *([] if text == "weight" else [f"weight = {text}"])]
            products = [f"weight * {self.input(f'{row} + f')}" for row in rows]
            leaf = self.sums_of(given, products, index="f", begin="start", whole="whole", stop="stop")
        else:
            leaf = self.leaf_of_one_run(rows, point=point)
        return self.function(
            "dots_of_samples",
            self.at_point("dots_of_samples", point=point),
            zero=self.zero,
            rows=[
                f"row_{j} = counts[{'row + j' if j == 0 else f'min(row + j + {j}, last)'}] + source" for j in range(4)
            ],
            leaves=self.leaves(leaf, totals),
            write=[self.put(total, "dots", "column + j" + (f" + {j}" if j else "")) for j, total in enumerate(totals)],
        )

    def sums_of(
        self, lines: Sequence[str], products: Sequence[str], *, index: str, begin: str, whole: str, stop: str
    ) -> str:
        """Return the lines that add up products in NumPy's order; of many runs with fused operations, one by one."""
        n = range(len(products))

        def add(to: str, more: str) -> list[str]:
            return [f"{to}_{j} = {to}_{j} + {more}_{j}" for j in n]

        def fresh(name: str) -> list[str]:
            return [f"{name}_{j} = zero" for j in n]

        def terms(to: str, *, first: bool = False) -> list[str]:
            return [*lines, *(f"{to}_{j} = {'' if first else f'{to}_{j} + '}{one}" for j, one in enumerate(products))]

        parts: dict[str, Any] = {
            "i": index,
            "begin": begin,
            "stop": stop,
            "fresh_total": fresh("total"),
            "rest": terms("total"),
        }
        if self.lanes and self.spec.fma:
            return fill("in_order", **parts)
        return fill(
            "eight_sums",
            **parts,
            whole=whole,
            fresh_quarter=fresh("quarter"),
            fresh_pair=fresh("sum"),
            first=terms("single", first=True),
            next=terms("single"),
            add_single=add("sum", "single"),
            add_pair=add("quarter", "sum"),
            add_quarter=add("total", "quarter"),
        )

    def leaf_of_many_runs(self, terms: Any) -> str:
        """Return the leaf of a dot of many runs, four sums at a time, from the lines and the text of a term."""

        def sums(at: str, *, first: bool) -> list[str]:
            found = []
            for j in range(4):
                lines, text = terms(f"{at} + {j}" if j else at)
                found += [*lines, f"sum_{j} = {'' if first else f'sum_{j} + '}{text}"]
            return found

        lines, text = terms("f")
        return fill(
            "leaf_of_many_runs",
            first=sums("half", first=True),
            next=sums("f", first=False),
            one=[*lines, f"total = total + {text}"],
        )

    def dots_of_eight(self) -> str:
        """Return the dots of eight samples of one run."""
        rows = ["at", *(f"row_{j}" for j in range(1, 8))]
        lines = [f"{row} = {before} + apart" for before, row in pairwise(rows)]
        return self.function(
            "dots_of_eight",
            "dots_of_eight",
            zero=f"broadcast({self.number('-0.0')}, 8)",
            rows=lines,
            leaves=self.leaves(self.leaf_of_one_run(rows, point=False), ["total"], wide=True),
        )

    def dot_of_hidden(self, *, point: bool) -> str:
        """Return the dot with the hidden units."""

        def term(f: str) -> tuple[list[str], str]:
            lines, text = self.parameter(f"first + {f}", "weight", point=point)
            return lines, f"{text} * {self.get('hidden', f'at + {f}')}"

        if self.lanes:
            leaf = self.leaf_of_many_runs(term)
        else:

            def sums(f: str, *, first: bool) -> list[str]:
                lines, text = self.parameter(f"first + {f}", "weight", point=point, wide=8)
                return [*lines, f"sums = {'' if first else 'sums + '}{text} * read_lane(hidden, at + {f}, 8)"]

            lines, text = term("f")
            leaf = fill(
                "leaf_of_one_run",
                fresh=["total = zero"],
                first=sums("start", first=True),
                next=sums("f", first=False),
                add_up=["(total,) = sum_lanes((sums,))"],
                one=[*lines, f"total = total + {text}"],
            )
        name = self.at_point("dot_of_hidden", point=point)
        return self.function("dot_of_hidden", name, zero=self.zero, leaves=self.leaves(leaf, ["total"]))

    def learn(self) -> str:
        """Return the update of the weights of a dot, and the dot of the next sample."""
        update = self.update(weight=True, sample=True)
        if self.lanes:

            def term(f: str) -> tuple[list[str], str]:
                lines = self.updated(update, f"first + {f}", input=self.input(f"at + {f}"))
                return lines, f"{update.point} * {self.input(f'after + {f}')}"

            leaf = self.leaf_of_many_runs(term)
        else:

            def sums(f: str, *, first: bool) -> list[str]:
                lines = self.updated(update, f"first + {f}", wide=8, input=f"read_lane(x, at + {f}, 8)")
                return [*lines, f"sums = {'' if first else 'sums + '}{update.point} * read_lane(x, after + {f}, 8)"]

            one = self.updated(update, "first + f", input=self.input("at + f"))
            leaf = fill(
                "leaf_of_one_run",
                fresh=["total = zero"],
                first=sums("start", first=True),
                next=sums("f", first=False),
                add_up=["(total,) = sum_lanes((sums,))"],
                one=[*one, f"total = total + {update.point} * {self.input('after + f')}"],
            )
        # Of the weights of fewer inputs a pass finds all in the first cache.
        most = FIRST_CACHE // (self.width * np.dtype(self.spec.dtype).itemsize * (1 + self.rule.slots))
        back = f"turn if size > {most} else 0" if self.lanes else ""
        return self.function(
            "learn",
            "learn",
            zero=self.zero,
            turn="turn, " if self.lanes else "",
            before=update.before,
            leaves=self.leaves(leaf, ["total"], back=back),
        )

    def take_dots(self, row: str, count: str, *, point: bool) -> list[str]:
        """Return the lines that take the dots of all units with the inputs of some samples."""
        name = self.at_point("dots_of_samples", point=point)
        return [
            self.call(
                name, "theta", "x", row, count, f"{layer.prefix}units",
                *(layer.name(what, symbol) for what in ("first", "source", "order")), self.dot_column(layer, symbol),
            )
            for layer in self.layers for symbol in layer.dots
        ]  # fmt: skip

    def dot_column(self, layer: _Layer, symbol: int) -> str:
        """Return the first place of the dots of a symbol: those of `ROWS` samples of each unit lie side by side."""
        below = [] if layer is self.layers[0] else [(len(self.layers[0].dots), "hidden_units")]
        below.append((layer.dots.index(symbol), f"{layer.prefix}units"))
        counts = [(f"{count} * " if count > 1 else "") + f"ROWS * {units}" for count, units in below if count]
        return " + ".join(counts) or "0"

    def dot_at(self, layer: _Layer, symbol: int, row: str) -> str:
        """Return the place of a dot of unit k with a sample."""
        column = self.dot_column(layer, symbol)
        parts = [column] if column != "0" else []
        parts += ["k * ROWS"] if layer.many else []
        return " + ".join([*parts, row]) if row != "0" or not parts else " + ".join(parts)

    def term(self, layer: _Layer, part: int, row: str) -> str:
        """Return the place of the term of unit k with a derivative, among those of all samples."""
        parts = [] if row == "0" else [f"{row} * sample_terms"]
        parts += [times("hidden_units", self.layers[0].parts)] if layer is not self.layers[0] else []
        parts += [times("k", layer.parts)] if layer.many else []
        parts += [str(part)] if part or not parts else []
        return " + ".join(parts)

    # Values of units, and the derivatives of the loss

    def unit(
        self, layer: _Layer, *, point: bool, row: str, target: bool, eight: bool = False
    ) -> tuple[Tape, list[str], Any, list[Any]]:
        """Return a tape, the lines that read what unit k is computed from, its value and its derivatives."""
        tape, reads, names = Tape(), list[str](), []
        for symbol, source in enumerate(layer.sources):
            name = f"{'scalar' if source == SCALAR else 'dot'}_{symbol}"
            lines: list[str] = []
            if source == SCALAR:
                lines, text = self.parameter(layer.first(symbol), name, point=point)
            elif source == HIDDEN:
                # The units of a sample lie side by side.
                at = "0" if row == "0" else f"{row} * {layer.name('size', symbol)}"
                text = self.call(
                    self.at_point("dot_of_hidden", point=point),
                    "theta",
                    at,
                    layer.first(symbol),
                    layer.name("order", symbol),
                )
            elif eight:
                text = self.call(
                    "dots_of_eight",
                    "theta",
                    "x",
                    f"at + {layer.name('source', symbol)}",
                    "inputs",
                    layer.first(symbol),
                    layer.name("order", symbol),
                )
            elif row == "0" and self.alone:
                text = name
            else:
                text = self.get("dots", self.dot_at(layer, symbol, row if row == "0" else f"{row} % ROWS"))
            reads += [*lines, *([] if text == name else [f"{name} = {text}"])]
            names.append(name)
        for number in range(layer.program.inputs):
            at = f"at + {layer.prefix}column_{number}"
            reads.append(f"x_{number} = " + (f"read_spaced(x, {at}, inputs, 8)" if eight else self.input(at)))
            names.append(f"x_{number}")
        y = self.names(tape, ["y"])[0] if target else 0.0
        values = self.run(tape, layer.program, [*self.names(tape, names), y])
        return tape, reads, values[layer.program.residual], [values[one] for one in layer.program.derivatives]

    def only_unit(self, *, gradient: bool, row: str, eight: bool = False) -> tuple[list[str], list[str]]:
        """Return the lines that compute the loss of the only unit of the last layer, or its terms, and their texts."""
        of_residual = self.loss.of_residual
        tape, reads, value, derivatives = self.unit(self.last, point=gradient, row=row, target=of_residual, eight=eight)
        label(value, "residual" if of_residual else "prediction")
        options = tuple(self.names(tape, self.loss_options))
        arguments = (value, options) if of_residual else (value, *self.names(tape, ["y"]), options)
        if not gradient:
            lines, (loss,) = text_of(tape, [label(self.loss.recorded(arguments), "loss")])
            return [*reads, *numbered(lines), *([] if loss == "loss" else [f"loss = {loss}"])], ["loss"]
        slope = label(self.loss.derivative(*arguments), "slope")
        terms = [slope * one for one in derivatives]
        losses = [label(self.loss.value(*arguments), "loss")] if self.rule.needs_loss else []
        lines, texts = text_of(tape, [*(label(one, f"term_{k}") for k, one in enumerate(terms)), *losses])
        lines = [*reads, *numbered(lines)]
        if losses and texts[-1] != "loss":
            lines.append(f"loss = {texts[-1]}")
        return lines, texts[: len(terms)]

    def softmax(self) -> str:
        """Return the loss of scores for a class."""
        first, score = self.get("scores", "0"), self.get("scores", "k")
        own = "scores[own]" if not self.lanes else self.get("scores", "own")
        return fill(
            "softmax",
            first=first,
            score=score,
            chosen=own,
            keep_first=[self.put("total", "scores", "0")],
            keep=[self.put("power", "scores", "k")],
            keep_total=[self.put("total", "scores", "classes")],
        )

    def sample(self, name: str) -> str:
        """Return the loss of a sample, or the derivatives of the loss, which are written."""
        gradient, last = name == "gradient_of_sample", self.last
        lines = []
        for layer in self.layers[:-1] if not last.many else self.layers:
            tape, reads, value, derivatives = self.unit(layer, point=gradient, row="row", target=False)
            varying = [part for part in range(layer.parts) if gradient and not layer.is_one(part)]
            found, (text, *texts) = text_of(tape, [label(value, "value"), *(derivatives[part] for part in varying)])
            cell = ("scores", "k") if layer is last else ("hidden", "row * hidden_units + k")
            pairs = zip(varying, texts, strict=True)
            written = [self.put(one, "terms", self.term(layer, part, "row"), same=True) for part, one in pairs]
            lines += layer.loop([*reads, *numbered([*found, self.put(text, *cell, same=True), *written])])
        if last.many:
            lines += ["own = int(y)", "loss = softmax(scores, units, own)"]
        if last.many and gradient:
            total = self.get("scores", "units")
            score = self.get("scores", "k")
            # Where last bits may differ, one division by the total does for all classes.
            lines += [f"share = {self.number('1.0')} / {total}"] if self.spec.fma else [f"total = {total}"]
            slope = f"{score} * share" if self.spec.fma else f"{score} / total"
            lines += last.loop([f"slope = {slope}", "if k == own:", "    slope = slope - 1.0", *self.times_slope(last)])
        elif not last.many:
            own, texts = self.only_unit(gradient=gradient, row="row")
            lines += own
            if gradient:
                lines += [
                    self.put(one, "terms", self.term(last, part, "row"), same=True) for part, one in enumerate(texts)
                ]
        if gradient and len(self.layers) > 1:
            lines += self.back()
        doc = (
            "Write the derivatives of the loss of a sample by the symbols of all units."
            if gradient
            else "Return the loss of a sample that is recorded."
        )
        end = [] if gradient and not self.rule.needs_loss else ["return loss"]
        return self.function("network_sample", name, "loss share", doc=doc, lines=lines, end=end)

    def times_slope(self, layer: _Layer) -> list[str]:
        """Return the lines that multiply the derivatives of unit k, which are written but for those that are 1."""
        lines = []
        for part in range(layer.parts):
            place = self.term(layer, part, "row")
            value = "slope" if layer.is_one(part) else f"slope * {self.get('terms', place)}"
            lines.append(self.put(value, "terms", place))
        return lines

    def back(self) -> list[str]:
        """Return the lines that turn the derivatives of hidden units into those of the loss."""
        lines, last = list[str](), self.last
        for number, symbol in enumerate(one for one, source in enumerate(last.sources) if source == HIDDEN):
            reads, weight = self.parameter(f"{last.first(symbol)} + f", "weight", point=True)
            part = f"part = s * {weight}"
            before = f"part = {self.get('before', 'f')} + part"
            earlier = [before] if number else ["if k > 0:", f"    {before}"] if last.many else []
            lines += [
                f"s = {self.get('terms', self.term(last, last.part(symbol), 'row'))}",
                f"for f in range({last.name('size', symbol)}):",
                *indented([*reads, part, *earlier, self.put("part", "before", "f")]),
            ]
        hidden = self.layers[0]
        return [*last.loop(lines), *hidden.loop([f"slope = {self.get('before', 'k')}", *self.times_slope(hidden)])]

    # Losses

    def sum_of_numbers(self) -> str:
        """Return the sum of numbers."""
        sum_of = self.sums_of(
            [], [self.get("cells", "first + i * step")], index="i", begin="0", whole="whole", stop="count"
        )
        return self.function("sum_of_numbers", "sum_of_numbers", sum=[f"zero = {self.zero}", *sum_of.splitlines()])

    def loss_sum(self) -> str:
        """Return the sum of the losses of all samples."""
        keep = [self.put("total", "loss_sums", "waiting")]
        target = self.number("ys[start + i]")
        if self.alone and not self.lanes:
            zeros = f"broadcast({self.number('-0.0')}, 8)"
            eight, _ = self.only_unit(gradient=False, row="i", eight=True)
            one, _ = self.only_unit(gradient=False, row="i")
            leaf = fill(
                "losses_by_eight",
                zeros=zeros,
                losses=["y = read_lane(ys, i, 8)", *eight],
                take_dots=self.take_dots("SAMPLE_ROWS", "count - whole", point=False),
                target=self.number("ys[start + whole + i]"),
                one=one,
                keep=keep,
            )
        else:
            loss = (
                ["loss = " + self.call("loss_of_sample", "theta", "x", "at", "y", "i")]
                if not self.alone
                else self.only_unit(gradient=False, row="i")[0]
            )
            leaf = fill(
                "losses_one_by_one",
                take_dots=self.take_dots("SAMPLE_ROWS + i", "min(ROWS, count - i)", point=False),
                target=target,
                loss=loss,
                running=self.get("products", "place"),
                keep_loss=[self.put("loss", "products", "place")],
                keep=keep,
            )
        return self.function(
            "pairwise",
            "loss_sum",
            "loss",
            arguments="theta, x, ys",
            doc="Return the sum of the losses of all samples, in NumPy's order.",
            before=[f"total = {self.zero}"],
            join=[
                f"total = {self.get('loss_sums', 'waiting - 1')} + total",
                self.put("total", "loss_sums", "waiting - 1"),
            ],
            leaf=leaf.splitlines(),
            end=["return total"],
        )

    # Single samples

    def aligned(self) -> list[str]:
        """Return the line that aligns the stack, which lanes are spilled to."""
        return ["align_stack(lr)"] if self.width > 1 else []

    def clock_lines(self) -> list[str]:
        """Return the lines that advance the clock."""
        if not self.rule.clock:
            return []
        tape = Tape()
        clock = self.rule.clock(tuple(self.names(tape, self.clock)), self.option_symbols(tape))
        lines, results = text_of(tape, clock)
        if results == self.clock:
            return []
        return [*numbered([*lines, f"{', '.join(self.clock)} = {', '.join(results)}"])]

    def train_samples(self) -> str:
        """Return the loop over samples."""
        steps = [*self.steps_from_sample()]
        if self.alone:
            gradient, _ = self.only_unit(gradient=True, row="0")
        else:
            call = self.call("gradient_of_sample", "theta", "x", "at", "y", "0")
            gradient = [f"loss = {call}" if self.rule.needs_loss else call]
        dots = [f"dot_{symbol} = {self.get('dots', self.dot_at(self.last, symbol, '0'))}" for symbol in self.last.dots]
        return self.function(
            "network_train_samples",
            "train_samples",
            "loss",
            begin=self.aligned(),
            take_dots=[*self.take_dots("SAMPLE_ROWS", "1", point=True), *(dots if self.alone else [])],
            target=self.number("ys[row]"),
            gradient=gradient,
            clock=self.clock_lines(),
            steps=steps,
            end=[f"return {packed(self.clock)}"] if self.clock else [],
        )

    def steps_from_sample(self) -> list[str]:
        """Return the lines that update all parameters from a sample, and take the dots of the next one."""
        lines = list[str]()
        scalar, weight = self.update(weight=False, sample=True), self.update(weight=True, sample=True)
        texts = self.only_unit(gradient=True, row="0")[1] if self.alone else []
        for layer in self.layers:
            own = list[str]()
            for symbol in layer.symbols:
                part, first = layer.part(symbol), layer.first(symbol)
                s = texts[part] if self.alone else self.get("terms", self.term(layer, part, "0"))
                source = layer.sources[symbol]
                if source >= 0:
                    name = f"dot_{symbol}"
                    arguments = [
                        "theta",
                        "x",
                        f"at + {layer.name('source', symbol)}",
                        f"after + {layer.name('source', symbol)}",
                    ]
                    own += [
                        f"{name} = "
                        + self.call(
                            "learn",
                            *arguments,
                            s,
                            first,
                            layer.name("order", symbol),
                            *(["i % 2"] if self.lanes else []),
                        )
                    ]
                    own += [] if self.alone else [self.put(name, "dots", self.dot_at(layer, symbol, "0"))]
                elif source == SCALAR:
                    own += [f"s = {s}", *scalar.before, *self.updated(scalar, first)]
                else:
                    each = self.updated(weight, f"{first} + f", input=self.get("hidden", "f"))
                    own += [
                        f"s = {s}",
                        *weight.before,
                        f"for f in range({layer.name('size', symbol)}):",
                        *indented(each),
                    ]
            lines += layer.loop(own)
        return lines

    # Batches

    def sums_of_gradients(self) -> list[str]:
        """Return the sums over samples of the gradients by weights."""
        many = 4 if self.lanes else 8
        found = []
        names = ["sum_gradients", *(["sum_gradients_of_hidden"] if self.lanes and len(self.layers) > 1 else [])]
        for name in names:
            hidden = name != "sum_gradients"

            def value(place: str, hidden: bool = hidden) -> str:
                return self.get("x", place) if hidden else self.input(place)

            at = "counts[rows + i] + source + f"
            term = self.get("terms", "i * sample_terms + column")
            if self.lanes:
                lines = [f"term, at = {term}, {at}"]
                products = [f"term * {value('at' + (f' + {j}' if j else ''))}" for j in range(4)]
                keep = [self.put(f"total_{j}", "gradients", "place + f" + (f" + {j}" if j else "")) for j in range(4)]
                zero = self.zero
            else:
                lines, products = [], [f"{term} * read_lane(x, {at}, 8)"]
                keep = ["write_lane(total_0, gradients, place + f)"]
                zero = f"broadcast({self.number('-0.0')}, 8)"
            sum_of = self.sums_of(lines, products, index="i", begin="0", whole="whole", stop="count").splitlines()
            call = self.call("sum_of_numbers", "products", "0", "1", "count")
            found.append(self.function(
                "sum_gradients", name, many=str(many), sum=[f"zero = {zero}", *sum_of], keep=keep,
                product=[self.put(f"{term} * {value(at)}", "products", "i")],
                keep_one=[self.put(call, "gradients", "place + f")],
            ))  # fmt: skip
        return found

    def gradient_sum(self) -> str:
        """Return the sums of the gradients of a batch."""
        width = "params + 1" if self.rule.needs_loss else "params"
        if self.alone:
            gradient, texts = self.only_unit(gradient=True, row="i")
            gradient += [
                self.put(one, "terms", self.term(self.last, part, "i"), same=True) for part, one in enumerate(texts)
            ]
        else:
            call = self.call("gradient_of_sample", "theta", "x", "at", "y", "i")
            gradient = [f"loss = {call}" if self.rule.needs_loss else call]
        if self.rule.needs_loss:
            gradient.append(self.put("loss", "terms", "i * sample_terms + sample_terms - 1", same=True))
        sums = []
        for layer in self.layers:
            own = []
            for symbol in layer.symbols:
                column, source = self.term(layer, layer.part(symbol), "0"), layer.sources[symbol]
                place = f"level + {layer.first(symbol)}"
                if source == SCALAR:
                    own.append(
                        self.put(
                            self.call("sum_of_numbers", "terms", column, "sample_terms", "count"), "gradients", place
                        )
                    )
                    continue
                name, x, rows, begin = "sum_gradients", "x", "SAMPLE_ROWS", layer.name("source", symbol)
                if source == HIDDEN:
                    name, x, rows, begin = (
                        "sum_gradients_of_hidden" if self.lanes else name,
                        "hidden",
                        "HIDDEN_ROWS",
                        "0",
                    )
                own.append(self.call(name, x, rows, begin, column, layer.name("size", symbol), "count", place))
            sums += layer.loop(own)
        if len(self.layers) > 1:
            sums = ["for i in range(count):", "    counts[HIDDEN_ROWS + i] = i * hidden_units", *sums]
        if self.rule.needs_loss:
            call = self.call("sum_of_numbers", "terms", "sample_terms - 1", "sample_terms", "count")
            sums.append(self.put(call, "gradients", "level + params"))
        leaf = fill(
            "gradient_of_batch",
            take_dots=self.take_dots("SAMPLE_ROWS + i", "min(ROWS, count - i)", point=True),
            target=self.number("ys[start + i if in_order else np.int64(places[start + i])]"),
            gradient=gradient,
            sums=[f"level = waiting * ({width})", *sums],
        )
        both = f"{self.get('gradients', 'place')} + {self.get('gradients', f'place + {width}')}"
        return self.function(
            "pairwise", "gradient_sum", "loss", arguments="theta, x, ys, places, in_order",
            doc="Write the sums of the gradients of a batch, in NumPy's order.", before=[],
            join=[
                f"for place in range((waiting - 1) * ({width}), waiting * ({width})):",
                "    " + self.put(both, "gradients", "place"),
            ],
            leaf=leaf.splitlines(), end=[],
        )  # fmt: skip

    def step_by_gradient(self, *, decays: bool) -> str:
        """Return the update of parameters by their mean gradient."""
        update = self.update(weight=decays, sample=False)
        eight = []
        if not self.lanes and decays:
            each = self.updated(update, "begin", wide=8, total="read_lane(gradients, begin, 8)")
            eight = ["while begin + 8 <= stop:", *indented([*each, "begin += 8"])]
        return self.function(
            "step_by_gradient",
            "step_by_gradient" if decays else "step_scalars",
            before=update.before,
            eight=eight,
            without="" if decays else ", without a decay",
            one=self.updated(update, "place", total=self.get("gradients", "place")),
        )

    def train_batches(self) -> str:
        """Return the loop over batches."""
        gradient = [self.call("gradient_sum", "theta", "x", "y", "places", "in_order", "first", "count")]
        if not self.decays:
            steps = [self.call("step_by_gradient", "theta", "0", "params", "share")]
        else:
            steps = []
            for layer in self.layers:
                for symbol, source in enumerate(layer.sources):
                    begin, units = layer.name("first", symbol), f"{layer.prefix}units"
                    name = "step_scalars" if source == SCALAR else "step_by_gradient"
                    size = units if source == SCALAR else f"{units} * {layer.name('size', symbol)}"
                    steps.append(self.call(name, "theta", begin, f"{begin} + {size}", "share"))
        facts = []
        if self.rule.needs_loss:
            facts.append(f"loss = share * {self.get('gradients', 'params')}")
        if self.rule.needs_norm:
            facts += [
                f"number = share * {self.get('gradients', '0')}",
                "norm = number * number",
                "for place in range(1, params):",
                f"    number = share * {self.get('gradients', 'place')}",
                "    norm = norm + number * number",
            ]
        return self.function(
            "network_train_batches", "train_batches", "loss norm", begin=self.aligned(), gradient=gradient,
            share=self.number("1.0 / count"), clock=self.clock_lines(), steps=[*facts, *steps],
            end=[f"return {packed(self.clock)}"] if self.clock else [],
        )  # fmt: skip

    # The entry

    def kernel(self) -> str:
        """Return the entry."""
        copies = self.spec.dtype == "float32" and not self.lanes
        numbers = times("params", self.rule.slots + 1)
        settings = self.read_settings()
        own, shared = len(self.loss_options), not self.spec.own_options
        clock, write = [], []
        for k, name in enumerate(self.clock):
            place = times(numbers if not k else f"({numbers} + {k})", self.width)
            if shared or not self.lanes:
                clock.append(f"{name} = {self.scalar(f'cells[{place}]')}")
            else:
                clock.append(f"{name} = {self.load('cells', place, self.width)}")
            value = f"broadcast({name}, {self.width})" if shared and self.width > 1 else name
            write.append(
                f"cells[{place}] = {name}" if not self.lanes else self.store(value, "cells", place, self.width)
            )
        assign = f"{', '.join(self.clock)}{',' if len(self.clock) == 1 else ''} = " if self.clock else ""
        batches = self.call("train_batches", "theta", "x", "y", "places", "in_order", "count", "size")
        samples = batches
        if not self.rule.needs_norm:
            samples = self.call("train_samples", "theta", "x", "y", "places", "count")
        loss = self.call("loss_sum", "theta", "x", "y", "0", "count")
        if copies:
            write = [f"for place in range({numbers}):", "    cells[place] = theta[place]", *write]
        rounded = [f"for place in range({numbers}):", "    write_lane(as_float32(cells[place]), theta, place)"]
        return self.function(
            "network_kernel", "kernel", theta="rounded" if copies else "cells", round=rounded if copies else [],
            loss_options=[f"{name} = {text}" for name, text in zip(self.loss_options, settings[:own], strict=True)],
            write_loss=[self.store(f"{loss} / {self.number('count')}", "out", "0", self.width)],
            options=[
                f"lr = {self.load('rates', '0', self.width)}",
                *(f"{name} = {text}" for name, text in zip(self.settings[own:], settings[own:], strict=True)), *clock,
            ],
            train_samples=[f"{assign}{samples}"], train_batches=[f"{assign}{batches}"], write=write,
        )  # fmt: skip


def places(outputs: Numbers) -> list[int | float]:
    """Return the places of symbols on their tape, and constants."""
    return [one.number if isinstance(one, Symbol) else float(one) for one in outputs]


def used_reads(reads: dict[str, str], lines: Sequence[str]) -> list[str]:
    """Return the lines that read those numbers that others use."""
    used = set(re.findall(r"\w+", " ".join(lines)))
    return [f"{name} = {text}" for name, text in reads.items() if name in used]


def times(text: str, factor: int) -> str:
    """Return the text of a product."""
    if factor == 1 or text == "0":
        return text
    alone = re.fullmatch(r"\w+|\([^()]*\)", text)
    return f"{text} * {factor}" if alone else f"({text}) * {factor}"
