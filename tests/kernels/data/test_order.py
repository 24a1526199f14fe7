"""Orders of samples, all shuffled or in blocks: the same in every kernel, and those of NumPy's draws."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgdbench import Grid, fit, sweep
from sgdbench.kernels.base.run import NO_LOWEST, Hyperparameters, Record
from sgdbench.kernels.data import order as orders
from sgdbench.kernels.data import samples as many_samples
from sgdbench.kernels.data.checkpoints import make_checkpoints
from sgdbench.kernels.data.order import (
    AHEAD_EPOCH,
    ORDERED_PLACES,
    allocate_order,
    buffers,
    describe_order,
    make_shuffle,
    visiting_order,
)
from sgdbench.kernels.data.samples import allocate_data
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.model.models import make_model
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.optimizers.run_options import option_values
from sgdbench.kernels.train.partial_fit import partial_fit, start_run
from sgdbench.kernels.train.trainer import make_trainer
from tests.support.parabola import MODEL, START, samples


def order_of(n, shuffle, seed, epoch):
    return visiting_order(n, allocate_order(n, make_shuffle(shuffle)), seed, epoch)


@given(st.integers(1, 400), st.integers(1, 40), st.integers(1, 200), st.integers(0, 2**64 - 1))
def test_blocks_go_into_the_buffer_whole(n, size, buffer, seed):
    blocks = [size] * (n // size) + [n % size] * (n % size > 0)
    groups = buffers(blocks, buffer, seed, 3)
    assert sorted(chain.from_iterable(groups)) == list(range(len(blocks)))
    rooms = [sum(blocks[block] for block in group) for group in groups]
    assert all(room <= buffer or len(group) == 1 for room, group in zip(rooms, groups, strict=True))
    # No group is smaller than it has to be.
    assert all(room + blocks[after[0]] > buffer for room, after in zip(rooms, groups[1:], strict=False))
    order = order_of(n, f"blocks(size={size}, buffer={buffer})", seed, 3)
    np.testing.assert_array_equal(np.sort(order), np.arange(n))
    ends = np.cumsum(rooms)
    for group, part in zip(groups, np.split(order, ends[:-1]), strict=True):
        assert set(part // size) == set(group)


def test_every_order_of_blocks_and_of_samples_comes_about():
    """Of four samples in blocks of two, taken one by one: two orders of the blocks, and two in each."""
    orders = [tuple(order_of(4, "blocks(size=2, buffer=2)", seed, 0)) for seed in range(400)]
    assert len(set(orders)) == 8
    assert min(map(orders.count, set(orders))) > 400 / 8 / 2  # the chance of fewer is 1e-4, and the seeds are fixed


@pytest.mark.parametrize("kernel", ["fused", "reference"])
@pytest.mark.parametrize("asked", [{}, {"batch_size": 7}, {"batch_size": 500, "drop_last": False}], ids=str)
@pytest.mark.parametrize("shuffle", ["blocks(size=100, buffer=450)", "blocks(size=300, buffer=1)", True])
def test_samples_are_trained_in_their_order(kernel, asked, shuffle, monkeypatch):
    """Against epochs that are trained one by one on arrays in that order, with the samples side by side or not."""
    monkeypatch.setattr(many_samples, "CACHED_SAMPLES", 100 if asked else 2**16)
    x, y = samples(1003)
    found = fit(MODEL, x, y, **START, epochs=3, shuffle=shuffle, seed=5, kernel=kernel, **asked)
    model = make_model(MODEL)
    state = start_run(model, START["init"])
    for epoch in range(3):
        order = order_of(1003, shuffle, 5, epoch)
        state, _ = partial_fit(model, x[order], y[order], state, lr=START["lr"], **asked)
        np.testing.assert_array_equal(found.trajectory[epoch + 1], state.params)
    # The loss is that of the samples as they stand, whatever the order in which they are visited.
    assert found.loss[0] == fit(MODEL, x, y, **START, epochs=1).loss[0]


@pytest.mark.parametrize("batch_size", [1, 16, 200])
@pytest.mark.parametrize("ahead", [True, False], ids=["ahead", "when it begins"])
def test_an_order_that_is_drawn_ahead_is_used_by_its_own_run_alone(batch_size, ahead, monkeypatch):
    """Runs take turns on the same samples, and go on where they or others have stopped."""
    if not ahead:
        monkeypatch.setattr(orders, "CACHED_SAMPLES", 100)
    x, y = samples(803)
    model, loss, optimizer = make_model(MODEL), make_loss("squared"), make_optimizer("sgd")
    data = allocate_data((x,), y, shuffle=True, batch_size=batch_size)
    assert (data.order.places.size > ORDERED_PLACES + 2 * y.size) is ahead
    checkpoints = make_checkpoints("epoch", 803, batch_size, 6, drop_last=False)
    trainers = [make_trainer(kernel, model, loss, optimizer, data) for kernel in ("fused", "reference")]
    rows = {}
    for seed, first, last in [(1, 0, 4), (2, 0, 2), (1, 4, 5), (1, 5, 6), (2, 2, 6), (1, 3, 6), (3, 5, 6), (3, 0, 6)]:
        hyper = Hyperparameters(
            np.full(6, 0.1), option_values(loss, optimizer), batch_size, False, True, seed, 0, checkpoints
        )
        for trajectory, train in zip(
            rows.setdefault(seed, np.tile(START["init"], (2, 7, 1)) * 1.0), trainers, strict=True
        ):
            train(hyper, Record(np.empty(7), trajectory, np.empty(0), np.zeros(0), np.array(NO_LOWEST)), first, last)
        np.testing.assert_array_equal(*rows[seed])
    # No order is left for the next run, which would take less time than the first.
    assert data.order.ahead[AHEAD_EPOCH] == 0
    assert len(np.unique(np.concatenate([found[0, 1:] for found in rows.values()]), axis=0)) == 18


@pytest.mark.parametrize("shuffling", ["all", "blocks(size=50, buffer=120)"])
def test_lanes_visit_as_single_runs_do(shuffling, monkeypatch):
    monkeypatch.setattr(many_samples, "CACHED_SAMPLES", 100)
    x, y = samples(1500)
    grid = Grid(lr=[0.01, 0.05], batch_size=[1, 7], init={"start": START["init"]}, shuffle=True, seed=[2])
    found = sweep(MODEL, x, y, grid, epochs=2, confirm=0, record="epoch", shuffling=shuffling).frame
    shuffle = True if shuffling == "all" else shuffling
    for row in found.itertuples():
        asked = {"lr": row.lr, "batch_size": row.batch_size, "shuffle": shuffle, "seed": 2, "epochs": 2}
        alone = fit(MODEL, x, y, init=START["init"], **asked)
        assert [row.param_a, row.param_b, row.param_c] == alone.params.tolist()
        assert row.final_loss == alone.loss[-1]


def test_blocks_of_sorted_samples_are_nearly_a_full_shuffle():
    """Sorted by x, samples in their order end far away; in blocks they end as near as fully shuffled ones."""
    x, y = samples(10_000)
    x, y = (column[np.argsort(x)] for column in (x, y))
    lowest = fit(MODEL, x, y, epochs=1).optimum.loss

    def excess(shuffle):
        asked = START | {"epochs": 3, "batch_size": 16, "lr": 0.05, "shuffle": shuffle}
        return np.mean([fit(MODEL, x, y, **asked, seed=seed).loss[-1] / lowest - 1 for seed in range(5)])

    order, full, blocks = excess(False), excess(True), excess("blocks(size=200, buffer=1000)")
    assert blocks < 3 * full < 0.1 * order


def test_the_order_is_part_of_the_result():
    x, y = samples(1003)
    told = {
        shuffle: fit(MODEL, x, y, **START, epochs=1, kernel="reference", batch_size=100, shuffle=shuffle)
        for shuffle in (False, True, "blocks(size=100, buffer=450)")
    }
    assert told[False].order == "as they stand"
    assert told[True].order == "all samples shuffled"
    order = "11 blocks of 100 samples in a random order, and the samples of 4 at a time shuffled"
    assert told["blocks(size=100, buffer=450)"].order == order
    assert f"order       {order}" in str(told["blocks(size=100, buffer=450)"])


@pytest.mark.parametrize(
    ("n", "shuffle", "order"),
    [
        (10, "blocks", "one block of 10 samples, shuffled"),
        (300, "blocks(size=100, buffer=50)", "3 blocks of 100 samples, and the samples of each shuffled"),
        (203, "blocks(size=100, buffer=210)", "3 blocks of 100 samples, and all samples shuffled together"),
        (9, "blocks(size=1, buffer=3)", "9 blocks of 1 sample, and the samples of 3 at a time shuffled"),
    ],
)
def test_the_words_for_an_order(n, shuffle, order):
    assert describe_order(n, make_shuffle(shuffle)).replace(" in a random order", "") == order
