"""Samples that are streamed, or shuffled in blocks: the results of arrays, whatever the pieces they are read in."""

import threading
import tracemalloc
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data import standardize
from bench.data.scaling import standardize_stream
from bench.data.stream import MappedStream, thin_rows
from bench.data.table import Dataset
from kernels import fit, stream_training
from kernels.block_shuffle import buffers, cut_into_blocks, describe_order, make_block_shuffle, visiting_order
from kernels.fit_quality import estimate_uncertainty, least_squares
from kernels.models import make_model
from kernels.partial_fit import partial_fit, start_run
from kernels.sample_stream import ArrayStream, SampleStream, column_moments, read_ahead
from kernels.stream_training import add_pairwise, pairwise_parts
from tests.conftest import HANG

MODEL = "a*x**2 + b*x + c"
START = {"init": [1.0, -2.0, 0.5], "lr": 0.02}


def samples(n, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, n)
    return x, 2 * x * x - 4 * x + 3 + 0.1 * rng.standard_normal(n)


def assert_same(found, expected):
    """The same bits in everything that a run leaves behind."""
    assert found.status == expected.status
    assert found.epochs_to_target == expected.epochs_to_target
    for name in ("params", "loss", "trajectory", "memory", "rates", "samples_seen", "updates"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)


@pytest.mark.parametrize("part", [1, 100, 4099, 10_000])
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"batch_size": 16},
        {"batch_size": 1000, "drop_last": False, "optimizer": "adam"},
        {"kernel": "reference", "batch_size": 500, "drop_last": False},
    ],
    ids=str,
)
def test_samples_as_they_stand_give_the_bits_of_arrays(monkeypatch, asked, part):
    monkeypatch.setattr(stream_training, "WINDOW", 512)  # many of them, and sums of many parts
    x, y = samples(4099)
    given = START | {"epochs": 3} | asked
    assert_same(fit(MODEL, ArrayStream((x,), y, part), **given), fit(MODEL, x, y, **given))


@pytest.mark.parametrize("kernel", ["fused", "reference"])
def test_a_stream_stops_where_arrays_do(kernel):
    """It has trained an epoch more by then, of which nothing may be left."""
    x, y = samples(500)
    given = START | {"kernel": kernel, "optimizer": "adam", "epochs": 30, "target": 0.5, "batch_size": 10}
    found, expected = (fit(MODEL, *data, **given) for data in ([ArrayStream((x,), y, 64)], [x, y]))
    assert expected.status == "converged"
    assert 0 < expected.epochs < 29
    assert_same(found, expected)


def test_held_out_samples_and_patience():
    x, y = samples(300)
    given = START | {"lr": 0.2, "epochs": 40, "validation": samples(50, 1), "patience": 3, "batch_size": 10}
    given |= {"optimizer": "adam"}
    found, expected = (fit(MODEL, *data, **given) for data in ([ArrayStream((x,), y, 64)], [x, y]))
    assert expected.status == "stopped"
    assert_same(found, expected)
    np.testing.assert_array_equal(found.validation_loss, expected.validation_loss)
    assert found.best.mark == expected.best.mark


def test_a_run_that_diverges():
    x, y = samples(300)
    found, expected = (
        fit(MODEL, *data, **START | {"lr": 30.0, "epochs": 20}) for data in ([ArrayStream((x,), y, 64)], [x, y])
    )
    assert expected.status == "diverged"
    assert_same(found, expected)


@given(st.integers(1, 5000), st.integers(0, 2**32))
def test_the_sum_of_parts_is_the_sum_of_numpy(n, seed):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream_training, "WINDOW", 128)
        numbers = np.random.default_rng(seed).standard_normal(n) * 10.0 ** np.random.default_rng(seed).integers(
            -9, 9, n
        )
        ends = np.cumsum(list(pairwise_parts(n)))
        assert ends[-1] == n
        sums = [float(np.add.reduce(part)) for part in np.split(numbers, ends[:-1])]
        assert add_pairwise(n, iter(sums)) == np.add.reduce(numbers)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(1, 200), st.integers(0, 2**64 - 1))
def test_blocks_go_into_the_buffer_whole(blocks, buffer, seed):
    groups = buffers(blocks, buffer, seed, 3)
    assert sorted(chain.from_iterable(groups)) == list(range(len(blocks)))
    rooms = [sum(blocks[block] for block in group) for group in groups]
    assert all(room <= buffer or len(group) == 1 for room, group in zip(rooms, groups, strict=True))
    # No group is smaller than it has to be.
    assert all(room + blocks[after[0]] > buffer for room, after in zip(rooms, groups[1:], strict=False))
    order = visiting_order(blocks, buffer, seed, 3)
    np.testing.assert_array_equal(np.sort(order), np.arange(sum(blocks)))
    assert (order != visiting_order(blocks, buffer, seed, 4)).any() or order.size < 8


def test_every_order_of_blocks_and_of_samples_comes_about():
    """Of four samples in blocks of two, read one by one: two orders of the blocks, and two in each."""
    orders = [tuple(visiting_order([2, 2], 2, seed, 0)) for seed in range(400)]
    assert len(set(orders)) == 8
    assert min(map(orders.count, set(orders))) > 400 / 8 / 2  # the chance of fewer is 1e-4, and the seeds are fixed


@pytest.mark.parametrize(
    "asked",
    [{}, {"batch_size": 7}, {"batch_size": 16, "drop_last": False, "optimizer": "adam"}],
    ids=str,
)
@pytest.mark.parametrize("kernel", ["fused", "reference"])
def test_blocks_are_trained_in_their_order(kernel, asked):
    """Against epochs that are trained one by one on arrays in that order."""
    x, y = samples(1003)
    found = fit(MODEL, x, y, **START, epochs=3, shuffle="blocks(size=100, buffer=450)", seed=5, kernel=kernel, **asked)
    model = make_model(MODEL)
    state = start_run(model, START["init"], asked.get("optimizer", "sgd"))
    for epoch in range(3):
        order = visiting_order(cut_into_blocks(1003, 100), 450, 5, epoch)
        state, _ = partial_fit(model, x[order], y[order], state, lr=START["lr"], **asked)
        np.testing.assert_array_equal(found.trajectory[epoch + 1], state.params)
    np.testing.assert_array_equal(found.memory, state.memory)
    assert found.loss[-1] == pytest.approx(np.mean((model.predict(found.params, x) - y) ** 2), rel=1e-12)
    again = fit(MODEL, x, y, **START, epochs=3, shuffle="blocks(size=100, buffer=450)", seed=5, **asked)
    assert_same(found, again)


def test_blocks_of_sorted_samples_are_nearly_a_full_shuffle():
    """Sorted by x, samples in their order end far away; in blocks they end as near as fully shuffled ones."""
    x, y = samples(10_000)
    x, y = (column[np.argsort(x)] for column in (x, y))
    lowest = fit(MODEL, x, y, epochs=1)
    lowest = lowest.optimum.loss

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
    ("blocks", "buffer", "order"),
    [
        ([10], 100, "one block of 10 samples, shuffled"),
        ([100] * 3, 50, "3 blocks of 100 samples in a random order, and the samples of each shuffled"),
        ([100, 100, 3], 210, "3 blocks of 100 samples in a random order, and all samples shuffled together"),
        ([1] * 9, 3, "9 blocks of 1 sample in a random order, and the samples of 3 at a time shuffled"),
        (
            [1] * 9 + [100],
            50,
            "10 blocks of 1 to 100 samples in a random order, and up to 50 samples at a time, or those of one block, "
            "shuffled",
        ),
    ],
)
def test_the_words_for_an_order(blocks, buffer, order):
    assert describe_order(make_block_shuffle(f"blocks(buffer={buffer})"), blocks) == order


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"shuffle": True}, 'shuffle must be False or "blocks" with samples that are streamed, .*, not True'),
        ({"shuffle": "blocks(size=10)"}, "shuffle must not say the size of blocks .*, and says 10"),
        ({"shuffle": "blocks(buffer=0)"}, "buffer must be a whole number of at least 1, not 0"),
        ({"shuffle": "rows"}, "shuffle 'rows' is not known; known are blocks"),
        ({"dtype": "float32"}, "dtype must be 'float64' with samples that are streamed .*, not 'float32'"),
        ({"record": "log"}, "record must be 'epoch' with samples that are streamed .*, not 'log'"),
        ({"validation": 0.2}, r"validation must be a pair \(x, y\) beside samples that are streamed, not 0.2"),
        ({"y": [1.0]}, "y must not be given besides a stream"),
        ({"model": make_model("a*u + b*v", ["u", "v"])}, "x must be a stream with 2 inputs .*, not 1"),
        ({"batch_size": 301}, "batch_size must be .* from 1 to the 300 samples"),
    ],
    ids=str,
)
def test_what_a_stream_refuses(asked, message):
    x, y = samples(300)
    with pytest.raises(ValueError, match=message):
        fit(**{"model": MODEL, "x": ArrayStream((x,), y), "epochs": 1} | asked)


def test_samples_without_targets():
    with pytest.raises(ValueError, match=r"^y must be given, but with a stream of samples as x, which has it$"):
        fit(MODEL, samples(10)[0])


def test_batches_have_a_limit(monkeypatch):
    monkeypatch.setattr("kernels.sample_stream.LARGEST_BATCH", 100)
    x, y = samples(300)
    with pytest.raises(ValueError, match=r"batch_size must be at most 100 with samples that are streamed .*, not 101"):
        fit(MODEL, ArrayStream((x,), y), epochs=1, batch_size=101)


class Written(ArrayStream):
    """What a user's own stream might give: parts as they are listed, and blocks of the sizes that are said."""

    def __init__(self, parts, blocks=(100, 0, 200)):
        self.listed, self.blocks, self.samples, self.inputs = parts, blocks, 300, 1

    def parts(self):
        return iter(self.listed)

    def read(self, block):
        first = sum(self.blocks[:block])
        (x,), y = self.listed[0]
        yield (x[first : first + self.blocks[block]],), y[first : first + self.blocks[block]]


X, Y = samples(300)


def test_parts_and_blocks_may_be_empty():
    parts = [((X[:0],), Y[:0]), ((X[:200],), Y[:200]), ((X[:0],), Y[:0]), ((X[200:],), Y[200:])]
    found = fit(MODEL, Written(parts), **START, epochs=2)
    assert_same(found, fit(MODEL, X, Y, **START, epochs=2))
    assert found.r2 == pytest.approx(fit(MODEL, X, Y, **START, epochs=2).r2, rel=1e-12)
    blocks = fit(MODEL, Written([((X,), Y)]), **START, epochs=2, shuffle="blocks(buffer=100)")
    np.testing.assert_allclose(blocks.loss[0], found.loss[0], rtol=1e-12)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([((X[:200],), Y[:200])], "a stream must give as many samples as it says, 300, and gave 200"),
        ([((X,), Y), ((X,), Y)], "a stream must give as many samples as it says, 300, and gave more"),
        ([(X, Y)], r"a part of a stream must be 1 inputs and y of one shape \(m,\)"),
        (
            [((X[:9],), Y)],
            r"a part of a stream must be 1 inputs and y of one shape \(m,\), not \(\(9,\)\) and \(300,\)",
        ),
        (
            [((np.where(np.arange(300) == 257, np.nan, X),), Y)],
            r"input 1 must be finite, and is nan in row 257 \(counted",
        ),
    ],
)
def test_streams_that_are_not_what_they_say(parts, message):
    with pytest.raises(ValueError, match=message):
        fit(MODEL, Written(parts), **START, epochs=1, kernel="reference", batch_size=100)


def test_blocks_that_are_not_all_samples():
    with pytest.raises(ValueError, match=r"has 300 samples and 250 in blocks"):
        fit(MODEL, Written([((X,), Y)], blocks=(250,)))


def test_columns_in_another_order_than_the_inputs():
    stream = _Named((X, X), Y)
    with pytest.raises(ValueError, match=r"x must have its columns in the order of the model's inputs, \('v', 'u'\)"):
        fit(make_model("a*u + b*v", ["v", "u"]), stream)


@pytest.mark.parametrize("shuffle", [False, "blocks"])
def test_a_wrong_target_is_named_with_its_row(shuffle):
    x, y = np.linspace(0, 1, 300), np.zeros(300)
    y[257] = 0.5
    with pytest.raises(ValueError, match=r"and is 0\.5 in row 257 "):
        fit("a*x + b", ArrayStream((x,), y, 100), loss="logistic", kernel="reference", batch_size=50, shuffle=shuffle)


def test_the_next_part_is_read_while_the_last_is_used():
    second = threading.Event()

    def parts():
        yield (), np.zeros(3)
        second.set()
        yield (), np.zeros(2)

    ahead = read_ahead(parts())
    assert next(ahead)[1].size == 3
    assert second.wait(HANG)
    ahead.close()
    assert not [thread for thread in threading.enumerate() if "read-ahead" in thread.name]


def test_an_error_while_reading_ahead_is_raised_where_the_part_is_asked_for():
    def parts():
        yield (), np.zeros(3)
        raise ValueError("this part is damaged")

    ahead = read_ahead(parts())
    assert next(ahead)[1].size == 3
    with pytest.raises(ValueError, match="this part is damaged"):
        next(ahead)


def test_it_takes_little_memory():
    """Of samples in a memory map there is no copy, and of shuffled ones only the buffer."""
    x, y = samples(400_000)
    asked = START | {"epochs": 1}
    fit(MODEL, x[:8000], y[:8000], shuffle="blocks", **asked)
    tracemalloc.start()
    fit(MODEL, x, y, shuffle="blocks(size=4000, buffer=16000)", **asked).best  # noqa: B018
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.5 * (x.nbytes + y.nbytes)


@pytest.mark.parametrize("part", [7, 100, 1000])
def test_quality_in_pieces(part):
    """Against NumPy's own least squares and inverse, and the same of all samples at once."""
    x, y = samples(300)
    model, params = make_model(MODEL), np.array([2.0, -3.9, 3.1])
    stream = ArrayStream((x,), y, part)
    design = np.stack([x * x, x, np.ones(300)], axis=1)
    expected, *_ = np.linalg.lstsq(design, y, rcond=None)
    best = least_squares(model, stream)
    np.testing.assert_allclose(best.params, expected, rtol=1e-12)
    assert best.loss == pytest.approx(np.mean((design @ expected - y) ** 2), rel=1e-12)
    residual = design @ params - y
    covariance = np.linalg.inv(design.T @ design) * (residual @ residual) / 297
    found = estimate_uncertainty(model, params, stream)
    np.testing.assert_allclose(found.stderr, np.sqrt(np.diag(covariance)), rtol=1e-10)

    trained = fit(MODEL, stream, **START, epochs=1, kernel="reference", batch_size=50, loss="huber(1.0)")
    whole = fit(MODEL, x, y, **START, epochs=1, kernel="reference", batch_size=50, loss="huber(1.0)")
    assert trained.r2 == pytest.approx(whole.r2, rel=1e-12)
    assert trained.metrics == pytest.approx(whole.metrics, rel=1e-12)
    assert trained.loss_at(params) == pytest.approx(whole.loss_at(params), rel=1e-12)
    assert trained.x == () and trained.y.size == 0 and trained.stream is stream  # noqa: PT018


@settings(max_examples=30)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.integers(0, 2**32), st.floats(-1e6, 1e6))
def test_moments_in_pieces(sizes, seed, offset):
    columns = np.random.default_rng(seed).standard_normal((2, sum(sizes))) + offset
    parts = np.split(columns, np.cumsum(sizes)[:-1], axis=1)
    mean, variance = column_moments(list(part) for part in parts)
    np.testing.assert_allclose(mean, columns.mean(axis=1), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(variance, columns.var(axis=1), rtol=1e-9, atol=1e-20)


class _Named(ArrayStream):
    """Arrays with the names that tables have."""

    x_names, y_name, source = ("u", "v"), "w", "arrays"


@pytest.mark.parametrize("targets", [True, False])
def test_standardizing_in_pieces(targets):
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((300, 2)) * [3.0, 1e-3] + [5.0, 0.1], rng.standard_normal(300) - 20
    stream, scaling = standardize_stream(_Named(tuple(np.ascontiguousarray(x.T)), y, 64), targets=targets)
    whole, expected = standardize(Dataset(x, y, ("u", "v"), "w", "arrays"), targets=targets)
    np.testing.assert_allclose([*scaling.x_mean, *scaling.x_scale], [*expected.x_mean, *expected.x_scale], rtol=1e-12)
    assert (scaling.y_mean, scaling.y_scale) == pytest.approx((expected.y_mean, expected.y_scale), rel=1e-12)
    found = [np.concatenate(column) for column in zip(*((*x, y) for x, y in stream.parts()), strict=True)]
    np.testing.assert_allclose(np.array(found), np.column_stack([whole.x, whole.y]).T, rtol=1e-9, atol=1e-12)


def test_a_constant_column_cannot_be_standardized_in_pieces():
    constant = np.full(300, 0.1)
    with pytest.raises(ValueError, match="column 'v' must vary to be standardized"):
        standardize_stream(_Named((np.arange(300.0), constant), np.arange(300.0), 64))


def test_some_rows_stand_for_all():
    x = np.arange(1000.0)
    some = thin_rows(_Named((x, 2 * x), -x, 64), 30)
    assert isinstance(MappedStream(_Named((x, x), x), lambda x, y: (x, y)), SampleStream)
    np.testing.assert_array_equal(some.y, -np.arange(0, 1000, 34))
    np.testing.assert_array_equal(some.x[:, 1], -2 * some.y)
