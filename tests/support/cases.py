"""Runs that every kernel must train as the reference does: their settings, and the comparison of all results."""

from dataclasses import dataclass, field, replace
from functools import lru_cache

import numba
import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sgdbench.kernels.base.run import Hyperparameters
from sgdbench.kernels.compile.kinds import FLOAT32_LOSSES, FLOAT32_OPTIMIZERS, is_exact, takes_factor
from sgdbench.kernels.data.checkpoints import make_checkpoints
from sgdbench.kernels.data.order import make_shuffle
from sgdbench.kernels.data.samples import allocate_data
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.model.model import Model
from sgdbench.kernels.model.models import make_model, quadratic
from sgdbench.kernels.model.sample_weight import WeightedModel
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.optimizers.run_options import initial_memory, option_values, stack_options
from sgdbench.kernels.train.block import train_runs
from tests.support.bits import bits
from tests.support.rules import FORMS, names_of

BLOCKS = "blocks(size=7, buffer=20)"
KINKS = (
    "sqrt(a**2 + x**2)/(3 + b**2) - c*(1 + x**2)**-1.5 + where(x > 0.3*b, max(a*x, b/3), abs(b - x)) - relu(c - x/5)"
)


@dataclass(frozen=True)
class Case:
    """Some runs with different starts, rates and maybe options, and the kernels that train them."""

    model: str = "a*x**2 + b*x + c"
    inputs: int = 1
    hidden: int | None = None
    classes: int = 1
    weighted: bool = False
    loss: str = "squared"
    optimizer: str = "sgd"
    dtype: str = "float64"
    samples: int = 43
    batch: int = 1
    drop_last: bool = False
    shuffle: bool | str = False
    record: str | int = "epoch"
    path: bool = True  # record the parameters at every checkpoint
    target: float = 0.0
    patience: float = np.inf
    by_run: bool = False  # each run has options of its own
    runs: int = 3
    epochs: int = 3
    diverging: bool = False  # a quarter of the runs has a rate that is far too high, each in another epoch
    zeros: bool = False  # start at zeros of both signs, with targets of 0
    kernels: tuple[str, ...] = field(default=("fused", "lanes"), compare=False)

    def train(self, kernel):
        """Return the runs of a kernel; the reference trains each alone, with the options from its own optimizer."""
        rng = np.random.default_rng(self.inputs)
        x = rng.normal(size=(self.samples, self.inputs))
        y = x @ rng.normal(size=self.inputs) + 1
        if self.loss in ("logistic", "hinge"):
            y = (y > 0) * 1.0
        if self.loss == "poisson":
            y = np.abs(y)
        if self.classes > 1:
            y = rng.integers(0, self.classes, self.samples) * 1.0
        model = self.make_model()
        if self.weighted:
            x = np.column_stack([x, rng.uniform(0, 3, self.samples)])
        # With the steps of polyak, which follow from the loss and the norm, a rate is but a bound.
        highest = 1e3 if "polyak" in self.optimizer else 0.05 / self.inputs
        rates = np.tile(np.linspace(0.2 * highest, highest, self.runs), (self.epochs, 1))
        starts = 0.5 * rng.normal(size=(self.runs, len(model.params)))
        if self.zeros:
            y, starts = 0.0 * y, rng.choice([0.0, -0.0], starts.shape)
        if self.diverging:
            far = np.arange(self.runs // 4)
            rates[far % self.epochs, far] = 1e300
        loss, optimizer, shuffle = make_loss(self.loss), make_optimizer(self.optimizer), make_shuffle(self.shuffle)
        columns = tuple(np.ascontiguousarray(x.T))
        held = None
        if np.isfinite(self.patience):
            # Runs from near 0 come past the best parameters for these, so that patience ends.
            short = y[:9] if self.classes > 1 or self.loss in ("logistic", "hinge") else 0.3 * y[:9]
            held = tuple(column[:9] for column in columns), short
        form = {"shuffle": shuffle, "batch_size": self.batch, "by_row": model.by_row, "dtype": self.dtype}
        data = allocate_data(columns, y, validation=held, **form)
        checkpoints = make_checkpoints(self.record, self.samples, self.batch, self.epochs, drop_last=self.drop_last)
        hyper = Hyperparameters(
            rates, option_values(loss, optimizer), self.batch, self.drop_last, bool(shuffle), 3, self.target,
            checkpoints, self.patience,
        )  # fmt: skip
        each = [optimizer] * self.runs
        if self.by_run:
            each = [_with_options_times(optimizer, factor) for factor in np.linspace(0.8, 1.0, self.runs)]
            hyper = hyper._replace(settings=stack_options(loss, each))
        memory = initial_memory(each, starts)
        if self.by_run:  # so that clocks differ from the start
            memory *= np.linspace(0.5, 1.0, self.runs)[:, np.newaxis]
        at = {"at": np.arange(checkpoints.size)} if self.path else {}
        if kernel != "reference":
            return train_runs(kernel, model, loss, optimizer, data, hyper, starts, memory, **at)
        return [
            train_runs(
                kernel, model, loss, rule, data, hyper._replace(rates=rates[:, [run]]), starts[[run]], memory[[run]],
                **at,
            )
            for run, rule in enumerate(each)
        ]  # fmt: skip

    def make_model(self):
        inputs = [f"x{k}" for k in range(1, self.inputs + 1)] if self.inputs > 1 else ["x"]
        model = Model(self.model, inputs, hidden=self.hidden) if self.hidden else make_model(self.model, inputs)
        model = model.with_classes(self.classes) if self.classes > 1 else model
        return WeightedModel(model) if self.weighted else model


def _with_options_times(optimizer, factor):
    options = {name: factor * value for name, value in optimizer.options.items()}
    return replace(optimizer, options=options, weight_decay=factor * optimizer.weight_decay)


@lru_cache(maxsize=256)
def by_reference(case):
    return case.train("reference")


def check(case):
    """Hold each kernel of a case against the reference: its bits, or twelve digits where no bits are promised."""
    alone = by_reference(case)
    for kernel in case.kernels:
        found = case.train(kernel)
        exact = is_exact(case.make_model(), kernel, case.loss, case.optimizer)
        assert len(found.status) == len(alone)
        for run, expected in enumerate(alone):
            reached = int(expected.checkpoints[0]) + 1
            pairs = {name: (getattr(found, name)[run], getattr(expected, name)[0]) for name in OF_RUNS}
            for name in ("losses", "validation_losses"):
                pairs[name] = getattr(found, name)[:reached, run], getattr(expected, name)[:reached, 0]
            pairs["path"] = found.path[:, run], expected.path[:, 0]
            for name, (ours, theirs) in pairs.items():
                about = f"{name} of run {run} by {kernel}: {case}"
                if exact:
                    np.testing.assert_array_equal(ours, theirs, err_msg=about)  # which shows numbers
                    np.testing.assert_array_equal(bits(ours * 1.0), bits(theirs * 1.0), err_msg=about)
                else:
                    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12, err_msg=about)


OF_RUNS = ("status", "checkpoints", "params", "memory", "lowest")

NUMBERS = st.sampled_from(["a", "b", "c", "x", "0.5", "2", "x**2"])
TREES = st.recursive(
    NUMBERS,
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*"), inner),
        st.builds("({}/(1 + ({})**2))".format, inner, inner),
        st.builds("{}({}, {})".format, st.sampled_from(["max", "min"]), inner, inner),
        st.builds("{}({})".format, st.sampled_from(["abs", "relu"]), inner),
        st.builds("where({} < {}, {}, {})".format, inner, inner, inner, inner),
    ),
    max_leaves=6,
)
LOSSES = ["squared", "huber(0.5)", "absolute", "quantile(0.3)", "epsilon_insensitive(0.2)", "hinge"]
SETTINGS = {
    "loss": st.sampled_from(LOSSES),
    "optimizer": st.sampled_from(["sgd", *(form for form in FORMS if not form.startswith("asgd"))]),
    "batch": st.sampled_from([1, 1, 4, 9, 43]),
    "drop_last": st.booleans(),
    "shuffle": st.sampled_from([False, True, BLOCKS]),
    "dtype": st.sampled_from(["float64", "float64", "float32"]),
    "record": st.sampled_from(["epoch", "log:3", 2]),
    "path": st.booleans(),
    "target": st.sampled_from([0.0, 0.5]),
    "patience": st.sampled_from([np.inf, 1.0, 1000.0]),
    "by_run": st.booleans(),
    "runs": st.sampled_from([2, 35]),
    "epochs": st.just(2),
}
# A parameter and the input are in every model, and steps are small: what blows up ends early.
CASES = st.builds(Case, model=TREES.map("{} + a + b*x + 0*c".format), **SETTINGS) | st.builds(
    Case, model=st.sampled_from(["w @ x + b", "(u @ x)*(v @ x) + a*x1", "mlp(2, relu)"]),
    inputs=st.sampled_from([3, 9, 14]), **SETTINGS | {"runs": st.just(2)},
)  # fmt: skip


def _features():
    """Yield a case for whatever has code of its own, by sample and in batches."""
    parabola, vector = Case(samples=21), Case("w @ x + b", inputs=14, samples=21)
    layers = Case("v @ relu(W @ x + c) + (u @ x)*(w @ x) + a*x1**2", 14, hidden=3, loss="huber(0.5)", samples=21)
    fma = {"kernels": ("lanes-fma",)}
    for case in (
        *(replace(vector, shuffle=shuffle) for shuffle in (True, BLOCKS)),
        *(
            replace(vector, optimizer=optimizer, by_run=True)
            for optimizer in ("averaged(polyak)", "clipped(adamw)", "adam(weight_decay=0.1)", "schedule_free_adamw")
        ),
        replace(layers, optimizer="momentum", shuffle=True),
        replace(vector, model="(u @ x)*(v @ x) + a*x1**2", loss="huber(0.5)", path=False),
        replace(vector, model="mlp(3, relu)", optimizer="schedule_free_sgd(weight_decay=0.1)", shuffle=True),
        # Written out, and in loops.
        *(
            replace(vector, inputs=size, loss="hinge", optimizer="clipped(adamw)", shuffle=True, by_run=True)
            for size in (8, 14)
        ),
        replace(parabola, model=KINKS, loss="huber(0.5)", optimizer="nesterov(weight_decay=0.1)", patience=1000.0),
        replace(parabola, model=KINKS, optimizer="nesterov", shuffle=BLOCKS, patience=1000.0, dtype="float32"),
        # The runs of one register after those of another.
        *(replace(case, dtype="float32", runs=70) for case in (parabola, replace(vector, inputs=9))),
        replace(vector, dtype="float32", optimizer="clipped(adamw)"),
        replace(vector, loss="logistic"),
        replace(vector, model="W @ x + b", loss="softmax", classes=3),
        replace(vector, model="mlp(4)", loss="softmax", classes=3, weighted=True),
        *(
            replace(parabola, optimizer=optimizer)
            for optimizer in (
                "averaged(polyak)", "schedule_free_sgd(weight_decay=0.1)", "clipped(adam(weight_decay=0.1), 0.5)",
            )
        ),
        # Losses from the factor of the samples too, of an optimizer that needs those of batches, and by register.
        replace(vector, **fma),
        replace(vector, inputs=7, epochs=32, **fma),
        replace(parabola, optimizer="polyak", epochs=32, **fma),
    ):  # fmt: skip
        yield case
        yield replace(case, batch=8)


def _fitting(case):
    """Return a case in float64 where its parts have no float32."""
    known = names_of(make_optimizer(case.optimizer)) <= set(FLOAT32_OPTIMIZERS)
    known &= case.loss.partition("(")[0] in FLOAT32_LOSSES
    return replace(case, dtype="float64" if case.by_run or not known else case.dtype)


def check_drawn(examples):
    """Hold kernels that are not compiled against the reference: every feature, and cases that are drawn."""
    assert numba.config.DISABLE_JIT
    assert takes_factor("lanes-fma", quadratic, make_loss("squared"), 33)

    @settings(max_examples=examples, deadline=None, derandomize=True, database=None)
    @given(CASES.map(_fitting))
    def check_one(case):
        check(case)

    for case in _features():
        check_one = example(case)(check_one)
    check_one()
