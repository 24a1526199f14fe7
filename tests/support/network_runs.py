"""Runs of models, with vectors or without: by the reference, one at a time and side by side."""

from dataclasses import replace
from functools import partial

import numba
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.base.run import Hyperparameters
from kernels.compile.kinds import FLOAT32_OPTIMIZERS, takes_factor
from kernels.data.checkpoints import make_checkpoints
from kernels.data.order import make_shuffle
from kernels.data.samples import allocate_data
from kernels.losses import make_loss
from kernels.model.model import Model
from kernels.model.models import make_model, quadratic
from kernels.model.sample_weight import WeightedModel
from kernels.optimizers import make_optimizer
from kernels.optimizers.run_options import initial_memory, option_values, stack_options
from kernels.train.block import train_runs
from tests.support.rules import FORMS, names_of

ARRAYS = ("params", "memory", "losses", "status", "checkpoints", "validation_losses", "lowest")
BLOCKS = "blocks(size=7, buffer=20)"
KINKS = (
    "sqrt(a**2 + x**2)/(3 + b**2) - c*(1 + x**2)**-1.5 + where(x > 0.3*b, max(a*x, b/3), abs(b - x)) - relu(c - x/5)"
)


def trained(
    *, size=14, n=43, model="w @ x + b", loss="squared", optimizer="sgd", batch=1, classes=1, hidden=None,
    shuffle=False, dtype="float64", patience=np.inf, by_run=False, weighted=False, runs=3, epochs=3,
    kernels=("fused", "lanes"),
):  # fmt: skip
    """Return runs by the reference, one by one, and by each kernel, with different starts, rates and maybe options."""
    rng = np.random.default_rng(size)
    x = rng.normal(size=(n, size))
    y = x @ rng.normal(size=size) + 1
    if loss in ("logistic", "hinge"):
        y = (y > 0) * 1.0
    if classes > 1:
        y = rng.integers(0, classes, n) * 1.0
    inputs = [f"x{k}" for k in range(1, size + 1)] if size > 1 else ["x"]
    model = Model(model, inputs, hidden=hidden) if hidden else make_model(model, inputs)
    model = model.with_classes(classes) if classes > 1 else model
    if weighted:
        model, x = WeightedModel(model), np.column_stack([x, rng.uniform(0, 3, n)])
    highest = 1e3 if "polyak" in optimizer else 0.05 / size  # so that its steps follow from the loss and the norm
    loss, optimizer, shuffle = make_loss(loss), make_optimizer(optimizer), make_shuffle(shuffle)
    columns = tuple(np.ascontiguousarray(x.T))
    form = {"shuffle": shuffle, "batch_size": batch, "by_row": model.by_row, "dtype": dtype}
    held = (tuple(column[:9] for column in columns), y[:9]) if np.isfinite(patience) else None
    data = allocate_data(columns, y, validation=held, **form)
    checkpoints = make_checkpoints("epoch", n, batch, epochs, drop_last=False)
    rates = np.tile(np.linspace(0.2 * highest, highest, runs), (epochs, 1))
    hyper = Hyperparameters(
        rates, option_values(loss, optimizer), batch, False, bool(shuffle), 3, 0.0, checkpoints, patience
    )
    starts = 0.5 * rng.normal(size=(runs, len(model.params)))
    each = [optimizer] * runs
    if by_run:
        each = [with_options_times(optimizer, factor) for factor in np.linspace(0.8, 1.0, runs)]
        hyper = hyper._replace(settings=stack_options(loss, each))
    memory = initial_memory(each, starts)
    if by_run:  # so that clocks differ from the start
        memory *= np.linspace(0.5, 1.0, runs)[:, np.newaxis]

    def train(kernel, rule=optimizer, chosen=slice(None)):
        some = hyper._replace(rates=np.ascontiguousarray(rates[:, chosen]))
        return train_runs(kernel, model, loss, rule, data, some, starts[chosen], memory[chosen])

    # The reference takes the options from the optimizer itself.
    alone = [train("reference", rule, slice(run, run + 1)) for run, rule in enumerate(each)]
    others = [train(kernel) for kernel in kernels]
    return alone, *others


def with_options_times(optimizer, factor):
    options = {name: factor * value for name, value in optimizer.options.items()}
    return replace(optimizer, options=options, weight_decay=factor * optimizer.weight_decay)


def compare(compare_arrays, **given):
    alone, *others = trained(**given)
    for run, expected in enumerate(alone):
        assert np.isfinite(expected.losses).all()
        assert expected.losses[-1] != expected.losses[0]
        for found in others:
            for name in ARRAYS:
                along = getattr(found, name)
                mine = along[:, run : run + 1] if name in ("losses", "validation_losses") else along[run : run + 1]
                compare_arrays(mine, getattr(expected, name), err_msg=f"{name}: {given}")


def check_bits(**given):
    compare(np.testing.assert_array_equal, **given)


def check_digits(**given):
    """Of models with exp and tanh."""
    compare(partial(np.testing.assert_allclose, rtol=1e-12, atol=1e-12), **given)


def check_features():
    """Whatever has code of its own, in kernels that are not compiled: by sample and in batches."""
    assert numba.config.DISABLE_JIT
    for batch in (1, 8):
        given = {"batch": batch, "n": 21}
        for shuffle in (True, BLOCKS):
            check_bits(shuffle=shuffle, **given)
        for optimizer in ("averaged(polyak)", "clipped(adamw)", "adam(weight_decay=0.1)", "schedule_free_adamw"):
            check_bits(optimizer=optimizer, by_run=True, **given)
        check_bits(model="(u @ x)*(v @ x) + a*x1**2", loss="huber(0.5)", **given)
        layers = {"model": "v @ relu(W @ x + c) + (u @ x)*(w @ x) + a*x1**2", "hidden": 3}
        check_bits(**layers, loss="huber(0.5)", optimizer="momentum", shuffle=True, **given)
        check_bits(model="mlp(3, relu)", optimizer="schedule_free_sgd(weight_decay=0.1)", shuffle=True, **given)
        for size in (8, 14):  # written out, and in loops
            check_bits(size=size, loss="hinge", optimizer="clipped(adamw)", shuffle=True, by_run=True, **given)
        for dtype in ("float64", "float32"):  # without vectors too
            check_bits(
                model=KINKS, size=1, loss="huber(0.5)", optimizer="nesterov(weight_decay=0.1)",
                shuffle=BLOCKS if dtype == "float32" else True, patience=1000.0, dtype=dtype, **given,
            )  # fmt: skip
            check_bits(model="a*x**2 + b*x + c", size=1, dtype=dtype, **given)
            check_bits(size=9, dtype=dtype, **given)  # the runs of one register after those of another
        check_bits(dtype="float32", optimizer="clipped(adamw)", **given)
        check_digits(loss="logistic", **given)
        for model in ("W @ x + b", "mlp(4)"):
            check_digits(model=model, loss="softmax", classes=3, weighted=model != "W @ x + b", **given)
        parabola = given | {"model": quadratic.expression, "size": 1}
        for optimizer in (
            "averaged(polyak)",
            "schedule_free_sgd(weight_decay=0.1)",
            "clipped(adam(weight_decay=0.1), 0.5)",
        ):
            check_bits(optimizer=optimizer, **parabola)
        # Losses from the factor of the samples too, of an optimizer that needs those of batches, and by register.
        assert takes_factor("lanes-fma", quadratic, make_loss("squared"), 33)
        fused = {"kernels": ["lanes-fma"], "epochs": 32}
        check_digits(**given, kernels=["lanes-fma"])
        check_digits(size=7, **given, **fused)
        check_digits(optimizer="polyak", **parabola, **fused)


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
LOSSES = ["squared", "huber(0.5)", "absolute", "quantile(0.3)", "epsilon_insensitive(0.2)"]


def check_drawn(examples):
    """Hold drawn kernels, which are not compiled, against the reference."""
    assert numba.config.DISABLE_JIT

    @settings(max_examples=examples, deadline=None, derandomize=True, database=None)
    @given(
        model=TREES,
        loss=st.sampled_from(LOSSES),
        optimizer=st.sampled_from(["sgd", *(form for form in FORMS if not form.startswith("asgd"))]),
        batch=st.sampled_from([1, 1, 4, 9, 43]),
        shuffle=st.sampled_from([False, True, BLOCKS]),
        dtype=st.sampled_from(["float64", "float64", "float32"]),
        patience=st.sampled_from([np.inf, 1000.0]),
        by_run=st.booleans(),
    )
    def check(model, dtype, optimizer, by_run, **settings):
        if dtype == "float32" and not names_of(make_optimizer(optimizer)) <= set(FLOAT32_OPTIMIZERS):
            dtype = "float64"
        settings |= {"dtype": dtype, "optimizer": optimizer, "by_run": by_run and dtype == "float64"}
        # A parameter and the input are in every model, and steps are small: what blows up ends early.
        alone, *others = trained(model=f"{model} + a + b*x + 0*c", size=1, runs=2, epochs=2, **settings)
        for run, expected in enumerate(alone):
            for found in others:
                for name in ARRAYS:
                    along = getattr(found, name)
                    mine = along[:, run : run + 1] if "losses" in name else along[run : run + 1]
                    reached = int(expected.checkpoints[0]) + 1 if "losses" in name else None
                    np.testing.assert_array_equal(mine[:reached], getattr(expected, name)[:reached], err_msg=name)

    check()
