"""Many samples: does a sample cost the same whatever their number, and what do orders and files cost?"""

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from sgdbench import fit, models
from sgdbench.data import open_table
from sgdbench.timing.paired import ratio, take_turns

LARGE, SMALL = 10_000_000, 1000
START = {"init": [1.0, 1.0, 1.0], "lr": 0.01}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, pytestconfig):
    """Samples as memory maps and as Parquet; without measuring, few of them."""
    path = tmp_path_factory.mktemp("large")
    n = LARGE if pytestconfig.getoption("--benchmark-only") else 20_000
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, n)
    y = 2 * x * x - 4 * x + 3 + 0.1 * rng.standard_normal(n)
    np.save(path / "x.npy", x)
    np.save(path / "y.npy", y)
    pa.parquet.write_table(pa.table({"x": x, "y": y}), path / "samples.parquet", row_group_size=2**20)
    return path


@pytest.fixture
def mapped(folder):
    return tuple(np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("x", "y"))


@pytest.mark.benchmark(group="many samples, in their order")
def test_a_sample_costs_the_same_whatever_their_number(mapped, benchmark, reach):
    """An epoch of memory-mapped arrays against as many epochs of few samples as visit as many."""
    x, y = mapped
    few = np.array(x[:SMALL]), np.array(y[:SMALL])
    epochs = y.size // SMALL
    calls = {
        "many": lambda: fit(models.quadratic, x, y, epochs=1, **START),
        "few": lambda: fit(models.quadratic, *few, epochs=epochs, **START),
    }
    assert calls["many"]().updates[-1] == calls["few"]().updates[-1]
    if benchmark.enabled:
        times = ratio(take_turns(calls, rounds=5, seconds=10), "many", "few")
        # Of what a fit of many samples takes, a quarter is to see that all are finite, which is no part of an epoch.
        benchmark.extra_info["fit"] = times._asdict()
        seconds = {name: min(call().seconds for _ in range(3)) for name, call in calls.items()}
        reach(f"a sample of {y.size:,} against one of {SMALL:,}", [seconds["many"] / seconds["few"]], most=1.3)
    benchmark.pedantic(calls["many"])


@pytest.mark.parametrize("order", ["as they stand", "blocks", "all shuffled", "a converted file"])
@pytest.mark.benchmark(group="ten million samples, an epoch")
def test_orders(order, folder, mapped, benchmark, reach):
    """Two epochs, in memory maps or of a Parquet file that is converted: the last loss takes a third pass."""
    table = open_table(folder / "samples.parquet", "x", "y")
    samples = (table.x, table.y) if "file" in order else mapped
    shuffle = "blocks" if order == "blocks" else order == "all shuffled"
    few = [column[:SMALL] for column in mapped]
    fit(models.quadratic, *few, epochs=1, shuffle=shuffle, **START)  # compiled before it is timed
    result = benchmark.pedantic(
        lambda: fit(models.quadratic, *samples, epochs=2, shuffle=shuffle, **START),
        rounds=3 if benchmark.enabled else 1,
    )
    assert result.loss[-1] < result.loss[0]
    each = 1e9 * result.seconds / result.samples_seen[-1]
    benchmark.extra_info["ns_per_sample_and_epoch"] = each
    if benchmark.enabled and order == "all shuffled":
        reach(f"a shuffled sample of {table.y.size:,}", [each], most=12, unit=" ns")
