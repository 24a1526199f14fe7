"""The kernel that trains: that of `fit` for single samples compiles sooner than the one that is for batches too."""

import pytest

from kernels import Model
from kernels.base import cache
from kernels.compile import specialize
from kernels.compile.specialize import bind_loops, is_stored
from kernels.losses import make_loss
from kernels.model.models import make_model
from kernels.optimizers import make_optimizer
from kernels.train import trainer
from kernels.train.trainer import Wanted

WIDE = Model("w @ x + b", inputs={"x": [f"x{k}" for k in range(30)]})


def wanted(kernel="fused", model=WIDE, optimizer="sgd", **settings):
    return Wanted(kernel, model, make_loss("squared"), make_optimizer(optimizer), **settings)


def functions_of(one):
    binder, _, _ = bind_loops(one.ingredients)
    return {function.__name__ for function in binder.functions}


def test_a_kernel_without_batches_leaves_out_what_they_need():
    batches, samples = functions_of(wanted()), functions_of(wanted(batches=False))
    assert {"each_sample", "move"} <= samples & batches
    assert {"each_batch", "gradient_of_batch", "gradient_of_samples", "term_times_eight"} <= batches - samples


@pytest.mark.parametrize(
    ("kernel", "model", "optimizer"),
    [("lanes", WIDE, "sgd"), ("fused", make_model("a*x + b"), "sgd"), ("fused", WIDE, "clipped(sgd, 1)")],
    ids=["lanes", "no vectors", "samples as batches of one"],
)
def test_all_others_have_one_kernel(kernel, model, optimizer):
    made_of = kernel, model, optimizer
    assert wanted(*made_of, batches=False).ingredients == wanted(*made_of).ingredients


@pytest.mark.parametrize(
    ("kernel", "stored", "taken"),
    [
        ("fused", set(), False),
        ("fused", {True}, True),
        ("fused", {True, False}, False),
        ("fused-fma", {True}, False),
    ],
)
def test_one_with_batches_is_taken_where_it_need_not_be_compiled(monkeypatch, kernel, stored, taken):
    """Not with fused operations, whose last bits may differ: a fit does not depend on what was compiled before."""
    monkeypatch.setattr(trainer, "_if_stored", trainer._if_stored.__wrapped__)
    monkeypatch.setattr(trainer, "is_stored", lambda made_of: made_of.batches in stored)
    monkeypatch.setattr(trainer, "specialize", lambda made_of: made_of.batches)
    assert wanted(kernel, batches=False).compile() is taken
    assert wanted(kernel).compile() is True


@pytest.mark.usefixtures("short_kernels")
def test_a_kernel_of_this_process_need_not_be_compiled_where_there_is_no_cache_folder(monkeypatch):
    monkeypatch.setattr(cache, "folder", lambda: None)
    monkeypatch.setattr(specialize, "_loaded", set())
    one = wanted(model=make_model("a*x + b"))
    assert not is_stored(one.ingredients)
    one.compile()
    assert is_stored(one.ingredients)


def test_where_the_kernel_for_single_samples_is_stored_the_other_one_is_not_even_bound(monkeypatch):
    """To bind one took a sixth of a short fit."""
    made_of, looked_for = wanted(batches=False).ingredients, []
    monkeypatch.setattr(trainer, "is_stored", lambda one: looked_for.append(one) or True)
    assert trainer._if_stored.__wrapped__(made_of) == made_of
    assert looked_for == [made_of]
