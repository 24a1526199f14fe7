"""The text of the kernel of a model without vectors, or with short ones: one readable module.

Its functions are straight-line code of the operations that rules, losses and models leave on a tape. The same text
computes with numbers and, for runs side by side, with lanes of them.
"""

import re
from collections.abc import Sequence
from typing import Any

from kernels.base.run import PAIRWISE_BLOCK
from kernels.compile.names import KernelText, Numbers, fixed_numbers, label, numbered, text_of, with_plain_functions
from kernels.compile.spec import KernelSpec
from kernels.compile.templates import LONGEST, fill, packed, unpack
from kernels.model.program import Program, check_program
from kernels.model.sample_values import split_program
from kernels.optimizers.optimizer import add_weight_decay
from kernels.optimizers.run_options import option_values
from kernels.tape.symbol import Symbol
from kernels.tape.tape import Tape


def scalar_text(spec: KernelSpec) -> str:
    """Return the text of a kernel's functions."""
    return _Kernel(spec).text()


def standalone_text(spec: KernelSpec) -> str:
    """Return a module with the kernel of one run that needs NumPy and numba alone."""
    return _Kernel(spec, alone=True).standalone()


class _Kernel(KernelText):
    """The names in a kernel, and its functions.

    A kernel by itself, `alone`, has neither vectors nor an order that is drawn ahead.
    """

    def __init__(self, spec: KernelSpec, *, alone: bool = False) -> None:
        super().__init__(spec)
        program, slots = spec.model.program, range(spec.optimizer.slots)
        assert isinstance(program, Program)  # noqa: S101 (for the type)
        self.program = check_program(program)
        self.plain = self.lanes or alone
        params = range(program.params)
        self.theta = [f"theta_{k}" for k in params]
        self.slots = [[f"slot_{k}_{s}" for s in slots] for k in params]
        self.state = [name for own in self.slots for name in own] + self.clock
        self.inputs = [f"x_{k}" for k in range(program.inputs)]
        self.sums = [f"total_{k}" for k in range(program.params + self.rule.needs_loss)]

    def text(self) -> str:
        """Return all functions, each behind those that it calls."""
        parts = [self.gradient_term(), self.loss_term()]
        parts += self.sum("gradient_sum", "gradient_term", len(self.sums), self.spec.part)
        if self.spec.sums_in_registers:
            parts += self.values_of_samples()
            parts += self.sum("loss_sum", "loss_from_values", 1, self.spec.register)
        else:
            parts += self.sum("loss_sum", "loss_term", 1, self.spec.part)
        return "\n\n".join([*parts, self.train_samples(), self.train_batches(), self.kernel()])

    def standalone(self) -> str:
        """Return a module that needs NumPy and numba alone."""
        spec, rule, params = self.spec, self.rule, range(self.program.params)
        parts = [self.gradient_term(), self.loss_term()]
        parts += self.sum("gradient_sum", "gradient_term", len(self.sums), 1)
        parts += [*self.sum("loss_sum", "loss_term", 1, 1), self.train_samples(), self.train_batches()]
        text = with_plain_functions("\n\n".join(parts))
        slots = [f"theta[{k}]" if start is None else repr(start) for k in params for start in rule.all_slots_start]
        values = option_values(self.loss, rule)[: len(self.settings)].tolist()
        return fill(
            "standalone",
            title=f"{spec.model.expression}: {spec.optimizer.text} with the loss {spec.loss.text}.",
            kernel=spec.kernel,
            compiler=repr({"error_model": "numpy"} | ({"fastmath": {"contract"}} if spec.fma else {})),
            options=packed(map(repr, values)),
            option_names=", ".join(self.settings) or "none",
            functions=text.splitlines(),
            stride=str(len(params) + 1),
            read_theta=packed(f"params[{k}]" for k in params),
            state=packed([*slots, *map(repr, rule.clock_start)]),
            loss_options=packed(f"settings[{k}]" for k in range(len(self.loss_options))),
            write_theta=[f"params[{k}] = theta[{k}]" for k in params],
            params=str(len(params)),
            param_names=", ".join(spec.model.params),
            inputs=str(self.program.inputs),
        )

    # What is computed, on a tape

    def sample(self, tape: Tape, theta: Numbers, y: Any) -> tuple[tuple[Any, ...], list[Any]]:
        """Return the arguments of the loss at a sample, and the derivatives of the model."""
        given = [*theta, *self.names(tape, self.inputs), y if self.loss.of_residual else 0.0]
        values = self.run(tape, self.program, given)
        found = values[self.program.residual]
        label(found, "residual" if self.loss.of_residual else "prediction")
        options = tuple(self.names(tape, self.loss_options))
        arguments = (found, options) if self.loss.of_residual else (found, y, options)
        return arguments, [values[derivative] for derivative in self.program.derivatives]

    def point(self, tape: Tape) -> list[Any]:
        """Return where the gradient is taken."""
        theta, at = self.names(tape, self.theta), self.rule.gradient_at
        if not at:
            return theta
        options = tuple(self.names(tape, self.options))
        return [at(one, tuple(self.names(tape, own)), options) for one, own in zip(theta, self.slots, strict=True)]

    def update(self, tape: Tape, gradient: Numbers, loss: Any) -> list[Any]:
        """Return the parameters and the state after an update by the rule."""
        rule, lanes_wait = self.rule, self.lanes and not self.spec.fma
        (lr,), options = self.names(tape, ["lr"]), tuple(self.names(tape, self.options))
        theta, clock = self.names(tape, self.theta), tuple(self.names(tape, self.clock))
        clock = tuple(rule.clock(clock, options)) if rule.clock else clock
        known = clock + ((loss,) if rule.needs_loss else ())
        if rule.needs_norm:
            norm = sum((one * one for one in gradient[1:]), start=gradient[0] * gradient[0])
            known += (label(norm, "norm"),)
        weights, moved, kept = self.program.weights, list[Any](), list[Any]()
        for k, (one, own) in enumerate(zip(theta, self.slots, strict=True)):
            step, slots = label(gradient[k], f"gradient_{k}"), tuple(self.names(tape, own))
            decays: tuple[Any, ...] = options
            if not weights or k in weights:
                if rule.weight_decay:
                    at = rule.gradient_at(one, slots, options) if rule.gradient_at else one
                    step = add_weight_decay(at, step, *self.names(tape, ["weight_decay"]))
            else:
                decays = tuple(0.0 if place in rule.decay_options else option for place, option in enumerate(options))
            if k and lanes_wait and isinstance(step, Symbol):
                step = label(step.emit("wait_for", step, moved[-1]), f"waited_{k}")
            new, memory = rule.rule(one, slots, step, lr, known, decays)
            moved.append(label(new, f"new_theta_{k}"))
            kept += [label(one, f"new_{name}") for one, name in zip(memory, own, strict=True)]
        kept += [label(one, f"new_{name}") for one, name in zip(clock, self.clock, strict=True)]
        return [*moved, *kept]

    # Functions

    def gradient_term(self) -> str:
        """Return the gradient of a sample, and its loss where the rule needs it."""
        tape = Tape()
        arguments, derivatives = self.sample(tape, self.names(tape, self.theta), *self.names(tape, ["y"]))
        slope = label(self.loss.derivative(*arguments), "slope")
        terms = [slope * one for one in derivatives]
        terms += [self.loss.value(*arguments)] if self.rule.needs_loss else []
        return self.term("gradient_term", "Return the gradient of a sample.", tape, terms, self.theta, self.inputs)

    def loss_term(self) -> str:
        """Return the loss of a sample that is recorded."""
        tape = Tape()
        arguments, _ = self.sample(tape, self.names(tape, self.theta), *self.names(tape, ["y"]))
        doc = "Return the loss of a sample that is recorded."
        return self.term("loss_term", doc, tape, [self.loss.recorded(arguments)], self.theta, self.inputs)

    def values_of_samples(self) -> list[str]:
        """Return what samples alone determine, and the loss from it."""
        of_samples, rest = split_program(self.program)
        tape = Tape()
        given = self.names(tape, [*self.inputs, "y"])
        values = self.run(tape, of_samples, given)
        outputs = [values[one] for one in of_samples.derivatives]
        doc = "Return what samples alone determine."
        first = self.term("values_of_samples", doc, tape, outputs, [], self.inputs)
        tape, kept = Tape(), [f"value_{k}" for k in range(len(outputs))]
        values = self.run(tape, rest, self.names(tape, [*self.theta, *self.inputs, *kept, "y"]))
        residual = label(values[rest.residual], "residual")
        doc = "Return the loss of a sample, from what it alone determines."
        return [
            first,
            self.term("loss_from_values", doc, tape, [residual * residual], self.theta, [*self.inputs, *kept]),
        ]

    def term(
        self, name: str, doc: str, tape: Tape, outputs: Numbers, theta: Sequence[str], inputs: Sequence[str]
    ) -> str:
        """Return a function of a sample."""
        lines, results = text_of(tape, outputs)
        unpacked = [*unpack(theta, "theta"), *unpack(self.loss_options, "options")]
        given = ", ".join([*(["theta"] if theta else []), *inputs, "y", "options"])
        return fill(
            "term",
            name=name,
            doc=doc,
            arguments=given,
            lines=numbered([*unpacked, *lines, f"return {packed(results)}"]),
        )

    def sum(self, name: str, term: str, count: int, part: int) -> list[str]:
        """Return a function that adds up terms in NumPy's order, of all runs or of some of them after the others."""
        sums = [f"total_{k}" for k in range(count)]
        gradient = name == "gradient_sum"
        places = " places, in_order," if gradient else ""
        doc = "Return the sums over samples in the order of NumPy's add.reduce"
        zero = self.number("-0.0") if part == 1 else f"broadcast({self.number('-0.0')}, {part})"
        stride = (self.program.params + 1) * self.width

        def terms_at(place: str, to: str, *, wide: bool = False) -> list[str]:
            """Return the lines that compute the terms of a sample, or of eight."""
            columns, at = [f"x[{k}]" for k in range(len(self.inputs))] + ["y"], place
            lines = []
            if wide:
                read = "read_samples({}, places, {}, 8, in_order)" if gradient else "read_lane({}, {}, 8)"
            else:
                read = self.number("{}[{}]")
                if gradient:
                    at = "at"
                    lines = [f"at = {place} if in_order else places[{place}]"]
            names = [*self.inputs, "target"]
            lines += [f"{one} = {read.format(column, at)}" for one, column in zip(names, columns, strict=True)]
            function = "loss_term" if name == "loss_sum" else term
            return [*lines, assign(to, f"{function}({', '.join(['theta', *names, 'options'])})")]

        def cell(row: str, k: int) -> str:
            return f"{row} * {stride} + {k * part}"

        def add(to: str, more: str) -> list[str]:
            return [f"{to}_{k} = {to}_{k} + {more}_{k}" for k in range(count)]

        def fresh(names: str) -> list[str]:
            return [f"{names}_{k} = zero" for k in range(count)]

        def assign(to: str, text: str) -> str:
            return f"{packed(f'{to}_{k}' for k in range(count))} = {text}"

        if part == 1 and not self.plain:
            sums_of = packed(f"sum_{k}" for k in range(count))
            more = [*terms_at("i", "term", wide=True), *add("sum", "term")]
            eight = fill(
                "eight_of_one_run",
                first=terms_at("start", "sum", wide=True),
                next=more,
                totals=packed(sums),
                sums=sums_of,
            )
        elif term == "loss_from_values":
            eight = self.eight_of_a_register()
        else:
            eight = fill(
                "eight_of_many_runs",
                next=[*terms_at("i", "term"), *add("single", "term")],
                **{f"fresh_{one}": fresh(one) for one in ("quarter", "pair", "single")},
                add_single=add("pair", "single"),
                add_pair=add("quarter", "pair"),
                add_quarter=add("total", "quarter"),
            )
        before = "(waiting - 1)"
        text = fill(
            "sum",
            name=f"{name}_of_part" if part < self.width else name,
            places=places,
            doc=f"{doc}.",
            zero=zero,
            fresh=fresh("total"),
            eight=eight.splitlines(),
            join=[
                *(f"total_{k} = {self.load('partials', cell(before, k), part)} + total_{k}" for k in range(count)),
                *(self.store(f"total_{k}", "partials", cell(before, k), part) for k in range(count)),
            ],
            one_more=[*terms_at("start", "term"), *add("total", "term")],
            keep=[self.store(f"total_{k}", "partials", cell("waiting", k), part) for k in range(count)],
            totals=packed(sums),
        )
        if part == self.width:
            return [text]
        width = self.width
        return [
            text,
            fill(
                "sum_in_parts",
                name=name,
                part_name=f"{name}_of_part",
                places=places,
                doc=doc,
                part=str(part),
                width=str(width),
                theta=packed(self.theta),
                totals=packed(sums),
                write_point=[self.store(one, "cells", str(k * width), width) for k, one in enumerate(self.theta)],
                read_point=packed(self.load("cells", f"{k * width} + first", part) for k in range(len(self.theta))),
                write_sum=[
                    self.store(one, "cells", f"{stride + k * width} + first", part) for k, one in enumerate(sums)
                ],
                read_sum=packed(self.load("cells", str(stride + k * width), width) for k in range(count)),
            ),
        ]

    def eight_of_a_register(self) -> str:
        """Return the lines of eight running sums of the losses of the runs of a register."""
        kept = range(len(split_program(self.program)[0].derivatives))
        columns = [f"x[{k}]" for k in range(len(self.inputs))]

        def call(j: int) -> str:
            inputs = [f"read_lane({one}, i + {j}, 1)" for one in columns]
            inputs += [f"read_lane(values, {PAIRWISE_BLOCK * v} + i - start + {j}, 1)" for v in kept]
            return f"loss_from_values({', '.join(['theta', *inputs, f'read_lane(y, i + {j}, 1)', 'options'])})[0]"

        inputs = ", ".join(f"read_lane({one}, i, 8)" for one in [*columns, "y"])
        values = [f"value_{v}" for v in kept]
        return fill(
            "eight_of_a_register",
            keep_values=[
                *(unpack(values, f"values_of_samples({inputs}, options)") or ["pass"]),
                *(f"write_lane({one}, values, {PAIRWISE_BLOCK * v} + i - start)" for v, one in enumerate(values)),
            ],
            add=[f"{name} = {name} + {call(j)}" for j, name in enumerate("abcdefgh")],
        )

    def train_samples(self) -> str:
        """Return the loop over samples, which calls nothing but functions such as exp."""
        tape = Tape()
        arguments, derivatives = self.sample(tape, self.point(tape), *self.names(tape, ["y"]))
        slope = label(self.loss.derivative(*arguments), "slope")
        if self.rule.per_sample:
            (lr,), theta = self.names(tape, ["lr"]), self.names(tape, self.theta)
            pairs = [(one, slope) if self.program.weights else (slope, one) for one in derivatives]
            outputs = [self.rule.per_sample(one, *pair, lr) for one, pair in zip(theta, pairs, strict=True)]
            outputs = [label(one, f"new_theta_{k}") for k, one in enumerate(outputs)]
            names = self.theta
        else:
            gradient = [slope * one for one in derivatives]
            loss = self.loss.value(*arguments) if self.rule.needs_loss else None
            outputs, names = self.update(tape, gradient, loss), [*self.theta, *self.state]
        before, body = self.loop(tape, names, outputs)
        sample = [f"{name} = {self.number(f'xs_{k}[i]')}" for k, name in enumerate(self.inputs)]
        return fill(
            "train_samples_of_many_runs" if self.plain else "train_samples",
            unpack=[*self.unpacked(), *unpack([f"xs_{k}" for k in range(len(self.inputs))], "x")],
            before=before,
            sample=[*sample, f"y = {self.number('ys[i]')}"],
            body=body,
            theta=packed(self.theta),
            state=packed(self.state),
        )

    def train_batches(self) -> str:
        """Return the loop over batches."""
        tape = Tape()
        point = [label(one, f"point_{k}") if self.rule.gradient_at else one for k, one in enumerate(self.point(tape))]
        (share,) = self.names(tape, ["share"])
        gradient = [total * share for total in self.names(tape, self.sums)]
        loss = gradient.pop() if self.rule.needs_loss else None
        points, at = text_of(tape, point)
        before, body = self.loop(tape, [*self.theta, *self.state], self.update(tape, gradient, loss))
        return fill(
            "train_batches",
            share=self.number("1.0 / count"),
            unpack=self.unpacked(),
            before=before,
            point=numbered(points),
            totals=packed(self.sums),
            at=packed(at),
            loss_options=packed(self.loss_options),
            body=body,
            theta=packed(self.theta),
            state=packed(self.state),
            order="" if self.plain else ", order",
            draw=[] if self.plain else ["work_ahead(order, x, y, places, first, count)"],
        )

    def unpacked(self) -> list[str]:
        """Return the lines that unpack the arguments of a loop."""
        return [*unpack(self.theta, "theta"), *unpack(self.state, "state"), *unpack(self.settings, "options")]

    def loop(self, tape: Tape, names: Sequence[str], outputs: Numbers) -> tuple[list[str], list[str]]:
        """Return the lines before a loop and those in it, which assign the outputs to the names."""
        outputs = [one.number if isinstance(one, Symbol) else float(one) for one in outputs]
        fixed = fixed_numbers(tape, [*self.settings, "lr"])
        needed = tape.needed(outputs)
        used = {
            one
            for place in needed
            if place not in fixed
            for one in tape.operations[place].operands
            if not isinstance(one, float)
        }
        before = frozenset(one for one in used & fixed if tape.operations[one].function != "given")
        hoisted, _ = tape.lines(sorted(before))
        lines, results = tape.lines(outputs, before)
        # A new number has the old name at once, where nothing needs the old one any more.
        words = [set(re.findall(r"\w+", one)) for one in [*lines, *results]]
        made = {line.partition(" = ")[0]: place for place, line in enumerate(lines)}
        renamed = {
            f"new_{old}": old
            for old in names
            if f"new_{old}" in made and not any(old in later for later in words[made[f"new_{old}"] + 1 :])
        }
        lines, results = (
            [re.sub(r"\bnew_\w+", lambda found: renamed.get(found[0], found[0]), one) for one in part]
            for part in (lines, results)
        )
        moved = [(old, result) for old, result in zip(names, results, strict=True) if old != result]
        if moved:
            before_loop, after = zip(*moved, strict=True)
            lines.append(f"{', '.join(before_loop)} = {packed(after) if len(after) > LONGEST else ', '.join(after)}")
        both = numbered([*hoisted, *lines])
        return both[: len(hoisted)], both[len(hoisted) :]

    def kernel(self) -> str:
        """Return the entry."""
        names, width = [*self.theta, *self.state], self.width
        shared = set() if self.spec.own_options else set(self.clock)
        cells = {name: str(k * width) for k, name in enumerate(names)}

        def read(names: Sequence[str]) -> str:
            return packed(
                self.scalar(f"cells[{cells[name]}]")
                if name in shared or (name in self.clock and not self.lanes)
                else self.load("cells", cells[name], width)
                for name in names
            )

        def write(name: str) -> str:
            value = f"broadcast({name}, {width})" if name in shared and self.lanes else name
            return self.store(value, "cells", cells[name], width)

        settings = self.read_settings()
        return fill(
            "kernel",
            read_theta=read(self.theta),
            read_state=read(self.state),
            columns=f"{packed(f'columns[{k}]' for k in range(len(self.inputs)))}, columns[{len(self.inputs)}]",
            rate=self.load("rates", "0", width),
            loss_options=packed(settings[: len(self.loss_options)]),
            options=packed(settings),
            write_loss=[
                "(loss,) = loss_sum(theta, x, y, 0, count, loss_options, scratch)",
                self.store(f"loss / {self.number('count')}", "out", "0", width),
            ],
            order=[] if self.lanes else ["order = drawn, ahead"],
            more="" if self.lanes else ", order",
            write=[*unpack(self.theta, "theta"), *unpack(self.state, "state"), *map(write, names)],
        )
